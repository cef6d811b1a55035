//! What one process remembers never makes it do or say something else than a new one would: everything here is one process from
//! beginning to end.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use simulated_apiserver::{Fate, Fault as Refusal};
use simulated_platform::{Config, Fault, FaultKind, Plan as Subscription, Status};
use supabase_operator::rules::clock::Clock as _;
use tokio::time::Instant;

use crate::sim::{AUTH_CONFIGS, Driver, Ending, Faults, PROJECTS, SECRETS, Scene, Seed, simulate};

/// Somebody does something, and within so long something holds.
struct Act {
    what: &'static str,
    hand: fn(&Scene),
    until: fn(&Scene) -> bool,
    within: Duration,
}

const fn act(what: &'static str, within: u64, hand: fn(&Scene), until: fn(&Scene) -> bool) -> Act {
    Act { what, hand, until, within: Duration::from_secs(within) }
}

/// Plays the acts, one after the other. `always` is looked at whenever something may have changed.
async fn play(driver: &Driver, scene: &Scene, acts: &[Act], always: impl Fn(&Scene)) {
    let (current, begun) = (Cell::new(None::<usize>), Cell::new(Instant::now()));
    let late = RefCell::new(None);
    let done = |scene: &Scene| {
        always(scene);
        loop {
            let number = match current.get() {
                Some(number) if number < acts.len() => {
                    if !(acts[number].until)(scene) {
                        if begun.get().elapsed() > acts[number].within {
                            late.replace(Some(acts[number].what));
                            return true;
                        }
                        return false;
                    }
                    number + 1
                }
                Some(_) => return true,
                None => 0,
            };
            current.set(Some(number));
            begun.set(Instant::now());
            if let Some(act) = acts.get(number) {
                (act.hand)(scene);
            }
        }
    };
    let limit = Duration::from_secs(24 * 3600);
    let ending = driver.run(&Faults::new(&[]), limit, done, |_, _| {}).await;
    let late = late.into_inner();
    assert!(
        matches!(ending, Ending::Done(_)) && late.is_none(),
        "{late:?}: {:#}\n{:#}",
        scene.stored("orders").unwrap_or_default()["status"],
        auth(scene)["status"]
    );
}

fn scene(platform: Config) -> Scene {
    let scene = Scene::new(&Seed { platform, random: 41, oauth: false });
    scene.world().set_plan("acme", Subscription::Pro);
    scene
}

fn auth(scene: &Scene) -> Value {
    scene.get(&format!("{AUTH_CONFIGS}/auth")).unwrap_or_default()
}

fn declare_auth(scene: &Scene, more: Value) {
    let mut spec = json!({"projectRef": {"name": "orders"}, "siteURL": "https://shop.example"});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    scene.make(AUTH_CONFIGS, "SupabaseAuthConfig", "auth", spec);
}

fn change(scene: &Scene, spec: Value) {
    assert!(scene.api().change_by_hand(&format!("{PROJECTS}/orders"), &json!({"spec": spec})));
}

fn says(object: &Value, kind: &str, truth: &str, reason: &str) -> bool {
    Scene::condition(object, kind) == Some((truth.to_owned(), reason.to_owned()))
}

fn project_says(scene: &Scene, kind: &str, truth: &str, reason: &str) -> bool {
    says(&scene.stored("orders").unwrap_or_default(), kind, truth, reason)
}

fn auth_says(scene: &Scene, kind: &str, truth: &str, reason: &str) -> bool {
    says(&auth(scene), kind, truth, reason)
}

fn auth_in_force(scene: &Scene) -> bool {
    let auth = auth(scene);
    auth["status"]["observedGeneration"] == auth["metadata"]["generation"]
        && says(&auth, "Ready", "True", "Available")
        && says(&auth, "Synced", "True", "InSync")
}

fn in_force(scene: &Scene) -> bool {
    scene.is_ready("orders")
        && project_says(scene, "Synced", "True", "InSync")
        && Scene::condition(&scene.stored("orders").unwrap(), "Reconciling").is_none()
}

fn reference(scene: &Scene) -> String {
    scene.stored("orders").unwrap()["status"]["ref"].as_str().unwrap().to_owned()
}

fn site_url(scene: &Scene) -> Value {
    let reference = reference(scene);
    scene.world().auth_setting(&reference, "site_url").unwrap_or_default()
}

