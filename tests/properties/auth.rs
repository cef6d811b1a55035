//! Auth settings of a project: what is declared is in force, secrets go out as seldom as they must, and whatever stands in the way
//! names its field.

use std::time::Duration;

use serde_json::{Value, json};
use simulated_platform::{Config, Fault, FaultKind, Plan as Subscription};
use supabase_operator::rules::clock::Clock as _;

use crate::sim::{AUTH_CONFIGS, Driver, Ending, Faults, Phase, Plan, Scene, Seed, simulate};

const LIMIT: Duration = Duration::from_secs(6 * 3600);
/// Nothing but this must ever be seen where people look.
const SECRET: &str = "canary-7fQ2-smtp-password";

fn scene() -> Scene {
    let scene = Scene::new(&Seed { platform: Config::instant(), random: 11, oauth: false });
    scene.project("orders", json!({}));
    scene.secret("smtp", &[("password", SECRET)]);
    scene
}

fn smtp() -> Value {
    json!({
        "host": "smtp.example", "port": 587, "username": "apikey", "senderEmail": "no-reply@shop.example",
        "senderName": "Shop", "password": {"secretKeyRef": {"name": "smtp", "key": "password"}},
    })
}

fn everything() -> Value {
    json!({
        "siteURL": "https://shop.example", "redirectURLs": ["https://shop.example/**"], "smtp": smtp(),
        "email": {"minIntervalSeconds": 30}, "rateLimits": {"emailSent": 100},
    })
}

fn apply(scene: &Scene, name: &str, more: &Value) {
    let mut spec = json!({"projectRef": {"name": "orders"}});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let path = format!("{AUTH_CONFIGS}/{name}");
    if scene.get(&path).is_some() {
        assert!(scene.api().change_by_hand(&path, &json!({"spec": more})));
    } else {
        scene.make(AUTH_CONFIGS, "SupabaseAuthConfig", name, spec);
    }
}

fn stored(scene: &Scene, name: &str) -> Value {
    scene.get(&format!("{AUTH_CONFIGS}/{name}")).unwrap_or_default()
}

fn is(scene: &Scene, name: &str, kind: &str, status: &str, reason: &str) -> bool {
    let object = stored(scene, name);
    object["status"]["observedGeneration"] == object["metadata"]["generation"]
        && Scene::condition(&object, kind) == Some((status.to_owned(), reason.to_owned()))
}

fn in_force(scene: &Scene) -> bool {
    is(scene, "auth", "Ready", "True", "Available") && is(scene, "auth", "Synced", "True", "InSync")
}

async fn until(scene: &Scene, what: &str, done: impl Fn(&Scene) -> bool) {
    let ending = Driver::new(scene).run(&Faults::new(&[]), LIMIT, done, |_, _| {}).await;
    assert!(matches!(ending, Ending::Done(_)), "{what}: {:#}", stored(scene, "auth"));
}

/// Lets the operator work for so long.
async fn pass(scene: &Scene, time: Duration) {
    let end = tokio::time::Instant::now() + time;
    let over = |_: &Scene| tokio::time::Instant::now() >= end;
    let ending = Driver::new(scene).run(&Faults::new(&[]), LIMIT, over, |_, _| {}).await;
    assert!(matches!(ending, Ending::Done(_)));
}

fn reference(scene: &Scene) -> String {
    scene.stored("orders").unwrap()["status"]["ref"].as_str().unwrap().to_owned()
}

fn on_platform(scene: &Scene, key: &str) -> Value {
    let reference = reference(scene);
    scene.world().auth_setting(&reference, key).unwrap_or_default()
}

/// How often a field was sent over the API.
fn sent(scene: &Scene, key: &str) -> usize {
    let reference = reference(scene);
    let world = scene.world();
    let writes = world.ledger().writes(&reference, "config/auth");
    writes.filter(|keys| keys.iter().any(|one| one == key)).count()
}

/// No byte of the secret is where people look.
fn leaks_nothing(scene: &Scene) {
    let api = scene.api();
    for write in api.ledger().writes().iter().filter(|write| write.resource != "secrets") {
        let text = write.after.as_ref().map(Value::to_string).unwrap_or_default();
        assert!(!text.contains("canary-7fQ2"), "{} {}", write.resource, write.name);
    }
}

