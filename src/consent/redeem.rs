//! From a code to a pair in the grants Secret: on record, exchanged once, stored, and only then used.

use jiff::Timestamp;
use secrecy::SecretString;
use tracing::warn;

use super::pkce::Verifier;
use crate::kubernetes;
use crate::management::{
    Client, Error, OAuthApp, Organization, Rejection, exchange_code, organizations,
};
use crate::rules::clock::Clock;
use crate::session::token_store::{Grants, NotOpened, Pair};

/// A flow at its callback.
#[derive(Debug)]
pub struct Flow<'a> {
    /// The key under which the grants Secret keeps it.
    pub name: &'a str,
    /// When it ends.
    pub ends_at: Timestamp,
    /// The redirect URI that it was begun with.
    pub redirect_uri: &'a str,
    /// The verifier that it was begun with.
    pub verifier: &'a Verifier,
}

/// Why nothing came of a flow, in words for the person who went through it.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It cannot be put on record.
    #[error("{0}; begin again")]
    NotOpened(#[from] NotOpened),
    /// The platform does not take the code.
    #[error(
        "Supabase does not accept the authorization code: it was used before, or is too old; begin again"
    )]
    Code,
    /// The platform does not know the app.
    #[error(
        "Supabase does not know the OAuth app: client_id or client_secret are wrong; correct the app's Secret"
    )]
    App,
    /// It cannot be said what became of the code.
    #[error("Supabase did not answer as it should; begin again in a moment")]
    Platform(#[source] Error),
    /// It could not be kept alive.
    #[error(
        "Supabase gave no refresh token, without which access ends by itself; check how the OAuth app is registered"
    )]
    NoRefreshToken,
    /// It could not be stored, so it must not be used.
    #[error("the tokens could not be stored in the cluster; begin again")]
    NotStored(#[source] kubernetes::Error),
    /// Consent was given for another organization.
    #[error(
        "access was given to the organization {given}, but the connection is for {wanted}; begin again and choose that one"
    )]
    Organization {
        /// What the tokens see.
        given: String,
        /// What the connection admits.
        wanted: String,
    },
}

/// What a flow is redeemed with.
#[derive(Debug)]
pub struct Redeemer<'a> {
    /// The platform.
    pub management: &'a Client,
    /// Where the pair goes.
    pub grants: &'a Grants,
    /// Who asks.
    pub app: &'a OAuthApp,
    /// Time.
    pub clock: &'a dyn Clock,
}

impl Redeemer<'_> {
    /// Redeems a code. Gives the organizations that the tokens see, as far as they may list them; `wanted` is the
    /// only one that will do.
    ///
    /// # Errors
    /// Then nothing is left in the grants Secret but the record of the flow.
    pub async fn redeem(
        &self,
        flow: &Flow<'_>,
        code: &SecretString,
        wanted: Option<&str>,
    ) -> Result<Vec<Organization>, Refused> {
        let now = self.clock.now();
        self.grants.open(flow.name, flow.ends_at, now).await?;
        let call = exchange_code(self.app, code, flow.redirect_uri, flow.verifier.secret());
        let grant = match self.management.send(&call, None).await.outcome {
            Ok(answer) => answer.value,
            Err(error) => return Err(refused(error)),
        };
        let pair = Pair::of(&grant, now).ok_or(Refused::NoRefreshToken)?;
        self.grants.put(flow.name, Some(&pair)).await.map_err(Refused::NotStored)?;
        let asked = self.management.send(&organizations(), Some(&pair.access)).await;
        let seen = match asked.outcome {
            Ok(answer) => answer.value,
            // The leading operator looks for itself: what could not be asked here is judged there.
            Err(_) => return Ok(Vec::new()),
        };
        let Some(wanted) = wanted else {
            return Ok(seen);
        };
        if seen.iter().any(|one| one.slug.as_str() == wanted) {
            return Ok(seen);
        }
        // Discarded, never revoked: that would end what the app may do there for everybody else.
        if let Err(error) = self.grants.put(flow.name, None).await {
            warn!(
                error = &error as &dyn std::error::Error,
                "tokens of another organization stay in the grants Secret until the operator discards them"
            );
        }
        let given: Vec<_> = seen.iter().map(|one| one.slug.to_string()).collect();
        Err(Refused::Organization { given: given.join(", "), wanted: wanted.to_owned() })
    }
}

fn refused(error: Error) -> Refused {
    if let Error::Rejected { because: Rejection::InvalidClient, .. } = error {
        Refused::App
    } else if matches!(error, Error::Rejected { .. } | Error::NotFound) {
        Refused::Code
    } else {
        Refused::Platform(error)
    }
}
