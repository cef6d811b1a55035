//! The kinds, in one list: whatever is done for each of them is driven by it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

use super::project::ConnectionKind;
use super::{
    ClusterSupabaseConnection, ObjectKey, SupabaseAuthConfig, SupabaseConnection, SupabaseProject,
};

/// A kind of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A project.
    SupabaseProject,
    /// A connection of a namespace.
    SupabaseConnection,
    /// A connection of the whole cluster.
    ClusterSupabaseConnection,
    /// The Auth settings of a project.
    SupabaseAuthConfig,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::SupabaseProject,
        Self::SupabaseConnection,
        Self::ClusterSupabaseConnection,
        Self::SupabaseAuthConfig,
    ];

    /// The text in the `kind` field, and in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SupabaseProject => "SupabaseProject",
            Self::SupabaseConnection => "SupabaseConnection",
            Self::ClusterSupabaseConnection => "ClusterSupabaseConnection",
            Self::SupabaseAuthConfig => "SupabaseAuthConfig",
        }
    }

    /// Whether its objects are in no namespace. A namespaced install does without such kinds.
    pub const fn is_cluster_wide(self) -> bool {
        match self {
            Self::SupabaseProject | Self::SupabaseConnection | Self::SupabaseAuthConfig => false,
            Self::ClusterSupabaseConnection => true,
        }
    }

    /// Its definition, as the types say it.
    pub fn crd(self) -> CustomResourceDefinition {
        match self {
            Self::SupabaseProject => SupabaseProject::crd(),
            Self::SupabaseConnection => SupabaseConnection::crd(),
            Self::ClusterSupabaseConnection => ClusterSupabaseConnection::crd(),
            Self::SupabaseAuthConfig => SupabaseAuthConfig::crd(),
        }
    }
}

impl From<ConnectionKind> for Kind {
    fn from(kind: ConnectionKind) -> Self {
        match kind {
            ConnectionKind::SupabaseConnection => Self::SupabaseConnection,
            ConnectionKind::ClusterSupabaseConnection => Self::ClusterSupabaseConnection,
        }
    }
}

/// An object of one of the kinds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Which of them.
    pub key: ObjectKey,
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.kind.as_str(), self.key)
    }
}
