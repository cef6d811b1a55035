//! At takeover: which connection holds which refresh token.
//!
//! Reads the state Secrets and seeds of connections, past every cache.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use tracing::warn;

use super::index::Holder;
use super::store::{StateRead, Store};
use super::tokens::{Token, credential};
use crate::kubernetes::{self, Error, Lean as _};
use crate::seen::SeenConnection;
use crate::session::{ConnectionId, Sessions};

/// Connections read at a time.
const AT_A_TIME: usize = 8;
/// How often a connection whose Secrets cannot be read is tried before the others go on without it.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

impl Sessions {
    /// Reads which of the connections that exist holds which tokens. Must have ended before any reconcile: until then no
    /// refresh token is sent. A connection whose Secrets cannot be read is named, and keeps nobody from the others:
    /// nothing is sent for it before its own reconcile has read them.
    ///
    /// # Errors
    /// Where nothing at all can be read.
    pub async fn takeover(
        &self,
        connections: Vec<(ConnectionId, Arc<SeenConnection>)>,
    ) -> Result<(), Error> {
        let known = connections.iter().map(|(id, _)| id.clone()).collect();
        index_all(self, connections).await?;
        self.taken_over(known);
        Ok(())
    }
}

/// Fills the index with what these connections hold.
async fn index_all(
    sessions: &Sessions,
    connections: Vec<(ConnectionId, Arc<SeenConnection>)>,
) -> Result<(), Error> {
    let read: Vec<Result<(), Error>> = stream::iter(connections)
        .filter(|(_, connection)| std::future::ready(connection.is_oauth))
        .map(|(id, connection)| async move {
            let holder = patiently(sessions, &id, &connection).await;
            if let Err(error) = &holder {
                warn!(
                    connection = %id,
                    error = error as &dyn std::error::Error,
                    "the Secrets of a connection cannot be read"
                );
            }
            holder.map(|holder| sessions.index().note(&id, holder))
        })
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    let any = read.is_empty() || read.iter().any(|one| !one.as_ref().is_err_and(is_passing));
    let failed = read.into_iter().find_map(Result::err);
    failed.filter(|_| !any).map_or(Ok(()), Err)
}

async fn patiently(
    sessions: &Sessions,
    id: &ConnectionId,
    connection: &SeenConnection,
) -> Result<Holder, Error> {
    let mut tries = 1;
    loop {
        match holder(sessions, id, connection).await {
            Err(error) if tries < TRIES && is_passing(&error) => tries += 1,
            done => return done,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether trying again soon may help.
const fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Unavailable(_))
}

async fn holder(
    sessions: &Sessions,
    id: &ConnectionId,
    connection: &SeenConnection,
) -> Result<Holder, Error> {
    let namespace = sessions.namespace_of(id);
    let uid = connection.meta().uid().to_owned();
    let store = Store::new(
        sessions.client().clone(),
        sessions.digest_key().clone(),
        id.clone(),
        uid.clone(),
        namespace.clone(),
        id.kind.state_secret_of(&id.name),
    );
    // An owner that is gone is told apart by its connection's own reconcile; here every digest counts.
    let mut source_unknown = false;
    let mut stored: BTreeSet<String> = match store.read(&|_| false).await? {
        StateRead::Ours(state, _) => {
            source_unknown = state.has_tokens() && state.is_of_another_key(sessions.digest_key());
            state.digests().map(str::to_owned).collect()
        }
        StateRead::Absent | StateRead::Foreign | StateRead::Damaged(_) => BTreeSet::new(),
    };
    let seed = match &connection.seed_secret {
        None => None,
        Some(name) => {
            let api = Api::<Secret>::namespaced(sessions.client().clone(), &namespace);
            let secret = kubernetes::get(&api, name).await?;
            let data = secret.and_then(|secret| secret.data).unwrap_or_default();
            data.get("refresh_token")
                .and_then(|bytes| std::str::from_utf8(&bytes.0).ok())
                .and_then(credential)
                .map(|value| Token::refresh(sessions.digest_key(), value).digest)
        }
    };
    // The pair is taken to be made of this seed: nobody else may send it.
    stored.extend(seed.clone().filter(|_| source_unknown));
    Ok(Holder { uid, created: connection.meta().created(), stored, seed, ..Holder::default() })
}
