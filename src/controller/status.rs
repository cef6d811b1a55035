//! PURE. The one builder of statuses, for every kind: conditions are set one by one, and everything that is not touched
//! stays as it was. Only decisions use it.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::HasConditions;
use crate::api::{ConditionType, Installation, Reason};
use crate::rules::conditions::{self, Truth};

/// The status of a kind.
pub trait ObjectStatus: Clone + Debug + Default + PartialEq + Serialize + Send + Sync {
    /// Its conditions.
    fn conditions(&self) -> &Vec<Condition>;
    /// The same, to be changed.
    fn conditions_mut(&mut self) -> &mut Vec<Condition>;
    /// Says which generation it speaks of.
    fn set_observed_generation(&mut self, generation: Option<i64>);
    /// Which installation of the operator looks after the object.
    fn installation(&self) -> Option<&Installation>;
    /// Says so.
    fn set_installation(&mut self, installation: Option<Installation>);
}

/// Something that stands in the way, with the words for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The reason of the condition.
    pub reason: Reason,
    /// What it is and what to do, without a full stop.
    pub message: String,
}

impl Problem {
    /// A problem.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// A status in the making.
#[derive(Clone, Debug)]
pub struct StatusBuilder<S> {
    /// The status.
    pub status: S,
    generation: Option<i64>,
    now: Timestamp,
}

impl<S: ObjectStatus> StatusBuilder<S> {
    /// Begins with what is stored.
    pub fn of<O: HasConditions<Status = S>>(object: &O, now: Timestamp) -> Self {
        Self::over(object, object.status().cloned().unwrap_or_default(), now)
    }

    /// Goes on with a status that was decided.
    pub fn over<O: kube::Resource>(object: &O, status: S, now: Timestamp) -> Self {
        Self { status, generation: object.meta().generation, now }
    }

    /// The time of the decision.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Sets a condition.
    pub fn set(&mut self, kind: ConditionType, truth: Truth, reason: Reason, message: &str) {
        let (kind, reason) = (kind.as_str(), reason.as_str());
        let (generation, now) = (self.generation, self.now);
        let list = self.status.conditions_mut();
        conditions::set(list, kind, truth, reason, message, generation, now);
    }

    /// Removes a condition.
    pub fn remove(&mut self, kind: ConditionType) {
        conditions::remove(self.status.conditions_mut(), kind.as_str());
    }

    /// Whether a condition is there and True.
    pub fn is_true(&self, kind: ConditionType) -> bool {
        conditions::is_true(self.status.conditions(), kind.as_str())
    }

    /// A condition, if it is there.
    pub fn find(&self, kind: ConditionType) -> Option<&Condition> {
        conditions::find(self.status.conditions(), kind.as_str())
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

    /// As the spec wants it: usable, or at rest on purpose.
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
    pub fn finish(mut self) -> S {
        let ready = conditions::find(self.status.conditions(), ConditionType::Ready.as_str());
        if ready.is_some_and(|ready| ready.observed_generation == self.generation) {
            self.status.set_observed_generation(self.generation);
        }
        self.status
    }
}
