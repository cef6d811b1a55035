//! Projects: one, a page of them, the answer of a create and of other writes.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::Undecodable;
use super::names::{ProjectRef, host, word};
use super::status::Status;

/// A project as its own address shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its ref.
    pub reference: ProjectRef,
    /// Its name, as it is: to be compared, not shown.
    pub name: String,
    /// The slug of its organization, as it is.
    pub organization: String,
    /// Its region.
    pub region: Option<String>,
    /// Its status.
    pub status: Status,
    /// When it was created, by the platform's clock.
    pub created_at: Option<Timestamp>,
    /// Its database.
    pub database: Option<Database>,
}

/// The database of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// The host of direct connections.
    pub host: String,
    /// The version of Postgres.
    pub version: Option<String>,
}

/// A project as the list of its organization shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedProject {
    /// Its ref.
    pub reference: ProjectRef,
    /// Its name, as it is: to be compared, not shown.
    pub name: String,
    /// Its region.
    pub region: Option<String>,
    /// Its status.
    pub status: Status,
    /// Whether it is a branch of another project.
    pub is_branch: bool,
    /// When it was created, by the platform's clock.
    pub created_at: Option<Timestamp>,
    /// The size of the instance of its primary database.
    pub size: Option<String>,
}

/// One page of an organization's projects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectPage {
    /// The projects of this page.
    pub projects: Vec<ListedProject>,
    /// How many there are on all pages, as the platform says.
    pub count: u64,
}

/// The answer of a create. Its name and organization are for the caller to compare with the order; its
/// status proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedProject {
    /// Its ref.
    pub reference: ProjectRef,
    /// Its name, as it is.
    pub name: String,
    /// The slug of its organization, as it is.
    pub organization: String,
    /// Its region, as far as it is decided.
    pub region: Option<String>,
    /// Its status.
    pub status: Status,
}

#[derive(Deserialize)]
struct Raw {
    r#ref: Option<String>,
    /// The deprecated twin of `ref`.
    id: Option<Value>,
    name: String,
    organization_slug: Option<String>,
    /// The deprecated twin of `organization_slug`.
    organization_id: Option<Value>,
    region: Option<String>,
    #[serde(default)]
    status: Status,
    created_at: Option<String>,
    database: Option<RawDatabase>,
}

#[derive(Deserialize)]
struct RawDatabase {
    host: Option<String>,
    version: Option<String>,
}

impl Raw {
    fn reference(&self) -> Result<ProjectRef, Undecodable> {
        let text = self.r#ref.as_deref().or_else(|| self.id.as_ref()?.as_str());
        text.and_then(|text| text.parse().ok()).ok_or(Undecodable)
    }

    fn organization(&mut self) -> Result<String, Undecodable> {
        let id = self
            .organization_id
            .as_ref()
            .and_then(Value::as_str)
            .map(str::to_owned);
        self.organization_slug.take().or(id).ok_or(Undecodable)
    }
}

/// Reads one project, which must be the one asked for.
pub(in super::super) fn project(asked: &str, body: &[u8]) -> Result<Project, Undecodable> {
    let mut raw: Raw = serde_json::from_slice(body)?;
    let reference = raw.reference()?;
    if reference.as_str() != asked {
        return Err(Undecodable);
    }
    Ok(Project {
        reference,
        organization: raw.organization()?,
        name: raw.name,
        region: raw.region.as_deref().and_then(word),
        status: raw.status,
        created_at: raw.created_at.and_then(|text| text.parse().ok()),
        database: raw.database.and_then(|database| {
            let host = host(database.host.as_deref()?)?;
            Some(Database {
                host,
                version: database.version.as_deref().and_then(word),
            })
        }),
    })
}

