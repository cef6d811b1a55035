//! What stands in the way of a creation on this side: a name that is taken, a Secret that is not ours, a spec that says
//! too little. What is advised never destroys what may be the only copy of something.

use super::{Draft, ProjectDecision, SLOW, rest};
use crate::api::project::AdoptionPolicy;
use crate::api::{Reason, SupabaseProject};
use crate::controller::Requeue;
use crate::management::ListedProject;
use crate::outputs::Belonging;
use crate::project::facts::{FoundPassword, Observed, Problem};

/// Why no create call can be made, whatever the platform says.
pub(super) fn unpostable(project: &SupabaseProject, observed: &Observed) -> Option<Problem> {
    if project.spec.region.is_none() && project.spec.region_group.is_none() {
        let message = "spec.region or spec.regionGroup is needed to create a project";
        return Some(Problem::new(Reason::InvalidSpec, message));
    }
    if let Some(Err(problem)) = &observed.supplied {
        return Some(problem.clone());
    }
    let secret = project.password_secret_name();
    match &observed.password {
        FoundPassword::There(kept) if kept.belonging != Belonging::Ours => {
            let message = retained(observed).map_or_else(
                || {
                    format!(
                        "the Secret {secret} is there and does not belong to this object, so it is left alone; if \
                         it keeps the password of the project that shall be used, adopt that project with \
                         spec.adoption.ref, otherwise give this object another name"
                    )
                },
                |reference| {
                    format!(
                        "the Secret {secret} keeps the password of project {reference}, which an earlier object of \
                         this name had; to go on with both, set spec.adoption: {{policy: AdoptOnly, ref: \
                         {reference}}}; for a new project, give this object another name"
                    )
                },
            );
            Some(Problem::new(Reason::PasswordSecretConflict, message))
        }
        FoundPassword::There(kept) if kept.digest.is_none() => Some(Problem::new(
            Reason::PasswordSecretConflict,
            format!(
                "the Secret {secret} was edited and holds no usable password; write one under its key password \
                 (the one that was there, if anybody may have got it): 4 to 256 characters, no line break at its end"
            ),
        )),
        FoundPassword::There(_) | FoundPassword::Missing => None,
    }
}

/// Whether nothing can come of a list: what stands in the way is known without one. A password Secret of an earlier
/// object is not of that kind: the list tells whether its project is still there.
pub(in crate::project) fn needs_no_list(project: &SupabaseProject, observed: &Observed) -> bool {
    !is_foreign(&observed.password) && unpostable(project, observed).is_some()
}

/// Whether the password Secret that is there is not this object's.
pub(super) fn is_foreign(password: &FoundPassword) -> bool {
    match password {
        FoundPassword::There(kept) => kept.belonging != Belonging::Ours,
        FoundPassword::Missing => false,
    }
}

/// A project is there that the object may not take. Its ref is not named, since it may be another tenant's, unless a
/// Secret of ours in this very namespace names it: then it was an earlier object's of this name.
pub(super) fn in_the_way(
    project: &SupabaseProject,
    observed: &Observed,
    mut draft: Draft,
    listed: &ListedProject,
) -> ProjectDecision {
    let by_ref = project.spec.adoption.reference.is_some();
    let wants = project.spec.adoption.policy != AdoptionPolicy::CreateOnly || by_ref;
    let allowed = observed.link.adoption;
    let kept = retained(observed).filter(|kept| *kept == listed.reference.as_str());
    let problem = if wants && !allowed {
        Problem::new(
            Reason::AdoptionForbidden,
            "adoption is not allowed through this ClusterSupabaseConnection; use a SupabaseConnection, \
             or ask for spec.adoption: Allowed on the cluster's connection",
        )
    } else {
        let name = project.wanted_name();
        let secret = project.password_secret_name();
        let what = kept.map_or_else(
            || {
                format!(
                    "a project named {name:?} exists in the organization already; choose another spec.projectName, \
                     or take it over with spec.adoption (policy AdoptOrCreate, or AdoptOnly with its ref)"
                )
            },
            |reference| {
                format!(
                    "the project named {name:?} exists already, and the Secret {secret} keeps its password: an \
                     earlier object of this name had it; to go on with both, set spec.adoption: {{policy: \
                     AdoptOnly, ref: {reference}}}"
                )
            },
        );
        let through = if allowed {
            ""
        } else {
            "; that takes spec.adoption: Allowed on the ClusterSupabaseConnection, or a SupabaseConnection"
        };
        Problem::new(Reason::NameConflict, format!("{what}{through}"))
    };
    draft.stalled(&problem);
    rest(draft, Requeue::After(SLOW))
}

/// The ref of the project whose password an earlier object of this name has left behind.
fn retained(observed: &Observed) -> Option<&str> {
    match &observed.password {
        FoundPassword::There(kept) if kept.orphaned => kept.reference.as_deref(),
        FoundPassword::There(_) | FoundPassword::Missing => None,
    }
}
