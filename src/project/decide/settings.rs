//! The declared settings of a project: what is written next, and what the status says of them. PURE.
//!
//! The engine compares and plans ([`crate::settings`]); here its plan meets the rest of the project: it is made before outputs are
//! written, and as long as something declared is neither in force nor refused, `Reconciling` says so, whatever `Ready` says.

use k8s_openapi::jiff::Timestamp;

use super::spec::policy;
use super::sync::sync;
use super::{Draft, ProjectDecision, act};
use crate::api::{ConditionType, ProjectStatus, Reason, SupabaseProject};
use crate::controller::{Note, Requeue, no_longer_managed};
use crate::project::facts::Observed;
use crate::project::step::Step;
use crate::rules::conditions::{self, Truth};
use crate::settings::{Input, Plan, plan};

/// Whether nothing declared is on its way, as the status says.
pub(in crate::project) fn is_configured(status: &ProjectStatus) -> bool {
    !conditions::is_true(&status.conditions, ConditionType::Reconciling.as_str())
}

/// Whether the status says that everything declared is in force.
pub(in crate::project) fn is_well(status: &ProjectStatus) -> bool {
    let in_sync = conditions::is_true(&status.conditions, ConditionType::Synced.as_str());
    status.drift.is_empty() && is_configured(status) && in_sync
}

/// The plan for settings that were read in this reconcile.
pub(in crate::project) fn plan_settings(
    project: &SupabaseProject,
    observed: &Observed,
    now: Timestamp,
) -> Option<Plan> {
    let read = observed.settings.as_ref()?;
    let status = project.status.clone().unwrap_or_default();
    let input = Input {
        groups: &read.groups,
        policy: policy(project),
        applied: &status.applied,
        drift: &status.drift,
        was_settled: status.observed_generation == project.metadata.generation
            && is_configured(&status),
        asked: observed.requested.is_some(),
        uid: project.metadata.uid.as_deref().unwrap_or_default(),
        interval: read.interval,
        now,
    };
    Some(plan(&input, &mut read.memory.clone()))
}

/// The next write, if there is one.
pub(super) fn write(
    project: &SupabaseProject,
    observed: &Observed,
    plan: &Plan,
    mut draft: Draft,
) -> Option<ProjectDecision> {
    let write = plan.write.clone()?;
    let notes = say(project, observed, Some(plan), &mut draft);
    let mut decision = act(Step::ApplySettings(write), draft, Requeue::Now);
    decision.notes = notes;
    Some(decision)
}

/// Says what was found of settings where the object has nothing else to say yet: they are not read again so soon.
pub(super) fn say(
    project: &SupabaseProject,
    observed: &Observed,
    plan: Option<&Plan>,
    draft: &mut Draft,
) -> Vec<Note> {
    let Some(plan) = plan else { return Vec::new() };
    let notes = record(plan, draft);
    sync(project, observed, draft, Some(plan));
    waiting(plan, draft);
    notes
}

/// Writes down what the plan says, and tells what is managed no more.
pub(super) fn record(plan: &Plan, draft: &mut Draft) -> Vec<Note> {
    draft.status.applied.clone_from(&plan.applied);
    draft.status.drift.clone_from(&plan.drift);
    draft.status.drift_count = plan.drift_count;
    no_longer_managed(plan)
}

/// As long as something declared is neither in force nor refused, the object is in progress.
pub(super) fn waiting(plan: &Plan, draft: &mut Draft) {
    if plan.waiting && draft.find(ConditionType::Stalled).is_none() {
        let message = "declared settings are not all in force yet; Synced says which";
        draft.set(ConditionType::Reconciling, Truth::Yes, Reason::Configuring, message);
    }
}
