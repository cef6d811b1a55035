//! A world behind a loopback address: real sockets, and by default the real clock.
//!
//! The skin decides nothing. It turns bytes into a request, asks [`World::handle`], and realises the
//! answer's [`Delivery`](crate::Delivery) on the socket. It runs on a thread and a runtime of its own, so
//! that it goes on whatever the caller's runtime does, and all of it ends when [`Server`] is dropped.

mod connection;
mod delivery;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use http::Request;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::answer::Answer;
use crate::auth::Message;
use crate::config::DatabaseName;
use crate::mail::{Postman, Sent};
use crate::oauth::DASHBOARD;
use crate::postgres::{Follower, Postgres, follow};
use crate::world::World;

/// Says what time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The time of this machine.
#[expect(clippy::disallowed_methods, reason = "the one place where the real clock enters")]
pub fn real_clock() -> Clock {
    Arc::new(Timestamp::now)
}

/// One request and what the platform answered to it.
pub struct Exchange<'a> {
    /// When the request had come in whole.
    pub at: Timestamp,
    /// The request. Its headers and body hold secrets.
    pub request: &'a Request<Bytes>,
    /// The answer and how it travels.
    pub answer: &'a Answer,
}

impl fmt::Debug for Exchange<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Exchange")
            .field("at", &self.at)
            .field("method", self.request.method())
            .field("path", &self.request.uri().path())
            .field("answer", self.answer)
            .finish_non_exhaustive()
    }
}

type Observer = Arc<dyn Fn(&Exchange<'_>) + Send + Sync>;

/// What the server's thread and its owner share.
pub(crate) struct Shared {
    world: Mutex<World>,
    observers: Mutex<Vec<Observer>>,
    /// Held from an answer to the last observer's return. Taken before any other lock, and only here.
    turn: Mutex<()>,
    clock: Clock,
    /// What keeps a real PostgreSQL server in step, once one is attached.
    follower: OnceLock<Follower>,
    postman: Mutex<Postman>,
}

impl Shared {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn observers(&self) -> MutexGuard<'_, Vec<Observer>> {
        self.observers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(crate) fn postman(&self) -> MutexGuard<'_, Postman> {
        self.postman.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request, and shows the exchange to all observers in the order of the answers.
    fn answer(&self, request: &Request<Bytes>) -> Answer {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.now();
        let answer = self.world().handle(request, at);
        let exchange = Exchange { at, request, answer: &answer };
        // Copied, so that neither lock is held while an observer looks at the world.
        let observers = self.observers().clone();
        for observe in observers {
            observe(&exchange);
        }
        answer
    }
}

/// A running platform. Dropping it closes the listener and every connection.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Serves a world at a loopback address; port 0 takes a free port.
    ///
    /// # Errors
    /// `InvalidInput` for an address that other machines can reach, and whatever listening may meet.
    pub fn start(world: World, listen: SocketAddr) -> io::Result<Self> {
        Self::start_with_clock(world, listen, real_clock())
    }

    /// As [`Server::start`], with another clock. Delayed and trickling answers still take real time.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with_clock(world: World, listen: SocketAddr, clock: Clock) -> io::Result<Self> {
        if !listen.ip().is_loopback() {
            let message = format!(
                "{listen} can be reached from other machines; listen on a loopback address such as \
                 127.0.0.1:0"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::new(Shared {
            world: Mutex::new(world),
            observers: Mutex::new(Vec::new()),
            turn: Mutex::new(()),
            clock,
            follower: OnceLock::new(),
            postman: Mutex::default(),
        });
        shared.world().tick(shared.now());
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("simulated-platform".to_owned())
            .spawn(move || runtime.block_on(connection::serve(listener, served, stopped)))?;
        Ok(Self { shared, address, handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base of every address of the API, without a slash at its end.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends browsers to the simulated consent page, instead of Supabase's own.
    pub fn serve_dashboard(&self) {
        let url = format!("{}{DASHBOARD}", self.endpoint());
        self.world().config_mut().dashboard_url = url;
    }

    /// The world. No request is answered while the guard lives.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world()
    }

    /// The time by the server's clock.
    pub fn now(&self) -> Timestamp {
        self.shared.now()
    }

    /// Puts a real PostgreSQL server behind the projects: the pooler's address becomes that server's, and
    /// its databases, roles and passwords follow the world. An answer of the pooler or password endpoint
    /// is held back until the database is as the answer promises. A second server is ignored.
    pub fn attach(&self, postgres: Arc<Postgres>) {
        let pooler = postgres.pooler();
        let (follower, work) = follow(Arc::clone(&self.shared), postgres);
        if self.shared.follower.set(follower).is_ok() {
            let mut world = self.world();
            world.config_mut().pooler = Some(pooler);
            world.config_mut().database_name = DatabaseName::Ref;
            self.handle.spawn(work);
        }
    }

    /// Trusts mail servers whose certificates come from the authorities of this PEM text, instead of the machine's.
    ///
    /// # Errors
    /// `InvalidInput` where the text holds none.
    pub fn trust_mail_servers(&self, pem: &[u8]) -> io::Result<()> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "no certificate in PEM form");
        *self.shared.postman() = Postman::trusting(pem).ok_or_else(wrong)?;
        Ok(())
    }

    /// Lets a project's Auth write to `to`, with the settings in force, and says what came of it.
    ///
    /// # Errors
    /// When the server has ended.
    pub fn send_mail(&self, reference: &str, message: Message, to: &str) -> io::Result<Sent> {
        let now = self.now();
        let letter = {
            let mut world = self.world();
            world.tick(now);
            world.letter(reference, message, to)
        };
        let Some(letter) = letter else {
            return Ok(Sent::Off);
        };
        let postman = self.shared.postman().clone();
        let (tell, told) = std::sync::mpsc::channel();
        self.handle.spawn(async move {
            // Nobody waits any more: nobody is to be told.
            let _ = tell.send(postman.send(letter).await);
        });
        told.recv().map_err(io::Error::other)
    }

    /// Shows every exchange from now on to `observer`, one at a time, in the order of the answers and
    /// before they are sent. It may look at the world, but must not wait for another request.
    pub fn observe(&self, observer: impl Fn(&Exchange<'_>) + Send + Sync + 'static) {
        self.shared.observers().push(Arc::new(observer));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server's thread has been reported by that thread.
            let _ = thread.join();
        }
    }
}
