//! What outputs hold, and what they do without what is not known.

use crate::api::{Endpoint, Output, OutputKind, OutputValue, Preset};
use crate::outputs::{Database, Facts, Keys, Rendered, password_in, render};

fn facts() -> Facts {
    let database = |endpoint, port, user: &str| Database {
        endpoint,
        host: "aws-0-eu-central-1.pooler.supabase.com".into(),
        port,
        user: user.into(),
        name: "postgres".into(),
    };
    Facts {
        reference: "abcdefghijklmnopqrst".into(),
        keys: Keys {
            publishable: Some("sb_publishable_p".into()),
            secret: Some("sb_secret_s".into()),
            anon: Some("anon-jwt".into()),
            service_role: None,
        },
        databases: vec![
            database(Endpoint::SessionPooler, 5432, "postgres.abcdefghijklmnopqrst"),
            database(Endpoint::TransactionPooler, 6543, "postgres.abcdefghijklmnopqrst"),
        ],
        password: Some("p@ss/wörd".into()),
        ..Facts::default()
    }
}

fn entries(rendered: &Rendered) -> Vec<(&str, &str)> {
    rendered.data.entries().iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn misses(rendered: &Rendered, value: OutputValue) -> bool {
    rendered.missing.iter().any(|missing| missing.value == value)
}

#[test]
fn what_was_written_stays_where_it_is_not_known_any_more() {
    let output = Output::named("out");
    let written = render(&output, &facts()).data.entries().clone();
    let bytes = written.clone().into_iter().map(|(key, value)| (key, value.into_bytes())).collect();
    let mut rendered = render(&output, &Facts { password: None, ..facts() });
    rendered.keep(&bytes);
    assert_eq!(*rendered.data.entries(), written);
    assert!(misses(&rendered, OutputValue::DatabaseURI));
}

#[test]
fn the_default_holds_everything_but_the_legacy_keys() {
    let rendered = render(&Output::named("out"), &facts());
    assert_eq!(rendered.kind, "Opaque");
    assert!(rendered.missing.is_empty());
    assert_eq!(
        entries(&rendered),
        [
            ("SUPABASE_DB_HOST", "aws-0-eu-central-1.pooler.supabase.com"),
            ("SUPABASE_DB_NAME", "postgres"),
            ("SUPABASE_DB_PASSWORD", "p@ss/wörd"),
            ("SUPABASE_DB_PORT", "5432"),
            (
                "SUPABASE_DB_URL",
                "postgresql://postgres.abcdefghijklmnopqrst:p%40ss%2Fw%C3%B6rd@aws-0-eu-central-1.pooler.supabase.com:5432/postgres?sslmode=require"
            ),
            ("SUPABASE_DB_USER", "postgres.abcdefghijklmnopqrst"),
            ("SUPABASE_PROJECT_REF", "abcdefghijklmnopqrst"),
            ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_p"),
            ("SUPABASE_SECRET_KEY", "sb_secret_s"),
            ("SUPABASE_URL", "https://abcdefghijklmnopqrst.supabase.co"),
        ]
    );
}

#[test]
fn a_prefix_and_a_choice_of_values_are_kept_to() {
    let output = Output {
        prefix: Some("NEXT_PUBLIC_".into()),
        include: Some(vec![OutputValue::URL, OutputValue::PublishableKey]),
        kind: OutputKind::ConfigMap,
        ..Output::named("web")
    };
    assert_eq!(
        entries(&render(&output, &facts())),
        [
            ("NEXT_PUBLIC_SUPABASE_PUBLISHABLE_KEY", "sb_publishable_p"),
            ("NEXT_PUBLIC_SUPABASE_URL", "https://abcdefghijklmnopqrst.supabase.co"),
        ]
    );
}

#[test]
fn a_config_map_never_holds_a_secret() {
    let output = Output { kind: OutputKind::ConfigMap, ..Output::named("web") };
    let rendered = render(&output, &facts());
    assert!(
        rendered.data.entries().keys().all(|key| !key.contains("SECRET") && !key.contains("DB_"))
    );
    assert!(misses(&rendered, OutputValue::DatabaseURI));
}

#[test]
fn a_binding_has_the_keys_of_the_specification() {
    let output = Output {
        preset: Preset::ServiceBinding,
        endpoint: Endpoint::TransactionPooler,
        ..Output::named("db")
    };
    let rendered = render(&output, &facts());
    assert_eq!(rendered.kind, "servicebinding.io/postgresql");
    let keys: Vec<_> = rendered.data.entries().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["database", "host", "password", "port", "provider", "sslmode", "type", "uri", "username"]
    );
    assert_eq!(rendered.data.entries()["port"], "6543");
}

#[test]
fn what_is_not_known_is_missing_not_empty() {
    let rendered = render(
        &Output { endpoint: Endpoint::Direct, ..Output::named("out") },
        &Facts { password: None, ..facts() },
    );
    assert!(misses(&rendered, OutputValue::DatabaseURI));
    assert!(misses(&rendered, OutputValue::DatabaseHost));
    assert!(misses(&rendered, OutputValue::DatabasePassword));
    assert!(!rendered.data.entries().contains_key("SUPABASE_DB_URL"));
}

#[test]
fn a_password_is_found_again_in_what_was_written() {
    for output in [
        Output { prefix: Some("X_".into()), ..Output::named("a") },
        Output { preset: Preset::ServiceBinding, ..Output::named("b") },
    ] {
        let written = render(&output, &facts()).data.entries().clone();
        let bytes = written.into_iter().map(|(key, value)| (key, value.into_bytes())).collect();
        assert_eq!(password_in(&output, &bytes), ["p@ss/wörd", "p@ss/wörd"]);
    }
}

#[test]
fn debug_output_shows_no_value() {
    let shown = format!("{:?} {:?}", facts(), render(&Output::named("out"), &facts()));
    assert!(!shown.contains("sb_secret_s") && !shown.contains("p@ss"), "{shown}");
}
