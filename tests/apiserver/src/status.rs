//! Answers: objects, and `metav1.Status` for refusals.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

/// A refusal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    code: u16,
    reason: &'static str,
    message: String,
    cause: Option<&'static str>,
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), cause: None }
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(404, "NotFound", format!("{what} not found"))
    }

    pub(crate) fn already_exists(what: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{what} already exists"))
    }

    pub(crate) fn conflict(what: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {what}: {why}");
        Self::new(409, "Conflict", message)
    }

    pub(crate) fn invalid(what: &str, why: &str) -> Self {
        Self::new(422, "Invalid", format!("{what} is invalid: {why}"))
    }

    /// What the API server makes of etcd's refusal.
    pub(crate) fn too_large() -> Self {
        Self::new(500, "InternalError", "etcdserver: request is too large")
    }

    pub(crate) fn bad_request(why: &str) -> Self {
        Self::new(400, "BadRequest", why)
    }

    pub(crate) fn unsupported(code: u16, why: &str) -> Self {
        Self::new(code, "MethodNotAllowed", why)
    }

    pub(crate) fn terminating(what: &str, namespace: &str) -> Self {
        let message = format!(
            "{what} is forbidden: unable to create new content in namespace {namespace} because it is being terminated"
        );
        Self { cause: Some("NamespaceTerminating"), ..Self::new(403, "Forbidden", message) }
    }

    /// A refusal that a test asks for, by its status.
    pub(crate) fn of_code(code: u16) -> Self {
        let reason = match code {
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            409 => "Conflict",
            422 => "Invalid",
            429 => "TooManyRequests",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "",
        };
        Self::new(code, reason, "refused by the test")
    }

    pub(crate) fn response(&self) -> Response<Bytes> {
        let causes = self.cause.map(|cause| json!([{"reason": cause, "message": "x"}]));
        let body = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": {"causes": causes.unwrap_or_else(|| json!([]))},
            "code": self.code,
        });
        answer(self.code, &body)
    }
}

pub(crate) fn success() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})
}

pub(crate) fn answer(code: u16, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(serde_json::to_vec(body).unwrap_or_default()));
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
