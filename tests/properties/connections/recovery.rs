//! Lost answers, processes that are frozen, and leaders that follow one another.

use std::time::Duration;

use simulated_apiserver::{Fate, Fault as ApiFault};
use simulated_platform::{Fault, FaultKind, TokenMode};
use supabase_operator::management::organizations;

use super::{HOUR, MINUTE, SECOND};
use crate::sim::{Living, Phase, Plan, Play, SECRETS, simulate};

const MODES: [TokenMode; 4] = [
    TokenMode::Strict,
    TokenMode::Grace(Duration::from_secs(300)),
    TokenMode::FamilyRevocation,
    TokenMode::NoRotation,
];

async fn with_oauth(mode: TokenMode) -> (Play, Living) {
    let play = Play::with_tokens(mode, HOUR);
    play.seed("acme", &play.authorize().refresh_token);
    play.oauth("acme");
    let process = play.live(play.start(), MINUTE).await.unwrap();
    assert_eq!(play.ready("acme"), "True/Authenticated");
    assert_eq!(play.token_calls(), 1);
    (play, process)
}

fn on_token(kind: FaultKind) -> Fault {
    Fault::on("POST", "/v1/oauth/token", kind)
}

#[test]
fn a_request_that_never_arrived_costs_nothing() {
    simulate(async || {
        for mode in MODES {
            for kind in [
                FaultKind::DropBefore,
                FaultKind::Reset,
                FaultKind::Stall,
                FaultKind::Html(502),
                FaultKind::Status(503, "{}".to_owned()),
                FaultKind::Redirect(302, "https://elsewhere.example".to_owned()),
            ] {
                let (play, process) = with_oauth(mode).await;
                play.world().script(on_token(kind.clone()));
                let process = play.live(process, MINUTE * 50).await.unwrap();
                let case = format!("{mode:?} {kind:?}");
                assert_eq!(
                    play.ready("acme"),
                    "True/Authenticated",
                    "{case}: {}",
                    play.message("acme")
                );
                // The lost one, and the one that found out.
                assert_eq!(play.token_calls(), 3, "{case}");
                assert!(play.tokens().seen().violations.is_empty(), "{case}");
                process.die().await;
            }
        }
    });
}

#[test]
fn an_answer_that_was_lost_is_found_out_about_at_once() {
    simulate(async || {
        for mode in MODES {
            for kind in [
                FaultKind::DropAfter,
                FaultKind::Truncate(10),
                FaultKind::Garbage,
                FaultKind::Huge(1 << 30),
            ] {
                let (play, process) = with_oauth(mode).await;
                play.world().script(on_token(kind.clone()));
                let process = play.live(process, MINUTE * 50).await.unwrap();
                let case = format!("{mode:?} {kind:?}");
                let lost = matches!(mode, TokenMode::Strict | TokenMode::FamilyRevocation);
                let expected =
                    if lost { "False/ReauthorizationRequired" } else { "True/Authenticated" };
                assert_eq!(play.ready("acme"), expected, "{case}: {}", play.message("acme"));
                assert_eq!(play.token_calls(), 3, "{case}");
                let process = play.live(process, HOUR * 3).await.unwrap();
                if lost {
                    assert_eq!(play.token_calls(), 3, "{case}: no storm");
                }
                process.die().await;
            }
        }
    });
}

#[test]
fn a_late_answer_is_taken_as_long_as_it_comes_in_time() {
    simulate(async || {
        let (play, process) = with_oauth(TokenMode::Strict).await;
        play.world().script(on_token(FaultKind::Delay(SECOND * 25)));
        let session = process.session("acme");
        let _process = play.live(process, MINUTE * 50).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        assert_eq!(play.token_calls(), 2);
        assert!(session.send("team-a", &organizations()).await.is_ok());
    });
}

#[test]
fn a_platform_that_is_away_for_hours_loses_no_token() {
    simulate(async || {
        let (play, process) = with_oauth(TokenMode::FamilyRevocation).await;
        let away = Fault::on("*", "**", FaultKind::Html(503)).times(1_000_000);
        play.world().script(away);
        let process = play.live(process, HOUR * 6).await.unwrap();
        assert_eq!(play.ready("acme"), "False/PlatformUnavailable", "{}", play.message("acme"));
        let calls = play.token_calls();
        assert!(calls < 60, "{calls} in six hours");
        play.world().clear_script();
        let _process = play.live(process, MINUTE * 20).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
        assert!(play.tokens().seen().violations.is_empty());
    });
}

#[test]
fn where_the_secret_cannot_be_written_no_token_is_spent() {
    simulate(async || {
        let play = Play::with_tokens(TokenMode::Strict, HOUR);
        play.seed("acme", &play.authorize().refresh_token);
        play.oauth("acme");
        play.script().push(ApiFault::on("POST", "/team-a/secrets", Fate::Refused(503)).times(1000));
        let process = play.live(play.start(), MINUTE * 20).await.unwrap();
        assert_eq!(play.token_calls(), 0);
        assert_eq!(play.ready("acme"), "False/Retrying");
        assert!(play.message("acme").contains("acme-oauth-state"), "{}", play.message("acme"));
        *play.script() = simulated_apiserver::Script::default();
        let _process = play.live(process, MINUTE * 20).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
    });
}

#[test]
fn an_answer_is_stored_however_often_that_fails() {
    simulate(async || {
        for fate in [Fate::Refused(503), Fate::Refused(409), Fate::LostBefore, Fate::LostAfter] {
            let (play, process) = with_oauth(TokenMode::Strict).await;
            // The marker goes through; the answer does not, for a while.
            play.script().push(ApiFault::on("PUT", "acme-oauth-state", fate).skip(1).times(40));
            let process = play.live(process, MINUTE * 50).await.unwrap();
            assert_eq!(play.ready("acme"), "True/Authenticated", "{fate:?}");
            assert_eq!(play.token_calls(), 2, "{fate:?}");
            assert_eq!(play.script().pending(), usize::from(fate == Fate::LostAfter), "{fate:?}");
            process.die().await;
        }
    });
}

