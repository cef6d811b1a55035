//! Before there is a ref: the create protocol, and adoption.
//!
//! Every create call of an object carries one name that nobody else draws but by a chance in 26^10, so a look-up on a
//! whole list does not guess:
//!
//! | the whole list                         | attempts                        | step                              |
//! |----------------------------------------|---------------------------------|-----------------------------------|
//! | has the create name once, no branch    | any                             | claim it                          |
//! | has it twice                           | any                             | none: AmbiguousCreate             |
//! | has it not                             | one open, list young            | wait                              |
//! | has it not                             | one open, list past the grace   | create again, once                |
//! | has it not                             | two found absent                | none: AmbiguousCreate             |
//! | has the wanted name                    | none open                       | adopt by policy, or NameConflict  |
//! | has neither                            | none open                       | create                            |

use std::time::Duration;

use super::lost::{doubt, name_of, patience, undecidable};
use super::obstacles::{in_the_way, is_foreign, unpostable};
use super::spec::is_observed_only;
use super::{Draft, ProjectDecision, SLOW, act, rest};
use crate::api::project::{AdoptionPolicy, Attempt, AttemptOutcome, Creation};
use crate::api::{ConditionType, ProjectStatus, Reason, SupabaseProject};
use crate::controller::{Inputs, Requeue, Trouble, translate};
use crate::management::{ListedProject, Status};
use crate::project::facts::{Listing, Observed, Problem};
use crate::project::step::{Claim, CreateRequest, Step};
use crate::rules::conditions::Truth;
use crate::rules::random;

/// Length of the random part of a create name: 26^10 possibilities.
const NONCE: usize = 10;
/// The longest wait between two looks for a project that may turn up.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The same, where each look takes a list.
const LOOK_AGAIN_LISTING: Duration = Duration::from_secs(60);

/// The project that the object would take, if its ref is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// None.
    None,
    /// One that bears this object's create name.
    Own(ListedProject),
    /// More than one that bear it.
    Several,
    /// One to adopt.
    Adopt(ListedProject),
    /// One of the wanted name that the policy does not let us take.
    InTheWay(ListedProject),
    /// The one named in `adoption.ref` is this entry of the list, or may be, and cannot be read.
    Unreadable(u64),
    /// The one named in `adoption.ref` is not on the list.
    NotFound,
}

/// Finds the candidate on a whole list.
pub fn candidate(
    project: &SupabaseProject,
    listing: &Listing,
    adoption_allowed: bool,
) -> Candidate {
    let status = project.status.as_ref();
    let creation = status.and_then(|status| status.creation.as_ref());
    let create_name = creation.map(|creation| creation.name.as_str());
    let own: Vec<_> = create_name
        .into_iter()
        .flat_map(|name| listing.projects.named(name))
        .filter(|listed| !listed.is_branch)
        .collect();
    let adoption = &project.spec.adoption;
    let named = adoption.reference.as_deref();
    match own.as_slice() {
        [one] => return Candidate::Own((*one).clone()),
        // A person may say which of several it is.
        [_, ..] => {
            let chosen = own.iter().find(|listed| Some(listed.reference.as_str()) == named);
            return chosen.map_or(Candidate::Several, |listed| Candidate::Own((**listed).clone()));
        }
        [] => {}
    }
    let open = status.is_some_and(ProjectStatus::has_unsettled_attempt);
    if let Some(named) = named
        && (adoption.policy != AdoptionPolicy::CreateOnly || open || is_observed_only(project))
    {
        let found = listing.projects.find(named).filter(|listed| !listed.is_branch);
        match found {
            Some(listed) if adoption_allowed => return Candidate::Adopt(listed.clone()),
            Some(listed) => return Candidate::InTheWay(listed.clone()),
            None if let Some(entry) = unreadable(listing, named) => {
                return Candidate::Unreadable(entry);
            }
            None if adoption.policy == AdoptionPolicy::AdoptOnly => return Candidate::NotFound,
            None => {}
        }
    }
    if open {
        return Candidate::None;
    }
    let wanted = project.wanted_name();
    let mut bearers = listing.projects.named(&wanted);
    match bearers.find(|listed| !listed.is_branch) {
        None => Candidate::None,
        Some(listed) if adoption.policy == AdoptionPolicy::AdoptOrCreate && adoption_allowed => {
            Candidate::Adopt(listed.clone())
        }
        Some(listed) => Candidate::InTheWay(listed.clone()),
    }
}

/// The entry of a list that bears a ref and cannot be read.
fn unreadable(listing: &Listing, reference: &str) -> Option<u64> {
    let mut entries = listing.unreadable.iter();
    entries
        .find(|entry| {
            let own = entry.reference.as_ref();
            own.is_some_and(|own| own.as_str() == reference)
        })
        .map(|entry| entry.number)
}

