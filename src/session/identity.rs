//! Who a call is counted for, by the platform and by us.
//!
//! PURE. Separate, because it must be right for strangers: what a tenant's Secret merely claims (a `client_id`, say)
//! names nobody here. An app counts only for a credential that the platform itself gave to that app.

use super::id::ConnectionId;
use super::token_store::{App, Token};

/// Who a call is counted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whose calls the platform counts together: an app that it has confirmed for this credential, or the credential
    /// by itself.
    pub counted: String,
    /// The connection: what goes wrong for one says nothing about another.
    pub own: String,
}

impl Identity {
    /// Of a credential that the platform gave to this app: everybody who uses the app shares its limits
    /// (platform.md §3).
    pub fn of_app(client_id: &str, id: &ConnectionId) -> Self {
        Self::new(format!("app {client_id}"), id)
    }

    /// Of a credential of which nothing else is confirmed.
    pub fn of_token(token: &Token, id: &ConnectionId) -> Self {
        Self::new(token.digest.clone(), id)
    }

    /// Of whoever presents an app to the token endpoint: only who has both its halves is taken for it.
    pub fn of_client(app: &App, id: &ConnectionId) -> Self {
        Self::new(app.digest.clone(), id)
    }

    fn new(counted: String, id: &ConnectionId) -> Self {
        Self { counted, own: id.to_string() }
    }
}
