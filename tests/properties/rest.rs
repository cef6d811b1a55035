//! What it costs when nothing happens, and what a create costs when nothing goes wrong: exact counts.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use serde_json::json;
use simulated_platform::Config;

use crate::sim::{Driver, Ending, Faults, SECRETS, Scene, Seed, complete, simulate};

const CONFIG_MAPS: &str = "/api/v1/namespaces/team-a/configmaps";

/// Calls to the platform by method and endpoint.
fn calls(scene: &Scene) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for seen in scene.world().ledger().seen() {
        let endpoint = seen.endpoint.unwrap_or("unknown");
        *counts.entry(format!("{} {endpoint}", seen.method)).or_insert(0) += 1;
    }
    counts
}

/// Writes to the API server, events and leases left out.
fn writes(scene: &Scene) -> Vec<String> {
    scene
        .api()
        .ledger()
        .writes()
        .iter()
        .filter(|write| !write.by_hand && write.resource != "events" && write.resource != "leases")
        .map(|write| {
            let shown = write.after.as_ref().map(|after| &after["status"]["remoteStatus"]);
            let shown = shown.and_then(serde_json::Value::as_str).unwrap_or_default();
            format!("{:?} {} {} {shown}", write.verb, write.resource, write.name)
        })
        .collect()
}

#[test]
fn a_create_costs_exactly_these_calls_and_writes() {
    simulate(async || {
        let scene = Scene::new(&Seed { platform: complete(), random: 1, oauth: false });
        let driver = Driver::new(&scene);
        let faults = Faults::new(&[]);
        // The connection is Ready and in use before the project is applied.
        scene.project("earlier", json!({}));
        let applied = std::cell::Cell::new(false);
        let baseline = std::cell::RefCell::new((BTreeMap::new(), 0));
        let done = |scene: &Scene| {
            if !applied.get() && scene.is_ready("earlier") {
                applied.set(true);
                baseline.replace((calls(scene), writes(scene).len()));
                scene.project("orders", json!({}));
            }
            applied.get() && scene.is_ready("orders")
        };
        let ending = driver.run(&faults, Duration::from_secs(900), done, |_, _| {}).await;
        assert!(
            matches!(ending, Ending::Done(_)),
            "{:#}",
            scene.stored("orders").unwrap_or_default()
        );
        let (before, written) = baseline.into_inner();
        let mut made = calls(&scene);
        for (call, count) in before {
            *made.get_mut(&call).unwrap() -= count;
        }
        made.retain(|_, count| *count > 0);
        // One list before the POST; the others are the shared inventory's ticks while the project comes up.
        let lists = made.remove("GET /v1/organizations/{slug}/projects").unwrap();
        let ticks = 90 / 2;
        assert!((1..=ticks + 4).contains(&lists), "{lists} lists");
        let expected = BTreeMap::from([
            ("POST /v1/projects".to_owned(), 1),
            ("PATCH /v1/projects/{ref}".to_owned(), 1),
            ("GET /v1/projects/{ref}/health".to_owned(), 1),
            ("GET /v1/projects/{ref}/api-keys".to_owned(), 1),
            ("GET /v1/projects/{ref}/config/database/pooler".to_owned(), 1),
        ]);
        assert_eq!(made, expected);
        let mut written = writes(&scene).split_off(written);
        // What the credential may do is noted once a connection.
        written.retain(|write| !write.contains(" supabaseconnections "));
        assert_eq!(
            written,
            [
                "Update supabaseprojects orders ",                     // finalizer
                "Create secrets orders-supabase-password ",            // password
                "UpdateStatus supabaseprojects orders ",               // attempt
                "UpdateStatus supabaseprojects orders ",               // ref
                "Update secrets orders-supabase-password ", // the ref, on what outlives the object
                "UpdateStatus supabaseprojects orders COMING_UP", // a remote state shown
                "Create secrets orders-supabase ",          // the output
                "UpdateStatus supabaseprojects orders ACTIVE_HEALTHY", // Ready
            ],
            "{written:#?}"
        );
    });
}

