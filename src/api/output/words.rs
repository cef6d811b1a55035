//! The words of an output: what it is written into, how its keys are named, ways to the database, and values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an output is written into.
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
pub enum OutputKind {
    /// A Secret.
    #[default]
    Secret,
    /// A ConfigMap, for public values only.
    ConfigMap,
}

impl OutputKind {
    /// The text in the `kind` field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }
}

/// The kinds of workloads that can be restarted.
#[derive(
    Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema,
)]
pub enum WorkloadKind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
}

impl WorkloadKind {
    /// The text in the `kind` field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }
}

/// How the keys of an output are named.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Preset {
    /// For environment variables.
    #[default]
    Env,
    /// For psql and every other client of libpq: PGHOST, PGPORT and so on.
    Libpq,
    /// As the Service Binding specification wants them.
    ServiceBinding,
}

/// A way to the database.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub enum Endpoint {
    /// The database itself.
    Direct,
    /// The shared pooler in session mode.
    #[default]
    SessionPooler,
    /// The shared pooler in transaction mode.
    TransactionPooler,
}

/// A value that an output can hold.
#[derive(
    Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema,
)]
pub enum OutputValue {
    /// SUPABASE_URL: address of the project's API. Public.
    URL,
    /// SUPABASE_PROJECT_REF: the project's ref. Public.
    ProjectRef,
    /// SUPABASE_PUBLISHABLE_KEY: the API key for browsers and apps. Public.
    PublishableKey,
    /// SUPABASE_SECRET_KEY: the API key for servers, which passes row level security.
    SecretKey,
    /// SUPABASE_ANON_KEY: the legacy key for browsers. Public.
    AnonKey,
    /// SUPABASE_SERVICE_ROLE_KEY: the legacy key for servers.
    ServiceRoleKey,
    /// SUPABASE_DB_URL: Postgres URI with user and password.
    DatabaseURI,
    /// SUPABASE_DB_HOST.
    DatabaseHost,
    /// SUPABASE_DB_PORT.
    DatabasePort,
    /// SUPABASE_DB_NAME.
    DatabaseName,
    /// SUPABASE_DB_USER.
    DatabaseUser,
    /// SUPABASE_DB_PASSWORD.
    DatabasePassword,
    /// SUPABASE_DB_JDBC_URL: JDBC URL with user and password.
    DatabaseJDBCURL,
    /// SUPABASE_DB_PASSFILE: a line of a password file of libpq.
    DatabasePassfile,
    /// SUPABASE_DB_CA: certificates (PEM) of the authorities of Supabase's databases, as they were given to the operator.
    /// Public.
    DatabaseCA,
    /// SUPABASE_JWKS_URL: address of the keys that the project's tokens are verified with. Public.
    JWKSURL,
}