/// The status never says that all is in sync beside a list of what is not.
fn never_contradicts_itself(scene: &Scene) {
    for object in [scene.stored("orders").unwrap_or_default(), auth(scene)] {
        let drift = object["status"]["drift"].as_array().is_some_and(|drift| !drift.is_empty());
        let synced = Scene::condition(&object, "Synced").is_some_and(|(truth, _)| truth == "True");
        assert!(!(drift && synced), "{:#}", object["status"]);
    }
}

#[test]
fn auth_settings_that_were_out_of_reach_are_in_force_soon_after() {
    simulate(async || {
        let scene = scene(Config::instant());
        scene.project("orders", json!({}));
        declare_auth(&scene, json!({}));
        let acts = [
            act("set", 600, |_| {}, auth_in_force),
            act(
                "paused by hand",
                600,
                |scene| {
                    let (reference, now) = (reference(scene), scene.clock.now());
                    scene.world().pause_by_hand(&reference, now);
                },
                |scene| auth_says(scene, "Ready", "False", "ProjectNotReady"),
            ),
            act(
                "awake",
                300,
                |scene| {
                    let (reference, now) = (reference(scene), scene.clock.now());
                    scene.world().set_status(&reference, Status::ActiveHealthy, now);
                },
                auth_in_force,
            ),
            act(
                "suspended with the project",
                300,
                |scene| change(scene, json!({"suspend": true})),
                |scene| {
                    auth_says(scene, "Synced", "Unknown", "Suspended")
                        && project_says(scene, "Synced", "Unknown", "Suspended")
                },
            ),
            act(
                "no more",
                300,
                |scene| change(scene, json!({"suspend": false})),
                |scene| auth_in_force(scene) && in_force(scene),
            ),
            act(
                "left by the project's policy",
                300,
                |scene| {
                    change(scene, json!({"driftPolicy": "Report"}));
                    let reference = reference(scene);
                    let others = json!({"site_url": "https://elsewhere.example"});
                    let now = scene.clock.now();
                    scene.world().set_by_hand(&reference, "config/auth", &others, now).unwrap();
                },
                |scene| auth_says(scene, "Synced", "False", "Reported"),
            ),
            act(
                "set back once the project's policy says so",
                300,
                |scene| change(scene, json!({"driftPolicy": "Correct"})),
                |scene| auth_in_force(scene) && site_url(scene) == "https://shop.example",
            ),
        ];
        play(&Driver::new(&scene), &scene, &acts, never_contradicts_itself).await;
    });
}

#[test]
fn a_project_that_is_made_anew_gets_its_auth_settings_whatever_the_policy() {
    for policy in ["Correct", "Report"] {
        simulate(async || {
            let scene = scene(Config::instant());
            scene.project("orders", json!({"deletionPolicy": "Delete"}));
            declare_auth(&scene, json!({"driftPolicy": policy}));
            let acts = [
                act("set", 600, |_| {}, auth_in_force),
                act(
                    "gone",
                    600,
                    |scene| {
                        assert!(scene.api().delete_by_hand(&format!("{PROJECTS}/orders")));
                    },
                    |scene| scene.stored("orders").is_none(),
                ),
                act(
                    "made anew",
                    600,
                    |scene| scene.project("orders", json!({"deletionPolicy": "Delete"})),
                    |scene| scene.is_ready("orders"),
                ),
                act(
                    "set there too",
                    300,
                    |_| {},
                    |scene| auth_in_force(scene) && site_url(scene) == "https://shop.example",
                ),
            ];
            play(&Driver::new(&scene), &scene, &acts, never_contradicts_itself).await;
        });
    }
}

#[test]
fn a_setting_that_cannot_be_sent_is_told_also_where_keys_come_late() {
    simulate(async || {
        let platform = Config { keys_lag: Duration::from_secs(60), ..Config::instant() };
        let scene = scene(platform);
        scene.project("orders", json!({"database": {"parameters": {"nonsense": "1"}}}));
        let acts = [
            act("ready", 600, |_| {}, |scene| scene.is_ready("orders")),
            act("told for good", 4 * 3600, |_| {}, {
                fn over(scene: &Scene) -> bool {
                    scene.clock.uptime() > Duration::from_secs(3 * 3600)
                }
                over
            }),
        ];
        let told = |scene: &Scene| {
            never_contradicts_itself(scene);
            let ready = scene.is_ready("orders");
            assert!(
                !ready || project_says(scene, "Synced", "False", "InvalidSpec"),
                "{:#}",
                scene.stored("orders").unwrap()["status"]
            );
        };
        play(&Driver::new(&scene), &scene, &acts[..1], told).await;
        play(&Driver::new(&scene), &scene, &acts, told).await;
    });
}

