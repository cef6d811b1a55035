//! The other settings: validation as the document says, plans, restarts, hands in the dashboard, and what will not hold.

use serde_json::{Value, json};
use simulated_platform::{Config, Fault, FaultKind, Identity, Plan};

use crate::stage::{CONTRACT, Stage, calm, request, slow};

/// A project of `acme` and the start of its paths.
fn project(config: Config) -> (Stage, String) {
    let mut stage = Stage::new(config);
    let reference = stage.create("orders");
    stage.pass_seconds(200);
    (stage, format!("/v1/projects/{reference}"))
}

fn reference(project: &str) -> &str {
    project.rsplit('/').next().unwrap()
}

fn samples() -> Vec<Value> {
    let mut samples = vec![
        json!(true),
        json!(1.5),
        json!({}),
        json!({ "enabled": true }),
        json!({ "enabled": 1 }),
    ];
    samples.extend([-1, 0, 1, 6, 101, 1001, 5001, 10_001, 1_000_001].map(|number| json!(number)));
    samples.extend(
        ["", "word", "8s", "1.5min", "-1", "8 s", "origin", "session"].map(|text| json!(text)),
    );
    samples
}

#[test]
fn every_field_takes_what_the_document_says_and_nothing_else() {
    let Some(contract) = CONTRACT.as_ref() else {
        return;
    };
    let (mut stage, project) = project(calm());
    let mut wrong = Vec::new();
    for (method, path) in [
        ("PATCH", "postgrest"),
        ("PATCH", "config/realtime"),
        ("PATCH", "config/storage"),
        ("PATCH", "config/database/pooler"),
        ("PUT", "config/database/postgres"),
        ("PUT", "ssl-enforcement"),
    ] {
        let declared = contract.body_fields(&format!("{method} /v1/projects/{{ref}}/{path}"));
        assert!(!declared.is_empty(), "{path}");
        for key in &declared {
            for value in samples() {
                let body = json!({ key.as_str(): value });
                let path = format!("{project}/{path}");
                let fits = contract
                    .judge_request(&request(method, &path, "none", Some(body.clone())))
                    .is_empty();
                let answer = stage.ask(method, &path, Some(body));
                if (answer.status < 300) != fits {
                    wrong.push(format!("{method} {path} {key}: {value}: {}", answer.status));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_data_api_keeps_what_is_sent_and_can_be_switched_off() {
    let (mut stage, project) = project(calm());
    let path = format!("{project}/postgrest");
    let changed = stage.patch(
        &path,
        json!({ "db_schema": "", "db_pool_acquisition_timeout": 7, "db_extra_search_path": "public,extensions" }),
    );
    assert_eq!(changed.body["db_schema"], "");
    let shown = stage.get(&path).body;
    assert_eq!(
        (
            &shown["db_schema"],
            &shown["db_pool_acquisition_timeout"],
            &shown["db_extra_search_path"]
        ),
        (&json!(""), &json!(7), &json!("public, extensions"))
    );
}

#[test]
fn storage_features_are_sent_whole_and_merged_by_name() {
    let (mut stage, project) = project(calm());
    let path = format!("{project}/config/storage");
    let partial = json!({ "features": { "icebergCatalog": { "enabled": true } } });
    let refused = stage.patch(&path, partial);
    assert!(
        refused.message().starts_with("features.icebergCatalog.maxNamespaces: Invalid input"),
        "{refused:?}"
    );
    let off = json!({ "fileSizeLimit": 1000, "features": { "s3Protocol": { "enabled": false } } });
    let answer = stage.patch(&path, off);
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    let shown = stage.get(&path).body;
    assert_eq!(shown["fileSizeLimit"], 1000);
    assert_eq!(shown["features"]["s3Protocol"]["enabled"], false);
    assert_eq!(shown["features"]["imageTransformation"]["enabled"], true);
}

#[test]
fn plans_close_some_settings() {
    let (mut stage, project) = project(calm());
    stage.world.set_plan("acme", Plan::Free);
    let large = json!({ "fileSizeLimit": 60_000_000 });
    assert_eq!(stage.patch(&format!("{project}/config/storage"), large).status, 402);
    let addon = json!({ "addon_type": "ipv4", "addon_variant": "ipv4_default" });
    assert_eq!(stage.patch(&format!("{project}/billing/addons"), addon).status, 402);
    stage.world.config_mut().ssl_supported = false;
    let enforced = json!({ "requestedConfig": { "database": true } });
    let refused = stage.put(&format!("{project}/ssl-enforcement"), enforced);
    assert!(refused.message().contains("not allowed to configure SSL enforcements"));
}

#[test]
fn changes_that_need_a_restart_restart_the_database() {
    let (mut stage, project) = project(slow());
    let postgres = format!("{project}/config/database/postgres");
    let status = |stage: &mut Stage| stage.get(&project).body["status"].clone();
    stage.patch(&postgres, json!({ "max_connections": 90, "restart_database": false }));
    stage.patch(&postgres, json!({ "work_mem": "8MB" }));
    assert_eq!(status(&mut stage), "ACTIVE_HEALTHY");
    stage.patch(&postgres, json!({ "max_connections": 91 }));
    assert_eq!(status(&mut stage), "RESTARTING");
    stage.pass_seconds(60);
    stage.put(
        &format!("{project}/ssl-enforcement"),
        json!({ "requestedConfig": { "database": true } }),
    );
    assert_eq!(status(&mut stage), "RESTARTING");
    stage.pass_seconds(60);
    let small = json!({ "addon_type": "compute_instance", "addon_variant": "ci_small" });
    stage.patch(&format!("{project}/billing/addons"), small);
    assert_eq!(status(&mut stage), "RESIZING");
}

#[test]
fn add_ons_come_and_go() {
    let (mut stage, project) = project(calm());
    let path = format!("{project}/billing/addons");
    let kinds = |stage: &mut Stage| {
        let body = stage.get(&path).body;
        let selected = body["selected_addons"].as_array().unwrap();
        selected
            .iter()
            .map(|addon| addon["variant"]["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let choose =
        |kind: &str, variant: &str| json!({ "addon_type": kind, "addon_variant": variant });
    assert_eq!(stage.patch(&path, choose("pitr", "pitr_7")).status, 400);
    assert_eq!(stage.patch(&path, choose("ipv4", "pitr_7")).status, 400);
    assert_eq!(stage.patch(&path, choose("compute_instance", "ci_small")).status, 200);
    assert_eq!(stage.patch(&path, choose("pitr", "pitr_7")).status, 200);
    assert_eq!(stage.patch(&path, choose("pitr", "pitr_14")).status, 200);
    assert_eq!(kinds(&mut stage), ["ci_small", "pitr_14"]);
    assert_eq!(stage.delete(&format!("{path}/pitr_14")).status, 200);
    assert_eq!(stage.delete(&format!("{path}/pitr_14")).status, 404);
    assert_eq!(kinds(&mut stage), ["ci_small"]);
}

#[test]
fn a_hand_in_the_dashboard_changes_any_setting() {
    let (mut stage, project) = project(calm());
    let (reference, now) = (reference(&project).to_owned(), stage.now);
    for (setting, body, pointer, value) in [
        (
            "config/auth",
            json!({ "site_url": "https://else.example" }),
            "/site_url",
            json!("https://else.example"),
        ),
        ("postgrest", json!({ "max_rows": 7 }), "/max_rows", json!(7)),
        ("config/realtime", json!({ "private_only": true }), "/private_only", json!(true)),
        ("config/storage", json!({ "fileSizeLimit": 7 }), "/fileSizeLimit", json!(7)),
        ("config/database/postgres", json!({ "work_mem": "8MB" }), "/work_mem", json!("8MB")),
        (
            "config/database/pooler",
            json!({ "default_pool_size": 7 }),
            "/0/default_pool_size",
            json!(7),
        ),
        (
            "ssl-enforcement",
            json!({ "requestedConfig": { "database": true } }),
            "/currentConfig/database",
            json!(true),
        ),
        (
            "network-restrictions",
            json!({ "dbAllowedCidrs": [] }),
            "/config/dbAllowedCidrs",
            json!([]),
        ),
    ] {
        stage.world.set_by_hand(&reference, setting, &body, now).unwrap();
        let shown = stage.get(&format!("{project}/{setting}")).body;
        assert_eq!(shown.pointer(pointer), Some(&value), "{setting}");
        assert_eq!(stage.world.setting(&reference, setting, now).unwrap(), shown, "{setting}");
    }
    let refused = stage.world.set_by_hand(&reference, "postgrest", &json!({ "max_rows": -1 }), now);
    assert_eq!(refused.unwrap_err().status, 400);
    let by_hand = stage
        .world
        .ledger()
        .accepted()
        .iter()
        .filter(|accepted| accepted.by == Identity::Dashboard);
    assert_eq!(by_hand.count(), 8);
    assert_eq!(stage.world.ledger().writes(&reference, "postgrest").count(), 0);
}

#[test]
fn a_hand_works_over_http_too() {
    let (mut stage, project) = project(calm());
    let path = format!("/dashboard/projects/{}/settings/config/auth", reference(&project));
    let body = json!({ "site_url": "https://else.example" });
    assert_eq!(stage.post(&path, body).status, 200);
    assert_eq!(stage.get(&path).body["site_url"], "https://else.example");
    assert_eq!(stage.post(&path, json!({ "jwt_exp": -1 })).status, 400);
}

#[test]
fn a_setting_may_be_accepted_and_not_hold() {
    let (mut stage, project) = project(calm());
    let reference = reference(&project).to_owned();
    let auth = format!("{project}/config/auth");
    stage.world.let_slip(&reference, "config/auth", Some("site_url"), 1);
    stage.patch(&auth, json!({ "jwt_exp": 60 }));
    assert_eq!(stage.world.pending_slips(), 1);
    let wanted = json!({ "site_url": "https://shop.example", "jwt_exp": 61 });
    let answer = stage.patch(&auth, wanted.clone());
    assert_eq!((answer.status, &answer.body["site_url"]), (200, &json!("https://shop.example")));
    let shown = stage.get(&auth).body;
    assert_eq!(
        (&shown["site_url"], &shown["jwt_exp"]),
        (&json!("http://localhost:3000"), &json!(61))
    );
    stage.patch(&auth, wanted);
    assert_eq!(stage.get(&auth).body["site_url"], "https://shop.example");
    assert_eq!(stage.world.ledger().writes(&reference, "config/auth").count(), 3);
    let ssl = format!("{project}/ssl-enforcement");
    stage.world.let_slip(&reference, "ssl-enforcement", None, 1);
    stage.put(&ssl, json!({ "requestedConfig": { "database": true } }));
    assert_eq!(stage.get(&ssl).body["currentConfig"]["database"], false);
}

#[test]
fn a_fault_can_let_part_of_a_change_take_effect() {
    let (mut stage, project) = project(calm());
    let auth = format!("{project}/config/auth");
    let lost = FaultKind::Status(500, "{\"message\":\"Internal error\"}".to_owned());
    stage.world.script(Fault::on("PATCH", &auth, lost).keeping(&["jwt_exp"]));
    let body = json!({ "site_url": "https://shop.example", "jwt_exp": 60 });
    assert_eq!(stage.patch(&auth, body).status, 500);
    let shown = stage.get(&auth).body;
    assert_eq!(
        (&shown["site_url"], &shown["jwt_exp"]),
        (&json!("http://localhost:3000"), &json!(60))
    );
}

#[test]
fn version_two_shows_all_settings_at_once_with_what_is_in_force() {
    let (mut stage, project) = project(calm());
    stage.patch(&format!("{project}/config/auth"), json!({ "site_url": "https://shop.example" }));
    stage
        .put(&format!("{project}/config/database/postgres"), json!({ "cron.log_statement": true }));
    let shown = stage.get(&format!("/v2/projects/{}/config", reference(&project)));
    let attributes = &shown.body["data"]["attributes"];
    for (pointer, value) in [
        ("/auth/site_url", json!("https://shop.example")),
        ("/database/postgres_settings/cron_log_statement", json!(true)),
        (
            "/database/network_restrictions/allowed_cidrs/1",
            json!({ "address": "::/0", "type": "v6" }),
        ),
        ("/api/db_pool_acquisition_timeout", json!(10)),
        ("/realtime/private_only", json!(false)),
        ("/storage/features/image_transformation/enabled", json!(true)),
    ] {
        assert_eq!(attributes.pointer(pointer), Some(&value), "{pointer}");
    }
}
