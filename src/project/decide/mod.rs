//! PURE. What to do with a project, and what to say of it. Everything that must be argued about is here.
//!
//! ```text
//!                 ┌────────────┐   whole list: our create name    ┌────────────┐
//!   new object ──►│   create   │─────────────────────────────────►│   follow   │──► Ready
//!                 │ (no ref)   │   POST answered, or adopted      │ (ref)      │◄── pause, restore, drift
//!                 └─────┬──────┘                                  └─────┬──────┘
//!                       │ deletionTimestamp                             │
//!                       ▼                                               ▼
//!                 ┌─────────────────────────────────────────────────────────┐
//!                 │   delete: Retain lets go at once, Delete sees it gone    │
//!                 └─────────────────────────────────────────────────────────┘
//! ```
//!
//! The ref in the status is the hinge: before it is stored nothing but the create protocol runs, afterwards no
//! create call is ever made for this object again.

mod conclude;
mod create;
mod delete;
mod follow;
mod health;
mod lost;
mod needs;
mod obstacles;
mod password;
mod record;
mod release;
mod resolve;
mod settings;
mod settle;
mod spec;
mod sync;
mod unreadable;

use std::time::Duration;

pub(super) use conclude::Conclusions;
pub use needs::next as needs;
pub(super) use record::is_waited_for;
pub(super) use settings::{is_well, plan_settings};
pub use settle::{Written, conflict, settle};
pub(super) use spec::policy;
pub(super) use unreadable::release as release_decision;

use self::delete::goes_without_looking;
use super::facts::Observed;
use super::step::Step;
use crate::api::project::{AttemptOutcome, DeletionPolicy};
use crate::api::{ConditionType, ProjectStatus, Reason, SupabaseProject};
use crate::controller::{Decision, Inputs, Requeue, SLOW, StatusBuilder};
use crate::rules::conditions::Truth;

/// How long after its deadline a create call may still be delayed or its project invisible. An assumption: if it
/// fails, the platform's refusal of a second project of one name is what protects.
pub const GRACE: Duration = Duration::from_secs(180);

/// The status of a project in the making.
pub type Draft = StatusBuilder<ProjectStatus>;

/// A decision about a project.
pub type ProjectDecision = Decision<Step, ProjectStatus>;

/// Decides.
pub fn decide(
    project: &SupabaseProject,
    observed: &Observed,
    inputs: &Inputs<'_>,
) -> ProjectDecision {
    let mut draft = Draft::of(project, inputs.now);
    for attempt in draft.status.creation.iter_mut().flat_map(|creation| &mut creation.attempts) {
        let ours = attempt.process == observed.process && Some(attempt.number) == observed.unsent;
        if ours && attempt.outcome == AttemptOutcome::Pending {
            attempt.outcome = AttemptOutcome::NotSent;
        }
    }
    if let Some(creation) = &mut draft.status.creation {
        creation.keep_room();
    }
    let needs_link = !(project.spec.suspend || goes_without_looking(project));
    if observed.unsettled && needs_link {
        // Nothing is said of a connection before it is known.
        return unchanged(project, Requeue::After(observed.transition_interval));
    }
    if project.metadata.deletion_timestamp.is_some() {
        return delete::delete(project, observed, inputs, draft);
    }
    draft.remove(ConditionType::DeletionBlocked);
    if project.spec.suspend {
        return suspended(draft);
    }
    if let Some(requested) = &observed.requested {
        draft.status.last_handled_reconcile_at = Some(requested.clone());
    }
    match &observed.link.problem {
        None => draft.set(ConditionType::ConnectionReady, Truth::Yes, Reason::Available, ""),
        Some(problem) => {
            draft.set(ConditionType::ConnectionReady, Truth::No, problem.reason, &problem.message);
        }
    }
    match draft.status.reference.clone() {
        None => create::create(project, observed, inputs, draft),
        Some(reference) => follow::follow(project, observed, inputs, draft, &reference),
    }
}

/// A suspended object keeps its word on whether it is usable.
fn suspended(mut draft: Draft) -> ProjectDecision {
    let message = "spec.suspend is set: nothing is done until it is unset";
    let truth = if draft.is_true(ConditionType::Ready) { Truth::Yes } else { Truth::No };
    draft.set(ConditionType::Ready, truth, Reason::Suspended, message);
    if draft.status.reference.is_some() {
        draft.set(ConditionType::Synced, Truth::Unknown, Reason::Suspended, message);
    }
    draft.remove(ConditionType::Reconciling);
    draft.remove(ConditionType::Stalled);
    rest(draft, Requeue::OnChange)
}

/// Nothing is known yet that could be said of this generation.
fn unchanged(project: &SupabaseProject, requeue: Requeue) -> ProjectDecision {
    let status = project.status.clone().unwrap_or_default();
    Decision { step: None, status, requeue, notes: Vec::new(), release: false }
}

/// Nothing to do but to say so.
fn rest(draft: Draft, requeue: Requeue) -> ProjectDecision {
    Decision { step: None, status: draft.finish(), requeue, notes: Vec::new(), release: false }
}

/// A step, and what to say if it works.
fn act(step: Step, draft: Draft, requeue: Requeue) -> ProjectDecision {
    Decision {
        step: Some(step),
        status: draft.finish(),
        requeue,
        notes: Vec::new(),
        release: false,
    }
}

/// Whether the object shall delete its project.
fn deletes(project: &SupabaseProject) -> bool {
    project.spec.deletion_policy == DeletionPolicy::Delete
}
