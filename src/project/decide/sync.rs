//! Whether the platform has what the spec declares: a chain of named checks, the first of which that has something to say is what
//! `Synced` says. The project works all the same. PURE.

use super::Draft;
use super::password::{password_differs, unnoticed};
use super::record::{has_its_name, is_guarded};
use super::spec::is_observed_only;
use crate::api::{ConditionType, Reason, SupabaseProject};
use crate::controller::{Problem, Trouble, translate};
use crate::management::Error;
use crate::project::facts::{Observed, Presence};
use crate::project::settings::notes;
use crate::rules::conditions::Truth;
use crate::settings::{Plan, Synced};

/// All that the checks look at.
struct Case<'a> {
    project: &'a SupabaseProject,
    observed: &'a Observed,
    draft: &'a Draft,
    plan: Option<&'a Plan>,
}

type Check = fn(&Case<'_>) -> Option<(Truth, Problem)>;

/// What does not depend on the platform's answer about settings comes first.
const CHECKS: [(&str, Check); 7] = [
    ("list", list),
    ("name", name),
    ("organization", organization),
    ("password", password),
    ("lost password", lost_password),
    ("size", size),
    ("settings", settings),
];

/// Sets `Synced`.
pub(super) fn sync(
    project: &SupabaseProject,
    observed: &Observed,
    draft: &mut Draft,
    plan: Option<&Plan>,
) {
    let case = Case { project, observed, draft, plan };
    let found = CHECKS.iter().find_map(|(named, check)| Some((*named, check(&case)?)));
    if let Some((_, (truth, problem))) = found {
        draft.set(ConditionType::Synced, truth, problem.reason, &problem.message);
    } else {
        let message = notes(&project.spec).unwrap_or_default();
        draft.set(ConditionType::Synced, Truth::Yes, Reason::InSync, &message);
    }
}

fn no(reason: Reason, message: &str) -> (Truth, Problem) {
    (Truth::No, Problem::new(reason, message))
}

/// While the shared list fails, what is known is old.
fn list(case: &Case<'_>) -> Option<(Truth, Problem)> {
    let error = case.observed.list_trouble.as_ref()?;
    Some((Truth::Unknown, stale(error)))
}

fn name(case: &Case<'_>) -> Option<(Truth, Problem)> {
    let Presence::Present(listed) = &case.observed.presence else { return None };
    if has_its_name(case.project, &listed.name) {
        return None;
    }
    if is_guarded(case.project, &listed.name, case.draft.now()) {
        return Some(no(
            Reason::Confirming,
            "the project keeps the name that its create calls carried for an hour, and gets its own then: the answer to \
             one of them was lost, and while the name is taken it cannot make a second project",
        ));
    }
    if is_observed_only(case.project) {
        return Some(no(
            Reason::OutOfSync,
            "the project has another name than spec.projectName says; with managementPolicy Observe it is left so",
        ));
    }
    Some(no(
        Reason::NameConflict,
        "another project of the organization has the wanted name; it is tried again now and then, and at once when \
         spec.projectName changes",
    ))
}

fn organization(case: &Case<'_>) -> Option<(Truth, Problem)> {
    let declared = case.project.spec.organization_slug.as_ref()?;
    if Some(declared) == case.draft.status.organization_slug.as_ref() {
        return None;
    }
    Some(no(
        Reason::OutOfSync,
        "spec.organizationSlug is not the organization that the project belongs to; the project stays where it is, see \
         status.organizationSlug",
    ))
}

fn password(case: &Case<'_>) -> Option<(Truth, Problem)> {
    if !password_differs(case.observed, &case.draft.status) {
        return None;
    }
    Some(no(
        Reason::PasswordDiffers,
        "the Secret of spec.database.password.secretKeyRef holds another password than the one that the project was \
         created with; the project keeps the old one",
    ))
}

fn lost_password(case: &Case<'_>) -> Option<(Truth, Problem)> {
    let problem = unnoticed(case.project, case.observed, case.draft)?;
    Some((Truth::No, problem))
}

fn size(case: &Case<'_>) -> Option<(Truth, Problem)> {
    let declared = case.project.spec.compute.as_ref()?.size.as_deref()?;
    let seen = match &case.observed.presence {
        Presence::Present(listed) => listed.size.as_deref(),
        Presence::Unknown | Presence::Absent { .. } | Presence::NotVisible => None,
    };
    // Where no list has shown it, it is what the create call asked for.
    let attempts = case.draft.status.creation.iter().flat_map(|creation| &creation.attempts);
    let asked = || attempts.last().map(|attempt| attempt.size.as_deref().unwrap_or("the smallest"));
    let actual = seen.or_else(asked)?;
    if actual == declared {
        return None;
    }
    let message = format!(
        "spec.compute.size is {declared}, and the project's is {actual}; change it in the dashboard, the operator does not \
         resize yet"
    );
    Some((Truth::No, Problem::new(Reason::OutOfSync, message)))
}

/// What the plan says; where settings were not read in this reconcile, what was found when this process read them last. One that
/// has not yet goes by what the status says of them.
fn settings(case: &Case<'_>) -> Option<(Truth, Problem)> {
    let told = |synced: &Synced| {
        let problem = Problem::new(synced.reason, synced.message.clone());
        (synced.truth != Truth::Yes).then_some((synced.truth, problem))
    };
    let schedule = &case.observed.memo.schedule;
    match case.plan.map(|plan| &plan.synced).or_else(|| schedule.found()) {
        Some(synced) => told(synced),
        None => said(case).or_else(|| told(&Synced::of(&case.draft.status.drift))),
    }
}

/// What the condition says of settings, unless something else has taken its place.
fn said(case: &Case<'_>) -> Option<(Truth, Problem)> {
    let said = case.draft.find(ConditionType::Synced)?;
    let about_settings = [
        Reason::Differs,
        Reason::Reported,
        Reason::Pending,
        Reason::NotHolding,
        Reason::CapabilityUnavailable,
        Reason::PaymentRequired,
        Reason::Refused,
        Reason::NotRead,
        Reason::InvalidSpec,
    ];
    let reason = about_settings.into_iter().find(|reason| reason.as_str() == said.reason)?;
    let truth = if said.status == Truth::Unknown.as_str() { Truth::Unknown } else { Truth::No };
    Some((truth, Problem::new(reason, said.message.clone())))
}

/// What to say while the shared list fails.
pub(super) fn stale(error: &Error) -> Problem {
    let Trouble { problem, .. } = translate(error, "listing the organization's projects");
    let message = format!("what is known of the project is old: {}", problem.message);
    Problem::new(problem.reason, message)
}
