//! The object is being deleted.
//!
//! | policy | ref or open attempt            | what is done                                                    |
//! |--------|--------------------------------|-----------------------------------------------------------------|
//! | any    | never tried to create          | let go; the password Secret goes too                            |
//! | Retain | ref                            | let go; the password Secret stays, labelled                     |
//! | Retain | open attempt                   | look it up as long as that can help, else let go and say so     |
//! | Delete | open attempt                   | look it up, then delete                                         |
//! | Delete | ref                            | DELETE, see it gone, let go                                     |
//! | any    | `force-orphan` names it        | let go without a call                                           |

use std::time::Duration;

use super::birth::is_unsettled;
use super::{ProjectDecision, act, deletes, resolve, rest, trouble};
use crate::api::{ConditionType, Reason, SupabaseProject, annotations};
use crate::controller::{Again, Decision, Inputs, Note};
use crate::management::{Error, Status, Withheld};
use crate::project::draft::Draft;
use crate::project::facts::{Farewell, Observed, Problem, Step};
use crate::rules::conditions::Truth;

/// Between looks at what somebody must do.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Decides for an object that is being deleted.
pub(super) fn leave(
    project: &SupabaseProject,
    observed: &Observed,
    inputs: &Inputs<'_>,
    draft: Draft,
) -> ProjectDecision {
    let creation = draft.status.creation.clone();
    let reference = draft.status.reference.clone();
    let unsettled = reference.is_none()
        && creation
            .iter()
            .flat_map(|creation| &creation.attempts)
            .any(is_unsettled);
    if reference.is_none() && !unsettled {
        return let_go(draft, Farewell::Remove, None);
    }
    let create_name = creation.map(|creation| creation.name).unwrap_or_default();
    let known_as = reference.clone().unwrap_or_else(|| create_name.clone());
    if project.annotation(annotations::FORCE_ORPHAN) == Some(known_as.as_str()) {
        let organization = draft.status.organization_slug.clone().unwrap_or_default();
        let note = Note::warning(
            "Orphaned",
            format!("left behind in organization {organization}, as asked for: {known_as}"),
        );
        let farewell = reference.map_or(Farewell::LeaveAlone, Farewell::Keep);
        return let_go(draft, farewell, Some(note));
    }
    match reference {
        Some(reference) if deletes(project) => delete(project, observed, draft, &reference),
        Some(reference) => {
            let note = Note::normal(
                "Retained",
                format!(
                    "project {reference} stays on the platform; its database password stays in the Secret {}",
                    project.password_secret_name()
                ),
            );
            let_go(draft, Farewell::Keep(reference), Some(note))
        }
        None if project.spec.suspend && deletes(project) => suspended(draft),
        None => resolve::resolve(project, observed, inputs, draft, &create_name),
    }
}

pub(super) fn let_go(draft: Draft, farewell: Farewell, note: Option<Note>) -> ProjectDecision {
    Decision {
        step: Some(Step::LetGo(farewell)),
        status: draft.finish(),
        again: Again::OnChange,
        notes: note.into_iter().collect(),
        release: true,
    }
}

pub(super) fn blocked(mut draft: Draft, problem: &Problem, again: Again) -> ProjectDecision {
    let Problem { reason, message } = problem;
    draft.set(ConditionType::DeletionBlocked, Truth::Yes, *reason, message);
    draft.stalled(problem);
    rest(draft, again)
}

pub(super) fn going(mut draft: Draft, message: &str, again: Again) -> ProjectDecision {
    draft.remove(ConditionType::DeletionBlocked);
    draft.progressing(Reason::Deleting, message);
    rest(draft, again)
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

fn suspended(draft: Draft) -> ProjectDecision {
    let problem = Problem::new(
        Reason::Suspended,
        "spec.suspend is set, so the project is not deleted; unset it, or change spec.deletionPolicy to Retain",
    );
    blocked(draft, &problem, Again::OnChange)
}

/// Asks for the deletion, and lets go when the project was seen gone.
fn delete(
    project: &SupabaseProject,
    observed: &Observed,
    draft: Draft,
    reference: &str,
) -> ProjectDecision {
    if project.spec.suspend {
        return suspended(draft);
    }
    if !observed.link.reachable {
        return blocked(draft, &no_credentials(reference), Again::After(LOOK_AGAIN));
    }
    let on_list = observed
        .listing
        .as_ref()
        .and_then(|listing| listing.as_ref().ok())
        .map(|listing| {
            listing.projects.iter().any(|listed| {
                listed.reference.as_str() == reference && listed.status != Status::Removed
            })
        });
    match &observed.itself {
        None
        | Some(Err(
            Error::Unauthorized
            | Error::Forbidden { .. }
            | Error::MalformedCredential(_)
            | Error::Withheld(Withheld::NoCredential),
        )) => blocked(draft, &no_credentials(reference), Again::After(LOOK_AGAIN)),
        Some(Ok(itself)) if itself.status == Status::Removed => {
            let_go(draft, Farewell::Remove, None)
        }
        Some(Err(Error::NotFound | Error::Removed)) => match on_list {
            // After our own DELETE was answered, the ref's own answer is enough.
            _ if observed.delete_accepted => let_go(draft, Farewell::Remove, None),
            Some(false) => let_go(draft, Farewell::Remove, None),
            Some(true) => act(
                Step::Delete,
                deleting(draft),
                Again::After(observed.transition_interval),
            ),
            None => {
                let problem = Problem::new(
                    Reason::RemoteNotVisible,
                    format!(
                        "the credential cannot see the project, which does not prove that it is gone; mend the \
                         connection, or set the annotation {}: {reference:?} to let go",
                        annotations::FORCE_ORPHAN
                    ),
                );
                blocked(draft, &problem, Again::After(LOOK_AGAIN))
            }
        },
        Some(Ok(itself)) if itself.status == Status::GoingDown => {
            let message = "the platform is deleting the project";
            going(
                seen_going(draft),
                message,
                Again::After(observed.transition_interval),
            )
        }
        Some(Ok(_)) if observed.delete_accepted => {
            let message = "the platform has accepted the deletion";
            going(draft, message, Again::After(observed.transition_interval))
        }
        Some(Ok(_)) => act(
            Step::Delete,
            deleting(draft),
            Again::After(observed.transition_interval),
        ),
        Some(Err(error)) => {
            let (problem, again, _) = trouble(error, "looking at the project to delete");
            going(draft, &problem.message, again)
        }
    }
}

fn deleting(mut draft: Draft) -> Draft {
    draft.remove(ConditionType::DeletionBlocked);
    draft.progressing(Reason::Deleting, "deleting the project on the platform");
    draft
}

fn seen_going(mut draft: Draft) -> Draft {
    draft.status.remote_status = Some(Status::GoingDown.as_str().to_owned());
    draft
}
