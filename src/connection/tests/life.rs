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

#[tokio::test(start_paused = true)]
async fn another_key_of_the_operator_makes_no_spent_token_fresh_again() {
    let stage = Stage::with_tokens(TokenMode::Strict, HOUR);
    stage.seed("acme", &stage.authorize().refresh_token);
    stage.oauth("acme");
    let process = stage.start();
    let process = stage.live(process, 3 * HOUR).await.unwrap();
    let calls = stage.token_calls();
    process.die().await;
    *stage.key.lock().unwrap() = 10;
    let process = stage.start();
    let process = stage.live(process, 3 * HOUR).await.unwrap();
    assert_eq!(
        stage.ready("acme"),
        "True/Authenticated",
        "{}",
        stage.message("acme")
    );
    assert!(stage.token_calls() > calls + 3, "the chain goes on");
    // Again, and a seed that is there before the tokens are used is still the old one.
    process.die().await;
    let process = stage.start();
    let process = stage.live(process, MINUTE).await.unwrap();
    // A new authorization is taken.
    let fresh = stage.authorize().refresh_token;
    stage.seed("acme", &fresh);
    process.nudge();
    let _process = stage.live(process, 2 * HOUR).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    let sent = stage.watched().sent.clone();
    assert!(sent.contains(&fresh));
    let once: std::collections::BTreeSet<_> = sent.iter().collect();
    assert_eq!(once.len(), sent.len(), "no token is sent twice");
}

#[tokio::test(start_paused = true)]
async fn another_key_of_the_operator_and_a_seed_that_is_missing_for_a_while_kill_no_chain() {
    let stage = Stage::with_tokens(TokenMode::Strict, HOUR);
    let seed = stage.authorize().refresh_token;
    stage.seed("acme", &seed);
    stage.oauth("acme");
    let process = stage.start();
    let process = stage.live(process, HOUR).await.unwrap();
    process.die().await;
    *stage.key.lock().unwrap() = 10;
    let seed_path = format!("{SECRETS}/acme-seed");
    assert!(stage.api.server().delete_by_hand(&seed_path));
    let process = stage.start();
    let process = stage.live(process, HOUR).await.unwrap();
    stage.seed("acme", &seed);
    process.nudge();
    let _process = stage.live(process, 3 * HOUR).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    let sent = stage.watched().sent.clone();
    assert_eq!(sent.iter().filter(|token| **token == seed).count(), 1);
}
