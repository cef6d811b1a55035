//! The claim to lead, and the Lease behind it.
//!
//! A claim expires by itself: whoever cannot renew in time has lost it, without being told. It is looked at right
//! before every change on the platform, and when a reconcile begins. May touch the one Lease in the operator's namespace.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::{Api, Client};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::kubernetes;
use crate::rules::clock::Clock;
use crate::rules::lease::{self, Move, Record};

/// Somebody else leads, or soon will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process does not lead, or not for long enough")]
pub struct NotLeading;

/// What this process may believe about its leadership. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Leadership {
    clock: Arc<dyn Clock>,
    until: Arc<Mutex<Duration>>,
    holds: Arc<watch::Sender<usize>>,
}

impl Leadership {
    /// No claim yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, until: Arc::default(), holds: Arc::new(watch::Sender::new(0)) }
    }

    /// Claims to lead until this uptime.
    pub fn claim_until(&self, uptime: Duration) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = uptime;
    }

    /// For how long the claim still holds.
    pub fn remaining(&self) -> Duration {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.saturating_sub(self.clock.uptime())
    }

    /// Refuses when the claim does not hold for `least` more.
    pub fn require(&self, least: Duration) -> Result<(), NotLeading> {
        if self.remaining() > least { Ok(()) } else { Err(NotLeading) }
    }

    /// Marks work that must have ended before the Lease may be given away: a create call, an answer to be stored.
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.holds.send_modify(|count| *count += 1);
        Hold(Arc::clone(&self.holds))
    }

    /// Waits until no such work is left.
    pub async fn all_released(&self) {
        let mut holds = self.holds.subscribe();
        // The sender lives as long as we do, so this cannot fail.
        let _ = holds.wait_for(|count| *count == 0).await;
    }
}

