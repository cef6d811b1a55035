//! Auth settings of a project as the cache holds them.

use std::num::NonZeroU64;

use serde::Deserialize;

use super::wire::{Marked, Named};
use crate::kubernetes::{Lean, Maybe, Meta};

/// Auth settings.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(from = "Wire")]
pub struct SeenAuthConfig {
    meta: Meta,
    installation: Option<NonZeroU64>,
    /// The project that they are for, in the same namespace.
    pub project: Option<String>,
    /// The Secret of the mail server's password.
    pub smtp_secret: Option<String>,
}

impl Lean for SeenAuthConfig {
    fn meta(&self) -> &Meta {
        &self.meta
    }
    fn installation(&self) -> Option<NonZeroU64> {
        self.installation
    }
}

impl SeenAuthConfig {
    /// Whether they take a value from a Secret of this name.
    pub fn reads(&self, name: &str) -> bool {
        self.smtp_secret.as_deref() == Some(name)
    }

    /// The order in which objects have the right to a project: the oldest first, then by UID.
    pub fn seniority(&self) -> (Option<jiff::Timestamp>, &str) {
        (self.meta.created(), self.meta.uid())
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    metadata: Maybe<Meta>,
    spec: Maybe<Spec>,
    status: Maybe<Marked>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    project_ref: Maybe<Named>,
    smtp: Maybe<Smtp>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Smtp {
    password: Maybe<Source>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Source {
    secret_key_ref: Maybe<Named>,
}

impl From<Wire> for SeenAuthConfig {
    fn from(wire: Wire) -> Self {
        let Wire { metadata: Maybe(meta), spec: Maybe(spec), status: Maybe(status) } = wire;
        Self {
            meta,
            installation: status.installation.mark(),
            project: spec.project_ref.0.name.0,
            smtp_secret: spec.smtp.0.password.0.secret_key_ref.0.name.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn auth_settings_of_any_version_are_seen() {
        let seen: SeenAuthConfig = serde_json::from_value(json!({
            "metadata": {"name": "auth", "namespace": "team", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"projectRef": {"name": "orders", "new": 1}, "smtp": {"password": {"secretKeyRef": {"name": "smtp"}}},
                     "driftPolicy": "Odd"},
            "status": 7,
        }))
        .unwrap();
        assert_eq!(seen.project.as_deref(), Some("orders"));
        assert!(seen.reads("smtp") && !seen.reads("other"));
        let later: SeenAuthConfig = serde_json::from_value(json!({
            "metadata": {"uid": "a", "creationTimestamp": "2026-01-02T00:00:00Z"}, "spec": 3,
        }))
        .unwrap();
        assert!(seen.seniority() < later.seniority());
    }
}
