//! Settings of projects: what is declared is in force, or a condition names the field; nobody else is held up.

use std::time::Duration;

use serde_json::{Value, json};
use simulated_platform::{Config, Fault, FaultKind, Plan as Subscription, Status};
use supabase_operator::rules::clock::Clock as _;

use crate::sim::{
    CONNECTIONS, Driver, Ending, Faults, PROJECTS, Phase, Plan, Scene, Seed, simulate,
};

const LIMIT: Duration = Duration::from_secs(12 * 3600);
const SSL: &str = "ssl-enforcement";
const RESTRICTIONS: &str = "network-restrictions";
const DATA_API: &str = "postgrest";
const PARAMETERS: &str = "config/database/postgres";

fn scene(platform: Config) -> Scene {
    let scene = Scene::new(&Seed { platform, random: 17, oauth: false });
    scene.world().set_plan("acme", Subscription::Pro);
    scene
}

fn everything() -> Value {
    json!({
        "database": {
            "sslEnforcement": true,
            "networkRestrictions": {"allowedCIDRs": ["203.0.113.7/24", "2001:db8::/32"]},
            "parameters": {"statement_timeout": "8s", "max_connections": 120},
        },
        "dataAPI": {"schemas": ["public", "api"], "extraSearchPath": ["public", "extensions"], "maxRows": 500, "poolSize": 7},
    })
}

fn change(scene: &Scene, spec: Value) {
    assert!(scene.api().change_by_hand(&format!("{PROJECTS}/orders"), &json!({"spec": spec})));
}

fn is(scene: &Scene, kind: &str, status: &str, reason: &str) -> bool {
    let object = scene.stored("orders").unwrap_or_default();
    object["status"]["observedGeneration"] == object["metadata"]["generation"]
        && Scene::condition(&object, kind) == Some((status.to_owned(), reason.to_owned()))
}

fn in_force(scene: &Scene) -> bool {
    let object = scene.stored("orders").unwrap_or_default();
    is(scene, "Ready", "True", "Available")
        && is(scene, "Synced", "True", "InSync")
        && Scene::condition(&object, "Reconciling").is_none()
}

async fn until(scene: &Scene, what: &str, done: impl Fn(&Scene) -> bool) {
    let ending = Driver::new(scene).run(&Faults::new(&[]), LIMIT, done, |_, _| {}).await;
    assert!(
        matches!(ending, Ending::Done(_)),
        "{what}: {:#}",
        scene.stored("orders").unwrap_or_default()
    );
}

async fn pass(scene: &Scene, time: Duration) {
    let end = tokio::time::Instant::now() + time;
    let over = |_: &Scene| tokio::time::Instant::now() >= end;
    let ending = Driver::new(scene).run(&Faults::new(&[]), LIMIT, over, |_, _| {}).await;
    assert!(matches!(ending, Ending::Done(_)));
}

fn reference(scene: &Scene) -> String {
    scene.stored("orders").unwrap()["status"]["ref"].as_str().unwrap().to_owned()
}

fn on_platform(scene: &Scene, setting: &str) -> Value {
    let (reference, now) = (reference(scene), scene.clock.now());
    scene.world().setting(&reference, setting, now).unwrap()
}

fn by_hand(scene: &Scene, setting: &str, body: &Value) {
    let (reference, now) = (reference(scene), scene.clock.now());
    scene.world().set_by_hand(&reference, setting, body, now).unwrap();
}

fn writes(scene: &Scene, setting: &str) -> usize {
    let reference = reference(scene);
    scene.world().ledger().writes(&reference, setting).count()
}

fn all_writes(scene: &Scene) -> usize {
    [SSL, RESTRICTIONS, DATA_API, PARAMETERS].iter().map(|setting| writes(scene, setting)).sum()
}

