//! One constructor per endpoint. Pure: they only write down what to ask.

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

use super::call::{Body, Call};
use super::endpoint::Endpoint;
use super::transport::Limits;
use super::wire::{
    self, ApiKey, CreatedProject, Organization, OrganizationSlug, PoolerEntry, Project,
    ProjectPage, ProjectRef, Regions, Service, ServiceHealth,
};

/// The most projects that one page can hold.
pub const PAGE: u32 = 100;

/// The order of a list of projects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Oldest first: what comes meanwhile is added at the end, so that paging by offset misses nothing that comes. What
    /// is deleted meanwhile shifts pages, which the reader must notice.
    OldestFirst,
    /// By creation: what was made last is on the first page.
    NewestFirst,
}

/// Where a project shall run. What the platform offers changes, so it judges the codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Region {
    /// A region such as `eu-central-1`.
    Specific(String),
    /// A group of regions: `americas`, `emea` or `apac`; the platform chooses.
    Group(String),
}

/// What a create call asks for.
#[derive(Clone, Debug)]
pub struct NewProject {
    /// Its name, without dots.
    pub name: String,
    /// Where it is made and paid for.
    pub organization: OrganizationSlug,
    /// Where it shall run.
    pub region: Region,
    /// The size of its instance; the smallest that the plan allows, if none is given.
    pub size: Option<String>,
    /// The password of its database. It can never be read back.
    pub db_pass: SecretString,
}

/// The organizations that the token reaches.
pub fn organizations() -> Call<Vec<Organization>> {
    Call::new(
        Endpoint::Organizations,
        String::new(),
        "/v1/organizations".to_owned(),
        wire::organizations,
    )
    .with_limits(Limits::LIST)
}

/// One page of an organization's projects, branches included. At most 100 of them.
pub fn organization_projects(
    slug: &OrganizationSlug,
    offset: u64,
    limit: u32,
    sort: Sort,
) -> Call<ProjectPage> {
    let limit = limit.clamp(1, PAGE);
    let sort = match sort {
        Sort::OldestFirst => "created_asc",
        Sort::NewestFirst => "created_desc",
    };
    projects_of(slug, &format!("offset={offset}&limit={limit}&sort={sort}"))
}

/// A page of one active project of an organization: its count is that of all active ones.
pub fn count_active_projects(slug: &OrganizationSlug) -> Call<ProjectPage> {
    projects_of(slug, "offset=0&limit=1&statuses=ACTIVE_HEALTHY")
}

fn projects_of(slug: &OrganizationSlug, query: &str) -> Call<ProjectPage> {
    let path = format!("/v1/organizations/{slug}/projects?{query}");
    Call::new(Endpoint::OrganizationProjects, slug.to_string(), path, wire::project_page)
        .with_limits(Limits::LIST)
}

/// Where an organization can create projects now.
pub fn available_regions(slug: &OrganizationSlug) -> Call<Regions> {
    let path = format!("/v1/projects/available-regions?organization_slug={slug}");
    Call::new(Endpoint::Regions, String::new(), path, wire::regions)
}

/// Creates a project. Not idempotent: two calls make two projects.
pub fn create_project(new: &NewProject) -> Call<CreatedProject> {
    #[derive(Serialize)]
    struct Order<'a> {
        db_pass: &'a str,
        name: &'a str,
        organization_slug: &'a str,
        region_selection: RegionSelection<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        desired_instance_size: Option<&'a str>,
    }
    #[derive(Serialize)]
    struct RegionSelection<'a> {
        r#type: &'static str,
        code: &'a str,
    }
    let (r#type, code) = match &new.region {
        Region::Specific(code) => ("specific", code),
        Region::Group(code) => ("smartGroup", code),
    };
    let order = Order {
        db_pass: new.db_pass.expose_secret(),
        name: &new.name,
        organization_slug: new.organization.as_str(),
        region_selection: RegionSelection { r#type, code },
        desired_instance_size: new.size.as_deref(),
    };
    Call::new(
        Endpoint::CreateProject,
        new.organization.to_string(),
        "/v1/projects".to_owned(),
        wire::created_project,
    )
    .with_body(json(&order))
    .with_limits(Limits::ONCE)
}

/// One project. Branches are not served here: their refs are not found.
pub fn project(reference: &ProjectRef) -> Call<Project> {
    of_project(Endpoint::Project, reference, "", wire::project)
}

/// Gives a project another name.
pub fn rename_project(reference: &ProjectRef, name: &str) -> Call<()> {
    #[derive(Serialize)]
    struct Rename<'a> {
        name: &'a str,
    }
    of_project(Endpoint::RenameProject, reference, "", wire::stub).with_body(json(&Rename { name }))
}

/// Deletes a project with its backups, for ever.
pub fn delete_project(reference: &ProjectRef) -> Call<()> {
    of_project(Endpoint::DeleteProject, reference, "", wire::stub)
}

/// Starts pausing a project.
pub fn pause_project(reference: &ProjectRef) -> Call<()> {
    of_project(Endpoint::PauseProject, reference, "/pause", wire::anything)
}

/// Starts waking a paused project.
pub fn restore_project(reference: &ProjectRef) -> Call<()> {
    of_project(Endpoint::RestoreProject, reference, "/restore", wire::anything)
}

/// The health of some services of a project; not every one asked for is sure to be answered.
pub fn health(reference: &ProjectRef, services: &[Service]) -> Call<Vec<ServiceHealth>> {
    let names: Vec<_> = services.iter().map(|service| service.as_str()).collect();
    let path = format!("/health?services={}", names.join(","));
    of_project(Endpoint::Health, reference, &path, wire::health)
}

