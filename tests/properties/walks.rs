//! Random walks over valid and invalid specs of both kinds, with what may happen meanwhile: somebody else's hand, a failing or
//! refusing platform, pauses, crashes. Each step ends with what is declared in force, or with a condition that names the field.
//!
//! `WALK_SEED` takes other walks than those that always run.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use simulated_platform::{Config, Fault, FaultKind, Plan as Subscription, Status};
use supabase_operator::rules::clock::Clock as _;

use crate::fields::{On, PASSWORDS, Setting, in_force, put, reference, settings, smtp, stored};
use crate::sim::{
    AUTH_CONFIGS, Driver, Ending, Faults, PROJECTS, Phase, Plan, Scene, Seed, simulate,
};

const LIMIT: Duration = Duration::from_secs(24 * 3600);
const WALKS: u64 = 6;
const STEPS: usize = 110;

/// The parts of the specs that hold settings.
const PARTS: [(On, &[&str]); 2] = [
    (On::Project, &["database", "dataAPI"]),
    (On::AuthConfig, &["siteURL", "redirectURLs", "smtp", "email", "rateLimits"]),
];

/// What the platform or the operator is known to refuse, and the words by which it is named.
type Invalid = (On, &'static str, fn() -> Value, &'static str);
const INVALID: [Invalid; 3] = [
    (
        On::Project,
        "database.parameters",
        || json!({"no_such_parameter": "1"}),
        "database.parameters[no_such_parameter]",
    ),
    (
        On::Project,
        "database.networkRestrictions.allowedCIDRs",
        || json!(["300.0.0.0/24"]),
        "database.networkRestrictions",
    ),
    (
        On::AuthConfig,
        "smtp.password",
        || json!({"secretKeyRef": {"name": "nowhere", "key": "password"}}),
        "smtp.password",
    ),
];

/// `SplitMix64`: the same walk for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }
}

struct Walk {
    scene: Scene,
    settings: Vec<Setting>,
    dice: Dice,
    /// What is declared, by kind.
    specs: [Value; 2],
    /// Places that the platform was told to refuse once: in force or named, either will do.
    refused: BTreeSet<&'static str>,
    /// What was done, for whoever must understand a failure.
    log: Vec<String>,
    figures: [usize; 2],
}

fn at<'a>(spec: &'a Value, path: &str) -> Option<&'a Value> {
    spec.pointer(&format!("/{}", path.replace('.', "/"))).filter(|value| !value.is_null())
}

impl Walk {
    fn new(seed: u64) -> Self {
        let scene = Scene::new(&Seed { platform: Config::instant(), random: seed, oauth: false });
        scene.world().set_plan("acme", Subscription::Pro);
        for (name, value) in PASSWORDS {
            scene.secret(name, &[("password", value)]);
        }
        scene.project("orders", json!({}));
        scene.make(
            AUTH_CONFIGS,
            "SupabaseAuthConfig",
            "auth",
            json!({"projectRef": {"name": "orders"}}),
        );
        Self {
            scene,
            settings: settings(),
            dice: Dice(seed),
            specs: [json!({}), json!({})],
            refused: BTreeSet::new(),
            log: vec![format!("seed {seed}")],
            figures: [0; 2],
        }
    }

    fn spec(&mut self, on: On) -> &mut Value {
        &mut self.specs[usize::from(on == On::AuthConfig)]
    }

    /// Writes a spec as it is declared now: everything anew, while no operator runs.
    fn declare(&mut self, on: On) {
        let path = match on {
            On::Project => format!("{PROJECTS}/orders"),
            On::AuthConfig => format!("{AUTH_CONFIGS}/auth"),
        };
        let (_, parts) = PARTS.iter().find(|(kind, _)| *kind == on).unwrap();
        let nothing: serde_json::Map<_, _> =
            parts.iter().map(|part| ((*part).to_owned(), Value::Null)).collect();
        let spec = self.spec(on).clone();
        for change in [Value::Object(nothing), spec] {
            assert!(self.scene.api().change_by_hand(&path, &json!({"spec": change})));
        }
    }

