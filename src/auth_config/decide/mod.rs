//! What to do about the Auth settings of a project, and what to say. PURE.
//!
//! | what is known                                   | step          | Ready                                         |
//! |-------------------------------------------------|---------------|-----------------------------------------------|
//! | suspended, here or at the project               | –             | as it was, Suspended                          |
//! | an older object is for the same project         | –             | False, `OwnershipConflict`                    |
//! | the project is missing, or not active           | –             | False, `ProjectNotFound`, `ProjectNotReady`   |
//! | its connection has not been looked at           | –             | as it was                                     |
//! | settings are not due                            | –             | as it was                                     |
//! | something declared is to be written             | apply         | as it was; False until a generation is settled |
//! | something declared is not in force yet          | –             | False, Configuring                            |
//! | nothing else waits, and something was refused   | –             | False, with the reason of Synced; Stalled     |
//! | all in force, or reported by policy             | –             | True                                          |
//!
//! Drift by somebody else flips Synced only.

mod needs;

pub use needs::next as needs;

use k8s_openapi::jiff::Timestamp;

use super::facts::{Observed, Parent, Step};
use crate::api::{AuthConfigStatus, ConditionType, Reason, SupabaseAuthConfig};
use crate::controller::{
    Decision, Inputs, Problem, Requeue, SLOW, StatusBuilder, no_longer_managed,
};
use crate::rules::conditions::{self, Truth};
use crate::settings::{Input, Plan, Policy, plan};

type AuthDecision = Decision<Step, AuthConfigStatus>;
type Draft = StatusBuilder<AuthConfigStatus>;

/// What to do and to say about the declared settings of a project.
pub fn decide(
    object: &SupabaseAuthConfig,
    observed: &Observed,
    inputs: &Inputs<'_>,
) -> AuthDecision {
    let mut draft = Draft::of(object, inputs.now);
    if let Some(requested) = &observed.requested {
        draft.status.last_handled_reconcile_at = Some(requested.clone());
    }
    if observed.policy == Policy::Suspended {
        return suspended(draft);
    }
    if let Some(holder) = &observed.holder {
        let message = format!(
            "SupabaseAuthConfig {holder} is older and holds the settings of this project; declare them there, and take this \
             object away"
        );
        draft.stalled(&Problem::new(Reason::OwnershipConflict, message));
        return rest(draft, Requeue::After(SLOW));
    }
    match &observed.parent {
        Parent::NotReady(problem) => {
            draft.set(ConditionType::ProjectReady, Truth::No, problem.reason, &problem.message);
            draft.progressing(problem.reason, &problem.message);
            return rest(draft, Requeue::After(SLOW));
        }
        Parent::Active(_) if observed.unsettled => {
            let status = object.status.clone().unwrap_or_default();
            let requeue = Requeue::After(std::time::Duration::from_secs(2));
            return Decision { step: None, status, requeue, notes: Vec::new(), release: false };
        }
        Parent::Active(_) => {
            draft.set(ConditionType::ProjectReady, Truth::Yes, Reason::Available, "");
        }
    }
    let Some(plan) = planned(object, observed, inputs.now) else {
        return rest(draft, Requeue::After(observed.again));
    };
    settle(object, observed, plan, draft)
}

/// The plan for settings that were read in this reconcile.
pub fn planned(object: &SupabaseAuthConfig, observed: &Observed, now: Timestamp) -> Option<Plan> {
    let read = observed.settings.as_ref()?;
    let status = object.status.clone().unwrap_or_default();
    let input = Input {
        groups: &read.groups,
        policy: observed.policy,
        applied: &status.applied,
        drift: &status.drift,
        was_settled: is_settled(object),
        asked: observed.requested.is_some(),
        uid: object.metadata.uid.as_deref().unwrap_or_default(),
        interval: read.interval,
        now,
    };
    Some(plan(&input, &mut read.memory.clone()))
}

/// Whether the status speaks of this generation and says that nothing is on its way.
pub fn is_settled(object: &SupabaseAuthConfig) -> bool {
    object.status.as_ref().is_some_and(|status| {
        let moving = conditions::is_true(&status.conditions, ConditionType::Reconciling.as_str());
        status.observed_generation == object.metadata.generation && !moving
    })
}

/// Whether the status says that everything declared is in force.
pub fn is_well(status: &AuthConfigStatus) -> bool {
    let says = |kind: ConditionType| conditions::is_true(&status.conditions, kind.as_str());
    status.drift.is_empty() && says(ConditionType::Ready) && says(ConditionType::Synced)
}

fn settle(
    object: &SupabaseAuthConfig,
    observed: &Observed,
    plan: Plan,
    mut draft: Draft,
) -> AuthDecision {
    draft.status.applied.clone_from(&plan.applied);
    draft.status.drift.clone_from(&plan.drift);
    draft.status.drift_count = plan.drift_count;
    let notes = no_longer_managed(&plan);
    let synced = &plan.synced;
    draft.set(ConditionType::Synced, synced.truth, synced.reason, &synced.message);
    // What somebody else did is told by Synced; what is declared was in force.
    let foreign = matches!(synced.reason, Reason::Differs | Reason::Reported | Reason::NotHolding);
    let unread = synced.truth == Truth::Unknown;
    let was_ready = draft.is_true(ConditionType::Ready) && is_settled(object);
    if plan.waiting {
        draft.progressing(Reason::Configuring, &synced.message);
    } else if plan.blocked && !(foreign && was_ready) {
        draft.stalled(&Problem::new(synced.reason, synced.message.clone()));
    } else if unread && !was_ready {
        draft.progressing(synced.reason, &synced.message);
    } else {
        draft.reached(Reason::Available, ready(observed.policy));
    }
    let requeue = if plan.write.is_some() { Requeue::Now } else { Requeue::After(plan.read_again) };
    Decision {
        step: plan.write.map(Step::Apply),
        status: draft.finish(),
        requeue,
        notes,
        release: false,
    }
}

const fn ready(policy: Policy) -> &'static str {
    match policy {
        Policy::Observe => "declared settings are compared, and never written",
        Policy::Suspended | Policy::Report | Policy::Correct => {
            "the declared settings are in force"
        }
    }
}

/// A suspended object keeps its word on whether it is ready.
fn suspended(mut draft: Draft) -> AuthDecision {
    let message = "suspended here or at the project: settings are neither read nor written";
    let truth = Truth::from(draft.is_true(ConditionType::Ready));
    draft.set(ConditionType::Ready, truth, Reason::Suspended, message);
    draft.set(ConditionType::Synced, Truth::Unknown, Reason::Suspended, message);
    draft.remove(ConditionType::Reconciling);
    draft.remove(ConditionType::Stalled);
    rest(draft, Requeue::OnChange)
}

fn rest(draft: Draft, requeue: Requeue) -> AuthDecision {
    Decision { step: None, status: draft.finish(), requeue, notes: Vec::new(), release: false }
}
