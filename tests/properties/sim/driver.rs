//! Plays what a controller's queue and its watches do: passes when an object changed in a way that matters, when it
//! is woken from inside, and when its last pass asked for the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use clap::Parser as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use serde_json::Value;
use supabase_operator::api::ObjectKey;
use supabase_operator::controller::pass;
use supabase_operator::leader::Leadership;
use supabase_operator::options::Options;
use supabase_operator::outside::Outside;
use supabase_operator::run::Term;
use supabase_operator::telemetry::Metrics;
use tokio::time::Instant;

use super::clock::SimRandom;
use super::faults::Faults;
use super::scene::Scene;

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    options: Options,
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// What was waited for came, after this simulated time.
    Done(Duration),
    /// It did not come in time.
    TimedOut,
}

/// The kinds, in the order in which their passes are begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    ClusterConnection,
    Connection,
    Project,
}

type Target = (Of, ObjectKey);

/// Runs operators in a scene.
#[derive(Clone)]
pub struct Driver {
    pub scene: Scene,
    pub options: Options,
    /// Between a crash and the next process.
    pub downtime: Duration,
    /// How long a process may believe that it leads; none means for ever.
    pub claim: Option<Duration>,
    seed: u64,
}

impl Driver {
    pub fn new(scene: &Scene) -> Self {
        // Parsing takes longer than many a run.
        static OPTIONS: LazyLock<Options> = LazyLock::new(|| Command::parse_from(["run"]).options);
        Self {
            scene: scene.clone(),
            options: OPTIONS.clone(),
            downtime: Duration::from_secs(1),
            claim: None,
            seed: 7,
        }
    }

    /// Runs processes, one after the other as they crash, until `done` or for `limit` of simulated time.
    /// `on_crash` is somebody's hand in between; it is told how many crashes there have been.
    pub async fn run(
        &self,
        faults: &Faults,
        limit: Duration,
        done: impl Fn(&Scene) -> bool,
        on_crash: impl Fn(&Scene, usize),
    ) -> Ending {
        let begun = Instant::now();
        let deadline = begun + limit;
        for crashes in 1.. {
            let metrics = Metrics::default();
            let process = Process::new(self, faults, &metrics, self.seed + crashes as u64);
            let finished = tokio::select! {
                biased;
                () = faults.death() => None,
                () = tokio::time::sleep_until(deadline) => Some(Ending::TimedOut),
                () = process.live(&done) => Some(Ending::Done(begun.elapsed())),
            };
            match finished {
                // A process that is to die after its last answer has done nothing more: it is dead.
                Some(Ending::Done(_)) if faults.is_dying() => {}
                Some(ending) => return ending,
                None => {}
            }
            faults.revive();
            on_crash(&self.scene, crashes);
            tokio::time::sleep(self.downtime).await;
        }
        Ending::TimedOut
    }

    /// A process by itself, for runs with more than one at a time. It renews its claim until it is frozen.
    pub async fn alone(&self, faults: &Faults, seed: u64, done: impl Fn(&Scene) -> bool) {
        let metrics = Metrics::default();
        let process = Process::new(self, faults, &metrics, seed);
        let renewing = async {
            while let Some(claim) = self.claim.filter(|_| !faults.has_held()) {
                let now = process.outside.clock.uptime();
                process.leadership.claim_until(now + claim);
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = process.live(&done) => {}
            () = renewing => {}
        }
    }
}

struct Process<'a> {
    driver: &'a Driver,
    outside: Outside,
    leadership: Leadership,
    metrics: &'a Metrics,
}

impl<'a> Process<'a> {
    fn new(driver: &'a Driver, faults: &Faults, metrics: &'a Metrics, seed: u64) -> Self {
        let clock = Arc::new(driver.scene.clock.of_a_process());
        let leadership = Leadership::new(clock.clone());
        leadership.claim_until(
            driver
                .claim
                .unwrap_or_else(|| Duration::from_secs(u64::from(u32::MAX))),
        );
        let outside = Outside {
            client: driver.scene.client(faults),
            management: driver.scene.management(faults),
            clock,
            random: Arc::new(SimRandom::new(seed)),
        };
        Self {
            driver,
            outside,
            leadership,
            metrics,
        }
    }

