//! Projects: one, a page of them, the answer of a create and of other writes.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::Undecodable;
use super::loose::Loose;
use super::names::{ProjectRef, host, word};
use super::status::Status;

/// A project as its own address shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// What it is called in paths and host names: twenty lower-case letters.
    pub reference: ProjectRef,
    /// Its name, as it is: to be compared, not shown.
    pub name: String,
    /// The slug of its organization, as it is.
    pub organization: String,
    /// The region as the platform calls it; none where it says none.
    pub region: Option<String>,
    /// As the platform gave it, known to us or not.
    pub status: Status,
    /// When it was created, by the platform's clock.
    pub created_at: Option<Timestamp>,
    /// Where Postgres is reached directly; none while there is no database yet.
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
    /// What it is called in paths and host names: twenty lower-case letters.
    pub reference: ProjectRef,
    /// Its name, as it is: to be compared, not shown.
    pub name: String,
    /// The region as the platform calls it; none where it says none.
    pub region: Option<String>,
    /// As the platform gave it, known to us or not.
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
    /// What stands on it and cannot be read as a project.
    pub unreadable: Vec<UnreadableProject>,
    /// How many there are on all pages, as the platform says.
    pub count: u64,
}

/// An entry of a page that cannot be read as a project: against the document, but somebody else's may be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableProject {
    /// Its place on the page.
    pub place: usize,
    /// Its ref, as far as that can be read.
    pub reference: Option<ProjectRef>,
    /// When it was created, by the platform's clock, as far as that can be read.
    pub created_at: Option<Timestamp>,
}

impl ProjectPage {
    /// How many entries it has.
    pub const fn len(&self) -> usize {
        self.projects.len() + self.unreadable.len()
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ref of each entry in turn, as far as it can be read.
    pub fn references(&self) -> Vec<Option<&ProjectRef>> {
        let mut references: Vec<_> =
            self.projects.iter().map(|project| Some(&project.reference)).collect();
        for entry in &self.unreadable {
            let place = entry.place.min(references.len());
            references.insert(place, entry.reference.as_ref());
        }
        references
    }
}

/// The answer of a create. Its name and organization are for the caller to compare with the order; its
/// status proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedProject {
    /// What it is called in paths and host names: twenty lower-case letters.
    pub reference: ProjectRef,
    /// Its name, as it is.
    pub name: String,
    /// The slug of its organization, as it is.
    pub organization: String,
    /// Its region, as far as it is decided.
    pub region: Option<String>,
    /// Proves nothing: the project is only about to be made.
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
    #[serde(default)]
    region: Loose,
    #[serde(default)]
    status: Loose,
    #[serde(default)]
    created_at: Loose,
    #[serde(default)]
    database: Loose<RawDatabase>,
}

#[derive(Deserialize)]
struct RawDatabase {
    #[serde(default)]
    host: Loose,
    #[serde(default)]
    version: Loose,
}

/// The status; none that is a text is not determined.
fn status(status: Loose) -> Status {
    status.text().map_or(Status::Unknown, |text| Status::from(text.as_str()))
}

impl Raw {
    fn reference(&self) -> Result<ProjectRef, Undecodable> {
        let text = self.r#ref.as_deref().or_else(|| self.id.as_ref()?.as_str());
        text.and_then(|text| text.parse().ok()).ok_or(Undecodable)
    }