/// Reads the answer of a create.
pub(in super::super) fn created_project(
    _: &str,
    body: &[u8],
) -> Result<CreatedProject, Undecodable> {
    let mut raw: Raw = serde_json::from_slice(body)?;
    Ok(CreatedProject {
        reference: raw.reference()?,
        organization: raw.organization()?,
        name: raw.name,
        region: raw.region.as_deref().and_then(word),
        status: raw.status,
    })
}

/// Reads a page. One project that cannot be read spoils it: leaving it out would look like its absence.
pub(in super::super) fn project_page(_: &str, body: &[u8]) -> Result<ProjectPage, Undecodable> {
    #[derive(Deserialize)]
    struct Page {
        projects: Vec<Entry>,
        pagination: Pagination,
    }
    #[derive(Deserialize)]
    struct Pagination {
        count: u64,
    }
    #[derive(Deserialize)]
    struct Entry {
        r#ref: String,
        name: String,
        region: Option<String>,
        #[serde(default)]
        status: Status,
        #[serde(default)]
        is_branch: Option<bool>,
        inserted_at: Option<String>,
        #[serde(default)]
        databases: Option<Vec<EntryDatabase>>,
    }
    #[derive(Deserialize)]
    struct EntryDatabase {
        r#type: Option<String>,
        infra_compute_size: Option<String>,
    }
    let page: Page = serde_json::from_slice(body)?;
    let projects = page.projects.into_iter().map(|entry| {
        let primary = |database: &EntryDatabase| database.r#type.as_deref() == Some("PRIMARY");
        let size = entry
            .databases
            .and_then(|databases| databases.into_iter().find(primary))
            .and_then(|database| word(database.infra_compute_size.as_deref()?));
        Ok(ListedProject {
            reference: entry.r#ref.parse().map_err(|_| Undecodable)?,
            name: entry.name,
            region: entry.region.as_deref().and_then(word),
            status: entry.status,
            is_branch: entry.is_branch.unwrap_or(false),
            created_at: entry.inserted_at.and_then(|text| text.parse().ok()),
            size,
        })
    });
    Ok(ProjectPage {
        projects: projects.collect::<Result<_, Undecodable>>()?,
        count: page.pagination.count,
    })
}

