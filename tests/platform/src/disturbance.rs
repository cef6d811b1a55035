//! What a fault makes of an answer.
//!
//! Pure functions on responses; separate from the script, which only decides whom a fault hits.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;

use crate::answer::{Body, Delivery, Reply, set};
use crate::faults::{FaultKind, merge};

impl FaultKind {
    /// The response and delivery that the client gets instead of `response`.
    pub(crate) fn disturb(
        self,
        response: Response<Bytes>,
        path: &str,
        wrong: &str,
    ) -> (Response<Bytes>, Delivery) {
        match self {
            Self::Status(status, body) => {
                (replaced(status, "application/json", body), Delivery::Now)
            }
            Self::Html(status) => (replaced(status, "text/html", page(status)), Delivery::Now),
            Self::RetryAfter(status, value) => {
                let reply = Reply::error(status, "ThrottlerException: Too Many Requests")
                    .with_header("retry-after", value);
                (reply.into_response(), Delivery::Now)
            }
            Self::Redirect(status, location) => (
                Reply::empty(status).with_header("location", location).into_response(),
                Delivery::Now,
            ),
            Self::Delay(delay) => (response, Delivery::After(delay)),
            Self::Stall => (response, Delivery::Stall),
            Self::DropBefore => (response, Delivery::DropBeforeEffect),
            Self::DropAfter => (response, Delivery::DropAfterEffect),
            Self::Reset => (response, Delivery::Reset),
            Self::ResetMidBody(after_bytes) => (response, Delivery::ResetMidBody { after_bytes }),
            Self::Truncate(after_bytes) => (response, Delivery::Truncated { after_bytes }),
            Self::Trickle(bytes_per_second) => (response, Delivery::Trickle { bytes_per_second }),
            Self::Huge(bytes) => (response, Delivery::Padded { bytes }),
            Self::Garbage => {
                let garbage = Bytes::from_static(b"{\"id\": \xff\xfe\x00 ]]");
                (response.map(|_| garbage), Delivery::Now)
            }
            Self::Body(body) => (response.map(|_| Bytes::from(body)), Delivery::Now),
            Self::Merge(change) => (response.map(|body| merged(&body, &change)), Delivery::Now),
            Self::WrongRef => (response.map(|body| misnamed(&body, path, wrong)), Delivery::Now),
        }
    }
}

fn replaced(status: u16, content_type: &'static str, body: String) -> Response<Bytes> {
    let reply = Reply { status, body: Body::Text(content_type, body), headers: Vec::new() };
    let mut response = reply.into_response();
    if content_type == "text/html" {
        set(response.headers_mut(), "server", "cloudflare");
    }
    response
}

fn page(status: u16) -> String {
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Web server is returning an unknown error");
    format!(
        "<!DOCTYPE html><html><head><title>{status}: {reason}</title></head><body><center><h1>{status} {reason}</h1></center><hr><center>cloudflare</center></body></html>"
    )
}

/// The answer with the patch merged in; into each element of a list.
fn merged(body: &Bytes, patch: &Value) -> Bytes {
    let mut value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    match &mut value {
        Value::Array(items) => items.iter_mut().for_each(|item| merge(item, patch)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            merge(&mut value, patch);
        }
    }
    Bytes::from(value.to_string())
}

/// The answer with the first ref in it replaced by another.
fn misnamed(body: &Bytes, path: &str, wrong: &str) -> Bytes {
    let text = String::from_utf8_lossy(body).into_owned();
    let in_path = path.split('/').find(|segment| is_ref(segment)).map(str::to_owned);
    let in_body = || {
        let value: Value = serde_json::from_slice(body).ok()?;
        let list = value.get("projects").unwrap_or(&value);
        let first = list.get(0).unwrap_or(list);
        first.get("ref").and_then(Value::as_str).map(str::to_owned)
    };
    match in_path.or_else(in_body) {
        Some(reference) => Bytes::from(text.replace(&reference, wrong)),
        None => body.clone(),
    }
}

fn is_ref(segment: &str) -> bool {
    segment.len() == 20 && segment.bytes().all(|byte| byte.is_ascii_lowercase())
}
