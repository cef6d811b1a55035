//! What an output declares, spelled out: every key, its value, and how addresses of the database are written.
//!
//! Presets and `keys` are the same from here on.

use std::collections::BTreeMap;

use crate::api::{Endpoint, Output, OutputTls, OutputValue, Preset, TlsMode};

/// Type of a Secret with keys of no specification.
const OPAQUE: &str = "Opaque";
/// Type of a Secret with the preset ServiceBinding (Service Binding specification, "Well-known Secret Entries").
const SERVICE_BINDING: &str = "servicebinding.io/postgresql";
/// The scheme of URIs that nobody wants otherwise.
const SCHEME: &str = "postgresql";
/// Where a binding has the authorities' certificates.
const BOUND_CA: &str = "ca.crt";

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    /// The key.
    pub(super) key: String,
    /// The value.
    pub(super) value: OutputValue,
    /// The way to the database.
    pub(super) endpoint: Endpoint,
    /// What is said about TLS.
    pub(super) tls: Tls<'a>,
    /// The scheme of a URI.
    pub(super) scheme: &'a str,
    /// Further parameters of an address.
    pub(super) parameters: Option<&'a BTreeMap<String, String>>,
}

/// What is said about TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tls<'a> {
    mode: TlsMode,
    /// The file of the authorities' certificates.
    pub(super) ca_file: Option<&'a str>,
}

impl<'a> Tls<'a> {
    fn of(declared: Option<&'a OutputTls>) -> Self {
        Self {
            mode: declared.map(OutputTls::mode).unwrap_or_default(),
            ca_file: declared.and_then(|tls| tls.ca_file.as_deref()),
        }
    }

    /// The word of libpq; none where nothing is said.
    pub(super) const fn ssl_mode(self) -> Option<&'static str> {
        match self.mode {
            TlsMode::Require => Some("require"),
            TlsMode::VerifyFull => Some("verify-full"),
            TlsMode::Omit => None,
        }
    }

    fn verifies(self) -> bool {
        self.mode == TlsMode::VerifyFull
    }
}

/// What an output of the preset Env holds where `include` is absent: all but the legacy keys.
const DEFAULT: [OutputValue; 10] = [
    OutputValue::URL,
    OutputValue::ProjectRef,
    OutputValue::PublishableKey,
    OutputValue::SecretKey,
    OutputValue::DatabaseURI,
    OutputValue::DatabaseHost,
    OutputValue::DatabasePort,
    OutputValue::DatabaseName,
    OutputValue::DatabaseUser,
    OutputValue::DatabasePassword,
];

/// What a binding holds, besides words.
const BINDING: [(OutputValue, &str); 6] = [
    (OutputValue::DatabaseHost, "host"),
    (OutputValue::DatabasePort, "port"),
    (OutputValue::DatabaseName, "database"),
    (OutputValue::DatabaseUser, "username"),
    (OutputValue::DatabasePassword, "password"),
    (OutputValue::DatabaseURI, "uri"),
];

/// What clients of libpq read, besides words.
const LIBPQ: [(OutputValue, &str); 5] = [
    (OutputValue::DatabaseHost, "PGHOST"),
    (OutputValue::DatabasePort, "PGPORT"),
    (OutputValue::DatabaseName, "PGDATABASE"),
    (OutputValue::DatabaseUser, "PGUSER"),
    (OutputValue::DatabasePassword, "PGPASSWORD"),
];

