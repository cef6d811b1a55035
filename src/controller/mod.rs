//! THE ENGINE: one generic reconcile for every kind, and whose turn it is.
//!
//! A kind says how to observe (reads only), how to decide (pure) and how to perform one step; everything else
//! (fresh read, finalizer, the status write at its end, events, metrics, backoff) is done here, once. May touch the
//! API server; knows nothing of the platform.

mod context;
pub mod queue;
mod reconcile;
mod report;
mod requests;
mod rival;
mod settings;
mod status;
mod store;
mod translate;
mod unreadable;
mod watch;

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Api;

pub use context::{Context, ContextParts};
pub use reconcile::{Reconcile, reconcile};
pub use report::Reporter;
pub use requests::{ReconcileRequests, Requests};
pub use settings::{Occasion, Schedule, compared_generation, no_longer_managed};
pub use status::{ObjectStatus, Problem, SLOW, StatusBuilder};
pub use store::{Change, OnChange, Source, Store, sources};
pub use translate::{Trouble, translate, translate_of_credential};
pub use unreadable::ReleaseDecision;
pub use watch::{look, on_change};

use crate::api::Kind;
use crate::kubernetes::{self, Lean, Partly, Stored};
use crate::rules::random::Random;

/// An object of ours: it has a status with conditions.
pub trait HasConditions: Stored {
    /// Its place in the list of kinds that watches and wiring follow.
    const KIND: Kind;
    /// The kind's name, for logs and metrics.
    const NAME: &'static str = Self::KIND.as_str();

    /// What is written under `status`.
    type Status: ObjectStatus;

    /// The status that was read.
    fn status(&self) -> Option<&Self::Status>;
    /// Puts a status that was written into the copy at hand.
    fn set_status(&mut self, status: Self::Status);
}

/// The status of an object, and the conditions in it: the same for every kind but for the names. First the status, then the
/// kinds that have it.
macro_rules! has_conditions {
    ($status:ident: $($object:ident),+) => {
        $(impl $crate::controller::HasConditions for $crate::api::$object {
            const KIND: $crate::api::Kind = $crate::api::Kind::$object;

            type Status = $crate::api::$status;

            fn status(&self) -> Option<&Self::Status> {
                self.status.as_ref()
            }

            fn set_status(&mut self, status: Self::Status) {
                self.status = Some(status);
            }
        })+

        impl $crate::controller::ObjectStatus for $crate::api::$status {
            fn conditions(
                &self,
            ) -> &Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
                &self.conditions
            }

            fn conditions_mut(
                &mut self,
            ) -> &mut Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
                &mut self.conditions
            }

            fn set_observed_generation(&mut self, generation: Option<i64>) {
                self.observed_generation = generation;
            }

            fn installation(&self) -> Option<&$crate::api::Installation> {
                self.installation.as_ref()
            }

            fn set_installation(&mut self, installation: Option<$crate::api::Installation>) {
                self.installation = installation;
            }
        }
    };
}
pub(crate) use has_conditions;

/// How one kind is looked after.
pub trait Reconciler: Send + Sync + 'static {
    /// The kind's object.
    type Object: HasConditions;
    /// What is seen of an object that is not read whole.
    type Seen: Lean;
    /// All that a reconcile reads.
    type Observed: Send;
    /// What a reconcile may do.
    type Step: Send + StepName;

    /// The kind's name, for logs and metrics.
    const NAME: &'static str = <Self::Object as HasConditions>::NAME;

    /// Where its objects are. `namespace` is none for cluster-wide kinds.
    fn api(&self, namespace: Option<&str>) -> Api<Self::Object>;

    /// An object that is new, as it was seen: it is held first, and read with the answer. None where more must be known
    /// before.
    fn new_object(&self, key: &crate::api::ObjectKey) -> Option<Arc<Self::Seen>> {
        let _ = key;
        None
    }

    /// Whether the object needs our finalizer, as long as it is not being deleted.
    fn needs_finalizer(
        &self,
        object: &Self::Object,
    ) -> impl Future<Output = Result<bool, kubernetes::Error>> + Send;

    /// Reads what a decision needs. No effects. An error means that the reconcile is tried again later with nothing
    /// said; what users should know is an observation, not an error.
    fn observe(
        &self,
        object: &Self::Object,
    ) -> impl Future<Output = Result<Self::Observed, kubernetes::Error>> + Send;

    /// Remembers in this process what was observed, and adds to it what that teaches. Nothing waits, no call is made, nothing
    /// is written.
    fn remember(&self, object: &Self::Object, observed: &mut Self::Observed);

    /// PURE: what to do, and what to say.
    fn decide(
        &self,
        object: &Self::Object,
        observed: &Self::Observed,
        inputs: &Inputs<'_>,
    ) -> Decision<Self::Step, <Self::Object as HasConditions>::Status>;

    /// Does one step: at most one external effect that is not idempotent.
    fn perform(
        &self,
        reconcile: &mut Reconcile<Self::Object>,
        step: Self::Step,
        observed: Self::Observed,
        status: <Self::Object as HasConditions>::Status,
    ) -> impl Future<Output = Outcome<<Self::Object as HasConditions>::Status>> + Send;

    /// What this reconcile has found could not be stored: what is remembered of it must not keep it from being found again.
    fn unsaid(&self, key: &crate::api::ObjectKey) {
        let _ = key;
    }

    /// PURE: what becomes of an object that is being deleted and not wholly understood.
    fn release(&self, seen: &Self::Seen, partly: &Partly<Self::Object>) -> ReleaseDecision;

    /// The object is not there any more: forget what is held for it in memory.
    fn forget(&self, key: &crate::api::ObjectKey) {
        let _ = key;
    }
}

