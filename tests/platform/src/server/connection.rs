//! Accepting connections and reading requests.
//!
//! Everything a client can make large or slow is bounded here.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, Socket};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};

use super::Shared;
use super::delivery::{self, Broken, Wire};
use crate::answer::Reply;
use crate::hand::page::told;
use crate::mail::Sent;

/// Connections served at once; more wait in the listener's queue.
const MOST_CONNECTIONS: usize = 1024;
/// The largest request body, in bytes.
const MOST_BODY: usize = 1 << 20;
/// How long a connection may stay silent, between requests or within a header.
const IDLE: Duration = Duration::from_secs(400);
/// How long a request body may take.
const BODY_TIME: Duration = Duration::from_secs(30);
/// The pause after a failed accept, for want of file descriptors perhaps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stopped` is dropped or told.
pub(super) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    stopped: oneshot::Receiver<()>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let accepting = async {
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let shared = Arc::clone(&shared);
                    tokio::spawn(async move {
                        connection(stream, shared).await;
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        _ = stopped => {}
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // A second handle, for the reset: the connection itself owns the stream.
    let Ok(socket) = stream.set_nodelay(true).and_then(|()| SockRef::from(&stream).try_clone())
    else {
        return;
    };
    let socket = Arc::new(socket);
    let service =
        service_fn(move |request| respond(request, Arc::clone(&shared), Arc::clone(&socket)));
    // Whatever ends a connection, the client has seen it too.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    socket: Arc<Socket>,
) -> Result<Response<Wire>, Broken> {
    let (parts, body) = request.into_parts();
    let body = match tokio::time::timeout(BODY_TIME, Limited::new(body, MOST_BODY).collect()).await
    {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Ok(plain(Reply::error(413, "request entity too large")));
        }
        Ok(Err(_)) => return Err(Broken),
        Err(_) => return Ok(plain(Reply::error(408, "Request Timeout"))),
    };
    let request = Request::from_parts(parts, body);
    let letter = shared.world().letter_asked_for(&request);
    if let Some(letter) = letter {
        return Ok(plain(match letter {
            Ok(Some(letter)) => {
                let postman = shared.postman().clone();
                told(&postman.send(letter).await)
            }
            Ok(None) => told(&Sent::Off),
            Err(refusal) => refusal,
        }));
    }
    let mut answer = shared.answer(&request);
    if let Some(follower) = shared.follower.get() {
        answer = follower.hold(&request, answer, &shared).await;
    }
    delivery::deliver(answer, &socket).await
}

fn plain(reply: Reply) -> Response<Wire> {
    reply.into_response().map(|body: Bytes| {
        Full::new(body).map_err(|never: Infallible| match never {}).boxed_unsync()
    })
}