/// Decides for an object without a ref.
pub(super) fn create(
    project: &SupabaseProject,
    observed: &Observed,
    inputs: &Inputs<'_>,
    mut draft: Draft,
) -> ProjectDecision {
    draft.set(ConditionType::Provisioned, Truth::No, Reason::NotCreated, "");
    if let Some(problem) = &observed.link.problem {
        draft.progressing(problem.reason, &problem.message);
        return rest(draft, Requeue::After(LOOK_AGAIN));
    }
    let organization = match &observed.organization {
        Ok(organization) => organization.clone(),
        Err(problem) => {
            draft.stalled(problem);
            return rest(draft, Requeue::After(SLOW));
        }
    };
    if let Some(wait) = observed.hold_off {
        return rest(draft, Requeue::After(wait));
    }
    let listing = match &observed.listing {
        None => {
            let Some(problem) = unpostable(project, observed) else {
                return rest(draft, Requeue::Backoff);
            };
            draft.stalled(&problem);
            return rest(draft, Requeue::After(LOOK_AGAIN));
        }
        Some(Ok(listing)) => listing,
        Some(Err(error)) => {
            let Trouble { problem, requeue, stalled } =
                translate(error, "listing the organization's projects");
            if stalled {
                draft.stalled(&problem);
            } else {
                draft.progressing(problem.reason, &problem.message);
            }
            return rest(draft, requeue);
        }
    };
    match candidate(project, listing, observed.link.adoption) {
        Candidate::Own(listed) => claim(observed, draft, &organization, &listed, true),
        Candidate::Adopt(listed) => adopt(project, observed, draft, &organization, &listed),
        Candidate::Several => {
            ambiguous(draft, "more than one project bears the name of the create call")
        }
        Candidate::Unreadable(number) => {
            let message = format!(
                "the project of spec.adoption.ref is entry {number} of the organization's projects (oldest first), \
                 which the operator cannot read; look for a newer version of the operator"
            );
            draft.stalled(&Problem::new(Reason::AdoptionTargetNotFound, message));
            rest(draft, Requeue::After(SLOW))
        }
        Candidate::NotFound => {
            let message = "the project of spec.adoption.ref is not in the organization, or the credential cannot \
                           see it; check the ref and the organization";
            draft.stalled(&Problem::new(Reason::AdoptionTargetNotFound, message));
            rest(draft, Requeue::After(SLOW))
        }
        Candidate::InTheWay(listed) => in_the_way(project, observed, draft, &listed),
        Candidate::None if is_observed_only(project) => {
            let message = "the project of spec.adoption.ref is not in the organization, or the credential cannot see it, and \
                           with managementPolicy Observe none is created";
            draft.stalled(&Problem::new(Reason::AdoptionTargetNotFound, message));
            rest(draft, Requeue::After(SLOW))
        }
        Candidate::None if listing.limited && may_hide_what_to_adopt(project, &draft.status) => {
            let message = "the credential sees only some projects of the organization, so it cannot be told whether that of \
                           spec.adoption.ref is there; use one that sees all, or set spec.adoption.policy: CreateOnly";
            draft.stalled(&Problem::new(Reason::AdoptionTargetNotFound, message));
            rest(draft, Requeue::After(SLOW))
        }
        Candidate::None => create_project(project, observed, inputs, draft, organization, listing),
    }
}

/// Whether the project that is named, and adopted where it is there, may be among those that a credential does not see. One that
/// is known by its name alone is not made twice: the platform refuses the name.
fn may_hide_what_to_adopt(project: &SupabaseProject, status: &ProjectStatus) -> bool {
    let adoption = &project.spec.adoption;
    let wants = adoption.policy == AdoptionPolicy::AdoptOrCreate && adoption.reference.is_some();
    wants && !status.has_unsettled_attempt()
}

fn claim(
    observed: &Observed,
    mut draft: Draft,
    organization: &str,
    listed: &ListedProject,
    own: bool,
) -> ProjectDecision {
    if observed.holder.is_some() {
        let message = "another object holds this project; two objects cannot share one";
        draft.stalled(&Problem::new(Reason::OwnershipConflict, message));
        return rest(draft, Requeue::After(SLOW));
    }
    let step = Step::Claim(Claim::of(listed, organization, own));
    let reason = if own { Reason::Created } else { Reason::Adopted };
    draft.set(ConditionType::Provisioned, Truth::Yes, reason, "");
    draft.progressing(Reason::Provisioning, "waiting for the platform");
    act(step, draft, Requeue::Now)
}

