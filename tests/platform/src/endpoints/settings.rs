//! Settings of the database: SSL enforcement, network restrictions, Postgres parameters.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::parameters::{needs_restart, parameters};
use crate::answer::{Outcome, Reply};
use crate::clock::{iso, later};
use crate::project::{Project, Restrictions, Status};
use crate::rules::{Field, Rule, Unknown, check, field};
use crate::world::{Call, World};

/// The body of a request for SSL enforcement.
const REQUESTED: &[Field] =
    &[field("requestedConfig", Rule::Object(&[field("database", Rule::Flag)]))];

impl World {
    pub(crate) fn ssl(&self, call: &Call<'_>) -> Outcome {
        Ok(Reply::ok(self.ssl_body(self.ready(call)?)))
    }

    pub(super) fn ssl_body(&self, project: &Project) -> Value {
        let applied = project.settings.ssl_applied_at.is_none_or(|at| at <= self.now);
        json!({
            "currentConfig": { "database": project.settings.ssl_enforced == applied },
            "appliedSuccessfully": applied,
        })
    }

    pub(crate) fn set_ssl(&mut self, call: &Call<'_>) -> Outcome {
        let enforced = self.ready(call)?.settings.ssl_enforced;
        let body = call.json()?;
        check(call, &body, REQUESTED, Unknown::Ignored)?;
        let wanted = body
            .get("requestedConfig")
            .and_then(|config| config.get("database")?.as_bool())
            .ok_or_else(|| {
                call.invalid(&[
                    "requestedConfig: Invalid input: expected object, received undefined",
                ])
            })?;
        if !self.config.ssl_supported {
            let message = "Project is not allowed to configure SSL enforcements.";
            return Err(Reply::error(400, message));
        }
        let at = later(self.now, self.config.settings_lag);
        self.changed(call, "ssl-enforcement", |project| {
            if wanted != enforced {
                project.settings.ssl_enforced = wanted;
                project.settings.ssl_applied_at = Some(at);
            }
        });
        self.restart_if(call, wanted != enforced && self.config.ssl_restarts);
        self.ssl(call)
    }

    pub(crate) fn restrictions(&self, call: &Call<'_>) -> Outcome {
        Ok(Reply::ok(self.restrictions_body(self.ready(call)?)))
    }

    pub(super) fn restrictions_body(&self, project: &Project) -> Value {
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
                if let Some(body) = body.as_object_mut() {
                    if applied {
                        body.insert("applied_at".to_owned(), iso(set.applied_at).into());
                    } else {
                        let (v4, v6) = &set.old;
                        let old = json!({ "dbAllowedCidrs": v4, "dbAllowedCidrsV6": v6 });
                        body.insert("old_config".to_owned(), old);
                    }
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
        let (mut v4, mut v6) = allowed(project);
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
            project.settings.restrictions =
                Some(Restrictions { old: allowed(project), v4, v6, updated_at, applied_at });
        });
    }

    pub(crate) fn postgres_config(&self, call: &Call<'_>) -> Outcome {
        Ok(Reply::ok(json!(self.ready(call)?.settings.postgres)))
    }

    pub(crate) fn replace_postgres_config(&mut self, call: &Call<'_>) -> Outcome {
        self.ready(call)?;
        let (settings, restart) = parameters(call)?;
        let before = &self.ready(call)?.settings.postgres;
        let dropped = before.keys().any(|key| !settings.contains_key(key) && needs_restart(key));
        let restart = restart.unwrap_or_else(|| dropped || overrides(before, &settings));
        self.changed(call, "config/database/postgres", |project| {
            project.settings.postgres = settings.into_iter().collect();
        });
        self.restart_if(call, restart);
        self.postgres_config(call)
    }

    pub(crate) fn patch_postgres_config(&mut self, call: &Call<'_>) -> Outcome {
        self.ready(call)?;
        let (settings, restart) = parameters(call)?;
        let before = &self.ready(call)?.settings.postgres;
        let restart = restart.unwrap_or_else(|| overrides(before, &settings));
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
}

/// The addresses of both families that may connect.
fn allowed(project: &Project) -> (Vec<String>, Vec<String>) {
    let open = || (vec!["0.0.0.0/0".to_owned()], vec!["::/0".to_owned()]);
    let set = project.settings.restrictions.as_ref();
    set.map_or_else(open, |set| (set.v4.clone(), set.v6.clone()))
}

/// Whether a change touches a parameter that only a restart brings in force.
fn overrides(before: &BTreeMap<String, Value>, wanted: &Map<String, Value>) -> bool {
    wanted.iter().any(|(key, value)| before.get(key) != Some(value) && needs_restart(key))
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
