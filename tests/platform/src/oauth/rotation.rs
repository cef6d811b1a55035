//! Issuing and rotating pairs of tokens, in the four modes of [`TokenMode`].

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Access, App, Authorization, Refresh, TokenPair};
use crate::access::Identity;
use crate::answer::Reply;
use crate::clock::{later, seconds_until};
use crate::config::{SecondConsent, TokenMode};
use crate::ledger::Effect;
use crate::secret::Secret;
use crate::world::World;

impl World {
    /// Records a consent and returns its index.
    pub(crate) fn consent_to(
        &mut self,
        client_id: &str,
        organization: &str,
        projects: Option<BTreeSet<String>>,
    ) -> Option<usize> {
        if self.config.second_consent == SecondConsent::EndsTheFirst {
            self.end_authorizations(client_id, organization);
        }
        let app: &App = self.oauth.apps.get(client_id)?;
        let user = self.organizations.get(organization)?.members.first().cloned();
        self.oauth.authorizations.push(Authorization {
            client_id: client_id.to_owned(),
            organization: organization.to_owned(),
            user: user.unwrap_or_default(),
            projects,
            scopes: app.scopes.clone(),
            revoked: false,
            scopes_lost: false,
            current: None,
        });
        Some(self.oauth.authorizations.len() - 1)
    }

    /// Hands out a new pair under an authorization.
    pub(crate) fn issue(
        &mut self,
        index: usize,
        keep_refresh: Option<String>,
    ) -> Option<TokenPair> {
        let access_token = format!("sbp_oauth_{}", self.random.hex(40));
        let refreshed = self.oauth.authorizations.get(index)?.current.is_some();
        let refresh_token = keep_refresh.unwrap_or_else(|| self.random.alphanumeric(48));
        let expires_at = later(self.now, self.config.access_token_lifetime);
        let authorization = self.oauth.authorizations.get_mut(index)?;
        authorization.current =
            Some((Secret::new(&access_token), expires_at, Secret::new(&refresh_token)));
        let effect = Effect::TokensIssued {
            client_id: authorization.client_id.clone(),
            organization: authorization.organization.clone(),
            refreshed,
        };
        let by = Identity::App {
            client_id: authorization.client_id.clone(),
            organization: authorization.organization.clone(),
        };
        self.oauth.accesses.insert(
            Secret::new(&access_token),
            Access { authorization: index, dies_at: expires_at },
        );
        self.oauth
            .refreshes
            .entry(Secret::new(&refresh_token))
            .or_insert(Refresh { authorization: index, used_at: None });
        self.ledger.accept(self.now, by, effect);
        self.ledger.remember(&access_token);
        self.ledger.remember(&refresh_token);
        Some(TokenPair {
            access_token,
            refresh_token,
            expires_in: seconds_until(self.now, expires_at),
        })
    }

    /// Exchanges a refresh token. Gives the authorization's index too.
    pub(crate) fn rotate(
        &mut self,
        client_id: &str,
        token: &str,
    ) -> Result<(usize, TokenPair), Reply> {
        let refused = || Reply::error(404, "Not Found");
        let refresh = *self.oauth.refreshes.get(token).ok_or_else(refused)?;
        let index = refresh.authorization;
        let authorization = self.oauth.authorizations.get(index).ok_or_else(refused)?;
        if authorization.revoked || authorization.client_id != client_id {
            return Err(refused());
        }
        if let Some(used_at) = refresh.used_at {
            return self.replay(index, used_at).map(|pair| (index, pair)).ok_or_else(refused);
        }
        let mode = self.config.token_mode;
        if mode != TokenMode::NoRotation {
            let grace = match mode {
                TokenMode::Grace(grace) => grace,
                TokenMode::Strict | TokenMode::FamilyRevocation | TokenMode::NoRotation => {
                    std::time::Duration::ZERO
                }
            };
            let end = later(self.now, grace);
            for access in self.oauth.accesses.values_mut() {
                if access.authorization == index {
                    access.dies_at = access.dies_at.min(end);
                }
            }
            if let Some(refresh) = self.oauth.refreshes.get_mut(token) {
                refresh.used_at = Some(self.now);
            }
        }
        let kept = (mode == TokenMode::NoRotation).then(|| token.to_owned());
        self.issue(index, kept).map(|pair| (index, pair)).ok_or_else(refused)
    }

    /// What the use of a used token does.
    fn replay(&mut self, index: usize, used_at: Timestamp) -> Option<TokenPair> {
        match self.config.token_mode {
            TokenMode::Grace(grace) if self.now < later(used_at, grace) => {
                let (access, expires_at, refresh) =
                    self.oauth.authorizations.get(index)?.current.as_ref()?;
                Some(TokenPair {
                    access_token: access.reveal().to_owned(),
                    refresh_token: refresh.reveal().to_owned(),
                    expires_in: seconds_until(self.now, *expires_at),
                })
            }
            TokenMode::FamilyRevocation => {
                self.revoke(index, Identity::Anonymous);
                None
            }
            TokenMode::Grace(_) | TokenMode::Strict | TokenMode::NoRotation => None,
        }
    }

    /// Ends every authorization of an app for an organization.
    pub(crate) fn end_authorizations(&mut self, client_id: &str, organization: &str) {
        let granted = self.oauth.authorizations.iter().enumerate();
        let found: Vec<usize> = granted
            .filter(|(_, granted)| {
                granted.client_id == client_id && granted.organization == organization
            })
            .map(|(index, _)| index)
            .collect();
        for index in found {
            self.revoke(index, Identity::Dashboard);
        }
    }

    /// Ends an authorization with all its tokens.
    pub(crate) fn revoke(&mut self, index: usize, by: Identity) {
        let living = |authorization: &&mut Authorization| !authorization.revoked;
        if let Some(authorization) = self.oauth.authorizations.get_mut(index).filter(living) {
            authorization.revoked = true;
            let effect = Effect::Revoked {
                client_id: authorization.client_id.clone(),
                organization: authorization.organization.clone(),
            };
            self.ledger.accept(self.now, by, effect);
        }
    }

    /// The refresh tokens that the server would exchange right now.
    pub fn acceptable_refresh_tokens(&self) -> Vec<String> {
        self.oauth
            .refreshes
            .iter()
            .filter(|(_, refresh)| {
                let alive = self
                    .oauth
                    .authorizations
                    .get(refresh.authorization)
                    .is_some_and(|authorization| !authorization.revoked);
                let usable = match (refresh.used_at, self.config.token_mode) {
                    (None, _) => true,
                    (Some(used_at), TokenMode::Grace(grace)) => self.now < later(used_at, grace),
                    (Some(_), _) => false,
                };
                alive && usable
            })
            .map(|(token, _)| token.reveal().to_owned())
            .collect()
    }
}
