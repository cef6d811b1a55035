//! Which connection: both kinds in one type.

use std::fmt;

use crate::api::ObjectKey;
use crate::api::project::{ConnectionKind, ConnectionRef};

/// A connection object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// Whether it is of a namespace or of the cluster.
    pub kind: ConnectionKind,
    /// Its namespace; none for the cluster-wide kind.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
}

impl ConnectionId {
    /// The object need not exist.
    pub fn new(kind: ConnectionKind, key: &ObjectKey) -> Self {
        Self { kind, namespace: key.namespace().map(str::to_owned), name: key.name().to_owned() }
    }

    /// The connection that an object of a namespace refers to.
    pub fn named(namespace: &str, wanted: &ConnectionRef) -> Self {
        Self {
            kind: wanted.kind,
            namespace: match wanted.kind {
                ConnectionKind::SupabaseConnection => Some(namespace.to_owned()),
                ConnectionKind::ClusterSupabaseConnection => None,
            },
            name: wanted.name.clone(),
        }
    }

    /// Its key among the objects of its kind.
    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.as_deref(), &self.name)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ConnectionKind::SupabaseConnection => write!(formatter, "{}", self.key()),
            ConnectionKind::ClusterSupabaseConnection => write!(formatter, "cluster {}", self.name),
        }
    }
}
