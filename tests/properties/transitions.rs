//! Every setting through every state: set, changed, unset, refused, taken again, and changed by somebody else; while all is
//! well, while the project is paused, and while the platform fails. And the fields of the mail server two by two.

use std::time::Duration;

use serde_json::{Value, json};
use simulated_platform::{Config, Fault, FaultKind, Plan as Subscription, Status};
use supabase_operator::rules::clock::Clock as _;

use crate::fields::{
    On, PASSWORDS, Setting, apply, by_hand, in_force, put, reference, settings, smtp, stored,
};
use crate::sim::{Driver, Ending, Faults, Scene, Seed, simulate};

const LIMIT: Duration = Duration::from_secs(12 * 3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Well,
    Paused,
    Failing,
}

fn scene() -> Scene {
    let scene = Scene::new(&Seed { platform: Config::instant(), random: 23, oauth: false });
    scene.world().set_plan("acme", Subscription::Pro);
    for (name, value) in PASSWORDS {
        scene.secret(name, &[("password", value)]);
    }
    scene.project("orders", json!({}));
    scene
}

async fn until(scene: &Scene, what: &str, done: impl Fn(&Scene) -> bool) {
    let ending = Driver::new(scene).run(&Faults::new(&[]), LIMIT, done, |_, _| {}).await;
    assert!(
        matches!(ending, Ending::Done(_)),
        "{what}: {:#}\n{:#}",
        stored(scene, On::Project),
        stored(scene, On::AuthConfig)["status"]
    );
}

async fn pass(scene: &Scene, time: Duration) {
    let end = tokio::time::Instant::now() + time;
    let over = |_: &Scene| tokio::time::Instant::now() >= end;
    let ending = Driver::new(scene).run(&Faults::new(&[]), LIMIT, over, |_, _| {}).await;
    assert!(matches!(ending, Ending::Done(_)));
}

/// How often the setting's address was written over the API.
fn writes(scene: &Scene, setting: &Setting) -> usize {
    let world = scene.world();
    let seen = world.ledger().seen().iter();
    let is = |path: &str| path.contains(&format!("/{}", setting.at));
    seen.filter(|seen| seen.method != http::Method::GET && is(&seen.path)).count()
}

fn script(scene: &Scene, setting: &Setting, status: u16, times: u32) {
    let body = json!({"message": "the value is invalid"}).to_string();
    let (method, path) = setting.written_by();
    scene.world().script(Fault::on(method, &path, FaultKind::Status(status, body)).times(times));
}

/// Brings the project into a state.
async fn enter(scene: &Scene, setting: &Setting, state: State) {
    match state {
        State::Well => {}
        State::Paused => {
            let (reference, now) = (reference(scene), scene.clock.now());
            scene.world().pause_by_hand(&reference, now);
            until(scene, "paused", |scene| {
                stored(scene, On::Project)["status"]["remoteStatus"] == "INACTIVE"
            })
            .await;
        }
        State::Failing => {
            let path = format!("/v1/projects/*/{}", setting.at);
            let broken = FaultKind::Status(500, "{}".to_owned());
            scene.world().script(Fault::on("*", &path, broken).times(3));
        }
    }
}

/// Back from it; in between nothing was written to what was paused.
async fn leave(scene: &Scene, setting: &Setting, state: State) {
    if state == State::Paused {
        let before = writes(scene, setting);
        pass(scene, Duration::from_secs(3600)).await;
        assert_eq!(writes(scene, setting), before, "{setting:?}: a paused project is not written");
        let now = scene.clock.now();
        let reference = reference(scene);
        scene.world().set_status(&reference, Status::ActiveHealthy, now);
        until(scene, "awake", |scene| {
            stored(scene, On::Project)["status"]["remoteStatus"] == "ACTIVE_HEALTHY"
        })
        .await;
    }
}

fn spec(setting: &Setting, value: &Value) -> Value {
    let mut spec = (setting.beside)();
    if setting.path == "dataAPI.enabled" {
        // One that is off stands alone, and is switched on by naming schemas.
        let schemas = value.as_bool().filter(|on| *on).map(|_| json!(["public"]));
        put(&mut spec, "dataAPI.schemas", json!(schemas));
    }
    put(&mut spec, setting.path, value.clone());
    spec
}

