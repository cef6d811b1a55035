//! `SupabaseConnection` and `ClusterSupabaseConnection`: a credential with its own health.
#![expect(
    clippy::duplicated_attributes,
    reason = "every printer column has a type: the lint takes the words for attributes"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::installation::Installation;
use super::project::ConnectionKind;
use super::reference::{SecretKeyRef, SecretRef};
use super::template::SecretTemplate;

/// A credential for one Supabase organization, with its own health.
#[derive(Clone, CustomResource, Debug, Deserialize, PartialEq, Serialize, KubeSchema)]
#[kube(
    group = "supabase-operator.dev",
    version = "v1alpha1",
    kind = "SupabaseConnection",
    plural = "supabaseconnections",
    namespaced,
    status = "ConnectionStatus",
    derive = "PartialEq",
    shortname = "sbconn",
    category = "supabase",
    category = "managed",
    doc = "A credential for a Supabase organization, with its own health. Projects in the same namespace refer to it.",
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
    printcolumn(name = "Mode", type_ = "string", json_path = ".status.authMode"),
    printcolumn(name = "Organizations", type_ = "string", json_path = ".status.organizationList"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct SupabaseConnectionSpec {
    /// How the operator proves who it is. Exactly one member must be set.
    pub auth: Auth,
    /// Pins the connection to one organization: anything outside of it is refused. A slug is the last part of
    /// the organization's dashboard address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub organization_slug: Option<String>,
    /// Labels and annotations of every Secret that the operator makes for this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_template: Option<SecretTemplate>,
}

/// A credential for all namespaces that it admits.
#[derive(Clone, CustomResource, Debug, Deserialize, PartialEq, Serialize, KubeSchema)]
#[kube(
    group = "supabase-operator.dev",
    version = "v1alpha1",
    kind = "ClusterSupabaseConnection",
    plural = "clustersupabaseconnections",
    status = "ConnectionStatus",
    derive = "PartialEq",
    shortname = "csbconn",
    category = "supabase",
    category = "managed",
    doc = "A credential for a Supabase organization, shared with the namespaces that it admits. Its Secrets are read from the operator's namespace.",
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
    printcolumn(name = "Mode", type_ = "string", json_path = ".status.authMode"),
    printcolumn(name = "Organizations", type_ = "string", json_path = ".status.organizationList"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSupabaseConnectionSpec {
    /// How the operator proves who it is. Exactly one member must be set. Secrets are read from the operator's
    /// namespace.
    pub auth: Auth,
    /// Pins the connection to one organization: anything outside of it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub organization_slug: Option<String>,
    /// Labels and annotations of every Secret that the operator makes for this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_template: Option<SecretTemplate>,
    /// Namespaces whose projects may use this connection: those named and those selected. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// Organizations that may be used. Absent: every one that the credential sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 100)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_organizations: Option<Vec<String>>,
    /// Whether projects that exist already may be adopted through this connection. Forbidden (the default)
    /// keeps tenants from taking over each other's projects. It holds for projects that were adopted through another
    /// connection as well: nothing is done with them through this one.
    #[serde(default)]
    pub adoption: Adoption,
}

/// A union of names and a label selector.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.selector) || !has(self.selector.matchLabels) || self.selector.matchLabels.all(key, key.size() <= 317)").message("the key of a label has at most 317 characters").field_path(".selector.matchLabels"))]
pub struct AllowedNamespaces {
    /// Namespaces by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub names: Vec<String>,
    /// Namespaces by their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Whether projects that exist already may be adopted.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Adoption {
    /// Only projects that the operator created for the very object are taken.
    #[default]
    Forbidden,
    /// Projects may be adopted as their objects' policies say.
    Allowed,
}

/// One way to authenticate.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.oauth) != has(self.personalAccessToken)").message("set exactly one of auth.oauth and auth.personalAccessToken"))]
pub struct Auth {
    /// OAuth tokens of a "Supabase integration". The operator refreshes them and keeps the current pair in a
    /// Secret of its own, `<connection>-oauth-state`; your Secrets are never written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuth>,
    /// A personal access token. It reaches everything that its user can reach, so prefer OAuth or a scoped
    /// token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personal_access_token: Option<PersonalAccessToken>,
}

/// OAuth credentials.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OAuth {
    /// Secret with the keys `client_id` and `client_secret` of the OAuth app. Without it the operator's own app is
    /// used, if it was installed with one; without either only an access token that somebody else renews can be used.
    /// When you take it out with server-side apply, write `revokeOnDelete: false` in its place: an `oauth` that becomes
    /// empty would go too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_secret_ref: Option<SecretRef>,
    /// Secret with the keys `access_token` and/or `refresh_token`, and optionally `expires_at` (RFC 3339 or
    /// seconds since 1970). Put a new refresh token there after authorizing again; it takes over once it has worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretRef>,
    /// Whether deleting the connection ends what the app may do in the organization, once no project and no other
    /// connection of the same app needs it. It is tried once: if the platform does not answer, the connection goes all
    /// the same, and the app can be removed in the organization's settings.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoke_on_delete: bool,
}

/// A personal access token in a Secret.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersonalAccessToken {
    /// Where the token is.
    pub secret_key_ref: SecretKeyRef,
}

