//! API keys: timing, masks, the legacy pair, and the ledger's knowledge of what was shown.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use simulated_platform::{Config, Pat, Permissions, Refusal};

use crate::stage::{Seen, Stage, calm, slow};

fn keys(stage: &mut Stage, reference: &str, query: &str) -> Seen {
    stage.get(&format!("/v1/projects/{reference}/api-keys{query}"))
}

fn of<'a>(body: &'a Value, kind: &str, name: &str) -> &'a Value {
    let list = body.as_array().unwrap();
    list.iter().find(|key| key["type"] == kind && key["name"] == name).expect(kind)
}

#[test]
fn keys_lag_behind_the_first_active_healthy() {
    let mut stage = Stage::new(slow());
    let reference = stage.create_in("free", "orders");
    assert_eq!(keys(&mut stage, &reference, "").status, 400);
    stage.pass_seconds(90);
    assert_eq!(stage.status(&reference), "ACTIVE_HEALTHY");
    assert_eq!(keys(&mut stage, &reference, "").status, 400);
    stage.world.config_mut().keys_not_ready = Refusal::Empty;
    assert_eq!(keys(&mut stage, &reference, "").body, json!([]));
    stage.pass_seconds(5);
    assert_eq!(keys(&mut stage, &reference, "").body.as_array().unwrap().len(), 4);
    // Paused, none is shown.
    stage.pass_seconds(60);
    stage.poke(&format!("/v1/projects/{reference}/pause"));
    stage.pass_seconds(60);
    assert_eq!(keys(&mut stage, &reference, "").body.as_array().unwrap().len(), 0);
}

#[test]
fn a_fresh_project_has_two_legacy_keys_and_two_named_default() {
    let mut stage = Stage::new(calm());
    let reference = stage.create("orders");
    let body = keys(&mut stage, &reference, "?reveal=true").body;
    let publishable = of(&body, "publishable", "default")["api_key"].as_str().unwrap();
    let secret = of(&body, "secret", "default")["api_key"].as_str().unwrap();
    let shape = |key: &str, kind: &str| {
        let rest = key.strip_prefix(kind).unwrap();
        let (long, short) = rest.split_once('_').unwrap();
        (long.len(), short.len())
    };
    assert_eq!(shape(publishable, "sb_publishable_"), (22, 8));
    assert_eq!(shape(secret, "sb_secret_"), (22, 8));
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(secret));
    assert_eq!(of(&body, "secret", "default")["hash"], digest);
    assert_eq!(of(&body, "secret", "default")["secret_jwt_template"]["role"], "service_role");
    for role in ["anon", "service_role"] {
        let key = of(&body, "legacy", role);
        assert_eq!(key["id"], role);
        let jwt = key["api_key"].as_str().unwrap();
        let claims = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!((&claims["ref"], &claims["role"]), (&json!(reference), &json!(role)));
        let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert_eq!(life, 315_576_000);
        assert_eq!(key["prefix"], jwt.rsplit('.').next().unwrap()[..5]);
    }
}

#[test]
fn secret_keys_are_masked_to_their_length_unless_revealed() {
    let mut stage = Stage::new(calm());
    let reference = stage.create("orders");
    let clear = keys(&mut stage, &reference, "?reveal=true").body;
    for query in ["", "?reveal=false"] {
        let masked = keys(&mut stage, &reference, query).body;
        let (shown, hidden) = (of(&clear, "secret", "default"), of(&masked, "secret", "default"));
        let (value, mask) =
            (shown["api_key"].as_str().unwrap(), hidden["api_key"].as_str().unwrap());
        let prefix = hidden["prefix"].as_str().unwrap();
        assert_eq!(mask, format!("{prefix}{}", "\u{b7}".repeat(26)));
        assert_eq!(mask.chars().count(), value.chars().count());
        assert!(value.starts_with(prefix));
        assert_eq!(shown["hash"], hidden["hash"]);
        // Only secret keys are masked.
        assert_eq!(of(&clear, "publishable", "default"), of(&masked, "publishable", "default"));
        assert_eq!(of(&clear, "legacy", "service_role"), of(&masked, "legacy", "service_role"));
    }
}

#[test]
fn only_what_was_shown_is_a_canary_and_public_keys_are_none() {
    let mut stage = Stage::new(calm());
    let reference = stage.create("orders");
    let masked = keys(&mut stage, &reference, "").body;
    let before = stage.world.canaries();
    let clear = keys(&mut stage, &reference, "?reveal=true").body;
    let after = stage.world.canaries();
    let value =
        |body: &Value, kind, name| of(body, kind, name)["api_key"].as_str().unwrap().to_owned();
    let secret = value(&clear, "secret", "default");
    assert!(!before.contains(&secret) && after.contains(&secret));
    assert!(before.contains(&value(&masked, "legacy", "service_role")));
    for (kind, name) in [("publishable", "default"), ("legacy", "anon")] {
        assert!(!after.contains(&value(&clear, kind, name)), "{kind}");
    }
    assert!(!after.contains(&value(&masked, "secret", "default")));
}

