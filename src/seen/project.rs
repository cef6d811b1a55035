//! A project as the cache holds it.

use std::num::NonZeroU64;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::wire::{Condition, Named};
use crate::api::project::ConnectionKind;
use crate::api::{ConditionType, ObjectKey, Reason, SupabaseProject, annotations};
use crate::kubernetes::{Flag, Lean, Many, Maybe, Meta, Number, Text};

/// What others must know of a project.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(from = "Wire")]
pub struct SeenProject {
    meta: Meta,
    installation: Option<NonZeroU64>,
    /// Kind and name of its connection, as the spec has them.
    connection: (Option<Box<str>>, Box<str>),
    /// Names of the Secrets and `ConfigMap`s that it reads or writes.
    names: Box<[Box<str>]>,
    /// Its ref.
    pub reference: Option<Box<str>>,
    /// Whether a create call was recorded.
    pub attempted: bool,
    /// Whether nothing is to be done for it.
    suspended: bool,
    /// What happens to its project when it goes, as the spec has it.
    pub deletion_policy: Option<Box<str>>,
    /// The name of its create calls.
    pub create_name: Option<Box<str>>,
    /// What its status says of a project that is as it shall be; none where anything is left to do, or not known.
    pub settled: Option<Box<Settled>>,
}

/// A project that is as it shall be, by the word of its own status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The slug of the organization that it is in.
    pub organization: String,
    /// The name that it has on the platform.
    pub name: String,
    /// The status that it has there.
    pub remote_status: String,
}

impl Lean for SeenProject {
    fn meta(&self) -> &Meta {
        &self.meta
    }
    fn installation(&self) -> Option<NonZeroU64> {
        self.installation
    }
}

impl SeenProject {
    /// Whether it refers to a connection, given by its kind and key.
    pub fn uses(&self, kind: ConnectionKind, connection: &ObjectKey) -> bool {
        let (named, name) = &self.connection;
        let named = named.as_deref().unwrap_or(ConnectionKind::SupabaseConnection.as_str());
        let near = kind == ConnectionKind::ClusterSupabaseConnection
            || self.meta.key().namespace() == connection.namespace();
        named == kind.as_str() && **name == *connection.name() && near
    }

    /// Whether it reads or writes a Secret or `ConfigMap` of this name.
    pub fn cares_for(&self, name: &str) -> bool {
        self.names.iter().any(|known| **known == *name)
    }

    /// Kind and key of its connection; none where the kind is not known.
    pub fn connection(&self) -> Option<(ConnectionKind, ObjectKey)> {
        let (named, name) = &self.connection;
        let near = ConnectionKind::SupabaseConnection;
        let kind = [near, ConnectionKind::ClusterSupabaseConnection]
            .into_iter()
            .find(|kind| named.as_deref().unwrap_or(near.as_str()) == kind.as_str())?;
        let own = self.meta.key();
        let namespace = own.namespace().filter(|_| kind == near);
        Some((kind, ObjectKey::new(namespace, name)))
    }

