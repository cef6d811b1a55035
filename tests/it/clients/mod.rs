//! Every client gets through with what an output holds: the drivers as they are published, a real PostgreSQL server, Secrets that
//! the operator wrote. What cannot work is in the table with its reason, and must fail.

mod asking;
mod authority;
mod matrix;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use futures::StreamExt as _;
use serde_json::{Value, json};
use simulated_platform::PoolerAddress;
use simulated_platform::postgres::Postgres;

use crate::support::cluster::kinds::{CONFIG_MAP, PROJECT, SECRET};
use crate::support::samples::{project, secret, token_connection};
use crate::support::stage::{Reach, Stage};
use asking::Given;
use authority::Authority;
use matrix::{CASES, Case, Expected, Tls};

/// Characters that some connection string or other gives a meaning.
const AWKWARD: &str = "p@ss:w/ö rd%41#?&=\\'\"+;$";

/// A row of the table.
struct Row {
    case: &'static Case,
    version: String,
    result: String,
    wrong: bool,
}

#[tokio::test]
async fn every_client_gets_through_with_what_an_output_holds() {
    let postgres = tokio::task::spawn_blocking(Postgres::start);
    let postgres = Arc::new(postgres.await.unwrap().unwrap());
    let mut stage = Stage::new(Reach::Namespace).await;
    stage.platform.attach(Arc::clone(&postgres));
    stage.platform.world().config_mut().pooler = Some(PoolerAddress {
        // A name, not an address: the certificate is checked against it.
        host: "localhost".to_owned(),
        session_port: postgres.port(),
        transaction_port: postgres.port(),
    });
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("the authority");
    authority.certify(&postgres, "localhost").await;
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    let variable = "SUPABASE_OPERATOR_DATABASE_CA_FILE";
    let mut operator = stage.launch("operator-0", &[(variable, file.to_str().unwrap())]);
    operator.ready().await;
    stage.cluster.apply(token_connection("acme")).await;
    let given = given(&stage, folder.path()).await;

    let mut rows = Vec::new();
    for tls in [Tls::Unverified, Tls::Verified, Tls::None] {
        rows.extend(ask_all(tls, &given).await);
    }
    // The right authority and another host, then another authority: whoever checks gets through no more.
    authority.certify(&postgres, "elsewhere.example").await;
    let mut fooled = fooled(&given).await;
    authority.certify(&postgres, "localhost").await;
    given.trust(&Authority::new("somebody else").pem);
    fooled.extend(self::fooled(&given).await);
    show(&rows);
    let wrong: Vec<_> = rows.iter().filter(|row| row.wrong).map(Row::line).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(fooled.is_empty(), "not kept away by another host or authority: {fooled:#?}");
    stage.finish(vec![operator]).await;
}

/// Clients that should check certificates, and get through or fail for another reason.
async fn fooled(given: &Given) -> Vec<String> {
    let verified = CASES.iter().filter(|case| case.tls == Tls::Verified);
    let verified = verified.filter(|case| matches!(case.expected, Expected::Answer));
    let asked = verified.map(async |case| match given.ask(case).await {
        Ok(answer) => Some(format!("{}: {answer}", case.client)),
        Err(said) => {
            let said = said.to_lowercase();
            let about = said.contains("certificat") || said.contains("hostname");
            (!about).then(|| format!("{} failed otherwise: {said}", case.client))
        }
    });
    let asked = futures::stream::iter(asked).buffered(3);
    asked.filter_map(std::future::ready).collect().await
}