fn adopt(
    project: &SupabaseProject,
    observed: &Observed,
    mut draft: Draft,
    organization: &str,
    listed: &ListedProject,
) -> ProjectDecision {
    if matches!(listed.status, Status::GoingDown | Status::Removed) {
        let message = "the project to adopt is being deleted on the platform";
        draft.stalled(&Problem::new(Reason::AdoptionTargetNotFound, message));
        return rest(draft, Requeue::After(SLOW));
    }
    if let Some(wanted) = &project.spec.region
        && listed.region.as_ref().is_some_and(|region| region != wanted)
    {
        let message = "the project to adopt is in another region than spec.region says";
        draft.stalled(&Problem::new(Reason::InvalidSpec, message));
        return rest(draft, Requeue::After(SLOW));
    }
    if let Some(Err(problem)) = &observed.supplied {
        draft.stalled(problem);
        return rest(draft, Requeue::After(LOOK_AGAIN));
    }
    claim(observed, draft, organization, listed, false)
}

fn ambiguous(mut draft: Draft, what: &str) -> ProjectDecision {
    let message = format!(
        "{what}; look at the organization in the dashboard, and set spec.adoption.ref to the project that is meant"
    );
    draft.stalled(&Problem::new(Reason::AmbiguousCreate, message));
    rest(draft, Requeue::After(SLOW))
}

fn create_project(
    project: &SupabaseProject,
    observed: &Observed,
    inputs: &Inputs<'_>,
    mut draft: Draft,
    organization: String,
    listing: &Listing,
) -> ProjectDecision {
    let creation = draft.status.creation.clone().unwrap_or_default();
    if let Some(open) =
        creation.attempts.iter().find(|attempt| attempt.outcome == AttemptOutcome::Pending)
    {
        let wait = patience(open, observed, listing);
        if !wait.is_zero() {
            draft.progressing(
                Reason::Confirming,
                "the answer to the create call was lost; finding out whether it worked takes up to five minutes",
            );
            return rest(draft, Requeue::After(wait.min(LOOK_AGAIN).max(Duration::from_secs(1))));
        }
        if listing.limited {
            return ambiguous(
                draft,
                "the answer to the create call was lost, and the credential may not see every project of the \
                 organization",
            );
        }
    }
    if let Some(entry) = doubt(&creation.attempts, listing) {
        let what = format!(
            "the answer to the create call was lost, and {} cannot be read, so it may be the project",
            name_of(entry)
        );
        return ambiguous(draft, &what);
    }
    if let Some(what) = undecidable(project, &creation.attempts, listing) {
        return ambiguous(draft, what);
    }
    if let Some(problem) = unpostable(project, observed) {
        draft.stalled(&problem);
        let wait = if is_foreign(&observed.password) { LOOK_AGAIN_LISTING } else { LOOK_AGAIN };
        return rest(draft, Requeue::After(wait));
    }
    let name = if is_good(&creation, project) {
        creation.name.clone()
    } else {
        fresh_name(project, inputs)
    };
    let numbers = creation.attempts.iter().map(|attempt| attempt.number);
    let number = numbers.max().unwrap_or_default() + 1;
    let creation = draft.status.creation.get_or_insert_default();
    creation.name.clone_from(&name);
    for attempt in &mut creation.attempts {
        if attempt.outcome == AttemptOutcome::Pending {
            attempt.outcome = AttemptOutcome::Absent;
        }
    }
    // Refused ones have told what they had to tell.
    creation.attempts.retain(Attempt::is_unsettled);
    draft.status.organization_slug = Some(organization.clone());
    draft.set(ConditionType::Synced, Truth::Unknown, Reason::NotCreated, "");
    draft.progressing(Reason::Creating, "creating the project");
    let step = Step::Create(CreateRequest {
        name,
        organization,
        number,
        listed_at: listing.date,
        age: inputs.uptime.saturating_sub(listing.begun),
        decided: inputs.uptime,
    });
    act(step, draft, Requeue::Now)
}

/// Whether the name of earlier create calls is the one for the next. Another wanted name asks for another as long as nothing can
/// bear the old one.
fn is_good(creation: &Creation, project: &SupabaseProject) -> bool {
    let of_name = creation.name.strip_prefix(&project.wanted_name());
    let made_of_it = of_name.is_some_and(|rest| rest.len() == NONCE + 1 && rest.starts_with('-'));
    made_of_it || creation.attempts.iter().any(Attempt::is_unsettled)
}

/// A name for create calls that nobody else draws.
fn fresh_name(project: &SupabaseProject, inputs: &Inputs<'_>) -> String {
    let nonce = random::draw(inputs.random, b"abcdefghijklmnopqrstuvwxyz", NONCE);
    format!("{}-{nonce}", project.wanted_name())
}
