//! What to tell people of a connection's tokens: what to do, and why. PURE.

use super::case::{Case, Offer};
use crate::api::Reason;
use crate::controller::Problem;

impl Case<'_> {
    pub(super) fn reauthorize(&self, why: &str) -> Problem {
        Problem::new(
            Reason::ReauthorizationRequired,
            format!(
                "{why}; authorize again with '{}', or put a new refresh token into the Secret of \
                 spec.auth.oauth.tokenSecretRef",
                self.observed.connect
            ),
        )
    }

    pub(super) fn nothing_left(&self, offer: &Offer<'_>) -> Problem {
        let had_tokens = self.state.access.is_some() || !self.state.consumed.is_empty();
        match (offer, self.usable_app()) {
            (Offer::Shared, _) => shared(),
            (Offer::Borrowed(_), _) => Problem::new(
                Reason::Unauthorized,
                "the platform does not accept the access token; it may have expired or been revoked: put a new one, \
                 or a refresh token, into the Secret of spec.auth.oauth.tokenSecretRef",
            ),
            (Offer::Nothing(Some(problem)), _) if !had_tokens => problem.clone(),
            // Nobody can authorize for it before that is mended.
            (_, Err(problem)) => problem,
            (Offer::Nothing(None), _) if !had_tokens => Problem::new(
                Reason::ReauthorizationRequired,
                format!(
                    "there are no tokens yet; run '{}', or put a refresh token into a Secret and name it in \
                     spec.auth.oauth.tokenSecretRef",
                    self.observed.connect
                ),
            ),
            (Offer::Spent, _) => {
                self.reauthorize("the refresh token in the seed Secret was used before")
            }
            (Offer::Refused(_), _) => {
                self.reauthorize("the platform refused the refresh token in the seed Secret")
            }
            (Offer::Nothing(_) | Offer::Current | Offer::Fresh(..), _) => {
                self.reauthorize("the platform does not accept the tokens any more")
            }
        }
    }
}

pub(super) fn shared() -> Problem {
    Problem::new(
        Reason::CredentialShared,
        "another connection uses the refresh token of the seed Secret, and two would make each other's tokens \
         invalid; authorize once more, and give each connection its own token",
    )
}