#[test]
fn what_is_declared_is_in_force_and_stays_so() {
    simulate(async || {
        // With the platform's own delays: SSL and restrictions come later, and may restart the database.
        let scene = scene(Config::default());
        scene.project("orders", everything());
        until(&scene, "set", in_force).await;
        assert_eq!(on_platform(&scene, SSL)["currentConfig"]["database"], true);
        let restrictions = on_platform(&scene, RESTRICTIONS);
        assert_eq!(restrictions["config"]["dbAllowedCidrs"], json!(["203.0.113.0/24"]));
        assert_eq!(restrictions["config"]["dbAllowedCidrsV6"], json!(["2001:db8::/32"]));
        let api = on_platform(&scene, DATA_API);
        assert_eq!((api["max_rows"].as_i64(), api["db_pool"].as_i64()), (Some(500), Some(7)));
        assert_eq!(api["db_schema"], "public,api");
        let parameters = on_platform(&scene, PARAMETERS);
        assert_eq!(parameters["statement_timeout"], "8s");
        assert_eq!(parameters["max_connections"], 120);
        let before = all_writes(&scene);
        assert!((4..=6).contains(&before), "{before}");
        pass(&scene, Duration::from_secs(5 * 3600)).await;
        assert_eq!(all_writes(&scene), before, "nothing is written when nothing changes");
        assert!(in_force(&scene));
    });
}

#[test]
fn changed_unset_invalid_and_valid_again() {
    simulate(async || {
        let scene = scene(Config::instant());
        scene.project("orders", everything());
        until(&scene, "set", in_force).await;
        change(
            &scene,
            json!({"database": {"sslEnforcement": false, "parameters": {"statement_timeout": "9s", "max_connections": null}}}),
        );
        until(&scene, "changed", |scene| {
            let parameters = on_platform(scene, PARAMETERS);
            in_force(scene)
                && on_platform(scene, SSL)["currentConfig"]["database"] == false
                && parameters["statement_timeout"] == "9s"
                && parameters["max_connections"].is_null()
        })
        .await;
        // Scalars that are declared no more stay as they are; what was an entry of a list is taken back.
        change(
            &scene,
            json!({"database": {"sslEnforcement": null, "parameters": null, "networkRestrictions": null}, "dataAPI": null}),
        );
        until(&scene, "unset", |scene| {
            let object = scene.stored("orders").unwrap();
            in_force(scene) && object["status"]["applied"].as_array().is_none_or(Vec::is_empty)
        })
        .await;
        assert!(on_platform(&scene, PARAMETERS)["statement_timeout"].is_null());
        assert_eq!(on_platform(&scene, DATA_API)["max_rows"], 500, "left as it was");
        let told = |reason: &str| {
            let api = scene.api();
            let all = api.ledger().writes();
            all.iter().any(|write| {
                write.resource == "events"
                    && write.after.as_ref().is_some_and(|event| event["reason"] == reason)
            })
        };
        assert!(told("NoLongerManaged") && told("SettingsApplied"));
        // What the operator knows to be wrong is not sent; what the platform refuses marks its path. Both hold nothing else back.
        change(
            &scene,
            json!({"database": {"parameters": {"no_such_parameter": "1"}}, "dataAPI": {"maxRows": 42}}),
        );
        until(&scene, "invalid", |scene| {
            let object = scene.stored("orders").unwrap();
            let synced = Scene::condition(&object, "Synced").unwrap_or_default();
            synced.0 == "False" && on_platform(scene, DATA_API)["max_rows"] == 42
        })
        .await;
        let said = scene.stored("orders").unwrap()["status"].to_string();
        assert!(said.contains("database.parameters[no_such_parameter]"), "{said}");
        assert!(scene.is_ready("orders"), "the project works all the same");
        change(&scene, json!({"database": {"parameters": null}}));
        until(&scene, "valid again", in_force).await;
    });
}

