//! The operator's own key is another one: the chart was installed anew, or somebody deleted the Secret.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use simulated_platform::Config;

use crate::sim::{Driver, Ending, Faults, SECRETS, Scene, Seed, simulate};

const KEYS: &str = "/api/v1/namespaces/supabase-system/secrets/supabase-operator-keys";
const LIMIT: Duration = Duration::from_secs(1800);

async fn until(scene: &Scene, lease: &str, done: impl Fn(&Scene) -> bool) {
    let mut driver = Driver::new(scene);
    lease.clone_into(&mut driver.options.lease_name);
    let ending = driver.run(&Faults::new(&[]), LIMIT, done, |_, _| {}).await;
    assert!(matches!(ending, Ending::Done(_)), "{:#?}", scene.stored("orders"));
}

fn digest(scene: &Scene) -> Value {
    scene.stored("orders").unwrap()["status"]["credentials"]["passwordDigest"].clone()
}

fn resets(scene: &Scene) -> usize {
    let world = scene.world();
    let seen = world.ledger().seen().iter();
    seen.filter(|seen| seen.method != Method::GET && seen.path.ends_with("/database/password"))
        .count()
}

/// Writes of Secrets of `team-a` by the operator.
fn written(scene: &Scene, name: &str) -> usize {
    let api = scene.api();
    let writes = api.ledger().writes();
    writes
        .iter()
        .filter(|write| !write.by_hand && write.resource == "secrets" && write.name == name)
        .count()
}

#[test]
fn another_key_resets_no_password_and_leaves_outputs_as_they_are() {
    for policy in ["Report", "Reset"] {
        simulate(async || {
            let scene = Scene::new(&Seed { platform: Config::instant(), random: 11, oauth: false });
            scene.project("orders", json!({"database": {"password": {"onLost": policy}}}));
            until(&scene, "first", |scene| scene.is_ready("orders")).await;
            let kept = scene.get(&format!("{SECRETS}/orders-supabase-password"));
            let output = scene.get(&format!("{SECRETS}/orders-supabase"));
            let (before, count) = (digest(&scene), written(&scene, "orders-supabase"));
            // Made by hand, since a simulated process would draw the same key again.
            let another =
                json!({"data": {"digest": "QW5vdGhlciBrZXkgb2YgMzIgYnl0ZXMgaW4gdG90YWw="}});
            assert!(scene.api().change_by_hand(KEYS, &another), "the key is kept there");
            until(&scene, "first", |scene| {
                assert!(scene.is_ready("orders"), "{:#?}", scene.stored("orders"));
                digest(scene) != before
                    && scene.stored("orders").unwrap()["status"]["outputs"][0]["digest"]
                        .as_str()
                        .zip(digest(scene).as_str())
                        .is_some_and(|(output, password)| output[..9] == password[..9])
            })
            .await;
            let data = |secret: &Option<Value>| secret.as_ref().unwrap()["data"].clone();
            let now = scene.get(&format!("{SECRETS}/orders-supabase-password"));
            assert_eq!(data(&now), data(&kept));
            assert_eq!(scene.get(&format!("{SECRETS}/orders-supabase")), output);
            assert_eq!(written(&scene, "orders-supabase"), count);
            assert_eq!(resets(&scene), 0);
        });
    }
}

#[test]
fn the_key_does_not_hang_on_the_name_of_the_lease() {
    simulate(async || {
        let scene = Scene::new(&Seed { platform: Config::instant(), random: 12, oauth: false });
        scene.project("orders", json!({}));
        until(&scene, "first", |scene| scene.is_ready("orders")).await;
        let before = scene.stored("orders");
        let started = tokio::time::Instant::now();
        until(&scene, "second", |_| started.elapsed() > Duration::from_secs(1200)).await;
        let api = scene.api();
        let keys: Vec<_> = api
            .all("secrets")
            .filter(|secret| secret["metadata"]["namespace"] == "supabase-system")
            .map(|secret| secret["metadata"]["name"].clone())
            .collect();
        assert_eq!(keys, ["supabase-operator-keys"]);
        drop(api);
        let digests = |stored: &Option<Value>| {
            let status = &stored.as_ref().unwrap()["status"];
            (status["credentials"].clone(), status["outputs"].clone())
        };
        assert_eq!(digests(&scene.stored("orders")), digests(&before));
    });
}
