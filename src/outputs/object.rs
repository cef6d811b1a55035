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
use crate::rules::marks::Marks;

/// The kind that owns outputs.
const PROJECT: &str = "SupabaseProject";

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
            entries: entries.into_iter().map(|(key, ByteString(bytes))| (key, bytes)).collect(),
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
        Self { meta: map.metadata, kind: None, entries }
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

/// Whether an object bears the marks of what the operator makes. Anybody can write labels: they prove nothing about
/// who owns it.
fn is_marked(meta: &ObjectMeta, role: &str) -> bool {
    let label = |key: &str| meta.labels.as_ref().and_then(|labels| labels.get(key));
    label(names::MANAGED_BY).is_some_and(|value| value == FIELD_MANAGER)
        && label(names::ROLE).is_some_and(|value| value == role)
}

/// Whose an object without owner references is, by the UID that it was labelled with. Whether another one's owner
/// still lives must be looked up by that UID.
pub fn labelled(meta: &ObjectMeta, role: &str, uid: &str) -> Belonging {
    let label = |key: &str| meta.labels.as_ref().and_then(|labels| labels.get(key));
    match (is_marked(meta, role), label(names::OWNER_UID)) {
        (true, Some(owner)) if owner == uid => Belonging::Ours,
        (true, Some(owner)) => Belonging::Other {
            uid: owner.clone(),
            project: label(names::PROJECT).cloned().unwrap_or_default(),
        },
        (true, None) | (false, _) => Belonging::Foreign,
    }
}

/// Whose an output is: by the UID of its owner reference. One that somebody took the reference from is ours as long
/// as our status records that we wrote it.
pub fn belonging(meta: &ObjectMeta, project: &SupabaseProject) -> Belonging {
    if !is_marked(meta, names::ROLE_OUTPUT) {
        return Belonging::Foreign;
    }
    let owners = || meta.owner_references.iter().flatten();
    let uid = project.metadata.uid.as_deref().unwrap_or_default();
    let controller = owners().find(|owner| owner.controller == Some(true));
    let of_projects = || owners().filter(|owner| is_project(owner));
    let owner = match controller {
        // Somebody else's controller looks after it.
        Some(owner) if !is_project(owner) => return Belonging::Foreign,
        Some(owner) => Some(owner),
        None => of_projects().find(|owner| owner.uid == uid).or_else(|| of_projects().next()),
    };
    let recorded = || {
        let status = project.status.as_ref();
        let written = status.is_some_and(|status| {
            let mut outputs = status.outputs.iter();
            outputs.any(|output| Some(&output.name) == meta.name.as_ref())
        });
        written && labelled(meta, names::ROLE_OUTPUT, uid) == Belonging::Ours
    };
    match owner {
        Some(owner) if owner.uid == uid => Belonging::Ours,
        Some(owner) => Belonging::Other { uid: owner.uid.clone(), project: owner.name.clone() },
        None if recorded() => Belonging::Ours,
        None => Belonging::Foreign,
    }
}

fn is_project(owner: &OwnerReference) -> bool {
    let group = owner.api_version.split('/').next();
    group == Some(GROUP) && owner.kind == PROJECT
}

/// What is written for a project bears the operator's labels, which win over the user's.
pub fn marked(project: &SupabaseProject, role: &str, declared: Marks) -> Marks {
    let name: String = project.name_any().chars().take(63).collect();
    declared.with([
        (names::MANAGED_BY, FIELD_MANAGER),
        (names::PART_OF, "supabase"),
        (names::PROJECT, name.trim_end_matches(['-', '.'])),
        (names::OWNER_UID, project.metadata.uid.as_deref().unwrap_or_default()),
        (names::ROLE, role),
    ])
}

fn marks(project: &SupabaseProject, output: &Output) -> Marks {
    let declared = Marks {
        labels: output.labels.clone().unwrap_or_default(),
        annotations: output.annotations.clone().unwrap_or_default(),
    };
    marked(project, names::ROLE_OUTPUT, declared)
}

