//! Golden traces: every read and every effect, in order, of runs that are scripted.
//!
//! The order of reads is part of the protocols, so a change of it must be seen and argued about. `UPDATE=1` writes the
//! traces anew; the difference is then what a review looks at. Left out is what the clock brings: looks at credentials,
//! at the newest projects, and watches.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use simulated_platform::{Fault, FaultKind};
use supabase_operator::rules::clock::Clock as _;

use crate::sim::{Driver, Ending, Faults, Phase, Plan, SECRETS, Scene, Seed, complete, simulate};

/// A run: what is there, what is done by hand once the first state is reached, and the state at which it ends.
struct Run {
    name: &'static str,
    oauth: bool,
    begin: fn(&Scene),
    /// The trace begins here.
    first: fn(&Scene) -> bool,
    hand: fn(&Scene),
    done: fn(&Scene) -> bool,
    crash: Option<Plan>,
}

impl Run {
    /// A project that is applied, until it is Ready.
    const fn creating(name: &'static str) -> Self {
        Self {
            name,
            oauth: false,
            begin: |_| {},
            first: |_| true,
            hand: |scene| scene.project("orders", json!({})),
            done: |scene| scene.is_ready("orders"),
            crash: None,
        }
    }

    /// Something that happens to a project that is Ready.
    const fn living(name: &'static str, hand: fn(&Scene), done: fn(&Scene) -> bool) -> Self {
        Self {
            name,
            oauth: false,
            begin: |scene| scene.project("orders", json!({"deletionPolicy": "Delete"})),
            first: |scene| scene.is_ready("orders"),
            hand,
            done,
            crash: None,
        }
    }

    fn with(mut self, begin: fn(&Scene)) -> Self {
        self.begin = begin;
        self
    }

    fn crashing(mut self, effect: usize, phase: Phase) -> Self {
        self.crash = Some(Plan { effect, phase });
        self
    }
}

fn change(scene: &Scene, change: &serde_json::Value) {
    let path = format!("{}/orders", crate::sim::PROJECTS);
    assert!(scene.api().change_by_hand(&path, change));
}

fn is_gone(scene: &Scene) -> bool {
    scene.stored("orders").is_none()
}

fn reason(scene: &Scene, kind: &str) -> String {
    let stored = scene.stored("orders").unwrap_or_default();
    Scene::condition(&stored, kind).map_or_else(String::new, |(_, reason)| reason)
}

/// A project whose first create call comes to this.
fn failing(scene: &Scene, kind: FaultKind) {
    scene.world().script(Fault::on("POST", "/v1/projects", kind));
    scene.project("orders", json!({}));
}

fn declared() -> serde_json::Value {
    json!({"spec": {
        "database": {
            "sslEnforcement": true, "networkRestrictions": {"allowedCIDRs": ["203.0.113.0/24"]},
            "parameters": {"statement_timeout": "8s"},
        },
        "dataAPI": {"maxRows": 500},
    }})
}

fn reference(scene: &Scene) -> String {
    scene.stored("orders").unwrap()["status"]["ref"].as_str().unwrap().to_owned()
}

fn max_rows(scene: &Scene) -> i64 {
    let (reference, now) = (reference(scene), scene.clock.now());
    let api = scene.world().setting(&reference, "postgrest", now).unwrap();
    api["max_rows"].as_i64().unwrap()
}

