//! Sends one call and reads its answer.
//!
//! Builds the request, so the only place where a token meets a header. No retry, no budget, no token store.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::base::BaseUrl;
use super::call::{Body, Call};
use super::classify::refusal;
use super::error::{Credential, Error};
use super::headers::{self, RateHeaders};
use super::transport::{Sent, Transport, TransportError, TransportKind};

/// The value of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// What was answered.
    pub value: T,
    /// The server's clock when it answered, to the second.
    pub date: Option<Timestamp>,
}

/// What came of one call.
#[derive(Clone, Debug)]
pub struct Exchange<T> {
    /// The answer, or what to do next.
    pub outcome: Result<Answer<T>, Error>,
    /// What the rate limiter said.
    pub rate: Option<RateHeaders>,
    /// The server's clock, also where it refused.
    pub date: Option<Timestamp>,
}

/// A client of one Management API.
#[derive(Clone, Debug)]
pub struct Client {
    base: BaseUrl,
    transport: Arc<dyn Transport>,
    user_agent: HeaderValue,
}

impl Client {
    /// A client of the API at `base`.
    pub fn new(base: BaseUrl, transport: Arc<dyn Transport>) -> Self {
        let user_agent =
            HeaderValue::from_static(concat!("supabase-operator/", env!("CARGO_PKG_VERSION")));
        Self { base, transport, user_agent }
    }

    /// Where the API is.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Sends a call once.
    pub async fn send<T>(&self, call: &Call<T>, token: Option<&SecretString>) -> Exchange<T> {
        let request = match self.request(call, token) {
            Ok(request) => request,
            Err(error) => {
                return Exchange { outcome: Err(error), rate: None, date: None };
            }
        };
        match self.transport.exchange(request, call.limits).await {
            Ok(response) => read(call, &response),
            Err(error) => Exchange { outcome: Err(broken(call, error)), rate: None, date: None },
        }
    }

    fn request<T>(
        &self,
        call: &Call<T>,
        token: Option<&SecretString>,
    ) -> Result<Request<Bytes>, Error> {
        let mut request = Request::builder()
            .method(call.endpoint.method())
            .uri(self.base.below(&call.path))
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(USER_AGENT, self.user_agent.clone());
        let authorization = match (&call.client, token) {
            (Some(client), _) => Some(basic(&client.client_id, &client.client_secret)?),
            (None, Some(token)) => Some(bearer(token)?),
            (None, None) => None,
        };
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let body = match &call.body {
            None => Bytes::new(),
            Some(Body::Json(bytes)) => {
                request =
                    request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Bytes::from_owner(bytes.clone())
            }
            Some(Body::Form(bytes)) => {
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                request = request.header(CONTENT_TYPE, form);
                Bytes::from_owner(bytes.clone())
            }
        };
        // Base, refs and slugs are checked where they are made, so this cannot fail; nothing is sent if it does.
        request.body(body).map_err(|_| Error::Unreachable { sent: Sent::No })
    }
}

fn bearer(token: &SecretString) -> Result<HeaderValue, Error> {
    let token = graphic(token.expose_secret(), Credential::Token)?;
    header("Bearer ", token, Credential::Token)
}

fn basic(client_id: &str, client_secret: &SecretString) -> Result<HeaderValue, Error> {
    let client_id = graphic(client_id, Credential::App)?;
    let client_secret = graphic(client_secret.expose_secret(), Credential::App)?;
    if client_id.contains(':') {
        return Err(Error::MalformedCredential(Credential::App));
    }
    let pair = Zeroizing::new(format!("{client_id}:{client_secret}"));
    header("Basic ", &Zeroizing::new(STANDARD.encode(pair.as_bytes())), Credential::App)
}

/// The credential without surrounding white space, which files and Secrets often add.
fn graphic(text: &str, credential: Credential) -> Result<&str, Error> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::MalformedCredential(credential));
    }
    Ok(text)
}

fn header(scheme: &str, text: &str, credential: Credential) -> Result<HeaderValue, Error> {
    let value = Zeroizing::new(format!("{scheme}{text}"));
    let mut value =
        HeaderValue::from_str(&value).map_err(|_| Error::MalformedCredential(credential))?;
    value.set_sensitive(true);
    Ok(value)
}

fn read<T>(call: &Call<T>, response: &Response<Bytes>) -> Exchange<T> {
    let (status, headers) = (response.status(), response.headers());
    let (rate, date) = (headers::rate(headers), headers::date(headers));
    let outcome = if status.is_success() {
        (call.decode)(&call.scope, response.body())
            .map(|value| Answer { value, date })
            .map_err(|_| Error::Undecodable { status: status.as_u16() })
    } else {
        Err(refusal(call.endpoint, status.as_u16(), headers, response.body()))
    };
    Exchange { outcome, rate, date }
}

fn broken<T>(call: &Call<T>, error: TransportError) -> Error {
    let TransportError { sent, kind } = error;
    match kind {
        TransportKind::Connect | TransportKind::Broken => Error::Unreachable { sent },
        TransportKind::Untrusted => Error::Unreachable { sent: Sent::Untrusted },
        TransportKind::TimedOut => Error::TimedOut { sent },
        TransportKind::TooLarge { status } => match StatusCode::from_u16(status) {
            Ok(code) if !code.is_success() => {
                refusal(call.endpoint, status, &http::HeaderMap::new(), b"")
            }
            Ok(_) | Err(_) => Error::Undecodable { status },
        },
    }
}