/// The metadata of an output, over what was found: what others have put there stays, our own of an earlier
/// declaration does not.
fn meta(project: &SupabaseProject, output: &Output, found: Option<&Found>) -> ObjectMeta {
    let owner = OwnerReference {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: PROJECT.to_owned(),
        name: project.name_any(),
        uid: project.uid().unwrap_or_default(),
        controller: Some(true),
        // Foreground deletion of the project must not wait for its outputs.
        block_owner_deletion: Some(false),
    };
    let mut meta = found.map(|found| found.meta.clone()).unwrap_or_default();
    marks(project, output).put_on(&mut meta, FIELD_MANAGER);
    let mut owners = meta.owner_references.take().unwrap_or_default();
    owners.retain(|owner| !is_project(owner));
    owners.push(owner);
    ObjectMeta {
        name: Some(output.name.clone()),
        namespace: project.namespace(),
        owner_references: Some(owners),
        ..meta
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

/// Keyed digest of an output, bound to its object: of its declaration, of what it holds, and of the password that
/// counts, given by its own digest. Whatever of these changes, the output is stale.
pub fn digest<'a>(
    key: &DigestKey,
    object: &str,
    output: &Output,
    password: Option<&str>,
    kind: Option<&str>,
    entries: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> String {
    parts(output, password, kind, entries, |parts| {
        key.bound("output", object, parts.iter().copied())
    })
}

/// Keyed digest of what an output holds, bound to its object, whatever it was declared as.
pub fn content_digest<'a>(
    key: &DigestKey,
    object: &str,
    entries: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> String {
    let parts: Vec<&[u8]> = entries.flat_map(|(name, value)| [name.as_bytes(), value]).collect();
    key.bound("content", object, parts)
}

/// The digest as earlier releases made it.
pub fn unbound_digest<'a>(
    key: &DigestKey,
    output: &Output,
    password: Option<&str>,
    kind: Option<&str>,
    entries: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> String {
    parts(output, password, kind, entries, |parts| key.digest("output", parts.iter().copied()))
}

fn parts<'a>(
    output: &Output,
    password: Option<&str>,
    kind: Option<&str>,
    entries: impl Iterator<Item = (&'a str, &'a [u8])>,
    digest: impl FnOnce(&[&[u8]]) -> String,
) -> String {
    let declared = serde_json::to_vec(output).unwrap_or_default();
    let password = password.filter(|_| output.needs_password()).unwrap_or_default();
    let kind = kind.unwrap_or_default();
    let mut parts = vec![declared.as_slice(), password.as_bytes(), kind.as_bytes()];
    for (name, value) in entries {
        parts.extend([name.as_bytes(), value]);
    }
    digest(&parts)
}

/// Whether labels, annotations and owner are as we write them. Others may have added their own.
pub fn meta_is_current(project: &SupabaseProject, output: &Output, found: &Found) -> bool {
    let owned = |references: &Option<Vec<OwnerReference>>| {
        references.iter().flatten().any(|owner| Some(&owner.uid) == project.metadata.uid.as_ref())
    };
    marks(project, output).are_on(&found.meta, FIELD_MANAGER) && owned(&found.meta.owner_references)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
    use serde_json::json;

    use super::*;

    const UID: &str = "u1";

    fn project(status: &serde_json::Value) -> SupabaseProject {
        let object = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"), "kind": PROJECT,
            "metadata": {"name": "orders", "namespace": "team-a", "uid": UID},
            "spec": {"connectionRef": {"kind": "SupabaseConnection", "name": "acme"}},
            "status": status,
        });
        serde_json::from_value(object).unwrap()
    }

    fn never_written() -> SupabaseProject {
        project(&json!({}))
    }

    fn output() -> Output {
        serde_json::from_value(json!({"name": "app", "labels": {"tier": "db"}})).unwrap()
    }

    fn reference(kind: &str, name: &str, uid: &str, controller: bool) -> OwnerReference {
        OwnerReference {
            api_version: if kind == PROJECT {
                format!("{GROUP}/{VERSION}")
            } else {
                "example.com/v1".to_owned()
            },
            kind: kind.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            controller: Some(controller),
            block_owner_deletion: None,
        }
    }

    /// An object that is labelled as this project's output, whoever owns it.
    fn labelled_as_ours(owners: Vec<OwnerReference>) -> ObjectMeta {
        ObjectMeta {
            name: Some("app".to_owned()),
            labels: Some(marked(&never_written(), names::ROLE_OUTPUT, Marks::default()).labels),
            owner_references: Some(owners).filter(|owners| !owners.is_empty()),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn who_owns_an_output_is_told_by_uids_and_never_by_labels() {
        let other =
            |name: &str| Belonging::Other { uid: "u2".to_owned(), project: name.to_owned() };
        let long = format!("{}-one", "x".repeat(70));
        for (owners, whose) in [
            // Labels alone are nobody's word.
            (vec![], Belonging::Foreign),
            (vec![reference("Deployment", "d", "u9", false)], Belonging::Foreign),
            (vec![reference(PROJECT, "orders", UID, true)], Belonging::Ours),
            (vec![reference(PROJECT, "orders", UID, false)], Belonging::Ours),
            // Labelled as ours, and owned by another one, whose whole name is told.
            (vec![reference(PROJECT, "orders", "u2", true)], other("orders")),
            (vec![reference(PROJECT, &long, "u2", true)], other(&long)),
            (
                vec![
                    reference(PROJECT, "orders", UID, false),
                    reference(PROJECT, "shop", "u2", true),
                ],
                other("shop"),
            ),
            // Somebody else's controller writes it.
            (
                vec![
                    reference(PROJECT, "orders", UID, false),
                    reference("ExternalSecret", "e", "u9", true),
                ],
                Belonging::Foreign,
            ),
        ] {
            let meta = labelled_as_ours(owners);
            assert_eq!(belonging(&meta, &never_written()), whose, "{meta:?}");
        }
        let mut unmarked = labelled_as_ours(vec![reference(PROJECT, "orders", UID, true)]);
        unmarked.labels = None;
        assert_eq!(belonging(&unmarked, &never_written()), Belonging::Foreign);
        // What our status records was written by us; somebody took the reference away.
        let written = json!({"outputs": [{"name": "app", "kind": "Secret", "digest": "d"}]});
        let meta = labelled_as_ours(vec![]);
        assert_eq!(belonging(&meta, &project(&written)), Belonging::Ours);
        let taken = labelled_as_ours(vec![reference(PROJECT, "shop", "u2", true)]);
        assert_eq!(belonging(&taken, &project(&written)), other("shop"));
    }

    #[test]
    fn what_others_put_on_an_output_survives_its_rewriting() {
        let fields = json!({"f:metadata": {
            "f:labels": {"f:former": {}},
            "f:annotations": {"f:former-note": {}},
        }});
        let mut meta = labelled_as_ours(vec![
            reference(PROJECT, "orders", "dead", true),
            reference("Application", "a", "u9", false),
        ]);
        let marks = meta.labels.get_or_insert_default();
        marks.insert("former".to_owned(), "ours".to_owned());
        marks.insert("team".to_owned(), "theirs".to_owned());
        meta.annotations = Some(BTreeMap::from([
            ("former-note".to_owned(), "ours".to_owned()),
            ("note".to_owned(), "theirs".to_owned()),
        ]));
        meta.finalizers = Some(vec!["example.com/hold".to_owned()]);
        meta.resource_version = Some("7".to_owned());
        meta.managed_fields = Some(vec![ManagedFieldsEntry {
            manager: Some(FIELD_MANAGER.to_owned()),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }]);
        let found = Found { meta, ..Found::default() };
        let next = super::meta(&never_written(), &output(), Some(&found));
        let marks = next.labels.unwrap();
        assert_eq!(marks.get("team").map(String::as_str), Some("theirs"));
        assert_eq!(marks.get("tier").map(String::as_str), Some("db"));
        assert!(!marks.contains_key("former"));
        let notes: Vec<_> = next.annotations.unwrap().into_keys().collect();
        assert_eq!(notes, ["note"]);
        let owners = next.owner_references.unwrap();
        let owners: Vec<_> = owners.iter().map(|owner| owner.uid.as_str()).collect();
        assert_eq!(owners, ["u9", UID]);
        assert_eq!(next.finalizers, Some(vec!["example.com/hold".to_owned()]));
        assert_eq!(next.resource_version.as_deref(), Some("7"));
    }

    #[test]
    fn equal_outputs_of_two_objects_have_different_digests() {
        let key = DigestKey::from_bytes(&[7; 32]).unwrap();
        let of = |object: &str| {
            let entries = [("key", b"value".as_slice())];
            digest(&key, object, &output(), None, Some("Opaque"), entries.into_iter())
        };
        let tail = |digest: String| digest.split_once(':').unwrap().1.to_owned();
        assert_ne!(tail(of("a/orders")), tail(of("b/orders")));
    }
}
