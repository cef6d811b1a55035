//! PURE. The status of a project in the making: conditions are set one by one, and everything that is not touched
//! stays as it was.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;

use super::facts::Problem;
use crate::api::{ConditionType, ProjectStatus, Reason, SupabaseProject};
use crate::rules::conditions::{self, Truth};

/// A status in the making.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The status.
    pub status: ProjectStatus,
    generation: Option<i64>,
    now: Timestamp,
}

impl Draft {
    /// Begins with what is stored.
    pub fn of(project: &SupabaseProject, now: Timestamp) -> Self {
        Self::over(project, project.status.clone().unwrap_or_default(), now)
    }

    /// Goes on with a status that was decided.
    pub fn over(project: &SupabaseProject, status: ProjectStatus, now: Timestamp) -> Self {
        Self { status, generation: project.metadata.generation, now }
    }

    /// The time of the decision.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Sets a condition.
    pub fn set(&mut self, kind: ConditionType, truth: Truth, reason: Reason, message: &str) {
        let list = &mut self.status.conditions;
        let (kind, reason) = (kind.as_str(), reason.as_str());
        conditions::set(list, kind, truth, reason, message, self.generation, self.now);
    }

    /// Removes a condition.
    pub fn remove(&mut self, kind: ConditionType) {
        conditions::remove(&mut self.status.conditions, kind.as_str());
    }

    /// Whether a condition is there and True.
    pub fn is_true(&self, kind: ConditionType) -> bool {
        conditions::is_true(&self.status.conditions, kind.as_str())
    }

    /// A condition, if it is there.
    pub fn find(&self, kind: ConditionType) -> Option<&Condition> {
        conditions::find(&self.status.conditions, kind.as_str())
    }

    /// Usable.
    pub fn ready(&mut self) {
        self.set(
            ConditionType::Ready,
            Truth::Yes,
            Reason::Available,
            "the project can be used, and its outputs are written",
        );
        self.remove(ConditionType::Reconciling);
        self.remove(ConditionType::Stalled);
    }

    /// Not usable, and work or waiting goes on.
    pub fn progressing(&mut self, reason: Reason, message: &str) {
        self.set(ConditionType::Ready, Truth::No, reason, message);
        self.set(ConditionType::Reconciling, Truth::Yes, reason, message);
        self.remove(ConditionType::Stalled);
    }

    /// Not usable until somebody does something.
    pub fn stalled(&mut self, problem: &Problem) {
        let Problem { reason, message } = problem;
        self.set(ConditionType::Ready, Truth::No, *reason, message);
        self.set(ConditionType::Stalled, Truth::Yes, *reason, message);
        self.remove(ConditionType::Reconciling);
    }

    /// As the spec wants it, without being usable: neither work nor trouble.
    pub fn reached(&mut self, reason: Reason, message: &str) {
        self.set(ConditionType::Ready, Truth::Yes, reason, message);
        self.remove(ConditionType::Reconciling);
        self.remove(ConditionType::Stalled);
    }

    /// Not usable, on purpose: neither work nor trouble.
    pub fn resting(&mut self, reason: Reason, message: &str) {
        self.set(ConditionType::Ready, Truth::No, reason, message);
        self.remove(ConditionType::Reconciling);
        self.remove(ConditionType::Stalled);
    }

    /// The finished status. It speaks of the generation at hand only if `Ready` does.
    pub fn finish(mut self) -> ProjectStatus {
        let ready = conditions::find(&self.status.conditions, ConditionType::Ready.as_str());
        if ready.is_some_and(|ready| ready.observed_generation == self.generation) {
            self.status.observed_generation = self.generation;
        }
        self.status
    }
}