#[test]
fn revealing_needs_a_permission_of_its_own() {
    let mut stage = Stage::new(calm());
    let reference = stage.create("orders");
    let without = ["api_gateway_keys_secret_read".to_owned()].into();
    let blind = stage
        .world
        .add_pat(Pat::for_organizations(&["acme"], Permissions { write: true, without }));
    let path = format!("/v1/projects/{reference}/api-keys");
    assert_eq!(stage.ask_as(&blind, "GET", &path, None).status, 200);
    let refused = stage.ask_as(&blind, "GET", &format!("{path}?reveal=true"), None);
    assert_eq!(refused.status, 403);
    // In general words: the platform does not name the permission here.
    assert!(refused.message().contains("necessary privileges"));
    assert!(refused.body.get("missing_permissions").is_none());
}

#[test]
fn a_paused_project_shows_no_keys_and_has_them_again_when_it_wakes() {
    let mut stage = Stage::new(calm());
    let reference = stage.create_in("free", "orders");
    let path = format!("/v1/projects/{reference}/api-keys?reveal=true");
    let before = stage.get(&path).body;
    assert_eq!(before.as_array().unwrap().len(), 4);
    stage.poke(&format!("/v1/projects/{reference}/pause"));
    let asleep = stage.get(&path);
    assert_eq!((asleep.status, asleep.body), (200, json!([])));
    stage.poke(&format!("/v1/projects/{reference}/restore"));
    assert_eq!(stage.get(&path).body, before);
}

#[test]
fn keys_can_be_made_renamed_and_deleted() {
    let mut stage = Stage::new(calm());
    let reference = stage.create("orders");
    let path = format!("/v1/projects/{reference}/api-keys");
    let made =
        stage.post(&format!("{path}?reveal=true"), json!({ "type": "secret", "name": "Backend" }));
    assert_eq!((made.status, &made.body["name"]), (201, &json!("backend")));
    assert!(stage.world.canaries().contains(&made.body["api_key"].as_str().unwrap().to_owned()));
    let id = made.body["id"].as_str().unwrap();
    let one = format!("{path}/{id}");
    assert!(stage.get(&one).body["api_key"].as_str().unwrap().contains('\u{b7}'));
    assert_eq!(stage.get(&format!("{one}?reveal=true")).body["api_key"], made.body["api_key"]);
    assert_eq!(stage.patch(&one, json!({ "name": "worker" })).body["name"], "worker");
    assert_eq!(stage.delete(&one).body["id"], id);
    assert_eq!(stage.get(&one).status, 404);
    assert_eq!(stage.get(&path).body.as_array().unwrap().len(), 4);
    for bad in [
        json!({ "type": "legacy", "name": "other" }),
        json!({ "type": "secret", "name": "abc" }),
        json!({ "type": "secret", "name": "9lives" }),
        json!({ "type": "secret", "name": "has-dash" }),
        json!({ "type": "secret", "name": "default" }),
        json!({ "name": "other" }),
    ] {
        assert_eq!(stage.post(&path, bad.clone()).status, 400, "{bad}");
    }
    // Names are unique per type only.
    assert_eq!(stage.post(&path, json!({ "type": "publishable", "name": "backend" })).status, 201);
}

#[test]
fn the_legacy_switch_is_read_and_set_until_it_is_gone() {
    let mut stage = Stage::new(calm());
    let reference = stage.create("orders");
    let path = format!("/v1/projects/{reference}/api-keys/legacy");
    assert_eq!(stage.get(&path).body, json!({ "enabled": true }));
    assert_eq!(stage.ask("PUT", &format!("{path}?enabled=false"), None).status, 200);
    assert_eq!(stage.get(&path).body, json!({ "enabled": false }));
    assert_eq!(stage.ask("PUT", &path, None).status, 400);
    stage.world.set_legacy_keys_by_hand(&reference, true);
    assert_eq!(stage.get(&path).body, json!({ "enabled": true }));
    stage.world.config_mut().legacy_key_endpoints = false;
    assert_eq!(stage.get(&path).status, 404);
    assert_eq!(stage.ask("PUT", &format!("{path}?enabled=true"), None).status, 404);
}

#[test]
fn rotation_by_hand_replaces_every_value() {
    let mut stage = Stage::new(Config { ..calm() });
    let reference = stage.create("orders");
    let before = keys(&mut stage, &reference, "?reveal=true").body;
    stage.world.rotate_keys_by_hand(&reference, stage.now);
    let after = keys(&mut stage, &reference, "?reveal=true").body;
    for (old, new) in before.as_array().unwrap().iter().zip(after.as_array().unwrap()) {
        assert_eq!(old["name"], new["name"]);
        assert_ne!(old["api_key"], new["api_key"]);
    }
}
