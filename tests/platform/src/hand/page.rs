//! The hand over HTTP, for programs that are not in this process: settings and letters below `/dashboard/projects/`.
//!
//! No API of the real platform and no page for a browser: JSON in and out, without a token, on a loopback address.

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};

use super::settings::Refusal;
use crate::answer::Reply;
use crate::auth::{Letter, Message};
use crate::world::World;

/// What all of these addresses start with.
const PROJECTS: &str = "/dashboard/projects/";

impl World {
    /// `GET` or `POST /dashboard/projects/{ref}/settings/{setting}`; nothing for other addresses.
    pub(crate) fn settings_page(&mut self, request: &Request<Bytes>) -> Option<Reply> {
        let rest = request.uri().path().strip_prefix(PROJECTS)?;
        let (reference, setting) = rest.split_once("/settings/")?;
        let now = self.now;
        let outcome = match *request.method() {
            Method::GET => self.setting(reference, setting, now),
            Method::POST => match serde_json::from_slice::<Value>(request.body()) {
                Ok(body) => self.set_by_hand(reference, setting, &body, now),
                Err(_) => return Some(Reply::error(400, "The body must be JSON")),
            },
            _ => return Some(Reply::error(405, "Use GET or POST")),
        };
        Some(match outcome {
            Ok(value) => Reply::ok(value),
            Err(Refusal { status, message }) => Reply::error(status, &message),
        })
    }

    /// The letter that `POST /dashboard/projects/{ref}/mail` with `{"to", "message"}` asks for; nothing for other
    /// addresses.
    pub(crate) fn letter_asked_for(
        &self,
        request: &Request<Bytes>,
    ) -> Option<Result<Option<Letter>, Reply>> {
        let rest = request.uri().path().strip_prefix(PROJECTS)?;
        let reference = rest.strip_suffix("/mail").filter(|_| request.method() == Method::POST)?;
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let text = |key: &str| body.get(key).and_then(Value::as_str);
        let message = Message::named(text("message").unwrap_or("recovery"));
        Some(if let (Some(to), Some(message)) = (text("to"), message) {
            Ok(self.letter(reference, message, to))
        } else {
            {
                let help = "Send {\"to\": an address, \"message\": confirmation, email_change, invite, magic_link, \
                            reauthentication or recovery}";
                Err(Reply::error(400, help))
            }
        })
    }
}

/// How an outcome is told.
pub(crate) fn told(outcome: &crate::mail::Sent) -> Reply {
    Reply::ok(json!({ "outcome": outcome.to_string() }))
}
