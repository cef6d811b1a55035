//! The crash matrix: crash before, during and after every effect, then again during the recovery; a change of leader
//! instead of a restart; names unique or not, projects visible late, downtime, and hands that edit meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use simulated_platform::{Config, Effect, Fault, FaultKind, Status, TokenMode};
use supabase_operator::rules::clock::Clock as _;

use crate::sim::{
    Driver, Ending, Faults, Hand, PROJECTS, Phase, Plan, SECRETS, Scene, Seed, simulate,
};

const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// One piece of work, and what must hold after it.
#[derive(Clone, Copy)]
struct Workload {
    name: &'static str,
    /// Sets the scene.
    begin: fn(&Scene),
    /// A run without faults precedes until this holds; then this is done by hand.
    before: Option<Hand>,
    done: fn(&Scene) -> bool,
    check: fn(&Scene) -> Result<(), String>,
}

/// What the world is like.
#[derive(Clone, Copy, Debug)]
struct Mode {
    unique: bool,
    visible_after: u64,
    downtime: u64,
    edits: bool,
    /// How refresh tokens rotate; none where the credential is a personal access token.
    tokens: Option<TokenMode>,
}

fn seed(mode: Mode) -> Seed {
    let visible_after = Duration::from_secs(mode.visible_after);
    let platform = Config {
        names_unique: mode.unique,
        list_visibility_lag: visible_after,
        get_visibility_lag: visible_after,
        token_mode: mode.tokens.unwrap_or(TokenMode::Strict),
        // A new password is in force at once: whether the right one is kept is what matters.
        password_lag: Duration::ZERO,
        // Short enough for tokens to be refreshed while the project comes up.
        access_token_lifetime: Duration::from_secs(120),
        ..Config::default()
    };
    Seed { platform, random: 3, oauth: mode.tokens.is_some() }
}

/// A refresh token may be lost in the one window between an answer and its storing: then somebody consents once
/// more. Whether it is lost elsewhere is shown where connections are tested alone.
fn lend_a_hand(scene: &Scene) {
    if scene.asks_for_consent() {
        scene.authorize();
    }
}

/// One run; gives the number of effects of the last process.
fn run(work: Workload, mode: Mode, plans: &[Plan]) -> (usize, Vec<String>) {
    simulate(async || {
        let scene = Scene::new(&seed(mode));
        (work.begin)(&scene);
        let mut driver = Driver::new(&scene);
        if let Some((ready, hand)) = work.before {
            let ending = driver.run(&Faults::new(&[]), LIMIT, ready, |_, _| {}).await;
            assert!(matches!(ending, Ending::Done(_)), "{}: it never began", work.name);
            hand(&scene);
        }
        driver.downtime = Duration::from_secs(mode.downtime);
        let faults = Faults::new(plans);
        let hand = |scene: &Scene, crashes| {
            if mode.edits {
                edit(scene, crashes);
            }
        };
        let done = |scene: &Scene| {
            lend_a_hand(scene);
            (work.done)(scene)
        };
        let ending = driver.run(&faults, LIMIT, done, hand).await;
        let told = || {
            let (names, stored) = (faults.names(), scene.stored("orders").unwrap_or_default());
            format!("{} {mode:?} {plans:?}\n{names:#?}\n{stored:#}", work.name)
        };
        assert!(matches!(ending, Ending::Done(_)), "it never ended: {}", told());
        if let Err(wrong) = (work.check)(&scene) {
            panic!("{wrong}: {}", told());
        }
        (faults.count(), faults.names())
    })
}

/// Somebody edits what can be edited while the operator is down.
fn edit(scene: &Scene, crashes: usize) {
    let path = format!("{PROJECTS}/orders");
    if scene.get(&path).is_some() {
        let change = json!({"spec": {"projectName": format!("renamed-{crashes}"), "compute": {"size": "small"}}});
        assert!(scene.api().change_by_hand(&path, &change));
    }
    scene.secret("supplied", &[("password", &format!("edited-while-down-{crashes}"))]);
    scene.authorize();
}

fn created(scene: &Scene) -> Vec<String> {
    scene.world().ledger().created().map(str::to_owned).collect()
}

