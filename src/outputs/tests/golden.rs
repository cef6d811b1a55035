//! Every byte of the outputs of the first release, as it wrote them: nobody's application may see another URI after an upgrade.
//!
//! Declarations are part of it, as they go into digests: another text would write every output again.

use std::fmt::Write as _;
use std::path::Path;

use crate::api::{Endpoint, Output, OutputKind, OutputValue, Preset};
use crate::outputs::{Database, Facts, Keys, render};

const VALUES: [OutputValue; 12] = [
    OutputValue::URL,
    OutputValue::ProjectRef,
    OutputValue::PublishableKey,
    OutputValue::SecretKey,
    OutputValue::AnonKey,
    OutputValue::ServiceRoleKey,
    OutputValue::DatabaseURI,
    OutputValue::DatabaseHost,
    OutputValue::DatabasePort,
    OutputValue::DatabaseName,
    OutputValue::DatabaseUser,
    OutputValue::DatabasePassword,
];
const ENDPOINTS: [Endpoint; 3] =
    [Endpoint::Direct, Endpoint::SessionPooler, Endpoint::TransactionPooler];

fn database(endpoint: Endpoint, host: &str, port: u16, user: &str) -> Database {
    Database {
        endpoint,
        host: host.to_owned(),
        port,
        user: user.to_owned(),
        name: "postgres".to_owned(),
    }
}

fn facts() -> Facts {
    let pooler = "aws-0-eu-central-1.pooler.supabase.com";
    let user = "postgres.abcdefghijklmnopqrst";
    Facts {
        reference: "abcdefghijklmnopqrst".into(),
        keys: Keys {
            publishable: Some("sb_publishable_p".into()),
            secret: Some("sb_secret_s".into()),
            anon: Some("anon.jwt".into()),
            service_role: Some("service.jwt".into()),
        },
        databases: vec![
            database(Endpoint::Direct, "2001:db8::1", 5432, "postgres"),
            database(Endpoint::SessionPooler, pooler, 5432, user),
            database(Endpoint::TransactionPooler, pooler, 6543, user),
        ],
        password: Some("p@ss:w/ö rd%41#?&=\\'\"+".into()),
        ..Facts::default()
    }
}

/// All that the first release knew: presets, values, endpoints, kinds.
fn outputs() -> Vec<Output> {
    let mut outputs = Vec::new();
    for endpoint in ENDPOINTS {
        outputs.push(Output {
            preset: Preset::ServiceBinding,
            endpoint,
            ..Output::named("binding")
        });
        for kind in [OutputKind::Secret, OutputKind::ConfigMap] {
            let each = VALUES.iter().map(|value| Some(vec![*value]));
            for include in each.chain([None, Some(VALUES.to_vec())]) {
                outputs.push(Output { kind, endpoint, include, ..Output::named("env") });
            }
            outputs.push(Output {
                kind,
                endpoint,
                prefix: Some("NEXT_PUBLIC_".to_owned()),
                ..Output::named("prefixed")
            });
        }
    }
    outputs
}

fn written() -> String {
    let (facts, mut text) = (facts(), String::new());
    for output in outputs() {
        let rendered = render(&output, &facts);
        let declared = serde_json::to_string(&output).unwrap();
        writeln!(text, "{declared} {}", rendered.kind).unwrap();
        for (key, value) in rendered.data.entries() {
            writeln!(text, "  {key}={value}").unwrap();
        }
        for missing in &rendered.missing {
            writeln!(text, "  {} is missing: {:?}", missing.key, missing.value).unwrap();
        }
    }
    text
}

#[test]
fn outputs_of_the_first_release_stay_as_they_are() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/outputs/tests/golden.txt");
    let known = std::fs::read_to_string(file).unwrap();
    for (now, then) in written().lines().zip(known.lines()) {
        assert_eq!(now, then);
    }
    assert_eq!(written().len(), known.len());
}