    /// Declares a value, with what must stand beside it.
    fn set(&mut self, setting: &Setting, value: Value) {
        let on = setting.on;
        if setting.part == "dataAPI" {
            let spec = self.spec(on);
            // One that is off stands alone; any other is switched on by naming schemas.
            if setting.path == "dataAPI.enabled" && value == json!(false) {
                put(spec, "dataAPI", json!({}));
            } else {
                if at(spec, "dataAPI.enabled").is_some_and(|on| *on == json!(false)) {
                    put(spec, "dataAPI", json!({}));
                }
                if at(spec, "dataAPI.schemas").is_none() {
                    put(spec, "dataAPI.schemas", json!(["public"]));
                }
            }
        }
        if setting.path.starts_with("smtp.") && at(self.spec(on), "smtp.host").is_none() {
            let server = smtp()["smtp"].clone();
            put(self.spec(on), "smtp", server);
        }
        put(self.spec(on), setting.path, value);
    }

    /// Places of what cannot be in force, for what the spec itself says.
    fn invalid(&self) -> Vec<(On, &'static str, &'static str)> {
        let declared =
            |on: On, path: &str| at(&self.specs[usize::from(on == On::AuthConfig)], path).cloned();
        INVALID
            .iter()
            .filter(|(on, path, value, _)| declared(*on, path).is_some_and(|it| it == value()))
            .filter(|(on, path, ..)| {
                // A server that is switched off needs no password.
                !path.starts_with("smtp.") || declared(*on, "smtp.enabled") != Some(json!(false))
            })
            .map(|(on, path, _, words)| (*on, *path, *words))
            .collect()
    }

    /// What is neither in force nor named.
    fn open(&self, scene: &Scene) -> Vec<String> {
        let mut open = Vec::new();
        let invalid = self.invalid();
        let said = |on: On, words: &str| {
            let status = stored(scene, on)["status"].clone();
            let synced = Scene::condition(&stored(scene, on), "Synced").unwrap_or_default();
            let drift = status["drift"].as_array().cloned().unwrap_or_default();
            let mut named = drift.iter().filter(|one| {
                let reason = one["reason"].as_str().unwrap_or_default();
                !["Pending", "Differs"].contains(&reason)
            });
            let message = status["conditions"].to_string();
            synced.0 == "False"
                && (named.any(|one| one["path"].as_str().unwrap_or_default().starts_with(words))
                    || message.contains(words))
        };
        for (on, _, words) in &invalid {
            if !said(*on, words) {
                open.push(format!("{words} is not named"));
            }
        }
        for setting in &self.settings {
            let spec = &self.specs[usize::from(setting.on == On::AuthConfig)];
            let Some(value) = at(spec, setting.path) else { continue };
            let whole = if setting.path.starts_with("smtp.") { "smtp" } else { setting.path };
            let off = at(spec, "smtp.enabled") == Some(&json!(false));
            if whole == "smtp" && off && setting.path != "smtp.enabled" {
                continue;
            }
            if invalid.iter().any(|(_, path, _)| path.starts_with(whole)) {
                continue;
            }
            if (setting.look)(scene) == (setting.shown)(value) {
                continue;
            }
            // Refused once, or it needs a mail server that is not there.
            let excused = self.refused.iter().any(|path| path.starts_with(whole))
                || setting.path == "rateLimits.emailSent"
                || setting.part == "dataAPI"
                    && self.refused.iter().any(|path| path.starts_with("dataAPI"));
            if !(excused && said(setting.on, whole.split('.').next().unwrap())) {
                open.push(format!("{} is {}, not {value}", setting.path, (setting.look)(scene)));
            }
        }
        open
    }

