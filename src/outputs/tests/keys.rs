//! Keys that are named one by one, other presets, TLS: what clients find.

use serde_json::{Value, json};

use super::authorities::certificate;
use crate::api::{Endpoint, Output, OutputValue};
use crate::outputs::{Authorities, Database, Facts, digest, password_in, render};
use crate::rules::digest::DigestKey;

const PASSWORD: &str = "p@ss:w/ö rd%41#?&=\\'\"+";
const ENCODED: &str = "p%40ss%3Aw%2F%C3%B6%20rd%2541%23%3F%26%3D%5C%27%22%2B";

fn output(declared: Value) -> Output {
    let mut declared = declared;
    declared["name"] = json!("app");
    serde_json::from_value(declared).unwrap()
}

fn facts() -> Facts {
    let database = |endpoint, host: &str, port, user: &str| Database {
        endpoint,
        host: host.to_owned(),
        port,
        user: user.to_owned(),
        name: "postgres".to_owned(),
    };
    Facts {
        reference: "abcdefghijklmnopqrst".to_owned(),
        databases: vec![
            database(Endpoint::Direct, "2001:db8::1", 5432, "postgres"),
            database(Endpoint::SessionPooler, "pool.example", 5432, "postgres.abc"),
            database(Endpoint::TransactionPooler, "pool.example", 6543, "postgres.abc"),
        ],
        password: Some(PASSWORD.into()),
        authorities: Some(Authorities::read(certificate().as_bytes()).unwrap()),
        ..Facts::default()
    }
}

/// The value of the only key.
fn value_of(key: Value) -> String {
    let mut key = key;
    key["name"] = json!("key");
    let rendered = render(&output(json!({"keys": [key]})), &facts());
    assert_eq!(rendered.data.entries().len(), 1);
    rendered.data.entries()["key"].clone()
}

#[test]
fn an_address_says_what_its_key_says() {
    let session = format!("://postgres.abc:{ENCODED}@pool.example:5432/postgres");
    for (key, expected) in [
        (json!({"value": "DatabaseURI"}), format!("postgresql{session}?sslmode=require")),
        (
            json!({"value": "DatabaseURI", "tls": {"mode": "VerifyFull"}}),
            format!("postgresql{session}?sslmode=verify-full"),
        ),
        (
            json!({"value": "DatabaseURI", "tls": {"mode": "VerifyFull", "caFile": "/etc/a&b/ca.crt"}}),
            format!("postgresql{session}?sslmode=verify-full&sslrootcert=%2Fetc%2Fa%26b%2Fca.crt"),
        ),
        (json!({"value": "DatabaseURI", "tls": {"mode": "Omit"}}), format!("postgresql{session}")),
        (
            json!({"value": "DatabaseURI", "scheme": "postgresql+asyncpg", "tls": {"mode": "Omit"},
                "parameters": {"ssl": "require"}}),
            format!("postgresql+asyncpg{session}?ssl=require"),
        ),
        (
            json!({"value": "DatabaseURI", "endpoint": "TransactionPooler",
                "parameters": {"pgbouncer": "true", "connection_limit": "1", "options": "-c a=b c&d+e"}}),
            format!(
                "postgresql://postgres.abc:{ENCODED}@pool.example:6543/postgres?sslmode=require&connection_limit=1\
                 &options=-c%20a%3Db%20c%26d%2Be&pgbouncer=true"
            ),
        ),
        (
            json!({"value": "DatabaseURI", "endpoint": "Direct"}),
            format!("postgresql://postgres:{ENCODED}@[2001:db8::1]:5432/postgres?sslmode=require"),
        ),
        (
            json!({"value": "DatabaseJDBCURL"}),
            format!(
                "jdbc:postgresql://pool.example:5432/postgres?user=postgres.abc&password={ENCODED}&sslmode=require"
            ),
        ),
        (
            json!({"value": "DatabaseJDBCURL", "endpoint": "Direct", "parameters": {"ApplicationName": "a b"},
                "tls": {"mode": "VerifyFull", "caFile": "/ca.crt"}}),
            format!(
                "jdbc:postgresql://[2001:db8::1]:5432/postgres?user=postgres&password={ENCODED}&sslmode=verify-full\
                 &sslrootcert=%2Fca.crt&ApplicationName=a%20b"
            ),
        ),
        (
            json!({"value": "DatabasePassfile", "endpoint": "Direct"}),
            format!(
                "2001\\:db8\\:\\:1:5432:postgres:postgres:{}\n",
                "p@ss\\:w/ö rd%41#?&=\\\\'\"+"
            ),
        ),
        (
            json!({"value": "JWKSURL"}),
            "https://abcdefghijklmnopqrst.supabase.co/auth/v1/.well-known/jwks.json".to_owned(),
        ),
        (json!({"value": "DatabasePort", "endpoint": "TransactionPooler"}), "6543".to_owned()),
    ] {
        assert_eq!(value_of(key.clone()), expected, "{key}");
    }
    let ca = value_of(json!({"value": "DatabaseCA"}));
    assert!(ca.starts_with("-----BEGIN CERTIFICATE-----\n"), "{ca}");
}

