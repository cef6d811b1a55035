//! PURE. The one builder of statuses, for every kind: conditions are set one by one, and everything that is not touched
//! stays as it was. Only decisions use it.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::{HasConditions, Requeue};
use crate::api::{ConditionType, Installation, Reason};
use crate::kubernetes::Error;
use crate::rules::conditions::{self, Truth};

const MINUTE: Duration = Duration::from_secs(60);
/// Between looks at what only a person can change.
pub const SLOW: Duration = Duration::from_secs(600);

/// The status of a kind.
pub trait ObjectStatus: Clone + Debug + Default + PartialEq + Serialize + Send + Sync {
    /// One of a type at most.
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

/// What a message says where it says itself when something is done about it.
const SAYS_WHEN: [&str; 3] = ["tried again", "looked at again", "seen here by itself"];

/// Whoever reads of trouble is told how long it takes until it is looked at again: said here for every kind, in words that
/// stay the same while it is.
pub fn say_when<S: ObjectStatus>(status: &mut S, requeue: Requeue) {
    let when = match requeue {
        Requeue::Now => return,
        Requeue::After(wait) if wait <= MINUTE => "it is looked at again within a minute",
        Requeue::After(wait) if wait <= SLOW => "it is looked at again within ten minutes",
        Requeue::Backoff => "it is tried again, within fifteen minutes at the longest",
        Requeue::After(_) | Requeue::OnChange => {
            "it is looked at again when something changes, and now and then besides"
        }
    };
    let conditions = status.conditions_mut();
    let is = |kind: ConditionType| {
        let there = conditions::find(conditions, kind.as_str());
        there.filter(|one| one.status == Truth::Yes.as_str()).map(|one| one.message.clone())
    };
    let waits = is(ConditionType::Reconciling).filter(|_| requeue == Requeue::Backoff);
    let Some(trouble) = is(ConditionType::Stalled).or(waits) else { return };
    if trouble.is_empty() || SAYS_WHEN.iter().any(|words| trouble.contains(words)) {
        return;
    }
    for one in conditions.iter_mut().filter(|one| one.message == trouble) {
        one.message = format!("{trouble}; {when}");
    }
}

/// What the API server does not let be read, somebody must do something about: it is said, in its own words. What it cannot answer
/// now is only tried again.
pub fn unread<O: HasConditions>(
    object: &O,
    stored: O::Status,
    error: &Error,
    now: Timestamp,
) -> Option<O::Status> {
    match error {
        Error::Forbidden(_) | Error::Unreadable(_) => {}
        Error::Conflict
        | Error::Exists
        | Error::NotFound
        | Error::Terminating
        | Error::Invalid
        | Error::TooLarge
        | Error::Unavailable(_) => return None,
    }
    let mut draft = StatusBuilder::over(object, stored, now);
    draft.progressing(Reason::Retrying, &format!("reading what the operator needs: {error}"));
    Some(draft.finish())
}

/// A status in the making.
#[derive(Clone, Debug)]
pub struct StatusBuilder<S> {
    /// What is written, with what was not touched.
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

    /// Sets a condition, for the generation that is decided about.
    pub fn set(&mut self, kind: ConditionType, truth: Truth, reason: Reason, message: &str) {
        let (kind, reason) = (kind.as_str(), reason.as_str());
        let (generation, now) = (self.generation, self.now);
        let list = self.status.conditions_mut();
        conditions::set(list, kind, truth, reason, message, generation, now);
    }

    /// Nothing is said by a condition of this type any more.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{ProjectStatus, SupabaseProject};

    fn builder() -> StatusBuilder<ProjectStatus> {
        let object = SupabaseProject::new(
            "orders",
            serde_json::from_str(r#"{"connectionRef":{"name":"acme"}}"#).unwrap(),
        );
        StatusBuilder::of(&object, "2026-01-01T00:00:00Z".parse().unwrap())
    }

    fn told(mut status: ProjectStatus, requeue: Requeue) -> Vec<String> {
        say_when(&mut status, requeue);
        let once = status.clone();
        say_when(&mut status, requeue);
        assert_eq!(status, once, "said once");
        status.conditions.into_iter().map(|one| one.message).collect()
    }

    #[test]
    fn trouble_of_every_kind_says_when_it_is_looked_at_again() {
        let stalled = |message: &str| {
            let mut builder = builder();
            builder.set(ConditionType::Synced, Truth::No, Reason::OutOfSync, "another");
            builder.stalled(&Problem::new(Reason::InvalidSpec, message));
            builder.status
        };
        for (requeue, when) in [
            (Requeue::After(Duration::from_secs(30)), "looked at again within a minute"),
            (Requeue::After(Duration::from_secs(600)), "looked at again within ten minutes"),
            (Requeue::Backoff, "tried again, within fifteen minutes"),
            (Requeue::After(Duration::from_secs(3600)), "looked at again when something changes"),
            (Requeue::OnChange, "looked at again when something changes"),
        ] {
            let told = told(stalled("authorize again"), requeue);
            let say = told.iter().filter(|message| message.contains(when)).count();
            assert_eq!(say, 2, "Ready and Stalled, not Synced: {told:?}");
        }
        for requeue in [Requeue::Now, Requeue::OnChange] {
            let before = stalled("it is tried again when the spec changes");
            let messages =
                before.conditions.iter().map(|one| one.message.clone()).collect::<Vec<_>>();
            assert_eq!(told(before, requeue), messages);
        }
    }

    #[test]
    fn what_goes_on_says_nothing_of_it_and_what_fails_does() {
        let going = || {
            let mut builder = builder();
            builder.progressing(Reason::Provisioning, "waiting for the platform");
            builder.status
        };
        let quiet = told(going(), Requeue::After(Duration::from_secs(2)));
        assert!(quiet.iter().all(|message| message == "waiting for the platform"), "{quiet:?}");
        let failing = told(going(), Requeue::Backoff);
        assert!(failing.iter().all(|message| message.contains("fifteen minutes")), "{failing:?}");
    }
}
