//! Crashes at every effect, and again during the recovery, in every way in which tokens may rotate.
//!
//! At every instant a refresh token that the platform would take is stored, outside of the one window between a
//! token call and the storing of its answer. After any crash the connection is usable again or says that somebody
//! must authorize anew, after at most two token calls. No token that is recorded as consumed is ever sent.

use std::collections::BTreeMap;
use std::time::Duration;

use simulated_platform::TokenMode;

use super::MINUTE;
use crate::sim::{Living, Phase, Plan, Play, simulate};

const LIFETIME: Duration = Duration::from_secs(3600);
/// Long enough for two refreshes.
const BEFORE: Duration = Duration::from_secs(3000);
/// Long enough for every recovery, too short for a third refresh.
const RECOVERY: Duration = Duration::from_secs(900);

#[derive(Clone, Copy, Debug)]
enum Beginning {
    /// The seed has a refresh token only.
    Refresh,
    /// It has an access token too, and says when that ends.
    Pair,
    /// A second authorization replaces the seed half-way.
    Replaced,
}

fn plan((effect, phase): (usize, Phase)) -> Plan {
    Plan { effect, phase }
}

#[derive(Debug, Default)]
struct Tally {
    runs: usize,
    lost: usize,
    recovered: usize,
}

fn set(beginning: Beginning, mode: TokenMode) -> Play {
    let mut play = Play::with_tokens(mode, LIFETIME);
    // Secrets are looked at seldom: what is done between two effects is not what is tried here.
    play.driver.options.credentials_interval = Duration::from_secs(200);
    let pair = play.authorize();
    match beginning {
        Beginning::Refresh | Beginning::Replaced => play.seed("acme", &pair.refresh_token),
        Beginning::Pair => {
            let ends = play.now() + jiff::SignedDuration::from_secs(3600);
            play.secret(
                "acme-seed",
                &[
                    ("refresh_token", &pair.refresh_token),
                    ("access_token", &pair.access_token),
                    ("expires_at", &ends.to_string()),
                ],
            );
        }
    }
    play.oauth("acme");
    play
}

/// Lives through the story until a crash, if there is one, and starts the next process then.
async fn story(play: &Play, beginning: Beginning, mut process: Option<Living>) -> Option<Living> {
    if let Some(living) = process.take() {
        process = play.live(living, BEFORE / 2).await;
    }
    if let (Beginning::Replaced, Some(_)) = (beginning, &process) {
        let pair = play.authorize();
        play.seed("acme", &pair.refresh_token);
    }
    match process {
        Some(living) => play.live(living, BEFORE / 2).await,
        None => None,
    }
}

/// What must hold when everything has come to rest.
fn judge(play: &Play, calls_before: usize, case: &str, tally: &mut Tally) {
    tally.runs += 1;
    let ready = play.ready("acme");
    {
        let watched = play.tokens().seen();
        assert!(watched.violations.is_empty(), "{case}: {:?}", watched.violations);
        let mut times: BTreeMap<&String, usize> = BTreeMap::new();
        for token in &watched.sent {
            *times.entry(token).or_default() += 1;
        }
        let most = times.values().max().copied().unwrap_or_default();
        // Once, and once after each crash; where tokens do not rotate, there is but one.
        let rotates = play.world().config().token_mode != TokenMode::NoRotation;
        assert!(most <= 3 || !rotates, "{case}: a token was sent {most} times");
    }
    let calls = play.token_calls() - calls_before;
    let log = play.faults.names();
    assert!(calls <= 2, "{case}: {calls} token calls after a crash: {log:#?}");
    match ready.as_str() {
        "True/Authenticated" => tally.recovered += 1,
        "False/ReauthorizationRequired" => {
            let died = play.tokens().seen().died_in_window;
            assert!(died, "{case}: lost outside of the window: {log:#?}");
            tally.lost += 1;
        }
        other => panic!("{case}: {other}: {} {log:#?}", play.message("acme")),
    }
}

