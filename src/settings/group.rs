//! What is declared and what was read, group by group. A group is what is written as a whole and remembered as one.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};

use super::outcome::refusal;
use super::value::Value;
use crate::api::Reason;
use crate::api::settings::{Applied, DriftReason};
use crate::management::Error;
use crate::rules::digest::{self, DigestKey};

/// Makes the digests by which an object's settings are recognized.
#[derive(Clone, Copy, Debug)]
pub struct Digester<'a> {
    /// The operator's key.
    pub key: &'a DigestKey,
    /// The object's UID.
    pub uid: &'a str,
    /// The ref of the project that has the settings, where another one may have them later: what was put on one project says
    /// nothing of another.
    pub reference: Option<&'a str>,
}

/// The declared value of a field.
#[derive(Clone, Debug)]
pub enum Declared {
    /// One that may be shown.
    Plain(Value),
    /// A secret, and what the platform will show of it.
    Secret(SecretString, String),
}

/// Settings that are read, compared and written together.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its place in the spec: what it is remembered by.
    pub path: String,
    /// When it is written: all groups of one order go in one write, lower ones first.
    pub order: u8,
    /// The group that must be settled before this one is written.
    pub after: Option<&'static str>,
    /// What is declared.
    pub wanted: Wanted,
    /// What the platform has, or why that is not known.
    pub reading: Reading,
}

/// What is declared of a group.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Values, each with its place in the spec, and the digest of all.
    Values(Vec<(String, Value)>, String),
    /// Nothing any more: what this object had put there is taken back.
    Nothing,
    /// Something that cannot be sent.
    Unusable(Unusable),
}

/// Why what is declared cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The reason for the condition.
    pub reason: Reason,
    /// The place in the spec.
    pub path: String,
    /// What is wrong, and what to do.
    pub words: String,
}

/// What was read of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Values by their place in the spec.
    Seen {
        /// The values; one that is absent is not set.
        values: BTreeMap<String, Value>,
        /// Whether they are in force: false while the platform is still carrying out a change.
        settled: bool,
    },
    /// The credential or the plan does not allow it.
    Unable(DriftReason),
    /// The project is not active.
    Inactive,
    /// Reading failed, or was not tried.
    Failed,
}

impl Reading {
    /// What it means that reading failed.
    pub fn after(error: &Error) -> Self {
        match refusal(error) {
            Some(reason @ (DriftReason::CapabilityUnavailable | DriftReason::PaymentRequired)) => {
                Self::Unable(reason)
            }
            Some(_) | None => Self::Failed,
        }
    }
}

/// What the status says of a group's last value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Nothing.
    None,
    /// The value that is declared now.
    Same,
    /// It is another one.
    Other,
    /// It cannot be compared: it was made with another key, or for another object.
    Unknown,
}

impl Digester<'_> {
    /// A group with these values.
    pub fn group(
        &self,
        path: &str,
        order: u8,
        fields: Vec<(String, Declared)>,
        reading: Reading,
    ) -> Group {
        let mut parts = vec![path.as_bytes().to_vec()];
        parts.extend(self.reference.map(|reference| reference.as_bytes().to_vec()));
        let mut values = Vec::with_capacity(fields.len());
        for (field, declared) in fields {
            parts.push(field.as_bytes().to_vec());
            let value = match declared {
                Declared::Plain(value) => {
                    parts.push(value.canonical().into_bytes());
                    value
                }
                Declared::Secret(clear, shown) => {
                    // Through the key at once, so that no copy of the secret is kept here.
                    let own = self.key.bound(
                        "setting secret",
                        self.uid,
                        [clear.expose_secret().as_bytes()],
                    );
                    parts.push(own.into_bytes());
                    Value::Secret(shown)
                }
            };
            values.push((field, value));
        }
        let digest = self.key.bound("setting", self.uid, parts.iter().map(Vec::as_slice));
        Group {
            path: path.to_owned(),
            order,
            after: None,
            wanted: Wanted::Values(values, digest),
            reading,
        }
    }
}

impl Group {
    /// A group that is declared no more.
    pub fn nothing(path: &str, order: u8, reading: Reading) -> Self {
        Self { path: path.to_owned(), order, after: None, wanted: Wanted::Nothing, reading }
    }

    /// A group that cannot be sent.
    pub fn unusable(path: &str, order: u8, unusable: Unusable) -> Self {
        Self {
            path: path.to_owned(),
            order,
            after: None,
            wanted: Wanted::Unusable(unusable),
            reading: Reading::Failed,
        }
    }

    /// The same group, written when another is settled.
    #[must_use]
    pub const fn after(mut self, path: &'static str) -> Self {
        self.after = Some(path);
        self
    }

    /// The digest of what is declared; empty where that is nothing.
    pub(super) fn digest(&self) -> &str {
        match &self.wanted {
            Wanted::Values(_, digest) => digest,
            Wanted::Nothing | Wanted::Unusable(_) => "",
        }
    }

    pub(super) fn record(&self, applied: &[Applied]) -> Record {
        let Some(known) = applied.iter().find(|known| known.path == self.path) else {
            return Record::None;
        };
        if known.digest == self.digest() {
            Record::Same
        } else if !self.digest().is_empty() && !digest::comparable(&known.digest, self.digest()) {
            Record::Unknown
        } else {
            Record::Other
        }
    }

    /// The fields that the platform does not have as declared: place, what is wanted, what is there.
    pub(super) fn differing(&self, changed: bool) -> Vec<(String, Value, Value)> {
        let Reading::Seen { values, .. } = &self.reading else {
            return Vec::new();
        };
        let seen = |field: &str| values.get(field).cloned().unwrap_or(Value::Unset);
        match &self.wanted {
            Wanted::Values(wanted, _) => wanted
                .iter()
                .map(|(field, value)| (field.clone(), value.clone(), seen(field)))
                .filter(|(_, value, seen)| !value.is_met_by(seen, changed))
                .collect(),
            Wanted::Nothing => values
                .iter()
                .filter(|(_, seen)| !Value::Unset.is_met_by(seen, false))
                .map(|(field, seen)| (field.clone(), Value::Unset, seen.clone()))
                .collect(),
            Wanted::Unusable(_) => Vec::new(),
        }
    }
}