async fn holds(scene: &Scene, setting: &Setting, value: &Value, what: &str) {
    let shown = (setting.shown)(value);
    let what = format!("{setting:?} {what} {shown}");
    until(scene, &what, |scene| in_force(scene, setting.on) && (setting.look)(scene) == shown)
        .await;
}

async fn walk(setting: &Setting, state: State) {
    let scene = scene();
    until(&scene, "the project", |scene| scene.is_ready("orders")).await;
    let [first, second] = (setting.values)();
    enter(&scene, setting, state).await;
    apply(&scene, setting.on, &spec(setting, &first));
    leave(&scene, setting, state).await;
    holds(&scene, setting, &first, "set").await;

    enter(&scene, setting, state).await;
    apply(&scene, setting.on, &spec(setting, &second));
    leave(&scene, setting, state).await;
    holds(&scene, setting, &second, "changed").await;

    // Somebody else changes it, and it is set back.
    by_hand(&scene, setting.at, &(setting.foreign)());
    assert_ne!(
        (setting.look)(&scene),
        (setting.shown)(&second),
        "{setting:?}: nothing was changed"
    );
    enter(&scene, setting, state).await;
    leave(&scene, setting, state).await;
    holds(&scene, setting, &second, "set back to").await;

    // Refused: told by its path, and left as it was; what is right again is taken.
    script(&scene, setting, 400, 1);
    apply(&scene, setting.on, &spec(setting, &first));
    until(&scene, &format!("{setting:?} refused"), |scene| {
        let drift = stored(scene, setting.on)["status"]["drift"].clone();
        let mut drift = drift.as_array().into_iter().flatten();
        drift.any(|one| {
            let path = one["path"].as_str().unwrap_or_default();
            // What switches a whole is refused with one of its parts.
            let whole = setting.path.strip_suffix(".enabled").unwrap_or(setting.path);
            let its = path.starts_with(whole);
            its && one["reason"] == "Refused"
        })
    })
    .await;
    assert!(scene.is_ready("orders"), "{setting:?}: the project works all the same");
    assert_eq!((setting.look)(&scene), (setting.shown)(&second), "{setting:?}: left as it was");
    apply(&scene, setting.on, &spec(setting, &second));
    holds(&scene, setting, &second, "valid again").await;

    // Declared no more: nothing of it is ours, and what somebody else puts there stays.
    enter(&scene, setting, state).await;
    apply(&scene, setting.on, &json!({setting.part: null}));
    leave(&scene, setting, state).await;
    until(&scene, &format!("{setting:?} unset"), |scene| {
        let applied = stored(scene, setting.on)["status"]["applied"].clone();
        let mut applied = applied.as_array().into_iter().flatten();
        let still =
            applied.any(|one| one["path"].as_str().unwrap_or_default().starts_with(setting.path));
        in_force(scene, setting.on) && !still
    })
    .await;
    if setting.path != "smtp.enabled" {
        by_hand(&scene, setting.at, &(setting.foreign)());
    }
    let left = (setting.look)(&scene);
    let before = writes(&scene, setting);
    pass(&scene, Duration::from_secs(3 * 3600)).await;
    assert_eq!((setting.look)(&scene), left, "{setting:?}: not managed any more");
    assert_eq!(writes(&scene, setting), before, "{setting:?}: not written any more");
}

/// All settings from one state, on two threads.
fn all_from(state: State) {
    let settings = settings();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(setting) =
                    settings.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    simulate(async || walk(setting, state).await);
                }
            });
        }
    });
}

#[test]
fn every_setting_from_a_project_that_is_well() {
    all_from(State::Well);
}

#[test]
fn every_setting_from_a_project_that_is_paused() {
    all_from(State::Paused);
}

#[test]
fn every_setting_while_the_platform_fails() {
    all_from(State::Failing);
}

