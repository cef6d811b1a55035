//! All sessions, for as long as this process leads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use kube::Client;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::gateway::Gateway;
use super::id::ConnectionId;
use super::listener::Listener;
use super::live::Session;
use super::shared::{Progress, SessionOptions, Shared};
use super::token_store::{self, App, Index, RefreshOutcome, RefreshRequest};
use crate::controller::Requests;
use crate::leader::Leadership;
use crate::management;
use crate::rules::clock::Clock;
use crate::rules::digest::DigestKey;
use crate::rules::random::Random;
use crate::slots;
use crate::tasks::Tasks;
use crate::telemetry::Metrics;

/// The parts of [`Sessions`].
#[expect(missing_debug_implementations, reason = "a client has none worth reading")]
pub struct SessionsParts {
    /// The API server.
    pub client: Client,
    /// The platform.
    pub management: management::Client,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The claim to lead.
    pub leadership: Leadership,
    /// The key of the digests by which tokens are recognized.
    pub digest_key: DigestKey,
    /// A random name of this process: markers carry it.
    pub process: String,
    /// The operator's own namespace, where the Secrets of cluster-wide connections are.
    pub namespace: String,
    /// Tunables.
    pub options: SessionOptions,
    /// Where calls, waits and refreshes are counted.
    pub metrics: Metrics,
    /// Where connections to look at are told.
    pub requests: Requests,
    /// Who is told what becomes of sessions.
    pub listener: Weak<dyn Listener>,
}

/// All sessions. Cheap to clone; all clones are one. Dropping the last one ends every task.
#[derive(Clone)]
pub struct Sessions(Arc<Registry>);

struct Registry {
    shared: Arc<Shared>,
    sessions: Mutex<BTreeMap<ConnectionId, Session>>,
    client: Client,
    leadership: Leadership,
    key: DigestKey,
    process: String,
    namespace: String,
    // Dropped last: what the tasks use is still there when they end.
    _tasks: Tasks,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    /// No session is open yet.
    pub fn new(parts: SessionsParts) -> Self {
        let tasks = Tasks::default();
        let gateway = Gateway::new(
            parts.management,
            parts.clock,
            parts.random,
            parts.leadership.clone(),
            parts.metrics,
        );
        let shared = Shared {
            gateway: Arc::new(gateway),
            index: Mutex::default(),
            options: parts.options,
            requests: parts.requests,
            spawner: tasks.spawner(),
            listener: parts.listener,
            progress: watch::Sender::new(Progress::default()),
        };
        Self(Arc::new(Registry {
            shared: Arc::new(shared),
            sessions: Mutex::default(),
            client: parts.client,
            leadership: parts.leadership,
            key: parts.digest_key,
            process: parts.process,
            namespace: parts.namespace,
            _tasks: tasks,
        }))
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, Session>> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of a connection, if its first reconcile has opened one.
    pub fn find(&self, id: &ConnectionId) -> Option<Session> {
        let session = self.sessions().get(id).cloned()?;
        if session.ask_for() {
            // From now on the connection is held by its finalizer.
            self.0.shared.wake_connection(id);
        }
        Some(session)
    }

    /// Whether another connection may be acting for one of these organizations with the same OAuth app. True as long
    /// as that is not known, right after a takeover. An app is the same if both its halves are: a `client_id` can be
    /// claimed by anybody.
    pub fn has_sibling(&self, id: &ConnectionId, app: &App, organizations: &[String]) -> bool {
        let all_known = {
            let progress = self.0.shared.progress.borrow();
            let mut others = progress.known.iter().filter(|known| *known != id);
            others.all(|known| progress.is_settled(known))
        };
        let sessions = self.sessions();
        let mut others = sessions.iter().filter(|(other, _)| *other != id);
        !all_known || others.any(|(_, session)| session.acts_with(app, organizations))
    }

    /// The session of a connection that exists, for an object that is known to need it.
    pub fn expect(&self, id: &ConnectionId) -> Session {
        let session = self.open(id);
        session.ask_for();
        session
    }

    /// Waits until a connection had its first look since this process took over, whatever that found, so that
    /// nothing is said about it before it is known. At once where no such connection existed then. False if it takes
    /// longer than `at_most`.
    pub async fn settled(&self, id: &ConnectionId, at_most: Duration) -> bool {
        let mut progress = self.0.shared.progress.subscribe();
        let settled = async {
            let settled = progress.wait_for(|progress| progress.is_settled(id)).await;
            settled.is_ok()
        };
        slots::waiting(timeout(at_most, settled)).await == Ok(true)
    }

    /// What these connections hold is known. Whoever waits for the first look at one of them goes on waiting.
    pub(super) fn taken_over(&self, known: BTreeSet<ConnectionId>) {
        self.0.shared.progress.send_modify(|progress| {
            progress.known = known;
            progress.taken_over = true;
        });
    }

    /// Whether [`Sessions::takeover`] has ended.
    pub fn has_taken_over(&self) -> bool {
        self.0.shared.progress.borrow().taken_over
    }

    /// The session of a connection; a new one if there is none.
    pub(crate) fn open(&self, id: &ConnectionId) -> Session {
        self.sessions()
            .entry(id.clone())
            .or_insert_with(|| Session::new(id.clone(), Arc::clone(&self.0.shared)))
            .clone()
    }

    /// A connection is gone.
    pub(crate) fn close(&self, id: &ConnectionId) {
        self.sessions().remove(id);
        self.index().forget(id);
        self.0.shared.settle_for_good(id);
        if let Some(listener) = self.0.shared.listener.upgrade() {
            listener.closed(id);
        }
    }

    /// Spends a refresh token, as a task that outlives whoever asked for it. Nothing if this registry ended first.
    pub(crate) async fn refresh(
        &self,
        session: &Session,
        request: RefreshRequest,
    ) -> Option<RefreshOutcome> {
        let refresher = token_store::Refresher {
            session: session.clone(),
            leadership: self.0.leadership.clone(),
            key: self.0.key.clone(),
        };
        let (done, ended) = oneshot::channel();
        self.0.shared.spawner.spawn(async move {
            // Nobody may be waiting any more: what counts is stored.
            let _ = done.send(token_store::run(refresher, request).await);
        });
        slots::waiting(ended).await.ok()
    }

    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        self.0.shared.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    pub(crate) fn digest_key(&self) -> &DigestKey {
        &self.0.key
    }

    pub(crate) fn process(&self) -> &str {
        &self.0.process
    }

    /// The namespace of a connection's Secrets.
    pub(crate) fn namespace_of(&self, id: &ConnectionId) -> String {
        id.namespace.clone().unwrap_or_else(|| self.0.namespace.clone())
    }

    pub(crate) fn options(&self) -> &SessionOptions {
        &self.0.shared.options
    }

    /// The operator's own namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.0.namespace
    }

    pub(crate) fn gateway(&self) -> &Arc<Gateway> {
        &self.0.shared.gateway
    }
}
