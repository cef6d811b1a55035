//! The last word: what the outputs that were written, or found in order, make of the conditions.

use super::Draft;
use super::health::sick;
use super::password::{is_unverified, password_trouble, wants_password};
use super::record::is_waited_for;
use super::settings::{plan_settings, record, waiting};
use super::sync::sync;
use crate::api::project::{Binding, OutputStatus};
use crate::api::{ConditionType, OutputKind, Preset, Reason, SupabaseProject};
use crate::controller::{Inputs, Note, Requeue, Trouble, translate};
use crate::management::Error;
use crate::project::facts::{Observed, Problem, Rolled, Wanted};
use crate::rules::conditions::Truth;

/// What became of one output.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: OutputKind,
    /// Digest of what it holds now, or why it is not as it should be.
    pub result: Result<Option<String>, Problem>,
    /// Digest of what it holds, if it was written although something is missing.
    pub partial: Option<String>,
    /// Whether it holds everything all the same: what an earlier writing put there.
    pub kept: bool,
    /// What became of the workloads that it names; none where that was not looked at.
    pub rolled: Option<Rolled>,
}

impl Written {
    /// An output that was not touched in this reconcile.
    pub fn unchanged(wanted: &Wanted) -> Self {
        let result = if wanted.writable {
            Ok(wanted.renewed.clone())
        } else {
            Err(conflict(&wanted.output.name))
        };
        Self {
            name: wanted.output.name.clone(),
            kind: wanted.output.kind,
            result,
            partial: None,
            kept: false,
            rolled: None,
        }
    }
}

/// Somebody else's object stands in the way.
pub fn conflict(name: &str) -> Problem {
    Problem::new(
        Reason::Conflict,
        format!(
            "{name} is there and does not belong to this object, so it is left alone; give the output another name"
        ),
    )
}

/// Sets the conditions that hang on outputs and settings, and `Ready`. Gives what is to be told.
pub fn settle(
    project: &SupabaseProject,
    observed: &Observed,
    draft: &mut Draft,
    written: &[Written],
) -> Vec<Note> {
    let plan = plan_settings(project, observed, draft.now());
    let mut notes = plan.as_ref().map(|plan| record(plan, draft)).unwrap_or_default();
    let configuring = draft.find(ConditionType::Reconciling).cloned();
    let configuring = configuring.filter(|one| one.reason == Reason::Configuring.as_str());
    let mut statuses = Vec::new();
    let mut problems = Vec::new();
    let mut harmless = Vec::new();
    if wants_password(project) {
        problems.extend(password_trouble(project, observed, draft));
    }
    for one in written {
        let before = draft.status.output(&one.name);
        let digest = match &one.result {
            Ok(Some(digest)) => Some(digest.clone()),
            Ok(None) => before.map(|status| status.digest.clone()),
            Err(problem) => {
                let list = if one.kept { &mut harmless } else { &mut problems };
                list.push(problem.clone());
                one.partial.clone().or_else(|| before.map(|status| status.digest.clone()))
            }
        };
        let rolled_out = match &one.rolled {
            None => before.and_then(|status| status.rolled_out.clone()),
            Some(rolled) => {
                // The output is right all the same.
                harmless.extend(rolled.problem.clone());
                notes.extend(rolled.notes.clone());
                rolled.content.clone()
            }
        };
        if let Some(digest) = digest {
            let name = one.name.clone();
            statuses.push(OutputStatus { name, kind: one.kind, digest, rolled_out });
        }
    }
    draft.status.outputs = statuses;
    draft.status.binding = project
        .wanted_outputs()
        .iter()
        .find(|output| output.preset == Preset::ServiceBinding)
        .filter(|output| draft.status.outputs.iter().any(|written| written.name == output.name))
        .map(|output| Binding { name: output.name.clone() });
    let first = problems.first().cloned();
    match first.as_ref().or_else(|| harmless.first()) {
        None => draft.set(ConditionType::OutputsWritten, Truth::Yes, Reason::Written, ""),
        Some(problem) => {
            draft.set(ConditionType::OutputsWritten, Truth::No, problem.reason, &problem.message);
        }
    }
    sync(project, observed, draft, plan.as_ref());
    let sick = sick(draft).map(str::to_owned);
    match (first, sick) {
        (None, None) if wants_password(project) && is_unverified(&draft.status) => {
            draft.reached(
                Reason::PasswordUnverified,
                "the outputs are written, with the database password that was supplied for this adopted project; \
                 nobody has verified it: a wrong one shows at the first login",
            );
        }
        (None, None) => {
            draft
                .reached(Reason::Available, "the project can be used, and its outputs are written");
        }
        (None, Some(message)) => draft.progressing(Reason::Degraded, &message),
        (Some(problem), _) if problem.reason == Reason::WaitingForServices => {
            draft.progressing(problem.reason, &problem.message);
        }
        (Some(problem), _) => draft.stalled(&problem),
    }
    match (&plan, configuring) {
        (Some(plan), _) => waiting(plan, draft),
        // Not read in this reconcile: what was said of them goes on.
        (None, Some(said)) if observed.settings_again.is_some() => {
            draft.set(ConditionType::Reconciling, Truth::Yes, Reason::Configuring, &said.message);
        }
        (None, _) => {}
    }
    notes
}

/// Keys and pooler come a moment after the project (platform.md §5.1): refusals are waited out.
pub(super) fn not_read(
    error: &Error,
    observed: &Observed,
    inputs: &Inputs<'_>,
    draft: &mut Draft,
) -> Requeue {
    let early = matches!(
        error,
        Error::NotFound | Error::Removed | Error::Rejected { .. } | Error::Forbidden { .. }
    ) && is_waited_for(&draft.status, inputs.now);
    if early && !matches!(error, Error::Forbidden { .. }) {
        draft.progressing(Reason::WaitingForServices, "waiting for API keys and pooler");
        return Requeue::After(observed.transition_interval);
    }
    let Trouble { problem, requeue, stalled } = translate(error, "reading API keys and pooler");
    if draft.find(ConditionType::OutputsWritten).is_some() {
        draft.set(ConditionType::OutputsWritten, Truth::No, problem.reason, &problem.message);
    }
    let current = observed.wanted.iter().all(|wanted| wanted.current);
    if draft.is_true(ConditionType::Ready) && (!stalled || current) {
        // Outputs are there and may still be right.
    } else if stalled {
        draft.stalled(&problem);
    } else {
        draft.progressing(problem.reason, &problem.message);
    }
    requeue
}
