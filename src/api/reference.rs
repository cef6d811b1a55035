//! References from our kinds to other objects. No reference of a namespaced kind names a namespace: a
//! tenant can only ever spend Secrets of his own.

use std::sync::Arc;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// One key of a Secret in the same namespace.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
    /// Key within the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// A whole Secret in the same namespace.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
}

/// Which object: its name and, unless its kind is cluster-wide, its namespace.
///
/// Many tables hold one for each object: it is one text, which clones share.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// Between namespace and name: neither can hold it.
    const SEPARATOR: char = '/';

    /// The key of an object of this name; without a namespace of a cluster-wide kind. All of a namespace stand together in
    /// the order of keys, after the one with an empty name.
    pub fn new(namespace: Option<&str>, name: &str) -> Self {
        Self(format!("{}{}{name}", namespace.unwrap_or_default(), Self::SEPARATOR).into())
    }

    /// The key of an object.
    pub fn of<K: kube::Resource>(object: &K) -> Self {
        let meta = object.meta();
        Self::new(meta.namespace.as_deref(), meta.name.as_deref().unwrap_or_default())
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once(Self::SEPARATOR).unwrap_or(("", &self.0))
    }

    /// The namespace; none for a cluster-wide kind.
    pub fn namespace(&self) -> Option<&str> {
        Some(self.parts().0).filter(|namespace| !namespace.is_empty())
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.parts().1
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.0.strip_prefix(Self::SEPARATOR).unwrap_or(&self.0))
    }
}

impl std::fmt::Debug for ObjectKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_back_what_it_was_made_of() {
        let of = |namespace, name| {
            let key = ObjectKey::new(namespace, name);
            (key.namespace().map(str::to_owned), key.name().to_owned(), key.to_string())
        };
        let owned = str::to_owned;
        assert_eq!(
            of(Some("team"), "orders"),
            (Some(owned("team")), owned("orders"), owned("team/orders"))
        );
        assert_eq!(of(None, "acme"), (None, owned("acme"), owned("acme")));
        assert_eq!(of(Some("team"), ""), (Some(owned("team")), String::new(), owned("team/")));
    }

    #[test]
    fn all_of_a_namespace_stand_together() {
        let namespaces = ["a", "a-b", "a1", "ab", "b"];
        let names = ["", "-", "a", "a.b", "z"];
        let mut keys: Vec<_> = names
            .iter()
            .flat_map(|name| namespaces.map(|space| ObjectKey::new(Some(space), name)))
            .collect();
        keys.sort();
        let mut spaces: Vec<_> = keys.iter().filter_map(ObjectKey::namespace).collect();
        spaces.dedup();
        assert_eq!(spaces.len(), namespaces.len());
        assert!(keys.chunks(names.len()).all(|of_one| of_one[0].name().is_empty()));
    }
}
