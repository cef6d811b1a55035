//! Runs operators as the binary does, with their own queues and watches, in simulated time: they crash, follow each
//! other, and run beside each other.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use clap::Parser as _;
use supabase_operator::environment::Environment;
use supabase_operator::leader::Leadership;
use supabase_operator::options::Options;
use supabase_operator::run::Term;
use supabase_operator::telemetry::Metrics;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::clock::SimRandom;
use super::faults::Faults;
use super::scene::Scene;

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    options: Options,
}

/// How long what was waited for must last.
const SETTLED: Duration = Duration::from_millis(10);
/// Between two looks when nothing changes.
const LOOK: Duration = Duration::from_secs(30);

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// What was waited for came, after this simulated time.
    Done(Duration),
    /// It did not come in time.
    TimedOut,
}

/// Runs operators in a scene.
#[derive(Clone)]
pub struct Driver {
    pub scene: Scene,
    pub options: Options,
    /// Between a crash and the next process.
    pub downtime: Duration,
    /// How long a process may believe that it leads; none means for ever.
    pub claim: Option<Duration>,
    /// How much the wall clock of its machine is ahead of the platform's.
    pub ahead: Duration,
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
            ahead: Duration::ZERO,
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
            let process = Process::new(self, faults, self.seed + crashes as u64);
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
        let process = Process::new(self, faults, seed);
        let renewing = async {
            while let Some(claim) = self.claim.filter(|_| !faults.has_held()) {
                let now = process.environment.clock.uptime();
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

pub(super) struct Process {
    scene: Scene,
    options: Options,
    environment: Environment,
    pub leadership: Leadership,
}

impl Process {
    pub fn new(driver: &Driver, faults: &Faults, seed: u64) -> Self {
        let clock = Arc::new(driver.scene.clock.of_a_process(driver.ahead));
        let leadership = Leadership::new(clock.clone());
        leadership
            .claim_until(driver.claim.unwrap_or_else(|| Duration::from_secs(u64::from(u32::MAX))));
        let environment = Environment {
            client: driver.scene.client(faults),
            management: driver.scene.management(faults),
            clock,
            random: Arc::new(SimRandom::new(seed)),
        };
        let (scene, options) = (driver.scene.clone(), driver.options.clone());
        Self { scene, options, environment, leadership }
    }

    /// Lives until `done`, which is asked whenever something may have changed, and now and then: time and hands move
    /// things too.
    async fn live(&self, done: &impl Fn(&Scene) -> bool) {
        let scene = &self.scene;
        let mut changes = scene.changes();
        let finished = async {
            loop {
                if done(scene) {
                    // What was begun with it ends with it: nothing here takes time but waiting.
                    tokio::time::sleep(SETTLED).await;
                    if done(scene) {
                        return;
                    }
                }
                let _ = timeout(LOOK, changes.changed()).await;
            }
        };
        tokio::select! {
            biased;
            () = self.work(|_| ()) => {}
            () = finished => {}
        }
    }

    /// Works for ever. `begun` is told when it has taken over.
    pub async fn work(&self, begun: impl FnOnce(&Term)) {
        let metrics = Metrics::default();
        let term = loop {
            let leadership = self.leadership.clone();
            match Term::begin(&self.environment, &self.options, leadership, &metrics).await {
                Ok(term) => break term,
                Err(_) => tokio::time::sleep(Duration::from_secs(2)).await,
            }
        };
        begun(&term);
        let (_never, stop) = watch::channel(false);
        term.work(&self.options, &metrics, stop).await;
    }
}
