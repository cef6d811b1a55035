//! `SupabaseAuthConfig`: how people sign in to a project.
//!
//! A kind of its own, because it belongs to whoever owns the application. Which field of the platform each of these is stands
//! in the table of `auth_config`, not here.
#![expect(
    clippy::duplicated_attributes,
    reason = "every printer column has a type: the lint takes the words for attributes"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::installation::Installation;
use super::reference::SecretKeyRef;
use super::settings::{Applied, Drift, DriftPolicy, ManagementPolicy};

/// The Auth settings of a project.
#[derive(Clone, CustomResource, Debug, Deserialize, PartialEq, Serialize, KubeSchema)]
#[kube(
    group = "supabase-operator.dev",
    version = "v1alpha1",
    kind = "SupabaseAuthConfig",
    plural = "supabaseauthconfigs",
    namespaced,
    status = "AuthConfigStatus",
    derive = "PartialEq",
    shortname = "sbauth",
    category = "supabase",
    category = "managed",
    selectable = ".spec.projectRef.name",
    doc = "The Auth settings of a Supabase project in the same namespace. What is absent is left as it is on the platform. Whoever may edit this object decides who may sign in.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.projectRef.name"),
    printcolumn(
        name = "Synced",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Synced\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.projectRef.name == oldSelf.projectRef.name").message("projectRef cannot be changed: make another object for another project").field_path(".projectRef.name"))]
pub struct SupabaseAuthConfigSpec {
    /// The project whose settings these are.
    pub project_ref: ProjectRef,
    /// Full (the default) reads and writes; Observe only reads, and reports every difference.
    #[serde(default)]
    pub management_policy: ManagementPolicy,
    /// What happens to a declared setting that somebody else changes: Correct (the default) sets it back, Report leaves
    /// and reports it.
    #[serde(default)]
    pub drift_policy: DriftPolicy,
    /// Stops all work on this object.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// The address of the application: where people are sent after signing in, unless an allowed address is asked for.
    #[serde(default, rename = "siteURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^[^,]+$"))]
    pub site_url: Option<String>,
    /// The addresses to which people may be sent after signing in; they may hold wildcards. An empty list allows none but
    /// siteURL.
    #[serde(default, rename = "redirectURLs", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), inner(length(min = 1, max = 512), regex(pattern = r"^[^,]+$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub redirect_urls: Option<Vec<String>>,
    /// The mail server that Auth sends with, instead of the platform's own, which sends two mails an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp: Option<Smtp>,
    /// Mails of Auth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// How often something may be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limits: Option<RateLimits>,
}

/// The project that Auth settings are for.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectRef {
    /// Name of the SupabaseProject, in the same namespace.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
}

/// A mail server. It is sent to the platform as a whole.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.enabled) && !self.enabled) || (has(self.host) && has(self.port) && has(self.username) && has(self.password) && has(self.senderEmail) && has(self.senderName))").message("smtp needs host, port, username, password, senderEmail and senderName, unless enabled is false"))]
pub struct Smtp {
    /// Whether it is used; absent means yes. With false the platform's own server is used, and the other fields are ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,
    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i64>,
    /// The user to sign in as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 320))]
    pub username: Option<String>,
    /// The user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretSource>,
    /// The address that mails come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 320), regex(pattern = r"^[^@\s]+@[^@\s]+$"))]
    pub sender_email: Option<String>,
    /// The name that mails come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub sender_name: Option<String>,
}

/// Where a secret value comes from.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretSource {
    /// A key of a Secret in the same namespace. The value is taken as it is, without trimming.
    pub secret_key_ref: SecretKeyRef,
}

/// Mails of Auth.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Email {
    /// How many seconds must lie between two mails to one address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 32_767))]
    pub min_interval_seconds: Option<i64>,
}

/// How often something may be done.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimits {
    /// Mails that the project sends in an hour. The platform takes it only with a mail server of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub email_sent: Option<i64>,
}

/// What is known of Auth settings.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthConfigStatus {
    /// The generation of the spec that this status speaks of; -1 before the first look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last value of the annotation `supabase-operator.dev/reconcile-requested-at` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub last_handled_reconcile_at: Option<String>,
    /// The installation of the operator that looks after this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<Installation>,
    /// The settings that this object has put on the platform.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["path".into()]))]
    #[schemars(length(max = 128))]
    pub applied: Vec<Applied>,
    /// The declared settings that the platform does not have as declared, 32 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["path".into()]))]
    #[schemars(length(max = 32))]
    pub drift: Vec<Drift>,
    /// How many declared settings the platform does not have as declared; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_count: Option<i64>,
    /// Ready, Reconciling, Stalled, ProjectReady and Synced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
