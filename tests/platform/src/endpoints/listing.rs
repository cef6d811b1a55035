//! Reading projects: one, and the two lists.

use serde_json::{Value, json};

use crate::answer::{Outcome, Reply};
use crate::clock::{iso, later};
use crate::project::{Project, Status};
use crate::world::{Call, World};

impl World {
    pub(crate) fn get_project(&self, call: &Call<'_>) -> Outcome {
        Ok(Reply::ok(full(self.target(call)?)))
    }

    pub(crate) fn list_projects(&self, call: &Call<'_>) -> Reply {
        let list: Vec<Value> = self
            .projects()
            .filter(|project| project.branch_of.is_none() && self.lists(call, project))
            .map(full)
            .collect();
        Reply::ok(Value::Array(list))
    }

    pub(crate) fn list_organization_projects(&self, call: &Call<'_>) -> Outcome {
        let slug = call.reference();
        self.organization_of(call, slug)?;
        let offset = number(call, "offset", 0, usize::MAX, 0)?;
        let limit = number(call, "limit", 1, 100, 100)?;
        let search = call.query("search").unwrap_or_default().to_lowercase();
        let statuses = call.query("statuses").unwrap_or_default();
        let statuses: Vec<&str> = statuses.split(',').filter(|word| !word.is_empty()).collect();
        if statuses.iter().any(|word| !["ACTIVE_HEALTHY", "INACTIVE"].contains(word)) {
            return Err(call.invalid(&["statuses must be one of: ACTIVE_HEALTHY, INACTIVE"]));
        }
        let mut found: Vec<&Project> = self
            .projects()
            .filter(|project| project.organization == slug && self.lists(call, project))
            .filter(|project| search.is_empty() || is_found(project, &search))
            .filter(|project| statuses.is_empty() || statuses.contains(&project.status.as_str()))
            .collect();
        match call.query("sort").as_deref() {
            None | Some("name_asc") => found.sort_by(|a, b| a.name.cmp(&b.name)),
            Some("name_desc") => found.sort_by(|a, b| b.name.cmp(&a.name)),
            Some("created_asc") => {}
            Some("created_desc") => found.reverse(),
            Some(_) => return Err(call.invalid(&["sort must be one of the allowed values"])),
        }
        let count = found.len();
        let page: Vec<Value> = found.into_iter().skip(offset).take(limit).map(entry).collect();
        Ok(Reply::ok(json!({
            "projects": page,
            "pagination": { "count": count, "limit": limit, "offset": offset },
        })))
    }

    fn lists(&self, call: &Call<'_>, project: &Project) -> bool {
        call.caller.reaches(project)
            && (self.config.lists_show_deleted || !project.status.is_leaving())
            && later(project.created_at, self.config.list_visibility_lag) <= self.now
    }

    pub(crate) fn branches(&self, call: &Call<'_>) -> Outcome {
        let parent = self.target(call)?;
        let branches: Vec<Value> = self
            .projects()
            .filter(|project| project.branch_of.as_ref() == Some(&parent.reference))
            .map(|branch| {
                json!({
                    "id": format!("00000000-0000-4000-8000-{:012}", branch.number),
                    "name": branch.name,
                    "project_ref": branch.reference,
                    "parent_project_ref": parent.reference,
                    "is_default": false,
                    "persistent": false,
                    "status": "FUNCTIONS_DEPLOYED",
                    "created_at": iso(branch.created_at),
                    "updated_at": iso(branch.created_at),
                    "with_data": false,
                })
            })
            .collect();
        Ok(Reply::ok(Value::Array(branches)))
    }
}

fn is_found(project: &Project, search: &str) -> bool {
    project.name.to_lowercase().contains(search) || project.reference.contains(search)
}

fn number(
    call: &Call<'_>,
    name: &str,
    least: usize,
    most: usize,
    default: usize,
) -> Result<usize, Reply> {
    let Some(text) = call.query(name) else {
        return Ok(default);
    };
    text.parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| call.invalid(&[&format!("{name} is out of range")]))
}

/// A project as a create answers it.
pub(crate) fn brief(project: &Project, status: Status) -> Value {
    json!({
        "id": project.reference,
        "ref": project.reference,
        "organization_id": project.organization,
        "organization_slug": project.organization,
        "name": project.name,
        "region": project.region,
        "created_at": iso(project.created_at),
        "status": status.as_str(),
    })
}

/// A project as `GET` and the unpaged list show it.
fn full(project: &Project) -> Value {
    let mut value = brief(project, project.status);
    if let Some(object) = value.as_object_mut() {
        object.insert(
            "database".to_owned(),
            json!({
                "host": format!("db.{}.supabase.co", project.reference),
                "version": version(project),
                "postgres_engine": project.postgres_engine,
                "release_channel": project.release_channel,
            }),
        );
    }
    value
}

fn version(project: &Project) -> &'static str {
    if project.postgres_engine == "15" { "15.8.1.111" } else { "17.6.1.111" }
}

/// A project as the paged list shows it.
fn entry(project: &Project) -> Value {
    json!({
        "ref": project.reference,
        "name": project.name,
        "cloud_provider": "AWS",
        "region": project.region,
        "is_branch": project.branch_of.is_some(),
        "status": project.status.as_str(),
        "inserted_at": iso(project.created_at),
        "databases": [{
            "identifier": project.reference,
            "type": "PRIMARY",
            "region": project.region,
            "cloud_provider": "AWS",
            "status": database_status(project.status),
            "infra_compute_size": project.size,
            "disk_volume_size_gb": 8,
            "disk_type": "gp3",
            "disk_throughput_mbps": 125,
        }],
    })
}

/// Databases know fewer words than projects.
fn database_status(status: Status) -> &'static str {
    match status {
        Status::ComingUp
        | Status::ActiveHealthy
        | Status::ActiveUnhealthy
        | Status::Restoring
        | Status::Restarting
        | Status::Resizing
        | Status::GoingDown
        | Status::Removed
        | Status::InitFailed => status.as_str(),
        Status::Unknown
        | Status::Pausing
        | Status::Inactive
        | Status::Upgrading
        | Status::Promoting
        | Status::PauseFailed
        | Status::RestoreFailed => "UNKNOWN",
    }
}
