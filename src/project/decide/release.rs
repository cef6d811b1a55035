//! How it stands with an object that is being deleted: held, under way, or let go.

use std::time::Duration;

use super::{Draft, ProjectDecision, rest};
use crate::api::{ConditionType, Reason, annotations};
use crate::controller::{Decision, Note, Requeue};
use crate::project::facts::{Problem, Release, Step};
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

pub(super) fn blocked(mut draft: Draft, problem: &Problem, requeue: Requeue) -> ProjectDecision {
    let Problem { reason, message } = problem;
    draft.set(ConditionType::DeletionBlocked, Truth::Yes, *reason, message);
    draft.stalled(problem);
    rest(draft, requeue)
}

pub(super) fn going(mut draft: Draft, message: &str, requeue: Requeue) -> ProjectDecision {
    draft.remove(ConditionType::DeletionBlocked);
    draft.progressing(Reason::Deleting, message);
    rest(draft, requeue)
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
