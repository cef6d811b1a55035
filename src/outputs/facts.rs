//! What an output can be made of.

use secrecy::SecretString;

use super::Authorities;
use crate::api::{Endpoint, SupabaseProject};

/// All facts of one project. Its debug output shows no value.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The project's ref.
    pub reference: String,
    /// Its API keys.
    pub keys: Keys,
    /// Its ways to the database.
    pub databases: Vec<Database>,
    /// The database password; none while it is not known.
    pub password: Option<SecretString>,
    /// The authorities of the databases; none if the operator was given none.
    pub authorities: Option<Authorities>,
}

/// API keys; each may be missing.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// The key for browsers and apps.
    pub publishable: Option<SecretString>,
    /// The key for servers.
    pub secret: Option<SecretString>,
    /// The legacy key for browsers.
    pub anon: Option<SecretString>,
    /// The legacy key for servers.
    pub service_role: Option<SecretString>,
}

/// One way to the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Which of the ways that outputs can name.
    pub endpoint: Endpoint,
    /// Host name or address.
    pub host: String,
    /// TCP.
    pub port: u16,
    /// Whom clients sign in as; `postgres.<ref>` through the shared pooler.
    pub user: String,
    /// Name of the database.
    pub name: String,
}

impl Facts {
    /// Address of the project's API (platform.md §6).
    pub fn api_url(&self) -> String {
        SupabaseProject::api_url(&self.reference)
    }

    /// Address of the keys that the project's tokens are verified with (platform.md §1).
    pub fn jwks_url(&self) -> String {
        format!("{}/auth/v1/.well-known/jwks.json", self.api_url())
    }

    /// The way to the database that is asked for.
    pub fn database(&self, endpoint: Endpoint) -> Option<&Database> {
        self.databases.iter().find(|database| database.endpoint == endpoint)
    }
}
