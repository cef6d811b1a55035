//! SSL enforcement, network restrictions, Postgres parameters, the Data API, add-ons and storage.

use serde_json::{Value, json};
use simulated_platform::{Config, Limiter};

use crate::stage::{Stage, calm, slow};

/// An active project whose pooler is known, and the start of its paths.
fn active() -> (Stage, String) {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    stage.pass_seconds(200);
    (stage, format!("/v1/projects/{reference}"))
}

#[test]
fn settings_need_a_project_that_is_up() {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    for path in [
        "ssl-enforcement",
        "network-restrictions",
        "config/database/postgres",
        "postgrest",
        "config/storage",
    ] {
        let refused = stage.get(&format!("/v1/projects/{reference}/{path}"));
        assert_eq!(refused.message(), "Project must be active and healthy.", "{path}");
    }
}

#[test]
fn ssl_enforcement_is_off_and_applies_later() {
    let (mut stage, project) = active();
    let path = format!("{project}/ssl-enforcement");
    let shown = |enforced: bool, applied: bool| json!({ "currentConfig": { "database": enforced }, "appliedSuccessfully": applied });
    let request = |enforced: bool| json!({ "requestedConfig": { "database": enforced } });
    assert_eq!(stage.get(&path).body, shown(false, true));
    assert_eq!(stage.put(&path, request(true)).body, shown(false, false));
    stage.pass_seconds(5);
    assert_eq!(stage.get(&path).body, shown(true, true));
    // The same again is no change.
    assert_eq!(stage.put(&path, request(true)).body, shown(true, true));
    assert_eq!(stage.put(&path, request(false)).body, shown(true, false));
    stage.pass_seconds(5);
    assert_eq!(stage.get(&path).body, shown(false, true));
    assert_eq!(stage.put(&path, json!({ "database": true })).status, 400);
}

#[test]
fn network_restrictions_are_stored_then_applied() {
    let (mut stage, project) = active();
    let path = format!("{project}/network-restrictions");
    let open = json!({ "dbAllowedCidrs": ["0.0.0.0/0"], "dbAllowedCidrsV6": ["::/0"] });
    let fresh = stage.get(&path);
    assert_eq!((&fresh.body["config"], &fresh.body["status"]), (&open, &json!("applied")));
    let closed =
        json!({ "dbAllowedCidrs": ["203.0.113.0/24"], "dbAllowedCidrsV6": ["2001:db8::/32"] });
    let set = stage.post(&format!("{path}/apply"), closed.clone());
    assert_eq!((set.status, &set.body["status"]), (201, &json!("stored")));
    assert!(set.body.get("applied_at").is_none());
    assert_eq!(set.body["old_config"], open);
    stage.pass_seconds(5);
    let shown = stage.get(&path);
    assert_eq!((&shown.body["config"], &shown.body["status"]), (&closed, &json!("applied")));
    let patched = stage.patch(
        &path,
        json!({ "add": { "dbAllowedCidrs": ["198.51.100.0/24"] },
            "remove": { "dbAllowedCidrs": ["203.0.113.0/24"] } }),
    );
    assert_eq!(
        patched.body["config"]["dbAllowedCidrs"],
        json!([{ "address": "198.51.100.0/24", "type": "v4" }, { "address": "2001:db8::/32", "type": "v6" }])
    );
    assert_eq!(
        patched.body["old_config"]["dbAllowedCidrs"],
        json!([{ "address": "203.0.113.0/24", "type": "v4" }, { "address": "2001:db8::/32", "type": "v6" }])
    );
    assert_eq!(stage.get(&path).body["config"]["dbAllowedCidrs"], json!(["198.51.100.0/24"]));
}

#[test]
fn bad_cidrs_are_refused() {
    let (mut stage, project) = active();
    let path = format!("{project}/network-restrictions/apply");
    for bad in [
        json!({ "dbAllowedCidrs": ["203.0.113.0"] }),
        json!({ "dbAllowedCidrs": ["203.0.113.0/33"] }),
        json!({ "dbAllowedCidrs": ["2001:db8::/32"] }),
        json!({ "dbAllowedCidrsV6": ["203.0.113.0/24"] }),
        json!({ "dbAllowedCidrs": "203.0.113.0/24" }),
        json!({ "dbAllowedCidrs": [7] }),
        json!({}),
        json!({ "allowed": [] }),
    ] {
        assert_eq!(stage.post(&path, bad.clone()).status, 400, "{bad}");
    }
    // No body at all.
    assert_eq!(stage.poke(&path).status, 400);
    let shown = stage.get(&format!("{project}/network-restrictions"));
    assert_eq!(shown.body["config"]["dbAllowedCidrs"], json!(["0.0.0.0/0"]));
}