/// A step's name, for logs and metrics.
pub trait StepName {
    /// From a small closed set.
    fn name(&self) -> &'static str;
}

/// What a decision may depend on besides the object and what was observed.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The wall clock.
    pub now: Timestamp,
    /// The monotonic clock.
    pub uptime: Duration,
    /// How many reconciles of this object in a row have asked for [`Requeue::Backoff`].
    pub attempt: u32,
    /// Randomness.
    pub random: &'a dyn Random,
}

/// What a reconcile does and says.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<Step, Status> {
    /// What is performed now, before anything is observed again; none to rest.
    pub step: Option<Step>,
    /// The whole next status, written after the step, if it differs from what is stored.
    pub status: Status,
    /// When to look again.
    pub requeue: Requeue,
    /// Events worth telling, besides a change of `Ready`.
    pub notes: Vec<Note>,
    /// Whether the object may go: its deletion was asked for, and nothing is left to do.
    pub release: bool,
}

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeue {
    /// At once, in the same reconcile where a step has just been done.
    Now,
    /// After this time, or on a change.
    After(Duration),
    /// Something failed: after a time that grows with every failure in a row.
    Backoff,
    /// Only on a change (and on the regular resync).
    OnChange,
}

/// What came of a step.
#[derive(Clone, Debug)]
pub struct Outcome<Status> {
    /// The status, with what the step taught.
    pub status: Status,
    /// When to look again; none keeps the decision's word.
    pub requeue: Option<Requeue>,
    /// Events worth telling.
    pub notes: Vec<Note>,
    /// Whether the step worked, for metrics.
    pub worked: bool,
    /// Whether the status need not be stored before the next step: what it teaches is found out again where it is lost.
    pub carried: bool,
}

impl<Status> Outcome<Status> {
    /// The step worked, and the next one follows at once.
    pub fn go_on(status: Status) -> Self {
        Self {
            status,
            requeue: Some(Requeue::Now),
            notes: Vec::new(),
            worked: true,
            carried: false,
        }
    }

    /// The step worked, and the next one follows before anything is written.
    pub fn carry_on(status: Status) -> Self {
        Self { carried: true, ..Self::go_on(status) }
    }

    /// The step worked, and the decision's word on the next reconcile holds.
    pub fn done(status: Status) -> Self {
        Self { status, requeue: None, notes: Vec::new(), worked: true, carried: false }
    }

    /// The step did not work.
    pub fn failed(status: Status, requeue: Requeue) -> Self {
        Self { status, requeue: Some(requeue), notes: Vec::new(), worked: false, carried: false }
    }

    /// With an event.
    #[must_use]
    pub fn telling(mut self, note: Note) -> Self {
        self.notes.push(note);
        self
    }
}

/// A Kubernetes Event to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether somebody should worry.
    pub warning: bool,
    /// `PascalCase`, from a small closed set.
    pub reason: &'static str,
    /// A sentence without secrets and without text of the platform.
    pub message: String,
    /// Whether it tells of a step that leads to `Ready`: where both come in one reconcile, one event tells both.
    pub on_the_way: bool,
}

impl Note {
    /// Good news.
    pub fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: false, reason, message: message.into(), on_the_way: false }
    }

    /// Good news of a step that leads to `Ready`.
    pub fn on_the_way(reason: &'static str, message: impl Into<String>) -> Self {
        Self { on_the_way: true, ..Self::normal(reason, message) }
    }

    /// Bad news.
    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: true, reason, message: message.into(), on_the_way: false }
    }
}
