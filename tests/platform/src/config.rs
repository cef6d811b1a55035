//! Everything about the platform that a test may want otherwise.
//!
//! The defaults follow what was recorded or measured; where the truth is not known, each possibility is
//! a variant here, so that the operator can be run against all of them.

use std::time::Duration;

use crate::auth::{AfterRefusal, SecretsShown};
use crate::project::Status;

/// How the simulated platform behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, each with its own name")]
pub struct Config {
    /// From the create to `ACTIVE_HEALTHY`.
    pub coming_up: Duration,
    /// From `ACTIVE_HEALTHY` to all services healthy.
    pub services_lag: Duration,
    /// From the first `ACTIVE_HEALTHY` to readable API keys.
    pub keys_lag: Duration,
    /// From the first `ACTIVE_HEALTHY` to a pooler entry.
    pub pooler_lag: Duration,
    /// How long `PAUSING` takes.
    pub pause: Duration,
    /// How long a restore takes.
    pub restore: Duration,
    /// How long a restart takes.
    pub restart: Duration,
    /// How long `GOING_DOWN` takes.
    pub delete: Duration,
    /// How long a deleted project is still shown as `REMOVED`.
    pub removed_visible: Duration,
    /// Whether the lists show projects that are `GOING_DOWN` or `REMOVED`.
    pub lists_show_deleted: bool,
    /// How long after the create both lists do not show the project.
    pub list_visibility_lag: Duration,
    /// How long after the create `GET /v1/projects/{ref}` answers 404.
    pub get_visibility_lag: Duration,
    /// From a password change to its effect in the database and the pooler.
    pub password_lag: Duration,
    /// From a settings change to its being applied (network restrictions, SSL enforcement).
    pub settings_lag: Duration,
    /// From a change of those Auth settings that come late to their being in force.
    pub auth_lag: Duration,
    /// What the keys of the late ones start with.
    pub auth_late: Vec<&'static str>,
    /// How the secrets of Auth read back.
    pub auth_secrets: SecretsShown,
    /// What a refused change of Auth settings leaves behind.
    pub auth_after_refusal: AfterRefusal,
    /// The status of a refused hook (not reported).
    pub hook_gate_status: u16,
    /// Whether the additional client ids of Apple and Google end up in the first one.
    pub fold_client_ids: bool,
    /// Whether SSL enforcement can be configured at all.
    pub ssl_supported: bool,
    /// Whether a change of SSL enforcement restarts the database.
    pub ssl_restarts: bool,
    /// Whether the Data API's search path comes back with a space behind each comma.
    pub spaced_lists: bool,
    /// When set, free projects pause by themselves so long after becoming active.
    pub spontaneous_pause: Option<Duration>,
    /// Whether a second project of the same name is refused within an organization.
    pub names_unique: bool,
    /// Whether a project that is going down still holds its name.
    pub deleted_names_held: bool,
    /// The status of a refused duplicate name.
    pub name_conflict_status: u16,
    /// The status of a create refused by the free-project quota.
    pub quota_status: u16,
    /// Active free projects per user.
    pub free_projects_per_user: usize,
    /// How refresh tokens rotate.
    pub token_mode: TokenMode,
    /// What a second consent of an organization to an app does to the first.
    pub second_consent: SecondConsent,
    /// The status of a successful token answer (200 or 201).
    pub token_status: u16,
    /// Life of an access token.
    pub access_token_lifetime: Duration,
    /// The rate limiter.
    pub limiter: Limiter,
    /// What a ref answers after its removal.
    pub gone: Gone,
    /// The status that the answer of a create shows.
    pub create_status: Status,
    /// The status of a project that is being restored.
    pub restore_status: Status,
    /// Whether a project that is coming up can be deleted.
    pub delete_while_coming_up: WhileComingUp,
    /// What the ref of another organization answers.
    pub foreign_ref: ForeignRef,
    /// What the API key list answers before the keys are there.
    pub keys_not_ready: Refusal,
    /// What the pooler config answers before the pooler knows the project.
    pub pooler_not_ready: Refusal,
    /// Whether the pooler config also lists a session entry.
    pub pooler_session_entry: bool,
    /// A pooler address for all projects, instead of invented ones.
    pub pooler: Option<PoolerAddress>,
    /// The name of each project's database.
    pub database_name: DatabaseName,
    /// Whether the legacy key switch still exists (404 otherwise).
    pub legacy_key_endpoints: bool,
    /// The shape of `message` in validation errors.
    pub message_shape: MessageShape,
    /// Where the browser is sent for consent.
    pub dashboard_url: String,
}

/// How refresh tokens rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenMode {
    /// Single use; the previous access token dies at once; a used refresh token answers 404.
    Strict,
    /// As strict, but a used token gives the current pair again, and the previous access token lives on, for this long.
    Grace(Duration),
    /// As strict, and the use of a used token revokes the whole authorization.
    FamilyRevocation,
    /// The refresh token stays the same; access tokens live until they expire.
    NoRotation,
}

