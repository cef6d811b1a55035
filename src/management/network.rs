//! The real transport: HTTPS over reqwest, within limits, without anything done twice or behind our back.
//!
//! No redirects, no retries, no ambient proxy, no decompression.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use rustls::crypto::ring;
use tokio::time::{Instant, sleep_until, timeout_at};
use url::Url;
use zeroize::Zeroizing;

use super::base::BaseUrl;
use super::sending::{Gate, gated};
use super::transport::{Connection, Limits, Sent, Transport, TransportError, TransportKind};

/// How long one attempt to connect may take, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// Idle connections are dropped before most gateways do it.
const IDLE: Duration = Duration::from_secs(30);

/// HTTPS connections to one Management API.
#[derive(Clone, Debug)]
pub struct Network {
    pooled: reqwest::Client,
    own: reqwest::Client,
}

/// The connections cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot prepare HTTPS connections; check the root certificates and the proxy")]
pub struct NetworkError(#[source] reqwest::Error);

impl Network {
    /// Connections to `base`, through `proxy` if one is given. Environment variables are not looked at.
    ///
    /// # Errors
    /// Where there are no root certificates, or the proxy cannot be used.
    pub fn new(base: &BaseUrl, proxy: Option<&Url>) -> Result<Self, NetworkError> {
        // Installing it twice is an error that means it is there.
        let _ = ring::default_provider().install_default();
        Ok(Self {
            pooled: client(base, proxy, IDLE, 8).map_err(NetworkError)?,
            own: client(base, proxy, Duration::ZERO, 0).map_err(NetworkError)?,
        })
    }
}

fn client(
    base: &BaseUrl,
    proxy: Option<&Url>,
    idle: Duration,
    spare: usize,
) -> reqwest::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .https_only(!base.is_loopback())
        .connect_timeout(CONNECT)
        .pool_idle_timeout(idle)
        .pool_max_idle_per_host(spare)
        .http2_keep_alive_interval(Duration::from_secs(15))
        .http2_keep_alive_timeout(Duration::from_secs(10))
        .tcp_nodelay(true);
    if let Some(proxy) = proxy.filter(|_| !base.is_loopback()) {
        builder = builder.proxy(reqwest::Proxy::https(proxy.clone())?);
    }
    builder.build()
}

impl Transport for Network {
    fn exchange(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        self.run(request, limits).boxed()
    }
}

impl Network {
    async fn run(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, TransportError> {
        let started = Instant::now();
        let deadline = started + limits.whole;
        let client = match limits.connection {
            Connection::Pooled => &self.pooled,
            Connection::Own => &self.own,
        };
        let (request, gate) = gate(request)?;
        let head = client.execute(request);
        let sending = started + limits.sending.min(limits.whole);
        let head = match &gate {
            Some(gate) => watched(head, gate, sending, deadline).await,
            None => timeout_at(deadline, head)
                .await
                .map_err(|_| None)
                .and_then(|done| done.map_err(Some)),
        };
        let response = head.map_err(|error| failure(gate.as_ref(), error.as_ref()))?;
        body(response, limits, deadline).await
    }
}

/// Puts a gate before the body, if there is one.
fn gate(request: Request<Bytes>) -> Result<(reqwest::Request, Option<Gate>), TransportError> {
    let unsendable = TransportError {
        sent: Sent::No,
        kind: TransportKind::Connect,
    };
    let (parts, bytes) = request.into_parts();
    if bytes.is_empty() {
        let request = Request::from_parts(parts, reqwest::Body::default());
        let mut request = reqwest::Request::try_from(request).map_err(|_| unsendable)?;
        *request.body_mut() = None;
        return Ok((request, None));
    }
    let (body, gate) = gated(bytes);
    let request = Request::from_parts(parts, reqwest::Body::wrap(body));
    let request = reqwest::Request::try_from(request).map_err(|_| unsendable)?;
    Ok((request, Some(gate)))
}

/// Waits for the head of the answer, giving up early if the body does not leave in time. The error is
/// `None` where a deadline passed.
async fn watched(
    head: impl Future<Output = reqwest::Result<reqwest::Response>>,
    gate: &Gate,
    sending: Instant,
    deadline: Instant,
) -> Result<reqwest::Response, Option<reqwest::Error>> {
    let mut head = std::pin::pin!(head);
    tokio::select! {
        biased;
        done = &mut head => return done.map_err(Some),
        () = gate.taken() => {}
        () = sleep_until(sending) => {
            if gate.shut() {
                return Err(None);
            }
        }
    }
    timeout_at(deadline, head)
        .await
        .map_err(|_| None)?
        .map_err(Some)
}

/// What went wrong before the head of the answer came.
fn failure(gate: Option<&Gate>, error: Option<&reqwest::Error>) -> TransportError {
    let unconnected = error.is_some_and(reqwest::Error::is_connect);
    let unsent = unconnected || gate.is_some_and(Gate::shut);
    let kind = match error {
        None => TransportKind::TimedOut,
        Some(error) if error.is_timeout() => TransportKind::TimedOut,
        Some(_) if unconnected => TransportKind::Connect,
        Some(_) => TransportKind::Broken,
    };
    if let Some(error) = error {
        // The chain names hosts and addresses, but neither headers nor bodies.
        tracing::debug!(error = ?error.source(), ?kind, "no answer from the Management API");
    }
    TransportError {
        sent: if unsent { Sent::No } else { Sent::Perhaps },
        kind,
    }
}

/// Reads the body within its limits.
async fn body(
    mut response: reqwest::Response,
    limits: Limits,
    deadline: Instant,
) -> Result<Response<Bytes>, TransportError> {
    let fail = |kind| TransportError {
        sent: Sent::Perhaps,
        kind,
    };
    let too_large = fail(TransportKind::TooLarge {
        status: response.status().as_u16(),
    });
    let announced = response
        .content_length()
        .map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced > limits.body {
        return Err(too_large);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(announced));
    loop {
        let next = (Instant::now() + limits.idle).min(deadline);
        let piece = timeout_at(next, response.chunk())
            .await
            .map_err(|_| fail(TransportKind::TimedOut))?;
        let Some(piece) = piece.map_err(|_| fail(TransportKind::Broken))? else {
            break;
        };
        if piece.len() > limits.body - bytes.len() {
            return Err(too_large);
        }
        bytes.extend_from_slice(&piece);
    }
    let mut answer = Response::new(Bytes::from_owner(bytes));
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    Ok(answer)
}
