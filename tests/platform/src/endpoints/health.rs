//! `GET /v1/projects/{ref}/health`, with its quirks.
//!
//! `error` is a string that holds JSON or plain text; the pooler does not know a young project; `rest`
//! is unhealthy when the Data API is off.

use serde_json::{Value, json};

use crate::answer::{Outcome, Reply};
use crate::clock::later;
use crate::project::Project;
use crate::world::{Call, World};

const SERVICES: &[&str] =
    &["auth", "db", "db_postgres_user", "pooler", "realtime", "rest", "storage", "pg_bouncer"];

impl World {
    pub(crate) fn health(&self, call: &Call<'_>) -> Outcome {
        let project = self.target(call)?;
        // Both spellings are in use: a comma list and a repeated parameter.
        let asked: Vec<&str> = call
            .query
            .iter()
            .filter(|(key, _)| key == "services" || key == "services[]")
            .flat_map(|(_, value)| value.split(','))
            .filter(|service| !service.is_empty())
            .collect();
        if asked.is_empty() || asked.iter().any(|service| !SERVICES.contains(service)) {
            let message = format!("each value in services must be one of: {}", SERVICES.join(", "));
            return Err(call.invalid(&[&message]));
        }
        let timeout = call.query("timeout_ms").map(|text| text.parse::<u32>());
        if timeout.is_some_and(|timeout| timeout.map_or(true, |millis| millis > 10_000)) {
            return Err(call.invalid(&["timeout_ms must not be greater than 10000"]));
        }
        let list = asked.iter().map(|service| self.service(project, service)).collect();
        Ok(Reply::ok(Value::Array(list)))
    }

    fn service(&self, project: &Project, service: &str) -> Value {
        let lag = self.config.services_lag;
        let all_up = |share: u32| {
            project.active_since.is_some_and(|since| later(since, lag / 4 * share) <= self.now)
        };
        let unhealthy = |error: &str| json!({ "name": service, "healthy": false, "status": "UNHEALTHY", "error": error });
        let coming = || json!({ "name": service, "healthy": false, "status": "COMING_UP" });
        // The database first, then one service after the other, the pooler last.
        let up = match service {
            "db" | "db_postgres_user" => all_up(0),
            "auth" | "rest" => all_up(1),
            "realtime" => all_up(2),
            "storage" => all_up(3),
            _ => all_up(4) && project.provisioned_for(self.config.pooler_lag.min(lag), self.now),
        };
        let asleep = project.provisioned_at.is_some() && !project.status.is_active();
        match service {
            "rest" if project.settings.db_schema().is_empty() => {
                unhealthy("{\"error\":\"Data API is disabled\"}")
            }
            _ if asleep => {
                unhealthy(&format!("Failed to retrieve project's {service} service health"))
            }
            _ if up => healthy(project, service),
            "pooler" => unhealthy("{\"error\":\"not found\"}"),
            "storage" if project.status.is_active() => {
                unhealthy("Failed to retrieve project's storage service health")
            }
            _ => coming(),
        }
    }
}

fn healthy(project: &Project, service: &str) -> Value {
    let info = match service {
        "auth" => Some(
            json!({ "name": "GoTrue", "version": "v2.180.0", "description": "GoTrue is a user registration and authentication API" }),
        ),
        "realtime" => Some(
            json!({ "healthy": true, "db_connected": true, "replication_connected": true, "connected_cluster": 1 }),
        ),
        "rest" => Some(json!({ "db_schema": project.settings.db_schema() })),
        _ => None,
    };
    let mut value = json!({ "name": service, "healthy": true, "status": "ACTIVE_HEALTHY" });
    if let (Some(object), Some(info)) = (value.as_object_mut(), info) {
        object.insert("info".to_owned(), info);
    }
    value
}
