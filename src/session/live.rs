//! One session: the credential in use, what it is good for, and what is remembered of it.
//!
//! What the connection's reconcile and the token store say goes in here; sending calls with it is in
//! [`super::sending`].

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::capabilities::Capabilities;
use super::credential::Credential;
use super::gateway::Gateway;
use super::id::ConnectionId;
use super::identity::Identity;
use super::shared::Shared;
use super::token_store::{App, Applied, Index, Memory, TokenState};
use crate::api::Reason;
use crate::management::Organization;
use crate::rules::digest::DigestKey;

/// Whether a session can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// The platform accepts the credential.
    Usable,
    /// This process does not know yet, and cannot find out now: what was said before goes on.
    Unknown,
    /// It does not, or not yet.
    Unusable {
        /// Why, as the connection's condition says it.
        reason: Reason,
        /// Uptime since when.
        since: Duration,
    },
}

/// A session. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Session(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) id: ConnectionId,
    pub(super) shared: Arc<Shared>,
    pub(super) core: Mutex<Core>,
    pub(super) changed: watch::Sender<u64>,
}

/// What follows from a 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// The connection's reconcile has not said yet.
    Recovering,
    /// Nothing, until the credential changes.
    Final,
}

#[expect(clippy::struct_excessive_bools, reason = "four things that happen in any order")]
pub(super) struct Core {
    pub(super) credential: Option<Arc<Credential>>,
    /// The credential was answered with 401.
    pub(super) rejection: Option<Rejection>,
    pub(super) refreshing: bool,
    pub(super) state: SessionState,
    pub(super) organizations: Vec<Organization>,
    pub(super) capabilities: Capabilities,
    pub(super) memory: Memory,
    /// The OAuth app that was read last.
    pub(super) app: Option<App>,
    /// Another credential was in use before.
    pub(super) replaced: bool,
    /// Somebody asked for the session.
    pub(super) asked_for: bool,
    /// A look at the connection has come to an end.
    pub(super) known: bool,
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("id", &self.0.id).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(id: ConnectionId, shared: Arc<Shared>) -> Self {
        let since = shared.gateway.uptime();
        let core = Core {
            credential: None,
            rejection: None,
            refreshing: false,
            state: SessionState::Unusable { reason: Reason::Retrying, since },
            organizations: Vec::new(),
            capabilities: Capabilities::default(),
            memory: Memory::default(),
            app: None,
            replaced: false,
            asked_for: false,
            known: false,
        };
        Self(Arc::new(Inner { id, shared, core: Mutex::new(core), changed: watch::Sender::new(0) }))
    }

    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        self.0.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change(&self) {
        self.0.changed.send_modify(|version| *version += 1);
    }