#[test]
fn what_is_declared_is_in_force_and_the_password_is_sent_once() {
    simulate(async || {
        let scene = scene();
        apply(&scene, "auth", &everything());
        until(&scene, "set", in_force).await;
        for (key, value) in [
            ("site_url", json!("https://shop.example")),
            ("uri_allow_list", json!("https://shop.example/**")),
            ("smtp_host", json!("smtp.example")),
            ("smtp_port", json!("587")),
            ("smtp_user", json!("apikey")),
            ("smtp_admin_email", json!("no-reply@shop.example")),
            ("smtp_sender_name", json!("Shop")),
            ("smtp_pass", json!(SECRET)),
            ("smtp_max_frequency", json!(30)),
            ("rate_limit_email_sent", json!(100)),
        ] {
            assert_eq!(on_platform(&scene, key), value, "{key}");
        }
        assert_eq!(sent(&scene, "smtp_pass"), 1);
        // Nothing changes, whatever time passes and whoever leads.
        pass(&scene, Duration::from_secs(3 * 3600)).await;
        assert_eq!(sent(&scene, "smtp_pass"), 1);
        assert_eq!(sent(&scene, "site_url"), 1);
        leaks_nothing(&scene);

        // Another value of the Secret is sent, once, without anybody touching the object.
        scene.secret("smtp", &[("password", "canary-7fQ2-rotated")]);
        until(&scene, "rotated", |scene| on_platform(scene, "smtp_pass") == "canary-7fQ2-rotated")
            .await;
        pass(&scene, Duration::from_secs(2 * 3600)).await;
        assert_eq!(sent(&scene, "smtp_pass"), 2);
        leaks_nothing(&scene);

        // Off alone, and on again.
        apply(&scene, "auth", &json!({"smtp": {"enabled": false}, "rateLimits": null}));
        until(&scene, "off", |scene| {
            in_force(scene) && on_platform(scene, "smtp_host").as_str().unwrap_or("").is_empty()
        })
        .await;
        apply(&scene, "auth", &json!({"smtp": {"enabled": true}}));
        until(&scene, "on again", |scene| {
            in_force(scene) && on_platform(scene, "smtp_host") == "smtp.example"
        })
        .await;
        leaks_nothing(&scene);
    });
}

#[test]
fn whatever_stands_in_the_way_names_its_field_and_holds_nothing_else_back() {
    simulate(async || {
        let scene = scene();
        let mut spec = everything();
        spec["smtp"]["password"]["secretKeyRef"]["name"] = json!("nowhere");
        apply(&scene, "auth", &spec);
        until(&scene, "the Secret is missing", |scene| {
            is(scene, "auth", "Synced", "False", "SecretMissing")
                && on_platform(scene, "site_url") == "https://shop.example"
        })
        .await;
        let said = stored(&scene, "auth").to_string();
        assert!(said.contains("smtp.password") && said.contains("nowhere"), "{said}");
        scene.secret("nowhere", &[("password", SECRET)]);
        until(&scene, "it is there", in_force).await;

        // The platform takes the limit only with a mail server of one's own.
        let scene = self::scene();
        apply(
            &scene,
            "auth",
            &json!({"siteURL": "https://a.example", "rateLimits": {"emailSent": 50}}),
        );
        until(&scene, "refused", |scene| {
            is(scene, "auth", "Synced", "False", "Refused")
                && on_platform(scene, "site_url") == "https://a.example"
        })
        .await;
        assert_eq!(stored(&scene, "auth")["status"]["drift"][0]["path"], "rateLimits.emailSent");
        assert!(scene.is_ready("orders"), "the project does not notice");
        let connection =
            scene.get(&format!("{}/acme", AUTH_CONFIGS.replace("authconfigs", "connections")));
        let ready = Scene::condition(&connection.unwrap(), "Ready").unwrap();
        assert_eq!(ready.0, "True", "a 401 about a field is no dead token");
        apply(&scene, "auth", &json!({"smtp": smtp()}));
        until(&scene, "with a mail server", |scene| {
            in_force(scene) && on_platform(scene, "rate_limit_email_sent") == 50
        })
        .await;

        // No project, none that is active, and then one that is.
        let scene = Scene::new(&Seed { platform: Config::instant(), random: 11, oauth: false });
        scene.secret("smtp", &[("password", SECRET)]);
        apply(&scene, "auth", &everything());
        until(&scene, "no project", |scene| is(scene, "auth", "Ready", "False", "ProjectNotFound"))
            .await;
        scene.project("orders", json!({}));
        until(&scene, "a project", in_force).await;
        scene.world().pause_by_hand(&reference(&scene), scene.clock.now());
        pass(&scene, Duration::from_secs(7200)).await;
        until(&scene, "paused", |scene| {
            is(scene, "auth", "ProjectReady", "False", "ProjectNotReady")
        })
        .await;
    });
}