/// Exactly one project was created, it is the object's, and its password is kept where it must be.
fn one_project(scene: &Scene) -> Result<(), String> {
    let created = created(scene);
    let [reference] = created.as_slice() else {
        return Err(format!("created: {created:?}"));
    };
    let stored = scene.stored("orders").ok_or("the object is gone")?;
    if stored["status"]["ref"] != json!(reference) {
        return Err("another ref is stored".to_owned());
    }
    let accepted = scene.world().accepted_password(reference).map(str::to_owned);
    for (secret, key) in
        [("orders-supabase-password", "password"), ("orders-supabase", "SUPABASE_DB_PASSWORD")]
    {
        if scene.secret_value(secret, key) != accepted {
            return Err(format!("{secret} does not hold the password that the platform accepted"));
        }
    }
    let wanted = stored["spec"]["projectName"].as_str().unwrap_or("team-a-orders").to_owned();
    let name = scene.world().project(reference).map(|project| project.name.clone());
    // For an hour after a lost call the name that guards against it is kept.
    let guarded =
        Scene::condition(&stored, "Synced").is_some_and(|(_, reason)| reason == "Confirming");
    let expected = if guarded { &stored["status"]["creation"]["name"] } else { &json!(wanted) };
    if name.as_deref() == expected.as_str() { Ok(()) } else { Err(format!("the name is {name:?}")) }
}

fn no_project(scene: &Scene) -> Result<(), String> {
    let world = scene.world();
    let living = world.projects().filter(|project| project.status != Status::Removed);
    let living: Vec<_> = living.map(|project| project.name.clone()).collect();
    drop(world);
    if !living.is_empty() {
        return Err(format!("left behind: {living:?}"));
    }
    if scene.secret_value("orders-supabase-password", "password").is_some() {
        return Err("the password Secret is left behind".to_owned());
    }
    let world = scene.world();
    let deletes = world
        .ledger()
        .accepted()
        .iter()
        .filter(|one| matches!(one.effect, Effect::Deleted { .. }))
        .count();
    let created = world.ledger().created().count();
    if created <= 1 && deletes <= 1 {
        Ok(())
    } else {
        Err(format!("{created} created, {deletes} deleted"))
    }
}

fn adopted(scene: &Scene) -> Result<(), String> {
    if !created(scene).is_empty() {
        return Err("a project was created".to_owned());
    }
    let stored = scene.stored("orders").ok_or("the object is gone")?;
    let reference = stored["status"]["ref"].as_str().ok_or("no ref")?.to_owned();
    let password = scene.secret_value("supplied", "password");
    if scene.secret_value("orders-supabase", "SUPABASE_DB_PASSWORD") != password {
        return Err("the output does not hold the supplied password".to_owned());
    }
    match scene.world().project(&reference) {
        Some(project) if !project.gone => Ok(()),
        Some(_) | None => Err("the adopted project is gone".to_owned()),
    }
}

/// The password was set once, announced before, and is the one that the output holds.
fn adopted_anew(scene: &Scene) -> Result<(), String> {
    if !created(scene).is_empty() {
        return Err("a project was created".to_owned());
    }
    let stored = scene.stored("orders").ok_or("the object is gone")?;
    let reference = stored["status"]["ref"].as_str().ok_or("no ref")?.to_owned();
    let world = scene.world();
    let now = world.accepted_password(&reference).map(str::to_owned);
    drop(world);
    if now.is_none() || scene.secret_value("orders-supabase", "SUPABASE_DB_PASSWORD") != now {
        return Err("the output does not hold the password that was set".to_owned());
    }
    let api = scene.api();
    let announced = api.all("events").any(|event| event["reason"] == "ResettingPassword");
    if announced { Ok(()) } else { Err("the reset was not announced".to_owned()) }
}

/// Two create calls were recorded and certainly lost: a person is asked, by design. Nothing may have been made.
fn asks_a_person(scene: &Scene) -> bool {
    let stored = scene.stored("orders").unwrap_or_default();
    let ambiguous =
        Scene::condition(&stored, "Ready").is_some_and(|(_, reason)| reason == "AmbiguousCreate");
    let attempts = stored["status"]["creation"]["attempts"].as_array().map_or(0, Vec::len);
    ambiguous && attempts == 2 && created(scene).is_empty()
}

fn is_ready_or_asks(scene: &Scene) -> bool {
    is_ready(scene) || asks_a_person(scene)
}

fn one_project_or_none(scene: &Scene) -> Result<(), String> {
    if asks_a_person(scene) { Ok(()) } else { one_project(scene) }
}

fn is_gone(scene: &Scene) -> bool {
    scene.stored("orders").is_none()
}

fn is_ready(scene: &Scene) -> bool {
    scene.is_ready("orders")
}

fn remove(scene: &Scene) {
    assert!(scene.api().delete_by_hand(&format!("{PROJECTS}/orders")));
}