    pub(crate) fn gateway(&self) -> &Arc<Gateway> {
        &self.0.shared.gateway
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    pub(super) fn index(&self) -> &Mutex<Index> {
        &self.0.shared.index
    }

    /// Whose credential it is.
    pub fn id(&self) -> &ConnectionId {
        &self.0.id
    }

    /// Whether it can be used. A credential that worked last may still be there when it cannot, for deletions.
    pub fn state(&self) -> SessionState {
        self.core().state
    }

    /// The organizations that the credential sees and the connection admits.
    pub fn organizations(&self) -> Vec<Organization> {
        self.core().organizations.clone()
    }

    /// What the credential may do, as far as calls have shown.
    pub fn capabilities(&self) -> Capabilities {
        self.core().capabilities
    }

    /// Whether the credential may see only some projects of its organizations, so that absence from a list says
    /// nothing.
    pub fn may_be_limited_to_projects(&self) -> bool {
        let core = self.core();
        core.credential.as_ref().is_none_or(|credential| credential.limited)
    }

    /// Who its calls are counted for; nobody while there is no credential.
    pub fn identity(&self) -> Option<Identity> {
        let core = self.core();
        core.credential.as_ref().map(|credential| credential.identity.clone())
    }

    /// Lets calls wait until the guard is dropped.
    pub(super) fn begin_refresh(&self) -> Refreshing {
        self.core().refreshing = true;
        self.change();
        Refreshing(self.clone())
    }

    /// Puts a new pair of the chain in use to use.
    pub(super) fn renew(&self, state: &TokenState, app: &App, key: &DigestKey) {
        let Some(credential) = Credential::of_state(state, Some(app), key, self.id()) else {
            return;
        };
        self.put(Some(credential));
        self.change();
    }

    fn put(&self, credential: Option<Credential>) {
        let mut core = self.core();
        let Some(credential) = credential else {
            return;
        };
        let same_chain =
            core.credential.as_ref().is_some_and(|now| now.lineage == credential.lineage);
        let same_token = core.credential.as_ref().is_some_and(|now| now.token == credential.token);
        if !same_token {
            core.rejection = None;
        }
        let replaces = !same_chain && core.credential.is_some();
        if !same_chain {
            core.replaced |= replaces;
            core.capabilities = Capabilities::default();
        }
        core.credential = Some(Arc::new(credential));
        drop(core);
        if replaces && let Some(listener) = self.shared().listener.upgrade() {
            listener.replaced(self.id());
        }
    }

    /// Says what the connection's reconcile found out: the credential to use (none keeps the last), and whether it is
    /// usable.
    pub(crate) fn install(
        &self,
        credential: Option<Credential>,
        outcome: Result<Vec<Organization>, Reason>,
    ) {
        self.put(credential);
        let now = self.gateway().uptime();
        let changed = {
            let mut core = self.core();
            let before = core.state;
            core.rejection = core.rejection.map(|_| Rejection::Final);
            let slugs;
            (core.state, slugs) = match outcome {
                Ok(organizations) => {
                    core.rejection = None;
                    core.organizations = organizations;
                    let slugs = core.organizations.iter().map(|one| one.slug.to_string());
                    (SessionState::Usable, slugs.collect())
                }
                Err(reason) => {
                    let since = match before {
                        SessionState::Unusable { since, .. } => since,
                        SessionState::Usable | SessionState::Unknown => now,
                    };
                    (SessionState::Unusable { reason, since }, Vec::new())
                }
            };
            let unusable = match core.state {
                SessionState::Usable | SessionState::Unknown => None,
                SessionState::Unusable { reason, .. } => Some(reason),
            };
            if unusable.is_none() {
                core.memory.waiting_since = None;
            }
            let token = core.credential.as_ref().map(|credential| credential.token.digest.clone());
            core.memory.applied =
                Some(Applied { token, unusable, organizations: slugs, kept: false });
            // Whoever follows something before the first look was told earlier that the connection works.
            let first = !std::mem::replace(&mut core.known, true);
            before != core.state && !(first && unusable.is_none())
        };
        self.change();
        self.shared().settle(self.id());
        if let Some(listener) = self.shared().listener.upgrade() {
            listener.learned(self.id(), &self.organizations(), changed);
        }
    }

    /// Something stands in the way that may pass: calls do not wait for it, and nobody is told.
    pub(crate) fn keep(&self, reason: Reason) {
        let now = self.gateway().uptime();
        {
            let mut core = self.core();
            core.rejection = core.rejection.map(|_| Rejection::Final);
            if core.state != SessionState::Usable {
                core.state = SessionState::Unknown;
            }
            core.memory.waiting_since.get_or_insert(now);
            core.memory.applied = Some(Applied {
                token: None,
                unusable: Some(reason),
                organizations: Vec::new(),
                kept: true,
            });
        }
        self.change();
        self.shared().settle(self.id());
    }

    /// A look at the connection came to nothing; what was known before goes on. Whoever waits for the first look
    /// need not wait for one that succeeds.
    pub(crate) fn looked_in_vain(&self) {
        self.shared().settle(self.id());
    }

    /// What is remembered of the connection's tokens.
    pub(crate) fn memory(&self) -> Memory {
        self.core().memory.clone()
    }

    /// Changes what is remembered.
    pub(crate) fn remember(&self, change: impl FnOnce(&mut Memory)) {
        change(&mut self.core().memory);
    }

    /// Whether the credential has been replaced by one of another chain.
    pub(crate) fn was_replaced(&self) -> bool {
        self.core().replaced
    }

    /// The OAuth app that was read last.
    pub(crate) fn last_app(&self) -> Option<App> {
        self.core().app.clone()
    }

    /// Whether it may be acting for one of these organizations (none: for any) with this OAuth app. A connection that the
    /// platform does not accept acts for nobody; one that it has not answered about yet may.
    pub(super) fn acts_with(&self, app: &App, organizations: &[String]) -> bool {
        let core = self.core();
        let same_app = core.app.as_ref().is_some_and(|theirs| theirs.digest == app.digest);
        let accepted = match core.state {
            SessionState::Usable | SessionState::Unknown => true,
            SessionState::Unusable { reason, .. } => {
                let open = [Reason::Retrying, Reason::PlatformUnavailable, Reason::RateLimited];
                !core.organizations.is_empty() || open.contains(&reason)
            }
        };
        let apart = !core.organizations.is_empty()
            && !organizations.is_empty()
            && core
                .organizations
                .iter()
                .all(|one| !organizations.iter().any(|ours| ours == one.slug.as_str()));
        same_app && accepted && !apart
    }

    /// Keeps the OAuth app for the time when its Secret is gone and projects still have to be deleted.
    pub(crate) fn remember_app(&self, app: &App) {
        self.core().app = Some(app.clone());
    }

    /// Somebody needs the session. Whether that is news.
    pub(super) fn ask_for(&self) -> bool {
        !std::mem::replace(&mut self.core().asked_for, true)
    }

    /// Whether somebody needs the session.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.core().asked_for
    }
}

/// Calls wait as long as this lives.
#[derive(Debug)]
pub(super) struct Refreshing(Session);

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.0.core().refreshing = false;
        self.0.change();
    }
}