/// No token call is made any more by a connection that waits for a person.
async fn rests(play: &Play, process: Living, case: &str) {
    let calls = play.token_calls();
    let lost = play.ready("acme") != "True/Authenticated";
    let process = play.live(process, MINUTE * 10).await.unwrap();
    if lost {
        assert_eq!(play.token_calls(), calls, "{case}: goes on spending");
        // And a new seed brings it back.
        let pair = play.authorize();
        play.seed("acme", &pair.refresh_token);
        let process = play.live(process, MINUTE * 6).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated", "{case}: {}", play.message("acme"));
        process.die().await;
    } else {
        process.die().await;
    }
}

#[expect(clippy::print_stdout, reason = "how many runs there were is worth knowing")]
fn report(text: &str) {
    println!("{text}");
}

async fn crashes(mode: TokenMode, beginning: Beginning) -> Tally {
    let mut tally = Tally::default();
    // Without a crash: how many effects there are.
    let play = set(beginning, mode);
    let process = story(&play, beginning, Some(play.start())).await.unwrap();
    let effects = play.faults.count();
    assert!(effects >= 7, "{effects}");
    judge(&play, 0, "no crash", &mut tally);
    process.die().await;
    for first in (0..effects).flat_map(|at| [(at, Phase::Before), (at, Phase::During)]) {
        let mut second: Option<(usize, Phase)> = None;
        loop {
            let case = format!("{mode:?} {beginning:?} {first:?} {second:?}");
            let play = set(beginning, mode);
            play.faults.interrupt(Some(plan(first)));
            let process = play.start();
            if let Some(process) = story(&play, beginning, Some(process)).await {
                // Times are never the same twice, but effects are: the crash must have come.
                drop(process);
                panic!("{case}: no crash in {:#?}", play.faults.names());
            }
            let mut calls = play.token_calls();
            play.faults.interrupt(second.map(plan));
            let mut process = play.live(play.start(), RECOVERY).await;
            let crashed_again = process.is_none();
            if crashed_again {
                calls = play.token_calls();
                process = play.live(play.start(), RECOVERY).await;
            }
            judge(&play, calls, &case, &mut tally);
            play.faults.interrupt(None);
            rests(&play, process.unwrap(), &case).await;
            second = match second {
                None => Some((0, Phase::Before)),
                Some(_) if !crashed_again => break,
                Some((at, Phase::Before)) => Some((at, Phase::During)),
                Some((at, Phase::During | Phase::After)) => Some((at + 1, Phase::Before)),
            };
        }
    }
    report(&format!("{mode:?}, {beginning:?}: {tally:?}"));
    tally
}

async fn all(mode: TokenMode) -> Tally {
    let mut sum = Tally::default();
    for beginning in [Beginning::Refresh, Beginning::Pair, Beginning::Replaced] {
        let tally = crashes(mode, beginning).await;
        sum.runs += tally.runs;
        sum.lost += tally.lost;
        sum.recovered += tally.recovered;
    }
    assert!(sum.runs > 100, "{sum:?}");
    sum
}

#[test]
fn with_strict_tokens_nothing_is_lost_outside_of_the_window() {
    simulate(async || {
        let tally = all(TokenMode::Strict).await;
        assert!(tally.lost > 0, "the window was never hit: {tally:?}");
    });
}

#[test]
fn with_a_grace_nothing_is_lost_at_all() {
    simulate(async || {
        let tally = all(TokenMode::Grace(MINUTE * 5)).await;
        assert_eq!(tally.lost, 0);
    });
}

#[test]
fn where_a_replay_revokes_everything_nothing_is_lost_outside_of_the_window() {
    simulate(async || {
        let tally = all(TokenMode::FamilyRevocation).await;
        assert!(tally.lost > 0, "the window was never hit: {tally:?}");
    });
}

#[test]
fn without_rotation_nothing_is_lost_at_all() {
    simulate(async || {
        let tally = all(TokenMode::NoRotation).await;
        assert_eq!(tally.lost, 0);
    });
}