/// What a second consent of an organization to an app does to the first (not documented).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondConsent {
    /// Both live on.
    KeepsTheFirst,
    /// The tokens of the first are dead at once.
    EndsTheFirst,
}

/// Which limiter is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limiter {
    /// Per identity, project or organization, and endpoint (today: 120 a minute).
    ProjectEndpoint(u32),
    /// Per user and project or organization (before: 120 a minute).
    UserScope(u32),
    /// Per user, over everything (oldest: 60 a minute).
    Oldest(u32),
    /// None; no rate-limit headers either.
    Off,
}

/// What a ref answers after its removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// 404 `Project not found`.
    NotFound,
    /// 400 `Resource has been removed`.
    Removed,
    /// 404 `Resource has been removed`.
    RemovedNotFound,
}

/// Whether a project that is coming up can be deleted (both were recorded).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhileComingUp {
    /// 400 `Project not ready for deletion.`
    Refuse,
    /// 200.
    Accept,
}

/// What the ref of another organization answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignRef {
    /// 403.
    Forbidden,
    /// 404, as if it did not exist.
    NotFound,
}

/// What a read answers before there is anything to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An error of this status.
    Status(u16),
    /// 200 with an empty list.
    Empty,
}

/// Where the shared pooler listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolerAddress {
    /// Host name or address.
    pub host: String,
    /// Port of the session mode.
    pub session_port: u16,
    /// Port of the transaction mode.
    pub transaction_port: u16,
}

/// The name of each project's database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseName {
    /// `postgres`, as on the real platform.
    Postgres,
    /// The project's ref: for projects that share one server.
    Ref,
}

/// The shape of `message` in validation errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageShape {
    /// One string.
    Text,
    /// A list of strings.
    List,
}

impl Default for Config {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            coming_up: seconds(90),
            services_lag: seconds(15),
            keys_lag: seconds(5),
            pooler_lag: seconds(10),
            pause: seconds(60),
            restore: seconds(120),
            restart: seconds(30),
            delete: seconds(20),
            removed_visible: seconds(10),
            lists_show_deleted: true,
            list_visibility_lag: Duration::ZERO,
            get_visibility_lag: Duration::ZERO,
            password_lag: seconds(5),
            settings_lag: seconds(5),
            auth_lag: seconds(60),
            auth_late: vec!["oauth_server_"],
            auth_secrets: SecretsShown::Digest,
            auth_after_refusal: AfterRefusal::TheRest,
            hook_gate_status: 402,
            fold_client_ids: true,
            ssl_supported: true,
            ssl_restarts: true,
            spaced_lists: true,
            spontaneous_pause: None,
            names_unique: true,
            deleted_names_held: true,
            name_conflict_status: 400,
            quota_status: 400,
            free_projects_per_user: 2,
            token_mode: TokenMode::Strict,
            second_consent: SecondConsent::KeepsTheFirst,
            token_status: 201,
            access_token_lifetime: seconds(86_400),
            limiter: Limiter::ProjectEndpoint(120),
            gone: Gone::NotFound,
            create_status: Status::Unknown,
            restore_status: Status::Restoring,
            delete_while_coming_up: WhileComingUp::Refuse,
            foreign_ref: ForeignRef::Forbidden,
            keys_not_ready: Refusal::Status(400),
            pooler_not_ready: Refusal::Status(404),
            pooler_session_entry: false,
            pooler: None,
            database_name: DatabaseName::Postgres,
            legacy_key_endpoints: true,
            message_shape: MessageShape::Text,
            dashboard_url: "https://supabase.com/dashboard".to_owned(),
        }
    }
}

impl Config {
    /// The same platform with delays short enough to watch.
    pub fn fast() -> Self {
        let millis = Duration::from_millis;
        Self {
            coming_up: millis(1_500),
            services_lag: millis(400),
            keys_lag: millis(200),
            pooler_lag: millis(300),
            pause: millis(800),
            restore: millis(1_200),
            restart: millis(600),
            delete: millis(600),
            removed_visible: millis(400),
            password_lag: millis(300),
            settings_lag: millis(300),
            auth_lag: millis(600),
            ..Self::default()
        }
    }

    /// The same platform without any delay: everything is there with the answer.
    pub fn instant() -> Self {
        let none = Duration::ZERO;
        Self {
            coming_up: none,
            services_lag: none,
            keys_lag: none,
            pooler_lag: none,
            pause: none,
            restore: none,
            restart: none,
            delete: none,
            removed_visible: none,
            password_lag: none,
            settings_lag: none,
            auth_lag: none,
            ..Self::default()
        }
    }
}