/// The API keys of a project, secret ones in clear. Forbidden as a whole to a token without the permission
/// [`READS_SECRET_KEYS`], which may read [`shown_api_keys`] all the same (platform.md §7.1).
pub fn api_keys(reference: &ProjectRef) -> Call<Vec<ApiKey>> {
    of_project(Endpoint::ApiKeys, reference, "/api-keys?reveal=true", wire::api_keys).tentative()
}

/// The permission that shows secret API keys in clear.
pub const READS_SECRET_KEYS: &str = "api_gateway_keys_secret_read";

/// The API keys of a project as everybody sees them who may list them: secret ones without their value.
pub fn shown_api_keys(reference: &ProjectRef) -> Call<Vec<ApiKey>> {
    of_project(Endpoint::ApiKeys, reference, "/api-keys", wire::api_keys)
}

/// The addresses of a project's shared pooler. Empty until the pooler knows the project.
pub fn pooler(reference: &ProjectRef) -> Call<Vec<PoolerEntry>> {
    of_project(Endpoint::Pooler, reference, "/config/database/pooler", wire::pooler)
}

/// Replaces the password of a project's database; poolers learn it some seconds later.
pub fn change_password(reference: &ProjectRef, password: &SecretString) -> Call<()> {
    #[derive(Serialize)]
    struct Change<'a> {
        password: &'a str,
    }
    of_project(Endpoint::ChangePassword, reference, "/database/password", wire::anything)
        .with_body(json(&Change { password: password.expose_secret() }))
}

pub(super) fn of_project<T>(
    endpoint: Endpoint,
    reference: &ProjectRef,
    below: &str,
    decode: fn(&str, &[u8]) -> Result<T, wire::Undecodable>,
) -> Call<T> {
    let path = format!("/v1/projects/{reference}{below}");
    Call::new(endpoint, reference.to_string(), path, decode)
}

pub(super) fn json(value: &impl Serialize) -> Body {
    // Nothing that is written here can fail to be JSON; an empty body would be refused by the platform.
    Body::Json(Zeroizing::new(serde_json::to_vec(value).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn body<T>(call: &Call<T>) -> Value {
        match &call.body {
            Some(Body::Json(bytes)) => serde_json::from_slice(bytes).unwrap(),
            Some(Body::Form(_)) | None => panic!("no JSON body"),
        }
    }

    fn reference() -> ProjectRef {
        "abcdefghijklmnopqrst".parse().unwrap()
    }

    fn new(region: Region, size: Option<&str>) -> NewProject {
        NewProject {
            name: "orders".to_owned(),
            organization: "acme".parse().unwrap(),
            region,
            size: size.map(str::to_owned),
            db_pass: "correct-horse".into(),
        }
    }

    #[test]
    fn a_create_says_exactly_what_was_ordered() {
        let call = create_project(&new(Region::Specific("eu-central-1".to_owned()), Some("micro")));
        assert_eq!(
            body(&call),
            json!({
                "db_pass": "correct-horse",
                "name": "orders",
                "organization_slug": "acme",
                "region_selection": { "type": "specific", "code": "eu-central-1" },
                "desired_instance_size": "micro",
            })
        );
        assert_eq!((call.path.as_str(), call.scope()), ("/v1/projects", "acme"));
        let call = create_project(&new(Region::Group("emea".to_owned()), None));
        assert_eq!(
            body(&call)["region_selection"],
            json!({ "type": "smartGroup", "code": "emea" })
        );
        assert!(body(&call).get("desired_instance_size").is_none());
    }

    #[test]
    fn what_must_not_be_sent_twice_has_a_connection_of_its_own() {
        let call = create_project(&new(Region::Group("emea".to_owned()), None));
        assert_eq!(call.limits.connection, super::super::Connection::Own);
        assert!(call.limits.sending <= std::time::Duration::from_secs(3));
    }

    #[test]
    fn paths_are_those_of_the_api() {
        let at = "/v1/projects/abcdefghijklmnopqrst";
        assert_eq!(project(&reference()).path, at);
        assert_eq!(delete_project(&reference()).path, at);
        assert_eq!(rename_project(&reference(), "x").path, at);
        assert_eq!(body(&rename_project(&reference(), "x")), json!({ "name": "x" }));
        assert_eq!(pause_project(&reference()).path, format!("{at}/pause"));
        assert_eq!(restore_project(&reference()).path, format!("{at}/restore"));
        assert_eq!(api_keys(&reference()).path, format!("{at}/api-keys?reveal=true"));
        assert_eq!(pooler(&reference()).path, format!("{at}/config/database/pooler"));
        let services = [Service::Auth, Service::Database];
        assert_eq!(health(&reference(), &services).path, format!("{at}/health?services=auth,db"));
        let change = change_password(&reference(), &"s3cret".into());
        assert_eq!(change.path, format!("{at}/database/password"));
        assert_eq!(body(&change), json!({ "password": "s3cret" }));
        let slug = "acme-1".parse().unwrap();
        let list = organization_projects(&slug, 200, 1000, Sort::NewestFirst);
        assert_eq!(
            list.path,
            "/v1/organizations/acme-1/projects?offset=200&limit=100&sort=created_desc"
        );
        assert_eq!(list.scope(), "acme-1");
    }

    #[test]
    fn no_secret_shows_in_a_call() {
        let call = create_project(&new(Region::Group("emea".to_owned()), None));
        assert!(!format!("{call:?}").contains("correct-horse"));
    }
}