const CREATE: Workload = Workload {
    name: "create",
    begin: |scene| scene.project("orders", json!({})),
    before: None,
    done: is_ready_or_asks,
    check: one_project_or_none,
};

const CREATE_WITH_SUPPLIED_PASSWORD: Workload = Workload {
    name: "create with a supplied password",
    begin: |scene| {
        scene.secret("supplied", &[("password", "supplied-at-first")]);
        let supplied = json!({"secretKeyRef": {"name": "supplied", "key": "password"}});
        scene.project("orders", json!({"database": {"password": supplied}}));
    },
    before: None,
    done: is_ready_or_asks,
    check: one_project_or_none,
};

/// The connection breaks after the create call took effect.
const CREATE_WITH_LOST_ANSWER: Workload = Workload {
    name: "create, and the answer is lost",
    begin: |scene| {
        let lost = Fault::on("POST", "/v1/projects", FaultKind::DropAfter);
        scene.world().script(lost);
        scene.project("orders", json!({}));
    },
    before: None,
    done: is_ready_or_asks,
    check: one_project_or_none,
};

const DELETE: Workload = Workload {
    name: "delete",
    begin: |scene| scene.project("orders", json!({"deletionPolicy": "Delete"})),
    before: Some((is_ready, remove)),
    done: is_gone,
    check: no_project,
};

const DELETE_EARLY: Workload = Workload {
    name: "delete while it is being created",
    begin: |scene| scene.project("orders", json!({"deletionPolicy": "Delete"})),
    before: Some((|scene| !created(scene).is_empty(), remove)),
    done: is_gone,
    check: no_project,
};

const ADOPT: Workload = Workload {
    name: "adopt",
    begin: |scene| {
        let reference = scene.world().add_foreign_project("acme", "old", scene.clock.now());
        scene.secret("supplied", &[("password", "known-to-the-user")]);
        let supplied = json!({"secretKeyRef": {"name": "supplied", "key": "password"}});
        scene.project(
            "orders",
            json!({"adoption": {"policy": "AdoptOnly", "ref": reference}, "database": {"password": supplied}}),
        );
    },
    before: None,
    done: is_ready,
    check: adopted,
};

/// The project is taken over by its name, and its password is known to the user.
const ADOPT_BY_NAME: Workload = Workload {
    name: "adopt by name",
    begin: |scene| {
        let now = scene.clock.now();
        scene.world().add_foreign_project("acme", "team-a-orders", now);
        scene.secret("supplied", &[("password", "known-to-the-user")]);
    },
    // Old enough to be shown wherever projects are shown late.
    before: Some((
        |scene| scene.clock.uptime() > Duration::from_secs(200),
        |scene| {
            let supplied = json!({"secretKeyRef": {"name": "supplied", "key": "password"}});
            scene.project(
                "orders",
                json!({"adoption": {"policy": "AdoptOrCreate"}, "database": {"password": supplied}}),
            );
        },
    )),
    done: is_ready,
    check: adopted,
};

/// The project is taken over by its name, as in a cluster that is rebuilt from Git: nobody knows its password, and the user
/// allows a new one.
const ADOPT_AND_RESET: Workload = Workload {
    name: "adopt by name, with a new password",
    begin: |scene| {
        let now = scene.clock.now();
        scene.world().add_foreign_project("acme", "team-a-orders", now);
    },
    before: Some((
        |scene| scene.clock.uptime() > Duration::from_secs(200),
        |scene| {
            scene.project(
                "orders",
                json!({"adoption": {"policy": "AdoptOrCreate"}, "database": {"password": {"onLost": "Reset"}}}),
            );
        },
    )),
    done: is_ready,
    check: adopted_anew,
};

const RETAIN: Workload = Workload {
    name: "delete with Retain",
    begin: |scene| scene.project("orders", json!({"deletionPolicy": "Retain"})),
    before: Some((is_ready, remove)),
    done: is_gone,
    check: retained,
};

const RETAIN_EARLY: Workload = Workload {
    name: "delete with Retain while it is being created",
    begin: |scene| scene.project("orders", json!({"deletionPolicy": "Retain"})),
    before: Some((|scene| !created(scene).is_empty(), remove)),
    done: is_gone,
    check: retained,
};

