//! The kinds of objects that the server knows.

use serde_json::{Value, json};

/// A kind of object.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Its API group; empty for the core group.
    pub group: String,
    /// Its version.
    pub version: String,
    /// Its name in paths.
    pub plural: String,
    /// Its name in objects.
    pub kind: String,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// Whether `status` is a subresource, and `generation` counts the changes of the rest.
    pub has_status: bool,
    /// Merged under every new object, as the defaults of a schema are.
    pub defaults: Value,
}

impl Resource {
    /// A custom resource in namespaces, with a status.
    pub fn custom(group: &str, version: &str, plural: &str, kind: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            kind: kind.to_owned(),
            namespaced: true,
            has_status: true,
            defaults: Value::Null,
        }
    }

    /// The same, for the whole cluster.
    #[must_use]
    pub fn cluster_wide(mut self) -> Self {
        self.namespaced = false;
        self
    }

    /// The same, with these defaults.
    #[must_use]
    pub fn with_defaults(mut self, defaults: Value) -> Self {
        self.defaults = defaults;
        self
    }

    fn built_in(group: &str, plural: &str, kind: &str, namespaced: bool) -> Self {
        Self { namespaced, has_status: false, ..Self::custom(group, "v1", plural, kind) }
    }

    pub(crate) fn built_ins() -> Vec<Self> {
        vec![
            Self::built_in("", "namespaces", "Namespace", false)
                .with_defaults(json!({"status": {"phase": "Active"}})),
            Self::built_in("", "secrets", "Secret", true).with_defaults(json!({"type": "Opaque"})),
            Self::built_in("", "configmaps", "ConfigMap", true),
            Self::built_in("events.k8s.io", "events", "Event", true),
            Self::built_in("coordination.k8s.io", "leases", "Lease", true),
        ]
    }

    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}
