//! The shared pooler's address, user and database of a project.

use serde_json::{Value, json};

use crate::answer::{Outcome, Reply};
use crate::config::{DatabaseName, Refusal};
use crate::faults::merge;
use crate::project::Project;
use crate::rules::{Field, Rule, Unknown, check, field, nullable};
use crate::world::{Call, World};

const MODES: &[&str] = &["transaction", "session"];
const REQUEST: &[Field] =
    &[nullable("default_pool_size", Rule::Whole(0, 3000)), field("pool_mode", Rule::Choice(MODES))];

impl World {
    pub(crate) fn pooler(&self, call: &Call<'_>) -> Outcome {
        let project = self.living(call)?;
        if !project.provisioned_for(self.config.pooler_lag, self.now) {
            return Err(match self.config.pooler_not_ready {
                Refusal::Status(status) => Reply::error(status, "Pooler configuration not found"),
                Refusal::Empty => Reply::ok(json!([])),
            });
        }
        let mut entries = vec![self.pooler_entry(project, "transaction")];
        if let (Some(mode), Some(entry)) = (project.settings.pool_mode, entries.first_mut()) {
            merge(entry, &json!({ "pool_mode": mode }));
        }
        if self.config.pooler_session_entry {
            entries.push(self.pooler_entry(project, "session"));
        }
        Ok(Reply::ok(Value::Array(entries)))
    }

    fn pooler_entry(&self, project: &Project, mode: &str) -> Value {
        let session = mode == "session";
        let (host, port) = self.config.pooler.as_ref().map_or_else(
            || {
                let host =
                    format!("aws-{}-{}.pooler.supabase.com", project.pooler_index, project.region);
                (host, if session { 5432 } else { 6543 })
            },
            |address| {
                let port = if session { address.session_port } else { address.transaction_port };
                (address.host.clone(), port)
            },
        );
        let user = format!("postgres.{}", project.reference);
        let database = self.database_name(project);
        let connection = format!("postgresql://{user}:[YOUR-PASSWORD]@{host}:{port}/{database}");
        json!({
            "identifier": project.reference,
            "database_type": "PRIMARY",
            "db_user": user,
            "db_host": host,
            "db_port": port,
            "db_name": database,
            "connection_string": connection,
            "connectionString": connection,
            "pool_mode": mode,
            "default_pool_size": project.settings.default_pool_size,
            "max_client_conn": null,
            "is_using_scram_auth": true,
        })
    }

    pub(crate) fn database_name(&self, project: &Project) -> String {
        match self.config.database_name {
            DatabaseName::Postgres => "postgres".to_owned(),
            DatabaseName::Ref => project.reference.clone(),
        }
    }

    pub(crate) fn update_pooler(&mut self, call: &Call<'_>) -> Outcome {
        self.ready(call)?;
        let body = call.json()?;
        check(call, &body, REQUEST, Unknown::Ignored)?;
        let mode = body.get("pool_mode").and_then(Value::as_str);
        let mode = mode.and_then(|mode| MODES.iter().copied().find(|known| *known == mode));
        let size = body.get("default_pool_size").map(Value::as_i64);
        self.changed(call, "config/database/pooler", |project| {
            let settings = &mut project.settings;
            settings.default_pool_size = size.unwrap_or(settings.default_pool_size);
            settings.pool_mode = mode.or(settings.pool_mode);
        });
        let settings = &self.ready(call)?.settings;
        Ok(Reply::ok(json!({
            "default_pool_size": settings.default_pool_size,
            "pool_mode": settings.pool_mode.unwrap_or("transaction"),
        })))
    }
}
