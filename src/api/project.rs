//! `SupabaseProject`: a hosted project, its database password and the Secrets that applications mount.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::output::Output;
use super::reference::SecretKeyRef;
use super::settings::{
    DataApi, DriftPolicy, ManagementPolicy, NetworkRestrictions, Parameters, ParametersRestart,
};
pub use super::status::{
    Attempt, AttemptOutcome, Binding, Creation, Credentials, Endpoints, OutputStatus,
    PasswordOrigin, ProjectStatus, ServiceStatus,
};
use super::template::SecretTemplate;

/// A hosted Supabase project.
#[derive(Clone, CustomResource, Debug, Deserialize, PartialEq, Serialize, KubeSchema)]
#[kube(
    group = "supabase-operator.dev",
    version = "v1alpha1",
    kind = "SupabaseProject",
    plural = "supabaseprojects",
    namespaced,
    status = "ProjectStatus",
    derive = "PartialEq",
    shortname = "sbproj",
    category = "supabase",
    category = "managed",
    selectable = ".status.ref",
    selectable = ".spec.connectionRef.kind",
    selectable = ".spec.connectionRef.name",
    // At the root, since they look at the status: what was asked of the platform cannot be asked otherwise any more. True
    // whenever these fields stay the same, so that no write of a status or a finalizer is ever refused. Each mention of a
    // field costs the API server a walk over all fields beside it, with each write: as few as possible.
    validation = Rule::new("!has(oldSelf.spec.region) || (has(self.spec.region) && self.spec.region == oldSelf.spec.region) || (!has(self.status) || (!has(self.status.ref) && (!has(self.status.creation) || !has(self.status.creation.attempts) || self.status.creation.attempts.all(attempt, attempt.outcome in ['Refused', 'NotSent']))))").message("region can be changed only until a create call was made or the project has a ref: the platform cannot move a project").field_path(".spec.region"),
    validation = Rule::new("!has(oldSelf.spec.regionGroup) || (has(self.spec.regionGroup) && self.spec.regionGroup == oldSelf.spec.regionGroup) || (!has(self.status) || (!has(self.status.ref) && (!has(self.status.creation) || !has(self.status.creation.attempts) || self.status.creation.attempts.all(attempt, attempt.outcome in ['Refused', 'NotSent']))))").message("regionGroup can be changed only until a create call was made or the project has a ref: the platform cannot move a project").field_path(".spec.regionGroup"),
    validation = Rule::new("!has(self.spec.organizationSlug) || (has(oldSelf.spec.organizationSlug) && oldSelf.spec.organizationSlug == self.spec.organizationSlug) || (!has(self.status) || (!has(self.status.ref) && (!has(self.status.creation) || !has(self.status.creation.attempts) || self.status.creation.attempts.all(attempt, attempt.outcome in ['Refused', 'NotSent'])))) || (has(self.status.organizationSlug) && self.spec.organizationSlug == self.status.organizationSlug)").message("organizationSlug can be changed only until a create call was made or the project has a ref; after that it is the one in status.organizationSlug, or absent").field_path(".spec.organizationSlug"),
    doc = "A hosted Supabase project. The operator creates it, waits until it is usable, and writes its API keys and Postgres URIs into Secrets.",
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
    printcolumn(name = "Ref", type_ = "string", json_path = ".status.ref"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.remoteStatus",
        description = "Status of the project on the platform"
    ),
    printcolumn(name = "Region", type_ = "string", json_path = ".status.region"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Project",
        type_ = "string",
        json_path = ".status.projectName",
        priority = 1
    ),
    printcolumn(
        name = "Organization",
        type_ = "string",
        json_path = ".status.organizationSlug",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.region) && has(self.regionGroup))").message("set only one of region and regionGroup"))]
