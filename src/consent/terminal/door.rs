//! Where the browser comes back to: one address of this machine, open for one flow.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use secrecy::SecretString;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use crate::consent::pages::{self, Message};
use crate::session::token_store::credential;

/// The address, and the visits with the right state. Only the first one is taken.
pub(super) fn door(state: String) -> (Router, mpsc::Receiver<Visit>) {
    let (calls, called) = mpsc::channel(1);
    let router =
        Router::new().route("/callback", get(callback)).with_state(Arc::new(Door { state, calls }));
    (router, called)
}

struct Door {
    state: String,
    calls: mpsc::Sender<Visit>,
}

/// A browser that came back with the right state.
pub(super) struct Visit {
    /// The code, or why there is none.
    pub(super) code: Result<SecretString, String>,
    /// Takes what the last page says.
    pub(super) answer: oneshot::Sender<Result<(), String>>,
}

#[derive(Deserialize)]
struct Returned {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
}

async fn callback(State(door): State<Arc<Door>>, Query(returned): Query<Returned>) -> Response {
    // Compared by digest of equal length, so that the time taken says nothing of the state.
    if Sha256::digest(&returned.state) != Sha256::digest(&door.state) {
        let sentences = [
            "This address does not belong to the authorization that the terminal is waiting for.",
            "Go back to the terminal and open the address that it shows.",
        ];
        return shown(StatusCode::BAD_REQUEST, "Not expected", &sentences);
    }
    let code = match (returned.code, returned.error) {
        (Some(code), None) => {
            credential(&code).ok_or_else(|| "Supabase sent no usable code; begin again".to_owned())
        }
        (_, Some(error)) if error == "access_denied" => {
            Err("consent was refused; begin again if that was not meant".to_owned())
        }
        (_, _) => Err("Supabase did not give consent; begin again".to_owned()),
    };
    let (answer, answered) = oneshot::channel();
    let told = if door.calls.try_send(Visit { code, answer }).is_ok() {
        answered.await.ok()
    } else {
        None
    };
    match told {
        Some(Ok(())) => {
            let sentences = ["You can close this window and go back to the terminal."];
            shown(StatusCode::OK, "Connected", &sentences)
        }
        Some(Err(problem)) => shown(
            StatusCode::BAD_REQUEST,
            "Not connected",
            &[&format!("{}.", pages::capitalized(&problem)), "The terminal says more."],
        ),
        None => shown(
            StatusCode::CONFLICT,
            "Used before",
            &["This authorization was used before. Look at the terminal."],
        ),
    }
}

fn shown(status: StatusCode, title: &str, sentences: &[&str]) -> Response {
    let message = Message { title, about: None, sentences, action: None };
    pages::answer(status, pages::message(&message))
}
