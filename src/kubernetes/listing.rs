//! Lists, page by page: every object of an API, each as lean as the caller needs it.

use bytes::Bytes;
use kube::Api;
use kube::api::ListParams;
use kube::core::Request;
use serde::Deserialize;

use super::lean::{Bare, Lean, Text};
use super::transport::{self, Answer};
use super::{Error, Stored};

/// Objects of the first page, and at most.
const PAGE: u32 = 100;
const PAGE_MOST: u32 = 500;
/// An answer that is larger is asked for in smaller pages.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// From here on pages may grow.
const SMALL_BYTES: usize = 1024 * 1024;

/// What is asked for of each object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The whole object, status included.
    Whole,
    /// A `PartialObjectMetadata`: neither spec nor status.
    Metadata,
}

/// Calls `each` for every object, and gives the version of the list.
///
/// # Errors
/// The first one; what was passed to `each` until then is incomplete.
pub async fn list<K: Stored, L: Lean>(
    api: &Api<K>,
    shape: Shape,
    mut each: impl FnMut(L) + Send,
) -> Result<String, Error> {
    let (mut limit, mut token) = (PAGE, None::<String>);
    loop {
        let mut parameters = ListParams::default().limit(limit);
        if let Some(token) = &token {
            parameters = parameters.continue_token(token);
        }
        // One object alone may be as large as objects get.
        let most = if limit == 1 { transport::LARGEST } else { PAGE_BYTES };
        let body = match page(api, shape, &parameters, most).await? {
            Answer::Whole(body) => body,
            Answer::TooLong if limit == 1 => return Err(Error::broken()),
            Answer::TooLong => {
                limit = (limit / 2).max(1);
                continue;
            }
        };
        let size = body.len();
        let Page { metadata, items } = decoded::<L>(&body)?;
        drop(body);
        items.into_iter().flatten().for_each(&mut each);
        match metadata.r#continue.0.filter(|token| !token.is_empty()) {
            Some(more) => token = Some(more),
            None => return Ok(metadata.resource_version.0.unwrap_or_default()),
        }
        if size < SMALL_BYTES {
            limit = (limit * 2).min(PAGE_MOST);
        }
    }
}

/// The version that a list has now, for a watch of what comes after it. Also shows whether the API server serves the kind,
/// and lets us list it here.
pub async fn current_version<K: Stored>(api: &Api<K>) -> Result<String, Error> {
    let parameters = ListParams::default().limit(1);
    let answer = page(api, Shape::Metadata, &parameters, transport::LARGEST).await;
    // A list of none is no error, so this is about the kind, whatever the answer looks like.
    let answer =
        answer.map_err(|error| if error.is_unknown_kind() { Error::NotFound } else { error });
    match answer? {
        Answer::Whole(body) => {
            let Page { metadata, .. } = decoded::<Bare>(&body)?;
            Ok(metadata.resource_version.0.unwrap_or_default())
        }
        Answer::TooLong => Err(Error::broken()),
    }
}

async fn page<K: Stored>(
    api: &Api<K>,
    shape: Shape,
    parameters: &ListParams,
    most: usize,
) -> Result<Answer, Error> {
    let builder = Request::new(api.resource_url());
    let request = match shape {
        Shape::Whole => builder.list(parameters),
        Shape::Metadata => builder.list_metadata(parameters),
    };
    let request = transport::built(request)?;
    transport::exchange(api.clone().into_client(), request, most).await
}

fn decoded<L: Lean>(body: &Bytes) -> Result<Page<L>, Error> {
    serde_json::from_slice(body).map_err(|_| Error::broken())
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "L: Lean"))]
struct Page<L> {
    metadata: PageMeta,
    /// Absent or null where there is none.
    #[serde(default)]
    items: Option<Vec<L>>,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct PageMeta {
    resource_version: Text,
    /// Tokens may be longer than any text that is kept.
    r#continue: Token,
}

#[derive(Default, Deserialize)]
#[serde(transparent)]
struct Token(Option<String>);