/// A status that could not be stored is found again, whichever it was.
#[test]
fn what_could_not_be_stored_is_told_all_the_same() {
    for (path, skip) in (0..8)
        .map(|skip| ("/supabaseauthconfigs/auth/status", skip))
        .chain((0..10).map(|skip| ("/supabaseprojects/orders/status", skip)))
    {
        for fate in [Fate::Refused(503), Fate::Refused(409), Fate::LostAfter] {
            simulate(async || {
                let scene = scene(Config::instant());
                scene.project("orders", json!({"dataAPI": {"maxRows": 500}}));
                declare_auth(&scene, json!({}));
                scene.script().push(Refusal::on("PATCH", path, fate).skip(skip));
                let acts =
                    [act("set", 900, |_| {}, |scene| auth_in_force(scene) && in_force(scene))];
                play(&Driver::new(&scene), &scene, &acts, never_contradicts_itself).await;
            });
        }
    }
}

#[test]
fn a_difference_that_is_only_reported_stays_told_whatever_else_is_told_meanwhile() {
    simulate(async || {
        let scene = scene(Config::instant());
        scene.project("orders", json!({"dataAPI": {"maxRows": 500}, "driftPolicy": "Report"}));
        let acts = [
            act("set", 600, |_| {}, in_force),
            act(
                "changed by others",
                600,
                |scene| {
                    let reference = reference(scene);
                    let (others, now) = (json!({"max_rows": 7}), scene.clock.now());
                    scene.world().set_by_hand(&reference, "postgrest", &others, now).unwrap();
                    scene.request("orders", "now");
                },
                |scene| project_says(scene, "Synced", "False", "Reported"),
            ),
            act(
                "the list fails for long",
                3600,
                |scene| {
                    let broken = FaultKind::Status(404, "{}".to_owned());
                    let list = "/v1/organizations/*/projects";
                    scene.world().script(Fault::on("GET", list, broken).times(10));
                },
                |scene| {
                    let stored = scene.stored("orders").unwrap();
                    Scene::condition(&stored, "Synced").is_some_and(|(truth, _)| truth == "Unknown")
                },
            ),
            act(
                "the list works",
                3600,
                |_| {},
                |scene| project_says(scene, "Synced", "False", "Reported"),
            ),
        ];
        play(&Driver::new(&scene), &scene, &acts, never_contradicts_itself).await;
    });
}

/// Creates with a record that is not stored the first time, and then a call whose answer is lost.
fn lose_the_record_and_the_answer(fate: Fate) -> Scene {
    let platform = Config {
        names_unique: false,
        list_visibility_lag: Duration::from_secs(100),
        ..Config::instant()
    };
    let scene = scene(platform);
    scene.project("orders", json!({"deletionPolicy": "Delete"}));
    scene.script().push(Refusal::on("PATCH", "/supabaseprojects/orders/status", fate));
    scene.world().script(Fault::on("POST", "/v1/projects", FaultKind::DropAfter));
    scene
}

#[test]
fn a_call_that_was_sent_is_looked_for_although_the_record_of_one_before_was_not_stored() {
    for fate in [Fate::Refused(409), Fate::Refused(503), Fate::LostBefore, Fate::LostAfter] {
        simulate(async || {
            let scene = lose_the_record_and_the_answer(fate);
            let acts = [act("ready", 1800, |_| {}, |scene| scene.is_ready("orders"))];
            play(&Driver::new(&scene), &scene, &acts, |_| {}).await;
            let world = scene.world();
            assert_eq!(world.ledger().created().count(), 1, "{fate:?}");
            assert_eq!(world.ledger().count(&Method::POST, "/v1/projects"), 1, "{fate:?}");
        });
        simulate(async || {
            let scene = lose_the_record_and_the_answer(fate);
            let acts = [
                act("sent", 600, |_| {}, |scene| scene.world().ledger().created().count() == 1),
                act(
                    "deleted",
                    1800,
                    |scene| assert!(scene.api().delete_by_hand(&format!("{PROJECTS}/orders"))),
                    |scene| scene.stored("orders").is_none(),
                ),
            ];
            play(&Driver::new(&scene), &scene, &acts, |_| {}).await;
            let left = scene.world().projects().count();
            assert_eq!(left, 0, "{fate:?}: what was made goes with the object");
        });
    }
}

