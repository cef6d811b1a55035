//! A watch: the changes of an API's objects since a version, one line each.
//!
//! The library's own watch decodes whole objects, and fails for all of them where one cannot be decoded. Here each line
//! is read for itself, as lean as the caller needs it, within bounds of length and of silence.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use http_body_util::BodyExt as _;
use kube::Api;
use kube::api::WatchParams;
use kube::client::Body;
use kube::core::{Request, Status};
use serde::Deserialize;

use super::lean::{Lean, Text};
use super::listing::Shape;
use super::transport;
use super::{Error, Stored};

/// How long the API server is asked to keep a watch open, in seconds.
const OPEN_FOR: u32 = 290;
/// Silence that is longer is a connection that broke unnoticed: bookmarks come about once a minute.
const SILENCE: Duration = Duration::from_secs(OPEN_FOR as u64 + 10);

/// What a watch tells.
#[derive(Debug)]
pub enum Event<L> {
    /// An object is there, new or changed.
    Applied(L),
    /// An object is gone; this is how it was last.
    Deleted(L),
    /// Nothing changed up to this version.
    Bookmark(L),
    /// The version is too old: everything must be listed anew.
    Expired,
}

/// An open watch.
pub struct Watch {
    body: Body,
    buffer: BytesMut,
    /// Up to where the buffer holds no end of a line.
    searched: usize,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    /// Opens a watch of what comes after a version.
    pub async fn open<K: Stored>(api: &Api<K>, shape: Shape, version: &str) -> Result<Self, Error> {
        let parameters = WatchParams::default().timeout(OPEN_FOR);
        let builder = Request::new(api.resource_url());
        let request = match shape {
            Shape::Whole => builder.watch(&parameters, version),
            Shape::Metadata => builder.watch_metadata(&parameters, version),
        };
        let mut request = transport::built(request)?;
        // Newer API servers compress each event for itself, which the client cannot read.
        request
            .headers_mut()
            .insert(http::header::ACCEPT_ENCODING, http::HeaderValue::from_static("identity"));
        let response = api.clone().into_client().send(request.map(Body::from)).await?;
        let code = response.status();
        if !code.is_success() {
            return Err(transport::refusal(code.as_u16(), response.into_body()).await);
        }
        Ok(Self { body: response.into_body(), buffer: BytesMut::new(), searched: 0 })
    }

    /// The next event; none when the watch has ended, as it does every few minutes.
    pub async fn next<L: Lean>(&mut self) -> Result<Option<Event<L>>, Error> {
        loop {
            if let Some(event) = self.line()? {
                return Ok(Some(event));
            }
            let frame = tokio::time::timeout(SILENCE, self.body.frame())
                .await
                .map_err(|_| Error::late())?;
            match frame {
                None => return Ok(None),
                Some(Err(_)) => return Err(Error::late()),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
            }
            if self.buffer.len() > transport::LARGEST {
                return Err(Error::broken());
            }
        }
    }

    /// The event of a whole line in the buffer, if there is one that tells something.
    fn line<L: Lean>(&mut self) -> Result<Option<Event<L>>, Error> {
        while let Some(length) = self
            .buffer
            .iter()
            .skip(self.searched)
            .position(|byte| *byte == b'\n')
            .map(|found| found + self.searched)
        {
            let line = self.buffer.split_to(length);
            self.buffer.advance(1);
            self.searched = 0;
            if let Some(event) = read(&line)? {
                return Ok(Some(event));
            }
        }
        self.searched = self.buffer.len();
        // A large object must not keep its room for ever.
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        Ok(None)
    }
}

fn read<L: Lean>(line: &[u8]) -> Result<Option<Event<L>>, Error> {
    #[derive(Deserialize)]
    struct Kind {
        r#type: Text,
    }
    #[derive(Deserialize)]
    struct Of<T> {
        object: T,
    }
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let Kind { r#type } = serde_json::from_slice(line).map_err(|_| Error::broken())?;
    let object =
        || serde_json::from_slice::<Of<L>>(line).map(|of| of.object).map_err(|_| Error::broken());
    match r#type.0.as_deref() {
        Some("ADDED" | "MODIFIED") => Ok(Some(Event::Applied(object()?))),
        Some("DELETED") => Ok(Some(Event::Deleted(object()?))),
        Some("BOOKMARK") => Ok(Some(Event::Bookmark(object()?))),
        Some("ERROR") => {
            let status =
                serde_json::from_slice::<Of<Status>>(line).map(|of| of.object).unwrap_or_default();
            // Gone, and its reason `Expired`.
            if status.code == 410 {
                return Ok(Some(Event::Expired));
            }
            Err(Error::from(status))
        }
        // A kind of event that is not known yet.
        _ => Ok(None),
    }
}
