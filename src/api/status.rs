//! The status of a `SupabaseProject`: what the operator knows, and what it must be able to trust.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::installation::Installation;
use super::output::OutputKind;
use super::settings::{Applied, Drift};

/// What is known of a project.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectStatus {
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
    /// The project's ref on the platform: 20 lowercase letters. Once it is here, no other project is ever
    /// created for this object.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reference: Option<String>,
    /// The project's name on the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub project_name: Option<String>,
    /// The organization that the project belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub organization_slug: Option<String>,
    /// The project's status in the platform's own words, such as COMING_UP or ACTIVE_HEALTHY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub remote_status: Option<String>,
    /// When the project was first seen in the status above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_status_since: Option<Time>,
    /// How often the platform accepted to wake the paused project without its becoming active; absent when it is, and
    /// after a change of the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<i64>,
    /// The version of Postgres, as of the last scheduled look at the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub postgres_version: Option<String>,
    /// The region that the project is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub region: Option<String>,
    /// The project's page in the dashboard.
    #[serde(default, rename = "dashboardURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub dashboard_url: Option<String>,
    /// Where the project can be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
    /// The project's services, as of the last change of its remote status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 64))]
    pub services: Vec<ServiceStatus>,
    /// The Secret to bind to, as the Service Binding specification wants it: the first output with the preset
    /// ServiceBinding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// The outputs that were written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 64))]
    pub outputs: Vec<OutputStatus>,
    /// What is known of the database password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// The record of creating the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation: Option<Creation>,
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
    /// Ready, Reconciling, Stalled, ConnectionReady, Provisioned, ServicesHealthy, Synced, OutputsWritten and
    /// DeletionBlocked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Where a project can be reached. Database endpoints are host:port.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// Address of the API.
    #[serde(default, rename = "apiURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub api_url: Option<String>,
    /// The shared pooler in session mode: reachable over IPv4, with all features of Postgres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub session_pooler: Option<String>,
    /// The shared pooler in transaction mode: for many short connections, without prepared statements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub transaction_pooler: Option<String>,
    /// The database itself: reachable over IPv6 only, unless the project has the IPv4 add-on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub direct: Option<String>,
}

/// A service of a project.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Its name, such as auth or db.
    #[schemars(length(max = 256))]
    pub name: String,
    /// Its status, such as ACTIVE_HEALTHY, COMING_UP or UNHEALTHY.
    #[schemars(length(max = 256))]
    pub status: String,
}

/// The duck type of the Service Binding specification.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// Name of the Secret.
    #[schemars(length(max = 253))]
    pub name: String,
}

/// An output that was written.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputStatus {
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its kind.
    pub kind: OutputKind,
    /// Keyed digest of what was written, for finding edits. Without the operator's key
    /// it tells only whether two contents of this output are equal.
    #[schemars(length(max = 512))]
    pub digest: String,
    /// Keyed digest of the content that the workloads of rolloutRestart were given last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub rolled_out: Option<String>,
}

/// What is known of the database password.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// Where the password came from.
    pub password: PasswordOrigin,
    /// Keyed digest of the password that the platform has. Without the operator's key it tells only
    /// whether two passwords of this project are equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub password_digest: Option<String>,
}

/// Where a password came from.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, JsonSchema)]
pub enum PasswordOrigin {
    /// The operator generated it.
    Generated,
    /// The user supplied it.
    Supplied,
    /// It was kept from an earlier object of the same project.
    Retained,
    /// It is not known.
    Unknown,
}

/// The record of creating a project: what a second create call is held back by.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Creation {
    /// The name that every create call of this object carries: the wanted name and ten random characters.
    #[schemars(length(max = 512))]
    pub name: String,
    /// The create calls whose outcome mattered, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub attempts: Vec<Attempt>,
    /// Filler, there while a create call is under way: the ref takes its place, so that storing it never makes the object
    /// larger than what the API server has accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub room: Option<String>,
}

impl Creation {
    /// Bytes that are kept free for the ref and what is stored with it.
    pub const ROOM: usize = 4096;

    /// Keeps room for the answer of a create call, or gives it away where none is awaited.
    pub fn keep_room(&mut self) {
        let open = |attempt: &Attempt| attempt.outcome == AttemptOutcome::Pending;
        self.room = self.attempts.iter().any(open).then(|| ".".repeat(Self::ROOM));
    }
}

/// One create call, recorded before it was made.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its number, from 1.
    #[schemars(range(min = 1))]
    pub number: i64,
    /// The organization it asked.
    #[schemars(length(max = 256))]
    pub organization_slug: String,
    /// The region it asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub region: Option<String>,
    /// The group of regions it asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub region_group: Option<String>,
    /// The size it asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub size: Option<String>,
    /// The platform's clock when the organization was last listed before the call.
    pub listed_at: Time,
    /// After how many seconds the call was given up.
    #[schemars(range(min = 1))]
    pub deadline_seconds: i64,
    /// Keyed digest of the password it sent.
    #[schemars(length(max = 512))]
    pub password_digest: String,
    /// The operator's process that made it.
    #[schemars(length(max = 256))]
    pub process: String,
    /// What became of it.
    pub outcome: AttemptOutcome,
    /// The HTTP status of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<i64>,
}

impl Attempt {
    /// Whether it may yet turn out to have made a project.
    pub const fn is_unsettled(&self) -> bool {
        matches!(self.outcome, AttemptOutcome::Pending | AttemptOutcome::Absent)
    }
}

impl ProjectStatus {
    /// The record of an output that was written.
    pub fn output(&self, name: &str) -> Option<&OutputStatus> {
        self.outputs.iter().find(|output| output.name == name)
    }

    /// The create calls on record, oldest first.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.creation.iter().flat_map(|creation| &creation.attempts)
    }

    /// Whether the project came from a create call of this object; one that has not was there before, and was adopted.
    pub fn was_created(&self) -> bool {
        self.attempts().any(|attempt| attempt.outcome == AttemptOutcome::Created)
    }

    /// Whether a create call on record may yet turn out to have made a project.
    pub fn has_unsettled_attempt(&self) -> bool {
        self.attempts().any(Attempt::is_unsettled)
    }
}

/// What became of a create call.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, JsonSchema)]
pub enum AttemptOutcome {
    /// Not known yet: the operator looks it up.
    Pending,
    /// It made the project.
    Created,
    /// The platform refused it: nothing was made.
    Refused,
    /// It was never sent.
    NotSent,
    /// No project of the create name turned up within the grace.
    Absent,
}