/// The password Secret and the output are lost at once; the user allows a new password.
const RESET: Workload = Workload {
    name: "reset of a lost password",
    begin: |scene| {
        scene.project(
            "orders",
            json!({"database": {"password": {"generate": {}, "onLost": "Reset"}}}),
        );
    },
    before: Some((is_ready, |scene| {
        for lost in ["orders-supabase-password", "orders-supabase"] {
            assert!(scene.api().delete_by_hand(&format!("{SECRETS}/{lost}")));
        }
        scene.request("orders", "now");
    })),
    done: |scene| {
        let handled =
            scene.stored("orders").unwrap_or_default()["status"]["lastHandledReconcileAt"] == "now";
        let written = scene.secret_value("orders-supabase", "SUPABASE_DB_PASSWORD");
        handled && is_ready(scene) && written.is_some()
    },
    check: one_project,
};

/// The project is left behind once, with the password that it has.
fn retained(scene: &Scene) -> Result<(), String> {
    let created = created(scene);
    let [reference] = created.as_slice() else {
        return Err(format!("created: {created:?}"));
    };
    let world = scene.world();
    let stays = world.project(reference).is_some_and(|project| project.status != Status::Removed);
    let accepted = world.accepted_password(reference).map(str::to_owned);
    drop(world);
    if !stays {
        return Err("the project is gone".to_owned());
    }
    if scene.secret_value("orders-supabase-password", "password") != accepted {
        return Err("the password is gone".to_owned());
    }
    Ok(())
}

/// Every single crash and every ordered pair of crashes.
fn matrix(work: Workload, mode: Mode, runs: &AtomicUsize, failed: &AtomicBool) {
    let (effects, _) = run(work, mode, &[]);
    runs.fetch_add(1, Ordering::Relaxed);
    for first in 0..effects {
        if failed.load(Ordering::Relaxed) {
            return;
        }
        for phase in Phase::ALL {
            let one = Plan { effect: first, phase };
            let (later, _) = run(work, mode, &[one]);
            runs.fetch_add(1, Ordering::Relaxed);
            for second in 0..later {
                for phase in Phase::AGAIN {
                    run(work, mode, &[one, Plan { effect: second, phase }]);
                    runs.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

const PLAIN: Mode =
    Mode { unique: true, visible_after: 0, downtime: 1, edits: false, tokens: None };

/// Names unique or not, projects visible at once or late, a short downtime or hours in which things are edited: every
/// two of these meet in one of four worlds.
fn modes() -> [Mode; 4] {
    let quick = (1, false);
    let edited = (3 * 3600, true);
    [(true, 0, quick), (true, 100, edited), (false, 0, edited), (false, 100, quick)].map(
        |(unique, visible_after, (downtime, edits))| Mode {
            unique,
            visible_after,
            downtime,
            edits,
            tokens: None,
        },
    )
}

/// The ways of rotating tokens that forgive nothing: one in an easy world, one in a hard one. All four ways, with
/// pairs of crashes, are tried where connections are tested alone.
fn token_modes() -> [Mode; 2] {
    let hard =
        Mode { unique: false, visible_after: 100, downtime: 3 * 3600, edits: true, tokens: None };
    [(PLAIN, TokenMode::Strict), (hard, TokenMode::FamilyRevocation)]
        .map(|(mode, rotation)| Mode { tokens: Some(rotation), ..mode })
}

/// Notes that its thread fails, unless it is forgotten.
struct Fails<'a>(&'a AtomicBool);

impl Drop for Fails<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Every single crash where tokens rotate in the ways that forgive something.
#[test]
fn crashes_where_tokens_are_forgiving_end_well() {
    let mut runs = 0;
    for rotation in [TokenMode::Grace(Duration::from_secs(60)), TokenMode::NoRotation] {
        for mode in modes() {
            let mode = Mode { tokens: Some(rotation), ..mode };
            let (effects, _) = run(CREATE, mode, &[]);
            for effect in 0..effects {
                for phase in Phase::ALL {
                    run(CREATE, mode, &[Plan { effect, phase }]);
                    runs += 1;
                }
            }
        }
    }
    println!("{runs} runs with crashes and forgiving tokens");
}

/// All workloads in all modes, on two threads.
#[test]
fn crashes_anywhere_and_again_during_the_recovery_end_well() {
    let mut jobs = Vec::new();
    for work in [
        DELETE,
        DELETE_EARLY,
        RETAIN,
        RETAIN_EARLY,
        ADOPT,
        ADOPT_BY_NAME,
        ADOPT_AND_RESET,
        RESET,
        CREATE_WITH_LOST_ANSWER,
    ] {
        for (unique, downtime, visible_after) in
            [(true, 1, 0), (false, 1, 100), (true, 3 * 3600, 0)]
        {
            jobs.push((work, Mode { unique, visible_after, downtime, ..PLAIN }));
        }
    }
    for mode in token_modes() {
        jobs.push((CREATE, mode));
    }
    for work in [CREATE, CREATE_WITH_SUPPLIED_PASSWORD] {
        jobs.extend(modes().into_iter().map(|mode| (work, mode)));
    }
    let runs = AtomicUsize::new(0);
    let next = AtomicUsize::new(0);
    // One failure is enough to know.
    let failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((work, mode)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let before = runs.load(Ordering::Relaxed);
                    let fails = Fails(&failed);
                    matrix(*work, *mode, &runs, &failed);
                    std::mem::forget(fails);
                    let now = runs.load(Ordering::Relaxed);
                    println!("{}, {mode:?}: done, {before} to {now} runs", work.name);
                }
            });
        }
    });
    println!("{} runs with crashes", runs.into_inner());
}

