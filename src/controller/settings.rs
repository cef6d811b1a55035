//! What every kind with declared settings does around the settings engine: when they are read, and what came of a write. PURE.
//!
//! What is remembered here saves calls; nothing of it is needed for being right.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::Note;
use crate::api::ConditionType;
use crate::management::Error;
use crate::rules::conditions;
use crate::settings::{Memory, Outcome, Plan, Policy, Synced, Write, next_read};

/// When an object's settings are read, and what is remembered of its writes.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    /// What was written, and what came of it.
    pub memory: Memory,
    /// When settings are due to be read, by the monotonic clock.
    due: Option<Duration>,
    /// For what they were read last.
    read_for: Option<Box<Basis>>,
    /// For what one was written last.
    written_for: Option<Box<Basis>>,
    /// What was found when they were read last.
    found: Option<Box<Synced>>,
}

/// What settings are compared for: another basis makes them due.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Basis {
    generation: Option<i64>,
    policy: Policy,
    reference: Box<str>,
}

/// The occasion on which it is asked whether settings are due.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// The wall clock.
    pub now: Timestamp,
    /// The monotonic clock.
    pub uptime: Duration,
    /// How often settings are read when all is well.
    pub interval: Duration,
    /// The object's UID.
    pub uid: &'a str,
    /// The generation of the spec.
    pub generation: Option<i64>,
    /// The strictest policy; the spec of another object may be a part of it.
    pub policy: Policy,
    /// The ref of the project that has the settings.
    pub reference: &'a str,
    /// The generation for which the status compares them: that of `Synced`, since the others go on while nothing can be read.
    pub compared: Option<i64>,
    /// Whether the status says that nothing is on its way and nothing differs.
    pub settled: bool,
    /// Whether somebody asked for a reconcile.
    pub requested: bool,
}

impl Occasion<'_> {
    fn basis(&self) -> Basis {
        let Self { generation, policy, reference, .. } = *self;
        Basis { generation, policy, reference: reference.into() }
    }
}

impl Schedule {
    /// How long until settings are read. A process that has read none yet begins at once where the status does not say that
    /// all is well; else each object has its own place within the interval.
    pub fn wait(&mut self, occasion: Occasion<'_>) -> Duration {
        let basis = occasion.basis();
        let changed = match &self.read_for {
            Some(known) => **known != basis,
            None => occasion.compared != occasion.generation,
        };
        let unknown = self.due.is_none() && (changed || !occasion.settled);
        // What was refused a moment ago, or is waited for, is not asked for at once because the spec is new.
        let held = self.written_for.as_deref() == Some(&basis);
        if occasion.requested || unknown || (changed && !held) {
            return Duration::ZERO;
        }
        let first = || occasion.uptime + next_read(occasion.now, occasion.interval, occasion.uid);
        self.due.get_or_insert_with(first).saturating_sub(occasion.uptime)
    }

    /// Settings were read, with this result, and are read again after `wait`.
    pub fn read(&mut self, occasion: Occasion<'_>, found: Option<Synced>, wait: Duration) {
        self.read_for = Some(Box::new(occasion.basis()));
        self.due = Some(occasion.uptime + wait);
        self.found = found.map(Box::new);
    }

    /// What was found when this process read them last; none where it has not yet.
    pub fn found(&self) -> Option<&Synced> {
        self.found.as_deref()
    }

    /// Settings are due: what one takes its value from has changed, they were out of reach, or what was found when they were read
    /// is not in the status.
    pub fn hurry(&mut self) {
        self.due = Some(Duration::ZERO);
        self.written_for = None;
    }

    /// What was found when they were read last is not in the status.
    pub fn unsaid(&mut self) {
        if self.read_for.is_some() {
            self.hurry();
        }
    }

    /// Learns what came of a write, and gives what is to be told of it.
    pub fn learn<T>(
        &mut self,
        write: &Write,
        answer: &Result<T, Error>,
        occasion: Occasion<'_>,
    ) -> (Outcome, Option<Note>) {
        let outcome = Outcome::of(answer);
        self.memory.learn(write, &outcome, occasion.now);
        self.written_for = Some(Box::new(occasion.basis()));
        // What it has changed is read at once.
        self.due = Some(occasion.uptime);
        let paths = write.paths();
        let note = match &outcome {
            Outcome::Accepted => {
                Some(Note::normal("SettingsApplied", format!("set on the platform: {paths}")))
            }
            Outcome::Refused { words, .. } => {
                Some(Note::warning("SettingsRefused", format!("{paths}: {words}")))
            }
            Outcome::Unclear => None,
        };
        (outcome, note)
    }
}

/// The generation for which a status says whether what is declared is in force.
pub fn compared_generation(conditions: &[Condition]) -> Option<i64> {
    conditions::find(conditions, ConditionType::Synced.as_str())?.observed_generation
}

/// Tells what was declared once and is no more.
pub fn no_longer_managed(plan: &Plan) -> Vec<Note> {
    let told = plan.no_longer_managed.iter().map(|path| {
        let message = format!("{path} is declared no more; the platform keeps its value");
        Note::normal("NoLongerManaged", message)
    });
    told.collect()
}
