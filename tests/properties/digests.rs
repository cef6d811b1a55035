//! Digests in a status: equal secrets of two objects are not told to be equal, and those that an earlier release wrote
//! (bound to nothing) are never taken for an edit.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use simulated_platform::Config;
use supabase_operator::api::SupabaseProject;
use supabase_operator::outputs;
use supabase_operator::rules::digest::{DigestKey, is_bound};

use crate::sim::{Driver, Ending, Faults, PROJECTS, Phase, Plan, SECRETS, Scene, Seed, simulate};

const KEYS: &str = "/api/v1/namespaces/supabase-system/secrets/supabase-operator-keys";
const LIMIT: Duration = Duration::from_secs(1800);
const PASSWORD: &str = "orders-supabase-password";

fn scene() -> Scene {
    Scene::new(&Seed { platform: Config::instant(), random: 21, oauth: false })
}

async fn until(scene: &Scene, done: impl Fn(&Scene) -> bool) {
    let ending = Driver::new(scene).run(&Faults::new(&[]), LIMIT, done, |_, _| {}).await;
    assert!(matches!(ending, Ending::Done(_)), "{:#?}", scene.stored("orders"));
}

fn recorded(scene: &Scene, name: &str) -> String {
    let status = &scene.stored(name).unwrap()["status"];
    status["credentials"]["passwordDigest"].as_str().unwrap_or_default().to_owned()
}

fn decoded(text: &Value) -> Vec<u8> {
    STANDARD.decode(text.as_str().unwrap()).unwrap()
}

/// The key, if the operator has made one.
fn key(scene: &Scene) -> Option<DigestKey> {
    DigestKey::from_bytes(&decoded(&scene.get(KEYS)?["data"]["digest"]))
}

/// Writes the digests of the object as the release before would have.
fn make_former(scene: &Scene) {
    let Some(key) = key(scene) else { return };
    let (Some(stored), Some(password)) =
        (scene.stored("orders"), scene.secret_value(PASSWORD, "password"))
    else {
        return;
    };
    let former = key.digest("password", [password.as_bytes()]);
    let mut status = stored["status"].clone();
    if status["credentials"]["passwordDigest"].is_string() {
        status["credentials"]["passwordDigest"] = json!(former);
    }
    let list = |status: &mut Value, path: &str| {
        let list = status.pointer_mut(path).and_then(Value::as_array_mut);
        list.map(std::mem::take).unwrap_or_default()
    };
    let mut attempts = list(&mut status, "/creation/attempts");
    for attempt in &mut attempts {
        attempt["passwordDigest"] = json!(former);
    }
    if let Some(place) = status.pointer_mut("/creation/attempts") {
        *place = json!(attempts);
    }
    let project: SupabaseProject = serde_json::from_value(stored).unwrap();
    let outputs = project.wanted_outputs();
    let mut written_outputs = list(&mut status, "/outputs");
    for written in &mut written_outputs {
        let output = outputs.iter().find(|output| written["name"] == output.name.as_str()).unwrap();
        let Some(secret) = scene.get(&format!("{SECRETS}/{}", output.name)) else {
            continue;
        };
        let entries: BTreeMap<String, Vec<u8>> = secret["data"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), decoded(value)))
            .collect();
        let entries = entries.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        let kind = secret["type"].as_str();
        let digest = outputs::unbound_digest(&key, output, Some(&former), kind, entries);
        written["digest"] = json!(digest);
    }
    if let Some(place) = status.pointer_mut("/outputs") {
        *place = json!(written_outputs);
    }
    let change = json!({"status": status});
    assert!(scene.api().change_by_hand(&format!("{PROJECTS}/orders/status"), &change));
}

fn calls(scene: &Scene, method: &Method, path: &str) -> usize {
    let world = scene.world();
    let seen = world.ledger().seen().iter();
    seen.filter(|seen| seen.method == *method && seen.path.contains(path)).count()
}

fn written(scene: &Scene) -> usize {
    let api = scene.api();
    let writes = api.ledger().writes().iter();
    writes.filter(|write| !write.by_hand && write.resource == "secrets").count()
}

