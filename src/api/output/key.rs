//! Keys that are named one by one, and what clients do about TLS.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Endpoint, OutputValue};

/// A key of an output, and the value that it holds.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.name != '.' && !self.name.startsWith('..')").message("the name of a key must not be '.' and must not begin with '..': Kubernetes takes no such key").field_path(".name"))]
#[x_kube(validation = Rule::new("!has(self.scheme) || self.value == 'DatabaseURI'").message("scheme is for the value DatabaseURI").field_path(".scheme"))]
#[x_kube(validation = Rule::new("!has(self.parameters) || self.value in ['DatabaseURI', 'DatabaseJDBCURL']").message("parameters are for the values DatabaseURI and DatabaseJDBCURL").field_path(".parameters"))]
#[x_kube(validation = Rule::new("!has(self.parameters) || self.parameters.all(name, name.size() <= 63 && name.matches('^[A-Za-z_][A-Za-z0-9_.-]*$'))").message("the name of a parameter has letters, digits, '_', '.' and '-' (63 characters at most), and begins with a letter or '_'").field_path(".parameters"))]
#[x_kube(validation = Rule::new("!has(self.parameters) || self.parameters.all(name, !(name in ['host', 'hostaddr', 'port', 'user', 'password', 'dbname', 'service', 'passfile', 'sslmode', 'sslrootcert']))").message("the parameters host, hostaddr, port, user, password, dbname, service, passfile, sslmode and sslrootcert are the operator's: choose endpoint and tls").field_path(".parameters"))]
pub struct OutputKey {
    /// Name of the key, such as DATABASE_URL or ca.crt.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub name: String,
    /// The value that it holds.
    pub value: OutputValue,
    /// The database endpoint, if it is another than the output's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Endpoint")]
    pub endpoint: Option<Endpoint>,
    /// What clients do about TLS, if it is something else than the output says. It is taken as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<OutputTls>,
    /// Scheme of a DatabaseURI instead of postgresql, such as postgresql+asyncpg.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[a-z][a-z0-9+]*$"))]
    pub scheme: Option<String>,
    /// Parameters of a DatabaseURI or DatabaseJDBCURL, such as application_name. They are encoded, and written in the order
    /// of their names, after those of TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 16))]
    pub parameters: Option<BTreeMap<String, String>>,
}

/// What clients of the database do about TLS.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.caFile) || (has(self.mode) && self.mode == 'VerifyFull')").message("caFile is for the mode VerifyFull").field_path(".caFile"))]
pub struct OutputTls {
    /// Require (the default): connections are encrypted, and no certificate is checked. VerifyFull: clients check the
    /// database's certificate and host name; the operator must have been given the authorities of Supabase's databases where
    /// the output holds them. Omit: nothing is said about TLS, since the client is told elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TlsMode")]
    pub mode: Option<TlsMode>,
    /// Where clients find the authorities' certificates: the path at which the application mounts DatabaseCA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^/[!-~]+$"))]
    pub ca_file: Option<String>,
}

/// What clients ask of the database's certificate.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize, JsonSchema)]
pub enum TlsMode {
    /// That the connection is encrypted.
    #[default]
    Require,
    /// That it is the database's.
    VerifyFull,
    /// Whatever they were told elsewhere.
    Omit,
}

impl OutputTls {
    /// The mode, with the default where none is declared.
    pub fn mode(&self) -> TlsMode {
        self.mode.unwrap_or_default()
    }
}
