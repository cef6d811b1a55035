//! `config/auth`: merged by key, unknown keys ignored, groups and plans checked, some fields late.

use serde_json::{Map, Value};

use crate::answer::{Outcome, Reply};
use crate::auth::{AfterRefusal, Known, known, refusals};
use crate::clock::later;
use crate::organization::Plan;
use crate::project::Project;
use crate::rules::refuse;
use crate::world::{Call, World};

/// The name of this setting in the ledger.
const SETTING: &str = "config/auth";

impl World {
    pub(crate) fn auth(&self, call: &Call<'_>) -> Outcome {
        let project = self.ready(call)?;
        let shown = &project.settings.auth;
        let secrets = self.config.auth_secrets;
        Ok(Reply::ok(shown.shown(&project.reference, secrets, self.now)))
    }

    pub(crate) fn update_auth(&mut self, call: &Call<'_>) -> Outcome {
        let plan = self.plan_of(self.ready(call)?);
        let mut body = call.json()?;
        self.remember_secrets(&body);
        body.retain(|key, _| known(key).is_some());
        let faults: Vec<String> = body
            .iter()
            .filter_map(|(key, value)| Some(known(key)?.field.faults("", value)))
            .flatten()
            .collect();
        refuse(call, &faults)?;
        let auth = &self.ready(call)?.settings.auth;
        let refused = refusals(auth, &body, plan, &self.config);
        if let Some(first) = refused.first() {
            if self.config.auth_after_refusal == AfterRefusal::TheRest {
                let all: Vec<_> = refused.iter().flat_map(|refused| &refused.keys).collect();
                body.retain(|key, _| !all.contains(&key));
                if !body.is_empty() {
                    self.write_auth(call, body);
                }
            }
            return Err(Reply::error(first.status, &first.message));
        }
        self.write_auth(call, body);
        let project = self.ready(call)?;
        let auth = &project.settings.auth;
        let secrets = self.config.auth_secrets;
        Ok(Reply::ok(auth.answered(&project.reference, secrets, self.now)))
    }

    /// What was sent as a secret is one, whatever becomes of the call.
    fn remember_secrets(&mut self, body: &Map<String, Value>) {
        for (key, value) in body {
            // Codes that let anybody in read back in clear, and are secret all the same.
            let secret = known(key).is_some_and(|known| known.secret) || key == "sms_test_otp";
            if let (true, Some(text)) = (secret, value.as_str()) {
                self.ledger.remember(text);
            }
        }
    }

    fn write_auth(&mut self, call: &Call<'_>, mut body: Map<String, Value>) {
        if self.config.fold_client_ids {
            fold(&mut body, "apple");
            fold(&mut body, "google");
        }
        let keys = body.keys().cloned().collect();
        let (now, late) = (self.now, later(self.now, self.config.auth_lag));
        let late_keys = self.config.auth_late.clone();
        self.changed_keys(call, SETTING, keys, |project: &mut Project| {
            let auth = &mut project.settings.auth;
            let off = |value: &Value| value.as_str().is_none_or(str::is_empty);
            if body.get("smtp_host").is_some_and(off) {
                auth.forget_mail_server();
                body.retain(|key, _| !key.starts_with("smtp_") || key == "smtp_max_frequency");
            }
            for (key, value) in body {
                let Some(Known { field, .. }) = known(&key) else {
                    continue;
                };
                let is_late = late_keys.iter().any(|prefix| key.starts_with(prefix));
                auth.write(field.key, value, if is_late { late } else { now }, now);
            }
        });
    }

    /// The plan of a project's organization.
    pub(crate) fn plan_of(&self, project: &Project) -> Plan {
        self.organizations
            .get(&project.organization)
            .map_or(Plan::Free, |organization| organization.plan)
    }
}

/// Folds further client ids into the first one, as the server does.
fn fold(body: &mut Map<String, Value>, provider: &str) {
    let (main, more) = (
        format!("external_{provider}_client_id"),
        format!("external_{provider}_additional_client_ids"),
    );
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (id, additional) = (text(&main), text(&more));
    if !id.is_empty() && !additional.is_empty() {
        body.insert(main, format!("{id},{additional}").into());
        body.insert(more, Value::Null);
    }
}
