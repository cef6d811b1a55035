//! The promise: the custom resources as users write and read them.
//!
//! Types, schemas, CEL rules and printer columns only. No I/O and no logic beyond accessors, so that this
//! room changes for one reason: what we promise to users. `crds/*.yaml` is generated from here.
#![expect(clippy::doc_markdown, reason = "kubectl explain prints these descriptions as plain text")]

pub mod auth_config;
pub mod bounds;
pub mod condition;
pub mod connection;
pub mod installation;
pub mod kinds;
pub mod output;
pub mod project;
pub mod reference;
pub mod settings;
pub mod status;
pub mod template;
mod words;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

pub use auth_config::{AuthConfigStatus, SupabaseAuthConfig, SupabaseAuthConfigSpec};
pub use condition::{ConditionType, Reason};
pub use connection::{
    ClusterSupabaseConnection, ClusterSupabaseConnectionSpec, ConnectionStatus, SupabaseConnection,
    SupabaseConnectionSpec,
};
pub use installation::Installation;
pub use kinds::{Kind, ObjectRef};
pub use output::{
    Endpoint, Output, OutputKey, OutputKind, OutputTls, OutputValue, Preset, TlsMode, Workload,
    WorkloadKind,
};
pub use project::{DeletionPolicy, ProjectStatus, SupabaseProject, SupabaseProjectSpec};
pub use reference::ObjectKey;
pub use template::SecretTemplate;

/// API group of every kind.
pub const GROUP: &str = "supabase-operator.dev";
/// The one served version.
pub const VERSION: &str = "v1alpha1";
/// Field manager of every write.
pub const FIELD_MANAGER: &str = "supabase-operator";
/// The finalizer on our kinds and on the Secrets that must outlive a namespace deletion.
pub const FINALIZER: &str = "supabase-operator.dev/finalizer";

/// Annotations that users put on our kinds. They are requests and prove nothing.
pub mod annotations {
    /// Any new value asks for one reconcile now; acknowledged in `status.lastHandledReconcileAt`.
    pub const RECONCILE_REQUESTED_AT: &str = "supabase-operator.dev/reconcile-requested-at";
    /// The ref or create name that shall be left behind on the platform so that deletion can finish.
    pub const FORCE_ORPHAN: &str = "supabase-operator.dev/force-orphan";
    /// All of them.
    pub const KNOWN: [&str; 2] = [RECONCILE_REQUESTED_AT, FORCE_ORPHAN];
    /// Our prefix: an unknown annotation under it is worth a warning.
    pub const PREFIX: &str = "supabase-operator.dev/";

    /// The reconcile that was asked for, as `status.lastHandledReconcileAt` will acknowledge it.
    pub fn requested<K: kube::Resource>(object: &K) -> Option<String> {
        let annotations = object.meta().annotations.as_ref()?;
        let asked = annotations.get(RECONCILE_REQUESTED_AT)?;
        Some(super::bounds::cut(asked, super::bounds::LONGEST_REQUEST))
    }
}

/// Labels on every object that the operator writes. Ours win over the user's.
pub mod labels {
    /// Always [`super::FIELD_MANAGER`].
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    /// Always `supabase`.
    pub const PART_OF: &str = "app.kubernetes.io/part-of";
    /// Name of the owning object.
    pub const PROJECT: &str = "supabase-operator.dev/project";
    /// UID of the owning object: what ownership is decided by.
    pub const OWNER_UID: &str = "supabase-operator.dev/owner-uid";
    /// What the object is for: `output`, `password`, `oauth-state`, `oauth-grants`, `keys`.
    pub const ROLE: &str = "supabase-operator.dev/role";
    /// Role of a Secret or ConfigMap that applications mount.
    pub const ROLE_OUTPUT: &str = "output";
    /// Role of a Secret that keeps a database password.
    pub const ROLE_PASSWORD: &str = "password";
    /// Role of a Secret that keeps OAuth tokens.
    pub const ROLE_OAUTH_STATE: &str = "oauth-state";
    /// Role of a Secret that keeps what a consent has given, until that is in the token store.
    pub const ROLE_OAUTH_GRANTS: &str = "oauth-grants";
    /// Role of the Secret that keeps the operator's own keys.
    pub const ROLE_KEYS: &str = "keys";
    /// The project ref that a password Secret belongs to.
    pub const REF: &str = "supabase-operator.dev/ref";
    /// Set on a password Secret whose object is gone.
    pub const RETAINED: &str = "supabase-operator.dev/retained";
}

