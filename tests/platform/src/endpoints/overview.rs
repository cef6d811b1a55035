//! `GET /v2/projects/{ref}/config`: all settings at once, each with the value in force.
//!
//! The only endpoint of version 2 here. The official CLI reads it before it compares, pulls or pushes.

use serde_json::{Map, Value, json};

use super::services::REALTIME;
use crate::answer::{Outcome, Reply};
use crate::auth::SecretsShown;
use crate::project::Project;
use crate::world::{Call, World};

impl World {
    pub(crate) fn overview(&self, call: &Call<'_>) -> Outcome {
        let project = self.ready(call)?;
        let auth = &project.settings.auth;
        let attributes = json!({
            "database": self.database_overview(project),
            "pooler": {
                "pool_mode": project.settings.pool_mode.unwrap_or("transaction"),
                "ignore_startup_parameters": "extra_float_digits",
                "server_idle_timeout": 600,
                "server_lifetime": 3600,
                "query_wait_timeout": 120,
                "reserve_pool_size": 0,
                "default_pool_size": project.settings.default_pool_size.unwrap_or(15),
                "max_client_conn": 200,
            },
            "auth": auth.shown(&project.reference, SecretsShown::Digest, self.now),
            "api": defaulted(
                self.data_api_body(project),
                &[("db_pool_acquisition_timeout", json!(10)), ("db_pool_max_lifetime", json!(1800)),
                    ("db_pool_max_idletime", json!(30))],
            ),
            "realtime": defaulted(
                Value::Object(project.settings.realtime.shown(REALTIME)),
                &[("private_only", json!(false)), ("connection_pool", json!(2)), ("max_concurrent_users", json!(200)),
                    ("max_events_per_second", json!(100)), ("max_bytes_per_second", json!(100_000)),
                    ("max_channels_per_client", json!(100)), ("max_joins_per_second", json!(100)),
                    ("max_presence_events_per_second", json!(100)), ("max_payload_size_in_kb", json!(3000)),
                    ("suspend", json!(false))],
            ),
            "storage": storage_overview(&self.storage_body(project)),
        });
        Ok(Reply::ok(json!({
            "data": { "type": "project_config", "id": project.reference, "attributes": attributes },
        })))
    }

    fn database_overview(&self, project: &Project) -> Value {
        let settings = &project.settings;
        let restrictions = self.restrictions_body(project);
        let list = |field: &str, kind: &str| -> Vec<Value> {
            let addresses = restrictions.pointer(&format!("/config/{field}"));
            let addresses = addresses.and_then(Value::as_array);
            addresses
                .into_iter()
                .flatten()
                .map(|address| json!({ "address": address, "type": kind }))
                .collect()
        };
        let mut allowed = list("dbAllowedCidrs", "v4");
        allowed.extend(list("dbAllowedCidrsV6", "v6"));
        let overrides: Map<String, Value> = settings
            .postgres
            .iter()
            .map(|(key, value)| (key.replace('.', "_"), value.clone()))
            .collect();
        json!({
            "major_version": if project.postgres_engine == "15" { 15 } else { 17 },
            "ssl_enforced": self.ssl_body(project).pointer("/currentConfig/database"),
            "network_restrictions": {
                "entitlement": restrictions.get("entitlement"),
                "status": restrictions.get("status"),
                "allowed_cidrs": allowed,
            },
            "postgres_settings": overrides,
        })
    }
}

/// An object with the platform's values where nothing is set.
fn defaulted(mut object: Value, usual: &[(&str, Value)]) -> Value {
    for (key, value) in usual {
        if let Some(held) = object.get_mut(key).filter(|held| held.is_null()) {
            *held = value.clone();
        }
    }
    object
}

/// The same words in the other spelling; version 2 has one object less.
fn storage_overview(storage: &Value) -> Value {
    let mut snake = respelled(storage);
    let target = storage.pointer("/external/upstreamTarget").cloned();
    if let Some(object) = snake.as_object_mut() {
        object.remove("external");
        object.remove("database_pool_mode");
        object.insert("upstream_target".to_owned(), target.unwrap_or_default());
    }
    snake
}

fn respelled(value: &Value) -> Value {
    let Some(object) = value.as_object() else {
        return value.clone();
    };
    let snake = |key: &str| {
        let mut snake = String::new();
        for letter in key.chars() {
            if letter.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(letter.to_ascii_lowercase());
        }
        snake
    };
    object.iter().map(|(key, value)| (snake(key), respelled(value))).collect::<Map<_, _>>().into()
}
