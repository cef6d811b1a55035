//! Which installation of the operator looks after an object: its mark in the status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The installation of the operator that looks after this object. Two that serve the same objects see each other by it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Installation {
    /// Namespace and name of its Lease, joined by a slash.
    #[schemars(length(max = 512))]
    pub name: String,
    /// Since when the process that wrote this has led its installation.
    pub term: MicroTime,
    /// Since when this installation has looked after the object.
    pub since: MicroTime,
}