/// The custom resource definitions, ready to be applied or printed.
pub fn crds() -> Vec<CustomResourceDefinition> {
    Kind::ALL.map(crd).into()
}

fn crd(kind: Kind) -> CustomResourceDefinition {
    let mut crd = kind.crd();
    let labels = crd.metadata.labels.get_or_insert_default();
    labels.insert(labels::PART_OF.into(), "supabase".into());
    if kind == Kind::SupabaseProject {
        // The duck type of the Service Binding specification: `status.binding.name`.
        labels.insert("servicebinding.io/provisioned-service".into(), "true".into());
    }
    for version in &mut crd.spec.versions {
        let Some(schema) =
            version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        if let Some(status) = schema.properties.get_or_insert_default().get_mut("status") {
            // Until we have looked, kstatus must not take the object for current.
            status.default = Some(JSON(serde_json::json!({"observedGeneration": -1})));
            // One writer has all of it: who wrote which field need not be kept, which is a third of what is stored of an
            // object otherwise, and read and merged by the API server with each write.
            status.x_kubernetes_map_type = Some("atomic".to_owned());
        }
        drop_integer_formats(schema);
        bounds::set(schema);
        words::set(schema);
        drop_defaults_of_items(schema, false);
    }
    crd
}

/// A definition as YAML, as it lies in `crds/` and as the command `crds` prints it.
pub fn yaml(crd: &CustomResourceDefinition) -> Result<String, serde_saphyr::ser::Error> {
    serde_saphyr::to_string(crd)
}

