//! The grants Secret of a connection: what somebody who consented brought back, on its way into the token store.
//!
//! An entry is made for a flow before its authorization code is exchanged, so that no flow is gone through twice,
//! whichever replica serves it; the pair is put into the entry as soon as it is there. The leader alone takes pairs
//! out and sweeps what has ended. Touches this one Secret.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, Client, ResourceExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::store::declared;
use super::tokens::credential;
use crate::api::{FIELD_MANAGER, SecretTemplate, labels};
use crate::kubernetes::{self, Error};
use crate::management::TokenGrant;
use crate::rules::marks::Marks;

/// Flows on record at once: more are refused until some have ended.
const FLOWS: usize = 32;
/// How long an entry stays after its flow has ended, for clocks that differ.
const LINGER: SignedDuration = SignedDuration::from_secs(60);
/// How often a write that was overtaken is tried again.
const TRIES: u32 = 8;
/// Between two tries to store a pair.
const INSIST_EVERY: Duration = Duration::from_millis(500);
/// How long storing a pair is tried.
const INSIST_FOR: Duration = Duration::from_secs(30);

/// A pair of tokens that a consent gave.
#[derive(Clone, Debug)]
pub struct Pair {
    /// For calls.
    pub access: SecretString,
    /// For the next pair.
    pub refresh: SecretString,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
    /// Whether the tokens reach only some projects of the organization.
    pub limited: bool,
}

impl Pair {
    /// The pair of a grant; nothing without a refresh token, since it could not be kept alive.
    pub fn of(grant: &TokenGrant, now: Timestamp) -> Option<Self> {
        let expires_at = grant
            .expires_in
            .and_then(|life| now.checked_add(SignedDuration::try_from(life).ok()?).ok())
            .and_then(|at| Timestamp::from_second(at.as_second()).ok());
        Some(Self {
            access: grant.access_token.clone(),
            refresh: grant.refresh_token.clone()?,
            expires_at,
            limited: grant.limited_to_projects,
        })
    }
}

/// One flow on record.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key in the Secret: one of a flow.
    pub flow: String,
    /// When the flow ends.
    pub ends_at: Timestamp,
    /// What it brought, until that is taken out.
    pub pair: Option<Pair>,
}

impl Entry {
    /// Whether the entry has done its duty.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.ends_at.checked_add(LINGER).is_ok_and(|until| until < now)
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    ends_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(default)]
    limited_to_projects: bool,
}

impl Entry {
    fn read(flow: &str, bytes: &[u8]) -> Option<Self> {
        let stored: Stored = serde_json::from_slice(bytes).ok()?;
        let token = |text: Option<&String>| text.and_then(|text| credential(text));
        let pair = token(stored.access_token.as_ref())
            .zip(token(stored.refresh_token.as_ref()))
            .map(|(access, refresh)| Pair {
                access,
                refresh,
                expires_at: stored.expires_at,
                limited: stored.limited_to_projects,
            });
        Some(Self { flow: flow.to_owned(), ends_at: stored.ends_at, pair })
    }

    fn bytes(&self) -> ByteString {
        let clear = |token: &SecretString| token.expose_secret().to_owned();
        let pair = self.pair.as_ref();
        let stored = Stored {
            ends_at: self.ends_at,
            access_token: pair.map(|pair| clear(&pair.access)),
            refresh_token: pair.map(|pair| clear(&pair.refresh)),
            expires_at: pair.and_then(|pair| pair.expires_at),
            limited_to_projects: pair.is_some_and(|pair| pair.limited),
        };
        ByteString(serde_json::to_vec(&stored).unwrap_or_default())
    }
}

/// The Secret as it was read.
#[derive(Clone, Debug)]
pub struct GrantsRead {
    secret: Secret,
    /// The flows on record.
    pub entries: Vec<Entry>,
}

/// Why a flow cannot be put on record.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// It was gone through before.
    #[error("this authorization was used before")]
    Replayed,
    /// Too many others are.
    #[error("too many authorizations of this connection are under way")]
    TooMany,
    /// A Secret of somebody else has the name.
    #[error(
        "the Secret {0} belongs to somebody else and is left alone; give the connection another name"
    )]
    Foreign(String),
    /// The API server refused.
    #[error("the authorization could not be recorded")]
    Kubernetes(#[from] Error),
}

/// The grants Secret of a connection.
#[derive(Clone)]
pub struct Grants {
    client: Client,
    namespace: String,
    name: String,
    uid: String,
    declared: Marks,
}

