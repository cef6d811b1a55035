//! A request body that knows whether it left.
//!
//! A request whose body was never taken by a connection cannot have been carried out, however much else
//! went wrong. [`Body`] hands its bytes out at most once, and never again after [`Gate::shut`]: so "not
//! sent" is a certainty, not a guess from error codes.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const SHUT: u8 = 2;

/// What is known of a body on its way.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<State>);

#[derive(Debug)]
struct State {
    phase: AtomicU8,
    taken: Notify,
}

/// The body.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Option<Bytes>,
    length: u64,
    gate: Gate,
}

/// A body and its gate.
pub(super) fn gated(bytes: Bytes) -> (Body, Gate) {
    let state = State { phase: AtomicU8::new(WAITING), taken: Notify::new() };
    let gate = Gate(Arc::new(state));
    let length = bytes.len() as u64;
    (Body { bytes: Some(bytes), length, gate: gate.clone() }, gate)
}

impl Gate {
    /// Waits until a connection has taken the body.
    pub(super) async fn taken(&self) {
        // The permit of `notify_one` is kept, so that nothing is missed before the wait.
        self.0.taken.notified().await;
    }

    /// Makes sure that the body does not leave any more; false if it already has.
    pub(super) fn shut(&self) -> bool {
        self.enter(SHUT) || self.0.phase.load(Ordering::Acquire) == SHUT
    }

    fn enter(&self, phase: u8) -> bool {
        self.0.phase.compare_exchange(WAITING, phase, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// The body was shut before it could leave.
#[derive(Debug, thiserror::Error)]
#[error("the request was given up before it was sent")]
pub(super) struct Shut;

impl From<Infallible> for Shut {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Shut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Shut>>> {
        let Some(bytes) = self.bytes.take() else {
            return Poll::Ready(None);
        };
        if !self.gate.enter(TAKEN) {
            return Poll::Ready(Some(Err(Shut)));
        }
        self.gate.0.taken.notify_one();
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(if self.bytes.is_some() { self.length } else { 0 })
    }
}
