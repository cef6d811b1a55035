//! One session: the credential in use, and sending calls with it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::watch;
use tokio::time::timeout;

use super::capabilities::Capabilities;
use super::custody::{Applied, Index, Memory, Token, TokenState, Verdict};
use super::id::ConnectionId;
use super::line::{Line, PATIENCE};
use super::registry::Shared;
use super::roster::Roster;
use crate::api::{ObjectKey, Reason};
use crate::management::{Answer, Call, Error, Organization, Withheld};

/// Reads are repeated so often when the platform does not answer.
const REPEATS: u32 = 2;
/// The pause before a repetition.
const PAUSE: Duration = Duration::from_millis(500);

/// Whether a session can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// The platform accepts the credential.
    Usable,
    /// It does not, or not yet.
    Unusable {
        /// Why, as the connection's condition says it.
        reason: Reason,
        /// Uptime since when.
        since: Duration,
    },
}

/// A credential in use.
#[derive(Clone, Debug)]
pub struct Credential {
    /// For the `Authorization` header.
    pub token: Token,
    /// Who the rate limit is counted for: the app, or the token.
    pub identity: String,
    /// What stays the same when tokens are refreshed: the chain that they belong to.
    pub lineage: String,
    /// Whether it may reach only some projects of its organizations.
    pub limited: bool,
}

/// A session. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Session(pub(super) Arc<Inner>);

pub(super) struct Inner {
    id: ConnectionId,
    shared: Arc<Shared>,
    core: Mutex<Core>,
    changed: watch::Sender<u64>,
    rosters: Mutex<BTreeMap<String, Roster>>,
}

struct Core {
    credential: Option<Arc<Credential>>,
    /// The credential was answered with 401.
    rejected: bool,
    /// The connection's pass has not yet said what follows from a rejection.
    recovering: bool,
    refreshing: bool,
    state: SessionState,
    organizations: Vec<Organization>,
    capabilities: Capabilities,
    memory: Memory,
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("id", &self.0.id)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(id: ConnectionId, shared: Arc<Shared>) -> Self {
        let since = shared.line.uptime();
        let core = Core {
            credential: None,
            rejected: false,
            recovering: false,
            refreshing: false,
            state: SessionState::Unusable {
                reason: Reason::Retrying,
                since,
            },
            organizations: Vec::new(),
            capabilities: Capabilities::default(),
            memory: Memory::default(),
        };
        Self(Arc::new(Inner {
            id,
            shared,
            core: Mutex::new(core),
            changed: watch::Sender::new(0),
            rosters: Mutex::default(),
        }))
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.0.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) {
        self.0.changed.send_modify(|version| *version += 1);
    }

    pub(super) fn line(&self) -> &Arc<Line> {
        &self.0.shared.line
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    pub(super) fn index(&self) -> &Mutex<Index> {
        &self.0.shared.index
    }

    /// The connection.
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
        core.credential
            .as_ref()
            .is_none_or(|credential| credential.limited)
    }

    /// The projects of an organization.
    pub fn roster(&self, organization: &str) -> Roster {
        let mut rosters = self
            .0
            .rosters
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        rosters
            .entry(organization.to_owned())
            .or_insert_with(|| Roster::new(organization, self))
            .clone()
    }

    fn all_rosters(&self) -> Vec<Roster> {
        let rosters = self
            .0
            .rosters
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        rosters.values().cloned().collect()
    }

    pub(super) fn unfollow(&self, object: &ObjectKey) {
        for roster in self.all_rosters() {
            roster.unfollow(object);
        }
    }

    pub(super) fn identity(&self) -> Option<String> {
        let core = self.core();
        core.credential
            .as_ref()
            .map(|credential| credential.identity.clone())
    }

