//! Settings of the platform that a spec may declare, and what the status says of them.
//!
//! A setting that is absent is not managed: it is neither read for differences nor written. So none of them has a default,
//! and what looks like one is a policy of ours. Separate because two kinds share policies and status.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Entries of `status.applied`.
pub const MOST_APPLIED: usize = 128;
/// Entries of `status.drift`; `status.driftCount` counts all.
pub const MOST_DRIFT: usize = 32;
/// Bytes of a path in a status.
pub const LONGEST_PATH: usize = 128;
/// Bytes of a value as it is shown in a status: fewer than the schema allows, so that a whole status keeps within 64 KiB.
pub const LONGEST_SHOWN: usize = 128;

/// Whether the operator may write to the platform.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize, JsonSchema)]
pub enum ManagementPolicy {
    /// It reads and writes.
    #[default]
    Full,
    /// It only reads, and reports every difference.
    Observe,
}

/// What happens to a declared setting that somebody else changes.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize, JsonSchema)]
pub enum DriftPolicy {
    /// It is set back.
    #[default]
    Correct,
    /// It is reported and left. A changed declaration is still applied, once.
    Report,
}

/// From where the database can be reached.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkRestrictions {
    /// The networks from which connections are let in, IPv4 and IPv6, such as 203.0.113.0/24 or 2001:db8::/32. A family of
    /// which no network is named is closed. They hold for Postgres and the poolers, not for the HTTP APIs.
    #[serde(rename = "allowedCIDRs")]
    #[schemars(
        length(min = 1, max = 100),
        inner(length(min = 1, max = 43), regex(pattern = r"^[0-9A-Fa-f.:]+/[0-9]{1,3}$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_cidrs: Vec<String>,
}

/// When a changed parameter may restart the database.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize, JsonSchema)]
pub enum ParametersRestart {
    /// Never: a parameter that needs a restart takes effect at the next one.
    #[default]
    Never,
    /// When a parameter changes that takes effect at a restart only.
    IfRequired,
}

/// Parameters of Postgres by name.
pub type Parameters = BTreeMap<String, ParameterValue>;

/// A whole number or a text. Parameters of Postgres count in 64 bits, so that Kubernetes' own type of this kind does not do.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ParameterValue {
    /// As it is written without quotes.
    Number(i64),
    /// As it is written in quotes.
    Text(String),
}

impl JsonSchema for ParameterValue {
    fn schema_name() -> Cow<'static, str> {
        "ParameterValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"x-kubernetes-int-or-string": true})
    }
}

/// The REST and GraphQL interface to the database.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.enabled) || self.enabled || !(has(self.schemas) || has(self.extraSearchPath) || has(self.maxRows) || has(self.poolSize) || has(self.poolAcquisitionTimeoutSeconds))").message("dataAPI.enabled false stands alone: the platform keeps nothing else of a Data API that is off"))]
pub struct DataApi {
    /// Whether it is on. One that is off is switched on by naming schemas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The schemas that it serves, the default one first. Needed when it is off on the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 50),
        inner(length(min = 1, max = 63), regex(pattern = r"^[^,\s]+$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub schemas: Option<Vec<String>>,
    /// Schemas that are searched besides, in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 63), regex(pattern = r"^[^,\s]+$")))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub extra_search_path: Option<Vec<String>>,
    /// Rows that one answer holds at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_rows: Option<i64>,
    /// Connections to the database that it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub pool_size: Option<i64>,
    /// How long a request waits for a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 60))]
    pub pool_acquisition_timeout_seconds: Option<i64>,
}

/// A setting that this object has put on the platform.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// Which one, by its place in the spec.
    #[schemars(length(max = 128))]
    pub path: String,
    /// Keyed digest of its value. Without the operator's key it tells only whether two values of this setting of this
    /// object are equal.
    #[schemars(length(max = 512))]
    pub digest: String,
}

/// A declared setting that the platform does not have as declared.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// Which one, by its place in the spec.
    #[schemars(length(max = 128))]
    pub path: String,
    /// What is declared, shortened. Of a set, what is missing on the platform. A secret is not shown.
    #[schemars(length(max = 256))]
    pub desired: String,
    /// What the platform has, shortened. Of a set, what it has too much. A secret is not shown.
    #[schemars(length(max = 256))]
    pub observed: String,
    /// Why it is so.
    pub reason: DriftReason,
    /// Since when it is known.
    pub since: Time,
}

/// Why a declared setting is not as declared.
#[derive(
    Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema,
)]
pub enum DriftReason {
    /// Somebody else changed it, and the policy is to leave it.
    Reported,
    /// The platform accepted it; it is not in force yet.
    Pending,
    /// It is about to be written.
    Differs,
    /// It was set back three times within a day and does not hold. It is left until the spec changes or a reconcile is asked for.
    NotHolding,
    /// The credential may not read or write it.
    CapabilityUnavailable,
    /// The plan does not include it.
    PaymentRequired,
    /// The platform refused the value.
    Refused,
}
