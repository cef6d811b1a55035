//! What all sessions share: the way to the platform, who holds which token, and how far the first looks have come.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::watch;

use super::gateway::Gateway;
use super::id::ConnectionId;
use super::listener::Listener;
use super::token_store::Index;
use crate::api::ObjectRef;
use crate::controller::Requests;
use crate::tasks::Spawner;

/// Tunables.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Between two looks at credential Secrets.
    pub credentials_interval: Duration,
    /// The namespaces that are looked after; none for the whole cluster, cluster-wide connections included.
    pub namespaces: Option<Vec<String>>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { credentials_interval: Duration::from_secs(30), namespaces: None }
    }
}

/// What all sessions share.
pub(super) struct Shared {
    pub(super) gateway: Arc<Gateway>,
    pub(super) index: Mutex<Index>,
    pub(super) options: SessionOptions,
    pub(super) requests: Requests,
    pub(super) spawner: Spawner,
    pub(super) listener: Weak<dyn Listener>,
    pub(super) progress: watch::Sender<Progress>,
}

/// How far the first look at connections has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) taken_over: bool,
    pub(super) known: BTreeSet<ConnectionId>,
    settled: BTreeSet<ConnectionId>,
}

impl Progress {
    pub(super) fn is_settled(&self, id: &ConnectionId) -> bool {
        self.settled.contains(id) || (self.taken_over && !self.known.contains(id))
    }
}

impl Shared {
    pub(super) fn wake_connection(&self, id: &ConnectionId) {
        self.requests.add(ObjectRef { kind: id.kind.into(), key: id.key() });
    }

    /// The first look at a connection has come to an end, whatever it found.
    pub(super) fn settle(&self, id: &ConnectionId) {
        // Of others it is not waited for.
        self.progress.send_if_modified(|progress| {
            !progress.is_settled(id) && progress.settled.insert(id.clone())
        });
    }

    /// A connection is gone: nobody waits for it any more.
    pub(super) fn settle_for_good(&self, id: &ConnectionId) {
        self.progress.send_if_modified(|progress| {
            if !progress.taken_over {
                return progress.settled.insert(id.clone());
            }
            let known = progress.known.remove(id);
            progress.settled.remove(id) || known
        });
    }
}
