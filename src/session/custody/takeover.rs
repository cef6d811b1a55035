//! At takeover: which connection holds which refresh token.
//!
//! Reads connections, their state Secrets and their seeds, past every cache.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use tracing::warn;

use super::index::Holder;
use super::store::{StateRead, Store};
use super::tokens::{Token, credential};
use crate::api::connection::Connection;
use crate::api::project::ConnectionKind;
use crate::api::{ClusterSupabaseConnection, ObjectKey, SupabaseConnection};
use crate::kubernetes::{self, Error};
use crate::session::{ConnectionId, Sessions};

const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MOST: Duration = Duration::from_secs(30);
/// Connections read at a time.
const AT_A_TIME: usize = 8;

/// Fills the index, and gives the connections that exist.
pub(in crate::session) async fn index_all(sessions: &Sessions) -> BTreeSet<ConnectionId> {
    let mut pause = PAUSE;
    loop {
        match all(sessions).await {
            Ok(known) => return known,
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "connections could not be read; trying again"
            ),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MOST);
    }
}

async fn all(sessions: &Sessions) -> Result<BTreeSet<ConnectionId>, Error> {
    let client = || sessions.client().clone();
    let mut known = BTreeSet::new();
    if let Some(namespaces) = &sessions.options().namespaces {
        for namespace in namespaces {
            let api = Api::<SupabaseConnection>::namespaced(client(), namespace);
            known.extend(of_kind(sessions, &api, ConnectionKind::SupabaseConnection).await?);
        }
    } else {
        let api = Api::<SupabaseConnection>::all(client());
        known.extend(of_kind(sessions, &api, ConnectionKind::SupabaseConnection).await?);
        let api = Api::<ClusterSupabaseConnection>::all(client());
        known.extend(of_kind(sessions, &api, ConnectionKind::ClusterSupabaseConnection).await?);
    }
    Ok(known)
}

async fn of_kind<C: Connection>(
    sessions: &Sessions,
    api: &Api<C>,
    kind: ConnectionKind,
) -> Result<Vec<ConnectionId>, Error> {
    let list = api
        .list(&ListParams::default())
        .await
        .map_err(Error::from)?;
    stream::iter(list.items)
        .map(|connection| async move {
            let id = ConnectionId::new(kind, &ObjectKey::of(&connection));
            if connection.view().auth.oauth.is_some() {
                let holder = holder(sessions, &id, &connection).await?;
                sessions.index().note(&id, holder);
            }
            Ok(id)
        })
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
}

async fn holder<C: Connection>(
    sessions: &Sessions,
    id: &ConnectionId,
    connection: &C,
) -> Result<Holder, Error> {
    let namespace = sessions.namespace_of(id);
    let uid = connection.uid().unwrap_or_default();
    let store = Store::new(
        sessions.client().clone(),
        sessions.digest_key().clone(),
        id.clone(),
        uid.clone(),
        namespace.clone(),
        connection.state_secret_name(),
    );
    // An owner that is gone is told apart by its connection's own pass; here every digest counts.
    let mut source_unknown = false;
    let mut stored: BTreeSet<String> = match store.read(&|_| false).await? {
        StateRead::Ours(state, _) => {
            source_unknown = state.has_tokens() && state.is_of_another_key(sessions.digest_key());
            state.digests().map(str::to_owned).collect()
        }
        StateRead::Absent | StateRead::Foreign | StateRead::Damaged(_) => BTreeSet::new(),
    };
    let reference = connection
        .view()
        .auth
        .oauth
        .as_ref()
        .and_then(|oauth| oauth.token_secret_ref.as_ref());
    let seed = match reference {
        None => None,
        Some(reference) => {
            let api = Api::<Secret>::namespaced(sessions.client().clone(), &namespace);
            let secret = kubernetes::get(&api, &reference.name).await?;
            let data = secret.and_then(|secret| secret.data).unwrap_or_default();
            data.get("refresh_token")
                .and_then(|bytes| std::str::from_utf8(&bytes.0).ok())
                .and_then(credential)
                .map(|value| Token::refresh(sessions.digest_key(), value).digest)
        }
    };
    // The pair is taken to be made of this seed: nobody else may send it.
    stored.extend(seed.clone().filter(|_| source_unknown));
    Ok(Holder {
        uid,
        created: connection.creation_timestamp().map(|time| time.0),
        stored,
        seed,
    })
}
