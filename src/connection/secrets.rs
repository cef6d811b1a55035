//! What the keys of users' Secrets hold: credentials, points in time, or what to do about something else. PURE.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use secrecy::SecretString;

use crate::api::Reason;
use crate::controller::Problem;
use crate::session::token_store::credential;

/// The data of a Secret.
pub type Data = BTreeMap<String, ByteString>;

/// A credential in a Secret.
pub fn text(data: &Data, name: &str, key: &str) -> Result<SecretString, Problem> {
    let Some(bytes) = data.get(key) else {
        return Err(Problem::new(
            Reason::SecretNotFound,
            format!("the Secret {name} has no key {key}; add it"),
        ));
    };
    let text = std::str::from_utf8(&bytes.0).ok();
    text.and_then(credential).ok_or_else(|| malformed(name, key))
}

/// What to do about it.
pub fn malformed(name: &str, key: &str) -> Problem {
    Problem::new(
        Reason::SecretInvalid,
        format!(
            "the key {key} of the Secret {name} holds what cannot be a credential: it is empty, too long, or has \
             characters other than visible ASCII; write it again"
        ),
    )
}

/// A point in time: RFC 3339, or seconds since 1970.
pub fn moment(bytes: &ByteString) -> Option<jiff::Timestamp> {
    let text = std::str::from_utf8(&bytes.0).ok()?.trim();
    let seconds = || jiff::Timestamp::from_second(text.parse().ok()?).ok();
    text.parse().ok().or_else(seconds)
}