/// Lists and addresses show a project late, and the operator's clock runs ahead of the platform's.
#[test]
fn a_new_project_that_is_not_shown_yet_is_not_given_up_by_a_clock_that_is_ahead() {
    simulate(async || {
        let late = Duration::from_secs(100);
        let scene = scene(Config {
            list_visibility_lag: late,
            get_visibility_lag: late,
            ..Config::instant()
        });
        scene.project("orders", json!({"deletionPolicy": "Delete"}));
        let mut driver = Driver::new(&scene);
        driver.ahead = Duration::from_secs(540);
        let acts = [
            act(
                "known",
                600,
                |_| {},
                |scene| {
                    scene.stored("orders").is_some_and(|stored| stored["status"]["ref"].is_string())
                },
            ),
            act(
                "deleted",
                1800,
                |scene| assert!(scene.api().delete_by_hand(&format!("{PROJECTS}/orders"))),
                |scene| scene.stored("orders").is_none(),
            ),
        ];
        let never_lost = |scene: &Scene| {
            assert!(!project_says(scene, "Ready", "False", "RemoteDeleted"));
        };
        play(&driver, &scene, &acts, never_lost).await;
        assert_eq!(scene.world().projects().count(), 0, "what was made goes with the object");
    });
}

const PASSWORD: &str = "orders-supabase-password";

fn is_labelled(scene: &Scene) -> bool {
    let secret = scene.get(&format!("{SECRETS}/{PASSWORD}")).unwrap_or_default();
    secret["metadata"]["labels"]["supabase-operator.dev/ref"].is_string()
}

/// Takes the label off, now and whenever it is there again.
fn strip(scene: &Scene) {
    let none = json!({"metadata": {"labels": {"supabase-operator.dev/ref": null}}});
    assert!(scene.api().change_by_hand(&format!("{SECRETS}/{PASSWORD}"), &none));
    scene.when(is_labelled, strip);
}

/// A webhook, say: the label is taken off as often as it is put on.
#[test]
fn marks_that_somebody_takes_off_the_password_secret_hold_nothing_up() {
    simulate(async || {
        let scene = scene(Config::instant());
        scene.project("orders", json!({}));
        scene.when(is_labelled, strip);
        let acts = [
            act("ready", 600, |_| {}, |scene| scene.is_ready("orders")),
            act(
                "an hour",
                7200,
                |_| {},
                |scene| scene.clock.uptime() > Duration::from_secs(2 * 3600),
            ),
        ];
        play(&Driver::new(&scene), &scene, &acts, |_| {}).await;
        let api = scene.api();
        let writes = api.ledger().writes_of("secrets");
        let ours = writes.filter(|one| !one.by_hand && one.name == PASSWORD);
        let count = ours.count();
        assert!(count < 30, "{count} writes");
    });
}

#[test]
fn what_the_api_server_does_not_let_be_read_is_said() {
    for path in ["/secrets/orders-supabase-password", "/secrets/orders-supabase", "/secrets/own"] {
        simulate(async || {
            let scene = scene(Config::instant());
            let own = json!({"secretKeyRef": {"name": "own", "key": "password"}});
            scene.secret("own", &[("password", "a-password-of-ones-own")]);
            scene.project("orders", json!({"database": {"password": own}}));
            play(
                &Driver::new(&scene),
                &scene,
                &[act("ready", 600, |_| {}, |scene| scene.is_ready("orders"))],
                |_| {},
            )
            .await;
            scene.script().push(Refusal::on("GET", path, Fate::Refused(403)).times(20));
            scene.request("orders", "now");
            let acts = [
                act(
                    "said",
                    600,
                    |_| {},
                    |scene| {
                        let stored = scene.stored("orders").unwrap();
                        let text = stored["status"]["conditions"].to_string();
                        text.contains("the operator lacks the right")
                            && project_says(scene, "Ready", "False", "Retrying")
                    },
                ),
                act("mended", 8 * 3600, |_| {}, |scene| scene.is_ready("orders")),
            ];
            play(&Driver::new(&scene), &scene, &acts, |_| {}).await;
        });
    }
}