/// How a connection authenticates.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, JsonSchema)]
pub enum AuthMode {
    /// OAuth tokens.
    OAuth,
    /// A personal access token.
    PersonalAccessToken,
}

/// What is known of a connection.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionStatus {
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
    /// How the connection authenticates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AuthMode")]
    pub auth_mode: Option<AuthMode>,
    /// The organizations that the credential sees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["slug".into()]))]
    #[schemars(length(max = 256))]
    pub organizations: Vec<OrganizationStatus>,
    /// The slugs of these organizations in one text, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub organization_list: Option<String>,
    /// What the credential may do, as far as it was tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 64))]
    pub capabilities: Vec<Capability>,
    /// When the current access token ends. It moves once a refresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_expires_at: Option<Time>,
    /// Where somebody who may decide for the organization can give consent, in a browser. It is there while the
    /// connection lacks working tokens, if the operator serves such pages and the connection names its organization.
    /// It stays the same for the life of the object.
    #[serde(default, rename = "consentURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub consent_url: Option<String>,
    /// Ready, Reconciling, Stalled and DeletionBlocked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// An organization that the credential sees.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrganizationStatus {
    /// Its slug, the name in addresses.
    #[schemars(length(max = 256))]
    pub slug: String,
    /// Its display name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub name: String,
}

/// Something that a credential may or may not do.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capability {
    /// `ListProjects`, `CreateProject`, `ReadKeys`, `ReadPooler`.
    #[schemars(length(max = 256))]
    pub name: String,
    /// Available, Unavailable, or Unknown while it has not been tried.
    pub status: CapabilityStatus,
}

/// Whether a capability is there.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, JsonSchema)]
pub enum CapabilityStatus {
    /// A call worked.
    Available,
    /// A call was refused for want of the right.
    Unavailable,
    /// Not tried yet.
    Unknown,
}

/// What the two connection kinds share, by reference.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionView<'a> {
    /// The way to authenticate.
    pub auth: &'a Auth,
    /// The pin.
    pub organization_slug: Option<&'a str>,
    /// What its Secrets bear.
    pub secret_template: Option<&'a SecretTemplate>,
}

/// A connection of either kind.
pub trait Connection:
    kube::Resource<DynamicType = ()>
    + Clone
    + std::fmt::Debug
    + Serialize
    + serde::de::DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// Which of the two it is.
    const KIND: ConnectionKind;

    /// `spec` as both kinds have it.
    fn view(&self) -> ConnectionView<'_>;
    /// `status`, if there is one.
    fn status(&self) -> Option<&ConnectionStatus>;
    /// Whether the organization may be used, apart from what the credential sees.
    fn admits_organization(&self, slug: &str) -> bool;
    /// Name of the Secret that holds the operator's current pair of tokens.
    fn state_secret_name(&self) -> String {
        Self::KIND.state_secret_of(self.meta().name.as_deref().unwrap_or_default())
    }
    /// Name of the Secret that holds what a consent has given, until that is in the token store.
    fn grants_secret_name(&self) -> String {
        Self::KIND.grants_secret_of(self.meta().name.as_deref().unwrap_or_default())
    }
}

impl ConnectionKind {
    /// The Secret that holds the current pair of tokens of a connection of this kind and name.
    pub fn state_secret_of(self, name: &str) -> String {
        match self {
            Self::SupabaseConnection => format!("{name}-oauth-state"),
            Self::ClusterSupabaseConnection => format!("{name}-oauth-cluster-state"),
        }
    }

    /// The Secret that holds what a consent has given to it.
    pub fn grants_secret_of(self, name: &str) -> String {
        match self {
            Self::SupabaseConnection => format!("{name}-oauth-grants"),
            Self::ClusterSupabaseConnection => format!("{name}-oauth-cluster-grants"),
        }
    }
}

impl Connection for SupabaseConnection {
    const KIND: ConnectionKind = ConnectionKind::SupabaseConnection;

    fn view(&self) -> ConnectionView<'_> {
        ConnectionView {
            auth: &self.spec.auth,
            organization_slug: self.spec.organization_slug.as_deref(),
            secret_template: self.spec.secret_template.as_ref(),
        }
    }
    fn status(&self) -> Option<&ConnectionStatus> {
        self.status.as_ref()
    }
    fn admits_organization(&self, slug: &str) -> bool {
        self.spec.organization_slug.as_deref().is_none_or(|pin| pin == slug)
    }
}

impl Connection for ClusterSupabaseConnection {
    const KIND: ConnectionKind = ConnectionKind::ClusterSupabaseConnection;

    fn view(&self) -> ConnectionView<'_> {
        ConnectionView {
            auth: &self.spec.auth,
            organization_slug: self.spec.organization_slug.as_deref(),
            secret_template: self.spec.secret_template.as_ref(),
        }
    }
    fn status(&self) -> Option<&ConnectionStatus> {
        self.status.as_ref()
    }
    fn admits_organization(&self, slug: &str) -> bool {
        self.spec.organization_slug.as_deref().is_none_or(|pin| pin == slug)
            && self
                .spec
                .allowed_organizations
                .as_ref()
                .is_none_or(|allowed| allowed.iter().any(|name| name == slug))
    }
}