#[test]
fn restrictions_right_after_the_creation_meet_a_missing_pooler() {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    stage.pass_seconds(90);
    let path = format!("/v1/projects/{reference}/network-restrictions/apply");
    let body = json!({ "dbAllowedCidrs": ["203.0.113.0/24"] });
    let failed = stage.post(&path, body.clone());
    assert_eq!(failed.status, 500);
    assert!(failed.message().contains("pooler tenant"));
    stage.pass_seconds(10);
    assert_eq!(stage.post(&path, body).status, 201);
}

#[test]
fn postgres_parameters_are_overrides_replaced_by_put_and_merged_by_patch() {
    let (mut stage, project) = active();
    let path = format!("{project}/config/database/postgres");
    assert_eq!(stage.get(&path).body, json!({}));
    stage.put(&path, json!({ "max_connections": 90, "statement_timeout": "60s" }));
    let merged = stage.patch(&path, json!({ "work_mem": "8MB" }));
    let all = json!({ "max_connections": 90, "statement_timeout": "60s", "work_mem": "8MB" });
    assert_eq!(merged.body, all);
    let replaced = stage.put(&path, json!({ "work_mem": "4MB" }));
    assert_eq!(replaced.body, json!({ "work_mem": "4MB" }));
    for bad in [
        json!({ "statement_timeout": 60 }),
        json!({ "max_connections": "90" }),
        json!({ "work_men": "8MB" }),
        json!({ "restart_database": "yes" }),
    ] {
        assert_eq!(stage.put(&path, bad.clone()).status, 400, "{bad}");
    }
    assert_eq!(stage.get(&path).body, json!({ "work_mem": "4MB" }));
}

#[test]
fn a_restart_that_is_asked_for_happens_and_is_not_echoed() {
    let (mut stage, project) = active();
    let path = format!("{project}/config/database/postgres");
    let body = json!({ "work_mem": "8MB", "restart_database": true });
    assert_eq!(stage.put(&path, body).body, json!({ "work_mem": "8MB" }));
    assert_eq!(stage.get(&project).body["status"], "RESTARTING");
    stage.pass_seconds(30);
    assert_eq!(stage.get(&project).body["status"], "ACTIVE_HEALTHY");
    // With nothing else, a PUT empties the overrides.
    assert_eq!(stage.put(&path, json!({ "restart_database": true })).body, json!({}));
}

#[test]
fn the_data_api_shows_the_jwt_secret_when_read_only_and_that_is_a_canary() {
    let (mut stage, project) = active();
    let path = format!("{project}/postgrest");
    let shown = stage.get(&path).body;
    assert_eq!(
        (&shown["db_schema"], &shown["max_rows"]),
        (&json!("public,graphql_public"), &json!(1000))
    );
    assert_eq!(shown["db_pool"], Value::Null);
    let secret = shown["jwt_secret"].as_str().unwrap().to_owned();
    assert!(stage.world.canaries().contains(&secret));
    let changed = stage.patch(&path, json!({ "max_rows": 10, "db_pool": 5 })).body;
    assert_eq!((&changed["max_rows"], &changed["db_pool"]), (&json!(10), &json!(5)));
    assert!(changed.get("jwt_secret").is_none());
    assert_eq!(stage.patch(&path, json!({ "max_rows": 1_000_001 })).status, 400);
}

#[test]
fn add_ons_know_no_nano() {
    let mut stage = Stage::new(calm());
    let (paid, free) = (stage.create("paid"), stage.create_in("free", "free"));
    let addons = |stage: &mut Stage, reference: &str| {
        stage.get(&format!("/v1/projects/{reference}/billing/addons")).body["selected_addons"]
            .clone()
    };
    let variant = &addons(&mut stage, &paid)[0]["variant"];
    assert_eq!(variant["id"], "ci_micro");
    assert_eq!(variant["meta"]["memory_gb"], 1);
    assert_eq!(addons(&mut stage, &free), json!([]));
}

#[test]
fn every_change_of_a_setting_is_in_the_ledger() {
    let config = Config { limiter: Limiter::Off, ..Config::instant() };
    let mut stage = Stage::new(config);
    let reference = stage.create("orders");
    let path = format!("/v1/projects/{reference}");
    stage.put(
        &format!("{path}/ssl-enforcement"),
        json!({ "requestedConfig": { "database": true } }),
    );
    stage.post(&format!("{path}/network-restrictions/apply"), json!({ "dbAllowedCidrs": [] }));
    stage.put(&format!("{path}/config/database/postgres"), json!({ "work_mem": "8MB" }));
    stage.patch(&format!("{path}/postgrest"), json!({ "max_rows": 10 }));
    let changed: Vec<_> = stage
        .world
        .ledger()
        .accepted()
        .iter()
        .map(|accepted| format!("{:?}", accepted.effect))
        .filter_map(|effect| {
            Some(effect.split_once("setting: \"")?.1.split('"').next()?.to_owned())
        })
        .collect();
    assert_eq!(
        changed,
        ["ssl-enforcement", "network-restrictions", "config/database/postgres", "postgrest"]
    );
}