/// See [`Leadership::hold`].
#[derive(Debug)]
pub struct Hold(Arc<watch::Sender<usize>>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Waits until work under way has ended, for `at_most`; the Lease is kept meanwhile, for as long as that can be done.
/// Losing it ends nothing: an answer that has come must be stored, whoever leads then. Whether the work has ended.
pub async fn last_words(
    ended: impl Future<Output = ()> + Send,
    keeping: impl Future<Output = ()> + Send,
    at_most: Duration,
) -> bool {
    let keeping = async {
        keeping.await;
        warn!(
            "the claim to lead was lost while stopping; answers in flight are stored all the same"
        );
        std::future::pending::<()>().await;
    };
    let ended = tokio::time::timeout(at_most, ended);
    tokio::select! {
        ended = ended => ended.is_ok(),
        () = keeping => false,
    }
}

/// How the Lease is kept.
#[derive(Clone, Debug)]
pub struct LeaseOptions {
    /// The operator's namespace.
    pub namespace: String,
    /// `metadata.name` of the Lease.
    pub name: String,
    /// This process.
    pub identity: String,
    /// How long others leave it alone after a renewal.
    pub duration: Duration,
    /// How long we believe in our own renewal; shorter than `duration`.
    pub renew_deadline: Duration,
    /// Between two looks.
    pub retry_period: Duration,
}

/// Holds the Lease for this process.
#[derive(Debug)]
pub struct Holder {
    api: Api<Lease>,
    options: LeaseOptions,
    clock: Arc<dyn Clock>,
    leadership: Leadership,
    seen: Option<(Lease, Duration)>,
}

impl Holder {
    /// A holder that has not looked yet.
    pub fn new(
        client: Client,
        options: LeaseOptions,
        clock: Arc<dyn Clock>,
        leadership: Leadership,
    ) -> Self {
        let api = Api::namespaced(client, &options.namespace);
        Self { api, options, clock, leadership, seen: None }
    }

    /// Waits until this process leads.
    pub async fn acquire(&mut self) {
        loop {
            match self.step().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "the lease cannot be read or taken; trying again"
                    );
                }
            }
            tokio::time::sleep(self.options.retry_period).await;
        }
    }

    /// Renews until the claim is lost.
    pub async fn keep(&mut self) {
        while !self.leadership.remaining().is_zero() {
            tokio::time::sleep(self.options.retry_period.min(self.leadership.remaining())).await;
            // An answer that comes after the claim has run out changes nothing: not even looks go on without one.
            match tokio::time::timeout(self.leadership.remaining(), self.step()).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => break,
                Ok(Err(error)) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "the lease could not be renewed"
                    );
                }
                Err(_) => warn!("the lease was not renewed in time"),
            }
        }
        self.leadership.claim_until(Duration::ZERO);
    }

    /// Gives the Lease away, so that the next process need not wait.
    pub async fn release(&mut self) {
        self.leadership.claim_until(Duration::ZERO);
        let Some((mut lease, _)) = self.seen.take() else {
            return;
        };
        if let Some(spec) = lease.spec.as_mut()
            && spec.holder_identity.as_deref() == Some(&self.options.identity)
        {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            match self.bounded(kubernetes::replace(&self.api, &lease)).await {
                Ok(_) => info!("lease released"),
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "the lease was not released");
                }
            }
        }
    }

    /// One look and at most one write. Whether this process leads afterwards.
    async fn step(&mut self) -> Result<bool, kubernetes::Error> {
        let begun = self.clock.uptime();
        let found = self.bounded(kubernetes::get(&self.api, &self.options.name)).await?;
        // A record may have been written just before the answer came: whoever counts from an earlier time believes it too old.
        let answered = self.clock.uptime();
        let unchanged = match (&found, &self.seen) {
            (Some(now), Some((before, since)))
                if now.metadata.resource_version == before.metadata.resource_version =>
            {
                begun.saturating_sub(*since)
            }
            (Some(now), _) => {
                self.seen = Some((now.clone(), answered));
                Duration::ZERO
            }
            (None, _) => Duration::ZERO,
        };
        let record = found.as_ref().and_then(|lease| lease.spec.as_ref()).map(|spec| Record {
            holder: spec.holder_identity.clone().unwrap_or_default(),
            duration: Duration::from_secs(
                u64::try_from(spec.lease_duration_seconds.unwrap_or_default()).unwrap_or_default(),
            ),
            transitions: spec.lease_transitions.unwrap_or_default(),
        });
        let written = match lease::decide(record.as_ref(), &self.options.identity, unchanged) {
            Move::Wait => return Ok(false),
            Move::Acquire { transitions } => self.write(found, Some(transitions)).await,
            Move::Renew => self.write(found, None).await,
        };
        match written {
            Ok(lease) => {
                self.seen = Some((lease, self.clock.uptime()));
                self.leadership.claim_until(begun + self.options.renew_deadline);
                Ok(true)
            }
            // Somebody was faster: whether that was us is seen at the next look.
            Err(kubernetes::Error::Conflict | kubernetes::Error::Exists) => {
                Ok(!self.leadership.remaining().is_zero())
            }
            Err(error) => Err(error),
        }
    }

    async fn write(
        &self,
        found: Option<Lease>,
        acquired: Option<i32>,
    ) -> Result<Lease, kubernetes::Error> {
        let now = MicroTime(self.clock.now());
        let mut lease = found.unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(self.options.name.clone()),
                namespace: Some(self.options.namespace.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        spec.renew_time = Some(now.clone());
        if let Some(transitions) = acquired {
            spec.holder_identity = Some(self.options.identity.clone());
            spec.lease_duration_seconds = i32::try_from(self.options.duration.as_secs()).ok();
            spec.acquire_time = Some(now);
            spec.lease_transitions = Some(transitions);
        }
        let written = if lease.metadata.resource_version.is_some() {
            self.bounded(kubernetes::replace(&self.api, &lease)).await?
        } else {
            self.bounded(kubernetes::create(&self.api, &lease)).await?
        };
        lease.metadata.resource_version = Some(written.version().to_owned());
        Ok(lease)
    }

    /// No call to the API server may outlast the claim.
    async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<T, kubernetes::Error>> + Send,
    ) -> Result<T, kubernetes::Error> {
        tokio::time::timeout(self.options.renew_deadline / 2, call).await.unwrap_or_else(|_| {
            let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
            Err(kubernetes::Error::Unavailable(Box::new(kube::Error::Service(Box::new(late)))))
        })
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    #[derive(Debug)]
    struct Paused(tokio::time::Instant);

    impl Clock for Paused {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }

        fn uptime(&self) -> Duration {
            self.0.elapsed()
        }
    }

    fn lasting(seconds: u64) -> LeaseOptions {
        LeaseOptions {
            namespace: "system".to_owned(),
            name: "operator".to_owned(),
            identity: "me".to_owned(),
            duration: Duration::from_secs(seconds),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_ends_on_time_when_the_api_server_does_not_answer() {
        let second = Duration::from_secs(1);
        let silent = tower::service_fn(|_: http::Request<kube::client::Body>| {
            std::future::pending::<Result<http::Response<kube::client::Body>, std::io::Error>>()
        });
        let clock: Arc<dyn Clock> = Arc::new(Paused(tokio::time::Instant::now()));
        let leadership = Leadership::new(Arc::clone(&clock));
        leadership.claim_until(second * 10);
        let client = Client::new(silent, "system");
        Holder::new(client, lasting(15), Arc::clone(&clock), leadership).keep().await;
        let late = clock.uptime().saturating_sub(second * 10);
        assert!(late < Duration::from_millis(10), "{late:?} after the claim had run out");
    }

    /// The record may have been renewed just before the answer: what is counted from the question is too short.
    #[tokio::test(start_paused = true)]
    async fn a_lease_is_taken_over_so_long_after_the_answer_that_showed_it() {
        let second = Duration::from_secs(1);
        let slow = second * 4;
        let looks = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let server = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let first = looks.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
            async move {
                if first {
                    tokio::time::sleep(slow).await;
                }
                let ours = *request.method() != http::Method::GET;
                let lease = serde_json::json!({
                    "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                    "metadata": {"name": "operator", "namespace": "system", "resourceVersion": if ours { "2" } else { "1" }},
                    "spec": {"holderIdentity": if ours { "me" } else { "other" }, "leaseDurationSeconds": 13},
                });
                let body = kube::client::Body::from(lease.to_string().into_bytes());
                Ok::<_, std::io::Error>(http::Response::new(body))
            }
        });
        let clock: Arc<dyn Clock> = Arc::new(Paused(tokio::time::Instant::now()));
        let leadership = Leadership::new(Arc::clone(&clock));
        let client = Client::new(server, "system");
        Holder::new(client, lasting(13), Arc::clone(&clock), leadership).acquire().await;
        let taken = clock.uptime();
        assert!(taken >= slow + second * 13, "{taken:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn answers_in_flight_are_stored_even_if_the_lease_is_lost_meanwhile() {
        let second = Duration::from_secs(1);
        let work = || tokio::time::sleep(second * 20);
        assert!(last_words(work(), std::future::ready(()), second * 30).await);
        assert!(last_words(work(), std::future::pending(), second * 30).await);
        let begun = tokio::time::Instant::now();
        let endless = std::future::pending::<()>();
        assert!(!last_words(endless, tokio::time::sleep(second), second * 30).await);
        assert_eq!(begun.elapsed(), second * 30);
    }
}
