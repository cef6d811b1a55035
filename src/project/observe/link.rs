//! The organization of a project.

use crate::api::{Reason, SupabaseProject};
use crate::project::facts::Problem;
use crate::rules::suggest::{choice, listed};
use crate::session::Session;

/// The organization: what is recorded of an attempt or a project, else what the spec and the connection give.
pub(super) fn organization(
    project: &SupabaseProject,
    session: Option<&Session>,
) -> Result<String, Problem> {
    let status = project.status.as_ref();
    let bound =
        status.is_some_and(|status| status.reference.is_some() || status.has_unsettled_attempt());
    let recorded = status.and_then(|status| status.organization_slug.clone()).filter(|_| bound);
    let seen: Vec<String> = session
        .map(|session| session.organizations().iter().map(|one| one.slug.to_string()).collect())
        .unwrap_or_default();
    let wanted = project.spec.organization_slug.as_ref();
    if session.is_none() {
        return Ok(recorded.or_else(|| wanted.cloned()).unwrap_or_default());
    }
    let one = match recorded.or_else(|| wanted.cloned()) {
        Some(slug) => slug,
        None => match seen.as_slice() {
            [one] => one.clone(),
            [] => {
                let message =
                    "the connection sees no organization; check its token and its organizationSlug";
                return Err(Problem::new(Reason::OrganizationNotAllowed, message));
            }
            several => {
                let message = format!(
                    "the connection sees {} organizations; name one in spec.organizationSlug: {}",
                    several.len(),
                    listed(several.iter().map(String::as_str))
                );
                return Err(Problem::new(Reason::OrganizationRequired, message));
            }
        },
    };
    if seen.contains(&one) {
        Ok(one)
    } else {
        let message = format!(
            "the connection does not see or admit the organization {one}; {}",
            choice("it admits", &one, seen.iter().map(String::as_str))
        );
        Err(Problem::new(Reason::OrganizationNotAllowed, message))
    }
}
