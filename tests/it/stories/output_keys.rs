//! Outputs whose keys are named one by one, other presets, and the authorities of the databases.

use std::path::Path;

use serde_json::{Value, json};

use super::connected;
use crate::support::cluster::kinds::{CONFIG_MAP, PROJECT, SECRET};
use crate::support::cluster::{SOON, conditions_of};
use crate::support::operator::Operator;
use crate::support::samples::project;
use crate::support::stage::{Reach, Stage};

/// Every value, and how it begins.
const VALUES: [(&str, &str); 16] = [
    ("URL", "https://"),
    ("ProjectRef", ""),
    ("PublishableKey", "sb_publishable_"),
    ("SecretKey", "sb_secret_"),
    ("AnonKey", "ey"),
    ("ServiceRoleKey", "ey"),
    ("DatabaseURI", "postgresql://postgres."),
    ("DatabaseJDBCURL", "jdbc:postgresql://"),
    ("DatabasePassfile", ""),
    ("DatabaseHost", ""),
    ("DatabasePort", "5432"),
    ("DatabaseName", "postgres"),
    ("DatabaseUser", "postgres."),
    ("DatabasePassword", ""),
    ("DatabaseCA", "-----BEGIN CERTIFICATE-----\n"),
    ("JWKSURL", "https://"),
];
const VARIABLE: &str = "SUPABASE_OPERATOR_DATABASE_CA_FILE";

/// An operator that was given the authorities of a file.
async fn trusting(stage: &mut Stage, identity: &str, file: &Path) -> Operator {
    let pem = rcgen::generate_simple_self_signed(vec![identity.to_owned()]).unwrap();
    std::fs::write(file, pem.cert.pem()).unwrap();
    let mut operator = stage.launch(identity, &[(VARIABLE, file.to_str().unwrap())]);
    operator.ready().await;
    operator
}

/// The declared outputs written, and what one of them holds.
async fn written(stage: &Stage, outputs: Value, name: &str) -> Value {
    stage.cluster.apply(project("shop").with("outputs", outputs)).await;
    let ready = stage.cluster.wait_condition(PROJECT, "shop", "Ready", "True").await;
    // Ready is about this declaration only when it was looked at.
    let generation = ready["metadata"]["generation"].clone();
    stage
        .cluster
        .wait_for(PROJECT, "shop", "this generation", SOON, |object| {
            (object["status"]["observedGeneration"] == generation).then_some(())
        })
        .await;
    json!(stage.cluster.data(SECRET, name).await.unwrap())
}