#[x_kube(validation = Rule::new("has(self.region) || has(self.regionGroup) || (has(self.adoption) && self.adoption.policy == 'AdoptOnly')").message("set region or regionGroup: a project can only be created somewhere"))]
#[x_kube(validation = Rule::new("self.managementPolicy != 'Observe' || (has(self.adoption) && has(self.adoption.ref) && self.deletionPolicy == 'Retain')").message("managementPolicy Observe needs adoption.ref and deletionPolicy Retain: what is only observed is neither created nor deleted"))]
pub struct SupabaseProjectSpec {
    /// The connection whose credential is used.
    pub connection_ref: ConnectionRef,
    /// The organization that the project belongs to; a slug is the last part of the organization's dashboard
    /// address. May be left out if the connection sees exactly one. Once a create call was made, or the project has a
    /// ref, it must be the one in `status.organizationSlug`, or absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub organization_slug: Option<String>,
    /// The project's name on the platform. Default: namespace and name of this object, joined by a dash, dots
    /// replaced by dashes. Changing it renames the project. Names are unique within an organization and
    /// have no dots. While a project is being created its name carries a random suffix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[^.\x00-\x1f]+$"))]
    pub project_name: Option<String>,
    /// The region, such as eu-central-1. It can be corrected until a create call was made that was not refused. Exactly one of region and regionGroup must be set, except for
    /// projects that are only adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9-]+$"))]
    pub region: Option<String>,
    /// A group of regions among which the platform chooses: americas, emea or apac. It can be corrected as long as region.
    /// The region that was chosen is in `status.region`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9-]+$"))]
    pub region_group: Option<String>,
    /// Compute of the project. It is used when the project is created; later changes have no effect yet. That the project,
    /// created or adopted, has another size is reported by the condition Synced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute: Option<Compute>,
    /// Whether the project shall run or be paused. Absent: not managed, a project that was paused by the
    /// platform or by somebody else is left so and reported. Only projects of the free plan can be paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PowerState")]
    pub power_state: Option<PowerState>,
    /// Whether a project that exists already may be taken over.
    #[serde(default)]
    pub adoption: Adoption,
    /// Full (the default) reads and writes; Observe only reads, and reports every difference. It needs adoption.ref and
    /// deletionPolicy Retain.
    #[serde(default)]
    pub management_policy: ManagementPolicy,
    /// What happens to a declared setting that somebody else changes: Correct (the default) sets it back, Report leaves
    /// and reports it.
    #[serde(default)]
    pub drift_policy: DriftPolicy,
    /// What happens to the project on the platform when this object is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Stops all work on this object, except letting it go when it is deleted with deletionPolicy Retain.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// The project's database.
    #[serde(default)]
    pub database: Database,
    /// The REST and GraphQL interface to the database. What is absent is left as it is.
    #[serde(default, rename = "dataAPI", skip_serializing_if = "Option::is_none")]
    pub data_api: Option<DataApi>,
    /// Labels and annotations of every Secret that the operator makes for this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_template: Option<SecretTemplate>,
    /// The Secrets and ConfigMaps to write. Absent: one Secret, named after this object with the suffix
    /// -supabase, with the preset Env. An empty list writes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[x_kube(validation = Rule::new("self.map(output, (has(output.labels) ? output.labels.map(key, key.size() + output.labels[key].size()).sum() : 0) + (has(output.annotations) ? output.annotations.map(key, key.size() + output.annotations[key].size()).sum() : 0)).sum() <= 65536").message("labels and annotations of all outputs together have at most 65536 characters"))]
    #[x_kube(validation = Rule::new("self.map(output, has(output.keys) ? output.keys.size() : 0).sum() <= 256").message("all outputs together have at most 256 keys"))]
    #[x_kube(validation = Rule::new("self.map(output, has(output.keys) ? output.keys.map(key, key.name.size() + (has(key.scheme) ? key.scheme.size() : 0) + (has(key.tls) && has(key.tls.caFile) ? key.tls.caFile.size() : 0) + (has(key.parameters) ? key.parameters.map(name, name.size() + key.parameters[name].size()).sum() : 0)).sum() : 0).sum() <= 16384").message("names, schemes, CA files and parameters of the keys of all outputs together have at most 16384 characters"))]
    #[x_kube(validation = Rule::new("self.map(output, has(output.rolloutRestart) ? output.rolloutRestart.map(workload, 64 + workload.name.size()).sum() : 0).sum() <= 8192").message("the outputs name too many workloads: 8192 characters at most, where each takes 64 and its name"))]
    pub outputs: Option<Vec<Output>>,
}

/// The connection that a project uses.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionRef {
    /// SupabaseConnection (the default), in the same namespace, or ClusterSupabaseConnection.
    #[serde(default)]
    pub kind: ConnectionKind,
    /// Its name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
}

/// The kinds of connections.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Deserialize,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    JsonSchema,
)]
pub enum ConnectionKind {
    /// A connection of the same namespace.
    #[default]
    SupabaseConnection,
    /// A connection of the whole cluster.
    ClusterSupabaseConnection,
}

impl ConnectionKind {
    /// The text in the `kind` field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SupabaseConnection => "SupabaseConnection",
            Self::ClusterSupabaseConnection => "ClusterSupabaseConnection",
        }
    }
}

/// Compute of a project.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Compute {
    /// The instance size, such as micro or 2xlarge; the platform's own words. Absent: the smallest that the
    /// organization's plan allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9_]+$"))]
    pub size: Option<String>,
}

/// Whether a project runs.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, JsonSchema)]
pub enum PowerState {
    /// It runs; if it is paused, it is restored.
    Running,
    /// It is paused.
    Paused,
}

/// Taking over a project that exists.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.policy != 'AdoptOnly' || has(self.ref)").message("adoption.policy AdoptOnly needs adoption.ref"))]
pub struct Adoption {
    /// CreateOnly (the default) takes over no project that it did not create: an existing one of the wanted name
    /// is reported as NameConflict. AdoptOnly takes over the project of `ref` and never creates one.
    /// AdoptOrCreate takes over the project of `ref`, or the one of the wanted name, and creates one if there is none.
    #[serde(default)]
    pub policy: AdoptionPolicy,
    /// The project to take over: 20 lowercase letters, the last part of its dashboard address. With CreateOnly
    /// it only settles a creation that is reported as AmbiguousCreate.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), regex(pattern = r"^[a-z]{20}$"))]
    pub reference: Option<String>,
}

