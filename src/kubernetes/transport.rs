//! One request to the API server and its answer, within bounds of time and size.
//!
//! The client library logs an answer that it cannot decode, with all that is in it: so answers are taken here as
//! bytes, and decoded in [`super::decode`]. Nothing here logs.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use zeroize::Zeroizing;

use super::{Error, words};
use crate::slots;

/// How long a whole answer may take, its body included.
const WHOLE: Duration = Duration::from_secs(60);
/// The largest answer that is read: more than one object can have (etcd takes 1.5 MiB).
pub(super) const LARGEST: usize = 8 * 1024 * 1024;
/// The largest refusal that is read.
const LARGEST_REFUSAL: usize = 256 * 1024;

/// An answer that is no refusal.
pub(super) enum Answer {
    /// The bytes, up to the last one.
    Whole(Bytes),
    /// It has more bytes than were asked for.
    TooLong,
}

/// Sends a request and reads its answer of at most `most` bytes.
pub(super) async fn exchange(
    client: Client,
    request: Request<Vec<u8>>,
    most: usize,
) -> Result<Answer, Error> {
    // Kept for a refusal, whose words are compared with it.
    let sent = Zeroizing::new(request.body().clone());
    let answer = async {
        let response = client.send(request.map(Body::from)).await?;
        let code = response.status();
        if !code.is_success() {
            let status = status_of(code.as_u16(), response.into_body()).await;
            let words = words::of(&status, &sent);
            return Err(Error::from(status).saying(words));
        }
        match Limited::new(response.into_body(), most).collect().await {
            Ok(body) => Ok(Answer::Whole(body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Ok(Answer::TooLong),
            Err(_) => Err(Error::late()),
        }
    };
    // Boxed: whoever reads and writes a lot would otherwise carry a future of many kilobytes through every step.
    slots::waiting(Box::pin(tokio::time::timeout(WHOLE, answer)))
        .await
        .unwrap_or_else(|_| Err(Error::late()))
}

/// The answer to a request that is answered with one object at most.
pub(super) async fn one(client: Client, request: Request<Vec<u8>>) -> Result<Bytes, Error> {
    match exchange(client, request, LARGEST).await? {
        Answer::Whole(body) => Ok(body),
        Answer::TooLong => Err(Error::broken()),
    }
}

/// What a refusal means.
pub(super) async fn refusal(code: u16, body: Body) -> Error {
    Error::from(status_of(code, body).await)
}

async fn status_of(code: u16, body: Body) -> Status {
    let body = Limited::new(body, LARGEST_REFUSAL).collect().await;
    let said = body.ok().map(http_body_util::Collected::to_bytes);
    let status = said.and_then(|said| serde_json::from_slice::<Status>(&said).ok());
    let status = status.unwrap_or_default();
    Status { code, ..status }
}

/// What the builder of requests refuses cannot be asked.
pub(super) fn built(
    request: Result<Request<Vec<u8>>, kube::core::request::Error>,
) -> Result<Request<Vec<u8>>, Error> {
    request.map_err(|_| Error::Invalid)
}