/// Reads the answer of a write: nothing, or an object that must not name another project.
pub(in super::super) fn stub(asked: &str, body: &[u8]) -> Result<(), Undecodable> {
    #[derive(Deserialize)]
    struct Stub {
        r#ref: Option<String>,
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let stub: Stub = serde_json::from_slice(body)?;
    match stub.r#ref {
        Some(other) if other != asked => Err(Undecodable),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const REF: &str = "aaaaaaaaaaaaaaaaaaaa";

    fn full() -> Value {
        json!({
            "id": REF, "ref": REF, "organization_id": "acme", "organization_slug": "acme",
            "name": "demo", "region": "eu-central-1", "created_at": "2026-01-01T00:00:00Z",
            "status": "ACTIVE_HEALTHY", "unknown": { "x": [] },
            "database": { "host": "db.aaaaaaaaaaaaaaaaaaaa.supabase.co", "version": "17.6.1.111",
                          "postgres_engine": "17", "release_channel": "ga" },
        })
    }

    fn without(mut value: Value, fields: &[&str]) -> Vec<u8> {
        for field in fields {
            value.as_object_mut().unwrap().remove(*field);
        }
        value.to_string().into_bytes()
    }

    #[test]
    fn a_project_is_read_as_recorded() {
        let read = project(REF, full().to_string().as_bytes()).unwrap();
        assert_eq!(read.reference.as_str(), REF);
        assert_eq!(
            (read.name.as_str(), read.organization.as_str()),
            ("demo", "acme")
        );
        assert_eq!(read.status, Status::ActiveHealthy);
        assert_eq!(read.created_at, "2026-01-01T00:00:00Z".parse().ok());
        let database = read.database.unwrap();
        assert_eq!(database.host, "db.aaaaaaaaaaaaaaaaaaaa.supabase.co");
        assert_eq!(database.version.as_deref(), Some("17.6.1.111"));
    }

    #[test]
    fn deprecated_twins_and_absent_fields_will_do() {
        let fields = [
            "ref",
            "organization_slug",
            "region",
            "created_at",
            "status",
            "database",
        ];
        let read = project(REF, &without(full(), &fields)).unwrap();
        assert_eq!(
            (read.organization.as_str(), read.status),
            ("acme", Status::Unknown)
        );
        assert_eq!(
            (read.region, read.created_at, read.database),
            (None, None, None)
        );
    }

    #[test]
    fn a_project_without_identity_or_with_another_one_is_none() {
        for fields in [
            &["ref", "id"][..],
            &["name"],
            &["organization_id", "organization_slug"],
        ] {
            assert!(
                project(REF, &without(full(), fields)).is_err(),
                "{fields:?}"
            );
        }
        let other = "bbbbbbbbbbbbbbbbbbbb";
        assert!(project(other, full().to_string().as_bytes()).is_err());
        for bad in ["", "[]", "null", "{\"id\": \u{fffd}"] {
            assert!(project(REF, bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_that_is_none_is_not_believed() {
        let mut value = full();
        value["database"]["host"] = json!("evil.example/?@");
        assert_eq!(
            project(REF, value.to_string().as_bytes()).unwrap().database,
            None
        );
    }

    #[test]
    fn a_create_is_answered_by_a_ref_or_not_at_all() {
        let created = created_project("acme", &without(full(), &["database"])).unwrap();
        assert_eq!(
            (created.reference.as_str(), created.name.as_str()),
            (REF, "demo")
        );
        let mut value = full();
        value["ref"] = json!("NOT-A-REF");
        assert!(created_project("acme", value.to_string().as_bytes()).is_err());
    }

    fn entry() -> Value {
        json!({
            "ref": REF, "name": "demo", "cloud_provider": "AWS", "region": "eu-central-1",
            "is_branch": true, "status": "COMING_UP", "inserted_at": "2026-04-15T10:46:16.546327+00:00",
            "databases": [
                { "type": "READ_REPLICA", "infra_compute_size": "large" },
                { "type": "PRIMARY", "infra_compute_size": "micro" },
            ],
        })
    }

    #[test]
    fn a_page_is_read_as_documented() {
        let body = json!({ "projects": [entry()], "pagination": { "count": 7, "limit": 100, "offset": 0 } });
        let page = project_page("acme", body.to_string().as_bytes()).unwrap();
        assert_eq!(page.count, 7);
        let [listed] = page.projects.as_slice() else {
            panic!("one project")
        };
        assert_eq!(
            (listed.is_branch, listed.size.as_deref()),
            (true, Some("micro"))
        );
        assert_eq!(listed.status, Status::ComingUp);
        assert!(listed.created_at.is_some());
    }

    #[test]
    fn one_project_that_cannot_be_read_spoils_the_page() {
        let mut bad = entry();
        bad["ref"] = json!("short");
        let body = json!({ "projects": [entry(), bad], "pagination": { "count": 2 } });
        assert!(project_page("acme", body.to_string().as_bytes()).is_err());
        for bad in [
            json!({ "projects": [] }),
            json!({ "pagination": { "count": 0 } }),
            json!([]),
        ] {
            assert!(
                project_page("acme", bad.to_string().as_bytes()).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_answer_of_a_write_may_be_empty_but_not_about_another_project() {
        assert!(stub(REF, b"").is_ok());
        assert!(stub(REF, b" \n").is_ok());
        assert!(
            stub(
                REF,
                br#"{"id":711274,"ref":"aaaaaaaaaaaaaaaaaaaa","name":"demo"}"#
            )
            .is_ok()
        );
        assert!(stub(REF, b"{}").is_ok());
        assert!(stub(REF, br#"{"ref":"bbbbbbbbbbbbbbbbbbbb"}"#).is_err());
        assert!(stub(REF, b"<html>").is_err());
    }
}