/// Everything that an output shall hold, but for words.
pub(super) fn entries(output: &Output) -> Vec<Entry<'_>> {
    if let Some(keys) = &output.keys {
        let entries = keys.iter().map(|key| Entry {
            endpoint: key.endpoint.unwrap_or(output.endpoint),
            tls: Tls::of(key.tls.as_ref().or(output.tls.as_ref())),
            scheme: key.scheme.as_deref().unwrap_or(SCHEME),
            parameters: key.parameters.as_ref(),
            ..plain(output, key.value, key.name.clone())
        });
        return entries.collect();
    }
    let named = |(value, key): &(OutputValue, &str)| plain(output, *value, (*key).to_owned());
    let with_ca = |key: &str| {
        let verifies = Tls::of(output.tls.as_ref()).verifies();
        verifies.then(|| plain(output, OutputValue::DatabaseCA, key.to_owned()))
    };
    match output.preset {
        Preset::Libpq => LIBPQ.iter().map(named).collect(),
        Preset::ServiceBinding => BINDING.iter().map(named).chain(with_ca(BOUND_CA)).collect(),
        Preset::Env => {
            let prefix = output.prefix.as_deref().unwrap_or_default();
            let key = |value| format!("{prefix}{}", variable(value));
            let include = output.include.as_deref();
            let values = include.unwrap_or(&DEFAULT).iter();
            let ca = include.is_none().then(|| with_ca(&key(OutputValue::DatabaseCA)));
            values.map(|value| plain(output, *value, key(*value))).chain(ca.flatten()).collect()
        }
    }
}

/// An entry as the output as a whole says.
fn plain(output: &Output, value: OutputValue, key: String) -> Entry<'_> {
    Entry {
        key,
        value,
        endpoint: output.endpoint,
        tls: Tls::of(output.tls.as_ref()),
        scheme: SCHEME,
        parameters: None,
    }
}

/// What a preset holds whatever is known.
pub(super) fn words(output: &Output) -> impl Iterator<Item = (String, String)> {
    let tls = Tls::of(output.tls.as_ref());
    let mut words = Vec::new();
    match output.preset {
        Preset::Env => {}
        Preset::Libpq => {
            words.extend(tls.ssl_mode().map(|mode| ("PGSSLMODE", mode)));
            words.extend(tls.ca_file.map(|file| ("PGSSLROOTCERT", file)));
        }
        Preset::ServiceBinding => {
            words.extend([("type", "postgresql"), ("provider", "supabase")]);
            words.extend(tls.ssl_mode().map(|mode| ("sslmode", mode)));
            if tls.verifies() {
                words.push(("sslrootcert", tls.ca_file.unwrap_or(BOUND_CA)));
            }
        }
    }
    let words: Vec<_> =
        words.into_iter().map(|(key, word)| (key.to_owned(), word.to_owned())).collect();
    words.into_iter()
}

/// The type of an output's Secret.
pub(super) const fn secret_type(output: &Output) -> &'static str {
    match output.preset {
        Preset::Env | Preset::Libpq => OPAQUE,
        Preset::ServiceBinding => SERVICE_BINDING,
    }
}

/// The environment variable of a value.
const fn variable(value: OutputValue) -> &'static str {
    match value {
        OutputValue::URL => "SUPABASE_URL",
        OutputValue::ProjectRef => "SUPABASE_PROJECT_REF",
        OutputValue::PublishableKey => "SUPABASE_PUBLISHABLE_KEY",
        OutputValue::SecretKey => "SUPABASE_SECRET_KEY",
        OutputValue::AnonKey => "SUPABASE_ANON_KEY",
        OutputValue::ServiceRoleKey => "SUPABASE_SERVICE_ROLE_KEY",
        OutputValue::DatabaseURI => "SUPABASE_DB_URL",
        OutputValue::DatabaseHost => "SUPABASE_DB_HOST",
        OutputValue::DatabasePort => "SUPABASE_DB_PORT",
        OutputValue::DatabaseName => "SUPABASE_DB_NAME",
        OutputValue::DatabaseUser => "SUPABASE_DB_USER",
        OutputValue::DatabasePassword => "SUPABASE_DB_PASSWORD",
        OutputValue::DatabaseJDBCURL => "SUPABASE_DB_JDBC_URL",
        OutputValue::DatabasePassfile => "SUPABASE_DB_PASSFILE",
        OutputValue::DatabaseCA => "SUPABASE_DB_CA",
        OutputValue::JWKSURL => "SUPABASE_JWKS_URL",
    }
}