/// When a project that exists is taken over.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize, JsonSchema)]
pub enum AdoptionPolicy {
    /// No, but to settle an ambiguous creation.
    #[default]
    CreateOnly,
    /// Always: none is created.
    AdoptOnly,
    /// If it is there; otherwise one is created.
    AdoptOrCreate,
}

/// What deleting the object does to the project.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The project stays on the platform, and so does the Secret with its database password.
    #[default]
    Retain,
    /// The project is deleted on the platform, with all its data and backups. This cannot be undone.
    Delete,
}

/// The database of a project.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// The password of the role postgres.
    #[serde(default)]
    pub password: Password,
    /// Whether Postgres takes connections with TLS only. Changing it may restart the database. Absent: left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_enforcement: Option<bool>,
    /// From where the database can be reached. Absent: left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_restrictions: Option<NetworkRestrictions>,
    /// Parameters of Postgres, such as statement_timeout: 8s or max_connections: 120. Parameters that are not named are
    /// left as they are; one that is taken out of this list goes back to its default. Truth values are written "true"
    /// and "false".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = Rule::new("self.all(name, name.size() <= 63 && name.matches('^[a-z][a-z0-9_.]*$'))").message("a parameter's name has lower-case letters, digits, '_' and '.', begins with a letter, and has at most 63 characters"))]
    pub parameters: Option<Parameters>,
    /// Whether changed parameters may restart the database: Never (when absent) leaves parameters that need it until
    /// the next restart, IfRequired restarts it for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ParametersRestart")]
    pub parameters_restart: Option<ParametersRestart>,
}

/// Where the database password comes from. It is kept in the Secret `<name>-supabase-password`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.generate) && has(self.secretKeyRef))").message("set only one of database.password.generate and database.password.secretKeyRef"))]
pub struct Password {
    /// Generates 40 letters and digits. This is the default for projects that are created; for adopted ones a
    /// password is generated only with onLost: Reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
    /// Takes the password of this Secret, as it is, without trimming. 4 to 256 characters, no control characters.
    /// For a project that is created it becomes the password; for an adopted one it must be the password, which nobody
    /// verifies: Ready says PasswordUnverified.
    /// A later change is not sent to the platform and is reported as PasswordDiffers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// What to do when the Secret with the password was deleted or edited and the password cannot be found
    /// elsewhere: Report (the default) or Reset, which gives the database a new password and so breaks
    /// every client that has the old one. The password of a project that is adopted without one counts as lost. An
    /// event announces the reset.
    #[serde(default)]
    pub on_lost: OnLost,
}

/// A generated password has no options.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Generate {}

/// What to do about a lost password.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize, JsonSchema)]
pub enum OnLost {
    /// Say so.
    #[default]
    Report,
    /// Set a new one.
    Reset,
}

impl SupabaseProject {
    /// Name of the Secret that keeps the database password.
    pub fn password_secret_name(&self) -> String {
        Self::password_secret_of(self.metadata.name.as_deref().unwrap_or_default())
    }

    /// The password Secret of a project of this name.
    pub fn password_secret_of(name: &str) -> String {
        format!("{name}{PASSWORD_SUFFIX}")
    }

    /// The output of a project of this name that declares none.
    pub fn default_output_of(name: &str) -> String {
        format!("{name}-supabase")
    }

    /// The name that the project shall have on the platform.
    pub fn wanted_name(&self) -> String {
        self.spec.project_name.clone().unwrap_or_else(|| {
            let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
            let name = self.metadata.name.as_deref().unwrap_or_default();
            let joined: String = format!("{namespace}-{name}").replace('.', "-");
            joined.chars().take(LONGEST_NAME).collect()
        })
    }

    /// The page of a project in the dashboard.
    pub fn dashboard_url(reference: &str) -> String {
        format!("https://supabase.com/dashboard/project/{reference}")
    }

    /// The address of a project's API (platform.md §1).
    pub fn api_url(reference: &str) -> String {
        format!("https://{reference}.supabase.co")
    }

    /// The outputs to write, with the default where none are declared.
    pub fn wanted_outputs(&self) -> Vec<Output> {
        let mut outputs = self.spec.outputs.clone().unwrap_or_else(|| {
            let name = self.metadata.name.as_deref().unwrap_or_default();
            vec![Output::named(&Self::default_output_of(name))]
        });
        if let Some(template) = &self.spec.secret_template {
            for output in &mut outputs {
                template.add_to(output);
            }
        }
        outputs
    }

    /// An annotation's value.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }
}

/// Ending of the names of password Secrets. No output may be named so.
pub const PASSWORD_SUFFIX: &str = "-supabase-password";

/// Longest wanted name: the platform takes 256 characters, and the create name has eleven more.
const LONGEST_NAME: usize = 200;

/// Labels as Kubernetes keeps them.
pub type Labels = BTreeMap<String, String>;
