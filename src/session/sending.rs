//! Sending calls with the credential in use.
//!
//! Waits while tokens are refreshed, repeats reads only, and tells the token store of a 401.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::credential::Credential;
use super::gateway::{PATIENCE, Permit};
use super::live::{Rejection, Session};
use super::token_store::Verdict;
use crate::management::{Answer, Call, Error, Withheld};
use crate::slots;

/// Reads are repeated so often when the platform does not answer.
const REPEATS: u32 = 2;
/// The pause before a repetition.
const PAUSE: Duration = Duration::from_millis(500);

impl Session {
    /// Waits for a turn to make a call that is recorded before it is made: whoever must wait for long records nothing.
    pub async fn turn<T>(&self, tenant: &str, call: &Call<T>) -> Result<Permit, Error> {
        let used = self.credential(self.gateway().uptime() + PATIENCE).await?;
        self.gateway().admit(&used.identity, tenant, call.scope(), call.endpoint()).await
    }

    /// Makes a call for which a turn was waited, with the credential that is in use by now. Once.
    pub async fn send_in_turn<T>(&self, turn: Permit, call: &Call<T>) -> Result<Answer<T>, Error> {
        let used = self.credential(self.gateway().uptime() + PATIENCE).await?;
        let exchange = self.gateway().exchange(turn, call, Some(&used.token.value)).await;
        self.learn(&used, call, &exchange.outcome);
        exchange.outcome
    }

    /// Sends a call for a tenant. Waits while tokens are refreshed and for a turn in the budget; repeats reads
    /// that the platform does not answer, and reads whose token was replaced under way. Never repeats anything
    /// else.
    pub async fn send<T>(&self, tenant: &str, call: &Call<T>) -> Result<Answer<T>, Error> {
        let gateway = self.gateway();
        let deadline = gateway.uptime() + PATIENCE;
        let reads = call.endpoint().is_read();
        let (mut repeats, mut renewed) = (0, false);
        loop {
            let used = self.credential(deadline).await?;
            let permit =
                gateway.admit(&used.identity, tenant, call.scope(), call.endpoint()).await?;
            // Tokens may have been replaced during the wait.
            let used = self.credential(deadline).await?;
            let exchange = gateway.exchange(permit, call, Some(&used.token.value)).await;
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
                    let pause = gateway.jitter(PAUSE * (1 << repeats));
                    repeats += 1;
                    if gateway.uptime() + pause >= deadline {
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
                let waiting = core.refreshing || core.rejection == Some(Rejection::Recovering);
                match &core.credential {
                    Some(credential) if !waiting && core.rejection.is_none() => {
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
                    .is_some_and(|now| now.token != used.token && core.rejection.is_none());
                if newer && !core.refreshing {
                    return true;
                }
                if !core.refreshing && core.rejection != Some(Rejection::Recovering) {
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
        let left = deadline.saturating_sub(self.gateway().uptime());
        match slots::waiting(timeout(left, changed.changed())).await {
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
        // What is forbidden to a call that asks for more than others says nothing about the endpoint.
        if call.is_tentative() && matches!(outcome, Err(Error::Forbidden { .. })) {
            return;
        }
        let changed = {
            let mut core = self.core();
            let current = core.credential.as_ref().is_some_and(|now| now.token == used.token);
            let lost = outcome.as_ref().is_err_and(Error::is_scopes_lost);
            if current && lost {
                // The connection's reconcile finds out what it is good for yet.
                core.memory.doubt_one(&used.token.digest);
                core.memory.applied = None;
            }
            current && (lost || core.capabilities.learn(call.endpoint(), outcome))
        };
        if changed {
            self.shared().wake_connection(self.id());
        }
    }

    /// A 401 holds calls back until the connection's reconcile has found another token, or that there is none, if the token
    /// that was sent is still the one in use.
    fn reject(&self, used: &Credential) {
        let now = self.gateway().uptime();
        {
            let mut core = self.core();
            let current = core.credential.as_ref().is_some_and(|now| now.token == used.token);
            // While tokens are refreshed, the old one's death is expected.
            if !current || core.refreshing || core.rejection.is_some() {
                return;
            }
            core.rejection = Some(Rejection::Recovering);
            if used.is_alone() {
                // One endpoint may be wrong, and there is nothing else: the reconcile asks once more before it is believed.
                core.memory.doubt_one(&used.token.digest);
            } else {
                let verdict = Verdict::Rejected { worked: false, at: now };
                core.memory.judge(&used.token.digest, verdict);
            }
            // Whether the connection is usable is not known before its reconcile has tried what is left to try: it tells.
            core.memory.applied = None;
        }
        self.change();
        self.shared().wake_connection(self.id());
    }
}