    fn organization(&mut self) -> Result<String, Undecodable> {
        let id = self.organization_id.as_ref().and_then(Value::as_str).map(str::to_owned);
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
        region: raw.region.text().as_deref().and_then(word),
        status: status(raw.status),
        created_at: raw.created_at.text().and_then(|text| text.parse().ok()),
        database: raw.database.object().and_then(|database| {
            let host = host(database.host.text()?.as_str())?;
            Some(Database { host, version: database.version.text().as_deref().and_then(word) })
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
        region: raw.region.text().as_deref().and_then(word),
        status: status(raw.status),
    })
}

/// Reads a page. What cannot be read as a project stays on it as such: leaving it out would look like its absence.
pub(in super::super) fn project_page(_: &str, body: &[u8]) -> Result<ProjectPage, Undecodable> {
    #[derive(Deserialize)]
    struct Page {
        projects: Vec<Loose<Entry>>,
        pagination: Pagination,
    }
    #[derive(Deserialize)]
    struct Pagination {
        count: u64,
    }
    let page: Page = serde_json::from_slice(body)?;
    let mut projects = Vec::new();
    let mut unreadable = Vec::new();
    for (place, entry) in page.projects.into_iter().enumerate() {
        match entry.object().unwrap_or_default().read() {
            Ok(project) => projects.push(project),
            Err((reference, created_at)) => {
                unreadable.push(UnreadableProject { place, reference, created_at });
            }
        }
    }
    Ok(ProjectPage { projects, unreadable, count: page.pagination.count })
}

/// An entry of a page.
#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    r#ref: Loose,
    #[serde(default)]
    name: Loose,
    #[serde(default)]
    region: Loose,
    #[serde(default)]
    status: Loose,
    #[serde(default)]
    is_branch: Loose,
    #[serde(default)]
    inserted_at: Loose,
    #[serde(default)]
    databases: Loose<EntryDatabase>,
}

#[derive(Deserialize)]
struct EntryDatabase {
    #[serde(default)]
    r#type: Loose,
    #[serde(default)]
    infra_compute_size: Loose,
}

impl Entry {
    /// The project, or what can be read of it. Without ref, name and whether it is a branch it is none.
    fn read(self) -> Result<ListedProject, (Option<ProjectRef>, Option<Timestamp>)> {
        let reference = self.r#ref.text().and_then(|text| text.parse().ok());
        let created_at = self.inserted_at.text().and_then(|text| text.parse().ok());
        let is_branch = match self.is_branch {
            Loose::Flag(is_branch) => Some(is_branch),
            Loose::Nothing => Some(false),
            Loose::Text(_)
            | Loose::Number(_)
            | Loose::Object(_)
            | Loose::List(_)
            | Loose::Other => None,
        };
        let (Some(reference), Some(name), Some(is_branch)) =
            (reference.clone(), self.name.text(), is_branch)
        else {
            return Err((reference, created_at));
        };
        let sizes = self.databases.list().into_iter().filter_map(|database| {
            let database = database.object()?;
            (database.r#type.text().as_deref() == Some("PRIMARY"))
                .then(|| database.infra_compute_size.text())
        });
        Ok(ListedProject {
            reference,
            name,
            region: self.region.text().as_deref().and_then(word),
            status: status(self.status),
            is_branch,
            created_at,
            size: sizes.flatten().next().as_deref().and_then(word),
        })
    }
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
        assert_eq!((read.name.as_str(), read.organization.as_str()), ("demo", "acme"));
        assert_eq!(read.status, Status::ActiveHealthy);
        assert_eq!(read.created_at, "2026-01-01T00:00:00Z".parse().ok());
        let database = read.database.unwrap();
        assert_eq!(database.host, "db.aaaaaaaaaaaaaaaaaaaa.supabase.co");
        assert_eq!(database.version.as_deref(), Some("17.6.1.111"));
    }

    #[test]
    fn deprecated_twins_and_absent_fields_will_do() {
        let fields = ["ref", "organization_slug", "region", "created_at", "status", "database"];
        let read = project(REF, &without(full(), &fields)).unwrap();
        assert_eq!((read.organization.as_str(), read.status), ("acme", Status::Unknown));
        assert_eq!((read.region, read.created_at, read.database), (None, None, None));
    }

