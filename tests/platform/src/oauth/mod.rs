//! Tokens: personal access tokens, OAuth apps, authorizations and their rotation.
//!
//! Everything that a credential can be is decided here; the HTTP side is in [`endpoints`].

mod dashboard;
mod endpoints;
mod rotation;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;

pub(crate) use dashboard::DASHBOARD;

use crate::secret::Secret;

/// Every scope an app can be registered with.
pub const ALL_SCOPES: &[&str] = &[
    "analytics:read",
    "auth:read",
    "auth:write",
    "database:read",
    "database:write",
    "domains:read",
    "domains:write",
    "edge_functions:read",
    "edge_functions:write",
    "environment:read",
    "environment:write",
    "organizations:read",
    "organizations:write",
    "projects:read",
    "projects:write",
    "rest:read",
    "rest:write",
    "secrets:read",
    "secrets:write",
    "storage:read",
];

/// A registered OAuth app.
#[derive(Clone, PartialEq, Eq)]
pub struct App {
    /// Public identifier.
    pub client_id: String,
    /// Shown once, here.
    pub client_secret: String,
    /// Where a browser may be sent back to.
    pub redirect_uris: Vec<String>,
    /// What its tokens may do.
    pub scopes: BTreeSet<String>,
}

impl fmt::Debug for App {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("App")
            .field("client_id", &self.client_id)
            .field("redirect_uris", &self.redirect_uris)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// An access token and its refresh token.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenPair {
    /// For the `Authorization` header.
    pub access_token: String,
    /// For the next pair.
    pub refresh_token: String,
    /// Seconds until the access token expires.
    pub expires_in: u64,
}

impl fmt::Debug for TokenPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenPair")
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// A personal access token to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pat {
    /// Whose it is.
    pub user: String,
    /// What it can reach.
    pub reach: PatReach,
    /// What it may do there; a classic token may do everything.
    pub permissions: Option<Permissions>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

/// What a personal access token can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatReach {
    /// All that the user can.
    Everything,
    /// These organizations.
    Organizations(BTreeSet<String>),
    /// These projects.
    Projects(BTreeSet<String>),
}

/// The permissions of a scoped token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Whether it may write at all.
    pub write: bool,
    /// Named permissions that it lacks, such as `api_gateway_keys_secret_read`.
    pub without: BTreeSet<String>,
}

impl Permissions {
    pub(crate) fn allow(&self, permission: &str) -> bool {
        (self.write || permission.ends_with("_read")) && !self.without.contains(permission)
    }
}

impl Pat {
    /// A classic token of the first user: all that the user may do.
    pub fn classic() -> Self {
        Self {
            user: crate::world::FIRST_USER.to_owned(),
            reach: PatReach::Everything,
            permissions: None,
            expires_at: None,
        }
    }

    /// A scoped token for these organizations.
    pub fn for_organizations(slugs: &[&str], permissions: Permissions) -> Self {
        let slugs = slugs.iter().map(|slug| (*slug).to_owned()).collect();
        Self {
            reach: PatReach::Organizations(slugs),
            permissions: Some(permissions),
            ..Self::classic()
        }
    }

    /// A scoped token for these projects.
    pub fn for_projects(references: &[&str], permissions: Permissions) -> Self {
        let references = references.iter().map(|reference| (*reference).to_owned()).collect();
        Self {
            reach: PatReach::Projects(references),
            permissions: Some(permissions),
            ..Self::classic()
        }
    }
}

/// All credentials.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials {
    pub(crate) pats: Vec<StoredPat>,
    pub(crate) apps: BTreeMap<String, App>,
    pub(crate) authorizations: Vec<Authorization>,
    pub(crate) accesses: BTreeMap<Secret, Access>,
    pub(crate) refreshes: BTreeMap<Secret, Refresh>,
    pub(crate) codes: BTreeMap<Secret, Code>,
    pub(crate) consents: BTreeMap<String, ConsentRequest>,
}

#[derive(Clone, Debug)]
pub(crate) struct StoredPat {
    pub(crate) pat: Pat,
    pub(crate) token: Secret,
    pub(crate) revoked: bool,
}

/// An organization's consent to an app.
#[derive(Clone, Debug)]
pub(crate) struct Authorization {
    pub(crate) client_id: String,
    pub(crate) organization: String,
    pub(crate) user: String,
    pub(crate) projects: Option<BTreeSet<String>>,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) revoked: bool,
    pub(crate) scopes_lost: bool,
    /// The pair handed out last: access token, its expiry, refresh token.
    pub(crate) current: Option<(Secret, Timestamp, Secret)>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    pub(crate) authorization: usize,
    pub(crate) dies_at: Timestamp,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Refresh {
    pub(crate) authorization: usize,
    pub(crate) used_at: Option<Timestamp>,
}

/// An authorization code on its way back through the browser.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) request: ConsentRequest,
    pub(crate) organization: String,
    pub(crate) projects: Option<BTreeSet<String>>,
    pub(crate) expires_at: Timestamp,
}

/// What an app asked the user for.
#[derive(Clone, Debug)]
pub(crate) struct ConsentRequest {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
    pub(crate) challenge: Option<(String, bool)>,
}
