//! Plain values between observing, deciding and performing. No I/O, no logic.

use std::time::Duration;

use super::Resolved;
use super::memory::Memo;
use crate::api::SupabaseProject;
use crate::controller::{Problem, StepName};
use crate::management::ProjectRef;
use crate::settings::{Group, Memory, Policy, Write};

/// The project that the settings are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parent {
    /// It cannot be written to now.
    NotReady(Problem),
    /// Settings can be written to it.
    Active(ProjectRef),
}

/// Settings as they were read.
#[derive(Debug)]
pub struct SettingsRead {
    /// What is declared, beside what was read.
    pub groups: Vec<Group>,
    /// What this process remembers of them.
    pub memory: Memory,
    /// How often they are read when all is well.
    pub interval: Duration,
}

/// Something that is read for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Whether an older object is for the same project.
    Holder,
    /// The project.
    Project,
    /// The connection of the project.
    Connection,
    /// The Secrets that the spec names.
    Secrets,
    /// The settings, if they are due.
    Settings,
}

/// Everything that a reconcile has read.
#[derive(Debug)]
pub struct Observed {
    /// What was read, in this order.
    pub done: Vec<Read>,
    /// What this process remembers of the object, and will once this is observed.
    pub memo: Memo,
    /// An older object that holds the settings of the project.
    pub holder: Option<String>,
    /// The project, if settings can be read of it.
    pub project: Option<SupabaseProject>,
    /// The same, once its connection is known.
    pub parent: Parent,
    /// Whether its connection has not been looked at yet since this process leads.
    pub unsettled: bool,
    /// The strictest policy of project and object.
    pub policy: Policy,
    /// The secrets that the spec names.
    pub secrets: Resolved,
    /// Their names, and the versions in which they were found.
    pub versions: Vec<(String, Option<String>)>,
    /// Settings; only where they were read in this reconcile.
    pub settings: Option<SettingsRead>,
    /// How long until they are due, where they were not read.
    pub again: Duration,
    /// Whether a reconcile was asked for by annotation, and has not been acknowledged.
    pub requested: Option<String>,
}

/// What a reconcile may do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Write declared settings.
    Apply(Write),
}

impl StepName for Step {
    fn name(&self) -> &'static str {
        match self {
            Self::Apply(_) => "apply_settings",
        }
    }
}
