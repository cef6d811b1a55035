//! Settings: SSL enforcement, network restrictions, Postgres parameters, the Data API, and two
//! read-only ones that no OAuth scope covers.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::parameters::parameters;
use crate::answer::{Outcome, Reply};
use crate::clock::{iso, later};
use crate::project::{Project, Restrictions, Status};
use crate::world::{Call, World};

impl World {
    pub(crate) fn ssl(&self, call: &Call<'_>) -> Outcome {
        Ok(Reply::ok(self.ssl_body(self.ready(call)?)))
    }

    fn ssl_body(&self, project: &Project) -> Value {
        let applied = project.settings.ssl_applied_at.is_none_or(|at| at <= self.now);
        json!({
            "currentConfig": { "database": project.settings.ssl_enforced == applied },
            "appliedSuccessfully": applied,
        })
    }

    pub(crate) fn set_ssl(&mut self, call: &Call<'_>) -> Outcome {
        let enforced = self.ready(call)?.settings.ssl_enforced;
        let body = call.json()?;
        let wanted = body
            .get("requestedConfig")
            .and_then(|config| config.get("database")?.as_bool())
            .ok_or_else(|| call.invalid(&["requestedConfig.database must be a boolean value"]))?;
        let at = later(self.now, self.config.settings_lag);
        self.changed(call, "ssl-enforcement", |project| {
            if wanted != enforced {
                project.settings.ssl_enforced = wanted;
                project.settings.ssl_applied_at = Some(at);
            }
        });
        self.ssl(call)
    }

    pub(crate) fn restrictions(&self, call: &Call<'_>) -> Outcome {
        Ok(Reply::ok(self.restrictions_body(self.ready(call)?)))
    }

    fn restrictions_body(&self, project: &Project) -> Value {
        match &project.settings.restrictions {
            None => json!({
                "entitlement": "allowed",
                "config": { "dbAllowedCidrs": ["0.0.0.0/0"], "dbAllowedCidrsV6": ["::/0"] },
                "status": "applied",
            }),
            Some(set) => {
                let applied = set.applied_at <= self.now;
                let mut body = json!({
                    "entitlement": "allowed",
                    "config": { "dbAllowedCidrs": set.v4, "dbAllowedCidrsV6": set.v6 },
                    "status": if applied { "applied" } else { "stored" },
                    "updated_at": iso(set.updated_at),
                });
                if let (true, Some(body)) = (applied, body.as_object_mut()) {
                    body.insert("applied_at".to_owned(), iso(set.applied_at).into());
                }
                body
            }
        }
    }

    pub(crate) fn apply_restrictions(&mut self, call: &Call<'_>) -> Outcome {
        self.pooler_knows(call)?;
        let body = call.json()?;
        // Neither list would lock everybody out: that is said, not meant.
        if !body.contains_key("dbAllowedCidrs") && !body.contains_key("dbAllowedCidrsV6") {
            return Err(call.invalid(&["dbAllowedCidrs or dbAllowedCidrsV6 is required"]));
        }
        let v4 = cidrs(call, &body, "dbAllowedCidrs")?;
        let v6 = cidrs(call, &body, "dbAllowedCidrsV6")?;
        self.restrict(call, v4, v6);
        let project = self.ready(call)?;
        Ok(Reply::json(201, self.restrictions_body(project)))
    }

    pub(crate) fn patch_restrictions(&mut self, call: &Call<'_>) -> Outcome {
        let project = self.pooler_knows(call)?;
        let open = || (vec!["0.0.0.0/0".to_owned()], vec!["::/0".to_owned()]);
        let set = project.settings.restrictions.as_ref();
        let (mut v4, mut v6) = set.map_or_else(open, |set| (set.v4.clone(), set.v6.clone()));
        let before = typed(&v4, &v6);
        let body = call.json()?;
        if !body.contains_key("add") && !body.contains_key("remove") {
            return Err(call.invalid(&["add or remove is required"]));
        }
        let empty = Map::new();
        let part = |name: &str| body.get(name).and_then(Value::as_object).unwrap_or(&empty);
        for (list, field) in [(&mut v4, "dbAllowedCidrs"), (&mut v6, "dbAllowedCidrsV6")] {
            let (added, removed) =
                (cidrs(call, part("add"), field)?, cidrs(call, part("remove"), field)?);
            list.retain(|cidr| !removed.contains(cidr));
            list.extend(added);
        }
        self.restrict(call, v4, v6);
        let project = self.ready(call)?;
        let Some(set) = &project.settings.restrictions else {
            return Err(self.gone());
        };
        Ok(Reply::ok(json!({
            "entitlement": "allowed",
            "config": { "dbAllowedCidrs": typed(&set.v4, &set.v6) },
            // In force until the new one is applied.
            "old_config": { "dbAllowedCidrs": before },
            "status": "stored",
            "updated_at": iso(set.updated_at),
        })))
    }

    /// Right after the creation the pooler's tenant is missing, and the platform answers 500.
    fn pooler_knows(&self, call: &Call<'_>) -> Result<&Project, Reply> {
        let project = self.ready(call)?;
        if project.provisioned_for(self.config.pooler_lag, self.now) {
            Ok(project)
        } else {
            Err(Reply::error(
                500,
                "Failed to apply network restrictions: error adding pooler tenant",
            ))
        }
    }

    fn restrict(&mut self, call: &Call<'_>, v4: Vec<String>, v6: Vec<String>) {
        let updated_at = self.now;
        let applied_at = later(self.now, self.config.settings_lag);
        self.changed(call, "network-restrictions", |project| {
            project.settings.restrictions = Some(Restrictions { v4, v6, updated_at, applied_at });
        });
    }

