//! What to ask: a call as pure data, without a token.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::endpoint::Endpoint;
use super::transport::Limits;
use super::wire::Undecodable;

/// The body of a call; cleared from memory afterwards.
#[derive(Clone)]
pub(super) enum Body {
    Json(Zeroizing<Vec<u8>>),
    Form(Zeroizing<Vec<u8>>),
}

/// Proof of an OAuth client, for the token endpoint.
#[derive(Clone)]
pub(super) struct ClientProof {
    pub(super) client_id: String,
    pub(super) client_secret: SecretString,
}

/// One call: what to ask, how long to wait, and how to read the answer. Holds no token.
pub struct Call<T> {
    pub(super) endpoint: Endpoint,
    pub(super) scope: String,
    pub(super) path: String,
    pub(super) body: Option<Body>,
    pub(super) client: Option<ClientProof>,
    pub(super) limits: Limits,
    pub(super) tentative: bool,
    pub(super) decode: fn(&str, &[u8]) -> Result<T, Undecodable>,
}

impl<T> Call<T> {
    pub(super) const fn new(
        endpoint: Endpoint,
        scope: String,
        path: String,
        decode: fn(&str, &[u8]) -> Result<T, Undecodable>,
    ) -> Self {
        Self {
            endpoint,
            scope,
            path,
            body: None,
            client: None,
            limits: Limits::ORDINARY,
            tentative: false,
            decode,
        }
    }

    pub(super) fn with_body(mut self, body: Body) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    pub(super) const fn tentative(mut self) -> Self {
        self.tentative = true;
        self
    }

    /// Whether it asks for more than the endpoint gives to everybody who may use it: that it is forbidden says nothing
    /// about the endpoint itself.
    pub const fn is_tentative(&self) -> bool {
        self.tentative
    }

    /// Its row of the table: method, path, and what is counted.
    pub const fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// What its rate limit is counted for besides identity and endpoint: a ref, a slug, or nothing.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// How long it may take as a whole.
    pub const fn deadline(&self) -> Duration {
        self.limits.whole
    }

    /// The same call, to be over after `whole`.
    #[must_use]
    pub const fn within(mut self, whole: Duration) -> Self {
        self.limits.whole = whole;
        self
    }
}

impl<T> Clone for Call<T> {
    fn clone(&self) -> Self {
        Self {
            endpoint: self.endpoint,
            scope: self.scope.clone(),
            path: self.path.clone(),
            body: self.body.clone(),
            client: self.client.clone(),
            limits: self.limits,
            tentative: self.tentative,
            decode: self.decode,
        }
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Call")
            .field("endpoint", &self.endpoint)
            .field("scope", &self.scope)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
