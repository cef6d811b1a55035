//! How it stands with an object that is being deleted: held, under way, or let go.

use std::time::Duration;

use super::{Draft, ProjectDecision, rest};
use crate::api::{ConditionType, ProjectStatus, Reason, SupabaseProject, annotations};
use crate::controller::{Decision, Note, Requeue};
use crate::project::facts::Problem;
use crate::project::step::{Release, Step};
use crate::rules::conditions::Truth;

/// Between looks at what somebody must do.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(30);

pub(super) fn release(draft: Draft, release: Release, note: Option<Note>) -> ProjectDecision {
    Decision {
        step: Some(Step::Release(release)),
        status: draft.finish(),
        requeue: Requeue::OnChange,
        notes: note.into_iter().collect(),
        release: true,
    }
}

pub(super) fn blocked(
    project: &SupabaseProject,
    mut draft: Draft,
    problem: &Problem,
    requeue: Requeue,
) -> ProjectDecision {
    let problem = Problem::new(problem.reason, answered(project, &draft.status, &problem.message));
    draft.set(ConditionType::DeletionBlocked, Truth::Yes, problem.reason, &problem.message);
    draft.stalled(&problem);
    rest(draft, requeue)
}

pub(super) fn going(
    project: &SupabaseProject,
    mut draft: Draft,
    message: &str,
    requeue: Requeue,
) -> ProjectDecision {
    let message = answered(project, &draft.status, message);
    draft.remove(ConditionType::DeletionBlocked);
    draft.progressing(Reason::Deleting, &message);
    rest(draft, requeue)
}

/// What the annotation `force-orphan` must name: the ref, or the create name as long as no ref is known.
pub(super) fn known_as(status: &ProjectStatus) -> Option<&str> {
    let creation = status.creation.as_ref();
    status.reference.as_deref().or_else(|| creation.map(|creation| creation.name.as_str()))
}

/// A message, and an answer to whoever has set `force-orphan` to something else than it must name.
pub(in crate::project) fn answered(
    project: &SupabaseProject,
    status: &ProjectStatus,
    message: &str,
) -> String {
    let wrong = known_as(status)
        .and_then(|known_as| wrong_orphan(project.annotation(annotations::FORCE_ORPHAN), known_as));
    wrong.map_or_else(|| message.to_owned(), |wrong| format!("{message}; {wrong}"))
}

/// The answer to a `force-orphan` that names something else. What it names is not repeated: it can be anything.
pub(super) fn wrong_orphan(asked: Option<&str>, known_as: &str) -> Option<String> {
    let wrong = asked.is_some_and(|asked| asked != known_as) && !known_as.is_empty();
    wrong.then(|| {
        format!(
            "the annotation {} names something else and has no effect: its value must be exactly {known_as:?}",
            annotations::FORCE_ORPHAN
        )
    })
}

/// How to get out when no credential is left.
pub(super) fn no_credentials(known_as: &str) -> Problem {
    Problem::new(
        Reason::CredentialsUnavailable,
        format!(
            "the project cannot be deleted, since there is no working credential for it; mend the connection, or \
             set the annotation {}: {known_as:?} to leave the project behind",
            annotations::FORCE_ORPHAN
        ),
    )
}
