//! Outputs: the Secrets and ConfigMaps that applications mount.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

mod key;
mod words;

use super::template::{self, SecretTemplate};
pub use key::{OutputKey, OutputTls, TlsMode};
pub use words::{Endpoint, OutputKind, OutputValue, Preset, WorkloadKind};

/// A Secret or ConfigMap that the operator writes and keeps current. It belongs to the project object and goes
/// with it; edits are undone.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.kind) ? self.kind : 'Secret') == (has(oldSelf.kind) ? oldSelf.kind : 'Secret')").message("kind of an output is immutable: give the new one another name").field_path(".kind"))]
#[x_kube(validation = Rule::new("(has(self.preset) && self.preset == 'ServiceBinding') == (has(oldSelf.preset) && oldSelf.preset == 'ServiceBinding')").message("an output cannot become a ServiceBinding or cease to be one, since the type of the Secret hangs on it: give the new one another name").field_path(".preset"))]
#[x_kube(validation = Rule::new("(has(self.kind) ? self.kind : 'Secret') != 'ConfigMap' || ((has(self.include) || has(self.keys)) && (!has(self.include) || self.include.all(value, value in ['URL', 'ProjectRef', 'PublishableKey', 'AnonKey', 'JWKSURL', 'DatabaseCA'])) && (!has(self.keys) || self.keys.all(key, key.value in ['URL', 'ProjectRef', 'PublishableKey', 'AnonKey', 'JWKSURL', 'DatabaseCA'])))").message("a ConfigMap is readable by many: include or keys must be set, and may only name the public values URL, ProjectRef, PublishableKey, AnonKey, JWKSURL and DatabaseCA").field_path(".kind"))]
#[x_kube(validation = Rule::new("!has(self.preset) || self.preset == 'Env' || ((has(self.kind) ? self.kind : 'Secret') == 'Secret' && !has(self.include) && !has(self.prefix))").message("the presets ServiceBinding and Libpq are Secrets with keys of their own: kind must be Secret, include and prefix must be absent"))]
#[x_kube(validation = Rule::new("!has(self.keys) || (!has(self.preset) && !has(self.include) && !has(self.prefix))").message("keys name everything that the output holds: preset, include and prefix must be absent").field_path(".keys"))]
#[x_kube(validation = Rule::new("!self.name.endsWith('-supabase-password') && !self.name.endsWith('-oauth-state') && !self.name.endsWith('-oauth-cluster-state') && !self.name.endsWith('-oauth-grants') && !self.name.endsWith('-oauth-cluster-grants')").message("this name is reserved for Secrets of the operator").field_path(".name"))]
#[x_kube(validation = template::annotation_domains())]
#[x_kube(validation = template::label_domains())]
#[x_kube(validation = template::annotation_lengths())]
#[x_kube(validation = template::label_lengths())]
#[x_kube(validation = template::label_keys())]
#[x_kube(validation = template::label_values())]
#[x_kube(validation = template::annotation_keys())]
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
    /// Libpq: a Secret with the variables that psql and other clients of libpq read: PGHOST, PGPORT, PGDATABASE, PGUSER,
    /// PGPASSWORD, PGSSLMODE, and PGSSLROOTCERT with tls.caFile.
    /// ServiceBinding: a Secret of type servicebinding.io/postgresql with the keys type, provider, host,
    /// port, database, username, password, sslmode and uri, and ca.crt and sslrootcert with tls.mode VerifyFull. An output
    /// cannot become a ServiceBinding or cease to be one.
    #[serde(default)]
    pub preset: Preset,
    /// The keys to write, each with its value, instead of preset, include and prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub keys: Option<Vec<OutputKey>>,
    /// The database endpoint to write; each of keys may name another. SessionPooler (the default) works over IPv4 and gives each connection a
    /// session of its own; TransactionPooler is for many short connections; Direct is the database itself, over IPv6
    /// only unless the project has the IPv4 add-on.
    #[serde(default)]
    pub endpoint: Endpoint,
    /// How clients check the database's certificate. Absent: they encrypt, and check nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<OutputTls>,
    /// The values to write. Absent: URL, ProjectRef, PublishableKey, SecretKey, DatabaseURI, DatabaseHost, DatabasePort,
    /// DatabaseName, DatabaseUser and DatabasePassword, and DatabaseCA with tls.mode VerifyFull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub include: Option<Vec<OutputValue>>,
    /// Put in front of every key, such as NEXT_PUBLIC_.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub prefix: Option<String>,
    /// Workloads of this namespace to restart when the output holds something new: once a change, and not for what it holds
    /// first. The operator must be installed with the chart's value rolloutRestart.enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["kind".into(), "name".into()]))]
    pub rollout_restart: Option<Vec<Workload>>,
    /// Labels to set. The operator's own win.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations to set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// A workload that mounts an output.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// Deployment, StatefulSet or DaemonSet.
    pub kind: WorkloadKind,
    /// Its name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
}

impl Output {
    /// A Secret with the preset Env and all defaults.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: OutputKind::default(),
            preset: Preset::default(),
            endpoint: Endpoint::default(),
            keys: None,
            tls: None,
            include: None,
            prefix: None,
            rollout_restart: None,
            labels: None,
            annotations: None,
        }
    }
}

impl SecretTemplate {
    /// Adds what is declared here to an output that is a Secret; the output's own win.
    pub(super) fn add_to(&self, output: &mut Output) {
        if output.kind != OutputKind::Secret {
            return;
        }
        for (marks, declared) in
            [(&mut output.labels, &self.labels), (&mut output.annotations, &self.annotations)]
        {
            let own = marks.take().unwrap_or_default();
            let both = declared.clone().into_iter().chain(own).collect::<BTreeMap<_, _>>();
            *marks = Some(both).filter(|both| !both.is_empty());
        }
    }
}
