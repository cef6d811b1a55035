//! Outputs as objects of the API server: how they are labelled, whose one that is found is, and whether it is
//! still what was written.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt as _;

use super::Rendered;
use crate::api::{FIELD_MANAGER, GROUP, Output, SupabaseProject, VERSION, labels as names};
use crate::rules::digest::DigestKey;

/// What is found under an output's name.
#[derive(Clone, Default)]
pub struct Found {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// Type of a Secret; none of a ConfigMap.
    pub kind: Option<String>,
    /// What it holds.
    pub entries: BTreeMap<String, Vec<u8>>,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Found")
            .field("name", &self.meta.name)
            .field("kind", &self.kind)
            .field("keys", &self.entries.keys())
            .finish_non_exhaustive()
    }
}

impl From<Secret> for Found {
    fn from(secret: Secret) -> Self {
        let entries = secret.data.unwrap_or_default();
        Self {
            meta: secret.metadata,
            kind: secret.type_,
            entries: entries
                .into_iter()
                .map(|(key, ByteString(bytes))| (key, bytes))
                .collect(),
        }
    }
}

impl From<ConfigMap> for Found {
    fn from(map: ConfigMap) -> Self {
        let text = map.data.unwrap_or_default().into_iter();
        let binary = map.binary_data.unwrap_or_default().into_iter();
        let entries = text
            .map(|(key, value)| (key, value.into_bytes()))
            .chain(binary.map(|(key, ByteString(bytes))| (key, bytes)))
            .collect();
        Self {
            meta: map.metadata,
            kind: None,
            entries,
        }
    }
}

/// Whose an object is that stands where we want to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Belonging {
    /// This very object's.
    Ours,
    /// Another object's of ours, which may still live.
    Other {
        /// The owner's UID.
        uid: String,
        /// The owner's name.
        project: String,
    },
    /// Somebody else's.
    Foreign,
}

/// Whose an object is, by its labels.
pub fn belonging(meta: &ObjectMeta, role: &str, uid: &str) -> Belonging {
    let label = |key: &str| meta.labels.as_ref().and_then(|labels| labels.get(key));
    let is_operators = label(names::MANAGED_BY).is_some_and(|value| value == FIELD_MANAGER)
        && label(names::ROLE).is_some_and(|value| value == role);
    match (is_operators, label(names::OWNER_UID)) {
        (true, Some(owner)) if owner == uid => Belonging::Ours,
        (true, Some(owner)) => Belonging::Other {
            uid: owner.clone(),
            project: label(names::PROJECT).cloned().unwrap_or_default(),
        },
        (true, None) | (false, _) => Belonging::Foreign,
    }
}

/// The labels of what we write for a project. Ours win over the user's.
pub fn labels(
    project: &SupabaseProject,
    role: &str,
    more: Option<&BTreeMap<String, String>>,
) -> BTreeMap<String, String> {
    let mut labels = more.cloned().unwrap_or_default();
    let name: String = project.name_any().chars().take(63).collect();
    for (key, value) in [
        (names::MANAGED_BY, FIELD_MANAGER),
        (names::PART_OF, "supabase"),
        (names::PROJECT, name.trim_end_matches(['-', '.'])),
        (
            names::OWNER_UID,
            project.metadata.uid.as_deref().unwrap_or_default(),
        ),
        (names::ROLE, role),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    labels
}

fn meta(project: &SupabaseProject, output: &Output, found: Option<&Found>) -> ObjectMeta {
    let owner = OwnerReference {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: "SupabaseProject".to_owned(),
        name: project.name_any(),
        uid: project.uid().unwrap_or_default(),
        controller: Some(true),
        // Foreground deletion of the project must not wait for its outputs.
        block_owner_deletion: Some(false),
    };
    ObjectMeta {
        name: Some(output.name.clone()),
        namespace: project.namespace(),
        labels: Some(labels(project, names::ROLE_OUTPUT, output.labels.as_ref())),
        annotations: output
            .annotations
            .clone()
            .filter(|annotations| !annotations.is_empty()),
        owner_references: Some(vec![owner]),
        resource_version: found.and_then(|found| found.meta.resource_version.clone()),
        finalizers: found.and_then(|found| found.meta.finalizers.clone()),
        ..ObjectMeta::default()
    }
}

/// An output as a Secret; over what was found, if anything.
pub fn to_secret(
    project: &SupabaseProject,
    output: &Output,
    rendered: &Rendered,
    found: Option<&Found>,
) -> Secret {
    let entries = rendered.data.entries().iter();
    Secret {
        metadata: meta(project, output, found),
        type_: Some(rendered.kind.to_owned()),
        data: Some(
            entries
                .map(|(key, value)| (key.clone(), ByteString(value.clone().into_bytes())))
                .collect(),
        ),
        ..Secret::default()
    }
}

/// An output as a ConfigMap; over what was found, if anything.
pub fn to_config_map(
    project: &SupabaseProject,
    output: &Output,
    rendered: &Rendered,
    found: Option<&Found>,
) -> ConfigMap {
    ConfigMap {
        metadata: meta(project, output, found),
        data: Some(rendered.data.entries().clone()),
        ..ConfigMap::default()
    }
}

/// Keyed digest of an output: of its declaration, of what it holds, and of the password that counts, given by its
/// own digest. Whatever of these changes, the output is stale.
pub fn digest<'a>(
    key: &DigestKey,
    output: &Output,
    password: Option<&str>,
    kind: Option<&str>,
    entries: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> String {
    let declared = serde_json::to_vec(output).unwrap_or_default();
    let password = password
        .filter(|_| output.needs_password())
        .unwrap_or_default();
    let kind = kind.unwrap_or_default();
    let mut parts = vec![declared.as_slice(), password.as_bytes(), kind.as_bytes()];
    for (name, value) in entries {
        parts.extend([name.as_bytes(), value]);
    }
    key.digest("output", parts)
}

/// Whether labels, annotations and owner are as we write them. Others may have added their own.
pub fn meta_is_current(project: &SupabaseProject, output: &Output, found: &Found) -> bool {
    let wanted = meta(project, output, None);
    let holds = |there: &Option<BTreeMap<String, String>>,
                 wanted: &Option<BTreeMap<String, String>>| {
        wanted
            .iter()
            .flatten()
            .all(|(key, value)| there.as_ref().and_then(|there| there.get(key)) == Some(value))
    };
    let owned = |references: &Option<Vec<OwnerReference>>| {
        references
            .iter()
            .flatten()
            .any(|owner| Some(&owner.uid) == project.metadata.uid.as_ref())
    };
    holds(&found.meta.labels, &wanted.labels)
        && holds(&found.meta.annotations, &wanted.annotations)
        && owned(&found.meta.owner_references)
}