#[test]
fn a_state_secret_that_is_deleted_during_the_call_is_made_again() {
    simulate(async || {
        let (play, process) = with_oauth(TokenMode::Strict).await;
        play.world().script(on_token(FaultKind::Delay(SECOND * 20)));
        let path = format!("{SECRETS}/acme-oauth-state");
        let mut process = process;
        loop {
            process = play.live(process, SECOND).await.unwrap();
            if play.token_calls() == 2 {
                break;
            }
        }
        play.remove_by_force(&path);
        let process = play.live(process, MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
        let stored = play.secret_value("acme-oauth-state", "refresh_token").unwrap();
        assert!(play.world().acceptable_refresh_tokens().contains(&stored));
        let _process = play.live(process, HOUR).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
    });
}

#[test]
fn a_process_that_does_not_lead_spends_nothing() {
    simulate(async || {
        let (play, process) = with_oauth(TokenMode::Strict).await;
        process.leadership.claim_until(Duration::ZERO);
        let process = play.live(process, HOUR * 2).await.unwrap();
        assert_eq!(play.token_calls(), 1);
        process.leadership.claim_until(Duration::from_secs(1_000_000_000));
        let _process = play.live(process, MINUTE * 5).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
        assert_eq!(play.token_calls(), 2);
    });
}

#[test]
fn the_marker_of_another_process_is_left_alone_and_its_answer_is_used() {
    simulate(async || {
        let (play, old) = with_oauth(TokenMode::FamilyRevocation).await;
        // The old leader is cut off in the middle of a refresh; the answer takes its time.
        play.world().script(on_token(FaultKind::Delay(SECOND * 28)));
        let mut old = old;
        loop {
            old = play.live(old, SECOND).await.unwrap();
            if play.token_calls() == 2 {
                break;
            }
        }
        old.leadership.claim_until(Duration::ZERO);
        let new = play.live(play.start(), SECOND * 20).await.unwrap();
        assert_eq!(play.token_calls(), 2, "two at once would revoke everything");
        let new = play.live(new, MINUTE * 10).await.unwrap();
        old.die().await;
        assert_eq!(play.token_calls(), 2);
        assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
        let _new = play.live(new, HOUR * 3).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        assert!(
            play.tokens().seen().violations.is_empty(),
            "{:?}",
            play.tokens().seen().violations
        );
    });
}

#[test]
fn while_another_process_may_be_refreshing_the_old_token_is_used() {
    simulate(async || {
        let (play, process) = with_oauth(TokenMode::Strict).await;
        // Dies right after its marker.
        play.faults.interrupt(Some(Plan { effect: 1, phase: Phase::Before }));
        assert!(play.live(process, MINUTE * 50).await.is_none());
        assert_eq!(play.faults.names().iter().nth_back(1).unwrap(), "POST /v1/oauth/token");
        let process = play.live(play.start(), SECOND * 5).await.unwrap();
        let session = process.session("acme");
        let sent = session.send("team-a", &organizations()).await;
        assert!(sent.is_ok(), "{sent:?}");
        assert_eq!(play.token_calls(), 1);
        let process = play.live(process, SECOND * 50).await.unwrap();
        assert_eq!(play.token_calls(), 1, "not before its time is over");
        let _process = play.live(process, SECOND * 10).await.unwrap();
        assert_eq!(play.token_calls(), 2);
        assert_eq!(play.ready("acme"), "True/Authenticated");
    });
}

#[test]
fn the_lease_is_not_given_away_before_the_answer_is_stored() {
    simulate(async || {
        let (play, process) = with_oauth(TokenMode::Strict).await;
        play.world().script(on_token(FaultKind::Delay(SECOND * 20)));
        let mut process = process;
        loop {
            process = play.live(process, SECOND).await.unwrap();
            if play.token_calls() == 2 {
                break;
            }
        }
        // A shutdown: nothing new begins, and what is under way is waited for.
        let leadership = process.leadership.clone();
        let released = tokio::time::timeout(SECOND * 5, leadership.all_released()).await;
        assert!(released.is_err(), "given away in the middle of a refresh");
        leadership.all_released().await;
        let stored = play.secret_value("acme-oauth-state", "refresh_token").unwrap();
        assert!(play.world().acceptable_refresh_tokens().contains(&stored));
        process.die().await;
    });
}

#[test]
fn nobody_uses_a_new_token_before_it_is_stored() {
    simulate(async || {
        let (play, process) = with_oauth(TokenMode::Strict).await;
        let failing = ApiFault::on("PUT", "acme-oauth-state", Fate::Refused(503));
        play.script().push(failing.skip(1).times(20));
        let mut process = process;
        while play.token_calls() < 2 {
            process = play.live(process, SECOND).await.unwrap();
        }
        let session = process.session("acme");
        let before = play.secret_value("acme-oauth-state", "access_token");
        let seen = play.world().ledger().seen().len();
        let organizations = organizations();
        let early = tokio::time::timeout(SECOND * 5, session.send("team-a", &organizations)).await;
        assert!(early.is_err(), "{early:?}");
        assert_eq!(play.secret_value("acme-oauth-state", "access_token"), before);
        assert_eq!(play.world().ledger().seen().len(), seen);
        assert!(session.send("team-a", &organizations).await.is_ok());
        assert_ne!(play.secret_value("acme-oauth-state", "access_token"), before);
        process.die().await;
    });
}
