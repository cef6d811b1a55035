//! Plain values between observing, deciding and performing. No I/O, no logic.

use std::time::Duration;

use super::Resolved;
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

/// Everything that a reconcile has read.
#[derive(Debug)]
pub struct Observed {
    /// An older object that holds the settings of the project.
    pub holder: Option<String>,
    /// The project.
    pub parent: Parent,
    /// Whether its connection has not been looked at yet since this process leads.
    pub unsettled: bool,
    /// The strictest policy of project and object.
    pub policy: Policy,
    /// The secrets that the spec names.
    pub secrets: Resolved,
    /// Settings; only where they were read in this reconcile.
    pub settings: Option<SettingsRead>,
    /// How long until they are read again.
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