    /// Sends a call for a tenant. Waits while tokens are refreshed and for a turn in the budget; repeats reads
    /// that the platform does not answer, and reads whose token was replaced under way. Never repeats anything
    /// else.
    pub async fn send<T>(&self, tenant: &str, call: &Call<T>) -> Result<Answer<T>, Error> {
        let line = self.line();
        let deadline = line.uptime() + PATIENCE;
        let reads = call.endpoint().is_read();
        let (mut repeats, mut renewed) = (0, false);
        loop {
            let used = self.credential(deadline).await?;
            let permit = line
                .admit(&used.identity, tenant, call.scope(), call.endpoint())
                .await?;
            // Tokens may have been replaced during the wait.
            let used = self.credential(deadline).await?;
            let exchange = line.exchange(permit, call, Some(&used.token.value)).await;
            self.learn(&used, call, &exchange.outcome);
            let error = match exchange.outcome {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match error {
                Error::Unauthorized if reads && !renewed => {
                    renewed = true;
                    if !self.renewed(&used, deadline).await {
                        return Err(error);
                    }
                }
                Error::Unreachable { .. } | Error::TimedOut { .. } | Error::Unavailable { .. }
                    if reads && repeats < REPEATS =>
                {
                    let pause = line.jitter(PAUSE * (1 << repeats));
                    repeats += 1;
                    if line.uptime() + pause >= deadline {
                        return Err(error);
                    }
                    tokio::time::sleep(pause).await;
                }
                Error::Unreachable { .. }
                | Error::TimedOut { .. }
                | Error::Throttled { .. }
                | Error::Unauthorized
                | Error::Forbidden { .. }
                | Error::NotFound
                | Error::Removed
                | Error::Rejected { .. }
                | Error::Unavailable { .. }
                | Error::Undecodable { .. }
                | Error::MalformedCredential(_)
                | Error::Withheld(_) => return Err(error),
            }
        }
    }

    /// The credential in use, as soon as there is one that was not rejected.
    async fn credential(&self, deadline: Duration) -> Result<Arc<Credential>, Error> {
        let mut changed = self.0.changed.subscribe();
        loop {
            {
                let core = self.core();
                let waiting = core.refreshing || (core.rejected && core.recovering);
                match &core.credential {
                    Some(credential) if !waiting && !core.rejected => {
                        return Ok(Arc::clone(credential));
                    }
                    Some(_) | None if !waiting => {
                        return Err(Error::Withheld(Withheld::NoCredential));
                    }
                    Some(_) | None => {}
                }
            }
            self.wait(&mut changed, deadline).await?;
        }
    }

    /// Waits for a credential other than the one that was rejected; false if none comes.
    async fn renewed(&self, used: &Credential, deadline: Duration) -> bool {
        let mut changed = self.0.changed.subscribe();
        loop {
            {
                let core = self.core();
                let newer = core
                    .credential
                    .as_ref()
                    .is_some_and(|now| now.token != used.token && !core.rejected);
                if newer && !core.refreshing {
                    return true;
                }
                if !core.refreshing && !core.recovering {
                    return false;
                }
            }
            if self.wait(&mut changed, deadline).await.is_err() {
                return false;
            }
        }
    }

    async fn wait(
        &self,
        changed: &mut watch::Receiver<u64>,
        deadline: Duration,
    ) -> Result<(), Error> {
        let left = deadline.saturating_sub(self.line().uptime());
        match timeout(left, changed.changed()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Error::Withheld(Withheld::NoCredential)),
        }
    }

    /// Learns from what came of a call.
    fn learn<T>(&self, used: &Credential, call: &Call<T>, outcome: &Result<Answer<T>, Error>) {
        if matches!(outcome, Err(Error::Unauthorized)) {
            self.reject(used);
            return;
        }
        let changed = {
            let mut core = self.core();
            let current = core
                .credential
                .as_ref()
                .is_some_and(|now| now.token == used.token);
            current && core.capabilities.learn(call.endpoint(), outcome)
        };
        if changed {
            self.shared().wake_connection(self.id());
        }
    }

    /// A 401 closes the session, if the token that was sent is still the one in use.
    fn reject(&self, used: &Credential) {
        {
            let mut core = self.core();
            let current = core
                .credential
                .as_ref()
                .is_some_and(|now| now.token == used.token);
            // While tokens are refreshed, the old one's death is expected.
            if !current || core.refreshing || core.rejected {
                return;
            }
            core.rejected = true;
            core.recovering = true;
            core.memory
                .judge(&used.token.digest, Verdict::Rejected { worked: false });
            core.memory.applied = None;
            core.state = SessionState::Unusable {
                reason: Reason::Unauthorized,
                since: self.line().uptime(),
            };
        }
        self.change();
        self.shared().wake_connection(self.id());
        self.wake_followers();
    }