impl std::fmt::Debug for Grants {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Grants")
            .field("namespace", &self.namespace)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Grants {
    /// The Secret `name` of the connection with this UID.
    pub fn new(client: Client, namespace: String, name: String, uid: String) -> Self {
        Self { client, namespace, name, uid, declared: Marks::default() }
    }

    /// The same, whose Secret bears what the connection declares.
    #[must_use]
    pub fn bearing(self, template: Option<&SecretTemplate>) -> Self {
        Self { declared: declared(template), ..self }
    }

    fn api(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// What is there, as far as it is this connection's. What an earlier connection of the name left says nothing.
    pub async fn read(&self) -> Result<Option<GrantsRead>, Error> {
        let found = kubernetes::get(&self.api(), &self.name).await?;
        Ok(found.filter(|secret| self.is_ours(secret)).map(read))
    }

    fn is_ours(&self, secret: &Secret) -> bool {
        let label = |name: &str| secret.labels().get(name).map(String::as_str);
        is_grants(secret) && label(labels::OWNER_UID) == Some(&self.uid)
    }

    /// Puts a flow on record, before its code is exchanged. Refused if it is there already.
    ///
    /// # Errors
    /// Then the code must not be exchanged.
    pub async fn open(
        &self,
        flow: &str,
        ends_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), NotOpened> {
        let entry = Entry { flow: flow.to_owned(), ends_at, pair: None };
        for _ in 0..TRIES {
            let written = match kubernetes::get(&self.api(), &self.name).await? {
                None => {
                    let secret = self.secret(None, std::slice::from_ref(&entry));
                    kubernetes::create(&self.api(), &secret).await
                }
                Some(secret) if !is_grants(&secret) => {
                    return Err(NotOpened::Foreign(self.name.clone()));
                }
                Some(secret) => {
                    // Of an earlier connection of the same name nothing is kept.
                    let mut entries = if self.is_ours(&secret) {
                        read(secret.clone()).entries
                    } else {
                        Vec::new()
                    };
                    if entries.iter().any(|other| other.flow == flow) {
                        return Err(NotOpened::Replayed);
                    }
                    entries.retain(|other| other.pair.is_some() || !other.is_over(now));
                    if entries.len() >= FLOWS {
                        return Err(NotOpened::TooMany);
                    }
                    entries.push(entry.clone());
                    kubernetes::replace(&self.api(), &self.secret(Some(secret), &entries)).await
                }
            };
            match written {
                Ok(_) => return Ok(()),
                Err(Error::Conflict | Error::Exists | Error::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Conflict.into())
    }

    /// Puts a pair into its flow's entry, or takes out what is there. Tried for half a minute: the code is spent.
    ///
    /// # Errors
    /// The last one, or [`Error::NotFound`] if the entry is gone.
    pub async fn put(&self, flow: &str, pair: Option<&Pair>) -> Result<(), Error> {
        let insist = async {
            loop {
                match self.try_put(flow, pair).await {
                    Err(Error::Conflict | Error::Unavailable(_)) => {
                        tokio::time::sleep(INSIST_EVERY).await;
                    }
                    done => return done,
                }
            }
        };
        tokio::time::timeout(INSIST_FOR, insist).await.unwrap_or(Err(Error::Conflict))
    }

    async fn try_put(&self, flow: &str, pair: Option<&Pair>) -> Result<(), Error> {
        let mut there = self.read().await?.ok_or(Error::NotFound)?;
        let entry =
            there.entries.iter_mut().find(|entry| entry.flow == flow).ok_or(Error::NotFound)?;
        entry.pair = pair.cloned();
        let secret = self.secret(Some(there.secret), &there.entries);
        kubernetes::replace(&self.api(), &secret).await.map(|_| ())
    }

    /// Leaves only these entries of what was read; removes the Secret when none is left.
    pub async fn keep(&self, there: &GrantsRead, entries: &[Entry]) -> Result<(), Error> {
        if entries.is_empty() {
            return match kubernetes::delete(&self.api(), &there.secret).await {
                Err(Error::NotFound) => Ok(()),
                done => done,
            };
        }
        let secret = self.secret(Some(there.secret.clone()), entries);
        kubernetes::replace(&self.api(), &secret).await.map(|_| ())
    }

    fn secret(&self, there: Option<Secret>, entries: &[Entry]) -> Secret {
        let mut secret = there.unwrap_or_else(|| Secret {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                ..ObjectMeta::default()
            },
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        });
        let ours = [
            (labels::MANAGED_BY, FIELD_MANAGER),
            (labels::PART_OF, "supabase"),
            (labels::OWNER_UID, self.uid.as_str()),
            (labels::ROLE, labels::ROLE_OAUTH_GRANTS),
        ];
        self.declared.clone().with(ours).put_on(&mut secret.metadata, FIELD_MANAGER);
        let data: BTreeMap<_, _> =
            entries.iter().map(|entry| (entry.flow.clone(), entry.bytes())).collect();
        secret.data = Some(data);
        secret
    }
}

fn is_grants(secret: &Secret) -> bool {
    let label = |name: &str| secret.labels().get(name).map(String::as_str);
    label(labels::MANAGED_BY) == Some(FIELD_MANAGER)
        && label(labels::ROLE) == Some(labels::ROLE_OAUTH_GRANTS)
}

fn read(secret: Secret) -> GrantsRead {
    let data = secret.data.iter().flatten();
    let entries = data.filter_map(|(flow, bytes)| Entry::read(flow, &bytes.0)).collect();
    GrantsRead { secret, entries }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_the_secret() {
        let entry = Entry {
            flow: "f".to_owned(),
            ends_at: "2026-01-01T00:10:00Z".parse().unwrap(),
            pair: Some(Pair {
                access: "a".into(),
                refresh: "r".into(),
                expires_at: "2026-01-02T00:00:00Z".parse().ok(),
                limited: true,
            }),
        };
        let again = Entry::read("f", &entry.bytes().0).unwrap();
        let pair = again.pair.unwrap();
        assert_eq!(again.ends_at, entry.ends_at);
        assert_eq!(pair.access.expose_secret(), "a");
        assert_eq!(pair.refresh.expose_secret(), "r");
        assert_eq!(pair.expires_at, "2026-01-02T00:00:00Z".parse().ok());
        assert!(pair.limited);
        let empty = Entry { pair: None, ..entry };
        assert!(Entry::read("f", &empty.bytes().0).unwrap().pair.is_none());
        assert!(Entry::read("f", b"{").is_none(), "what is damaged is no grant");
    }

    #[test]
    fn an_entry_outlives_its_flow_by_a_minute() {
        let entry = Entry {
            flow: "f".to_owned(),
            ends_at: "2026-01-01T00:10:00Z".parse().unwrap(),
            pair: None,
        };
        assert!(!entry.is_over("2026-01-01T00:10:59Z".parse().unwrap()));
        assert!(entry.is_over("2026-01-01T00:11:01Z".parse().unwrap()));
    }
}
