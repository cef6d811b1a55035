//! An output's content, from what it declares and what is known.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::ExposeSecret as _;

use super::entries::{Entry, entries, secret_type, words};
use super::{Authorities, Facts, address};
use crate::api::{Endpoint, Output, OutputKind, OutputValue};

/// What an output shall hold. Its debug output names keys only.
#[derive(Clone, PartialEq, Eq)]
pub struct Data(BTreeMap<String, String>);

impl Data {
    /// Keys and values.
    pub const fn entries(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl From<BTreeMap<String, String>> for Data {
    fn from(entries: BTreeMap<String, String>) -> Self {
        Self(entries)
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// A rendered output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Type of the Secret; of no meaning for a ConfigMap.
    pub kind: &'static str,
    /// What it holds.
    pub data: Data,
    /// What it should hold and cannot, since it is not known.
    pub missing: Vec<Missing>,
}

/// A value that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What the output asks for.
    pub value: OutputValue,
    /// The key that it would have.
    pub key: String,
    /// The way to the database that it would lead.
    pub endpoint: Endpoint,
}

impl Rendered {
    /// Keeps what an earlier writing put there for values that are not known now: applications go on with it.
    pub fn keep(&mut self, entries: &BTreeMap<String, Vec<u8>>) {
        for missing in &self.missing {
            let text = entries.get(&missing.key).and_then(|bytes| std::str::from_utf8(bytes).ok());
            if let Some(text) = text {
                self.data.0.insert(missing.key.clone(), text.to_owned());
            }
        }
    }
}

/// What an output shall hold, or which values it waits for.
pub fn render(output: &Output, facts: &Facts) -> Rendered {
    let mut data = BTreeMap::new();
    let mut missing = Vec::new();
    for entry in entries(output) {
        // The schema says so too; a ConfigMap holds no secret whatever the schema says.
        let allowed = output.kind == OutputKind::Secret || entry.value.is_public();
        match value_of(&entry, facts).filter(|_| allowed) {
            Some(text) => {
                data.insert(entry.key, text);
            }
            None => missing.push(Missing {
                value: entry.value,
                key: entry.key,
                endpoint: entry.endpoint,
            }),
        }
    }
    data.extend(words(output));
    Rendered { kind: secret_type(output), data: Data(data), missing }
}

fn value_of(entry: &Entry<'_>, facts: &Facts) -> Option<String> {
    let database = || facts.database(entry.endpoint);
    let password = || facts.password.as_ref().map(secrecy::ExposeSecret::expose_secret);
    let key = |key: &Option<secrecy::SecretString>| {
        key.as_ref().map(|key| key.expose_secret().to_owned())
    };
    match entry.value {
        OutputValue::URL => Some(facts.api_url()),
        OutputValue::ProjectRef => Some(facts.reference.clone()),
        OutputValue::PublishableKey => key(&facts.keys.publishable),
        OutputValue::SecretKey => key(&facts.keys.secret),
        OutputValue::AnonKey => key(&facts.keys.anon),
        OutputValue::ServiceRoleKey => key(&facts.keys.service_role),
        OutputValue::DatabaseURI => Some(address::uri(entry, database()?, password()?)),
        OutputValue::DatabaseJDBCURL => Some(address::jdbc_url(entry, database()?, password()?)),
        OutputValue::DatabasePassfile => Some(address::passfile(database()?, password()?)),
        OutputValue::DatabaseHost => database().map(|database| database.host.clone()),
        OutputValue::DatabasePort => database().map(|database| database.port.to_string()),
        OutputValue::DatabaseName => database().map(|database| database.name.clone()),
        OutputValue::DatabaseUser => database().map(|database| database.user.clone()),
        OutputValue::DatabasePassword => password().map(str::to_owned),
        OutputValue::DatabaseCA => {
            let authorities = facts.authorities.as_ref()?;
            Some(authorities.pem().to_owned())
        }
        OutputValue::JWKSURL => Some(facts.jwks_url()),
    }
}

/// The database password that an output holds, by itself or in an address, for finding a lost one again.
pub fn password_in(output: &Output, held: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let found = entries(output).into_iter().filter_map(|entry| {
        let text = std::str::from_utf8(held.get(&entry.key)?).ok()?;
        address::password_in(entry.value, text)
    });
    found.collect()
}

/// Whether what an output holds of the authorities is what the operator was given last; so it is too where it was given none.
pub fn authorities_are_current(
    output: &Output,
    held: &BTreeMap<String, Vec<u8>>,
    authorities: Option<&Authorities>,
) -> bool {
    let Some(authorities) = authorities else {
        return true;
    };
    let pem = authorities.pem().as_bytes();
    entries(output)
        .iter()
        .filter(|entry| entry.value == OutputValue::DatabaseCA)
        .all(|entry| held.get(&entry.key).is_some_and(|held| held == pem))
}

impl Output {
    /// Whether it holds something that comes from the database password.
    pub fn needs_password(&self) -> bool {
        let held = entries(self);
        held.iter().any(|entry| entry.value.needs_password())
    }

    /// Whether it holds the authorities of the databases.
    pub fn needs_authorities(&self) -> bool {
        let held = entries(self);
        held.iter().any(|entry| entry.value == OutputValue::DatabaseCA)
    }

    /// Whether any of its values leads a way to the database.
    pub fn leads(&self, endpoint: Endpoint) -> bool {
        let held = entries(self);
        held.iter().any(|entry| entry.endpoint == endpoint)
    }
}

impl OutputValue {
    /// Whether anybody may read it.
    pub const fn is_public(self) -> bool {
        match self {
            Self::URL
            | Self::ProjectRef
            | Self::PublishableKey
            | Self::AnonKey
            | Self::JWKSURL
            | Self::DatabaseCA => true,
            Self::SecretKey
            | Self::ServiceRoleKey
            | Self::DatabaseURI
            | Self::DatabaseJDBCURL
            | Self::DatabasePassfile
            | Self::DatabaseHost
            | Self::DatabasePort
            | Self::DatabaseName
            | Self::DatabaseUser
            | Self::DatabasePassword => false,
        }
    }

    /// Whether it comes from the database password.
    pub const fn needs_password(self) -> bool {
        matches!(
            self,
            Self::DatabaseURI
                | Self::DatabaseJDBCURL
                | Self::DatabasePassfile
                | Self::DatabasePassword
        )
    }
}
