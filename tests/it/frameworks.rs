//! The examples of frameworks: each reads keys that its own project writes, and no value that a build would fix.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use supabase_operator::api::{Endpoint, SupabaseProject};
use supabase_operator::outputs::{Authorities, Database, Facts, Keys, render};

use crate::support::programs::repository;

/// Each has an example.
const FRAMEWORKS: [&str; 9] =
    ["nextjs", "nuxt", "sveltekit", "django", "rails", "spring-boot", "prisma", "go", "rust"];

fn facts() -> Facts {
    let database = |endpoint| Database {
        endpoint,
        host: "db.example".to_owned(),
        port: 5432,
        user: "postgres".to_owned(),
        name: "postgres".to_owned(),
    };
    let authority = rcgen::generate_simple_self_signed(vec!["db.example".to_owned()]).unwrap();
    let ways = [Endpoint::Direct, Endpoint::SessionPooler, Endpoint::TransactionPooler];
    Facts {
        reference: "abcdefghijklmnopqrst".to_owned(),
        keys: Keys {
            publishable: Some("sb_publishable_p".into()),
            secret: Some("sb_secret_s".into()),
            ..Keys::default()
        },
        databases: ways.map(database).into(),
        password: Some("password".into()),
        authorities: Some(Authorities::read(authority.cert.pem().as_bytes()).unwrap()),
    }
}

/// Every reference to a key, or to all keys, of a Secret or `ConfigMap` below a value.
fn references(value: &Value, found: &mut Vec<(String, Option<String>)>) {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    for item in value.as_array().into_iter().flatten() {
        references(item, found);
    }
    for (field, value) in value.as_object().into_iter().flatten() {
        match field.as_str() {
            "secretKeyRef" => found.push((text(&value["name"]).unwrap(), text(&value["key"]))),
            "secretRef" | "configMapRef" => found.push((text(&value["name"]).unwrap(), None)),
            "secret" => {
                let name = text(&value["secretName"]).unwrap();
                found.push((name.clone(), None));
                for item in value["items"].as_array().into_iter().flatten() {
                    found.push((name.clone(), text(&item["key"])));
                }
            }
            _ => references(value, found),
        }
    }
}

#[test]
fn every_framework_reads_what_its_project_writes() {
    let folder = repository().join("examples/frameworks");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), FRAMEWORKS.len());
    for framework in FRAMEWORKS {
        let file = folder.join(format!("{framework}.yaml"));
        let text = std::fs::read_to_string(file).unwrap();
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let (projects, workloads): (Vec<_>, Vec<_>) =
            objects.into_iter().partition(|object| object["kind"] == "SupabaseProject");
        let mut written: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for project in projects {
            let project: SupabaseProject = serde_json::from_value(project).unwrap();
            for output in project.wanted_outputs() {
                let rendered = render(&output, &facts());
                assert!(rendered.missing.is_empty(), "{framework}: {:?}", rendered.missing);
                let keys = rendered.data.entries().keys().cloned().collect();
                written.insert(output.name, keys);
            }
        }
        let mut read = Vec::new();
        for workload in &workloads {
            references(workload, &mut read);
        }
        assert!(!read.is_empty(), "{framework} reads nothing");
        for (name, key) in &read {
            let keys = written.get(name);
            let keys = keys.unwrap_or_else(|| panic!("{framework}: nobody writes {name}"));
            assert!(key.iter().all(|key| keys.contains(key)), "{framework}: {name} has no {key:?}");
        }
        for (name, keys) in &written {
            assert!(read.iter().any(|(read, _)| read == name), "{framework}: nobody reads {name}");
            let fixed =
                keys.iter().find(|key| key.starts_with("NEXT_PUBLIC_") || key.starts_with("VITE_"));
            assert!(fixed.is_none(), "{framework}: a build fixes {fixed:?}");
        }
    }
}
