//! The last word: what the outputs that were written, or found in order, make of the conditions.

use super::Draft;
use super::health::sick;
use super::password::{Password, password, password_differs};
use super::record::{has_its_name, is_guarded};
use crate::api::project::{Binding, OutputStatus};
use crate::api::{ConditionType, OutputKind, Preset, Reason, SupabaseProject};
use crate::controller::{Trouble, translate};
use crate::management::Error;
use crate::project::facts::{Observed, Presence, Problem, Wanted};
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

/// Sets the conditions that hang on outputs, and `Ready`.
pub fn settle(
    project: &SupabaseProject,
    observed: &Observed,
    draft: &mut Draft,
    written: &[Written],
) {
    let mut statuses = Vec::new();
    let mut problems = Vec::new();
    let mut harmless = Vec::new();
    if wants_password(project) {
        problems.extend(password_trouble(project, observed, draft));
    }
    for one in written {
        let before = draft.status.outputs.iter().find(|status| status.name == one.name);
        let digest = match &one.result {
            Ok(Some(digest)) => Some(digest.clone()),
            Ok(None) => before.map(|status| status.digest.clone()),
            Err(problem) => {
                let list = if one.kept { &mut harmless } else { &mut problems };
                list.push(problem.clone());
                one.partial.clone().or_else(|| before.map(|status| status.digest.clone()))
            }
        };
        if let Some(digest) = digest {
            statuses.push(OutputStatus { name: one.name.clone(), kind: one.kind, digest });
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
    sync(project, observed, draft);
    let sick = sick(draft).map(str::to_owned);
    match (first, sick) {
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
}

fn password_trouble(
    project: &SupabaseProject,
    observed: &Observed,
    draft: &Draft,
) -> Option<Problem> {
    match password(project, observed, &draft.status) {
        Password::Trouble(problem) => Some(problem),
        Password::Fine | Password::Keep(_) | Password::Reset => None,
    }
}

fn wants_password(project: &SupabaseProject) -> bool {
    project.wanted_outputs().iter().any(crate::api::Output::needs_password)
}

/// What to say while the shared list fails.
pub(super) fn stale(error: &Error) -> Problem {
    let Trouble { problem, .. } = translate(error, "listing the organization's projects");
    let message = format!("what is known of the project is old: {}", problem.message);
    Problem::new(problem.reason, message)
}

/// Whether the platform has what the spec declares. The project works all the same.
fn sync(project: &SupabaseProject, observed: &Observed, draft: &mut Draft) {
    let name = match &observed.presence {
        Presence::Present(listed) => Some(&listed.name),
        Presence::Unknown | Presence::Absent { .. } | Presence::NotVisible => None,
    };
    let other_name = name.filter(|name| !has_its_name(project, name));
    let created_size = draft
        .status
        .creation
        .as_ref()
        .and_then(|creation| creation.attempts.last())
        .map(|attempt| attempt.size.as_deref());
    let size = project.spec.compute.as_ref().and_then(|compute| compute.size.as_deref());
    if let Some(error) = &observed.list_trouble {
        let problem = stale(error);
        let (reason, message) = (problem.reason, problem.message);
        draft.set(ConditionType::Synced, Truth::Unknown, reason, &message);
    } else if other_name.is_some_and(|name| is_guarded(project, name, draft.now())) {
        let message = "the project keeps the name that its create calls carried for an hour, and gets its own \
                       then: the answer to one of them was lost, and while the name is taken it cannot make a \
                       second project";
        draft.set(ConditionType::Synced, Truth::No, Reason::Confirming, message);
    } else if other_name.is_some() {
        let message = "another project of the organization has the wanted name; it is tried again now and then, \
                       and at once when spec.projectName changes";
        draft.set(ConditionType::Synced, Truth::No, Reason::NameConflict, message);
    } else if project
        .spec
        .organization_slug
        .as_ref()
        .is_some_and(|slug| Some(slug) != draft.status.organization_slug.as_ref())
    {
        let message = "spec.organizationSlug is not the organization that the project belongs to; the project stays \
                       where it is, see status.organizationSlug";
        draft.set(ConditionType::Synced, Truth::No, Reason::OutOfSync, message);
    } else if password_differs(observed, &draft.status) {
        let message = "the Secret of spec.database.password.secretKeyRef holds another password than the one that \
                       the project was created with; the project keeps the old one";
        draft.set(ConditionType::Synced, Truth::No, Reason::PasswordDiffers, message);
    } else if let Some(problem) = unnoticed(project, observed, draft) {
        draft.set(ConditionType::Synced, Truth::No, problem.reason, &problem.message);
    } else if created_size.is_some_and(|created| size.is_some() && created != size) {
        let message = "spec.compute.size differs from the size that the project was created with; change it in \
                       the dashboard, the operator does not resize yet";
        draft.set(ConditionType::Synced, Truth::No, Reason::OutOfSync, message);
    } else {
        draft.set(ConditionType::Synced, Truth::Yes, Reason::InSync, "");
    }
}

/// A password that was lost although nobody is waiting for it: told before somebody does.
fn unnoticed(project: &SupabaseProject, observed: &Observed, draft: &Draft) -> Option<Problem> {
    let problem = password_trouble(project, observed, draft)?;
    // Not to know an adopted project's password is in order as long as no output wants it.
    (!wants_password(project) && problem.reason != Reason::PasswordUnknown).then_some(problem)
}
