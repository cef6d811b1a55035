//! Crashes at every effect, and again during the recovery, in every way in which tokens may rotate.
//!
//! At every instant a refresh token that the platform would take is stored, outside of the one window between a
//! token call and the storing of its answer. After any crash the connection is usable again or says that somebody
//! must authorize anew, after at most two token calls. No token that is recorded as consumed is ever sent.

use std::collections::BTreeMap;
use std::time::Duration;

use simulated_platform::TokenMode;

use super::stage::*;
use crate::session::SessionOptions;

const MINUTE: Duration = Duration::from_secs(60);
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

#[derive(Debug, Default)]
struct Tally {
    runs: usize,
    lost: usize,
    recovered: usize,
}

fn set(beginning: Beginning, mode: TokenMode) -> Stage {
    let stage = Stage::with_tokens(mode, LIFETIME);
    let pair = stage.authorize();
    match beginning {
        Beginning::Refresh | Beginning::Replaced => stage.seed("acme", &pair.refresh_token),
        Beginning::Pair => {
            let ends = stage.now() + jiff::SignedDuration::from_secs(3600);
            stage.secret(
                "acme-seed",
                &[
                    ("refresh_token", &pair.refresh_token),
                    ("access_token", &pair.access_token),
                    ("expires_at", &ends.to_string()),
                ],
            );
        }
    }
    stage.oauth("acme");
    stage
}

/// A process that looks at Secrets seldom: what it does between two effects is not what is tried here.
fn start(stage: &Stage) -> Process {
    stage.start_with(SessionOptions {
        credentials_interval: Duration::from_secs(200),
        ..SessionOptions::default()
    })
}

/// Lives through the story until a crash, if there is one, and starts the next process then.
async fn story(
    stage: &Stage,
    beginning: Beginning,
    mut process: Option<Process>,
) -> Option<Process> {
    if let Some(living) = process.take() {
        process = stage.live(living, BEFORE / 2).await;
    }
    if let (Beginning::Replaced, Some(_)) = (beginning, &process) {
        let pair = stage.authorize();
        stage.seed("acme", &pair.refresh_token);
    }
    match process {
        Some(living) => stage.live(living, BEFORE / 2).await,
        None => None,
    }
}

/// What must hold when everything has come to rest.
fn judge(stage: &Stage, calls_before: usize, case: &str, tally: &mut Tally) {
    tally.runs += 1;
    let ready = stage.ready("acme");
    {
        let watched = stage.watched();
        assert!(watched.violations.is_empty(), "{case}: {:?}", watched.violations);
        let mut times: BTreeMap<&String, usize> = BTreeMap::new();
        for token in &watched.sent {
            *times.entry(token).or_default() += 1;
        }
        let most = times.values().max().copied().unwrap_or_default();
        // Once, and once after each crash; where tokens do not rotate, there is but one.
        let rotates = stage.world().config().token_mode != TokenMode::NoRotation;
        assert!(most <= 3 || !rotates, "{case}: a token was sent {most} times");
    }
    let calls = stage.token_calls() - calls_before;
    let log = stage.effects().log.clone();
    assert!(calls <= 2, "{case}: {calls} token calls after a crash: {log:#?}");
    match ready.as_str() {
        "True/Authenticated" => tally.recovered += 1,
        "False/ReauthorizationRequired" => {
            let died = stage.watched().died_in_window;
            assert!(died, "{case}: lost outside of the window: {log:#?}");
            tally.lost += 1;
        }
        other => panic!("{case}: {other}: {} {log:#?}", stage.message("acme")),
    }
}

/// No token call is made any more by a connection that waits for a person.
async fn rests(stage: &Stage, process: Process, case: &str) {
    let calls = stage.token_calls();
    let lost = stage.ready("acme") != "True/Authenticated";
    let process = stage.live(process, MINUTE * 10).await.unwrap();
    if lost {
        assert_eq!(stage.token_calls(), calls, "{case}: goes on spending");
        // And a new seed brings it back.
        let pair = stage.authorize();
        stage.seed("acme", &pair.refresh_token);
        let process = stage.live(process, MINUTE * 6).await.unwrap();
        assert_eq!(stage.ready("acme"), "True/Authenticated", "{case}: {}", stage.message("acme"));
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
    let stage = set(beginning, mode);
    let process = story(&stage, beginning, Some(start(&stage))).await.unwrap();
    let effects = stage.effects().log.len();
    assert!(effects >= 7, "{effects}");
    judge(&stage, 0, "no crash", &mut tally);
    process.die().await;
    for first in (0..effects).flat_map(|at| [(at, Cut::Before), (at, Cut::During)]) {
        let mut second: Option<(usize, Cut)> = None;
        loop {
            let case = format!("{mode:?} {beginning:?} {first:?} {second:?}");
            let stage = set(beginning, mode);
            stage.effects().plan = Some(first);
            let process = start(&stage);
            if let Some(process) = story(&stage, beginning, Some(process)).await {
                // Times are never the same twice, but effects are: the crash must have come.
                drop(process);
                panic!("{case}: no crash in {:#?}", stage.effects().log);
            }
            let before = stage.effects().log.len();
            let mut calls = stage.token_calls();
            stage.effects().plan = second.map(|(at, cut)| (before + at, cut));
            let mut process = stage.live(start(&stage), RECOVERY).await;
            let crashed_again = process.is_none();
            if crashed_again {
                calls = stage.token_calls();
                process = stage.live(start(&stage), RECOVERY).await;
            }
            judge(&stage, calls, &case, &mut tally);
            stage.effects().plan = None;
            rests(&stage, process.unwrap(), &case).await;
            second = match second {
                None => Some((0, Cut::Before)),
                Some(_) if !crashed_again => break,
                Some((at, Cut::Before)) => Some((at, Cut::During)),
                Some((at, Cut::During)) => Some((at + 1, Cut::Before)),
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

#[tokio::test(start_paused = true)]
async fn with_strict_tokens_nothing_is_lost_outside_of_the_window() {
    let tally = all(TokenMode::Strict).await;
    assert!(tally.lost > 0, "the window was never hit: {tally:?}");
}

#[tokio::test(start_paused = true)]
async fn with_a_grace_nothing_is_lost_at_all() {
    let tally = all(TokenMode::Grace(MINUTE * 5)).await;
    assert_eq!(tally.lost, 0);
}

#[tokio::test(start_paused = true)]
async fn where_a_replay_revokes_everything_nothing_is_lost_outside_of_the_window() {
    let tally = all(TokenMode::FamilyRevocation).await;
    assert!(tally.lost > 0, "the window was never hit: {tally:?}");
}

#[tokio::test(start_paused = true)]
async fn without_rotation_nothing_is_lost_at_all() {
    let tally = all(TokenMode::NoRotation).await;
    assert_eq!(tally.lost, 0);
}