    /// What happens in a step; gives the crash that comes with it.
    fn act(&mut self) -> Vec<Plan> {
        let mend = self.invalid().first().copied().filter(|_| self.dice.roll(2) == 0);
        if let Some((on, path, _)) = mend {
            self.log.push(format!("mended: {path}"));
            let one = *self.settings.iter().find(|one| one.path == path).unwrap();
            self.set(&one, (one.values)()[0].clone());
            self.declare(on);
            return Vec::new();
        }
        let chosen = self.dice.roll(self.settings.len());
        let setting = self.settings[chosen];
        let mut plans = Vec::new();
        match self.dice.roll(10) {
            0..=3 => {
                let which = self.dice.roll(2);
                let value = (setting.values)()[which].clone();
                self.log.push(format!("set {} to {value}", setting.path));
                self.set(&setting, value);
                self.declare(setting.on);
            }
            4 => {
                self.log.push(format!("unset {}", setting.part));
                put(self.spec(setting.on), setting.part, Value::Null);
                self.declare(setting.on);
            }
            5 => {
                let (on, path, value, _) = INVALID[self.dice.roll(INVALID.len())];
                self.log.push(format!("invalid {path}"));
                let one = *self.settings.iter().find(|one| one.path == path).unwrap();
                self.set(&one, value());
                self.declare(on);
            }
            6 => {
                self.log.push(format!("somebody else changes {}", setting.path));
                // What the platform refuses to a hand as well changes nothing.
                let (reference, now) = (reference(&self.scene), self.scene.clock.now());
                let change = (setting.foreign)();
                let _ = self.scene.world().set_by_hand(&reference, setting.at, &change, now);
            }
            7 => {
                let which = self.dice.roll(2);
                let value = (setting.values)()[which].clone();
                self.log.push(format!("refused: {} as {value}", setting.path));
                let (method, path) = setting.written_by();
                let kind =
                    FaultKind::Status(400, r#"{"message":"the value is invalid"}"#.to_owned());
                self.scene.world().script(Fault::on(method, &path, kind));
                self.refused.insert(setting.path);
                self.set(&setting, value);
                self.declare(setting.on);
            }
            8 => {
                let status = [500, 502, 429][self.dice.roll(3)];
                let times = 1 + u32::try_from(self.dice.roll(4)).unwrap();
                self.log.push(format!("{} answers {status}, {times} times", setting.at));
                let (method, path) = setting.written_by();
                let broken = FaultKind::Status(status, "{}".to_owned());
                for method in [method, "GET"] {
                    let fault = Fault::on(method, &path, broken.clone()).times(times);
                    self.scene.world().script(fault);
                }
                let which = self.dice.roll(2);
                let value = (setting.values)()[which].clone();
                self.set(&setting, value);
                self.declare(setting.on);
            }
            _ => {
                self.log.push("paused and woken".to_owned());
                let (reference, now) = (reference(&self.scene), self.scene.clock.now());
                self.scene.world().pause_by_hand(&reference, now);
                self.scene.world().set_status(&reference, Status::ActiveHealthy, now);
            }
        }
        if self.dice.roll(4) == 0 {
            let phase = Phase::ALL[self.dice.roll(Phase::ALL.len())];
            let plan = Plan { effect: self.dice.roll(8), phase };
            self.log.push(format!("a crash: {plan:?}"));
            plans.push(plan);
        }
        plans
    }

    async fn step(&mut self) {
        let plans = self.act();
        self.settle(&plans).await;
        self.figures[0] += 1;
        let all = [On::Project, On::AuthConfig].iter().all(|on| in_force(&self.scene, *on));
        self.figures[1] += usize::from(all);
        if all {
            self.refused.clear();
        }
        // No byte of the password is where people look.
        let api = self.scene.api();
        for write in api.ledger().writes().iter().filter(|write| write.resource != "secrets") {
            let text = write.after.as_ref().map(Value::to_string).unwrap_or_default();
            assert!(!text.contains("canary-7fQ2"), "{} {}", write.resource, write.name);
        }
    }

    /// Until everything that is declared is in force or named.
    async fn settle(&self, plans: &[Plan]) {
        let done = |scene: &Scene| {
            let current = [On::Project, On::AuthConfig].iter().all(|on| {
                let object = stored(scene, *on);
                object["status"]["observedGeneration"] == object["metadata"]["generation"]
            });
            scene.is_ready("orders") && current && self.open(scene).is_empty()
        };
        let ending =
            Driver::new(&self.scene).run(&Faults::new(plans), LIMIT, done, |_, _| {}).await;
        if !matches!(ending, Ending::Done(_)) {
            let last: Vec<_> = self.log.iter().rev().take(12).rev().collect();
            panic!(
                "{}: {last:#?}\n{:#?}\n{:#}\n{:#}",
                self.log[0],
                self.open(&self.scene),
                stored(&self.scene, On::Project),
                stored(&self.scene, On::AuthConfig)
            );
        }
    }
}

#[test]
fn random_walks_over_specs_end_each_step_in_force_or_named() {
    let first = std::env::var("WALK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let next = std::sync::atomic::AtomicU64::new(first);
    let total = std::sync::Mutex::new([0_usize; 2]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed >= first + WALKS {
                        break;
                    }
                    let figures = simulate(async || {
                        let mut walk = Walk::new(seed);
                        walk.settle(&[]).await;
                        for _ in 0..STEPS {
                            walk.step().await;
                        }
                        walk.figures
                    });
                    let mut total = total.lock().unwrap();
                    for (sum, figure) in total.iter_mut().zip(figures) {
                        *sum += figure;
                    }
                }
            });
        }
    });
    let [steps, in_force] = *total.lock().unwrap();
    println!("{steps} steps, {in_force} of them ended with everything in force");
    assert!(steps >= 500 && in_force * 4 > steps, "{steps} {in_force}");
}
