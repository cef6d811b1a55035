//! The way to the platform: waits for a turn, makes one call, and keeps the books.
//!
//! Everything that is sent goes through here, tokens of the OAuth endpoint included. Repeats nothing.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::debug;

use super::breaker::{Breakers, Verdict};
use super::budget::{Budget, Key, Ticket, Turn};
use super::id::ConnectionId;
use super::identity::Identity;
use super::refusals::Refusals;
use crate::leader::Leadership;
use crate::management::{Call, Client, Endpoint, Error, Exchange, Withheld};
use crate::rules::clock::Clock;
use crate::rules::random::Random;
use crate::slots;
use crate::telemetry::Metrics;

/// The longest wait for a turn.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How much leadership a change must have left when it begins.
const LEADERSHIP: Duration = Duration::from_secs(5);

/// The gateway. Shared by all sessions.
pub struct Gateway {
    management: Client,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    leadership: Leadership,
    metrics: Metrics,
    budget: Mutex<Budget>,
    breakers: Mutex<Breakers>,
    refusals: Mutex<Refusals>,
    turn: Notify,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gateway").finish_non_exhaustive()
    }
}

/// A turn to make one call. Dropped unused, it goes to the next in the queue.
#[derive(Debug)]
pub struct Permit {
    gateway: Arc<Gateway>,
    key: Key,
    own: String,
    tenant: String,
    ticket: Option<Ticket>,
    /// Whether the breaker waits for a verdict.
    watched: bool,
    /// Whether the call was begun.
    begun: bool,
}

impl Gateway {
    /// A gateway that nobody has used yet.
    pub fn new(
        management: Client,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        leadership: Leadership,
        metrics: Metrics,
    ) -> Self {
        Self {
            management,
            clock,
            random,
            leadership,
            metrics,
            budget: Mutex::default(),
            breakers: Mutex::default(),
            refusals: Mutex::default(),
            turn: Notify::new(),
        }
    }

    /// Waits for a turn, at most [`PATIENCE`].
    ///
    /// # Errors
    /// [`Error::Throttled`] where no turn came, [`Withheld::Resting`] where the breaker is open.
    pub async fn admit(
        self: &Arc<Self>,
        identity: &Identity,
        tenant: &str,
        scope: &str,
        endpoint: Endpoint,
    ) -> Result<Permit, Error> {
        let key = key(identity, scope, endpoint);
        let own = identity.own.as_str();
        let now = self.clock.uptime();
        let ticket = self.budget().enqueue(now, &key, own, tenant);
        let mut permit = Permit {
            gateway: Arc::clone(self),
            key,
            own: own.to_owned(),
            tenant: tenant.to_owned(),
            ticket: Some(ticket),
            watched: false,
            begun: false,
        };
        let deadline = self.clock.uptime() + PATIENCE;
        loop {
            // Listening begins before the look, so that no change between the two is missed.
            let mut changed = std::pin::pin!(self.turn.notified());
            changed.as_mut().enable();
            let now = self.clock.uptime();
            let turn = self.budget().poll(now, &permit.key, own, ticket);
            match turn {
                Turn::Now => break,
                // A time that is known to come too late is not worth the wait.
                Turn::NotBefore(until) if now >= deadline || until > deadline => {
                    return Err(Error::Throttled { retry_after: Some(until.saturating_sub(now)) });
                }
                Turn::NotBefore(until) => {
                    let until = until.max(now + Duration::from_millis(1)).min(deadline);
                    let wait = until.saturating_sub(now);
                    // Either way the turn is looked at again.
                    let _ = slots::waiting(timeout(wait, changed)).await;
                }
            }
        }
        // Asking may have given others their turns.
        self.turn.notify_waiters();
        let now = self.clock.uptime();
        if !self.breakers().allow(now, (own, tenant), endpoint) {
            return Err(Error::Withheld(Withheld::Resting));
        }
        permit.watched = true;
        Ok(permit)
    }

    /// Makes one call.
    pub async fn exchange<T>(
        &self,
        mut permit: Permit,
        call: &Call<T>,
        token: Option<&SecretString>,
    ) -> Exchange<T> {
        // Looked at last, right before the effect.
        if !call.endpoint().is_read() && self.leadership.require(LEADERSHIP).is_err() {
            return withheld(Withheld::NotLeading);
        }
        let begun = self.clock.uptime();
        permit.begun = true;
        let mut exchange = slots::waiting(self.management.send(call, token)).await;
        let now = self.clock.uptime();
        let closed = permit.used(now, &exchange);
        if let (Some(until), Err(Error::Throttled { retry_after })) =
            (closed, &mut exchange.outcome)
        {
            // Whoever asks again does so when it can come to something.
            *retry_after = Some(until.saturating_sub(now));
        }
        let said = exchange.outcome.as_ref().err();
        let outcome = said.map_or("ok", Error::as_str);
        let took = now.saturating_sub(begun);
        self.metrics.called(call.endpoint().as_str(), outcome, took);
        debug!(
            endpoint = call.endpoint().as_str(),
            scope = call.scope(),
            outcome,
            took = ?took,
            "called the Management API"
        );
        exchange
    }