    /// Lives until `done`, which is asked after every pass.
    async fn live(&self, done: &impl Fn(&Scene) -> bool) {
        let scene = &self.driver.scene;
        let term = loop {
            let begun = Term::begin(
                &self.outside,
                &self.driver.options,
                self.leadership.clone(),
                self.metrics,
            );
            match begun.await {
                Ok(term) => break term,
                Err(_) => tokio::time::sleep(Duration::from_secs(2)).await,
            }
        };
        let mut seen = BTreeMap::new();
        let mut due: BTreeMap<Target, Instant> = BTreeMap::new();
        let mut again: BTreeSet<Target> = BTreeSet::new();
        let mut active: BTreeSet<Target> = BTreeSet::new();
        let mut running: FuturesUnordered<BoxFuture<'_, (Target, Option<Duration>)>> =
            FuturesUnordered::new();
        loop {
            if done(scene) {
                return;
            }
            for target in changed(scene, &mut seen) {
                due.insert(target, Instant::now());
            }
            let now = Instant::now();
            let ready: Vec<Target> = due
                .iter()
                .filter(|(_, at)| **at <= now)
                .map(|(target, _)| target.clone())
                .collect();
            for target in ready {
                due.remove(&target);
                if active.insert(target.clone()) {
                    running.push(perform(&term, target).boxed());
                } else {
                    again.insert(target);
                }
            }
            let next = due.values().min().copied();
            let timer = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some((target, wait)) = running.next(), if !running.is_empty() => {
                    active.remove(&target);
                    if again.remove(&target) {
                        due.insert(target, Instant::now());
                    } else if let Some(wait) = wait {
                        due.insert(target, Instant::now() + wait);
                    }
                }
                key = term.project_wakes.next() => {
                    due.insert((Of::Project, key), Instant::now());
                }
                () = timer => {}
                // Hands move things without a pass: look now and then.
                () = tokio::time::sleep(Duration::from_secs(30)) => {}
            }
        }
    }
}

async fn perform(term: &Term, target: Target) -> (Target, Option<Duration>) {
    let key = &target.1;
    let wait = match target.0 {
        Of::Project => Box::pin(pass(&term.projects, &term.shell, key)).await,
        Of::Connection => pass(&term.connections, &term.shell, key).await,
        Of::ClusterConnection => match &term.cluster_connections {
            Some(kind) => pass(kind, &term.shell, key).await,
            None => None,
        },
    };
    (target, wait)
}

/// The objects that changed in a way that a watch would tell: by their spec, annotations or wish to be deleted;
/// projects also when the state of their connection changed.
fn changed(scene: &Scene, seen: &mut BTreeMap<Target, String>) -> Vec<Target> {
    let mut found = Vec::new();
    let api = scene.api();
    let mut connections = false;
    for (of, plural) in [
        (Of::ClusterConnection, "clustersupabaseconnections"),
        (Of::Connection, "supabaseconnections"),
        (Of::Project, "supabaseprojects"),
    ] {
        for object in api.all(plural) {
            let meta = &object["metadata"];
            let key = ObjectKey {
                namespace: meta["namespace"].as_str().map(str::to_owned),
                name: meta["name"].as_str().unwrap().to_owned(),
            };
            let ready = Scene::condition(object, "Ready");
            let state = match of {
                Of::Project => String::new(),
                Of::Connection | Of::ClusterConnection => format!("{ready:?}"),
            };
            let significant = |value: &Value| serde_json::to_string(value).unwrap_or_default();
            let now = format!(
                "{} {} {} {}",
                significant(&meta["uid"]),
                significant(&meta["generation"]),
                meta["deletionTimestamp"].is_string(),
                significant(&meta["annotations"]),
            );
            let target = (of, key);
            let both = format!("{now} {state}");
            let before = seen.insert(target.clone(), both.clone());
            if before.as_ref() != Some(&both) {
                connections |= of != Of::Project;
                if before.is_none_or(|before| !before.starts_with(&now)) {
                    found.push(target);
                }
            }
        }
    }
    if connections {
        found.extend(seen.keys().filter(|(of, _)| *of == Of::Project).cloned());
    }
    found
}