#[test]
fn one_output_leads_several_ways_and_a_key_wins_over_its_output() {
    let declared = json!({"endpoint": "TransactionPooler", "tls": {"mode": "Omit"}, "keys": [
        {"name": "A", "value": "DatabaseURI"},
        {"name": "b.port", "value": "DatabasePort", "endpoint": "Direct"},
        {"name": "C", "value": "DatabaseURI", "endpoint": "SessionPooler", "tls": {}},
    ]});
    let output = output(declared);
    let rendered = render(&output, &facts());
    assert_eq!(rendered.kind, "Opaque");
    let data = rendered.data.entries();
    assert!(data["A"].ends_with(":6543/postgres"), "{}", data["A"]);
    assert_eq!(data["b.port"], "5432");
    assert!(data["C"].ends_with(":5432/postgres?sslmode=require"));
    for endpoint in [Endpoint::Direct, Endpoint::SessionPooler, Endpoint::TransactionPooler] {
        assert!(output.leads(endpoint));
    }
    // What is missing is missing on the way that its key names.
    let mut without = facts();
    without.databases.retain(|way| way.endpoint != Endpoint::Direct);
    let missing = render(&output, &without).missing;
    let missing: Vec<_> = missing.iter().map(|one| (one.key.as_str(), one.endpoint)).collect();
    assert_eq!(missing, [("b.port", Endpoint::Direct)]);
}

fn keys_of(declared: Value) -> Vec<String> {
    let rendered = render(&output(declared), &facts());
    rendered.data.entries().keys().cloned().collect()
}

#[test]
fn presets_follow_what_is_said_about_tls() {
    let libpq = ["PGDATABASE", "PGHOST", "PGPASSWORD", "PGPORT", "PGUSER"];
    let with = |more: &[&str]| {
        let mut keys: Vec<_> = libpq.iter().chain(more).map(ToString::to_string).collect();
        keys.sort();
        keys
    };
    let verify = json!({"mode": "VerifyFull"});
    let file = json!({"mode": "VerifyFull", "caFile": "/ca.crt"});
    let omit = json!({"mode": "Omit"});
    assert_eq!(keys_of(json!({"preset": "Libpq"})), with(&["PGSSLMODE"]));
    assert_eq!(keys_of(json!({"preset": "Libpq", "tls": omit})), with(&[]));
    let verified = json!({"preset": "Libpq", "tls": file});
    assert_eq!(keys_of(verified.clone()), with(&["PGSSLMODE", "PGSSLROOTCERT"]));
    let rendered = render(&output(verified), &facts());
    let data = rendered.data.entries();
    assert_eq!(
        (data["PGSSLMODE"].as_str(), data["PGSSLROOTCERT"].as_str()),
        ("verify-full", "/ca.crt")
    );
    assert_eq!(data["PGPASSWORD"], PASSWORD);

    let binding = |tls: &Value| {
        let rendered = render(&output(json!({"preset": "ServiceBinding", "tls": tls})), &facts());
        rendered.data.entries().clone()
    };
    let bound = binding(&verify);
    assert_eq!(
        (bound["sslmode"].as_str(), bound["sslrootcert"].as_str()),
        ("verify-full", "ca.crt")
    );
    assert!(bound["ca.crt"].contains("BEGIN CERTIFICATE"));
    assert!(bound["uri"].ends_with("?sslmode=verify-full"));
    let bound = binding(&omit);
    assert!(!bound.contains_key("sslmode") && !bound.contains_key("ca.crt"));

    let all = keys_of(json!({"prefix": "X_", "tls": verify}));
    assert!(all.contains(&"X_SUPABASE_DB_CA".to_owned()), "{all:?}");
    // What is chosen is all that there is.
    assert_eq!(keys_of(json!({"include": ["DatabaseURI"], "tls": verify})), ["SUPABASE_DB_URL"]);
    let chosen =
        json!({"include": ["DatabaseJDBCURL", "DatabasePassfile", "DatabaseCA", "JWKSURL"]});
    let variables =
        ["SUPABASE_DB_CA", "SUPABASE_DB_JDBC_URL", "SUPABASE_DB_PASSFILE", "SUPABASE_JWKS_URL"];
    assert_eq!(keys_of(chosen), variables);
}

