//! A credential in use, and who its calls are counted for.
//!
//! PURE. Apart from the session that uses it: what an app is confirmed for is decided here, from what is stored.

use secrecy::SecretString;

use super::id::ConnectionId;
use super::identity::Identity;
use super::token_store::{App, Token, TokenState};
use crate::rules::digest::DigestKey;

/// A credential in use.
#[derive(Clone, Debug)]
pub struct Credential {
    /// For the `Authorization` header.
    pub token: Token,
    /// Who its calls are counted for.
    pub identity: Identity,
    /// What stays the same when tokens are refreshed: the chain that they belong to.
    pub lineage: String,
    /// Whether it may reach only some projects of its organizations.
    pub limited: bool,
}

impl Credential {
    /// The credential that a stored pair makes, for a connection that names this app.
    pub(crate) fn of_state(
        state: &TokenState,
        app: Option<&App>,
        key: &DigestKey,
        id: &ConnectionId,
    ) -> Option<Self> {
        let token = state.access.clone()?;
        let chain = state.seed.as_deref().unwrap_or_default();
        let client_id = app.map_or("", |app| app.app.client_id.as_str());
        let confirmed = app.filter(|app| state.is_of(key, app));
        Some(Self {
            identity: confirmed.map_or_else(
                || Identity::of_token(&token, id),
                |app| Identity::of_app(&app.app.client_id, id),
            ),
            lineage: format!("{client_id} {chain}"),
            limited: state.limited,
            token,
        })
    }

    /// The credential that a token without a chain makes.
    pub(crate) fn alone(token: Token, limited: bool, id: &ConnectionId) -> Self {
        Self {
            identity: Identity::of_token(&token, id),
            lineage: token.digest.clone(),
            token,
            limited,
        }
    }

    /// Whether nothing but a person can put another token in its place.
    pub(super) fn is_alone(&self) -> bool {
        self.lineage == self.token.digest
    }

    /// The token.
    pub fn secret(&self) -> &SecretString {
        &self.token.value
    }
}
