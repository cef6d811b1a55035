//! Lost answers, processes that are frozen, and leaders that follow one another.

use std::time::Duration;

use simulated_apiserver::{Fate, Fault as ApiFault};
use simulated_platform::{Fault, FaultKind, TokenMode};

use super::stage::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

const MODES: [TokenMode; 4] = [
    TokenMode::Strict,
    TokenMode::Grace(Duration::from_secs(300)),
    TokenMode::FamilyRevocation,
    TokenMode::NoRotation,
];

async fn with_oauth(mode: TokenMode) -> (Stage, Process) {
    let stage = Stage::with_tokens(mode, HOUR);
    stage.seed("acme", &stage.authorize().refresh_token);
    stage.oauth("acme");
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    assert_eq!(stage.token_calls(), 1);
    (stage, process)
}

fn on_token(kind: FaultKind) -> Fault {
    Fault::on("POST", "/v1/oauth/token", kind)
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_arrived_costs_nothing() {
    for mode in MODES {
        for kind in [
            FaultKind::DropBefore,
            FaultKind::Reset,
            FaultKind::Stall,
            FaultKind::Html(502),
            FaultKind::Status(503, "{}".to_owned()),
            FaultKind::Redirect(302, "https://elsewhere.example".to_owned()),
        ] {
            let (stage, process) = with_oauth(mode).await;
            stage.world().script(on_token(kind.clone()));
            let process = stage.live(process, MINUTE * 50).await.unwrap();
            let case = format!("{mode:?} {kind:?}");
            assert_eq!(
                stage.ready("acme"),
                "True/Authenticated",
                "{case}: {}",
                stage.message("acme")
            );
            // The lost one, and the one that found out.
            assert_eq!(stage.token_calls(), 3, "{case}");
            assert!(stage.watched().violations.is_empty(), "{case}");
            process.die().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_is_found_out_about_at_once() {
    for mode in MODES {
        for kind in [
            FaultKind::DropAfter,
            FaultKind::Truncate(10),
            FaultKind::Garbage,
            FaultKind::Huge(1 << 30),
        ] {
            let (stage, process) = with_oauth(mode).await;
            stage.world().script(on_token(kind.clone()));
            let process = stage.live(process, MINUTE * 50).await.unwrap();
            let case = format!("{mode:?} {kind:?}");
            let lost = matches!(mode, TokenMode::Strict | TokenMode::FamilyRevocation);
            let expected =
                if lost { "False/ReauthorizationRequired" } else { "True/Authenticated" };
            assert_eq!(stage.ready("acme"), expected, "{case}: {}", stage.message("acme"));
            assert_eq!(stage.token_calls(), 3, "{case}");
            let process = stage.live(process, HOUR * 3).await.unwrap();
            if lost {
                assert_eq!(stage.token_calls(), 3, "{case}: no storm");
            }
            process.die().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_taken_as_long_as_it_comes_in_time() {
    let (stage, process) = with_oauth(TokenMode::Strict).await;
    stage.world().script(on_token(FaultKind::Delay(SECOND * 25)));
    let session = process.session("acme");
    let _process = stage.live(process, MINUTE * 50).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    assert_eq!(stage.token_calls(), 2);
    assert!(session.send("team", &crate::management::organizations()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_away_for_hours_loses_no_token() {
    let (stage, process) = with_oauth(TokenMode::FamilyRevocation).await;
    let away = Fault::on("*", "**", FaultKind::Html(503)).times(1_000_000);
    stage.world().script(away);
    let process = stage.live(process, HOUR * 6).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/PlatformUnavailable", "{}", stage.message("acme"));
    let calls = stage.token_calls();
    assert!(calls < 60, "{calls} in six hours");
    stage.world().clear_script();
    let _process = stage.live(process, MINUTE * 20).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated", "{}", stage.message("acme"));
    assert!(stage.watched().violations.is_empty());
}

#[tokio::test(start_paused = true)]
async fn where_the_secret_cannot_be_written_no_token_is_spent() {
    let stage = Stage::with_tokens(TokenMode::Strict, HOUR);
    stage.seed("acme", &stage.authorize().refresh_token);
    stage.oauth("acme");
    stage.api.script().push(ApiFault::on("POST", "/secrets", Fate::Refused(503)).times(1000));
    let process = stage.live(stage.start(), MINUTE * 20).await.unwrap();
    assert_eq!(stage.token_calls(), 0);
    assert_eq!(stage.ready("acme"), "False/Retrying");
    assert!(stage.message("acme").contains("acme-oauth-state"), "{}", stage.message("acme"));
    *stage.api.script() = simulated_apiserver::Script::default();
    let _process = stage.live(process, MINUTE * 20).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_stored_however_often_that_fails() {
    for fate in [Fate::Refused(503), Fate::Refused(409), Fate::LostBefore, Fate::LostAfter] {
        let (stage, process) = with_oauth(TokenMode::Strict).await;
        // The marker goes through; the answer does not, for a while.
        stage.api.script().push(ApiFault::on("PUT", "acme-oauth-state", fate).skip(1).times(40));
        let process = stage.live(process, MINUTE * 50).await.unwrap();
        assert_eq!(stage.ready("acme"), "True/Authenticated", "{fate:?}");
        assert_eq!(stage.token_calls(), 2, "{fate:?}");
        assert_eq!(stage.api.script().pending(), usize::from(fate == Fate::LostAfter), "{fate:?}");
        process.die().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_secret_that_is_deleted_during_the_call_is_made_again() {
    let (stage, process) = with_oauth(TokenMode::Strict).await;
    stage.world().script(on_token(FaultKind::Delay(SECOND * 20)));
    let path = format!("{SECRETS}/acme-oauth-state");
    let mut process = process;
    loop {
        process = stage.live(process, SECOND).await.unwrap();
        if stage.token_calls() == 2 {
            break;
        }
    }
    stage.remove_by_force(&path);
    let process = stage.live(process, MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated", "{}", stage.message("acme"));
    let stored = stage.stored("acme-oauth-state", "refresh_token").unwrap();
    assert!(stage.world().acceptable_refresh_tokens().contains(&stored));
    let _process = stage.live(process, HOUR).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_does_not_lead_spends_nothing() {
    let (stage, process) = with_oauth(TokenMode::Strict).await;
    process.leadership.claim_until(Duration::ZERO);
    let process = stage.live(process, HOUR * 2).await.unwrap();
    assert_eq!(stage.token_calls(), 1);
    process.leadership.claim_until(Duration::from_secs(1_000_000_000));
    let _process = stage.live(process, MINUTE * 5).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated", "{}", stage.message("acme"));
    assert_eq!(stage.token_calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_marker_of_another_process_is_left_alone_and_its_answer_is_used() {
    let (stage, old) = with_oauth(TokenMode::FamilyRevocation).await;
    // The old leader is cut off in the middle of a refresh; the answer takes its time.
    stage.world().script(on_token(FaultKind::Delay(SECOND * 28)));
    let mut old = old;
    loop {
        old = stage.live(old, SECOND).await.unwrap();
        if stage.token_calls() == 2 {
            break;
        }
    }
    old.leadership.claim_until(Duration::ZERO);
    let new = stage.live(stage.start(), SECOND * 20).await.unwrap();
    assert_eq!(stage.token_calls(), 2, "two at once would revoke everything");
    let new = stage.live(new, MINUTE * 10).await.unwrap();
    old.die().await;
    assert_eq!(stage.token_calls(), 2);
    assert_eq!(stage.ready("acme"), "True/Authenticated", "{}", stage.message("acme"));
    let _new = stage.live(new, HOUR * 3).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    assert!(stage.watched().violations.is_empty(), "{:?}", stage.watched().violations);
}

#[tokio::test(start_paused = true)]
async fn while_another_process_may_be_refreshing_the_old_token_is_used() {
    let (stage, process) = with_oauth(TokenMode::Strict).await;
    // Dies right after its marker.
    let next = stage.effects().log.len() + 1;
    stage.effects().plan = Some((next, Cut::Before));
    assert!(stage.live(process, MINUTE * 50).await.is_none());
    assert_eq!(stage.effects().log.last().map(String::as_str), Some("POST token"));
    let process = stage.live(stage.start(), SECOND * 5).await.unwrap();
    let session = process.session("acme");
    assert!(session.send("team", &crate::management::organizations()).await.is_ok());
    assert_eq!(stage.token_calls(), 1);
    let process = stage.live(process, SECOND * 50).await.unwrap();
    assert_eq!(stage.token_calls(), 1, "not before its time is over");
    let _process = stage.live(process, SECOND * 10).await.unwrap();
    assert_eq!(stage.token_calls(), 2);
    assert_eq!(stage.ready("acme"), "True/Authenticated");
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_not_given_away_before_the_answer_is_stored() {
    let (stage, process) = with_oauth(TokenMode::Strict).await;
    stage.world().script(on_token(FaultKind::Delay(SECOND * 20)));
    let mut process = process;
    loop {
        process = stage.live(process, SECOND).await.unwrap();
        if stage.token_calls() == 2 {
            break;
        }
    }
    // A shutdown: nothing new begins, and what is under way is waited for.
    let leadership = process.leadership.clone();
    let released = tokio::time::timeout(SECOND * 5, leadership.all_released()).await;
    assert!(released.is_err(), "given away in the middle of a refresh");
    leadership.all_released().await;
    let stored = stage.stored("acme-oauth-state", "refresh_token").unwrap();
    assert!(stage.world().acceptable_refresh_tokens().contains(&stored));
    process.die().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_uses_a_new_token_before_it_is_stored() {
    let (stage, process) = with_oauth(TokenMode::Strict).await;
    let failing = ApiFault::on("PUT", "acme-oauth-state", Fate::Refused(503));
    stage.api.script().push(failing.skip(1).times(20));
    let mut process = process;
    while stage.token_calls() < 2 {
        process = stage.live(process, SECOND).await.unwrap();
    }
    let session = process.session("acme");
    let before = stage.stored("acme-oauth-state", "access_token");
    let seen = stage.world().ledger().seen().len();
    let organizations = crate::management::organizations();
    let early = tokio::time::timeout(SECOND * 5, session.send("team", &organizations)).await;
    assert!(early.is_err(), "{early:?}");
    assert_eq!(stage.stored("acme-oauth-state", "access_token"), before);
    assert_eq!(stage.world().ledger().seen().len(), seen);
    assert!(session.send("team", &organizations).await.is_ok());
    assert_ne!(stage.stored("acme-oauth-state", "access_token"), before);
    process.die().await;
}
