//! Outputs: the Secrets and ConfigMaps that applications mount.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Secret or ConfigMap that the operator writes and keeps current. It belongs to the project object and goes
/// with it; edits are undone.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.kind) ? self.kind : 'Secret') == (has(oldSelf.kind) ? oldSelf.kind : 'Secret')").message("kind of an output is immutable: give the new one another name").field_path(".kind"))]
#[x_kube(validation = Rule::new("(has(self.preset) ? self.preset : 'Env') == (has(oldSelf.preset) ? oldSelf.preset : 'Env')").message("preset of an output is immutable, since the type of the Secret hangs on it: give the new one another name").field_path(".preset"))]
#[x_kube(validation = Rule::new("(has(self.kind) ? self.kind : 'Secret') != 'ConfigMap' || (has(self.include) && self.include.all(value, value in ['URL', 'ProjectRef', 'PublishableKey', 'AnonKey']))").message("a ConfigMap is readable by many: include must be set, and may only name the public values URL, ProjectRef, PublishableKey and AnonKey").field_path(".include"))]
#[x_kube(validation = Rule::new("(has(self.preset) ? self.preset : 'Env') != 'ServiceBinding' || ((has(self.kind) ? self.kind : 'Secret') == 'Secret' && !has(self.include) && !has(self.prefix))").message("the preset ServiceBinding is a Secret with the keys of the Service Binding specification: kind must be Secret, include and prefix must be absent"))]
#[x_kube(validation = Rule::new("!self.name.endsWith('-supabase-password') && !self.name.endsWith('-oauth-state') && !self.name.endsWith('-oauth-cluster-state') && !self.name.endsWith('-oauth-grants') && !self.name.endsWith('-oauth-cluster-grants')").message("this name is reserved for Secrets of the operator").field_path(".name"))]
#[x_kube(validation = Rule::new("!has(self.annotations) || self.annotations.all(key, !key.matches('(^|[.])(kubernetes|k8s)[.]io/') && !key.startsWith('supabase-operator.dev/'))").message("annotations of kubernetes.io, k8s.io and supabase-operator.dev cannot be set on outputs").field_path(".annotations"))]
#[x_kube(validation = Rule::new("!has(self.labels) || self.labels.all(key, !key.matches('(^|[.])(kubernetes|k8s)[.]io/') || key.startsWith('app.kubernetes.io/'))").message("labels of kubernetes.io and k8s.io cannot be set on outputs, except app.kubernetes.io/").field_path(".labels"))]
#[x_kube(validation = Rule::new("!has(self.annotations) || self.annotations.all(key, key.size() <= 317)").message("the key of an annotation has at most 317 characters").field_path(".annotations"))]
#[x_kube(validation = Rule::new("!has(self.labels) || self.labels.all(key, key.size() <= 317)").message("the key of a label has at most 317 characters").field_path(".labels"))]
#[x_kube(validation = Rule::new("!has(self.labels) || self.labels.all(key, key.size() > 317 || key.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))").message("the key of a label is a name, such as team or example.com/team: letters, digits, '-', '_' and '.' (63 characters at most), after a domain and a slash if there is one").field_path(".labels"))]
#[x_kube(validation = Rule::new("!has(self.labels) || self.labels.all(key, self.labels[key].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))").message("the value of a label has letters, digits, '-', '_' and '.', and begins and ends with a letter or a digit").field_path(".labels"))]
#[x_kube(validation = Rule::new("!has(self.annotations) || self.annotations.all(key, key.size() > 317 || key.matches('^([a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?([.][a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))").message("the key of an annotation is a name, such as team or example.com/team: letters, digits, '-', '_' and '.' (63 characters at most), after a domain and a slash if there is one").field_path(".annotations"))]
pub struct Output {
    /// Name of the Secret or ConfigMap. If an object of that name is there and not ours, it is left alone and
    /// reported as Conflict.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
    /// Secret (the default) or ConfigMap. Immutable.
    #[serde(default)]
    pub kind: OutputKind,
    /// Env (the default): one key a value, named for environment variables, such as SUPABASE_URL.
    /// ServiceBinding: a Secret of type servicebinding.io/postgresql with the keys type, provider, host,
    /// port, database, username, password, sslmode and uri. Immutable.
    #[serde(default)]
    pub preset: Preset,
    /// The database endpoint to write. SessionPooler (the default) works over IPv4 and gives each connection a
    /// session of its own; TransactionPooler is for many short connections; Direct is the database itself, over IPv6
    /// only unless the project has the IPv4 add-on.
    #[serde(default)]
    pub endpoint: Endpoint,
    /// The values to write. Absent: all but the legacy keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub include: Option<Vec<OutputValue>>,
    /// Put in front of every key, such as NEXT_PUBLIC_.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub prefix: Option<String>,
    /// Labels to set. The operator's own win.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations to set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Output {
    /// A Secret with the preset Env and all defaults.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: OutputKind::default(),
            preset: Preset::default(),
            endpoint: Endpoint::default(),
            include: None,
            prefix: None,
            labels: None,
            annotations: None,
        }
    }
}

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

/// How the keys of an output are named.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Preset {
    /// For environment variables.
    #[default]
    Env,
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
}
