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

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::record::{lasted, may_turn_up, was_called_lately, was_seen};
use super::release::{LOOK_AGAIN, blocked, going, known_as, no_credentials, release};
use super::{Draft, ProjectDecision, SLOW, act, deletes, resolve};
use crate::api::{ConditionType, Reason, SupabaseProject, annotations};
use crate::controller::{Inputs, Note, Requeue, Trouble, translate};
use crate::management::{Error, Status, Withheld};
use crate::project::facts::{Observed, Problem};
use crate::project::step::{Release, Step};

/// How long the platform may take to delete a project.
const DELETING: Duration = Duration::from_secs(3600);
/// After how long without effect DELETE is sent again.
const ASK_AGAIN: Duration = Duration::from_secs(600);

/// Whether the object can go whatever the platform and the connection say: it never tried to create, keeps its
/// project, or is told to leave it behind.
pub(in crate::project) fn goes_without_looking(project: &SupabaseProject) -> bool {
    if project.metadata.deletion_timestamp.is_none() {
        return false;
    }
    let status = project.status.clone().unwrap_or_default();
    let orphaned = known_as(&status)
        .is_some_and(|known_as| project.annotation(annotations::FORCE_ORPHAN) == Some(known_as));
    match status.reference {
        Some(_) => orphaned || !deletes(project),
        None => orphaned || !status.has_unsettled_attempt(),
    }
}

/// Decides for an object that is being deleted.
pub(super) fn delete(
    project: &SupabaseProject,
    observed: &Observed,
    inputs: &Inputs<'_>,
    draft: Draft,
) -> ProjectDecision {
    let creation = draft.status.creation.clone();
    let reference = draft.status.reference.clone();
    let unsettled = reference.is_none() && draft.status.has_unsettled_attempt();
    if reference.is_none() && !unsettled {
        return release(draft, Release::Remove, None);
    }
    let create_name = creation.map(|creation| creation.name).unwrap_or_default();
    if let Some(known_as) = known_as(&draft.status)
        && project.annotation(annotations::FORCE_ORPHAN) == Some(known_as)
    {
        let organization = draft.status.organization_slug.clone().unwrap_or_default();
        let note = Note::warning(
            "Orphaned",
            format!("left behind in organization {organization}, as asked for: {known_as}"),
        );
        let leaves = reference.map_or(Release::LeaveAlone, Release::Keep);
        return release(draft, leaves, Some(note));
    }
    match reference {
        Some(reference) if deletes(project) => {
            delete_project(project, observed, inputs, draft, &reference)
        }
        Some(reference) => {
            let note = Note::normal(
                "Retained",
                format!(
                    "project {reference} stays on the platform; its database password stays in the Secret {}",
                    project.password_secret_name()
                ),
            );
            release(draft, Release::Keep(reference), Some(note))
        }
        None if project.spec.suspend && deletes(project) => suspended(project, draft),
        None => resolve::resolve(project, observed, inputs, draft, &create_name),
    }
}

fn suspended(project: &SupabaseProject, draft: Draft) -> ProjectDecision {
    let problem = Problem::new(
        Reason::Suspended,
        "spec.suspend is set, so the project is not deleted; unset it, or change spec.deletionPolicy to Retain",
    );
    blocked(project, draft, &problem, Requeue::OnChange)
}