    #[test]
    fn a_project_without_identity_or_with_another_one_is_none() {
        for fields in [&["ref", "id"][..], &["name"], &["organization_id", "organization_slug"]] {
            assert!(project(REF, &without(full(), fields)).is_err(), "{fields:?}");
        }
        let other = "bbbbbbbbbbbbbbbbbbbb";
        assert!(project(other, full().to_string().as_bytes()).is_err());
        for bad in ["", "[]", "null", "{\"id\": \u{fffd}"] {
            assert!(project(REF, bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_odd_field_that_nothing_rests_on_does_not_hide_the_project() {
        for field in ["region", "status", "created_at", "database"] {
            let mut value = full();
            value[field] = json!([7]);
            let read = project(REF, value.to_string().as_bytes()).unwrap();
            assert_eq!(read.name, "demo", "{field}");
            assert!(created_project("acme", value.to_string().as_bytes()).is_ok(), "{field}");
        }
    }

    #[test]
    fn a_host_that_is_none_is_not_believed() {
        let mut value = full();
        value["database"]["host"] = json!("evil.example/?@");
        assert_eq!(project(REF, value.to_string().as_bytes()).unwrap().database, None);
    }

    #[test]
    fn a_create_is_answered_by_a_ref_or_not_at_all() {
        let created = created_project("acme", &without(full(), &["database"])).unwrap();
        assert_eq!((created.reference.as_str(), created.name.as_str()), (REF, "demo"));
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
        let [listed] = page.projects.as_slice() else { panic!("one project") };
        assert_eq!((listed.is_branch, listed.size.as_deref()), (true, Some("micro")));
        assert_eq!(listed.status, Status::ComingUp);
        assert!(listed.created_at.is_some());
    }

    #[test]
    fn a_project_that_cannot_be_read_stays_on_the_page_as_such() {
        for (field, bad, known) in [
            ("ref", json!("short"), false),
            ("ref", json!(null), false),
            ("name", json!(null), true),
            ("name", json!({ "a": [[[]]] }), true),
            ("is_branch", json!("no"), true),
        ] {
            let mut changed = entry();
            changed[field] = bad.clone();
            let body = json!({ "projects": [changed, entry()], "pagination": { "count": 2 } });
            let page = project_page("acme", body.to_string().as_bytes()).unwrap();
            let [odd] = page.unreadable.as_slice() else { panic!("{field}: {bad}") };
            assert_eq!((odd.place, odd.reference.is_some()), (0, known), "{field}: {bad}");
            assert!(odd.created_at.is_some());
            assert_eq!((page.len(), page.projects.len()), (2, 1));
            assert_eq!(page.references()[1].unwrap().as_str(), REF);
        }
        let body = json!({ "projects": [7, null, "x"], "pagination": { "count": 3 } });
        let page = project_page("acme", body.to_string().as_bytes()).unwrap();
        assert_eq!(page.unreadable.len(), 3);
        // What nothing rests on may be odd.
        let mut changed = entry();
        for field in ["region", "status", "inserted_at", "databases"] {
            changed[field] = json!(7);
        }
        let body = json!({ "projects": [changed], "pagination": { "count": 1 } });
        let page = project_page("acme", body.to_string().as_bytes()).unwrap();
        assert_eq!(page.projects[0].status, Status::Unknown);
        for bad in [json!({ "projects": [] }), json!({ "pagination": { "count": 0 } }), json!([])] {
            assert!(project_page("acme", bad.to_string().as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_answer_of_a_write_may_be_empty_but_not_about_another_project() {
        assert!(stub(REF, b"").is_ok());
        assert!(stub(REF, b" \n").is_ok());
        assert!(stub(REF, br#"{"id":711274,"ref":"aaaaaaaaaaaaaaaaaaaa","name":"demo"}"#).is_ok());
        assert!(stub(REF, b"{}").is_ok());
        assert!(stub(REF, br#"{"ref":"bbbbbbbbbbbbbbbbbbbb"}"#).is_err());
        assert!(stub(REF, b"<html>").is_err());
    }
}