    /// Whether nobody holds it, no installation of the operator has ever looked after it, and one shall.
    pub fn is_new(&self) -> bool {
        let touched = self.installation.is_some() || self.is_bound();
        let held = self.meta.finalizers().next().is_some();
        !(touched || held || self.suspended || self.meta.is_leaving())
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
    suspend: Flag,
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
#[serde(default, rename_all = "camelCase")]
struct Status {
    installation: Maybe<Named>,
    r#ref: Text,
    creation: Maybe<Creation>,
    observed_generation: Number,
    last_handled_reconcile_at: Text,
    organization_slug: Text,
    project_name: Text,
    #[serde(rename = "remoteStatus")]
    remote: Text,
    conditions: Many<Maybe<Condition>>,
}

impl Status {
    /// Whether every condition says that all is well.
    fn is_well(&self) -> bool {
        let is = |Text(text): &Text, word: &str| text.as_deref() == Some(word);
        let says = |kind: ConditionType, status: &str, reason: Option<Reason>| {
            let mut all = self.conditions.0.iter();
            all.any(|Maybe(one)| {
                is(&one.r#type, kind.as_str())
                    && is(&one.status, status)
                    && reason.is_none_or(|reason| is(&one.reason, reason.as_str()))
            })
        };
        let well = [
            ConditionType::ConnectionReady,
            ConditionType::Provisioned,
            ConditionType::ServicesHealthy,
            ConditionType::Synced,
            ConditionType::OutputsWritten,
        ];
        let trouble =
            [ConditionType::Stalled, ConditionType::Reconciling, ConditionType::DeletionBlocked];
        says(ConditionType::Ready, "True", Some(Reason::Available))
            && well.into_iter().all(|kind| says(kind, "True", None))
            && !trouble.into_iter().any(|kind| says(kind, "True", None))
    }

    /// What it says of a project that is as it shall be, for an object with this metadata.
    fn settled(&self, meta: &Meta) -> Option<Box<Settled>> {
        let asked = meta.annotation(annotations::RECONCILE_REQUESTED_AT);
        let handled = self.last_handled_reconcile_at.0.as_deref();
        let current = meta.generation().is_some()
            && self.observed_generation.0 == meta.generation()
            && asked.is_none_or(|asked| handled == Some(asked))
            && meta.is_held()
            && !meta.is_leaving();
        if !current || !self.is_well() {
            return None;
        }
        Some(Box::new(Settled {
            organization: self.organization_slug.0.clone()?,
            name: self.project_name.0.clone()?,
            remote_status: self.remote.0.clone()?,
        }))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Creation {
    name: Text,
    attempts: Many<IgnoredAny>,
}

impl From<Wire> for SeenProject {
    fn from(wire: Wire) -> Self {
        let Wire { metadata: Maybe(metadata), spec: Maybe(spec), status: Maybe(status) } = wire;
        let key = metadata.key();
        let mut names = vec![SupabaseProject::password_secret_of(key.name())];
        names.extend(spec.database.0.password.0.secret_key_ref.0.name.0);
        match spec.outputs {
            Some(Many(outputs)) => names.extend(outputs.into_iter().filter_map(|one| one.0.name.0)),
            None => names.push(SupabaseProject::default_output_of(key.name())),
        }
        let settled = status.settled(&metadata);
        let Maybe(creation) = status.creation;
        Self {
            settled: settled.filter(|_| status.r#ref.0.is_some()),
            connection: (
                spec.connection_ref.0.kind.boxed(),
                spec.connection_ref.0.name.boxed().unwrap_or_default(),
            ),
            names: names.into_iter().map(String::into_boxed_str).collect(),
            reference: status.r#ref.boxed().filter(|text| !text.is_empty()),
            attempted: !creation.attempts.0.is_empty(),
            suspended: spec.suspend.0 == Some(true),
            deletion_policy: spec.deletion_policy.boxed(),
            create_name: creation.name.boxed().filter(|text| !text.is_empty()),
            installation: status.installation.mark(),
            meta: metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(namespace: Option<&str>, name: &str) -> ObjectKey {
        ObjectKey::new(namespace, name)
    }

    #[test]
    fn a_project_of_any_version_is_seen() {
        let seen: SeenProject = serde_json::from_value(json!({
            "metadata": {"name": "orders", "namespace": "team", "uid": "u"},
            "spec": {
                "connectionRef": {"name": "acme"}, "powerState": "Hibernated", "deletionPolicy": "Archive",
                "database": {"password": {"secretKeyRef": {"name": "supplied", "key": "k"}, "onLost": {"new": 1}}},
                "outputs": [{"name": "a", "kind": "PasswordSecret"}, {"name": "b"}],
            },
            "status": {"ref": "r", "creation": {"name": "n", "attempts": [{"outcome": "Odd"}]}, "conditions": 7},
        }))
        .unwrap();
        assert!(seen.uses(ConnectionKind::SupabaseConnection, &key(Some("team"), "acme")));
        assert!(!seen.uses(ConnectionKind::SupabaseConnection, &key(Some("other"), "acme")));
        assert!(!seen.uses(ConnectionKind::ClusterSupabaseConnection, &key(None, "acme")));
        for name in ["a", "b", "supplied", "orders-supabase-password"] {
            assert!(seen.cares_for(name), "{name}");
        }
        assert!(!seen.cares_for("orders-supabase"));
        assert!(seen.is_bound() && seen.attempted);
        assert_eq!(seen.deletion_policy.as_deref(), Some("Archive"));
    }

    #[test]
    fn what_nobody_has_looked_after_yet_and_shall_be_is_new() {
        let is_new = |path: &str, value: serde_json::Value| {
            let mut object = json!({"metadata": {"name": "orders"}, "spec": {}, "status": {}});
            let (part, field) = path.split_once('.').unwrap();
            object[part][field] = value;
            serde_json::from_value::<SeenProject>(object).unwrap().is_new()
        };
        assert!(is_new("status.observedGeneration", json!(-1)));
        assert!(is_new("spec.suspend", json!(false)));
        for (path, value) in [
            ("metadata.finalizers", json!([crate::api::FINALIZER])),
            ("metadata.finalizers", json!(["example.com/hold"])),
            ("metadata.deletionTimestamp", json!("2026-01-01T00:00:00Z")),
            ("spec.suspend", json!(true)),
            ("status.ref", json!("r")),
            ("status.creation", json!({"attempts": [{}]})),
            ("status.installation", json!({"name": "another/operator"})),
        ] {
            assert!(!is_new(path, value), "{path}");
        }
    }

    /// A project that is as it shall be.
    fn well() -> serde_json::Value {
        let condition =
            |kind: &str, reason: &str| json!({"type": kind, "status": "True", "reason": reason});
        json!({
            "metadata": {"name": "orders", "namespace": "team", "uid": "u", "generation": 3,
                         "finalizers": ["supabase-operator.dev/finalizer"]},
            "spec": {"connectionRef": {"name": "acme"}},
            "status": {
                "ref": "r", "observedGeneration": 3, "organizationSlug": "acme", "projectName": "team-orders",
                "remoteStatus": "ACTIVE_HEALTHY",
                "conditions": [
                    condition("Ready", "Available"), condition("ConnectionReady", "Available"),
                    condition("Provisioned", "Created"), condition("ServicesHealthy", "AllHealthy"),
                    condition("Synced", "InSync"), condition("OutputsWritten", "Written"),
                ],
            },
        })
    }

    #[test]
    fn only_a_project_of_which_nothing_is_left_to_do_is_settled() {
        let settled = |object: &serde_json::Value| {
            let seen: SeenProject = serde_json::from_value(object.clone()).unwrap();
            seen.settled.is_some()
        };
        assert!(settled(&well()));
        let odd: [(&str, serde_json::Value); 13] = [
            ("/metadata/generation", json!(4)),
            ("/metadata/finalizers", json!([])),
            ("/metadata/deletionTimestamp", json!("2026-06-01T00:00:00Z")),
            (
                "/metadata/annotations",
                json!({"supabase-operator.dev/reconcile-requested-at": "now"}),
            ),
            ("/status/ref", json!(null)),
            ("/status/organizationSlug", json!(null)),
            ("/status/conditions/0/status", json!("False")),
            ("/status/conditions/0/reason", json!("Suspended")),
            ("/status/conditions/1/status", json!("False")),
            ("/status/conditions/4/status", json!("False")),
            ("/status/conditions/5", json!({"type": "Stalled", "status": "True"})),
            ("/status/conditions/3", json!({"type": "Reconciling", "status": "True"})),
            ("/status/conditions", json!("none")),
        ];
        for (path, value) in odd {
            let mut object = well();
            let (parent, field) = path.rsplit_once('/').unwrap();
            let parent = object.pointer_mut(parent).unwrap();
            match field.parse::<usize>() {
                Ok(place) => parent[place] = value,
                Err(_) => parent[field] = value,
            }
            assert!(!settled(&object), "{path}");
        }
        let mut asked = well();
        asked["metadata"]["annotations"] =
            json!({"supabase-operator.dev/reconcile-requested-at": "now"});
        asked["status"]["lastHandledReconcileAt"] = json!("now");
        assert!(settled(&asked));
    }

    #[test]
    fn a_project_without_anything_is_seen() {
        let seen: SeenProject = serde_json::from_value(json!({
            "metadata": {"name": "orders", "namespace": "team"},
            "spec": {"connectionRef": {"kind": "ClusterSupabaseConnection", "name": "company"}},
        }))
        .unwrap();
        assert!(seen.uses(ConnectionKind::ClusterSupabaseConnection, &key(None, "company")));
        assert!(seen.cares_for("orders-supabase") && !seen.is_bound());
    }
}
