//! The settings of a project's Auth service: what was written, what shows, and when.
//!
//! Only what differs from an untouched project is held, so that ten thousand projects cost no table each. Knows no
//! request and no other part of a project.

mod fields;
mod gates;
mod letter;

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::Sha256;

pub(crate) use fields::{Known, all, known};
pub(crate) use gates::refusals;
pub use letter::{Letter, Message};

/// How secrets read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretsShown {
    /// As the hexadecimal HMAC-SHA256 of the value, keyed by the ref.
    Digest,
    /// As stars, as reported of older projects.
    Masked,
}

/// What a refused change leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRefusal {
    /// Nothing, as two reports say.
    Nothing,
    /// Everything that was not refused itself, as one measurement says.
    TheRest,
}

/// What was written, where it is not as on an untouched project.
#[derive(Clone, Default)]
pub(crate) struct Auth(BTreeMap<&'static str, Held>);

/// One field; null stands for the usual value.
#[derive(Clone)]
struct Held {
    shown: Value,
    coming: Option<(Timestamp, Value)>,
}

impl fmt::Debug for Auth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets.
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl Auth {
    /// What was written last, in force or not; null where nothing was.
    fn written(&self, key: &str) -> &Value {
        self.0.get(key).map_or(&Value::Null, |held| {
            held.coming.as_ref().map_or(&held.shown, |(_, value)| value)
        })
    }

    /// The value in force, as the service itself knows it.
    pub(crate) fn value(&self, known: &Known, now: Timestamp) -> Value {
        let key = known.field.key;
        let held = self.0.get(key).map_or(&Value::Null, |held| match &held.coming {
            Some((at, value)) if *at <= now => value,
            Some(_) | None => &held.shown,
        });
        if !held.is_null() {
            return held.clone();
        }
        if key == "rate_limit_email_sent" && self.text("smtp_host", now).is_some() {
            // A mail server of one's own raises the limit by itself.
            return json!(30);
        }
        known.usual.value()
    }

    /// A text in force, if it is set and not empty.
    pub(crate) fn text(&self, key: &str, now: Timestamp) -> Option<String> {
        let value = self.value(known(key)?, now);
        value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Writes a field; it is in force `at` that time.
    pub(crate) fn write(&mut self, key: &'static str, value: Value, at: Timestamp, now: Timestamp) {
        let empty = || Held { shown: Value::Null, coming: None };
        let held = self.0.entry(key).or_insert_with(empty);
        if let Some((_, coming)) = held.coming.take().filter(|(due, _)| *due <= now) {
            held.shown = coming;
        }
        if at <= now {
            held.shown = value;
        } else {
            held.coming = Some((at, value));
        }
        if held.shown.is_null() && held.coming.is_none() {
            self.0.remove(key);
        }
    }

    /// Puts one field back to what it is in `other`.
    pub(crate) fn restore(&mut self, key: &str, other: &Self) {
        match other.0.get_key_value(key) {
            Some((key, held)) => drop(self.0.insert(key, held.clone())),
            None => drop(self.0.remove(key)),
        }
    }

    /// Switches the mail server off, as an empty host does.
    pub(crate) fn forget_mail_server(&mut self) {
        for key in [
            "smtp_host",
            "smtp_port",
            "smtp_user",
            "smtp_pass",
            "smtp_admin_email",
            "smtp_sender_name",
            "rate_limit_email_sent",
        ] {
            self.0.remove(key);
        }
    }

    /// The object as `GET` shows it.
    pub(crate) fn shown(&self, reference: &str, secrets: SecretsShown, now: Timestamp) -> Value {
        let mut body = read_only();
        for known in all() {
            let mut value = self.value(known, now);
            if known.secret {
                value = secret_shown(reference, &value, secrets);
            }
            body.insert(known.field.key.to_owned(), value);
        }
        Value::Object(body)
    }

    /// The object as `PATCH` answers it: as recorded, these show only what was set.
    pub(crate) fn answered(&self, reference: &str, secrets: SecretsShown, now: Timestamp) -> Value {
        let mut body = self.shown(reference, secrets, now);
        for key in ["rate_limit_email_sent", "security_captcha_provider", "sms_provider"] {
            if let Some(shown) = body.get_mut(key) {
                *shown = self.written(key).clone();
            }
        }
        body
    }
}

/// Fields that can only be read; the last ones are in no description.
fn read_only() -> Map<String, Value> {
    [
        ("custom_oauth_max_providers", json!(3)),
        ("nimbus_oauth_email_optional", json!(false)),
        ("saml_allow_encrypted_assertions", json!(false)),
        ("mfa_allow_low_aal", json!(true)),
        ("audit_log_disable_postgres", json!(false)),
        ("index_worker_ensure_user_search_indexes_exist", json!(false)),
        ("mailer_subjects_custom_contents", json!({ "invite": false })),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

fn secret_shown(reference: &str, value: &Value, secrets: SecretsShown) -> Value {
    match (value.as_str(), secrets) {
        (None | Some(""), _) => Value::Null,
        (Some(_), SecretsShown::Masked) => json!("*".repeat(16)),
        (Some(secret), SecretsShown::Digest) => {
            Hmac::<Sha256>::new_from_slice(reference.as_bytes()).map_or(Value::Null, |mac| {
                let digest = mac.chain_update(secret).finalize().into_bytes();
                let hex: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                json!(hex.concat())
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 has no short ASCII key and text; this one is of another implementation (OpenSSL).
    #[test]
    fn a_secret_shows_as_its_digest_or_not_at_all() {
        let shown = |value: Value| secret_shown("key", &value, SecretsShown::Digest);
        assert_eq!(
            shown(json!("The quick brown fox jumps over the lazy dog")),
            "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
        );
        assert_eq!(shown(json!("")), Value::Null);
        assert_eq!(shown(Value::Null), Value::Null);
    }

    #[test]
    fn no_value_is_held_that_is_usual() {
        let now = Timestamp::UNIX_EPOCH;
        let mut auth = Auth::default();
        auth.write("smtp_user", json!("a"), now, now);
        auth.write("smtp_user", Value::Null, now, now);
        assert!(auth.0.is_empty());
    }

    #[test]
    fn the_debug_output_shows_no_value() {
        let now = Timestamp::UNIX_EPOCH;
        let mut auth = Auth::default();
        auth.write("smtp_pass", json!("hunter2"), now, now);
        assert_eq!(format!("{auth:?}"), "{\"smtp_pass\"}");
    }
}
