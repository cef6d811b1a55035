//! API keys: the two legacy JWTs and the publishable and secret keys.
//!
//! A secret key is masked unless it is asked for with `reveal=true`; only keys that were shown count as
//! handed out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::answer::{Outcome, Reply};
use crate::clock::iso_offset;
use crate::config::Refusal;
use crate::ledger::Effect;
use crate::project::{Key, Project, Status};
use crate::world::{Call, World};

const TEN_YEARS: i64 = 315_576_000;

impl World {
    /// The project of a call whose keys can be read.
    fn with_keys(&self, call: &Call<'_>) -> Result<&Project, Reply> {
        let project = self.living(call)?;
        if project.provisioned_for(self.config.keys_lag, self.now) {
            return Ok(project);
        }
        Err(match self.config.keys_not_ready {
            Refusal::Status(status) => {
                Reply::error(status, "Project's API keys are not available yet")
            }
            Refusal::Empty => Reply::ok(json!([])),
        })
    }

    fn reveals(call: &Call<'_>) -> Result<bool, Reply> {
        let reveal = call.flag("reveal");
        if reveal {
            call.caller.require("api_gateway_keys_secret_read")?;
        }
        Ok(reveal)
    }

    pub(crate) fn list_keys(&mut self, call: &Call<'_>) -> Outcome {
        let reveal = Self::reveals(call)?;
        let project = self.with_keys(call)?;
        if matches!(project.status, Status::Inactive | Status::Pausing) {
            // A paused project shows no key, though it has them (platform.md §5.2).
            return Ok(Reply::ok(json!([])));
        }
        let mut list = vec![legacy(project, "anon"), legacy(project, "service_role")];
        list.extend(project.keys.iter().map(|key| shown(key, reveal)));
        let handed_out: Vec<String> = list
            .iter()
            .filter(|key| key.get("name") == Some(&json!("service_role")) || is_secret(key))
            .filter_map(|key| key.get("api_key")?.as_str().map(str::to_owned))
            .filter(|value| !value.contains('·'))
            .collect();
        for value in handed_out {
            self.ledger.remember(&value);
        }
        Ok(Reply::ok(Value::Array(list)))
    }

    pub(crate) fn create_key(&mut self, call: &Call<'_>) -> Outcome {
        let reveal = Self::reveals(call)?;
        self.with_keys(call)?;
        let body = call.json()?;
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let secret = match text("type") {
            Some("secret") => true,
            Some("publishable") => false,
            _ => return Err(call.invalid(&["type must be one of: publishable, secret"])),
        };
        let name = text("name").unwrap_or_default().to_lowercase();
        if !is_key_name(&name) {
            return Err(
                call.invalid(&["name must match ^[a-z_][a-z0-9_]+$ and have 4 to 64 characters"])
            );
        }
        let mut key = self.key(&name, secret);
        key.description = text("description").map(str::to_owned);
        if self.living(call)?.keys.iter().any(|other| other.name == name && other.secret == secret)
        {
            return Err(Reply::error(400, "An API key of this name and type already exists"));
        }
        self.hand_out(&key, reveal);
        let answer = shown(&key, reveal);
        self.changed(call, "api-keys", |project| project.keys.push(key));
        Ok(Reply::json(201, answer))
    }

    pub(crate) fn get_key(&mut self, call: &Call<'_>) -> Outcome {
        let reveal = Self::reveals(call)?;
        let key = self.one_key(call)?;
        self.hand_out(&key, reveal);
        Ok(Reply::ok(shown(&key, reveal)))
    }

    pub(crate) fn update_key(&mut self, call: &Call<'_>) -> Outcome {
        let reveal = Self::reveals(call)?;
        let mut key = self.one_key(call)?;
        let body = call.json()?;
        if let Some(name) = body.get("name").and_then(Value::as_str) {
            key.name = name.to_lowercase();
            if !is_key_name(&key.name) {
                return Err(call.invalid(&["name must match ^[a-z_][a-z0-9_]+$"]));
            }
        }
        if let Some(description) = body.get("description") {
            key.description = description.as_str().map(str::to_owned);
        }
        key.updated_at = self.now;
        self.hand_out(&key, reveal);
        let answer = shown(&key, reveal);
        self.changed(call, "api-keys", |project| {
            if let Some(stored) = project.keys.iter_mut().find(|stored| stored.id == key.id) {
                *stored = key;
            }
        });
        Ok(Reply::ok(answer))
    }

    pub(crate) fn delete_key(&mut self, call: &Call<'_>) -> Outcome {
        let reveal = Self::reveals(call)?;
        let key = self.one_key(call)?;
        self.hand_out(&key, reveal);
        self.changed(call, "api-keys", |project| {
            project.keys.retain(|stored| stored.id != key.id);
        });
        Ok(Reply::ok(shown(&key, reveal)))
    }

