//! What the platform answers, and how the answer travels.
//!
//! [`Reply`] is what an endpoint produces; [`Answer`] is what leaves the world.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

/// One answer of the platform and the way it travels.
#[derive(Clone)]
pub struct Answer {
    /// What the platform answered. With a delivery that loses it, no client ever sees this.
    pub response: Response<Bytes>,
    /// How the answer travels.
    pub delivery: Delivery,
    /// Whether a scripted fault had a hand in it.
    pub scripted: bool,
}

impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body may hold secrets.
        formatter
            .debug_struct("Answer")
            .field("status", &self.response.status())
            .field("delivery", &self.delivery)
            .field("scripted", &self.scripted)
            .finish_non_exhaustive()
    }
}

/// How an answer travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// At once and whole.
    Now,
    /// Whole, but late.
    After(Duration),
    /// The connection stays open and nothing comes.
    Stall,
    /// The connection closed after the request had taken effect, before any answer.
    DropAfterEffect,
    /// The connection closed before the request took effect.
    DropBeforeEffect,
    /// The connection was reset without an answer.
    Reset,
    /// The connection is reset after so many bytes of the body.
    ResetMidBody {
        /// Bytes that still arrive.
        after_bytes: usize,
    },
    /// The body ends in the middle: the announced length is not reached.
    Truncated {
        /// Bytes that still arrive.
        after_bytes: usize,
    },
    /// The body comes in drops.
    Trickle {
        /// Bytes per second.
        bytes_per_second: u32,
    },
    /// The body is followed by so much white space.
    Padded {
        /// Bytes of padding.
        bytes: u64,
    },
}

impl Delivery {
    /// Whether a patient client gets the whole answer in the end.
    pub const fn arrives(self) -> bool {
        matches!(self, Self::Now | Self::After(_) | Self::Trickle { .. } | Self::Padded { .. })
    }
}

/// What an endpoint has to say.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Body,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// The body of a reply.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Json(Value),
    Text(&'static str, String),
    Empty,
}

/// What an endpoint gives back: either way a reply; an error ends it early.
pub(crate) type Outcome = Result<Reply, Reply>;

impl Reply {
    pub(crate) const fn json(status: u16, body: Value) -> Self {
        Self { status, body: Body::Json(body), headers: Vec::new() }
    }

    pub(crate) const fn ok(body: Value) -> Self {
        Self::json(200, body)
    }

    pub(crate) const fn empty(status: u16) -> Self {
        Self { status, body: Body::Empty, headers: Vec::new() }
    }

    /// An error of the platform's usual shape.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        Self::json(status, json!({ "message": message }))
    }

    pub(crate) fn unauthorized() -> Self {
        Self::error(401, "Unauthorized")
    }

    pub(crate) fn forbidden() -> Self {
        Self::error(
            403,
            "Your account does not have the necessary privileges to access this endpoint. For more \
             details, refer to our documentation https://supabase.com/docs/guides/platform/access-control",
        )
    }

    /// For OAuth tokens, where no scope would do.
    pub(crate) fn not_for_oauth() -> Self {
        Self::error(401, "This endpoint does not support oauth access yet")
    }

    pub(crate) fn scopes_lost() -> Self {
        Self::error(406, "Failed to retrieve scopes")
    }

    pub(crate) fn project_not_found() -> Self {
        Self::error(404, "Project not found")
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The reply as an HTTP response.
    pub(crate) fn into_response(self) -> Response<Bytes> {
        let (content_type, body) = match self.body {
            Body::Json(value) => (
                Some("application/json; charset=utf-8"),
                Bytes::from(serde_json::to_vec(&value).unwrap_or_default()),
            ),
            Body::Text(content_type, text) => (Some(content_type), Bytes::from(text)),
            Body::Empty => (None, Bytes::new()),
        };
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(content_type) = content_type {
            set(response.headers_mut(), "content-type", content_type);
        }
        for (name, value) in self.headers {
            set(response.headers_mut(), name, &value);
        }
        response
    }
}

/// Sets a header, leaving out a value that HTTP cannot carry.
pub(crate) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