#[test]
fn an_hour_of_a_hundred_projects_at_rest_costs_sixty_lists_and_no_write() {
    simulate(async || {
        let scene = Scene::new(&Seed { platform: Config::instant(), random: 2, oauth: false });
        let names: Vec<_> = (0..100).map(|n| format!("p{n:03}")).collect();
        for name in &names {
            scene.project(name, json!({}));
        }
        let driver = Driver::new(&scene);
        let faults = Faults::new(&[]);
        let started = std::cell::Cell::new(None);
        let before = std::cell::RefCell::new((BTreeMap::new(), 0));
        let hour = Duration::from_secs(3600);
        let done = |scene: &Scene| {
            // Settled: Ready, and looked at once by the drift schedule, which then learns the version of Postgres.
            let settled = |name: &String| {
                let stored = scene.stored(name).unwrap_or_default();
                scene.is_ready(name) && stored["status"]["postgresVersion"].is_string()
            };
            if started.get().is_none() && names.iter().all(settled) {
                started.set(Some(tokio::time::Instant::now()));
                before.replace((calls(scene), writes(scene).len()));
            }
            started.get().is_some_and(|at| at.elapsed() >= hour)
        };
        let ending = driver.run(&faults, hour * 4, done, |_, _| {}).await;
        assert!(matches!(ending, Ending::Done(_)));
        let (was, written) = before.into_inner();
        let mut made = calls(&scene);
        for (call, count) in was {
            *made.get_mut(&call).unwrap() -= count;
        }
        made.retain(|_, count| *count > 0);
        println!("an hour at rest: {made:#?}");
        let lists = made.remove("GET /v1/organizations/{slug}/projects").unwrap();
        assert!((58..=61).contains(&lists), "{lists} lists of one page");
        // The declared drift schedule: keys, pooler and project once an hour, a tenth either way.
        for call in [
            "GET /v1/projects/{ref}",
            "GET /v1/projects/{ref}/api-keys",
            "GET /v1/projects/{ref}/config/database/pooler",
        ] {
            let count = made.remove(call).unwrap_or_default();
            assert!(count <= 111, "{call}: {count}");
        }
        let probes = made.remove("GET /v1/organizations").unwrap_or_default();
        assert!(probes <= 6, "{probes} looks at the organizations");
        assert_eq!(made, BTreeMap::new(), "nothing else is asked");
        assert_eq!(writes(&scene).split_off(written), Vec::<String>::new(), "nothing is written");
        assert_eq!(scene.world().ledger().count(&Method::POST, "/v1/projects"), 100);
    });
}

/// ConfigMaps are never watched, so they are looked at whether Secrets are watched or not.
#[test]
fn an_output_of_either_kind_that_changes_by_hand_is_right_again_within_a_minute_or_so() {
    for watched in [false, true] {
        simulate(async || {
            let scene = Scene::new(&Seed { platform: Config::instant(), random: 3, oauth: false });
            let outputs = json!([
                {"name": "app", "preset": "Env"},
                {"name": "web", "kind": "ConfigMap", "preset": "Env", "include": ["URL"]},
            ]);
            scene.project("orders", json!({"outputs": outputs}));
            let mut driver = Driver::new(&scene);
            driver.options.secrets_watch = watched;
            let begun = std::cell::Cell::new(false);
            let right = std::cell::RefCell::new(Vec::new());
            let paths = [format!("{SECRETS}/app"), format!("{CONFIG_MAPS}/web")];
            let data = |scene: &Scene| -> Vec<_> {
                paths
                    .iter()
                    .map(|path| scene.get(path).map(|found| found["data"].clone()))
                    .collect()
            };
            let done = |scene: &Scene| {
                if !begun.get() && scene.is_ready("orders") {
                    begun.set(true);
                    right.replace(data(scene));
                    // One at a time: what is looked at for one output is looked at for all.
                    let edit = json!({"data": {"SUPABASE_URL": "https://elsewhere"}});
                    scene.api().change_by_hand(&paths[1], &edit);
                    assert_ne!(data(scene), *right.borrow());
                }
                begun.get() && data(scene) == *right.borrow()
            };
            let limit = Duration::from_secs(150);
            let ending = driver.run(&Faults::new(&[]), limit, done, |_, _| {}).await;
            assert!(
                matches!(ending, Ending::Done(_)),
                "Secrets watched: {watched}; {:?} and not {right:?}",
                data(&scene)
            );
        });
    }
}

/// Two hundred projects at once, where the platform takes a hundred and twenty calls of a kind a minute.
#[test]
fn a_burst_beyond_the_rate_limit_takes_no_longer_than_its_create_calls() {
    simulate(async || {
        let scene = Scene::new(&Seed { platform: Config::instant(), random: 3, oauth: false });
        let names: Vec<_> = (0..200).map(|n| format!("p{n:03}")).collect();
        for name in &names {
            scene.project(name, json!({}));
        }
        let driver = Driver::new(&scene);
        let done = |scene: &Scene| names.iter().all(|name| scene.is_ready(name));
        let ending = driver.run(&Faults::new(&[]), Duration::from_secs(900), done, |_, _| {}).await;
        let Ending::Done(took) = ending else { panic!("{:#?}", calls(&scene)) };
        let made = calls(&scene);
        println!("{took:?}: {made:#?}");
        assert!(took <= Duration::from_secs(66), "{took:?}: {made:#?}");
        assert_eq!(scene.world().ledger().count(&Method::POST, "/v1/projects"), 200);
        let refused =
            scene.world().ledger().seen().iter().filter(|seen| seen.status == Some(429)).count();
        assert_eq!(refused, 0);
        let lists = made["GET /v1/organizations/{slug}/projects"];
        assert!(lists <= 60, "{lists} lists");
        // Whoever must wait for his turn writes nothing meanwhile.
        let statuses = writes(&scene)
            .into_iter()
            .filter(|write| write.starts_with("UpdateStatus supabaseprojects"));
        let statuses = statuses.count();
        assert!(statuses <= 5 * 200, "{statuses} writes of a status");
    });
}