/// The API server would write defaults into each item of a list, and tools that compare what was applied with what is stored
/// take a list as one value: they would see a difference for ever. So defaults of items are in the code, and rules compare
/// with `has()`.
fn drop_defaults_of_items(schema: &mut JSONSchemaProps, within_item: bool) {
    if within_item {
        schema.default = None;
    }
    for property in schema.properties.iter_mut().flat_map(|all| all.values_mut()) {
        drop_defaults_of_items(property, within_item);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = schema.items.as_mut() {
        drop_defaults_of_items(item, true);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = schema.additional_properties.as_mut() {
        drop_defaults_of_items(value, true);
    }
}

/// API servers warn about `format: uint32` and `int64` adds nothing: formats of integers are dropped.
fn drop_integer_formats(schema: &mut JSONSchemaProps) {
    if schema.type_.as_deref() == Some("integer") {
        schema.format = None;
    }
    for property in schema.properties.iter_mut().flat_map(|map| map.values_mut()) {
        drop_integer_formats(property);
    }
    match schema.items.as_mut() {
        Some(JSONSchemaPropsOrArray::Schema(item)) => drop_integer_formats(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => {
            items.iter_mut().for_each(drop_integer_formats);
        }
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(inner)) = schema.additional_properties.as_mut() {
        drop_integer_formats(inner);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Where the definitions lie: for kubectl, and in the chart, which cannot refer to files outside of it.
    const FOLDERS: [&str; 2] = ["crds", "charts/supabase-operator/files/crds"];

    /// `UPDATE=1 cargo test --lib crds_are_current` writes them anew.
    #[test]
    fn crds_are_current() {
        for folder in FOLDERS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            for crd in crds() {
                let file = folder.join(format!("{}.yaml", crd.spec.names.plural));
                let fresh = yaml(&crd).unwrap();
                if std::env::var_os("UPDATE").is_some() {
                    std::fs::write(&file, &fresh).unwrap();
                }
                let stored = std::fs::read_to_string(&file).unwrap_or_default();
                assert!(stored == fresh, "{} is stale: run 'make crds'", file.display());
            }
            assert_eq!(std::fs::read_dir(&folder).unwrap().count(), crds().len());
        }
    }

    /// Calls with every schema of a kind, and its path.
    fn walk(path: &str, schema: &JSONSchemaProps, see: &mut impl FnMut(&str, &JSONSchemaProps)) {
        see(path, schema);
        for (name, property) in schema.properties.iter().flatten() {
            walk(&format!("{path}.{name}"), property, see);
        }
        if let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items {
            walk(&format!("{path}[]"), item, see);
        }
        if let Some(JSONSchemaPropsOrBool::Schema(value)) = &schema.additional_properties {
            walk(&format!("{path}{{}}"), value, see);
        }
    }

    fn walk_all(see: &mut impl FnMut(&str, &JSONSchemaProps)) {
        for crd in crds() {
            let schema = crd.spec.versions[0].schema.clone().unwrap();
            walk(&crd.spec.names.kind, &schema.open_api_v3_schema.unwrap(), see);
        }
    }

    #[test]
    fn no_item_of_a_list_has_a_default() {
        let mut found = Vec::new();
        let mut items = 0;
        walk_all(&mut |path, schema| {
            let within = path.contains("[]") || path.contains("{}");
            items += usize::from(within);
            if within && schema.default.is_some() {
                found.push(path.to_owned());
            }
        });
        assert!(items > 10);
        assert!(found.is_empty(), "{found:#?}");
    }

    /// Lists in which order means something.
    const ORDERED: [&str; 2] = [".schemas", ".extraSearchPath"];

    /// Lists of texts in which order means nothing are sets, so that several people can add to them by server-side apply.
    #[test]
    fn lists_of_texts_are_sets() {
        let mut found = Vec::new();
        let mut sets = 0;
        walk_all(&mut |path, schema| {
            let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items else {
                return;
            };
            // Types of Kubernetes are as Kubernetes has them.
            if item.type_.as_deref() == Some("string") && !path.contains(".selector.") {
                sets += 1;
                let ordered = ORDERED.iter().any(|list| path.ends_with(list));
                let kind = if ordered { "atomic" } else { "set" };
                if schema.x_kubernetes_list_type.as_deref() != Some(kind) {
                    found.push(path.to_owned());
                }
            }
        });
        assert!(sets >= 3);
        assert!(found.is_empty(), "{found:#?}");
    }

    #[test]
    fn the_status_has_one_owner() {
        let mut kinds = 0;
        for crd in crds() {
            let schema = crd.spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
            let status = &schema.properties.as_ref().unwrap()["status"];
            assert_eq!(status.x_kubernetes_map_type.as_deref(), Some("atomic"));
            kinds += 1;
        }
        assert_eq!(kinds, Kind::ALL.len());
    }

    #[test]
    fn every_field_is_described() {
        fn undescribed(path: &str, schema: &JSONSchemaProps, found: &mut Vec<String>) {
            for (name, property) in schema.properties.iter().flatten() {
                let path = format!("{path}.{name}");
                if property.description.is_none() {
                    found.push(path.clone());
                }
                undescribed(&path, property, found);
                if let Some(JSONSchemaPropsOrArray::Schema(item)) = &property.items {
                    undescribed(&path, item, found);
                }
            }
        }
        let mut found = Vec::new();
        for crd in crds() {
            let schema = crd.spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
            for part in ["spec", "status"] {
                let part = schema.properties.as_ref().unwrap().get(part).unwrap().clone();
                undescribed(&crd.spec.names.kind, &part, &mut found);
            }
        }
        assert!(found.is_empty(), "{found:#?}");
    }
}
