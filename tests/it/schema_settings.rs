//! What the API server refuses of declared settings, and what it lets through at its largest. Apart from `schema`, whose table
//! is long.

use serde_json::{Value, json};

use crate::examples::with_kinds;
use crate::support::samples::{Sample, auth_config, project};

fn smtp() -> Value {
    json!({
        "host": "smtp.example", "port": 587, "username": "apikey", "senderEmail": "no-reply@shop.example",
        "senderName": "Shop", "password": {"secretKeyRef": {"name": "smtp", "key": "password"}},
    })
}

fn mistakes() -> Vec<(&'static str, Sample, &'static str)> {
    let whole = || auth_config("shop", "orders").with("smtp", smtp());
    let parameters = |name: &str| project("orders").with("database/parameters", json!({name: 1}));
    let networks =
        |list: Value| project("orders").with("database/networkRestrictions/allowedCIDRs", list);
    vec![
        (
            "observing what is yet to be made",
            project("orders").with("managementPolicy", "Observe"),
            "managementPolicy Observe needs adoption.ref",
        ),
        (
            "a Data API that is off and set",
            project("orders").with("dataAPI", json!({"enabled": false, "maxRows": 1})),
            "dataAPI.enabled false stands alone",
        ),
        (
            "a schema with a comma",
            project("orders").with("dataAPI/schemas", json!(["a,b"])),
            "neither commas nor spaces",
        ),
        ("no network", networks(json!([])), "allowedCIDRs"),
        ("a network without a length", networks(json!(["203.0.113.0"])), "a network is an address"),
        ("an odd parameter", parameters("Work-Mem"), "a parameter's name"),
        ("an endless parameter", parameters(&"a".repeat(64)), "a parameter's name"),
        ("mail without a host", whole().without("smtp/host"), "smtp needs host"),
        ("mail without a password", whole().without("smtp/password"), "smtp needs host"),
        ("a port that is none", whole().with("smtp/port", 65_536), "spec.smtp.port"),
        ("a sender that is none", whole().with("smtp/senderEmail", "shop"), "an address of mail"),
        (
            "an address with a comma",
            whole().with("redirectURLs", json!(["https://a,https://b"])),
            "an address has no comma",
        ),
        ("no limit at all", whole().with("rateLimits/emailSent", 0), "spec.rateLimits.emailSent"),
    ]
}

#[tokio::test]
async fn settings_with_a_mistake_are_refused_with_a_message_that_names_it() {
    let (_plane, cluster) = with_kinds().await;
    for (what, object, says) in mistakes() {
        match cluster.try_apply(object).await {
            Ok(_) => panic!("{what} was accepted"),
            Err(refusal) => assert!(refusal.contains(says), "{what}: refused with {refusal:?}"),
        }
    }
}

#[tokio::test]
async fn all_settings_at_their_largest_are_taken_and_nothing_is_added_to_them() {
    let (_plane, cluster) = with_kinds().await;
    let networks: Vec<_> = (0..100).map(|number| format!("10.0.{number}.0/24")).collect();
    let parameters: serde_json::Map<_, _> =
        (0..64).map(|number| (format!("a{number:062}"), json!("x".repeat(128)))).collect();
    let api = json!({"schemas": vec!["a"; 50], "extraSearchPath": vec!["a"; 50], "maxRows": 0, "poolSize": 1,
        "poolAcquisitionTimeoutSeconds": 0});
    let database = json!({"password": {"generate": {}, "onLost": "Report"}, "sslEnforcement": true,
        "networkRestrictions": {"allowedCIDRs": networks}, "parameters": parameters, "parametersRestart": "Never"});
    let largest = project("orders").with("dataAPI", api.clone()).with("database", database.clone());
    let stored = cluster.apply(largest).await;
    assert_eq!(stored["spec"]["dataAPI"], api);
    assert_eq!(stored["spec"]["database"], database);

    let urls: Vec<_> = (0..200).map(|number| format!("{number:0512}")).collect();
    let config = auth_config("shop", "orders").with("redirectURLs", urls).with("smtp", smtp());
    let stored = cluster.apply(config).await;
    assert_eq!(stored["spec"]["smtp"], smtp());
    assert_eq!(stored["status"], json!({"observedGeneration": -1}));
    let off = auth_config("off", "orders").with("smtp", json!({"enabled": false, "port": 25}));
    cluster.apply(off).await;
}

#[tokio::test]
async fn auth_settings_stay_with_their_project() {
    let (_plane, cluster) = with_kinds().await;
    cluster.apply(auth_config("shop", "orders")).await;
    let moved = cluster.try_apply(auth_config("shop", "other")).await;
    assert!(moved.unwrap_err().contains("projectRef cannot be changed"));
}