    pub(crate) fn postgres_config(&self, call: &Call<'_>) -> Outcome {
        Ok(Reply::ok(json!(self.ready(call)?.settings.postgres)))
    }

    pub(crate) fn replace_postgres_config(&mut self, call: &Call<'_>) -> Outcome {
        self.ready(call)?;
        let (settings, restart) = parameters(call)?;
        self.changed(call, "config/database/postgres", |project| {
            project.settings.postgres = settings.into_iter().collect();
        });
        self.restart_if(call, restart);
        self.postgres_config(call)
    }

    pub(crate) fn patch_postgres_config(&mut self, call: &Call<'_>) -> Outcome {
        self.ready(call)?;
        let (settings, restart) = parameters(call)?;
        self.changed(call, "config/database/postgres", |project| {
            project.settings.postgres.extend(settings);
        });
        self.restart_if(call, restart);
        self.postgres_config(call)
    }

    fn restart_if(&mut self, call: &Call<'_>, restart: bool) {
        if restart {
            self.change(call.reference(), |project, config, now| {
                if project.status.is_active() {
                    project.enter(Status::Restarting, now, config, false);
                }
            });
        }
    }

    pub(crate) fn data_api(&mut self, call: &Call<'_>) -> Outcome {
        let mut body = data_api_body(self.ready(call)?);
        let secret = self.ready(call)?.jwt_secret.clone();
        self.ledger.remember(secret.reveal());
        if let Some(object) = body.as_object_mut() {
            object.insert("jwt_secret".to_owned(), secret.reveal().into());
        }
        Ok(Reply::ok(body))
    }

    pub(crate) fn update_data_api(&mut self, call: &Call<'_>) -> Outcome {
        self.ready(call)?;
        let body = call.json()?;
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let number = |name: &str| body.get(name).map(Value::as_i64);
        let max_rows = number("max_rows").flatten();
        if max_rows.is_some_and(|rows| !(0..=1_000_000).contains(&rows)) {
            return Err(call.invalid(&["max_rows must not be greater than 1000000"]));
        }
        self.changed(call, "postgrest", |project| {
            let settings = &mut project.settings;
            settings.db_schema = text("db_schema").unwrap_or_else(|| settings.db_schema.clone());
            settings.db_extra_search_path = text("db_extra_search_path")
                .unwrap_or_else(|| settings.db_extra_search_path.clone());
            settings.max_rows = max_rows.unwrap_or(settings.max_rows);
            settings.db_pool = number("db_pool").unwrap_or(settings.db_pool);
        });
        Ok(Reply::ok(data_api_body(self.ready(call)?)))
    }

    pub(crate) fn addons(&self, call: &Call<'_>) -> Outcome {
        let project = self.living(call)?;
        let variant = json!({
            "id": format!("ci_{}", project.size),
            "name": project.size,
            "meta": {
                "cpu_cores": 2, "cpu_dedicated": false, "memory_gb": 1, "baseline_disk_io_mbs": 87, "max_disk_io_mbs": 2085,
                "connections_direct": 60, "connections_pooler": 200, "backup_retention_days": 7, "supported_cloud_providers": ["AWS"],
            },
            "price": { "description": "compute", "type": "usage", "interval": "hourly", "amount": 0.01344 },
        });
        let compute = json!({ "type": "compute_instance", "variant": variant });
        let selected = if project.size == "nano" { json!([]) } else { json!([compute]) };
        Ok(Reply::ok(json!({ "selected_addons": selected, "available_addons": [] })))
    }

    pub(crate) fn storage(&self, call: &Call<'_>) -> Outcome {
        self.ready(call)?;
        let off = json!({ "enabled": false, "maxNamespaces": 0, "maxTables": 0, "maxCatalogs": 0 });
        Ok(Reply::ok(json!({
            "fileSizeLimit": 52_428_800,
            "features": {
                "imageTransformation": { "enabled": true },
                "s3Protocol": { "enabled": true },
                "purgeCache": { "enabled": false },
                "icebergCatalog": off,
                "vectorBuckets": { "enabled": false, "maxBuckets": 0, "maxIndexes": 0 },
            },
            "capabilities": { "list_v2": true, "iceberg_catalog": false },
            "external": { "upstreamTarget": "main" },
            "migrationVersion": "operation-ergonomics",
            "databasePoolMode": "recycled",
        })))
    }
}

fn data_api_body(project: &Project) -> Value {
    let settings = &project.settings;
    json!({
        "db_schema": settings.db_schema,
        "max_rows": settings.max_rows,
        "db_extra_search_path": settings.db_extra_search_path,
        "db_pool": settings.db_pool,
        "db_pool_acquisition_timeout": null,
    })
}

/// Both lists as the answer of a change shows them.
fn typed(v4: &[String], v6: &[String]) -> Vec<Value> {
    let entries = |list: &[String], kind: &str| -> Vec<Value> {
        list.iter().map(|cidr| json!({ "address": cidr, "type": kind })).collect()
    };
    let mut all = entries(v4, "v4");
    all.extend(entries(v6, "v6"));
    all
}

fn cidrs(call: &Call<'_>, body: &Map<String, Value>, field: &str) -> Result<Vec<String>, Reply> {
    let wrong = || call.invalid(&[&format!("{field} must be a list of CIDRs")]);
    let Some(list) = body.get(field) else {
        return Ok(Vec::new());
    };
    let list = list.as_array().ok_or_else(wrong)?;
    list.iter()
        .map(|item| {
            let text = item.as_str()?;
            let (address, bits) = text.split_once('/')?;
            let address: IpAddr = address.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let fits =
                address.is_ipv6() == field.ends_with("V6") && bits.parse::<u8>().ok()? <= most;
            fits.then(|| text.to_owned())
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(wrong)
}
