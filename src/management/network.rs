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
pub enum NetworkError {
    /// Nothing is wrong with what was given; the machine lacks something.
    #[error("cannot prepare HTTPS connections; check the root certificates")]
    Client(#[source] reqwest::Error),
    /// The bundle of certificates cannot be used.
    #[error(
        "the bundle of certificate authorities holds no certificate that can be read; it must be a PEM file with a \
        'BEGIN CERTIFICATE' line for each"
    )]
    Bundle,
    /// A proxy before this machine's own servers would never be used.
    #[error("a proxy has no effect on an endpoint of this machine; take out one of the two")]
    ProxyBeforeLoopback,
}

/// An HTTP proxy.
#[derive(Clone)]
pub struct Proxy(Url);

/// An address that is no HTTP proxy's. Its text is not shown, since it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it must be the address of an HTTP proxy, such as http://proxy.example:3128; others, such as socks5, are not supported"
)]
pub struct BadProxy;

impl Proxy {
    /// Reads an address.
    ///
    /// # Errors
    /// Where it is none, or not of an HTTP proxy.
    pub fn read(text: &str) -> Result<Self, BadProxy> {
        let url = Url::parse(text.trim()).map_err(|_| BadProxy)?;
        match url.scheme() {
            "http" | "https" if url.has_host() => Ok(Self(url)),
            _ => Err(BadProxy),
        }
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Proxy({})", self.0.origin().ascii_serialization())
    }
}

impl Network {
    /// Connections to `base`, through `proxy` if one is given, trusting the authorities of `ca_bundle` (PEM) besides the
    /// machine's own. Environment variables that name a proxy are not looked at.
    ///
    /// # Errors
    /// Where there are no root certificates, or what is given cannot be used.
    pub fn new(
        base: &BaseUrl,
        proxy: Option<&Proxy>,
        ca_bundle: Option<&[u8]>,
    ) -> Result<Self, NetworkError> {
        // Installing it twice is an error that means it is there.
        let _ = ring::default_provider().install_default();
        if proxy.is_some() && base.is_loopback() {
            return Err(NetworkError::ProxyBeforeLoopback);
        }
        let authorities = match ca_bundle.map(reqwest::Certificate::from_pem_bundle) {
            None => Vec::new(),
            Some(Ok(authorities)) if !authorities.is_empty() => authorities,
            Some(_) => return Err(NetworkError::Bundle),
        };
        let client = |idle, spare| {
            client(base, proxy, &authorities, idle, spare).map_err(|error| {
                if authorities.is_empty() {
                    NetworkError::Client(error)
                } else {
                    NetworkError::Bundle
                }
            })
        };
        Ok(Self { pooled: client(IDLE, 8)?, own: client(Duration::ZERO, 0)? })
    }
}

fn client(
    base: &BaseUrl,
    proxy: Option<&Proxy>,
    authorities: &[reqwest::Certificate],
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
        .tcp_nodelay(true)
        .tls_certs_merge(authorities.iter().cloned());
    if let Some(Proxy(proxy)) = proxy {
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
    let unsendable = TransportError { sent: Sent::No, kind: TransportKind::Connect };
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
    timeout_at(deadline, head).await.map_err(|_| None)?.map_err(Some)
}

/// What went wrong before the head of the answer came.
fn failure(gate: Option<&Gate>, error: Option<&reqwest::Error>) -> TransportError {
    let unconnected = error.is_some_and(reqwest::Error::is_connect);
    let unsent = unconnected || gate.is_some_and(Gate::shut);
    let kind = match error {
        None => TransportKind::TimedOut,
        Some(error) if error.is_timeout() => TransportKind::TimedOut,
        Some(error) if unconnected && is_distrust(error) => TransportKind::Untrusted,
        Some(_) if unconnected => TransportKind::Connect,
        Some(_) => TransportKind::Broken,
    };
    if let Some(error) = error {
        // The chain names hosts and addresses, but neither headers nor bodies.
        tracing::debug!(error = ?error.source(), ?kind, "no answer from the Management API");
    }
    TransportError { sent: if unsent { Sent::No } else { Sent::Perhaps }, kind }
}

/// Whether we refused the other side's certificate. Errors of input and output hold what caused them where only their own
/// method gives it.
fn is_distrust(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(error) = next {
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(held) = held {
            next = Some(held);
            continue;
        }
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        next = error.source();
    }
    false
}

/// Reads the body within its limits.
async fn body(
    mut response: reqwest::Response,
    limits: Limits,
    deadline: Instant,
) -> Result<Response<Bytes>, TransportError> {
    let fail = |kind| TransportError { sent: Sent::Perhaps, kind };
    let too_large = fail(TransportKind::TooLarge { status: response.status().as_u16() });
    let announced =
        response.content_length().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced > limits.body {
        return Err(too_large);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(announced));
    loop {
        let next = (Instant::now() + limits.idle).min(deadline);
        let piece =
            timeout_at(next, response.chunk()).await.map_err(|_| fail(TransportKind::TimedOut))?;
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
