//! The shared pooler's address, user and database of a project.

use serde_json::{Value, json};

use crate::answer::{Outcome, Reply};
use crate::config::{DatabaseName, Refusal};
use crate::project::Project;
use crate::world::{Call, World};

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
        let mode = body.get("pool_mode").map(|mode| mode.as_str().unwrap_or_default());
        if mode.is_some_and(|mode| mode != "transaction" && mode != "session") {
            return Err(call.invalid(&["pool_mode must be one of: transaction, session"]));
        }
        let size = body.get("default_pool_size").map(Value::as_i64);
        if size.flatten().is_some_and(|size| !(0..=3000).contains(&size)) {
            return Err(call.invalid(&["default_pool_size must not be greater than 3000"]));
        }
        self.changed(call, "config/database/pooler", |project| {
            if let Some(size) = size {
                project.settings.default_pool_size = size;
            }
        });
        Ok(Reply::ok(json!({
            "default_pool_size": size.flatten(),
            "pool_mode": mode.unwrap_or("transaction"),
        })))
    }
}
