//! A cheap look at an organization: how many projects there are, how many of them are active, and which is the newest.
//!
//! The platform counts them without listing them (platform.md §4.2). As long as these three are what a whole list
//! has shown, nothing was created, deleted, paused or woken since, whatever the number of projects. What it cannot show
//! (a rename, two changes that cancel each other out) is found by the next whole list.

use crate::management::{
    Error, OrganizationSlug, ProjectRef, Sort, count_active_projects, organization_projects,
};
use crate::session::Session;

/// What a cheap look shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glimpse {
    pub(super) count: u64,
    pub(super) newest: Option<ProjectRef>,
    pub(super) active: u64,
}

/// Looks: two calls, whatever the number of projects.
pub(super) async fn look(
    session: &Session,
    slug: &OrganizationSlug,
    tenant: &str,
) -> Result<Glimpse, Error> {
    let newest = organization_projects(slug, 0, 1, Sort::NewestFirst);
    let newest = session.send(tenant, &newest).await?.value;
    let active = session.send(tenant, &count_active_projects(slug)).await?.value;
    Ok(Glimpse {
        count: newest.count,
        newest: newest.projects.first().map(|one| one.reference.clone()),
        active: active.count,
    })
}
