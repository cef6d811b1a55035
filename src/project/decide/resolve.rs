//! The object is being deleted while it is not known what a create call made: find out, as long as that can help.

use std::time::Duration;

use super::create::{Candidate, candidate};
use super::lost::{doubt, name_of, patience, undecidable};
use super::release::{LOOK_AGAIN, blocked, going, no_credentials, release};
use super::{Draft, ProjectDecision, SLOW, act, deletes};
use crate::api::project::AttemptOutcome;
use crate::api::{Reason, SupabaseProject, annotations};
use crate::controller::{Inputs, Note, Requeue, Trouble, translate};
use crate::management::{Error, ListedProject, Withheld};
use crate::project::facts::{Listing, Observed, Problem};
use crate::project::step::{Claim, Release, Step};

/// How long a Retain waits for a platform that does not answer.
const PATIENCE: Duration = Duration::from_secs(600);

/// Decides.
pub(super) fn resolve(
    project: &SupabaseProject,
    observed: &Observed,
    inputs: &Inputs<'_>,
    draft: Draft,
    create_name: &str,
) -> ProjectDecision {
    match &observed.listing {
        Some(Ok(listing)) if deletes(project) || !listing.limited => {
            found(project, observed, draft, create_name, listing)
        }
        _ if deletes(project) => unable_to_delete(project, observed, draft, create_name),
        Some(Err(error))
            if observed.link.reachable
                && is_passing(error)
                && since_last_call(project, &draft, inputs) < PATIENCE =>
        {
            let Trouble { problem, requeue, .. } =
                translate(error, "finding out whether a project was created");
            going(project, draft, &problem.message, requeue)
        }
        // Nobody can look, or nobody can see everything: whoever asked for Retain is told where to look.
        Some(_) | None => {
            let note = orphan(&draft, create_name);
            release(draft, Release::LeaveAlone, Some(note))
        }
    }
}

fn orphan(draft: &Draft, create_name: &str) -> Note {
    let organization = draft.status.organization_slug.as_deref().unwrap_or_default();
    Note::warning(
        "Orphaned",
        format!(
            "it is not known whether a project was created, and it cannot be found out now: look for {create_name} \
             in organization {organization}"
        ),
    )
}

/// Whether looking again soon may help.
const fn is_passing(error: &Error) -> bool {
    !matches!(
        error,
        Error::Unauthorized
            | Error::Forbidden { .. }
            | Error::MalformedCredential(_)
            | Error::Withheld(Withheld::NoCredential)
    )
}

/// Since the last create call, or since the deletion was asked for.
fn since_last_call(project: &SupabaseProject, draft: &Draft, inputs: &Inputs<'_>) -> Duration {
    let asked = project.metadata.deletion_timestamp.iter().map(|time| time.0);
    let last = draft.status.attempts().map(|attempt| attempt.listed_at.0).chain(asked).max();
    last.and_then(|last| Duration::try_from(inputs.now.duration_since(last)).ok())
        .unwrap_or_default()
}

fn unable_to_delete(
    project: &SupabaseProject,
    observed: &Observed,
    draft: Draft,
    create_name: &str,
) -> ProjectDecision {
    match &observed.listing {
        Some(Err(error)) if is_passing(error) => {
            let Trouble { problem, requeue, .. } =
                translate(error, "finding out whether a project was created");
            going(project, draft, &problem.message, requeue)
        }
        Some(_) | None => {
            blocked(project, draft, &no_credentials(create_name), Requeue::After(LOOK_AGAIN))
        }
    }
}

fn found(
    project: &SupabaseProject,
    observed: &Observed,
    draft: Draft,
    create_name: &str,
    listing: &Listing,
) -> ProjectDecision {
    match candidate(project, listing, observed.link.adoption) {
        // Another object has adopted it meanwhile: it is that one's to look after.
        Candidate::Own(_) if observed.holder.is_some() => release(draft, Release::LeaveAlone, None),
        Candidate::Own(listed) => claim(draft, &listed, true),
        Candidate::Several => {
            let problem = Problem::new(
                Reason::AmbiguousCreate,
                format!(
                    "more than one project is named {create_name}; set spec.adoption.ref to the one that shall be \
                     deleted, or the annotation {}: {create_name:?} to leave them behind",
                    annotations::FORCE_ORPHAN
                ),
            );
            blocked(project, draft, &problem, Requeue::After(SLOW))
        }
        // A person has said which it is.
        Candidate::Adopt(listed) if deletes(project) && observed.holder.is_none() => {
            claim(draft, &listed, false)
        }
        Candidate::None
        | Candidate::Adopt(_)
        | Candidate::InTheWay(_)
        | Candidate::Unreadable(_)
        | Candidate::NotFound => absent(project, observed, draft, create_name, listing),
    }
}

fn claim(draft: Draft, listed: &ListedProject, own: bool) -> ProjectDecision {
    let organization = draft.status.organization_slug.clone().unwrap_or_default();
    act(Step::Claim(Claim::of(listed, &organization, own)), draft, Requeue::Now)
}

/// Not on the list: gone for good once it cannot turn up any more.
fn absent(
    project: &SupabaseProject,
    observed: &Observed,
    draft: Draft,
    create_name: &str,
    listing: &Listing,
) -> ProjectDecision {
    let waits = draft
        .status
        .attempts()
        .filter(|attempt| attempt.outcome == AttemptOutcome::Pending)
        .map(|attempt| patience(attempt, observed, listing));
    let wait = waits.max().unwrap_or_default();
    if !wait.is_zero() {
        let message = "finding out whether the create call whose answer was lost made a project";
        let requeue = Requeue::After(wait.min(LOOK_AGAIN).max(Duration::from_secs(1)));
        return going(project, draft, message, requeue);
    }
    if listing.limited {
        return blocked(project, draft, &no_credentials(create_name), Requeue::After(LOOK_AGAIN));
    }
    let attempts: Vec<_> = draft.status.attempts().cloned().collect();
    let unclear = match doubt(&attempts, listing) {
        Some(entry) => Some(format!(
            "{} cannot be read, and may be the project {create_name}; look at it in the dashboard, and set the",
            name_of(entry)
        )),
        None => undecidable(project, &attempts, listing).map(|what| {
            format!(
                "{what}; look at the organization in the dashboard, and set spec.adoption.ref to the project that shall be \
                 deleted, or the"
            )
        }),
    };
    let Some(unclear) = unclear else {
        return release(draft, Release::Remove, None);
    };
    if !deletes(project) {
        let note = orphan(&draft, create_name);
        return release(draft, Release::LeaveAlone, Some(note));
    }
    let message =
        format!("{unclear} annotation {}: {create_name:?} to let go", annotations::FORCE_ORPHAN);
    blocked(project, draft, &Problem::new(Reason::AmbiguousCreate, message), Requeue::After(SLOW))
}
