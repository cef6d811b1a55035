//! How each answer travels over its socket.
//!
//! What a test calls a reset is a reset, and a truncated body has announced its full length: a client
//! must not be able to tell these from the real thing.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use http::Response;
use http::header::CONTENT_LENGTH;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use socket2::Socket;

use crate::answer::{Answer, Delivery};

/// A body on its way to the socket.
pub(super) type Wire = UnsyncBoxBody<Bytes, Broken>;

/// The connection ends here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the connection ends here, as scripted")
    }
}

impl std::error::Error for Broken {}

/// White space is sent in pieces of this size.
const PIECE: &[u8] = &[b' '; 1 << 16];
/// Drops of a trickling body do not come closer together than this.
const DROP_INTERVAL: Duration = Duration::from_millis(50);

/// The response to send, or the end of the connection.
pub(super) async fn deliver(
    answer: Answer,
    socket: &Arc<Socket>,
) -> Result<Response<Wire>, Broken> {
    let Answer { response, delivery, scripted: _ } = answer;
    match delivery {
        Delivery::Now => Ok(whole(response)),
        Delivery::After(delay) => {
            tokio::time::sleep(delay).await;
            Ok(whole(response))
        }
        // Ends when the client closes the connection or the server is dropped.
        Delivery::Stall => pending().await,
        Delivery::DropAfterEffect | Delivery::DropBeforeEffect => Err(Broken),
        Delivery::Reset => {
            reset_on_close(socket);
            Err(Broken)
        }
        Delivery::ResetMidBody { after_bytes } => {
            Ok(broken_off(response, after_bytes, Some(Arc::clone(socket))))
        }
        Delivery::Truncated { after_bytes } => Ok(broken_off(response, after_bytes, None)),
        Delivery::Trickle { bytes_per_second } => Ok(trickling(response, bytes_per_second)),
        Delivery::Padded { bytes } => Ok(padded(response, bytes)),
    }
}

/// Makes the close of the connection a reset instead of an orderly end.
fn reset_on_close(socket: &Socket) {
    // Fails only on a socket that is closed already.
    let _ = socket.set_linger(Some(Duration::ZERO));
}

fn whole(response: Response<Bytes>) -> Response<Wire> {
    response.map(|body| Full::new(body).map_err(|never: Infallible| match never {}).boxed_unsync())
}

/// A response that announces `length` bytes, whatever the stream brings.
fn announcing(
    response: Response<Bytes>,
    length: u64,
    body: impl Stream<Item = Result<Bytes, Broken>> + Send + 'static,
) -> Response<Wire> {
    let mut response = response
        .map(|_| BodyExt::boxed_unsync(StreamBody::new(body.map(|piece| piece.map(Frame::data)))));
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

fn length(body: &Bytes) -> u64 {
    u64::try_from(body.len()).unwrap_or(u64::MAX)
}

/// At least one byte stays behind, or nothing would be broken off.
fn broken_off(
    response: Response<Bytes>,
    after_bytes: usize,
    reset: Option<Arc<Socket>>,
) -> Response<Wire> {
    let body = response.body().clone();
    let length = length(&body).max(1);
    let start = body.slice(..after_bytes.min(body.len().saturating_sub(1)));
    let end = async move {
        // What came before is written to the socket when the body has nothing to give for a while.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        if let Some(socket) = reset {
            reset_on_close(&socket);
        }
        Err(Broken)
    };
    announcing(response, length, stream::iter([Ok(start)]).chain(stream::once(end)))
}

fn trickling(response: Response<Bytes>, bytes_per_second: u32) -> Response<Wire> {
    let body = response.body().clone();
    let length = length(&body);
    let rate = bytes_per_second.max(1);
    let interval = (Duration::from_secs(1) / rate).max(DROP_INTERVAL);
    let drop = usize::try_from(u128::from(rate) * interval.as_millis() / 1000).unwrap_or(1).max(1);
    let drops = stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(interval).await;
        let drop = rest.split_to(drop.min(rest.len()));
        Some((Ok(drop), rest))
    });
    announcing(response, length, drops)
}

fn padded(response: Response<Bytes>, padding: u64) -> Response<Wire> {
    let body = response.body().clone();
    let length = length(&body).saturating_add(padding);
    let spaces = stream::unfold(padding, |left| async move {
        let size = usize::try_from(left).unwrap_or(PIECE.len()).min(PIECE.len());
        let piece = Bytes::from_static(PIECE).slice(..size);
        let rest = left.saturating_sub(u64::try_from(size).unwrap_or(left));
        (size > 0).then_some((Ok(piece), rest))
    });
    announcing(response, length, stream::iter([Ok(body)]).chain(spaces))
}
