//! The pooler's address and the database password.

use std::time::Duration;

use serde_json::json;
use simulated_platform::{Config, DatabaseName, PoolerAddress, Refusal};

use crate::stage::{PASSWORD, Stage, calm, slow};

#[test]
fn the_pooler_knows_a_project_a_while_after_it_is_active() {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    let path = format!("/v1/projects/{reference}/config/database/pooler");
    stage.pass_seconds(99);
    assert_eq!(stage.get(&path).status, 404);
    stage.world.config_mut().pooler_not_ready = Refusal::Empty;
    assert_eq!(stage.get(&path).body, json!([]));
    stage.pass_seconds(1);
    let body = stage.get(&path).body;
    assert_eq!(body.as_array().unwrap().len(), 1);
    let entry = &body[0];
    assert_eq!(entry["pool_mode"], "transaction");
    assert_eq!(entry["db_port"], 6543);
    assert_eq!(entry["db_user"], format!("postgres.{reference}"));
    assert_eq!(entry["db_name"], "postgres");
    let host = entry["db_host"].as_str().unwrap();
    assert!(host.starts_with("aws-") && host.ends_with("-eu-central-1.pooler.supabase.com"));
    let uri = format!("postgresql://postgres.{reference}:[YOUR-PASSWORD]@{host}:6543/postgres");
    assert_eq!(entry["connection_string"], uri);
    assert_eq!(entry["connectionString"], uri);
    assert_eq!(entry["default_pool_size"], json!(null));
}

#[test]
fn the_number_in_the_poolers_host_differs_by_project() {
    let mut stage = Stage::new(calm());
    let hosts: std::collections::BTreeSet<String> = (0..8)
        .map(|number| {
            let reference = stage.create(&format!("p{number}"));
            let body = stage.get(&format!("/v1/projects/{reference}/config/database/pooler")).body;
            body[0]["db_host"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(hosts.len() > 1, "{hosts:?}");
}

#[test]
fn a_session_entry_an_address_and_the_databases_name_can_be_configured() {
    let pooler =
        PoolerAddress { host: "127.0.0.1".to_owned(), session_port: 7001, transaction_port: 7002 };
    let config = Config {
        pooler: Some(pooler),
        pooler_session_entry: true,
        database_name: DatabaseName::Ref,
        ..calm()
    };
    let mut stage = Stage::new(config);
    let reference = stage.create("orders");
    let body = stage.get(&format!("/v1/projects/{reference}/config/database/pooler")).body;
    let seen: Vec<_> = body
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["pool_mode"].as_str().unwrap(), entry["db_port"].as_u64().unwrap()))
        .collect();
    assert_eq!(seen, [("transaction", 7002), ("session", 7001)]);
    assert_eq!(body[0]["db_name"], reference.as_str());
}

#[test]
fn pool_settings_can_be_changed_and_reset() {
    let mut stage = Stage::new(calm());
    let reference = stage.create("orders");
    let path = format!("/v1/projects/{reference}/config/database/pooler");
    assert_eq!(
        stage.patch(&path, json!({ "default_pool_size": 25 })).body["default_pool_size"],
        25
    );
    assert_eq!(stage.get(&path).body[0]["default_pool_size"], 25);
    stage.patch(&path, json!({ "default_pool_size": null }));
    assert_eq!(stage.get(&path).body[0]["default_pool_size"], json!(null));
    for bad in [json!({ "default_pool_size": 3001 }), json!({ "pool_mode": "statement" })] {
        assert_eq!(stage.patch(&path, bad).status, 400);
    }
}

#[test]
fn a_new_password_reaches_the_database_after_a_lag() {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    let path = format!("/v1/projects/{reference}/database/password");
    let new = json!({ "password": "another-password" });
    let refused = stage.patch(&path, new.clone());
    assert_eq!((refused.status, refused.message()), (400, "Project must be active and healthy."));
    stage.pass_seconds(90);
    assert_eq!(stage.patch(&path, new).status, 200);
    assert_eq!(stage.world.accepted_password(&reference), Some(PASSWORD));
    stage.pass(Duration::from_millis(4_999));
    assert_eq!(stage.world.accepted_password(&reference), Some(PASSWORD));
    stage.pass(Duration::from_millis(1));
    assert_eq!(stage.world.accepted_password(&reference), Some("another-password"));
    stage.world.change_password_by_hand(&reference, "by-hand-password", stage.now);
    stage.pass_seconds(5);
    assert_eq!(stage.world.accepted_password(&reference), Some("by-hand-password"));
}

#[test]
fn the_last_of_two_quick_changes_wins() {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    stage.pass_seconds(90);
    let path = format!("/v1/projects/{reference}/database/password");
    stage.patch(&path, json!({ "password": "first-change" }));
    stage.pass_seconds(2);
    stage.patch(&path, json!({ "password": "second-change" }));
    stage.pass_seconds(3);
    assert_eq!(stage.world.accepted_password(&reference), Some("first-change"));
    stage.pass_seconds(2);
    assert_eq!(stage.world.accepted_password(&reference), Some("second-change"));
}

#[test]
fn weak_passwords_are_refused_and_remembered_all_the_same() {
    let mut stage = Stage::new(calm());
    let reference = stage.create("orders");
    let path = format!("/v1/projects/{reference}/database/password");
    for bad in [json!({ "password": "abc" }), json!({ "password": "postgres" }), json!({})] {
        assert_eq!(stage.patch(&path, bad).status, 400);
    }
    assert_eq!(stage.world.accepted_password(&reference), Some(PASSWORD));
    assert!(stage.world.canaries().contains(&"abc".to_owned()));
}