fn refusal(status: u16) -> FaultKind {
    FaultKind::Status(status, r#"{"message": "no"}"#.to_owned())
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn runs() -> Vec<Run> {
    vec![
        Run::creating("create"),
        Run::creating("create-crash-before-the-call").crashing(3, Phase::Before),
        Run::creating("create-crash-after-the-call").crashing(3, Phase::During),
        Run::creating("create-crash-after-the-ref").crashing(4, Phase::During),
        Run {
            hand: |scene| failing(scene, FaultKind::DropAfter),
            ..Run::creating("create-answer-lost")
        },
        Run {
            hand: |scene| failing(scene, FaultKind::DropBefore),
            ..Run::creating("create-call-lost")
        },
        Run { hand: |scene| failing(scene, refusal(429)), ..Run::creating("create-throttled") },
        Run { hand: |scene| failing(scene, refusal(402)), ..Run::creating("create-refused") },
        Run { oauth: true, ..Run::creating("create-with-oauth") },
        Run {
            hand: |scene| scene.project("orders", json!({"adoption": {"policy": "AdoptOrCreate"}})),
            done: |scene| reason(scene, "Ready") == "PasswordUnknown",
            ..Run::creating("adopt")
        }
        .with(|scene| {
            let now = scene.clock.now();
            scene.world().add_foreign_project("acme", "team-a-orders", now);
        }),
        Run {
            hand: |scene| {
                scene.secret("supplied", &[("password", "supplied-and-long-enough")]);
                let supplied = json!({"secretKeyRef": {"name": "supplied", "key": "password"}});
                scene.project("orders", json!({"database": {"password": supplied}}));
            },
            ..Run::creating("create-with-a-supplied-password")
        },
        Run {
            done: |scene| reason(scene, "Ready") == "NameConflict",
            ..Run::creating("name-conflict")
        }
        .with(|scene| {
            let now = scene.clock.now();
            scene.world().add_foreign_project("acme", "team-a-orders", now);
        }),
        Run::living(
            "delete",
            |scene| {
                let path = format!("{}/orders", crate::sim::PROJECTS);
                assert!(scene.api().delete_by_hand(&path));
            },
            is_gone,
        ),
        Run {
            begin: |scene| scene.project("orders", json!({})),
            ..Run::living(
                "retain",
                |scene| {
                    let path = format!("{}/orders", crate::sim::PROJECTS);
                    assert!(scene.api().delete_by_hand(&path));
                },
                is_gone,
            )
        },
        Run::living(
            "pause-refused",
            |scene| change(scene, &json!({"spec": {"powerState": "Paused"}})),
            |scene| reason(scene, "Ready") == "InvalidSpec",
        ),
        Run::living(
            "rename",
            |scene| change(scene, &json!({"spec": {"projectName": "another"}})),
            |scene| {
                let stored = scene.stored("orders").unwrap_or_default();
                stored["status"]["projectName"] == "another" && scene.is_ready("orders")
            },
        ),
        Run::living(
            "output-deleted",
            |scene| {
                assert!(scene.api().delete_by_hand(&format!("{SECRETS}/orders-supabase")));
                scene.request("orders", "now");
            },
            |scene| scene.get(&format!("{SECRETS}/orders-supabase")).is_some(),
        ),
        Run::living(
            "password-secret-deleted",
            |scene| {
                assert!(scene.api().delete_by_hand(&format!("{SECRETS}/orders-supabase-password")));
                scene.request("orders", "now");
            },
            |scene| scene.get(&format!("{SECRETS}/orders-supabase-password")).is_some(),
        ),
        Run::living(
            "password-reset",
            |scene| {
                assert!(scene.api().delete_by_hand(&format!("{SECRETS}/orders-supabase-password")));
                assert!(scene.api().delete_by_hand(&format!("{SECRETS}/orders-supabase")));
                scene.request("orders", "now");
            },
            |scene| {
                scene.get(&format!("{SECRETS}/orders-supabase")).is_some()
                    && scene.is_ready("orders")
            },
        )
        .with(|scene| {
            scene.project("orders", json!({"database": {"password": {"onLost": "Reset"}}}));
        }),
        Run::living(
            "suspend",
            |scene| change(scene, &json!({"spec": {"suspend": true}})),
            |scene| reason(scene, "Ready") == "Suspended",
        ),
        Run::living(
            "settings-set",
            |scene| change(scene, &declared()),
            |scene| reason(scene, "Synced") == "InSync" && max_rows(scene) == 500,
        ),
        Run::living(
            "settings-refused",
            |scene| {
                scene.world().script(Fault::on("PATCH", "/v1/projects/*/postgrest", refusal(400)));
                change(scene, &declared());
            },
            |scene| reason(scene, "Synced") == "Refused",
        ),
        Run::living(
            "settings-drifted",
            |scene| {
                let (reference, now) = (reference(scene), scene.clock.now());
                let foreign = json!({"max_rows": 7});
                scene.world().set_by_hand(&reference, "postgrest", &foreign, now).unwrap();
                scene.request("orders", "now");
            },
            |scene| max_rows(scene) == 500 && reason(scene, "Synced") == "InSync",
        )
        .with(|scene| scene.project("orders", declared()["spec"].clone())),
        Run::living(
            "auth-set",
            |scene| {
                let spec =
                    json!({"projectRef": {"name": "orders"}, "siteURL": "https://shop.example"});
                scene.make(crate::sim::AUTH_CONFIGS, "SupabaseAuthConfig", "auth", spec);
            },
            |scene| {
                let stored = scene.get(&format!("{}/auth", crate::sim::AUTH_CONFIGS));
                Scene::condition(&stored.unwrap_or_default(), "Ready")
                    .is_some_and(|(is, _)| is == "True")
            },
        ),
        Run::living(
            "look-on-request",
            |scene| scene.request("orders", "now"),
            |scene| {
                let stored = scene.stored("orders").unwrap_or_default();
                stored["status"]["lastHandledReconcileAt"] == "now"
            },
        ),
    ]
}

/// Refs and names of tokens differ from run to run, and so do versions.
fn plain(line: &str) -> Option<String> {
    let (call, query) = line.split_once('?').unwrap_or((line, ""));
    let is_ref = |part: &&str| part.len() == 20 && part.chars().all(|one| one.is_ascii_lowercase());
    let parts: Vec<_> =
        call.split('/').map(|part| if is_ref(&part) { "{ref}" } else { part }).collect();
    let call = parts.join("/");
    // What the clock brings.
    let of_connections =
        ["/secrets/pat", "/secrets/app", "/secrets/seed", "supabaseconnections", "-oauth-"];
    if call.starts_with("kube") && of_connections.iter().any(|part| call.contains(part)) {
        return None;
    }
    let looks = ["watch=", "sort=created_desc"];
    if looks.iter().any(|part| query.contains(part)) || call.contains("/earlier") {
        return None;
    }
    // Events are named by the moment.
    let event = call.find("/events/");
    Some(event.map_or_else(|| call.clone(), |at| call[..at].to_owned() + "/events/{event}"))
}

/// Looks that repeat each other while something is waited for are one line.
fn trace(lines: &[String]) -> String {
    let mut text = String::new();
    let mut last = String::new();
    for line in lines.iter().filter_map(|line| plain(line)) {
        if line != last {
            text.push_str(&line);
            text.push('\n');
        }
        last = line;
    }
    text
}

fn run(run: &Run) -> String {
    simulate(async || {
        let scene = Scene::new(&Seed { platform: complete(), random: 5, oauth: run.oauth });
        // The connection is Ready and in use before.
        scene.project("earlier", json!({}));
        (run.begin)(&scene);
        let limit = Duration::from_secs(7200);
        let driver = Driver::new(&scene);
        let began = Cell::new(false);
        let ready = |scene: &Scene| scene.is_ready("earlier") && (run.first)(scene);
        let started = |scene: &Scene| {
            if !began.get() && ready(scene) {
                began.set(true);
                scene.take_trace();
                (run.hand)(scene);
            }
            began.get()
        };
        if run.crash.is_some() {
            // Effects are counted from the beginning of a process.
            let ending = driver.run(&Faults::new(&[]), limit, started, |_, _| {}).await;
            assert!(matches!(ending, Ending::Done(_)), "{}: it never began", run.name);
        }
        let plans: Vec<_> = run.crash.into_iter().collect();
        let done = |scene: &Scene| started(scene) && (run.done)(scene);
        let ending = driver.run(&Faults::new(&plans), limit, done, |_, _| {}).await;
        let stored = scene.stored("orders").unwrap_or_default();
        assert!(matches!(ending, Ending::Done(_)), "{}: it never ended: {stored:#}", run.name);
        trace(&scene.take_trace())
    })
}

#[test]
fn scripted_runs_read_and_write_in_the_order_that_was_agreed() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/properties/traces");
    let mut wrong = Vec::new();
    for one in runs() {
        let now = run(&one);
        assert!(now.lines().count() > 2, "{}: nothing was seen", one.name);
        let file = folder.join(format!("{}.txt", one.name));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, &now).unwrap();
        }
        let agreed = std::fs::read_to_string(&file).unwrap_or_default();
        if now != agreed {
            wrong.push(format!("--- {}, now:\n{now}\n--- agreed:\n{agreed}", one.name));
        }
    }
    assert!(wrong.is_empty(), "UPDATE=1 writes these anew:\n{}", wrong.join("\n"));
    let files = std::fs::read_dir(folder).unwrap().count();
    assert_eq!(files, runs().len(), "a trace of no run");
}
