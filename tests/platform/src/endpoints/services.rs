//! Settings of the services beside the database: the Data API, storage, realtime.

use serde_json::{Map, Value, json};

use crate::answer::{Outcome, Reply};
use crate::project::{Project, Settings};
use crate::rules::{Field, Row, Rule, Unknown, Usual, check, field, fields};
use crate::world::{Call, World};

const DATA_API: &[Row] = &[
    (field("db_schema", Rule::Text), Usual::Text("public,graphql_public")),
    (field("max_rows", Rule::Whole(0, 1_000_000)), Usual::Number(1000)),
    (field("db_extra_search_path", Rule::Text), Usual::Text("public, extensions")),
    (field("db_pool", Rule::Whole(0, 1000)), Usual::Null),
    (field("db_pool_acquisition_timeout", Rule::Whole(0, 60)), Usual::Null),
    (field("db_pool_max_lifetime", Rule::Whole(0, 3600)), Usual::Null),
    (field("db_pool_max_idletime", Rule::Whole(0, 60)), Usual::Null),
];

pub(super) const REALTIME: &[Row] = &[
    (field("private_only", Rule::Flag), Usual::Null),
    (field("connection_pool", Rule::Whole(1, 100)), Usual::Null),
    (field("postgres_changes_pool", Rule::Whole(1, 100)), Usual::Null),
    (field("max_concurrent_users", Rule::Whole(1, 300_000)), Usual::Null),
    (field("max_events_per_second", Rule::Whole(1, 50_000)), Usual::Null),
    (field("max_bytes_per_second", Rule::Whole(1, 10_000_000)), Usual::Null),
    (field("max_channels_per_client", Rule::Whole(1, 10_000)), Usual::Null),
    (field("max_joins_per_second", Rule::Whole(1, 5000)), Usual::Null),
    (field("max_presence_events_per_second", Rule::Whole(1, 5000)), Usual::Null),
    (field("max_payload_size_in_kb", Rule::Whole(1, 10_000)), Usual::Null),
    (field("suspend", Rule::Flag), Usual::Null),
    (field("presence_enabled", Rule::Flag), Usual::Is(true)),
];

const SWITCH: Rule = Rule::Object(&[field("enabled", Rule::Flag)]);
const LEAST_ZERO: Rule = Rule::Whole(0, i64::MAX);
const STORAGE: &[Field] = &[
    field("fileSizeLimit", Rule::Whole(0, 536_870_912_000)),
    field(
        "features",
        Rule::Optional(&[
            field("imageTransformation", SWITCH),
            field("s3Protocol", SWITCH),
            field("purgeCache", SWITCH),
            field(
                "icebergCatalog",
                Rule::Object(&[
                    field("enabled", Rule::Flag),
                    field("maxNamespaces", LEAST_ZERO),
                    field("maxTables", LEAST_ZERO),
                    field("maxCatalogs", LEAST_ZERO),
                ]),
            ),
            field(
                "vectorBuckets",
                Rule::Object(&[
                    field("enabled", Rule::Flag),
                    field("maxBuckets", LEAST_ZERO),
                    field("maxIndexes", LEAST_ZERO),
                ]),
            ),
        ]),
    ),
    field("external", Rule::Object(&[field("upstreamTarget", Rule::Choice(&["main", "canary"]))])),
];
/// The largest file of a free project, in bytes.
const FREE_FILE: i64 = 52_428_800;

impl Settings {
    /// The schemas that the Data API exposes; empty where it is off.
    pub(crate) fn db_schema(&self) -> String {
        let shown = self.data_api.shown(DATA_API);
        let schema = shown.get("db_schema").and_then(Value::as_str);
        schema.unwrap_or_default().to_owned()
    }
}

impl World {
    pub(crate) fn data_api(&mut self, call: &Call<'_>) -> Outcome {
        let mut body = self.data_api_body(self.ready(call)?);
        let may_see = call.caller.require("data_api_config_secret_read").is_ok();
        if let (true, Some(object)) = (may_see, body.as_object_mut()) {
            let secret = self.ready(call)?.jwt_secret.clone();
            self.ledger.remember(secret.reveal());
            object.insert("jwt_secret".to_owned(), secret.reveal().into());
        }
        Ok(Reply::ok(body))
    }