#[test]
fn equal_passwords_of_two_objects_show_different_digests() {
    simulate(async || {
        let scene = scene();
        scene.secret("shared", &[("password", "the-same-for-both")]);
        let password = json!({"secretKeyRef": {"name": "shared", "key": "password"}});
        for name in ["orders", "shop"] {
            scene.project(name, json!({"database": {"password": password}}));
        }
        until(&scene, |scene| ["orders", "shop"].iter().all(|name| scene.is_ready(name))).await;
        let shown = |name: &str| {
            let status = scene.stored(name).unwrap()["status"].clone();
            let attempt = &status["creation"]["attempts"][0]["passwordDigest"];
            [recorded(&scene, name), attempt.as_str().unwrap().to_owned()]
        };
        let tail = |digest: &String| digest.split_once(':').unwrap().1.to_owned();
        for one in shown("orders") {
            for other in shown("shop") {
                assert_ne!(tail(&one), tail(&other));
            }
        }
    });
}

#[test]
fn digests_of_an_earlier_release_give_way_without_a_call_or_a_write_to_a_secret() {
    for policy in ["Report", "Reset"] {
        simulate(async || {
            let scene = scene();
            scene.project("orders", json!({"database": {"password": {"onLost": policy}}}));
            until(&scene, |scene| scene.is_ready("orders")).await;
            make_former(&scene);
            assert!(!is_bound(&recorded(&scene, "orders")));
            let before = (written(&scene), calls(&scene, &Method::GET, "/api-keys"));
            until(&scene, |scene| {
                assert!(scene.is_ready("orders"), "{:#?}", scene.stored("orders"));
                let status = &scene.stored("orders").unwrap()["status"];
                is_bound(&recorded(scene, "orders"))
                    && is_bound(status["outputs"][0]["digest"].as_str().unwrap())
            })
            .await;
            let after = (written(&scene), calls(&scene, &Method::GET, "/api-keys"));
            assert_eq!(before, after);
            assert_eq!(calls(&scene, &Method::PATCH, "/database/password"), 0);
            let status = scene.stored("orders").unwrap()["status"].clone();
            let attempt = &status["creation"]["attempts"][0]["passwordDigest"];
            assert_eq!(attempt.as_str(), Some(recorded(&scene, "orders").as_str()));
        });
    }
}

#[test]
fn an_edit_is_still_seen_in_a_digest_of_an_earlier_release() {
    simulate(async || {
        let scene = scene();
        scene.project("orders", json!({"outputs": []}));
        until(&scene, |scene| scene.is_ready("orders")).await;
        make_former(&scene);
        let edited = json!({"data": {"password": STANDARD.encode("somebody-wrote-this")}});
        assert!(scene.api().change_by_hand(&format!("{SECRETS}/{PASSWORD}"), &edited));
        until(&scene, |scene| {
            scene.stored("orders").unwrap()["status"]["conditions"]
                .to_string()
                .contains("PasswordLost")
        })
        .await;
        assert!(!is_bound(&recorded(&scene, "orders")), "it was not matched");
    });
}

#[test]
fn an_upgrade_at_any_instant_of_a_creation_loses_no_password() {
    for effect in 0..10 {
        for phase in Phase::ALL {
            simulate(async || {
                let scene = scene();
                scene.project("orders", json!({}));
                let plan = [Plan { effect, phase }];
                let done = |scene: &Scene| {
                    scene.is_ready("orders") && is_bound(&recorded(scene, "orders"))
                };
                let driver = Driver::new(&scene);
                let ending = driver
                    .run(&Faults::new(&plan), LIMIT, done, |scene, _| {
                        make_former(scene);
                    })
                    .await;
                assert!(
                    matches!(ending, Ending::Done(_)),
                    "{plan:?} {:#?}",
                    scene.stored("orders")
                );
                assert_eq!(scene.world().ledger().created().count(), 1, "{plan:?}");
                let resets = calls(&scene, &Method::PATCH, "/database/password");
                assert_eq!(resets, 0, "{plan:?}");
                assert_eq!(
                    scene.secret_value("orders-supabase", "SUPABASE_DB_PASSWORD"),
                    scene.secret_value(PASSWORD, "password"),
                    "{plan:?}"
                );
            });
        }
    }
}