#[test]
fn drift_is_set_back_or_told_and_what_does_not_hold_is_left() {
    simulate(async || {
        let foreign = |scene: &Scene| {
            let (reference, now) = (reference(scene), scene.clock.now());
            let change = json!({"site_url": "https://elsewhere.example"});
            assert!(scene.world().set_by_hand(&reference, "config/auth", &change, now).is_ok());
        };
        let scene = scene();
        apply(&scene, "auth", &json!({"siteURL": "https://shop.example"}));
        until(&scene, "set", in_force).await;
        foreign(&scene);
        until(&scene, "set back", |scene| on_platform(scene, "site_url") == "https://shop.example")
            .await;

        apply(&scene, "auth", &json!({"driftPolicy": "Report"}));
        until(&scene, "still in force", in_force).await;
        foreign(&scene);
        until(&scene, "told", |scene| is(scene, "auth", "Synced", "False", "Reported")).await;
        let drift = stored(&scene, "auth")["status"]["drift"][0].clone();
        assert_eq!(
            (&drift["path"], &drift["desired"], &drift["observed"]),
            (
                &json!("siteURL"),
                &json!("https://shop.example"),
                &json!("https://elsewhere.example")
            )
        );
        assert!(drift["since"].is_string() && is(&scene, "auth", "Ready", "True", "Available"));
        apply(&scene, "auth", &json!({"siteURL": "https://new.example"}));
        until(&scene, "a change of the spec is written", |scene| {
            in_force(scene) && on_platform(scene, "site_url") == "https://new.example"
        })
        .await;

        let before = sent(&scene, "site_url");
        apply(
            &scene,
            "auth",
            &json!({"managementPolicy": "Observe", "siteURL": "https://never.example"}),
        );
        until(&scene, "observed", |scene| is(scene, "auth", "Synced", "False", "Reported")).await;
        pass(&scene, Duration::from_secs(3 * 3600)).await;
        assert_eq!(sent(&scene, "site_url"), before, "Observe never writes");
    });
}

#[test]
fn the_oldest_object_holds_the_settings_of_a_project() {
    simulate(async || {
        let scene = scene();
        apply(&scene, "auth", &json!({"siteURL": "https://first.example"}));
        until(&scene, "the first", in_force).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        apply(&scene, "late", &json!({"siteURL": "https://second.example"}));
        until(&scene, "the second", |scene| {
            is(scene, "late", "Ready", "False", "OwnershipConflict")
        })
        .await;
        assert_eq!(on_platform(&scene, "site_url"), "https://first.example");
        // One process sees the first go, and the second follows at once.
        let began = std::cell::Cell::new(None);
        let done = |scene: &Scene| {
            if began.get().is_none() && is(scene, "late", "Ready", "False", "OwnershipConflict") {
                assert!(scene.api().delete_by_hand(&format!("{AUTH_CONFIGS}/auth")));
                began.set(Some(tokio::time::Instant::now()));
            }
            is(scene, "late", "Ready", "True", "Available")
        };
        let ending = Driver::new(&scene).run(&Faults::new(&[]), LIMIT, done, |_, _| {}).await;
        assert!(matches!(ending, Ending::Done(_)), "{:#}", stored(&scene, "late"));
        assert!(began.get().unwrap().elapsed() < Duration::from_secs(60));
        assert_eq!(on_platform(&scene, "site_url"), "https://second.example");
    });
}

#[test]
fn a_plan_or_an_answer_that_fails_marks_the_path_and_is_tried_again() {
    simulate(async || {
        let scene = scene();
        scene.world().set_plan("acme", Subscription::Free);
        // The endpoint fails for a while: nothing is concluded from it.
        let broken = FaultKind::Status(500, "{}".to_owned());
        scene.world().script(Fault::on("PATCH", "/v1/projects/*/config/auth", broken).times(3));
        apply(&scene, "auth", &everything());
        until(&scene, "after failures", in_force).await;
        let ready = Scene::condition(&scene.stored("orders").unwrap(), "Ready").unwrap();
        assert_eq!(ready.0, "True");
    });
}

/// Crashes before, during and after every effect, and once more during the recovery: what is declared is in force, and the
/// secret was sent at most once more for each crash.
#[test]
fn crashes_anywhere_end_in_the_declared_state() {
    let run = |plans: &[Plan]| {
        simulate(async || {
            let scene = scene();
            until(&scene, "the project", |scene| scene.is_ready("orders")).await;
            apply(&scene, "auth", &everything());
            let faults = Faults::new(plans);
            let ending = Driver::new(&scene).run(&faults, LIMIT, in_force, |_, _| {}).await;
            assert!(matches!(ending, Ending::Done(_)), "{plans:?}: {:#}", stored(&scene, "auth"));
            assert_eq!(on_platform(&scene, "smtp_pass"), SECRET, "{plans:?}");
            assert_eq!(on_platform(&scene, "rate_limit_email_sent"), 100, "{plans:?}");
            assert!(sent(&scene, "smtp_pass") <= 1 + plans.len(), "{plans:?}");
            leaks_nothing(&scene);
            faults.count()
        })
    };
    let effects = run(&[]);
    assert!((4..40).contains(&effects), "{effects}");
    for effect in 0..effects {
        for phase in Phase::ALL {
            let first = Plan { effect, phase };
            let again = run(&[first]);
            for second in 0..again {
                for phase in Phase::AGAIN {
                    run(&[first, Plan { effect: second, phase }]);
                }
            }
        }
    }
}