    pub(super) fn data_api_body(&self, project: &Project) -> Value {
        let mut body = project.settings.data_api.shown(DATA_API);
        if let (true, Some(Value::String(path))) =
            (self.config.spaced_lists, body.get_mut("db_extra_search_path"))
        {
            let words: Vec<&str> = path.split(',').map(str::trim).collect();
            *path = words.join(", ");
        }
        Value::Object(body)
    }

    pub(crate) fn update_data_api(&mut self, call: &Call<'_>) -> Outcome {
        self.ready(call)?;
        let body = call.json()?;
        check(call, &body, &fields(DATA_API), Unknown::Ignored)?;
        self.changed(call, "postgrest", |project| {
            project.settings.data_api.merge(DATA_API, &body);
        });
        Ok(Reply::ok(self.data_api_body(self.ready(call)?)))
    }

    pub(crate) fn realtime(&self, call: &Call<'_>) -> Outcome {
        let mut body = self.ready(call)?.settings.realtime.shown(REALTIME);
        body.insert("admin_suspended_at".to_owned(), Value::Null);
        Ok(Reply::ok(Value::Object(body)))
    }

    pub(crate) fn update_realtime(&mut self, call: &Call<'_>) -> Outcome {
        self.ready(call)?;
        let body = call.json()?;
        check(call, &body, &fields(REALTIME), Unknown::Refused)?;
        self.changed(call, "config/realtime", |project| {
            project.settings.realtime.merge(REALTIME, &body);
        });
        Ok(Reply::empty(204))
    }

    pub(crate) fn storage(&self, call: &Call<'_>) -> Outcome {
        Ok(Reply::ok(self.storage_body(self.ready(call)?)))
    }

    pub(super) fn storage_body(&self, project: &Project) -> Value {
        let paid = self.is_paid(project);
        let mut body = json!({
            "fileSizeLimit": FREE_FILE,
            "features": {
                "imageTransformation": { "enabled": paid },
                "s3Protocol": { "enabled": true },
                "purgeCache": { "enabled": false },
                "icebergCatalog": { "enabled": false, "maxNamespaces": 0, "maxTables": 0, "maxCatalogs": 0 },
                "vectorBuckets": { "enabled": false, "maxBuckets": 0, "maxIndexes": 0 },
            },
            "capabilities": { "list_v2": true, "iceberg_catalog": false, "object_versioning": false },
            "external": { "upstreamTarget": if paid { "main" } else { "canary" } },
            "migrationVersion": "operation-ergonomics",
            "databasePoolMode": "recycled",
        });
        overlay(&mut body, &project.settings.storage);
        body
    }

    pub(crate) fn update_storage(&mut self, call: &Call<'_>) -> Outcome {
        let paid = self.is_paid(self.ready(call)?);
        let body = call.json()?;
        check(call, &body, STORAGE, Unknown::Refused)?;
        let size = body.get("fileSizeLimit").and_then(Value::as_i64);
        let images = body
            .get("features")
            .and_then(|features| features.pointer("/imageTransformation/enabled"));
        // The documentation names the plan; the words were never recorded.
        if !paid && (size > Some(FREE_FILE) || images == Some(&Value::Bool(true))) {
            let message = "This storage configuration is available on Pro Plans and up.";
            return Err(Reply::error(402, message));
        }
        self.changed(call, "config/storage", |project| {
            let held = &mut project.settings.storage;
            for (key, value) in body {
                if key == "features" {
                    let features = held.entry(key).or_insert_with(|| json!({}));
                    overlay_object(features, value);
                } else {
                    held.insert(key, value);
                }
            }
        });
        Ok(Reply::empty(200))
    }
}

/// Lays what was set over what is usual: features by name, everything else whole.
fn overlay(body: &mut Value, set: &Map<String, Value>) {
    for (key, value) in set {
        match body.get_mut(key) {
            Some(features) if key == "features" => overlay_object(features, value.clone()),
            Some(usual) => *usual = value.clone(),
            None => {}
        }
    }
}

fn overlay_object(target: &mut Value, set: Value) {
    if let (Some(target), Value::Object(set)) = (target.as_object_mut(), set) {
        target.extend(set);
    }
}
