//! Settings in the dashboard: somebody else changes them, and nothing but the API's own rules stands in the way.
//!
//! Also what tests look at: a setting as it is, secrets included. Passes no authentication, rate limit or fault.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, Request};
use jiff::Timestamp;
use serde_json::Value;

use crate::access::{Caller, Grant, Identity};
use crate::answer::{Body, Reply};
use crate::auth::{Letter, Message, known};
use crate::ledger::Effect;
use crate::routes;
use crate::secret::Secret;
use crate::world::{Call, FIRST_USER, World};

/// Why a hand could not do what it wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status that the API would answer.
    pub status: u16,
    /// Its words.
    pub message: String,
}

/// A setting that will not hold.
#[derive(Clone, Debug)]
pub(crate) struct Slip {
    reference: String,
    setting: String,
    key: Option<String>,
    times: u32,
}

impl World {
    /// Changes a setting in the dashboard. `setting` is the end of the API's path, such as `config/auth` or
    /// `ssl-enforcement`, and `body` what the API takes there.
    ///
    /// # Errors
    /// What the platform refuses, it refuses to a hand as well.
    pub fn set_by_hand(
        &mut self,
        reference: &str,
        setting: &str,
        body: &Value,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let (method, end) = match setting {
            "ssl-enforcement" => (Method::PUT, ""),
            "network-restrictions" => (Method::POST, "/apply"),
            _ => (Method::PATCH, ""),
        };
        self.in_the_dashboard(&method, reference, &format!("{setting}{end}"), body, now)
    }

    /// Takes an add-on away in the dashboard.
    ///
    /// # Errors
    /// As [`World::set_by_hand`].
    pub fn remove_addon_by_hand(
        &mut self,
        reference: &str,
        variant: &str,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let path = format!("billing/addons/{variant}");
        self.in_the_dashboard(&Method::DELETE, reference, &path, &Value::Null, now)
    }

    /// A setting as the API shows it.
    ///
    /// # Errors
    /// As the API refuses.
    pub fn setting(
        &mut self,
        reference: &str,
        setting: &str,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        self.in_the_dashboard(&Method::GET, reference, setting, &Value::Null, now)
    }

    /// An Auth setting as the service itself knows it, secrets in clear; none for an unknown project or key.
    pub fn auth_setting(&self, reference: &str, key: &str) -> Option<Value> {
        let project = self.projects.get(reference)?;
        Some(project.settings.auth.value(known(key)?, self.now))
    }

    /// Replaces the values of all publishable and secret keys and of the legacy JWT secret.
    pub fn rotate_keys_by_hand(&mut self, reference: &str, now: Timestamp) {
        self.tick(now);
        let fresh = [self.key("default", false), self.key("default", true)];
        let secret = Secret::new(self.random.alphanumeric(64));
        self.change(reference, |project, _, _| {
            project.keys = fresh.to_vec();
            project.jwt_secret = secret;
        });
        let effect = Effect::Changed {
            reference: reference.to_owned(),
            setting: "api-keys",
            keys: Vec::new(),
        };
        self.accept(&Identity::Dashboard, effect);
    }

    /// Turns the legacy keys on or off by hand.
    pub fn set_legacy_keys_by_hand(&mut self, reference: &str, enabled: bool) {
        self.change(reference, |project, _, _| {
            project.legacy_keys_enabled = enabled;
        });
    }

    /// Changes the database password by hand.
    pub fn change_password_by_hand(&mut self, reference: &str, password: &str, now: Timestamp) {
        self.tick(now);
        self.ledger.remember(password);
        self.set_password(reference, password);
        let effect = Effect::PasswordChanged { reference: reference.to_owned() };
        self.accept(&Identity::Dashboard, effect);
    }

    /// The letter that Auth would write now; none while no mail server of one's own is configured whole.
    pub fn letter(&self, reference: &str, message: Message, to: &str) -> Option<Letter> {
        let project = self.projects.get(reference).filter(|project| !project.gone)?;
        project.settings.auth.letter(message, to, self.now)
    }

    /// Lets a setting not hold: so many of the writes to come are accepted and have no effect. With a key, only
    /// writes that name it count, and of Auth settings only that key is lost.
    pub fn let_slip(&mut self, reference: &str, setting: &str, key: Option<&str>, times: u32) {
        self.slips.push(Slip {
            reference: reference.to_owned(),
            setting: setting.to_owned(),
            key: key.map(str::to_owned),
            times,
        });
    }

    /// How many writes are still to be lost.
    pub fn pending_slips(&self) -> u32 {
        self.slips.iter().map(|slip| slip.times).sum()
    }

    /// Performs an admitted call, and takes back what is not to hold.
    pub(crate) fn perform_and_slip(
        &mut self,
        call: &Call<'_>,
        path: &str,
        method: &Method,
    ) -> Result<Reply, Reply> {
        let slips = |slip: &Slip| {
            let start = format!("/v1/projects/{}/{}", slip.reference, slip.setting);
            let named = |key: &String| call.json().is_ok_and(|body| body.contains_key(key));
            slip.times > 0
                && method != Method::GET
                && path.starts_with(&start)
                && slip.key.as_ref().is_none_or(named)
        };
        let Some(index) = self.slips.iter().position(slips) else {
            return self.perform(call);
        };
        let before = self.projects.get(call.reference()).map(|project| project.settings.clone());
        let reply = self.perform(call)?;
        let slip = self.slips.get_mut(index).map(|slip| {
            slip.times -= 1;
            slip.clone()
        });
        if let (Some(slip), Some(before)) = (slip, before) {
            self.change(call.reference(), |project, _, _| match &slip.key {
                Some(key) if slip.setting == "config/auth" => {
                    project.settings.auth.restore(key, &before.auth);
                }
                Some(_) | None => project.settings = before,
            });
        }
        self.slips.retain(|slip| slip.times > 0);
        Ok(reply)
    }

    fn in_the_dashboard(
        &mut self,
        method: &Method,
        reference: &str,
        rest: &str,
        body: &Value,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        self.tick(now);
        let path = format!("/v1/projects/{reference}/{rest}");
        let unknown = || Refusal { status: 404, message: format!("Cannot {method} {path}") };
        let (route, captures) = routes::find(method, &path).ok_or_else(unknown)?;
        let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = Request::builder()
            .header("content-type", "application/json")
            .body(bytes)
            .map_err(|_| unknown())?;
        let organization = self.projects.get(reference).map(|project| project.organization.clone());
        let call = Call {
            operation: route.operation,
            captures,
            query: Vec::new(),
            headers: request.headers(),
            body: request.body(),
            caller: Caller {
                identity: Identity::Dashboard,
                user: FIRST_USER.to_owned(),
                organizations: organization.into_iter().collect::<BTreeSet<_>>(),
                projects: None,
                grant: Grant::Everything,
            },
            message_shape: self.config.message_shape,
        };
        match self.perform(&call) {
            Ok(reply) => Ok(value_of(reply.body)),
            Err(reply) => {
                let body = value_of(reply.body);
                let message = body.get("message").and_then(Value::as_str);
                Err(Refusal {
                    status: reply.status,
                    message: message.unwrap_or_default().to_owned(),
                })
            }
        }
    }
}

fn value_of(body: Body) -> Value {
    match body {
        Body::Json(value) => value,
        Body::Text(..) | Body::Empty => Value::Null,
    }
}