/// Has the operator write outputs for all clients, and lays them out as a Pod has them.
async fn given(stage: &Stage, folder: &Path) -> Given {
    let random = getrandom::u64().unwrap();
    let password = format!("{AWKWARD}{random:x}");
    stage.cluster.apply(secret("own", &[("password", &password)])).await;
    let ca_file = folder.join("ca.crt").to_str().unwrap().to_owned();
    let file = json!({"mode": "VerifyFull", "caFile": ca_file});
    let uri = |name: &str, more: Value| {
        let mut key = json!({"name": name, "value": "DatabaseURI"});
        for (field, value) in more.as_object().unwrap() {
            key[field] = value.clone();
        }
        key
    };
    let sqlalchemy = |ssl: &str| json!({"scheme": "postgresql+asyncpg", "tls": {"mode": "Omit"}, "parameters": {"ssl": ssl}});
    let keys = json!([
        uri("URI", json!({})),
        uri("URI_VERIFIED", json!({"tls": {"mode": "VerifyFull"}})),
        uri("URI_WITH_FILE", json!({"tls": file})),
        uri("URI_LIBPQ", json!({"parameters": {"uselibpqcompat": "true"}, "endpoint": "TransactionPooler"})),
        uri("SQLALCHEMY", sqlalchemy("require")),
        uri("SQLALCHEMY_VERIFIED", sqlalchemy("verify-full")),
        {"name": "JDBC", "value": "DatabaseJDBCURL", "parameters": {"ApplicationName": "a b&c"}},
        {"name": "JDBC_WITH_FILE", "value": "DatabaseJDBCURL", "tls": file},
        {"name": "pgpass", "value": "DatabasePassfile"},
        {"name": "ca.crt", "value": "DatabaseCA"},
    ]);
    let mut outputs = vec![
        json!({"name": "app-keys", "keys": keys}),
        json!({"name": "app-libpq", "preset": "Libpq"}),
        json!({"name": "app-libpq-verified", "preset": "Libpq", "tls": file}),
        json!({"name": "app-binding", "preset": "ServiceBinding"}),
        json!({"name": "app-binding-verified", "preset": "ServiceBinding", "tls": {"mode": "VerifyFull"}}),
    ];
    let interfaces = json!(["URL", "PublishableKey", "SecretKey", "JWKSURL"]);
    outputs.push(json!({"name": "app-server", "include": interfaces}));
    let public = json!(["URL", "PublishableKey", "JWKSURL", "DatabaseCA"]);
    outputs.push(json!({"name": "app-web", "kind": "ConfigMap", "include": public}));
    let declared = project("orders").with_password_of("own", "password");
    stage.cluster.apply(declared.with("outputs", outputs.clone())).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    let mut written = BTreeMap::new();
    for output in &outputs {
        let name = output["name"].as_str().unwrap();
        let kind = if output["kind"] == "ConfigMap" { CONFIG_MAP } else { SECRET };
        let data = stage.cluster.data(kind, name).await;
        written.insert(name.to_owned(), data.unwrap());
    }
    assert_eq!(written["app-libpq"]["PGPASSWORD"], password);
    Given::new(folder, written).await
}

async fn ask_all(tls: Tls, given: &Given) -> Vec<Row> {
    let cases = CASES.iter().filter(|case| case.tls == tls);
    let asked = cases.map(async |case| row(case, given.ask(case).await));
    futures::stream::iter(asked).buffered(3).collect().await
}

fn row(case: &'static Case, answer: Result<String, String>) -> Row {
    let right = if case.tls == Tls::None { case.answer } else { "true 42" };
    let (version, result, wrong) = match (answer, &case.expected) {
        (Ok(line), Expected::Answer) => {
            let (version, answer) = line.split_once('\t').unwrap_or(("", &line));
            (version.to_owned(), answer.to_owned(), answer != right)
        }
        (Ok(line), Expected::Refusal { .. }) => (String::new(), format!("works: {line}"), true),
        (Err(said), Expected::Answer) => (String::new(), format!("failed: {said}"), true),
        (Err(said), Expected::Refusal { says, why }) => {
            let wrong = !said.contains(says);
            let result = if wrong { said } else { format!("cannot: {why}") };
            (String::new(), result, wrong)
        }
    };
    Row { case, version, result, wrong }
}

impl Row {
    fn line(&self) -> String {
        let Case { client, given, tls, .. } = self.case;
        let (version, result) = (&self.version, &self.result);
        format!("| {client} | {version} | {given} | {tls} | {result} |")
    }
}

/// Prints the table past the test runner, which shows nothing of tests that reconcile.
fn show(rows: &[Row]) {
    let mut text =
        "| client | version | what it was given | TLS | ssl and answer |\n|---|---|---|---|---|\n"
            .to_owned();
    for row in rows {
        text.push_str(&row.line());
        text.push('\n');
    }
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}
