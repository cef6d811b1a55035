//! How connections live: what users see, and what is called and written for it.

use std::time::Duration;

use serde_json::json;
use simulated_platform::{Fault, FaultKind, Pat, TokenMode};

use super::stage::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_personal_token_is_accepted_and_the_connection_says_so() {
    let stage = Stage::with_tokens(TokenMode::Strict, HOUR);
    let token = stage.world().add_pat(Pat::classic());
    stage.secret("pat", &[("token", &format!(" {token}\n"))]);
    stage.connection(
        "acme",
        &json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}}),
    );
    let process = stage.start();
    let process = stage.live(process, MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    assert_eq!(
        process.session("acme").organizations()[0].slug.as_str(),
        "acme"
    );
}

#[tokio::test(start_paused = true)]
async fn a_seed_becomes_a_pair_that_is_renewed_in_time() {
    let stage = Stage::with_tokens(TokenMode::Strict, HOUR);
    stage.seed("acme", &stage.authorize().refresh_token);
    stage.oauth("acme");
    let process = stage.start();
    let process = stage.live(process, MINUTE).await.unwrap();
    assert_eq!(
        stage.ready("acme"),
        "True/Authenticated",
        "{}",
        stage.message("acme")
    );
    assert_eq!(stage.token_calls(), 1);
    let _process = stage.live(process, 3 * HOUR).await.unwrap();
    assert_eq!(
        stage.ready("acme"),
        "True/Authenticated",
        "{}",
        stage.message("acme")
    );
    let calls = stage.token_calls();
    assert!((5..=6).contains(&calls), "{calls}");
    assert!(
        stage.watched().violations.is_empty(),
        "{:?}",
        stage.watched().violations
    );
    println!("{:#?}", stage.effects().log);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_settled_by_its_first_probe_even_if_the_platform_is_down() {
    let stage = Stage::with_tokens(TokenMode::Strict, HOUR);
    let token = stage.world().add_pat(Pat::classic());
    stage.secret("pat", &[("token", &token)]);
    stage.connection(
        "acme",
        &json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}}),
    );
    let down = Fault::on(
        "GET",
        "/v1/organizations",
        FaultKind::Status(503, "{}".to_owned()),
    );
    stage.world().script(down.times(1000));
    let process = stage.start();
    let sessions = process.sessions.clone();
    assert!(!sessions.is_settled(&id("acme")), "nothing is known yet");
    assert!(
        sessions.settled(&id("acme"), Duration::from_secs(10)).await,
        "the probe has failed, and that is known"
    );
    assert!(sessions.is_settled(&id("acme")));
    assert!(
        sessions.is_settled(&id("unheard-of")),
        "there is nothing to wait for"
    );
    let process = stage.live(process, Duration::from_secs(2)).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/PlatformUnavailable");
    stage.world().clear_script();
    let _process = stage.live(process, 10 * MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_comes_while_the_claim_is_being_renewed_is_made_soon_after() {
    let stage = Stage::with_tokens(TokenMode::Strict, HOUR);
    let token = stage.world().add_pat(Pat::classic());
    stage.secret("pat", &[("token", &token)]);
    let process = stage.start();
    process.leadership.claim_until(Duration::ZERO);
    stage.connection(
        "acme",
        &json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}}),
    );
    process.nudge();
    let process = stage.live(process, Duration::from_secs(1)).await.unwrap();
    assert_eq!(
        stage.ready("acme"),
        "nothing",
        "nothing is done without the claim"
    );
    process.leadership.claim_until(24 * HOUR);
    let _process = stage.live(process, Duration::from_secs(10)).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
}