/// A leader that is frozen in the middle of an effect, and comes back when another one leads.
#[test]
fn a_frozen_leader_that_comes_back_does_no_harm() {
    let (effects, _) = run(CREATE, PLAIN, &[]);
    let mut runs = 0;
    for effect in 0..effects {
        for before in [true, false] {
            for frozen in [20, 50, 170, 500] {
                simulate(async || {
                    let scene = Scene::new(&seed(PLAIN));
                    (CREATE.begin)(&scene);
                    let mut old = Driver::new(&scene);
                    old.claim = Some(Duration::from_secs(10));
                    let new = Driver::new(&scene);
                    let faults = Faults::holding(effect, before, Duration::from_secs(frozen));
                    let quiet = Faults::new(&[]);
                    // Who was frozen beyond the grace is outlived by the name that guards against him.
                    let lasts = if frozen > 300 { 5400 } else { 1200 };
                    let end = tokio::time::Instant::now() + Duration::from_secs(lasts);
                    let over = |_: &Scene| tokio::time::Instant::now() >= end;
                    let successor = async {
                        tokio::select! {
                            () = faults.death() => {}
                            () = tokio::time::sleep_until(end) => return,
                        }
                        // The Lease runs out.
                        tokio::time::sleep(Duration::from_secs(15)).await;
                        new.alone(&quiet, 99, over).await;
                    };
                    tokio::join!(old.alone(&faults, 98, over), successor);
                    let told = format!("{effect} {before} {frozen}: {:#?}", faults.names());
                    assert!(
                        is_ready(&scene),
                        "{told}\n{:#}",
                        scene.stored("orders").unwrap_or_default()
                    );
                    if let Err(wrong) = one_project(&scene) {
                        panic!("{wrong}: {told}");
                    }
                });
                runs += 1;
            }
        }
    }
    println!("{runs} runs with a frozen leader");
}

#[test]
fn a_create_without_a_crash_makes_one_call() {
    let (_, names) = run(CREATE, PLAIN, &[]);
    let calls = names.iter().filter(|name| *name == "POST /v1/projects").count();
    assert_eq!(calls, 1, "{names:#?}");
}

#[test]
fn a_lost_password_comes_back_from_an_output_that_no_status_speaks_of() {
    let (_, names) = run(CREATE, PLAIN, &[]);
    let mut secrets = names
        .iter()
        .enumerate()
        .filter(|(_, name)| name.contains("POST") && name.contains("/secrets"));
    let (effect, _) = secrets.next_back().unwrap();
    simulate(async || {
        let scene = Scene::new(&seed(PLAIN));
        (CREATE.begin)(&scene);
        let faults = Faults::new(&[Plan { effect, phase: Phase::After }]);
        let lose = |scene: &Scene, _| {
            let stored = scene.stored("orders").unwrap();
            assert!(stored["status"]["outputs"].is_null(), "{stored:#}");
            assert!(scene.secret_value("orders-supabase", "SUPABASE_DB_PASSWORD").is_some());
            assert!(scene.api().delete_by_hand(&format!("{SECRETS}/orders-supabase-password")));
        };
        let ending = Driver::new(&scene).run(&faults, LIMIT, is_ready, lose).await;
        assert!(matches!(ending, Ending::Done(_)), "it never ended");
        assert!(faults.names().len() > faults.count(), "it went down");
        one_project(&scene).unwrap();
        let world = scene.world();
        let mut accepted = world.ledger().accepted().iter();
        let changed = |effect: &Effect| matches!(effect, Effect::PasswordChanged { .. });
        assert!(!accepted.any(|one| changed(&one.effect)), "somebody may have the old one");
    });
}
