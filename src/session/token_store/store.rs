//! The state Secret of a connection: read live, written only over the version that was read.
//!
//! Touches this one Secret, and looks whether its connection still exists.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, Client, ResourceExt as _};
use tracing::warn;

use super::index::Index;
use super::tokens::TokenState;
use crate::api::project::ConnectionKind;
use crate::api::{
    ClusterSupabaseConnection, FIELD_MANAGER, FINALIZER, SecretTemplate, SupabaseConnection, labels,
};
use crate::kubernetes::{self, Bare, Error, Lean as _};
use crate::rules::digest::DigestKey;
use crate::rules::marks::Marks;
use crate::session::ConnectionId;

/// Between two tries to store what must not be lost: at first, and at most.
const INSIST_EVERY: Duration = Duration::from_millis(500);
const INSIST_MOST: Duration = Duration::from_secs(1);

/// A state Secret as it was read.
#[derive(Clone, Debug)]
pub enum StateRead {
    /// There is none.
    Absent,
    /// Somebody else's Secret has the name.
    Foreign,
    /// What protects tokens from being sent twice cannot be read.
    Damaged(Box<Secret>),
    /// Made for this connection: what it holds, and the Secret to be written over.
    Ours(Box<TokenState>, Box<Secret>),
}

/// Where a connection's state is kept.
#[derive(Clone)]
pub struct Store {
    client: Client,
    key: DigestKey,
    id: ConnectionId,
    uid: String,
    namespace: String,
    name: String,
    declared: Marks,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Store")
            .field("namespace", &self.namespace)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// The store of a connection with this UID, in the Secret `name` of `namespace`.
    pub fn new(
        client: Client,
        key: DigestKey,
        id: ConnectionId,
        uid: String,
        namespace: String,
        name: String,
    ) -> Self {
        Self { client, key, id, uid, namespace, name, declared: Marks::default() }
    }

    /// The same, whose Secret bears what the connection declares.
    #[must_use]
    pub fn bearing(self, template: Option<&SecretTemplate>) -> Self {
        Self { declared: declared(template), ..self }
    }

    /// Whether the Secret, as it was read, bears what it shall.
    pub fn is_marked(&self, secret: &Secret) -> bool {
        self.marks().are_on(&secret.metadata, FIELD_MANAGER)
    }

    fn marks(&self) -> Marks {
        self.declared.clone().with([
            (labels::MANAGED_BY, FIELD_MANAGER),
            (labels::PART_OF, "supabase"),
            (labels::OWNER_UID, self.uid.as_str()),
            (labels::ROLE, labels::ROLE_OAUTH_STATE),
        ])
    }

    /// The Secret's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The connection's UID.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    fn api(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Reads the Secret. `lives` tells whether a connection with the UID that it
    /// names exists.
    pub async fn read(&self, lives: &(dyn Fn(&str) -> bool + Sync)) -> Result<StateRead, Error> {
        let Some(secret) = kubernetes::get_managed(&self.api(), &self.name).await? else {
            return Ok(StateRead::Absent);
        };
        let label = |name: &str| secret.labels().get(name).map(String::as_str);
        let owner = label(labels::OWNER_UID).unwrap_or_default().to_owned();
        let made_by_us = label(labels::MANAGED_BY) == Some(FIELD_MANAGER)
            && label(labels::ROLE) == Some(labels::ROLE_OAUTH_STATE);
        // The name follows from the connection's name and kind: an owner that is gone was a connection of this
        // very name, and its chain goes on.
        if !made_by_us || owner.is_empty() || (owner != self.uid && lives(&owner)) {
            return Ok(StateRead::Foreign);
        }
        let empty = BTreeMap::new();
        match TokenState::read(&self.key, secret.data.as_ref().unwrap_or(&empty)) {
            Ok(state) => Ok(StateRead::Ours(Box::new(state), Box::new(secret))),
            Err(_) => Ok(StateRead::Damaged(Box::new(secret))),
        }
    }