/// The mail server's fields two by two: both are changed at once, the one alone, the other alone; and a refusal of both leaves
/// both as they were, since the server is one setting.
#[test]
fn the_mail_servers_fields_two_by_two() {
    let fields: Vec<_> = settings()
        .into_iter()
        .filter(|one| one.path.starts_with("smtp.") && one.path != "smtp.enabled")
        .collect();
    let mut pairs = 0;
    for (number, one) in fields.iter().enumerate() {
        for other in fields.get(number + 1..).unwrap_or_default() {
            pairs += 1;
            simulate(async || {
                let scene = scene();
                until(&scene, "the project", |scene| scene.is_ready("orders")).await;
                let both = |first: usize, second: usize| {
                    let mut spec = smtp();
                    put(&mut spec, one.path, (one.values)()[first].clone());
                    put(&mut spec, other.path, (other.values)()[second].clone());
                    spec
                };
                let hold = async |first: usize, second: usize| {
                    let wanted = [(one, first), (other, second)];
                    until(&scene, &format!("{one:?} {first}, {other:?} {second}"), |scene| {
                        in_force(scene, On::AuthConfig)
                            && wanted.iter().all(|(field, which)| {
                                (field.look)(scene) == (field.shown)(&(field.values)()[*which])
                            })
                    })
                    .await;
                };
                for (first, second) in [(0, 0), (1, 1), (0, 1), (0, 0)] {
                    apply(&scene, On::AuthConfig, &both(first, second));
                    hold(first, second).await;
                }
                script(&scene, one, 400, 1);
                apply(&scene, On::AuthConfig, &both(1, 1));
                until(&scene, "refused", |scene| {
                    let drift = stored(scene, On::AuthConfig)["status"]["drift"].to_string();
                    drift.contains("Refused") && drift.contains(one.path)
                })
                .await;
                for field in [one, other] {
                    let before = (field.shown)(&(field.values)()[0]);
                    assert_eq!((field.look)(&scene), before, "{field:?} is as it was");
                }
                apply(&scene, On::AuthConfig, &both(1, 0));
                hold(1, 0).await;
            });
        }
    }
    assert_eq!(pairs, 15);
}

/// What is declared while the project is away is in force soon after it is back, for the process that saw it go and for another
/// one: not only when settings are read anyway.
#[test]
fn what_is_declared_while_a_project_is_paused_is_in_force_soon_after() {
    for (setting, anew) in settings().into_iter().flat_map(|one| [(one, false), (one, true)]) {
        simulate(async || {
            let scene = scene();
            let [first, second] = (setting.values)();
            let step = std::cell::Cell::new(0);
            let woken = std::cell::Cell::new(None);
            let status =
                |scene: &Scene| stored(scene, On::Project)["status"]["remoteStatus"].clone();
            let holds = |scene: &Scene, value: &Value| {
                in_force(scene, setting.on) && (setting.look)(scene) == (setting.shown)(value)
            };
            let told = |scene: &Scene| {
                let object = stored(scene, setting.on);
                object["status"]["observedGeneration"] == object["metadata"]["generation"]
            };
            let done = |scene: &Scene| {
                let now = scene.clock.now();
                match step.get() {
                    0 if scene.is_ready("orders") => {
                        apply(scene, setting.on, &spec(&setting, &first));
                        step.set(1);
                    }
                    1 if holds(scene, &first) => {
                        scene.world().pause_by_hand(&reference(scene), now);
                        step.set(2);
                    }
                    2 if status(scene) == "INACTIVE" => {
                        apply(scene, setting.on, &spec(&setting, &second));
                        step.set(3);
                    }
                    3 if told(scene) => {
                        scene.world().set_status(&reference(scene), Status::ActiveHealthy, now);
                        step.set(4);
                        return anew;
                    }
                    4 if status(scene) == "ACTIVE_HEALTHY" => {
                        woken.set(Some(tokio::time::Instant::now()));
                        step.set(5);
                    }
                    5 => return holds(scene, &second),
                    _ => {}
                }
                false
            };
            for _ in 0..=usize::from(anew) {
                let ending =
                    Driver::new(&scene).run(&Faults::new(&[]), LIMIT, &done, |_, _| {}).await;
                assert!(matches!(ending, Ending::Done(_)), "{setting:?}: {}", step.get());
            }
            let took = woken.get().unwrap().elapsed();
            assert!(took < Duration::from_secs(300), "{setting:?}: {took:?}");
        });
    }
}
