//! Connections: what users see, what is called and written for it, and what becomes of tokens.

mod consents;
mod crashes;
mod inventories;
mod inventory;
mod leaving;
mod life;
mod recovery;
mod refresh;
mod refusals;
mod seeds;
mod sending;
mod strangers;

use std::time::Duration;

use serde_json::{Value, json};
use simulated_platform::{Pat, TokenMode};

use crate::sim::{Living, Play};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A platform of strict tokens that live for an hour.
fn play() -> Play {
    Play::with_tokens(TokenMode::Strict, HOUR)
}

/// How a connection names the token in the Secret `pat`.
fn pat() -> Value {
    json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}})
}

/// A connection with a personal token that works, and its process.
async fn with_pat() -> (Play, String, Living) {
    let play = play();
    let token = play.world().add_pat(Pat::classic());
    play.secret("pat", &[("token", &token)]);
    play.connection("acme", &pat());
    let process = play.live(play.start(), MINUTE).await.unwrap();
    assert_eq!(play.ready("acme"), "True/Authenticated");
    (play, token, process)
}

/// A connection with OAuth that works, and its process.
async fn with_oauth() -> (Play, Living) {
    let play = play();
    play.seed("acme", &play.authorize().refresh_token);
    play.oauth("acme");
    let process = play.live(play.start(), MINUTE).await.unwrap();
    assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
    (play, process)
}