#[test]
fn drift_is_corrected_told_or_left() {
    simulate(async || {
        let scene = scene(Config::instant());
        scene.project(
            "orders",
            json!({"dataAPI": {"maxRows": 500}, "database": {"sslEnforcement": true}}),
        );
        until(&scene, "set", in_force).await;
        by_hand(&scene, DATA_API, &json!({"max_rows": 7}));
        until(&scene, "set back", |scene| on_platform(scene, DATA_API)["max_rows"] == 500).await;
        assert!(scene.is_ready("orders"));

        // One process sees it drift again and again, and gives up after three corrections.
        let before = writes(&scene, DATA_API);
        let done = |scene: &Scene| {
            if on_platform(scene, DATA_API)["max_rows"] == 500
                && !is(scene, "Synced", "False", "NotHolding")
            {
                by_hand(scene, DATA_API, &json!({"max_rows": 8}));
            }
            is(scene, "Synced", "False", "NotHolding")
        };
        let ending = Driver::new(&scene).run(&Faults::new(&[]), LIMIT, done, |_, _| {}).await;
        assert!(matches!(ending, Ending::Done(_)), "{:#}", scene.stored("orders").unwrap());
        assert_eq!(writes(&scene, DATA_API) - before, 3);
        assert!(scene.is_ready("orders"));
        scene.request("orders", "once more");
        until(&scene, "somebody asked", |scene| on_platform(scene, DATA_API)["max_rows"] == 500)
            .await;

        change(&scene, json!({"driftPolicy": "Report"}));
        until(&scene, "in force under Report", in_force).await;
        by_hand(&scene, SSL, &json!({"requestedConfig": {"database": false}}));
        until(&scene, "told", |scene| is(scene, "Synced", "False", "Reported")).await;
        let drift = scene.stored("orders").unwrap()["status"]["drift"][0].clone();
        assert_eq!(
            (&drift["path"], &drift["desired"], &drift["observed"]),
            (&json!("database.sslEnforcement"), &json!("true"), &json!("false"))
        );
        let written = all_writes(&scene);
        change(&scene, json!({"dataAPI": {"maxRows": 501}}));
        until(&scene, "only what changed", |scene| on_platform(scene, DATA_API)["max_rows"] == 501)
            .await;
        pass(&scene, Duration::from_secs(3 * 3600)).await;
        assert_eq!(all_writes(&scene), written + 1);
    });
}