#[test]
fn a_lost_password_is_found_in_every_value_that_holds_it() {
    for value in ["DatabaseURI", "DatabaseJDBCURL", "DatabasePassfile", "DatabasePassword"] {
        let output = output(json!({"keys": [{"name": "key", "value": value, "endpoint": "Direct"},
            {"name": "host", "value": "DatabaseHost"}]}));
        assert!(output.needs_password());
        let rendered = render(&output, &facts());
        let held = rendered.data.entries().iter();
        let held = held.map(|(key, text)| (key.clone(), text.clone().into_bytes())).collect();
        assert_eq!(password_in(&output, &held), [PASSWORD], "{value}");
    }
    let other = output(json!({"keys": [{"name": "ca.crt", "value": "DatabaseCA"}]}));
    assert!(!other.needs_password() && other.needs_authorities());
}

#[test]
fn a_config_map_holds_no_secret_under_any_name() {
    let values = [
        "SecretKey",
        "ServiceRoleKey",
        "DatabaseURI",
        "DatabaseJDBCURL",
        "DatabasePassfile",
        "DatabasePassword",
    ];
    for value in values {
        let output =
            output(json!({"kind": "ConfigMap", "keys": [{"name": "key", "value": value}]}));
        let rendered = render(&output, &facts());
        assert!(rendered.data.entries().is_empty(), "{value}");
    }
}

/// Whatever is declared otherwise makes another digest, so that what was written under the old declaration is written anew.
#[test]
fn every_field_of_a_declaration_counts_for_its_digest() {
    let key = DigestKey::from_bytes(&[7; 32]).unwrap();
    let one = |more: Value| {
        let mut entry = json!({"name": "A", "value": "DatabaseURI"});
        for (name, value) in more.as_object().unwrap() {
            entry[name] = value.clone();
        }
        json!({"keys": [entry]})
    };
    let declarations = [
        json!({}),
        json!({"tls": {"mode": "VerifyFull"}}),
        json!({"tls": {"mode": "VerifyFull", "caFile": "/a"}}),
        json!({"preset": "Libpq"}),
        one(json!({})),
        one(json!({"name": "B"})),
        one(json!({"value": "DatabaseJDBCURL"})),
        one(json!({"endpoint": "Direct"})),
        one(json!({"tls": {}})),
        one(json!({"scheme": "postgres"})),
        one(json!({"parameters": {"a": "b"}})),
        one(json!({"parameters": {"a": "c"}})),
    ];
    let digests: std::collections::BTreeSet<_> = declarations
        .iter()
        .map(|declared| {
            let output = output(declared.clone());
            digest(&key, "a/b", &output, None, Some("Opaque"), std::iter::empty())
        })
        .collect();
    assert_eq!(digests.len(), declarations.len());
}

#[test]
fn other_authorities_make_an_output_stale_and_none_do_not() {
    let output = output(json!({"keys": [{"name": "ca.crt", "value": "DatabaseCA"}]}));
    let facts = facts();
    let rendered = render(&output, &facts);
    let held = rendered.data.entries().iter();
    let held = held.map(|(key, text)| (key.clone(), text.clone().into_bytes())).collect();
    let current =
        |authorities| crate::outputs::authorities_are_current(&output, &held, authorities);
    assert!(current(facts.authorities.as_ref()) && current(None));
    let other = Authorities::read(certificate().as_bytes()).unwrap();
    assert!(!current(Some(&other)));
    let missing = render(&output, &Facts { authorities: None, ..facts }).missing;
    assert_eq!(missing[0].value, OutputValue::DatabaseCA);
}