#[tokio::test]
async fn every_key_holds_what_it_names() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let folder = tempfile::tempdir().unwrap();
    let operator = trusting(&mut stage, "operator-0", &folder.path().join("ca.crt")).await;
    connected(&stage).await;
    let keys: Vec<_> =
        VALUES.iter().map(|(value, _)| json!({"name": value, "value": value})).collect();
    let included: Vec<_> = VALUES.iter().map(|(value, _)| *value).collect();
    let outputs = json!([
        {"name": "shop-keys", "keys": keys},
        {"name": "shop-env", "include": included},
        {"name": "shop-web", "kind": "ConfigMap", "keys": [{"name": "ca.crt", "value": "DatabaseCA"}]},
    ]);
    let data = written(&stage, outputs, "shop-keys").await;
    let env = stage.cluster.data(SECRET, "shop-env").await.unwrap();
    assert_eq!(env.len(), VALUES.len());
    for (value, begins) in VALUES {
        let text = data[value].as_str().unwrap();
        assert!(text.starts_with(begins) && !text.is_empty(), "{value}");
        assert!(env.values().any(|same| same == text), "{value}");
    }
    assert_eq!(
        data["JWKSURL"],
        format!("{}/auth/v1/.well-known/jwks.json", data["URL"].as_str().unwrap())
    );
    let web = stage.cluster.data(CONFIG_MAP, "shop-web").await.unwrap();
    assert_eq!(web["ca.crt"], data["DatabaseCA"].as_str().unwrap());
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn keys_lead_several_ways_as_each_says() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let folder = tempfile::tempdir().unwrap();
    let operator = trusting(&mut stage, "operator-0", &folder.path().join("ca.crt")).await;
    connected(&stage).await;
    let uri = |name: &str, more: Value| {
        let mut key = json!({"name": name, "value": "DatabaseURI"});
        for (field, value) in more.as_object().unwrap() {
            key[field] = value.clone();
        }
        key
    };
    let keys = json!([
        uri("direct", json!({"endpoint": "Direct"})),
        uri("session", json!({"endpoint": "SessionPooler", "tls": {"mode": "Require"}})),
        uri(
            "TRANSACTION.URL",
            json!({"endpoint": "TransactionPooler", "scheme": "postgres",
            "parameters": {"pgbouncer": "true", "connection_limit": "1"}})
        ),
        uri("omitted", json!({"tls": {"mode": "Omit"}})),
        uri("verified", json!({"tls": {"mode": "VerifyFull", "caFile": "/etc/ca.crt"}})),
    ]);
    let declared = json!({"name": "shop-app", "keys": keys, "tls": {"mode": "VerifyFull", "caFile": "/other.crt"}});
    let data = written(&stage, json!([declared]), "shop-app").await;
    let ends = |name: &str, end: &str| {
        let text = data[name].as_str().unwrap();
        assert!(text.ends_with(end), "{name} does not end with {end}");
        text.to_owned()
    };
    let direct = ends("direct", ":5432/postgres?sslmode=verify-full&sslrootcert=%2Fother.crt");
    assert!(direct.contains("@db."));
    ends("session", ":5432/postgres?sslmode=require");
    let end = ":6543/postgres?sslmode=verify-full&sslrootcert=%2Fother.crt&connection_limit=1&pgbouncer=true";
    assert!(ends("TRANSACTION.URL", end).starts_with("postgres://"));
    ends("omitted", ":5432/postgres");
    ends("verified", "?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.crt");

    // Other keys, then a preset: what is declared no more goes.
    let fewer = json!([{"name": "shop-app", "keys": [uri("only", json!({}))]}]);
    let data = written(&stage, fewer, "shop-app").await;
    assert_eq!(data.as_object().unwrap().keys().collect::<Vec<_>>(), ["only"]);
    let verified = json!({"mode": "VerifyFull", "caFile": "/etc/ca.crt"});
    let libpq = json!([{"name": "shop-app", "preset": "Libpq", "tls": verified}]);
    let data = written(&stage, libpq, "shop-app").await;
    assert_eq!(data["PGSSLMODE"], "verify-full");
    assert_eq!(data["PGSSLROOTCERT"], "/etc/ca.crt");
    let omitted = json!([{"name": "shop-app", "preset": "Libpq", "tls": {"mode": "Omit"}}]);
    let data = written(&stage, omitted, "shop-app").await;
    let keys: Vec<_> = data.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["PGDATABASE", "PGHOST", "PGPASSWORD", "PGPORT", "PGUSER"]);
    let required = json!([{"name": "shop-app", "preset": "Libpq", "tls": {"mode": "Require"}}]);
    let data = written(&stage, required, "shop-app").await;
    assert_eq!(data["PGSSLMODE"], "require");
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn an_edited_key_comes_back() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let keys =
        json!([{"name": "DATABASE_URL", "value": "DatabaseURI"}, {"name": "url", "value": "URL"}]);
    let first = written(&stage, json!([{"name": "shop-app", "keys": keys}]), "shop-app").await;
    let edited = json!({"data": {"DATABASE_URL": "eA==", "added": "eA==", "url": null}});
    stage.cluster.merge(SECRET, "shop-app", edited).await;
    crate::support::eventually::eventually("the edit undone", SOON, async || {
        match stage.cluster.data(SECRET, "shop-app").await {
            Some(data) if json!(data) == first => Ok(()),
            Some(data) => Err(format!("keys {:?}", data.keys().collect::<Vec<_>>())),
            None => Err("it is not there".to_owned()),
        }
    })
    .await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn without_authorities_an_output_is_left_as_it_is_and_others_are_written() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let outputs = json!([
        {"name": "shop-binding", "preset": "ServiceBinding", "tls": {"mode": "VerifyFull"}},
        {"name": "shop-app", "include": ["DatabaseURI"], "tls": {"mode": "VerifyFull"}},
    ]);
    stage.cluster.apply(project("shop").with("outputs", outputs)).await;
    let told =
        stage.cluster.wait_condition(PROJECT, "shop", "OutputsWritten", "False/MissingInput").await;
    let told = conditions_of(&told);
    assert!(told.contains("shop-binding") && told.contains("databaseCA"), "{told}");
    let app = stage.cluster.data(SECRET, "shop-app").await.unwrap();
    assert!(app["SUPABASE_DB_URL"].ends_with("?sslmode=verify-full"));
    assert!(stage.cluster.get(SECRET, "shop-binding").await.is_none());
    drop(operator);

    // Given later, and then others: each reaches the output.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    let mut before = String::new();
    for identity in ["operator-1", "operator-2"] {
        let operator = trusting(&mut stage, identity, &file).await;
        let nudge = json!({"metadata": {"annotations": {"supabase-operator.dev/reconcile-requested-at": identity}}});
        stage.cluster.merge(PROJECT, "shop", nudge).await;
        let data = crate::support::eventually::eventually("the authorities", SOON, async || {
            let data = stage.cluster.data(SECRET, "shop-binding").await;
            data.filter(|data| data["ca.crt"] != before).ok_or("they are not there")
        });
        let data = data.await;
        assert_eq!(data["sslrootcert"], "ca.crt");
        before.clone_from(&data["ca.crt"]);
        stage.cluster.wait_condition(PROJECT, "shop", "OutputsWritten", "True").await;
        drop(operator);
    }
    // Taken away again: what is there stays.
    let operator = stage.operator().await;
    let nudge = json!({"metadata": {"annotations": {"supabase-operator.dev/reconcile-requested-at": "last"}}});
    stage.cluster.merge(PROJECT, "shop", nudge).await;
    stage
        .cluster
        .wait_for(PROJECT, "shop", "the request handled", SOON, |object| {
            (object["status"]["lastHandledReconcileAt"] == "last").then_some(())
        })
        .await;
    let kept = stage.cluster.data(SECRET, "shop-binding").await.unwrap();
    assert_eq!(kept["ca.crt"], before);
    stage.finish(vec![operator]).await;
}