    fn wake_followers(&self) {
        for roster in self.all_rosters() {
            roster.wake_all();
        }
    }

    /// Lets calls wait until the guard is dropped.
    pub(super) fn begin_refresh(&self) -> Refreshing {
        self.core().refreshing = true;
        self.change();
        Refreshing(self.clone())
    }

    /// Puts a new pair of the chain in use to use.
    pub(super) fn renew(&self, state: &TokenState, client_id: &str) {
        let Some(credential) = Credential::of_state(state, client_id) else {
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
        let same_chain = core
            .credential
            .as_ref()
            .is_some_and(|now| now.lineage == credential.lineage);
        let same_token = core
            .credential
            .as_ref()
            .is_some_and(|now| now.token == credential.token);
        if !same_token {
            core.rejected = false;
            core.recovering = false;
        }
        if !same_chain {
            core.capabilities = Capabilities::default();
        }
        core.credential = Some(Arc::new(credential));
        drop(core);
        if !same_chain {
            // What another credential saw, and when, says nothing about this one.
            for roster in self.all_rosters() {
                roster.forget_sightings();
            }
        }
    }

    /// Says what the connection's pass found out: the credential to use (none keeps the last), and whether it is
    /// usable.
    pub(crate) fn install(
        &self,
        credential: Option<Credential>,
        outcome: Result<Vec<Organization>, Reason>,
    ) {
        self.put(credential);
        let now = self.line().uptime();
        let changed = {
            let mut core = self.core();
            let before = core.state;
            core.recovering = false;
            let slugs;
            (core.state, slugs) = match outcome {
                Ok(organizations) => {
                    core.rejected = false;
                    core.organizations = organizations;
                    let slugs = core.organizations.iter().map(|one| one.slug.to_string());
                    (SessionState::Usable, slugs.collect())
                }
                Err(reason) => {
                    let since = match before {
                        SessionState::Unusable { since, .. } => since,
                        SessionState::Usable => now,
                    };
                    (SessionState::Unusable { reason, since }, Vec::new())
                }
            };
            let unusable = match core.state {
                SessionState::Usable => None,
                SessionState::Unusable { reason, .. } => Some(reason),
            };
            let token = core
                .credential
                .as_ref()
                .map(|credential| credential.token.digest.clone());
            core.memory.applied = Some(Applied {
                token,
                unusable,
                organizations: slugs,
            });
            before != core.state
        };
        self.change();
        self.shared().settle(self.id());
        if changed {
            self.wake_followers();
        }
    }

    /// What is remembered of the connection's tokens.
    pub(crate) fn memory(&self) -> Memory {
        self.core().memory.clone()
    }

    /// Changes what is remembered.
    pub(crate) fn remember(&self, change: impl FnOnce(&mut Memory)) {
        change(&mut self.core().memory);
    }

    /// The credential that worked last, also where the session is not usable any more.
    pub(crate) fn last_credential(&self) -> Option<Arc<Credential>> {
        self.core().credential.clone()
    }
}

impl Credential {
    /// The credential that a stored pair makes.
    pub(crate) fn of_state(state: &TokenState, client_id: &str) -> Option<Self> {
        let chain = state.seed.as_deref().unwrap_or_default();
        Some(Self {
            token: state.access.clone()?,
            identity: client_id.to_owned(),
            lineage: format!("{client_id} {chain}"),
            limited: state.limited,
        })
    }

    /// The credential that a token without a chain makes.
    pub(crate) fn alone(token: Token, limited: bool) -> Self {
        Self {
            identity: token.digest.clone(),
            lineage: token.digest.clone(),
            token,
            limited,
        }
    }

    /// The token.
    pub fn secret(&self) -> &SecretString {
        &self.token.value
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
