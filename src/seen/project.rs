//! A project as the cache holds it.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::api::project::ConnectionKind;
use crate::api::{ObjectKey, SupabaseProject};
use crate::kubernetes::{Lean, Many, Maybe, Meta, Text};

/// A project.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(from = "Wire")]
pub struct SeenProject {
    meta: Meta,
    /// Kind and name of its connection, as the spec has them.
    connection: (Option<String>, String),
    /// Names of the Secrets and `ConfigMap`s that it reads or writes.
    names: Vec<String>,
    /// Its ref.
    pub reference: Option<String>,
    /// Whether a create call was recorded.
    pub attempted: bool,
    /// What happens to its project when it goes, as the spec has it.
    pub deletion_policy: Option<String>,
    /// The name of its create calls.
    pub create_name: Option<String>,
}

impl Lean for SeenProject {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl SeenProject {
    /// Whether it refers to a connection, given by its kind and key.
    pub fn uses(&self, kind: ConnectionKind, connection: &ObjectKey) -> bool {
        let (named, name) = &self.connection;
        let named = named
            .as_deref()
            .unwrap_or(ConnectionKind::SupabaseConnection.as_str());
        let near = kind == ConnectionKind::ClusterSupabaseConnection
            || self.meta.key().namespace == connection.namespace;
        named == kind.as_str() && *name == connection.name && near
    }

    /// Whether it reads or writes a Secret or `ConfigMap` of this name.
    pub fn cares_for(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Whether it has, or may have, something on the platform.
    pub const fn is_bound(&self) -> bool {
        self.reference.is_some() || self.attempted
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    metadata: Maybe<Meta>,
    spec: Maybe<Spec>,
    status: Maybe<Status>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    connection_ref: Maybe<Reference>,
    database: Maybe<Database>,
    outputs: Option<Many<Maybe<Named>>>,
    deletion_policy: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference {
    kind: Text,
    name: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Database {
    password: Maybe<Password>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Password {
    secret_key_ref: Maybe<Named>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    r#ref: Text,
    creation: Maybe<Creation>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Creation {
    name: Text,
    attempts: Many<IgnoredAny>,
}

impl From<Wire> for SeenProject {
    fn from(wire: Wire) -> Self {
        let Wire {
            metadata: Maybe(metadata),
            spec: Maybe(spec),
            status: Maybe(status),
        } = wire;
        let name = metadata.key().name;
        let mut names = vec![SupabaseProject::password_secret_of(&name)];
        names.extend(spec.database.0.password.0.secret_key_ref.0.name.0);
        match spec.outputs {
            Some(Many(outputs)) => names.extend(outputs.into_iter().filter_map(|one| one.0.name.0)),
            None => names.push(SupabaseProject::default_output_of(&name)),
        }
        let Maybe(creation) = status.creation;
        Self {
            connection: (
                spec.connection_ref.0.kind.0,
                spec.connection_ref.0.name.0.unwrap_or_default(),
            ),
            names,
            reference: status.r#ref.0.filter(|text| !text.is_empty()),
            attempted: !creation.attempts.0.is_empty(),
            deletion_policy: spec.deletion_policy.0,
            create_name: creation.name.0.filter(|text| !text.is_empty()),
            meta: metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(namespace: Option<&str>, name: &str) -> ObjectKey {
        ObjectKey {
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    #[test]
    fn a_project_of_any_version_is_seen() {
        let seen: SeenProject = serde_json::from_value(json!({
            "metadata": {"name": "orders", "namespace": "team", "uid": "u"},
            "spec": {
                "connectionRef": {"name": "acme"}, "powerState": "Hibernated", "deletionPolicy": "Archive",
                "database": {"password": {"secretKeyRef": {"name": "supplied", "key": "k"}, "onLost": {"new": 1}}},
                "outputs": [{"name": "a", "kind": "Vault"}, {"name": "b"}],
            },
            "status": {"ref": "r", "creation": {"name": "n", "attempts": [{"outcome": "Odd"}]}, "conditions": 7},
        }))
        .unwrap();
        assert!(seen.uses(
            ConnectionKind::SupabaseConnection,
            &key(Some("team"), "acme")
        ));
        assert!(!seen.uses(
            ConnectionKind::SupabaseConnection,
            &key(Some("other"), "acme")
        ));
        assert!(!seen.uses(
            ConnectionKind::ClusterSupabaseConnection,
            &key(None, "acme")
        ));
        for name in ["a", "b", "supplied", "orders-supabase-password"] {
            assert!(seen.cares_for(name), "{name}");
        }
        assert!(!seen.cares_for("orders-supabase"));
        assert!(seen.is_bound() && seen.attempted);
        assert_eq!(seen.deletion_policy.as_deref(), Some("Archive"));
    }

    #[test]
    fn a_project_without_anything_is_seen() {
        let seen: SeenProject = serde_json::from_value(json!({
            "metadata": {"name": "orders", "namespace": "team"},
            "spec": {"connectionRef": {"kind": "ClusterSupabaseConnection", "name": "company"}},
        }))
        .unwrap();
        assert!(seen.uses(
            ConnectionKind::ClusterSupabaseConnection,
            &key(None, "company")
        ));
        assert!(seen.cares_for("orders-supabase") && !seen.is_bound());
    }
}
