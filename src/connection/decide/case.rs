//! What a decision about OAuth tokens is made from: everything at hand, and what the seed Secret offers. PURE.

use super::{At, OrganizationPolicy};
use crate::api::Reason;
use crate::connection::facts::{Observed, Read, Seed};
use crate::controller::Problem;
use crate::session::token_store::{App, Token, TokenState};

/// Everything at hand.
pub(super) struct Case<'a> {
    pub(super) policy: &'a OrganizationPolicy<'a>,
    pub(super) observed: &'a Observed,
    pub(super) state: &'a TokenState,
    pub(super) app: &'a Read<App>,
    pub(super) at: At,
}

/// What the seed Secret offers.
#[derive(Clone, Debug)]
pub(super) enum Offer<'a> {
    /// Nothing, perhaps for this reason.
    Nothing(Option<Problem>),
    /// The token that the stored pair has, or began with and still holds.
    Current,
    /// A refresh token that was spent.
    Spent,
    /// A refresh token that the platform refused.
    Refused(&'a Seed),
    /// A refresh token that another connection holds.
    Shared,
    /// An access token that somebody else renews.
    Borrowed(&'a Token),
    /// Tokens that were never used.
    Fresh(&'a Seed, &'a Token),
}

impl Case<'_> {
    /// The app, or why there is none.
    pub(super) fn usable_app(&self) -> Result<&App, Problem> {
        match self.app {
            Read::There(app) => Ok(app),
            Read::Bad(problem) => Err(problem.clone()),
            Read::NotNamed => Err(Problem::new(
                Reason::SecretNotFound,
                "there is no OAuth app, without which tokens can be neither got nor refreshed; name its Secret in \
                 spec.auth.oauth.appSecretRef",
            )),
        }
    }

    pub(super) fn app_digest(&self) -> Option<&str> {
        match self.app {
            Read::There(app) => Some(&app.digest),
            Read::NotNamed | Read::Bad(_) => None,
        }
    }

    pub(super) fn offer<'a>(&self, seed: &'a Read<Seed>) -> Offer<'a> {
        let seed = match seed {
            Read::There(seed) => seed,
            Read::Bad(problem) => return Offer::Nothing(Some(problem.clone())),
            Read::NotNamed => return Offer::Nothing(None),
        };
        let Some(refresh) = &seed.refresh else {
            return seed.access.as_ref().map_or(Offer::Nothing(None), Offer::Borrowed);
        };
        if self.state.refresh.as_ref() == Some(refresh) {
            Offer::Current
        } else if self.state.was_spent(&refresh.digest) {
            Offer::Spent
        } else if self.state.is_consumed(&refresh.digest, self.app_digest()) {
            Offer::Refused(seed)
        } else if self.observed.shared {
            Offer::Shared
        } else {
            Offer::Fresh(seed, refresh)
        }
    }
}
