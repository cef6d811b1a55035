//! The platform's memory of everything that happened, for assertions.
//!
//! Written by the world only. Secrets are kept apart, and never shown in debug output.

use std::collections::BTreeSet;

use http::Method;
use jiff::Timestamp;

use crate::access::Identity;
use crate::secret::Secret;

/// Everything seen and everything accepted.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    seen: Vec<Seen>,
    accepted: Vec<Accepted>,
    secrets: BTreeSet<Secret>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it came.
    pub at: Timestamp,
    /// Its method.
    pub method: Method,
    /// Its path, without the query.
    pub path: String,
    /// Its query, without secrets of the OAuth flow.
    pub query: String,
    /// The pattern of the endpoint, such as `/v1/projects/{ref}`; none for an unknown route.
    pub endpoint: Option<&'static str>,
    /// Whose credential it carried.
    pub identity: Identity,
    /// The status of the answer; none where there was no answer.
    pub status: Option<u16>,
    /// Whether the client could see the whole answer.
    pub delivered: bool,
}

/// One thing that the platform accepted, whether or not the answer arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Identity,
    /// What.
    pub effect: Effect,
}

/// What was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A project was created.
    Created {
        /// Its ref.
        reference: String,
        /// Its organization.
        organization: String,
        /// Its name in the request.
        name: String,
        /// Its region.
        region: String,
        /// The instance size asked for.
        size: Option<String>,
    },
    /// A project got another name.
    Renamed {
        /// Its ref.
        reference: String,
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// A deletion was accepted.
    Deleted {
        /// The project.
        reference: String,
    },
    /// A pause was accepted.
    Paused {
        /// The project.
        reference: String,
    },
    /// A restore was accepted.
    Restored {
        /// The project.
        reference: String,
    },
    /// A restart was accepted.
    Restarted {
        /// The project.
        reference: String,
    },
    /// The database password was changed.
    PasswordChanged {
        /// The project.
        reference: String,
    },
    /// Another setting was changed.
    Changed {
        /// The project.
        reference: String,
        /// Which setting, such as `ssl-enforcement`.
        setting: &'static str,
        /// The fields that took effect, by name; never their values.
        keys: Vec<String>,
    },
    /// An organization was created.
    OrganizationCreated {
        /// Its slug.
        slug: String,
    },
    /// A pair of tokens was handed out.
    TokensIssued {
        /// The app.
        client_id: String,
        /// The organization.
        organization: String,
        /// Whether a refresh token was exchanged.
        refreshed: bool,
    },
    /// An authorization was revoked.
    Revoked {
        /// The app.
        client_id: String,
        /// The organization.
        organization: String,
    },
}

impl Effect {
    /// The project that it touched.
    pub fn reference(&self) -> Option<&str> {
        match self {
            Self::Created { reference, .. }
            | Self::Renamed { reference, .. }
            | Self::Deleted { reference }
            | Self::Paused { reference }
            | Self::Restored { reference }
            | Self::Restarted { reference }
            | Self::PasswordChanged { reference }
            | Self::Changed { reference, .. } => Some(reference),
            Self::OrganizationCreated { .. } | Self::TokensIssued { .. } | Self::Revoked { .. } => {
                None
            }
        }
    }
}

impl Ledger {
    /// Every request, oldest first.
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Every accepted effect, oldest first.
    pub fn accepted(&self) -> &[Accepted] {
        &self.accepted
    }

    /// How many requests there were to an endpoint, given by method and pattern.
    pub fn count(&self, method: &Method, endpoint: &str) -> usize {
        self.seen
            .iter()
            .filter(|seen| seen.method == *method && seen.endpoint == Some(endpoint))
            .count()
    }

    /// The refs of all accepted creates that came over the API, oldest first.
    pub fn created(&self) -> impl Iterator<Item = &str> {
        self.accepted.iter().filter(|accepted| accepted.by != Identity::Dashboard).filter_map(
            |accepted| match &accepted.effect {
                Effect::Created { reference, .. } => Some(reference.as_str()),
                Effect::Renamed { .. }
                | Effect::Deleted { .. }
                | Effect::Paused { .. }
                | Effect::Restored { .. }
                | Effect::Restarted { .. }
                | Effect::PasswordChanged { .. }
                | Effect::Changed { .. }
                | Effect::OrganizationCreated { .. }
                | Effect::TokensIssued { .. }
                | Effect::Revoked { .. } => None,
            },
        )
    }

    /// The writes of a setting of a project that came over the API, oldest first: the fields that each brought.
    pub fn writes<'a>(
        &'a self,
        reference: &'a str,
        setting: &'a str,
    ) -> impl Iterator<Item = &'a [String]> {
        let over_the_api = |accepted: &&Accepted| accepted.by != Identity::Dashboard;
        let all = self.accepted.iter().filter(over_the_api);
        all.filter_map(move |accepted| {
            let Effect::Changed { reference: project, setting: name, keys } = &accepted.effect
            else {
                return None;
            };
            (project == reference && *name == setting).then_some(keys.as_slice())
        })
    }

    pub(crate) fn see(&mut self, seen: Seen) {
        self.seen.push(seen);
    }

    pub(crate) fn accept(&mut self, at: Timestamp, by: Identity, effect: Effect) {
        self.accepted.push(Accepted { at, by, effect });
    }

    /// Remembers a secret that was handed out or accepted.
    pub(crate) fn remember(&mut self, secret: &str) {
        if !secret.is_empty() {
            self.secrets.insert(Secret::new(secret));
        }
    }

    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(Secret::reveal)
    }
}