#[test]
fn what_is_only_observed_is_never_written() {
    simulate(async || {
        let scene = scene(Config::instant());
        let now = scene.clock.now();
        let theirs = scene.world().add_foreign_project("acme", "theirs", now);
        let mut spec = everything();
        let more = json!({
            "managementPolicy": "Observe", "adoption": {"policy": "AdoptOnly", "ref": theirs}, "projectName": "another",
            "powerState": "Paused", "outputs": [],
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        scene.project("orders", spec);
        until(&scene, "observed", |scene| {
            scene.is_ready("orders")
                && scene.stored("orders").unwrap()["status"]["driftCount"].is_i64()
        })
        .await;
        pass(&scene, Duration::from_secs(5 * 3600)).await;
        let changed = scene
            .world()
            .ledger()
            .seen()
            .iter()
            .filter(|seen| seen.method != http::Method::GET && !seen.path.contains("oauth"))
            .count();
        assert_eq!(changed, 0, "Observe never writes: no rename, no pause, no setting");
        let status = scene.stored("orders").unwrap()["status"].clone();
        assert!(status["drift"].as_array().unwrap().len() >= 4, "{status:#}");
    });
}

#[test]
fn an_interface_that_is_off_is_told_whatever_the_policy() {
    for policy in ["Observe", "Full"] {
        simulate(async || {
            let scene = scene(Config::instant());
            let now = scene.clock.now();
            let theirs = scene.world().add_foreign_project("acme", "theirs", now);
            scene.world().set_by_hand(&theirs, DATA_API, &json!({"db_schema": ""}), now).unwrap();
            let spec = json!({
                "managementPolicy": policy, "adoption": {"policy": "AdoptOnly", "ref": theirs}, "dataAPI": {"maxRows": 1},
                "outputs": [],
            });
            scene.project("orders", spec);
            until(&scene, policy, |scene| is(scene, "Synced", "False", "InvalidSpec")).await;
            assert!(scene.is_ready("orders"));
            // Said for as long as it lasts.
            pass(&scene, Duration::from_secs(3 * 3600)).await;
            assert!(is(&scene, "Synced", "False", "InvalidSpec"));
        });
    }
}

/// A retained password is put back in a step of its own: the settings are read for the step after it.
#[test]
fn a_project_that_is_taken_back_has_its_settings_compared() {
    simulate(async || {
        let scene = scene(Config::instant());
        scene.project("orders", json!({"dataAPI": {"maxRows": 500}}));
        until(&scene, "set", in_force).await;
        let reference = reference(&scene);
        assert!(scene.api().delete_by_hand(&format!("{PROJECTS}/orders")));
        until(&scene, "gone", |scene| scene.stored("orders").is_none()).await;
        let adopt = json!({"adoption": {"policy": "AdoptOnly", "ref": reference}, "managementPolicy": "Observe", "dataAPI": {"maxRows": 1}});
        scene.project("orders", adopt);
        until(&scene, "told", |scene| is(scene, "Synced", "False", "Reported")).await;
    });
}

#[test]
fn a_plan_a_right_or_a_broken_endpoint_holds_nobody_up() {
    simulate(async || {
        let scene = scene(Config::instant());
        let broken = FaultKind::Status(500, "{}".to_owned());
        scene.world().script(
            Fault::on("PUT", "/v1/projects/*/ssl-enforcement", broken.clone()).times(1_000_000),
        );
        let forbidden = FaultKind::Status(403, r#"{"message":"no"}"#.to_owned());
        scene.world().script(
            Fault::on("GET", "/v1/projects/*/network-restrictions", forbidden).times(1_000_000),
        );
        let unpaid = FaultKind::Status(402, r#"{"message":"upgrade"}"#.to_owned());
        scene.world().script(
            Fault::on("PUT", "/v1/projects/*/config/database/postgres", unpaid).times(1_000_000),
        );
        scene.project("orders", everything());
        until(&scene, "usable, and what can be is set", |scene| {
            let object = scene.stored("orders").unwrap();
            let ready = Scene::condition(&object, "Ready").unwrap_or_default();
            ready.0 == "True"
                && object["status"]["ref"].is_string()
                && on_platform(scene, DATA_API)["max_rows"] == 500
                && scene.secret_value("orders-supabase", "SUPABASE_URL").is_some()
        })
        .await;
        until(&scene, "told", |scene| {
            let said = scene.stored("orders").unwrap()["status"]["drift"].to_string();
            said.contains("CapabilityUnavailable") && said.contains("PaymentRequired")
        })
        .await;
        let connection = scene.get(&format!("{CONNECTIONS}/acme")).unwrap();
        assert_eq!(Scene::condition(&connection, "Ready").unwrap().0, "True");
        // A broken endpoint is not asked all the time.
        let seen = |scene: &Scene| {
            scene
                .world()
                .ledger()
                .seen()
                .iter()
                .filter(|seen| {
                    seen.method == http::Method::PUT && seen.path.ends_with("ssl-enforcement")
                })
                .count()
        };
        let before = seen(&scene);
        pass(&scene, Duration::from_secs(3600)).await;
        assert!(seen(&scene) - before <= 130, "{}", seen(&scene) - before);
    });
}

fn reads(scene: &Scene, setting: &str) -> usize {
    let world = scene.world();
    let is =
        |method: &http::Method, path: &str| *method == http::Method::GET && path.ends_with(setting);
    world.ledger().seen().iter().filter(|seen| is(&seen.method, &seen.path)).count()
}

#[test]
fn a_read_that_fails_is_tried_again_soon_and_one_that_always_fails_seldom() {
    simulate(async || {
        let scene = scene(Config::instant());
        let broken = FaultKind::Status(500, "{}".to_owned());
        let restrictions = "/v1/projects/*/network-restrictions";
        scene.project("orders", json!({"dataAPI": {"maxRows": 500}}));
        until(&scene, "set", in_force).await;
        scene.world().script(Fault::on("GET", restrictions, broken.clone()).times(3));
        let networks = json!({"networkRestrictions": {"allowedCIDRs": ["203.0.113.0/24"]}});
        change(&scene, json!({"database": networks}));
        let begin = tokio::time::Instant::now();
        until(&scene, "closed", |scene| in_force(scene) && writes(scene, RESTRICTIONS) == 1).await;
        assert!(begin.elapsed() < Duration::from_secs(300), "{:?}", begin.elapsed());

        scene.world().script(Fault::on("GET", restrictions, broken).times(1_000_000));
        change(&scene, json!({"dataAPI": {"maxRows": 400}}));
        until(&scene, "the rest is set", |scene| on_platform(scene, DATA_API)["max_rows"] == 400)
            .await;
        let before = reads(&scene, RESTRICTIONS);
        pass(&scene, Duration::from_secs(6 * 3600)).await;
        let each_hour = (reads(&scene, RESTRICTIONS) - before) / 6;
        assert!(each_hour <= 12, "{each_hour}");
    });
}

#[test]
fn a_paused_project_is_not_read_and_keeps_what_was_said() {
    simulate(async || {
        let scene = scene(Config::instant());
        scene.world().set_plan("acme", Subscription::Free);
        scene.project("orders", json!({"dataAPI": {"maxRows": 500}}));
        until(&scene, "set", in_force).await;
        let (reference, now) = (reference(&scene), scene.clock.now());
        scene.world().pause_by_hand(&reference, now);
        until(&scene, "paused", |scene| {
            scene.stored("orders").unwrap()["status"]["remoteStatus"] == "INACTIVE"
        })
        .await;
        let seen = |scene: &Scene| {
            scene
                .world()
                .ledger()
                .seen()
                .iter()
                .filter(|seen| seen.path.ends_with("postgrest"))
                .count()
        };
        let before = seen(&scene);
        pass(&scene, Duration::from_secs(4 * 3600)).await;
        assert_eq!(seen(&scene), before);
        let now = scene.clock.now();
        scene.world().set_status(&reference, Status::ActiveHealthy, now);
        until(&scene, "awake", in_force).await;
    });
}

#[test]
fn crashes_anywhere_end_in_the_declared_state() {
    let run = |plans: &[Plan]| {
        simulate(async || {
            let scene = scene(Config::instant());
            scene.project("orders", json!({}));
            until(&scene, "the project", |scene| scene.is_ready("orders")).await;
            change(&scene, everything());
            let faults = Faults::new(plans);
            let ending = Driver::new(&scene).run(&faults, LIMIT, in_force, |_, _| {}).await;
            assert!(
                matches!(ending, Ending::Done(_)),
                "{plans:?}: {:#}",
                scene.stored("orders").unwrap()
            );
            assert_eq!(on_platform(&scene, DATA_API)["max_rows"], 500, "{plans:?}");
            assert_eq!(on_platform(&scene, SSL)["currentConfig"]["database"], true, "{plans:?}");
            assert_eq!(on_platform(&scene, PARAMETERS)["statement_timeout"], "8s", "{plans:?}");
            let networks = on_platform(&scene, RESTRICTIONS)["config"]["dbAllowedCidrs"].clone();
            assert_eq!(networks, json!(["203.0.113.0/24"]), "{plans:?}");
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

/// A thousand projects with everything declared: what that costs at rest, and that it is spread over the interval.
#[test]
fn at_rest_each_declared_block_is_read_once_an_interval() {
    const PROJECTS: usize = 1000;
    const HOURS: usize = 3;
    simulate(async || {
        let scene = scene(Config::instant());
        let names: Vec<_> = (0..PROJECTS).map(|number| format!("p{number:04}")).collect();
        for name in &names {
            scene.project(name, everything());
        }
        // A time at which all have long been in force, whatever the rate limit made of the beginning.
        pass(&scene, Duration::from_secs(4 * 3600)).await;
        for name in &names {
            let object = scene.stored(name).unwrap_or_default();
            let synced = Scene::condition(&object, "Synced").unwrap_or_default();
            assert_eq!(synced.0, "True", "{name}: {object:#}");
        }
        let blocks = [SSL, RESTRICTIONS, DATA_API, PARAMETERS];
        let seen = |scene: &Scene| {
            let world = scene.world();
            let calls = world.ledger().seen().len();
            let reads = world.ledger().seen().iter().filter(|seen| {
                seen.method == http::Method::GET
                    && blocks.iter().any(|block| seen.path.ends_with(block))
            });
            (calls, reads.count())
        };
        // One process, looked at every ten minutes.
        let tenth = Duration::from_secs(600);
        let begun = tokio::time::Instant::now();
        let marks = std::cell::RefCell::new(Vec::<(usize, usize)>::new());
        let done = |scene: &Scene| {
            let due = u32::try_from(marks.borrow().len()).unwrap();
            // The first hour is the new process's own.
            if begun.elapsed() >= Duration::from_secs(3600) + tenth * due {
                marks.borrow_mut().push(seen(scene));
            }
            marks.borrow().len() > HOURS * 6
        };
        let ending = Driver::new(&scene).run(&Faults::new(&[]), LIMIT, done, |_, _| {}).await;
        assert!(matches!(ending, Ending::Done(_)));
        let marks = marks.into_inner();
        let between = |one: usize, other: usize| {
            let (first, last) = (marks[one], marks[other]);
            (last.0 - first.0, last.1 - first.1)
        };
        let (calls, reads) = between(0, HOURS * 6);
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let an_hour = |count: usize| count as f64 / (PROJECTS * HOURS) as f64;
        let each: Vec<_> = (0..HOURS * 6).map(|tenth| between(tenth, tenth + 1).1).collect();
        println!(
            "at rest, {PROJECTS} projects with four blocks declared: {:.2} calls a project-hour, {:.2} of them reads of \
             settings; in ten minutes {} to {}",
            an_hour(calls),
            an_hour(reads),
            each.iter().min().unwrap(),
            each.iter().max().unwrap()
        );
        assert!((3.0..=4.5).contains(&an_hour(reads)), "{}", an_hour(reads));
        let mean = reads / each.len();
        assert!(each.iter().all(|count| (mean / 2..=mean * 2).contains(count)), "{each:?}");
    });
}

/// The largest spec, most of which does not come to be: the status says so within 64 KiB.
#[test]
fn the_status_of_the_largest_spec_is_no_larger_than_64_kib() {
    // What the platform takes; the rest of the 64 it does not.
    const KNOWN: [&str; 14] = [
        "effective_cache_size",
        "log_temp_files",
        "logical_decoding_work_mem",
        "maintenance_work_mem",
        "max_slot_wal_keep_size",
        "max_wal_size",
        "wal_keep_size",
        "work_mem",
        "shared_buffers",
        "max_parallel_workers",
        "max_connections",
        "max_worker_processes",
        "max_replication_slots",
        "max_wal_senders",
    ];
    simulate(async || {
        let scene = scene(Config::instant());
        let name = |number: usize, length: usize| format!("{number:a>length$}");
        let value = |known: &str, number: i64| {
            let counts = known.starts_with("max_") && !known.ends_with("size");
            if counts { json!(number) } else { json!(format!("{number}MB")) }
        };
        let mut parameters: serde_json::Map<_, _> =
            KNOWN.iter().map(|known| ((*known).to_owned(), value(known, 64))).collect();
        for number in KNOWN.len()..64 {
            parameters.insert(name(number, 63), json!("v".repeat(128)));
        }
        let networks: Vec<_> = (0..100).map(|number| format!("2001:db8:{number:x}::/48")).collect();
        let schemas: Vec<_> = (0..50).map(|number| name(number, 63)).collect();
        let outputs: Vec<_> = (0..16).map(|number| json!({"name": name(number, 253)})).collect();
        scene.project(
            "orders",
            json!({
                "database": {"sslEnforcement": true, "networkRestrictions": {"allowedCIDRs": networks}, "parameters": parameters},
                "dataAPI": {"schemas": schemas, "extraSearchPath": schemas, "maxRows": 1, "poolSize": 1,
                            "poolAcquisitionTimeoutSeconds": 1},
                "outputs": outputs, "driftPolicy": "Report",
            }),
        );
        until(&scene, "what can be is set", |scene| {
            let applied = scene.stored("orders").unwrap()["status"]["applied"].clone();
            is(scene, "Synced", "False", "InvalidSpec")
                && applied.as_array().map_or(0, Vec::len) >= 17
        })
        .await;
        let changed: serde_json::Map<_, _> =
            KNOWN.iter().map(|known| ((*known).to_owned(), value(known, 63))).collect();
        for (setting, foreign) in [
            (SSL, json!({"requestedConfig": {"database": false}})),
            (RESTRICTIONS, json!({"dbAllowedCidrs": ["192.0.2.0/24"], "dbAllowedCidrsV6": []})),
            (PARAMETERS, Value::Object(changed)),
            (
                DATA_API,
                json!({"db_schema": "public", "db_extra_search_path": "public", "max_rows": 7, "db_pool": 7,
                              "db_pool_acquisition_timeout": 7}),
            ),
        ] {
            by_hand(&scene, setting, &foreign);
        }
        until(&scene, "all of it is told", |scene| {
            scene.stored("orders").unwrap()["status"]["driftCount"].as_i64() >= Some(17)
        })
        .await;
        let status = scene.stored("orders").unwrap()["status"].to_string();
        println!("the status of the largest spec: {} bytes", status.len());
        assert!((8_000..=65_536).contains(&status.len()), "{}", status.len());
    });
}
