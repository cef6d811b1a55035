//! The seam: one HTTP exchange.
//!
//! The real one is [`super::Network`]; tests put a simulated platform behind it. It repeats nothing and
//! follows no redirect.

use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};

/// Makes one HTTP exchange.
pub trait Transport: Debug + Send + Sync {
    /// Sends the request once and gives the whole answer, whatever its status.
    ///
    /// # Errors
    /// Where there is no whole answer within the limits. Dropping the future gives the exchange up.
    fn exchange(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>>;
}

/// How long and how much one exchange may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until the request's body is on its way, connecting included. A request without a body is bounded
    /// by `whole` and by the connect deadline of the transport.
    pub sending: Duration,
    /// Between two pieces of the answer's body.
    pub idle: Duration,
    /// From the start until the answer is complete.
    pub whole: Duration,
    /// Bytes of the answer's body.
    pub body: usize,
    /// Which connection carries it.
    pub connection: Connection,
}

/// Which connection carries an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// One that may have carried others.
    Pooled,
    /// A new one: an idle connection that the server closes at that moment would make it unknown whether
    /// the request was read. For what must not be sent twice.
    Own,
}

impl Limits {
    /// For reads and for writes that may be repeated.
    pub const ORDINARY: Self = Self {
        sending: Duration::from_secs(10),
        idle: Duration::from_secs(10),
        whole: Duration::from_secs(30),
        body: 1 << 20,
        connection: Connection::Pooled,
    };

    /// For long lists.
    pub const LIST: Self = Self { body: 8 << 20, ..Self::ORDINARY };

    /// For what must not be sent twice: creating a project, spending a refresh token.
    pub const ONCE: Self =
        Self { sending: Duration::from_secs(3), connection: Connection::Own, ..Self::ORDINARY };
}

/// Whether the other side may have got the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Certainly not: there was no connection, or the body never left.
    No,
    /// Certainly not: the certificate of the other side is not trusted, so it was told nothing.
    Untrusted,
    /// It may have been read and carried out.
    Perhaps,
}

/// Why there is no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no whole answer ({kind:?}, request sent: {sent:?})")]
pub struct TransportError {
    /// Whether the other side may have got the request.
    pub sent: Sent,
    /// What happened.
    pub kind: TransportKind,
}

/// What kept an answer from coming whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    /// No connection: DNS, TCP or TLS.
    Connect,
    /// No connection: the other side's certificate is not trusted.
    Untrusted,
    /// A deadline passed.
    TimedOut,
    /// The connection broke, or what came is not HTTP.
    Broken,
    /// The body is longer than the limit.
    TooLarge {
        /// The status that came before it.
        status: u16,
    },
}
