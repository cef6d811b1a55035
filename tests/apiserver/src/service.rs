//! A server behind a `tower` service, as a Kubernetes client wants it.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use jiff::Timestamp;

use crate::fate::{Fate, Script};
use crate::server::ApiServer;
use crate::status::Refusal;

/// The connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

impl fmt::Display for Lost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the connection broke")
    }
}

impl std::error::Error for Lost {}

/// A server that clients can call. Cheap to clone; all clones are one server.
#[derive(Clone)]
pub struct Service {
    server: Arc<Mutex<ApiServer>>,
    script: Arc<Mutex<Script>>,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl fmt::Debug for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    /// Puts a server behind a service. It asks `clock` for the time of each request.
    pub fn new(server: ApiServer, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self {
            server: Arc::new(Mutex::new(server)),
            script: Arc::default(),
            clock: Arc::new(clock),
        }
    }

    /// The server, for a look or a hand.
    pub fn server(&self) -> MutexGuard<'_, ApiServer> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The script of faults.
    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self, request: Request<Bytes>) -> Result<Response<Bytes>, Lost> {
        let fate = self.script().strike(request.method(), request.uri().path());
        let answered = match fate {
            Fate::Answered | Fate::LostAfter | Fate::StalledAfter => {
                let now = (self.clock)();
                Some(self.server().handle(&request, now))
            }
            Fate::Refused(code) => Some(Refusal::of_code(code).response()),
            Fate::LostBefore | Fate::StalledBefore => None,
        };
        match (fate, answered) {
            (Fate::StalledBefore | Fate::StalledAfter, _) => futures::future::pending().await,
            (Fate::Answered | Fate::Refused(_), Some(response)) => Ok(response),
            (Fate::Answered | Fate::Refused(_) | Fate::LostBefore | Fate::LostAfter, _) => {
                Err(Lost)
            }
        }
    }
}

impl<B> tower_service::Service<Request<B>> for Service
where
    B: http_body_util::BodyExt<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    type Response = Response<BoxBody<Bytes, Infallible>>;
    type Error = Lost;
    type Future = BoxFuture<'static, Result<Self::Response, Lost>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
            let request = Request::from_parts(parts, body);
            let watched = service.server().watch(&request);
            let response = service.answer(request).await?;
            Ok(match watched.filter(|_| response.status().is_success()) {
                Some(events) => {
                    response.map(|_| BodyExt::boxed(StreamBody::new(events.map(frame))))
                }
                None => response.map(|body| Full::new(body).boxed()),
            })
        })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what a body consists of")]
fn frame(line: Bytes) -> Result<Frame<Bytes>, Infallible> {
    Ok(Frame::data(line))
}
