//! What a refusal says about a credential, and what it does not: a right that one call lacks, scopes that are lost.

use std::time::Duration;

use serde_json::json;
use simulated_platform::{Config, Pat, Permissions, TokenMode};

use super::stage::*;
use crate::management::{Error, READS_SECRET_KEYS, api_keys, organizations, shown_api_keys};
use crate::session::Ability;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn that_secret_keys_are_forbidden_says_nothing_about_the_list_of_keys() {
    let stage = Stage::new(Config::instant());
    let blind = Permissions { write: true, without: [READS_SECRET_KEYS.to_owned()].into() };
    let token = stage.world().add_pat(Pat::for_organizations(&["acme"], blind));
    let now = stage.now();
    let reference = stage.world().add_foreign_project("acme", "orders", now);
    let reference = reference.parse().unwrap();
    stage.secret("pat", &[("token", &token)]);
    let auth = json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
    stage.connection("acme", &auth);
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    let session = process.session("acme");

    let refused = session.send("team", &api_keys(&reference)).await;
    assert!(matches!(refused, Err(Error::Forbidden { .. })), "{refused:?}");
    assert_eq!(session.capabilities().get(Ability::ReadKeys), None);
    let shown = session.send("team", &shown_api_keys(&reference)).await;
    let keys = shown.unwrap().value;
    // Masked values are none.
    let clear = keys.iter().filter(|key| key.value.is_some()).count();
    assert_eq!((keys.len(), clear), (4, 3), "{keys:?}");
    assert_eq!(session.capabilities().get(Ability::ReadKeys), Some(true));
    // It was a right that was missing, not a token.
    let _process = stage.live(process, MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
}

#[tokio::test(start_paused = true)]
async fn lost_scopes_are_told_as_soon_as_any_call_meets_them() {
    let stage = Stage::with_tokens(TokenMode::Strict, HOUR);
    stage.seed("acme", &stage.authorize().refresh_token);
    stage.oauth("acme");
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    let (session, refreshed) = (process.session("acme"), stage.token_calls());
    let app = stage.app.clone();
    stage.world().lose_scopes(&app, "acme", true);

    let refused = session.send("team", &organizations()).await.unwrap_err();
    assert!(refused.is_scopes_lost(), "{refused}");
    let process = stage.live(process, SECOND * 10).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/ReauthorizationRequired");
    assert!(stage.message("acme").contains("scopes"), "{}", stage.message("acme"));
    // Another token of the authorization would have no scopes either.
    assert_eq!(stage.token_calls(), refreshed);

    stage.world().lose_scopes(&app, "acme", false);
    let _process = stage.live(process, HOUR / 4).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
}
