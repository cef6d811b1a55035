//! From changes to reconciles: one queue a kind, fed by changes that matter, by wakes from inside, and by the wait that
//! every reconcile asks for.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinSet;
use tracing::error;

use super::queue::{Limits, Next, Queue};
use super::store::{Change, OnChange};
use super::{Context, HasConditions, ReconcileRequests, Reconciler, Requests, Requeue, reconcile};
use crate::api::ObjectKey;
use crate::kubernetes::Lean;
use crate::seen::significance;
use crate::slots::{self, Place};

/// The changes that ask for a reconcile: those that are significant, that an object is gone, and that another installation
/// than `ours` has put its mark on it. `also` is told of all.
pub fn on_change<S: Lean>(
    requests: &ReconcileRequests,
    ours: NonZeroU64,
    also: Option<OnChange<S>>,
) -> OnChange<S> {
    let requests = requests.clone();
    Arc::new(move |change: &Change<S>| {
        if let Some(also) = &also {
            also(change);
        }
        let significance = |seen: &Option<Arc<S>>| seen.as_ref().map(|s| significance(s.meta()));
        let foreign = |seen: &Option<Arc<S>>| {
            seen.as_ref().and_then(|seen| seen.installation()).filter(|mark| *mark != ours)
        };
        let rival = foreign(&change.now);
        let intrudes = rival.is_some() && rival != foreign(&change.before);
        if intrudes || significance(&change.before) != significance(&change.now) {
            requests.add(change.key.clone());
        }
    })
}

/// Looks after the objects of a kind as they are asked for, until `stop` and until what is under way has ended.
pub async fn look<K: Reconciler + Clone>(
    kind: K,
    context: Context,
    requests: Requests,
    concurrency: u16,
    mut stop: watch::Receiver<bool>,
) {
    let requests = requests.of(<K::Object as HasConditions>::KIND).clone();
    let hall = Hall::new(Limits::of(usize::from(concurrency)));
    let mut under_way: JoinSet<(ObjectKey, Option<Duration>)> = JoinSet::new();
    let mut stopped = false;
    loop {
        let now = context.clock.uptime();
        for (key, wait) in requests.take_later() {
            hall.queue().add_at(key, now + wait);
        }
        while let Some(key) = hall.next(now, stopped) {
            let (kind, context) = (kind.clone(), context.clone());
            let place = hall.place(&key);
            under_way.spawn(async move {
                let wait = slots::within(place, guarded(&kind, &context, &key)).await;
                (key, wait)
            });
        }
        if stopped && under_way.is_empty() {
            return;
        }
        let due = hall.due().filter(|_| !stopped);
        let timer = async {
            match due {
                Some(at) => tokio::time::sleep(at.saturating_sub(now)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(ended) = under_way.join_next(), if !under_way.is_empty() => {
                if let Ok((key, wait)) = ended {
                    hall.queue().done(&key, context.clock.uptime(), wait);
                }
            }
            () = requests.arrived(), if !stopped => {
                let mut queue = hall.queue();
                while let Some(key) = requests.take() {
                    queue.add(key);
                }
            }
            () = hall.bell.notified() => {}
            () = timer => {}
            _ = stop.wait_for(|stop| *stop), if !stopped => stopped = true,
        }
    }
}

/// A reconcile that panics is one that failed: the object is tried again, and nobody else notices.
async fn guarded<K: Reconciler>(kind: &K, context: &Context, key: &ObjectKey) -> Option<Duration> {
    let reconcile = AssertUnwindSafe(reconcile(kind, context, key)).catch_unwind();
    if let Ok(wait) = reconcile.await {
        return wait;
    }
    error!(object = %key, kind = K::NAME, "a reconcile panicked; the object is tried again later");
    context.reporter.reconciled(K::NAME, "panicked", Duration::ZERO);
    Some(context.next(K::NAME, key, &key.to_string(), Requeue::Backoff))
}

/// A queue and those who wait in front of its slots. Cheap to clone; all clones are one.
#[derive(Clone)]
struct Hall {
    queue: Arc<Mutex<Queue>>,
    returning: Arc<Mutex<HashMap<ObjectKey, oneshot::Sender<()>>>>,
    bell: Arc<Notify>,
}

impl Hall {
    fn new(limits: Limits) -> Self {
        Self {
            queue: Arc::new(Mutex::new(Queue::new(limits))),
            returning: Arc::default(),
            bell: Arc::default(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn due(&self) -> Option<Duration> {
        self.queue().due()
    }

    /// The next object whose reconcile begins. Those that go on are told on the way. Nothing begins any more once it is
    /// `stopped`.
    fn next(&self, now: Duration, stopped: bool) -> Option<ObjectKey> {
        loop {
            let next = if stopped { self.queue().next_return() } else { self.queue().next(now) };
            match next? {
                Next::Begin(key) => return Some(key),
                Next::GoOn(key) => {
                    let mut returning =
                        self.returning.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(waiting) = returning.remove(&key) {
                        // Nobody waits where a deadline came first.
                        let _ = waiting.send(());
                    }
                }
            }
        }
    }

    fn place(&self, key: &ObjectKey) -> Arc<dyn Place> {
        Arc::new(Seat { hall: self.clone(), key: key.clone() })
    }
}

/// The slot of one reconcile.
struct Seat {
    hall: Hall,
    key: ObjectKey,
}

impl Place for Seat {
    fn leave(&self) {
        self.hall.queue().leave(&self.key);
        self.hall.bell.notify_one();
    }

    fn come_back(&self) -> BoxFuture<'static, ()> {
        let (tell, told) = oneshot::channel();
        self.hall
            .returning
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(self.key.clone(), tell);
        self.hall.queue().wants_back(self.key.clone());
        self.hall.bell.notify_one();
        // An error means that the queue has ended, with the process.
        async move { drop(told.await) }.boxed()
    }

    fn come_back_at_once(&self) {
        self.hall.queue().is_back(&self.key);
        self.hall.returning.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