    /// Writes a state over the Secret that was read, or makes the Secret.
    pub async fn write(
        &self,
        before: Option<&Secret>,
        state: &TokenState,
    ) -> Result<Secret, Error> {
        let mut secret = before.cloned().unwrap_or_else(|| Secret {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                ..ObjectMeta::default()
            },
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        });
        self.marks().put_on(&mut secret.metadata, FIELD_MANAGER);
        // One that is being deleted takes no new finalizers.
        if secret.metadata.deletion_timestamp.is_none() {
            let finalizers = secret.finalizers_mut();
            if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
                finalizers.push(FINALIZER.to_owned());
            }
        }
        secret.data = Some(state.data());
        let written = match before {
            Some(_) => kubernetes::replace(&self.api(), &secret).await?,
            None => kubernetes::create(&self.api(), &secret).await?,
        };
        secret.metadata.uid = Some(written.uid().to_owned());
        secret.metadata.resource_version = Some(written.version().to_owned());
        Ok(secret)
    }

    /// Stores what must not be lost, whatever else happens to the Secret. `merge` says what to store over a state
    /// that somebody else wrote meanwhile; nothing, if that one shall stay.
    ///
    /// Gives what is stored in the end; nothing if the state of somebody else stays, or nobody needs one any
    /// more.
    pub async fn insist(
        &self,
        mut before: Option<Secret>,
        mut next: TokenState,
        merge: impl Fn(&TokenState) -> Option<TokenState> + Send,
        lives: impl Fn(&str) -> bool + Send + Sync,
    ) -> Option<TokenState> {
        let mut pause = INSIST_EVERY;
        loop {
            match self.write(before.as_ref(), &next).await {
                Ok(_) => return Some(next),
                Err(Error::Conflict | Error::Exists | Error::NotFound | Error::Terminating) => {}
                Err(error) => {
                    warn!(
                        connection = %self.id,
                        error = &error as &dyn std::error::Error,
                        "tokens could not be stored yet"
                    );
                }
            }
            // Whatever the answer was, the write may have happened.
            match self.read(&lives).await {
                Ok(StateRead::Ours(stored, _)) if *stored == next => return Some(next),
                Ok(StateRead::Ours(stored, secret)) => {
                    next = merge(&stored)?;
                    before = Some(*secret);
                }
                Ok(StateRead::Absent) => {
                    before = None;
                    if !self.connection_lives().await.unwrap_or(true) {
                        return None;
                    }
                }
                Ok(StateRead::Damaged(secret)) => before = Some(*secret),
                Ok(StateRead::Foreign) => return None,
                Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(INSIST_MOST);
        }
    }

    /// Removes the Secret, if it is ours.
    pub async fn remove(&self, secret: &Secret) -> Result<(), Error> {
        // Replaced, not patched: the right to patch Secrets is not granted.
        let mut freed = secret.clone();
        freed.finalizers_mut().retain(|finalizer| finalizer != FINALIZER);
        match kubernetes::replace(&self.api(), &freed).await {
            Ok(written) => freed.metadata.resource_version = Some(written.version().to_owned()),
            Err(Error::NotFound) => return Ok(()),
            Err(error) => return Err(error),
        }
        kubernetes::delete(&self.api(), &freed).await
    }

    async fn connection_lives(&self) -> Result<bool, Error> {
        let name = &self.id.name;
        let found = match self.id.kind {
            ConnectionKind::SupabaseConnection => {
                let namespace = self.id.namespace.as_deref().unwrap_or_default();
                let api = Api::<SupabaseConnection>::namespaced(self.client.clone(), namespace);
                kubernetes::see::<_, Bare>(&api, name).await?
            }
            ConnectionKind::ClusterSupabaseConnection => {
                let api = Api::<ClusterSupabaseConnection>::all(self.client.clone());
                kubernetes::see::<_, Bare>(&api, name).await?
            }
        };
        Ok(found.is_some_and(|found| found.meta().uid() == self.uid))
    }
}

/// The labels and annotations that a connection declares for its Secrets.
pub(super) fn declared(template: Option<&SecretTemplate>) -> Marks {
    let template = template.cloned().unwrap_or_default();
    Marks { labels: template.labels, annotations: template.annotations }
}

/// Whether the index knows a connection of this UID.
pub(super) fn lives_in(
    index: &std::sync::Mutex<Index>,
) -> impl Fn(&str) -> bool + Send + Sync + '_ {
    move |uid| index.lock().unwrap_or_else(std::sync::PoisonError::into_inner).lives(uid)
}
