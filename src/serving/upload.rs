//! The body of a request: while more of it is awaited, it is the client's turn, though a handler is at work.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::places::Turn;

/// A body that tells whose turn it is.
#[derive(Debug)]
pub(super) struct Upload {
    body: Incoming,
    turn: Turn,
}

impl Upload {
    pub(super) const fn new(body: Incoming, turn: Turn) -> Self {
        Self { body, turn }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let state = Pin::new(&mut self.body).poll_frame(context);
        if state.is_pending() {
            self.turn.is_the_clients();
        } else {
            self.turn.is_ours();
        }
        state
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
