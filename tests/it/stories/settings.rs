//! Declared settings on a real control plane: each field reaches the platform, stays, and is told where it does not.

use std::time::Duration;

use serde_json::{Value, json};

use super::{connected, ready_project};
use crate::support::cluster::kinds::{AUTH_CONFIG, PROJECT};
use crate::support::eventually::eventually;
use crate::support::samples::project;
use crate::support::stage::{Reach, Stage};

fn on_platform(stage: &Stage, reference: &str, setting: &str) -> Value {
    let now = stage.platform.now();
    stage.platform.world().setting(reference, setting, now).unwrap()
}

/// Waits until a setting is as `wanted` says.
async fn is(stage: &Stage, reference: &str, setting: &str, wanted: impl Fn(&Value) -> bool) {
    eventually(setting, Duration::from_secs(60), async || {
        let seen = on_platform(stage, reference, setting);
        if wanted(&seen) { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn every_setting_of_a_project_reaches_the_platform_and_stays() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let database = json!({
        "sslEnforcement": true,
        "networkRestrictions": {"allowedCIDRs": ["203.0.113.0/24"]},
        "parameters": {"statement_timeout": "8s"},
        "parametersRestart": "Never",
    });
    let api = json!({
        "enabled": true, "schemas": ["public", "api"], "extraSearchPath": ["extensions"], "maxRows": 500, "poolSize": 7,
        "poolAcquisitionTimeoutSeconds": 9,
    });
    let declared = project("orders").with("database", database).with("dataAPI", api);
    stage
        .cluster
        .apply(declared.clone().with("driftPolicy", "Correct").with("managementPolicy", "Full"))
        .await;
    let ready = stage.cluster.wait_condition(PROJECT, "orders", "Synced", "True/InSync").await;
    let reference = ready["status"]["ref"].as_str().unwrap().to_owned();
    is(&stage, &reference, "ssl-enforcement", |seen| seen["currentConfig"]["database"] == true)
        .await;
    is(&stage, &reference, "network-restrictions", |seen| {
        seen["config"]["dbAllowedCidrs"] == json!(["203.0.113.0/24"])
    })
    .await;
    is(&stage, &reference, "config/database/postgres", |seen| seen["statement_timeout"] == "8s")
        .await;
    is(&stage, &reference, "postgrest", |seen| {
        seen["db_schema"] == "public,api"
            && seen["db_extra_search_path"] == "extensions"
            && seen["max_rows"] == 500
            && seen["db_pool"] == 7
            && seen["db_pool_acquisition_timeout"] == 9
    })
    .await;
    // A closed family is said, and what was set is an event without values.
    let synced = crate::support::cluster::conditions_of(&ready);
    assert!(synced.contains("IPv6"), "{synced}");
    stage.cluster.wait_events("orders", "SettingsApplied", 1).await;

    // Somebody changes one in the dashboard; told under Report, set back under Correct when somebody asks for a look.
    let now = stage.platform.now();
    let by_hand = json!({"max_rows": 7});
    stage.platform.world().set_by_hand(&reference, "postgrest", &by_hand, now).unwrap();
    let look = |word: &str| json!({"metadata": {"annotations": {"supabase-operator.dev/reconcile-requested-at": word}}});
    stage.cluster.merge(PROJECT, "orders", json!({"spec": {"driftPolicy": "Report"}})).await;
    stage.cluster.merge(PROJECT, "orders", look("1")).await;
    let told = stage.cluster.wait_condition(PROJECT, "orders", "Synced", "False/Reported").await;
    assert_eq!(told["status"]["drift"][0]["path"], "dataAPI.maxRows", "{told:#}");
    stage.cluster.merge(PROJECT, "orders", json!({"spec": {"driftPolicy": "Correct"}})).await;
    is(&stage, &reference, "postgrest", |seen| seen["max_rows"] == 500).await;

    // What needs a restart gets it only where that is allowed.
    let restarting = json!({"spec": {"database": {"parameters": {"max_connections": 120}, "parametersRestart": "IfRequired"}}});
    stage.cluster.merge(PROJECT, "orders", restarting).await;
    is(&stage, &reference, "config/database/postgres", |seen| seen["max_connections"] == 120).await;
    // Off alone; on again by naming schemas.
    stage.cluster.merge(PROJECT, "orders", json!({"spec": {"dataAPI": null}})).await;
    stage.cluster.merge(PROJECT, "orders", json!({"spec": {"dataAPI": {"enabled": false}}})).await;
    is(&stage, &reference, "postgrest", |seen| seen["db_schema"] == "").await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True/Available").await;

    // Another object only looks at a project that exists.
    let adopt = json!({"policy": "AdoptOnly", "ref": reference});
    stage.cluster.delete(PROJECT, "orders").await;
    stage.cluster.gone(PROJECT, "orders", Duration::from_secs(20)).await;
    let observing = project("orders")
        .with("adoption", adopt)
        .with("managementPolicy", "Observe")
        .with("dataAPI", json!({"maxRows": 1}));
    stage.cluster.apply(observing).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Synced", "False").await;
    assert_eq!(on_platform(&stage, &reference, "postgrest")["max_rows"], 500);
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn every_auth_setting_reaches_the_platform() {
    let mut stage = Stage::new(Reach::ClusterWatchingSecrets).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let ready = ready_project(&stage, "orders").await;
    let reference = ready["status"]["ref"].as_str().unwrap().to_owned();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "smtp"}, "stringData": {"password": format!("smtp-{:x}", getrandom::u64().unwrap())}});
    stage.cluster.apply(secret).await;
    let spec = json!({
        "projectRef": {"name": "orders"}, "managementPolicy": "Full", "driftPolicy": "Correct", "suspend": false,
        "siteURL": "https://shop.example", "redirectURLs": ["https://shop.example/**"],
        "smtp": {
            "enabled": true, "host": "smtp.example", "port": 587, "username": "apikey", "senderEmail": "no-reply@shop.example",
            "senderName": "Shop", "password": {"secretKeyRef": {"name": "smtp", "key": "password"}},
        },
        "email": {"minIntervalSeconds": 30}, "rateLimits": {"emailSent": 100},
    });
    let object = json!({"apiVersion": "supabase-operator.dev/v1alpha1", "kind": "SupabaseAuthConfig", "metadata": {"name": "orders"}, "spec": spec});
    stage.cluster.apply(object).await;
    stage.cluster.wait_condition(AUTH_CONFIG, "orders", "Ready", "True/Available").await;
    for (key, value) in [
        ("site_url", json!("https://shop.example")),
        ("uri_allow_list", json!("https://shop.example/**")),
        ("smtp_host", json!("smtp.example")),
        ("smtp_port", json!("587")),
        ("smtp_user", json!("apikey")),
        ("smtp_admin_email", json!("no-reply@shop.example")),
        ("smtp_sender_name", json!("Shop")),
        ("smtp_max_frequency", json!(30)),
        ("rate_limit_email_sent", json!(100)),
    ] {
        assert_eq!(stage.platform.world().auth_setting(&reference, key), Some(value), "{key}");
    }
    let changes = [
        (json!({"driftPolicy": "Report"}), "Ready", "True/Available"),
        (
            json!({"managementPolicy": "Observe", "siteURL": "https://other.example"}),
            "Synced",
            "False/Reported",
        ),
        (json!({"suspend": true}), "Synced", "Unknown/Suspended"),
    ];
    for (change, condition, value) in changes {
        stage.cluster.merge(AUTH_CONFIG, "orders", json!({"spec": change})).await;
        stage.cluster.wait_condition(AUTH_CONFIG, "orders", condition, value).await;
    }
    let site = stage.platform.world().auth_setting(&reference, "site_url");
    assert_eq!(site, Some(json!("https://shop.example")));
    stage.finish(vec![operator]).await;
}