/// Asks for the deletion, and lets go when the project was seen gone.
fn delete_project(
    project: &SupabaseProject,
    observed: &Observed,
    inputs: &Inputs<'_>,
    draft: Draft,
    reference: &str,
) -> ProjectDecision {
    if project.spec.suspend {
        return suspended(project, draft);
    }
    if let Some(problem) =
        observed.link.problem.as_ref().filter(|problem| is_about_adoption(problem))
    {
        let message = format!(
            "{}; or set the annotation {}: {reference:?} to leave the project behind",
            problem.message,
            annotations::FORCE_ORPHAN
        );
        let problem = Problem::new(problem.reason, message);
        return blocked(project, draft, &problem, Requeue::After(LOOK_AGAIN));
    }
    if !observed.link.reachable {
        return blocked(project, draft, &no_credentials(reference), Requeue::After(LOOK_AGAIN));
    }
    let on_list = observed
        .listing
        .as_ref()
        .and_then(|listing| listing.as_ref().ok())
        // A list of some projects proves no absence.
        .filter(|listing| !listing.limited)
        .and_then(|listing| {
            let listed = listing.projects.find(reference);
            let listed = listed.is_some_and(|listed| listed.status != Status::Removed);
            // What may be an entry that cannot be read is not absent.
            let doubtful = listing.unreadable.iter().any(|entry| entry.may_be(reference));
            (listed || !doubtful).then_some(listed)
        });
    match &observed.itself {
        None
        | Some(Err(
            Error::Unauthorized
            | Error::Forbidden { .. }
            | Error::MalformedCredential(_)
            | Error::Withheld(Withheld::NoCredential),
        )) => blocked(project, draft, &no_credentials(reference), Requeue::After(LOOK_AGAIN)),
        Some(Ok(itself)) if itself.status == Status::Removed => {
            release(draft, Release::Remove, None)
        }
        Some(Err(Error::NotFound | Error::Removed)) => {
            not_found(project, observed, inputs, draft, reference, on_list)
        }
        Some(Ok(itself)) if itself.status == Status::GoingDown => {
            going_down(project, observed, inputs, draft)
        }
        Some(Ok(_)) if observed.delete_accepted.is_some_and(|ago| ago < ASK_AGAIN) => {
            let message = "the platform has accepted the deletion";
            going(project, draft, message, Requeue::After(observed.transition_interval))
        }
        Some(Ok(_)) => {
            act(Step::Delete, deleting(draft), Requeue::After(observed.transition_interval))
        }
        Some(Err(error)) => {
            let Trouble { problem, requeue, .. } =
                translate(error, "looking at the project to delete");
            going(project, draft, &problem.message, requeue)
        }
    }
}

/// Whether the connection lets nothing be done with an adopted project.
fn is_about_adoption(problem: &Problem) -> bool {
    matches!(problem.reason, Reason::AdoptionForbidden | Reason::OrganizationNotAllowed)
}

/// Its own address does not know it.
fn not_found(
    project: &SupabaseProject,
    observed: &Observed,
    inputs: &Inputs<'_>,
    draft: Draft,
    reference: &str,
    on_list: Option<bool>,
) -> ProjectDecision {
    // After our own DELETE was answered, the ref's own answer is enough.
    if observed.delete_accepted.is_some() {
        return release(draft, Release::Remove, None);
    }
    // By the platform's clock, where it tells: ours may be minutes off.
    let listing = observed.listing.as_ref().and_then(|listing| listing.as_ref().ok());
    let date = listing.map_or(inputs.now, |listing| listing.date);
    let young = may_turn_up(&draft.status, date) || was_called_lately(observed);
    if young && !was_seen(&draft.status) {
        let message = "waiting for the platform to show the project that was created a moment ago";
        return going(project, draft, message, Requeue::After(observed.transition_interval));
    }
    match on_list {
        Some(false) => release(draft, Release::Remove, None),
        Some(true) => {
            act(Step::Delete, deleting(draft), Requeue::After(observed.transition_interval))
        }
        None => {
            let problem = Problem::new(
                Reason::RemoteNotVisible,
                format!(
                    "the credential cannot see the project, which does not prove that it is gone; mend the \
                     connection, or set the annotation {}: {reference:?} to let go",
                    annotations::FORCE_ORPHAN
                ),
            );
            blocked(project, draft, &problem, Requeue::After(LOOK_AGAIN))
        }
    }
}

/// The platform is at it; too long is said.
fn going_down(
    project: &SupabaseProject,
    observed: &Observed,
    inputs: &Inputs<'_>,
    mut draft: Draft,
) -> ProjectDecision {
    let word = Status::GoingDown.as_str();
    if draft.status.remote_status.as_deref() != Some(word) {
        draft.status.remote_status = Some(word.to_owned());
        let now = inputs.now;
        draft.status.remote_status_since =
            Some(Time(Timestamp::from_second(now.as_second()).unwrap_or(now)));
    }
    if lasted(&draft.status, inputs.now) > DELETING {
        let problem = Problem::new(
            Reason::RemoteStuck,
            "the platform has been deleting the project for more than an hour; look at its dashboard or ask \
             Supabase's support",
        );
        return blocked(project, draft, &problem, Requeue::After(SLOW));
    }
    going(
        project,
        draft,
        "the platform is deleting the project",
        Requeue::After(observed.transition_interval),
    )
}

fn deleting(mut draft: Draft) -> Draft {
    draft.remove(ConditionType::DeletionBlocked);
    draft.progressing(Reason::Deleting, "deleting the project on the platform");
    draft
}
