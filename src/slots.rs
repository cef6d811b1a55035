//! A slot to work in, given back while its holder waits for something that others hold.
//!
//! Reconciles run in a bounded number of slots. One that waits (for the platform, a turn in the rate budget, a list that
//! others wait for too, the API server) uses no processor: its slot goes to somebody else. How many of a namespace may
//! wait at a time has a bound, and so has their number in all (`controller::queue`). Knows nothing of what is done in a slot; rooms below the engine may wait here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::timeout;

/// A wait that is over within so long keeps its slot.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Who hands out slots.
pub trait Place: Send + Sync {
    /// The slot is free for others.
    fn leave(&self);
    /// Waits for a slot to go on in.
    fn come_back(&self) -> BoxFuture<'static, ()>;
    /// Goes on without waiting for one: its holder was told not to wait any longer.
    fn come_back_at_once(&self);
}

struct Slot {
    place: Arc<dyn Place>,
    given_back: AtomicBool,
}

tokio::task_local! {
    static SLOT: Arc<Slot>;
}

/// Works in a slot.
pub async fn within<T>(place: Arc<dyn Place>, work: impl Future<Output = T>) -> T {
    let slot = Slot { place, given_back: AtomicBool::new(false) };
    SLOT.scope(Arc::new(slot), work).await
}

/// Waits, and gives the slot back if that takes longer than a moment. Whoever works in none just waits.
pub async fn waiting<T>(wait: impl Future<Output = T>) -> T {
    outside(wait, AT_ONCE).await
}

/// Waits for what is known to take a moment, and gives the slot back at once.
pub async fn away<T>(wait: impl Future<Output = T>) -> T {
    outside(wait, Duration::ZERO).await
}

async fn outside<T>(wait: impl Future<Output = T>, at_once: Duration) -> T {
    let Ok(slot) = SLOT.try_with(Arc::clone) else {
        return wait.await;
    };
    let mut wait = std::pin::pin!(wait);
    if let Ok(done) = timeout(at_once, &mut wait).await {
        return done;
    }
    // Whoever waits within a wait has given the slot back already.
    if slot.given_back.swap(true, Ordering::SeqCst) {
        return wait.await;
    }
    slot.place.leave();
    let away = Away(slot);
    let done = wait.await;
    let back = away.0.place.come_back();
    back.await;
    away.ends();
    done
}

/// Out of the slot. Dropped, as where a deadline ends the wait, it is in again.
struct Away(Arc<Slot>);

impl Away {
    fn ends(self) {
        self.0.given_back.store(false, Ordering::SeqCst);
        std::mem::forget(self);
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        self.0.place.come_back_at_once();
        self.0.given_back.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::FutureExt as _;

    use super::*;

    #[derive(Default)]
    struct Log(Mutex<Vec<&'static str>>);

    impl Log {
        fn note(&self, what: &'static str) {
            self.0.lock().unwrap().push(what);
        }

        fn all(&self) -> Vec<&'static str> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Place for Arc<Log> {
        fn leave(&self) {
            self.note("leave");
        }
        fn come_back(&self) -> BoxFuture<'static, ()> {
            let log = Self::clone(self);
            async move { log.note("back") }.boxed()
        }
        fn come_back_at_once(&self) {
            self.note("at once");
        }
    }

    async fn sleep(millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_gives_the_slot_back_once_however_deep() {
        let log = Arc::new(Log::default());
        let place: Arc<dyn Place> = Arc::new(Arc::clone(&log));
        within(Arc::clone(&place), waiting(sleep(900))).await;
        assert!(log.all().is_empty(), "{:?}", log.all());
        let nested = waiting(async {
            sleep(100).await;
            waiting(sleep(5000)).await;
            waiting(sleep(5000)).await;
        });
        within(place, nested).await;
        assert_eq!(log.all(), ["leave", "back"]);
        waiting(sleep(5000)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_cut_short_is_back_at_once_and_may_leave_again() {
        let log = Arc::new(Log::default());
        let place: Arc<dyn Place> = Arc::new(Arc::clone(&log));
        within(place, async {
            let cut = timeout(Duration::from_secs(3), waiting(sleep(10_000))).await;
            assert!(cut.is_err());
            waiting(sleep(5000)).await;
        })
        .await;
        assert_eq!(log.all(), ["leave", "at once", "leave", "back"]);
    }
}