    /// How long background work should leave a bucket alone.
    pub fn reserve(
        &self,
        identity: &Identity,
        scope: &str,
        endpoint: Endpoint,
    ) -> Option<Duration> {
        let key = key(identity, scope, endpoint);
        self.budget().reserve(self.clock.uptime(), &key, &identity.own)
    }

    /// How far apart background calls should be to leave half of a bucket to others: at once at first, then evenly.
    pub fn spacing(&self, identity: &Identity, scope: &str, endpoint: Endpoint) -> Duration {
        let key = key(identity, scope, endpoint);
        self.budget().spacing(self.clock.uptime(), &key)
    }

    /// How many calls a minute a bucket takes.
    pub fn limit(&self, identity: &Identity, scope: &str, endpoint: Endpoint) -> u32 {
        self.budget().limit(&key(identity, scope, endpoint))
    }

    /// The platform refused a credential of a connection.
    pub fn refused(&self, id: &ConnectionId) {
        self.refusals().note(self.clock.uptime(), id);
    }

    /// The uptime before which a connection tries no credential that the platform has not accepted yet.
    pub fn refused_until(&self, id: &ConnectionId) -> Option<Duration> {
        self.refusals().until(self.clock.uptime(), id)
    }

    /// A token refresh ended.
    pub fn refreshed(&self, outcome: &'static str) {
        self.metrics.refreshed(outcome);
    }

    /// A connection's pair of tokens, or that there is none any more.
    pub fn holds(&self, id: &ConnectionId, pair: Option<(Timestamp, Timestamp)>) {
        let namespace = id.namespace.clone().unwrap_or_default();
        self.metrics.holds(id.kind.as_str(), namespace, id.name.clone(), pair);
    }

    /// Whether this process leads at all.
    pub fn leads(&self) -> bool {
        !self.leadership.remaining().is_zero()
    }

    /// The monotonic clock.
    pub fn uptime(&self) -> Duration {
        self.clock.uptime()
    }

    /// Wall and monotonic time, as this process has them.
    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// A share of `whole`, between a half and all of it.
    pub fn jitter(&self, whole: Duration) -> Duration {
        whole / 2 + whole / 2 * u32::from(self.share()) / 255
    }

    fn share(&self) -> u8 {
        let mut byte = [0];
        self.random.fill(&mut byte);
        let [share] = byte;
        share
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn breakers(&self) -> MutexGuard<'_, Breakers> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Keeps the books. Gives the uptime until which the bucket is closed, if this call has closed it.
    fn used<T>(&mut self, now: Duration, exchange: &Exchange<T>) -> Option<Duration> {
        let mut closed = None;
        let error = exchange.outcome.as_ref().err();
        let verdict = match error {
            Some(
                Error::Unreachable { .. } | Error::TimedOut { .. } | Error::Unavailable { .. },
            ) => Verdict::Failed,
            Some(Error::MalformedCredential(_) | Error::Withheld(_)) => Verdict::Unknown,
            Some(
                Error::Throttled { .. }
                | Error::Unauthorized
                | Error::Forbidden { .. }
                | Error::NotFound
                | Error::Removed
                | Error::Rejected { .. }
                | Error::Undecodable { .. },
            )
            | None => Verdict::Answered,
        };
        if let Some(ticket) = self.ticket.take() {
            let mut budget = self.gateway.budget();
            budget.finish(now, &self.key, ticket, exchange.rate);
            if let Some(Error::Throttled { retry_after }) = error {
                let share = self.gateway.share();
                closed = Some(budget.close(now, &self.key, &self.own, *retry_after, share));
            } else if verdict == Verdict::Answered {
                budget.let_through(&self.key);
            }
        }
        self.settle(now, verdict);
        self.gateway.turn.notify_waiters();
        closed
    }

    fn settle(&mut self, now: Duration, verdict: Verdict) {
        if std::mem::take(&mut self.watched) {
            let mut breakers = self.gateway.breakers();
            let who = (self.own.as_str(), self.tenant.as_str());
            breakers.report(now, who, self.key.endpoint, verdict);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now = self.gateway.uptime();
        self.settle(now, Verdict::Unknown);
        if let Some(ticket) = self.ticket.take() {
            if self.begun {
                // Given up under way: the platform may have counted it.
                self.gateway.budget().finish(now, &self.key, ticket, None);
            } else {
                self.gateway.budget().leave(&self.key, ticket);
            }
            self.gateway.turn.notify_waiters();
        }
    }
}

fn key(identity: &Identity, scope: &str, endpoint: Endpoint) -> Key {
    Key { identity: identity.counted.clone(), scope: scope.to_owned(), endpoint }
}

/// An exchange that did not take place.
fn withheld<T>(why: Withheld) -> Exchange<T> {
    Exchange { outcome: Err(Error::Withheld(why)), rate: None, date: None }
}
