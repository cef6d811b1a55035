//! The places that connections take, and who must leave when there is none.
//!
//! Whoever was answered and asks nothing goes first, whoever longest ago; then whoever has not finished its request,
//! the oldest first: neither sending slowly (head or body) nor reading slowly keeps a place. A request that is being worked on keeps
//! its place, and everybody has a moment for the first one: else a crowd that comes again and again would push
//! people out before they have said what they want.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// For how long nobody who has just come must go. Whoever stands in the longest queue that the kernel keeps (1024 by
/// tokio's default) still gets a place, of 64, before the kubelet's probe gives up.
const MOMENT: Duration = Duration::from_millis(100);

/// All places of a listener.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    book: Mutex<Book>,
    /// Somebody left, or may be told to.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Book {
    clients: BTreeMap<u64, Client>,
    /// Numbers clients and answers in their order; no clock is needed.
    last: u64,
}

#[derive(Debug)]
struct Client {
    standing: Standing,
    came: Instant,
    go: Arc<Notify>,
}

/// What the server and a client are about. In the order in which clients go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// It was answered, as the how-manieth.
    Answered(u64),
    /// It has yet to finish its first request; it came as the how-manieth.
    Asking(u64),
    /// It is the server's turn.
    Served,
    /// It was told to go.
    Going,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self { most, book: Mutex::default(), changed: Notify::new() }
    }

    /// A place, as soon as there is one. Only one task may ask at a time.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        loop {
            if let Some(place) = self.try_take(Instant::now()) {
                return place;
            }
            // Somebody's moment may end meanwhile.
            let _ = timeout(MOMENT, self.changed.notified()).await;
        }
    }

    /// A place; or none, and somebody was told to go if that is possible.
    fn try_take(self: &Arc<Self>, now: Instant) -> Option<Place> {
        let mut book = self.book();
        if book.clients.len() >= self.most {
            book.tell_one_to_go(now);
            return None;
        }
        let number = book.next();
        let go = Arc::new(Notify::new());
        let client = Client { standing: Standing::Served, came: now, go: Arc::clone(&go) };
        book.clients.insert(number, client);
        Some(Place {
            places: Arc::clone(self),
            number,
            go,
            works: AtomicBool::new(false),
            answered: AtomicBool::new(false),
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Unless somebody is on the way out already.
    fn tell_one_to_go(&mut self, now: Instant) {
        let going = |client: &Client| client.standing == Standing::Going;
        if self.clients.values().any(going) {
            return;
        }
        let may_go = |client: &&mut Client| match client.standing {
            Standing::Answered(_) => true,
            Standing::Asking(_) => now.duration_since(client.came) >= MOMENT,
            Standing::Served | Standing::Going => false,
        };
        let first = self.clients.values_mut().filter(may_go).min_by_key(|client| client.standing);
        if let Some(client) = first {
            client.standing = Standing::Going;
            client.go.notify_one();
        }
    }
}

/// Whose turn it is while a request is worked on.
#[derive(Debug)]
pub(super) struct Turn {
    places: Arc<Places>,
    number: u64,
}

impl Turn {
    /// More of the request is awaited.
    pub(super) fn is_the_clients(&self) {
        self.set(Standing::Served, Standing::Asking(self.number));
    }

    /// It came.
    pub(super) fn is_ours(&self) {
        self.set(Standing::Asking(self.number), Standing::Served);
    }

    fn set(&self, from: Standing, to: Standing) {
        {
            let mut book = self.places.book();
            let client = book.clients.get_mut(&self.number);
            let Some(client) = client.filter(|client| client.standing == from) else {
                return;
            };
            client.standing = to;
        }
        self.places.changed.notify_one();
    }
}

/// The place of one connection; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    go: Arc<Notify>,
    works: AtomicBool,
    answered: AtomicBool,
}

impl Place {
    /// A request came in and is worked on.
    pub(super) fn works(&self) {
        self.works.store(true, Ordering::Relaxed);
        let was_going = {
            let mut book = self.places.book();
            let client = book.clients.get_mut(&self.number);
            client.is_some_and(|client| {
                std::mem::replace(&mut client.standing, Standing::Served) == Standing::Going
            })
        };
        if was_going {
            // It came in at the last moment; somebody else must go.
            self.places.changed.notify_one();
        }
    }

    /// For the parts of the request that are still to come.
    pub(super) fn turn(&self) -> Turn {
        Turn { places: Arc::clone(&self.places), number: self.number }
    }

    /// The answer to it is there.
    pub(super) fn has_answered(&self) {
        self.works.store(false, Ordering::Relaxed);
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Nothing more can be done until the client sends or reads, or until the work on its request is done.
    pub(super) fn waits(&self) {
        if self.works.load(Ordering::Relaxed) {
            return;
        }
        {
            let mut book = self.places.book();
            let now = book.next();
            let Some(client) = book.clients.get_mut(&self.number) else {
                return;
            };
            if client.standing != Standing::Served {
                return;
            }
            client.standing = if self.answered.load(Ordering::Relaxed) {
                Standing::Answered(now)
            } else {
                Standing::Asking(self.number)
            };
        }
        self.places.changed.notify_one();
    }

    /// Ends when the place is needed for somebody else.
    pub(super) async fn must_go(&self) {
        loop {
            self.go.notified().await;
            let book = self.places.book();
            let client = book.clients.get(&self.number);
            if client.is_none_or(|client| client.standing == Standing::Going) {
                return;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.book().clients.remove(&self.number);
        self.places.changed.notify_one();
    }
}