    fn one_key(&self, call: &Call<'_>) -> Result<Key, Reply> {
        let project = self.with_keys(call)?;
        let found = project.keys.iter().find(|key| key.id == call.second());
        found.cloned().ok_or_else(|| Reply::error(404, "API key not found"))
    }

    fn hand_out(&mut self, key: &Key, reveal: bool) {
        if key.secret && reveal {
            self.ledger.remember(key.value.reveal());
        }
    }

    pub(crate) fn legacy_keys(&self, call: &Call<'_>) -> Outcome {
        self.legacy_switch()?;
        let project = self.with_keys(call)?;
        Ok(Reply::ok(json!({ "enabled": project.legacy_keys_enabled })))
    }

    pub(crate) fn set_legacy_keys(&mut self, call: &Call<'_>) -> Outcome {
        self.legacy_switch()?;
        self.with_keys(call)?;
        let enabled = match call.query("enabled").as_deref() {
            Some("true") => true,
            Some("false") => false,
            _ => return Err(call.invalid(&["enabled must be a boolean value"])),
        };
        self.changed(call, "api-keys/legacy", |project| {
            project.legacy_keys_enabled = enabled;
        });
        Ok(Reply::ok(json!({ "enabled": enabled })))
    }

    fn legacy_switch(&self) -> Result<(), Reply> {
        if self.config.legacy_key_endpoints { Ok(()) } else { Err(Reply::error(404, "Not Found")) }
    }

    /// Changes a setting and writes that into the ledger.
    pub(crate) fn changed(
        &mut self,
        call: &Call<'_>,
        setting: &'static str,
        change: impl FnOnce(&mut Project),
    ) {
        let body = call.json().unwrap_or_default();
        self.changed_keys(call, setting, body.keys().cloned().collect(), change);
    }

    /// As [`World::changed`], where not every field of the request took effect.
    pub(crate) fn changed_keys(
        &mut self,
        call: &Call<'_>,
        setting: &'static str,
        keys: Vec<String>,
        change: impl FnOnce(&mut Project),
    ) {
        let reference = call.reference();
        self.accept(
            &call.caller.identity,
            Effect::Changed { reference: reference.to_owned(), setting, keys },
        );
        self.change(reference, |project, _, _| change(project));
    }
}

fn is_key_name(name: &str) -> bool {
    let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    let goes_on_well = name
        .chars()
        .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    starts_well && goes_on_well && (4..=64).contains(&name.len())
}

fn is_secret(key: &Value) -> bool {
    key.get("type") == Some(&json!("secret"))
}

/// A key as the API shows it.
fn shown(key: &Key, reveal: bool) -> Value {
    let value = key.value.reveal();
    let kind = if key.secret { "secret" } else { "publishable" };
    let prefix = value.get(..kind.len() + 9).unwrap_or_default();
    let masked = || format!("{prefix}{}", "·".repeat(26));
    json!({
        "name": key.name,
        "id": key.id,
        "type": kind,
        "api_key": if key.secret && !reveal { masked() } else { value.to_owned() },
        "prefix": prefix,
        "description": key.description,
        "hash": URL_SAFE_NO_PAD.encode(Sha256::digest(value)),
        "secret_jwt_template": key.template,
        "inserted_at": iso_offset(key.inserted_at),
        "updated_at": iso_offset(key.updated_at),
    })
}

/// One of the two legacy keys.
fn legacy(project: &Project, role: &str) -> Value {
    let (jwt, signature) = legacy_jwt(project, role);
    json!({
        "name": role,
        "id": role,
        "type": "legacy",
        "api_key": jwt,
        "prefix": signature.get(..5),
        "description": format!("Legacy {role} API key"),
        "hash": URL_SAFE_NO_PAD.encode(Sha256::digest(format!("legacy {jwt}"))),
    })
}

/// A legacy key and its signature.
pub(crate) fn legacy_jwt(project: &Project, role: &str) -> (String, String) {
    let issued = project.created_at.as_second();
    let claims = json!({
        "iss": "supabase",
        "ref": project.reference,
        "role": role,
        "iat": issued,
        "exp": issued.saturating_add(TEN_YEARS),
    });
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("{}.{}", encode(&header), encode(&claims));
    let signature = Hmac::<Sha256>::new_from_slice(project.jwt_secret.reveal().as_bytes())
        .map(|mac| URL_SAFE_NO_PAD.encode(mac.chain_update(&unsigned).finalize().into_bytes()))
        .unwrap_or_default();
    (format!("{unsigned}.{signature}"), signature)
}
