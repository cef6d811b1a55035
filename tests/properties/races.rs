//! Hands that come in at the worst moment: between what was read and what is done with it.

use std::time::Duration;

use serde_json::json;
use simulated_platform::{Effect, Fault, FaultKind};

use crate::sim::{Driver, Ending, Faults, PROJECTS, SECRETS, Scene, Seed, simulate};

/// A create call is on record, and has not been made.
fn is_about_to_create(scene: &Scene) -> bool {
    let stored = scene.stored("orders").unwrap_or_default();
    let recorded = stored["status"]["creation"]["attempts"][0]["outcome"] == "Pending";
    recorded && scene.world().ledger().created().count() == 0
}

async fn until_ready(scene: &Scene) {
    let ending = Driver::new(scene)
        .run(
            &Faults::new(&[]),
            Duration::from_secs(3600),
            |scene| scene.is_ready("orders"),
            |_, _| {},
        )
        .await;
    let stored = scene.stored("orders").unwrap_or_default();
    assert!(matches!(ending, Ending::Done(_)), "{stored:#}");
}

/// The one project, and whether its password is where it must be.
fn assert_one_project(scene: &Scene) -> String {
    let created: Vec<_> = scene.world().ledger().created().map(str::to_owned).collect();
    let [reference] = created.as_slice() else {
        panic!("created: {created:?}");
    };
    let accepted = scene.world().accepted_password(reference).map(str::to_owned);
    assert_eq!(scene.secret_value("orders-supabase-password", "password"), accepted);
    assert_eq!(scene.secret_value("orders-supabase", "SUPABASE_DB_PASSWORD"), accepted);
    reference.clone()
}

#[test]
fn a_password_edited_right_before_the_create_call_is_not_overtaken_by_the_old_one() {
    simulate(async || {
        let scene = Scene::new(&Seed::default());
        scene.project("orders", json!({}));
        scene.when(is_about_to_create, |scene| {
            scene.secret("orders-supabase-password", &[("password", "edited-by-somebody")]);
        });
        until_ready(&scene).await;
        let reference = assert_one_project(&scene);
        let world = scene.world();
        assert_eq!(world.accepted_password(&reference), Some("edited-by-somebody"));
        let resets = world
            .ledger()
            .accepted()
            .iter()
            .filter(|one| matches!(one.effect, Effect::PasswordChanged { .. }))
            .count();
        assert_eq!(resets, 0, "the password that was sent is the one that was kept");
    });
}

#[test]
fn a_password_secret_that_vanishes_right_before_the_create_call_holds_it_up() {
    simulate(async || {
        let scene = Scene::new(&Seed::default());
        scene.project("orders", json!({}));
        scene.when(is_about_to_create, |scene| {
            let path = format!("{SECRETS}/orders-supabase-password");
            assert!(scene.api().delete_by_hand(&path));
        });
        until_ready(&scene).await;
        assert_one_project(&scene);
    });
}

#[test]
fn an_object_edited_after_it_was_read_is_read_again_before_anything_is_created() {
    simulate(async || {
        let scene = Scene::new(&Seed::default());
        scene.project("orders", json!({}));
        // The password Secret is made between the list and the record of the call.
        let made =
            |scene: &Scene| scene.get(&format!("{SECRETS}/orders-supabase-password")).is_some();
        scene.when(made, |scene| {
            let change = json!({"spec": {"projectName": "another", "compute": {"size": "large"}}});
            assert!(scene.api().change_by_hand(&format!("{PROJECTS}/orders"), &change));
        });
        until_ready(&scene).await;
        let reference = assert_one_project(&scene);
        let world = scene.world();
        let accepted = world.ledger().accepted();
        let created = accepted.iter().find_map(|one| {
            if let Effect::Created { name, size, .. } = &one.effect {
                Some((name.clone(), size.clone()))
            } else {
                None
            }
        });
        let (name, size) = created.unwrap();
        assert!(name.starts_with("another-"), "{name}");
        assert_eq!(size.as_deref(), Some("large"));
        assert_eq!(world.project(&reference).unwrap().name, "another");
    });
}

/// The finalizers of an object.
fn finalizers(scene: &Scene, name: &str) -> Vec<String> {
    let stored = scene.stored(name).unwrap_or_default();
    serde_json::from_value(stored["metadata"]["finalizers"].clone()).unwrap_or_default()
}

#[test]
fn a_new_object_that_was_written_since_it_was_seen_is_read_before_it_is_held() {
    simulate(async || {
        let scene = Scene::new(&Seed::default());
        for name in ["billing", "orders"] {
            scene.project(name, json!({}));
        }
        // Both have been seen when the first one is held.
        let one_is_held = |scene: &Scene| !finalizers(scene, "billing").is_empty();
        scene.when(one_is_held, |scene| {
            assert!(finalizers(scene, "orders").is_empty());
            let change = json!({"metadata": {"finalizers": ["example.com/hold"]}});
            assert!(scene.api().change_by_hand(&format!("{PROJECTS}/orders"), &change));
        });
        until_ready(&scene).await;
        let ours = "supabase-operator.dev/finalizer";
        assert_eq!(finalizers(&scene, "orders"), ["example.com/hold", ours]);
        let trace = scene.take_trace();
        let words = trace.iter().map(|request| request.split([' ', '?']).collect::<Vec<_>>());
        let own = words.filter(|words| words[2].ends_with("/supabaseprojects/orders"));
        let methods: Vec<_> = own.map(|words| words[1].to_owned()).take(3).collect();
        assert_eq!(methods, ["PATCH", "GET", "PATCH"]);
    });
}

#[test]
fn a_supplied_password_that_changes_under_an_open_create_call_does_not_replace_its_own() {
    simulate(async || {
        let scene = Scene::new(&Seed::default());
        scene.secret("supplied", &[("password", "first-of-the-two-passwords")]);
        let supplied = json!({"secretKeyRef": {"name": "supplied", "key": "password"}});
        scene.project("orders", json!({"database": {"password": supplied}}));
        let lost = Fault::on("POST", "/v1/projects", FaultKind::DropBefore);
        scene.world().script(lost);
        scene.when(is_about_to_create, |scene| {
            scene.secret("supplied", &[("password", "second-of-the-two-passwords")]);
        });
        until_ready(&scene).await;
        let world = scene.world();
        let calls = world.ledger().count(&http::Method::POST, "/v1/projects");
        assert_eq!(calls, 2, "the first one was lost");
        let reference = world.ledger().created().next().map(str::to_owned);
        assert_eq!(
            world.accepted_password(&reference.unwrap()),
            Some("first-of-the-two-passwords")
        );
    });
}
