//! The rows of the table, one by one. What comes of them over time is played through in `tests/properties/connections/`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;

use super::*;
use crate::api::SupabaseConnection;
use crate::connection::facts::{Origin, Seed, Users};
use crate::management::{OAuthApp, Organization};
use crate::rules::digest::DigestKey;
use crate::session::Capabilities;
use crate::session::token_store::{App, CallEnd, Consumed, Failure, Marker, Memory, TokenState};

const UPTIME: Duration = Duration::from_secs(10_000);

/// The uptime so many seconds ago.
fn ago(seconds: u64) -> Duration {
    UPTIME.saturating_sub(Duration::from_secs(seconds))
}

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn at() -> At {
    At { now: now(), uptime: UPTIME }
}

fn minutes(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

fn key() -> DigestKey {
    DigestKey::from_bytes(&[3; 32]).unwrap()
}

fn access(text: &str) -> Token {
    Token::access(&key(), text.into())
}

fn refresh(text: &str) -> Token {
    Token::refresh(&key(), text.into())
}

fn app() -> App {
    App {
        app: OAuthApp { client_id: "id".to_owned(), client_secret: "secret".into() },
        digest: "app".to_owned(),
    }
}

fn organization(slug: &str) -> Organization {
    Organization { slug: slug.parse().unwrap(), name: slug.to_uppercase() }
}

fn works() -> Verdict {
    Verdict::Works { at: ago(100), organizations: Some(vec![organization("acme")]) }
}

const REJECTED: Verdict = Verdict::Rejected { worked: true, at: Duration::ZERO };

fn observed(credentials: Credentials) -> Observed {
    Observed {
        connect: "supabase-operator connect acme --namespace team".to_owned(),
        consent_url: None,
        grants: None,
        looked_for_grants: false,
        revokes: false,
        credentials,
        state: StateRead::Absent,
        state_name: "acme-oauth-state".to_owned(),
        of_another_key: false,
        marked: true,
        shared: false,
        memory: Memory::default(),
        capabilities: Capabilities::default(),
        replaced: false,
        was_ready: false,
        process: "us".to_owned(),
        users: None,
        interval: Duration::from_secs(30),
    }
}

fn oauth(seed: Option<(&str, &str)>) -> Observed {
    let seed = seed.map_or(Read::NotNamed, |(first, second)| {
        Read::There(Seed {
            origin: Origin::Secret,
            name: "seed".to_owned(),
            access: Some(first).filter(|text| !text.is_empty()).map(access),
            refresh: Some(second).filter(|text| !text.is_empty()).map(refresh),
            expires_at: None,
        })
    });
    observed(Credentials::OAuth { app: Read::There(app()), seed })
}

/// A pair in the middle of its life.
fn pair() -> TokenState {
    TokenState {
        access: Some(access("A")),
        refresh: Some(refresh("R")),
        expires_at: Some(minutes(60)),
        refresh_at: Some(minutes(10)),
        ..TokenState::default()
    }
}

fn with(mut observed: Observed, state: TokenState) -> Observed {
    observed.memory.saw_marker(state.marker.as_ref(), UPTIME);
    observed.state = StateRead::Ours(Box::new(state), Box::<Secret>::default());
    observed
}

fn judged(mut observed: Observed, token: &str, verdict: Verdict) -> Observed {
    observed.memory.judge(&access(token).digest, verdict);
    observed
}

fn marker(process: &str, token: &str) -> Marker {
    Marker { process: process.to_owned(), at: now(), token: refresh(token).digest }
}

fn consumed(token: &str, refused: bool) -> Consumed {
    Consumed {
        digest: refresh(token).digest,
        seed: true,
        refused: refused.then(|| "app".to_owned()),
    }
}

fn connection(spec: &str) -> SupabaseConnection {
    let spec: serde_json::Value = serde_json::from_str(spec).unwrap();
    serde_json::from_value(serde_json::json!({
        "apiVersion": "supabase-operator.dev/v1alpha1", "kind": "SupabaseConnection",
        "metadata": {"name": "acme", "namespace": "team", "uid": "u", "generation": 1}, "spec": spec,
    }))
    .unwrap()
}

fn planned(observed: &Observed) -> Plan {
    let object = connection(r#"{"auth": {"oauth": {}}}"#);
    plan(&OrganizationPolicy::of(&object), observed, at())
}

/// The step, and the reason of what is said.
/// Telling the session, whatever it is told.
fn install() -> Step {
    let problem = Problem::new(Reason::Retrying, "");
    Step::Install(Box::new(Report::waiting(problem)))
}

fn outcome(observed: &Observed) -> (Option<Step>, Reason) {
    let mut plan = planned(observed);
    if let Some(Step::Install(_)) = plan.step {
        plan.step = Some(install());
    }
    let reason = match plan.report.health {
        Health::Usable(_) => Reason::Authenticated,
        Health::Waiting(problem) | Health::Stalled(problem) => problem.reason,
    };
    (plan.step, reason)
}

fn step(observed: &Observed) -> Option<Step> {
    outcome(observed).0
}

/// A pair that works, and whose session has been told.
fn at_rest() -> Observed {
    let mut observed = judged(with(oauth(Some(("", "S"))), spent()), "A", works());
    observed.memory.applied = Some(Applied {
        kept: false,
        token: Some(access("A").digest),
        unusable: None,
        organizations: vec!["acme".to_owned()],
    });
    observed
}

/// The pair that the seed `S` was spent for.
fn spent() -> TokenState {
    TokenState { seed: Some(refresh("S").digest), consumed: vec![consumed("S", false)], ..pair() }
}

#[test]
fn at_rest_there_is_no_step_and_the_next_look_is_at_secrets() {
    let plan = planned(&at_rest());
    assert_eq!(plan.step, None);
    assert_eq!(plan.requeue, Requeue::After(Duration::from_secs(30)));
    assert_eq!(plan.report.in_use, Some(Source::State));
    assert_eq!(plan.report.remark, None);
    assert_eq!(plan.report.expires_at, Some(minutes(60)));
    assert!(!plan.release);
}

#[test]
fn what_is_found_out_is_told_to_the_session_once() {
    let mut observed = at_rest();
    observed.memory.applied = None;
    assert_eq!(step(&observed), Some(install()));
    observed = at_rest();
    observed = judged(
        observed,
        "A",
        Verdict::Works {
            at: UPTIME,
            organizations: Some(vec![organization("acme"), organization("other")]),
        },
    );
    assert_eq!(step(&observed), Some(install()), "another organization");
}

#[test]
fn a_due_pair_is_refreshed_and_looked_at_in_time() {
    let mut state = spent();
    state.refresh_at = Some(now() + SignedDuration::from_secs(7));
    let observed =
        Observed { memory: at_rest().memory, ..with(oauth(Some(("", "S"))), state.clone()) };
    assert_eq!(planned(&observed).requeue, Requeue::After(Duration::from_secs(7)));
    state.refresh_at = Some(minutes(0));
    assert_eq!(
        step(&judged(with(oauth(None), state), "A", works())),
        Some(Step::Refresh(Source::State))
    );
}

#[test]
fn an_untried_token_is_probed_first() {
    assert_eq!(step(&with(oauth(None), pair())), Some(Step::Probe(Source::State)));
    assert_eq!(step(&oauth(Some(("B", "")))), Some(Step::Probe(Source::Seed)));
    assert_eq!(step(&oauth(Some(("B", "S")))), Some(Step::Probe(Source::Seed)));
    let pat = observed(Credentials::Pat(Read::There((access("P"), false))));
    assert_eq!(step(&pat), Some(Step::Probe(Source::Pat)));
}

#[test]
fn a_dead_access_token_is_replaced() {
    let dead = judged(with(oauth(None), pair()), "A", REJECTED);
    assert_eq!(step(&dead), Some(Step::Refresh(Source::State)));
    let mut without = pair();
    without.access = None;
    assert_eq!(step(&with(oauth(None), without)), Some(Step::Refresh(Source::State)));
}

#[test]
fn a_seed_that_was_never_sent_is_spent_or_taken_over() {
    assert_eq!(step(&oauth(Some(("", "S")))), Some(Step::Refresh(Source::Seed)));
    let works_already = judged(oauth(Some(("B", "S"))), "B", works());
    assert_eq!(step(&works_already), Some(Step::Adopt));
    let dead = judged(oauth(Some(("B", "S"))), "B", REJECTED);
    assert_eq!(step(&dead), Some(Step::Refresh(Source::Seed)));
    // Also where a pair works: a new seed takes its place.
    let beside = judged(with(oauth(Some(("", "T"))), spent()), "A", works());
    assert_eq!(step(&beside), Some(Step::Refresh(Source::Seed)));
}

#[test]
fn a_seed_that_must_not_be_sent_is_not() {
    for (state, shared, reason) in [
        (spent(), false, Reason::ReauthorizationRequired),
        (
            TokenState { consumed: vec![consumed("S", true)], ..TokenState::default() },
            false,
            Reason::ReauthorizationRequired,
        ),
        (TokenState::default(), true, Reason::CredentialShared),
    ] {
        let mut state = state;
        state.refresh = None;
        let mut observed = judged(with(oauth(Some(("B", "S"))), state), "A", REJECTED);
        observed.shared = shared;
        assert_eq!(outcome(&observed), (Some(install()), reason));
        observed.memory.applied = Some(Applied {
            kept: false,
            token: None,
            unusable: Some(reason),
            organizations: Vec::new(),
        });
        assert_eq!(outcome(&observed), (None, reason), "and stop");
    }
}

#[test]
fn nobody_is_sent_to_authorize_for_an_app_that_is_not_there() {
    let missing = Problem::new(Reason::SecretInvalid, "no usable key client_id");
    let told = planned(&oauth(None)).report.health;
    let Health::Stalled(problem) = told else { panic!("{told:?}") };
    assert!(problem.message.contains("connect acme --namespace team"));
    for (app, reason) in
        [(Read::NotNamed, Reason::SecretNotFound), (Read::Bad(missing), Reason::SecretInvalid)]
    {
        let mut fresh = oauth(None);
        let mut dead = judged(with(oauth(None), spent()), "A", REJECTED);
        for observed in [&mut fresh, &mut dead] {
            observed.credentials = Credentials::OAuth { app: app.clone(), seed: Read::NotNamed };
            assert_eq!(outcome(observed), (Some(install()), reason));
        }
    }
}

#[test]
fn a_working_pair_is_kept_with_a_remark_about_a_seed_that_is_not() {
    let mut refused = spent();
    refused.consumed = vec![consumed("T", true)];
    let observed = judged(with(oauth(Some(("", "T"))), refused), "A", works());
    let remark = planned(&observed).report.remark.unwrap();
    assert_eq!(remark.reason, Reason::ReauthorizationRequired);
    let mut shared = judged(with(oauth(Some(("", "T"))), spent()), "A", works());
    shared.shared = true;
    assert_eq!(planned(&shared).report.remark.unwrap().reason, Reason::CredentialShared);
    let mut lone = pair();
    lone.refresh = None;
    let lone = judged(with(oauth(None), lone), "A", works());
    assert!(planned(&lone).report.remark.unwrap().message.contains("2026-06-01T13:00:00Z"));
}

#[test]
fn what_is_missing_is_said_where_nothing_works_and_remarked_where_something_does() {
    let missing = || Read::Bad(Problem::new(Reason::SecretNotFound, "the Secret app is missing"));
    let of = |app: Read<App>, state: Option<TokenState>, verdict: Verdict| {
        let mut observed = oauth(Some(("", "S")));
        let Credentials::OAuth { seed, .. } = observed.credentials else { unreachable!() };
        observed.credentials = Credentials::OAuth { app, seed };
        match state {
            None => observed,
            Some(state) => judged(with(observed, state), "A", verdict),
        }
    };
    assert_eq!(outcome(&of(missing(), None, works())).1, Reason::SecretNotFound);
    assert_eq!(outcome(&of(Read::NotNamed, None, works())).1, Reason::SecretNotFound);
    assert_eq!(outcome(&of(missing(), Some(spent()), REJECTED)).1, Reason::SecretNotFound);
    let due = TokenState { refresh_at: Some(minutes(0)), ..spent() };
    let plan = planned(&of(missing(), Some(due), works()));
    assert!(matches!(plan.report.health, Health::Usable(_)));
    assert_eq!(plan.report.remark.unwrap().reason, Reason::SecretNotFound);
}

#[test]
fn token_calls_are_a_minute_apart_and_wait_as_told() {
    let due = || {
        judged(
            with(oauth(None), TokenState { refresh_at: Some(minutes(0)), ..pair() }),
            "A",
            works(),
        )
    };
    let mut observed = due();
    observed.memory.refreshed = Some(ago(59));
    assert_ne!(step(&observed), Some(Step::Refresh(Source::State)));
    assert_eq!(planned(&observed).requeue, Requeue::After(Duration::from_secs(1)));
    observed.memory.refreshed = Some(ago(60));
    assert_eq!(step(&observed), Some(Step::Refresh(Source::State)));
    observed.memory.not_before = Some(UPTIME + Duration::from_secs(5));
    assert_ne!(step(&observed), Some(Step::Refresh(Source::State)));
    let mut wrong = due();
    wrong.memory.refused_app = Some(("app".to_owned(), UPTIME + Duration::from_secs(1)));
    assert_ne!(step(&wrong), Some(Step::Refresh(Source::State)));
    wrong.memory.refused_app = Some(("another".to_owned(), UPTIME + Duration::from_secs(1)));
    assert_eq!(step(&wrong), Some(Step::Refresh(Source::State)));
}

#[test]
fn a_pair_that_never_worked_is_not_replaced_by_another_one() {
    let mut observed =
        judged(with(oauth(None), pair()), "A", Verdict::Rejected { worked: false, at: UPTIME });
    observed.memory.granted = Some(access("A").digest);
    assert_eq!(outcome(&observed).1, Reason::ReauthorizationRequired);
    let mut worked = judged(with(oauth(None), pair()), "A", works());
    worked.memory.granted = Some(access("A").digest);
    assert_eq!(step(&judged(worked, "A", REJECTED)), Some(Step::Refresh(Source::State)));
}

#[test]
fn a_foreign_marker_is_left_alone_for_its_grace_and_the_old_token_is_used() {
    let state = TokenState { marker: Some(marker("other", "R")), ..pair() };
    let seen = |seconds: u64| {
        let mut observed = with(oauth(None), state.clone());
        let since = ago(seconds);
        observed.memory.marker = Some((marker("other", "R"), since));
        observed
    };
    assert_eq!(step(&seen(1)), Some(Step::Probe(Source::State)));
    let young = judged(seen(1), "A", Verdict::Works { at: UPTIME, organizations: None });
    assert_ne!(step(&young), Some(Step::Refresh(Source::State)));
    // Even where the old token is dead: the other process may be storing its answer.
    let dead = judged(seen(59), "A", REJECTED);
    assert_eq!(outcome(&dead), (Some(install()), Reason::Retrying));
    assert_eq!(planned(&dead).requeue, Requeue::After(Duration::from_secs(1)));
    assert_eq!(step(&judged(seen(60), "A", REJECTED)), Some(Step::Refresh(Source::State)));
    assert_eq!(step(&judged(seen(60), "A", works())), Some(Step::Refresh(Source::State)));
}

#[test]
fn a_lost_answer_of_ours_is_looked_into_at_once() {
    let ours = marker("us", "R");
    let lost = |verdict: Option<Verdict>, seconds: u64, times: u32| {
        let state = TokenState { marker: Some(ours.clone()), ..pair() };
        let mut observed = with(oauth(None), state);
        let begun = ago(seconds);
        observed.memory.ended = Some((ours.clone(), CallEnd::Lost { begun }));
        observed.memory.refreshed = Some(begun);
        observed.memory.lost = times;
        match verdict {
            Some(verdict) => judged(observed, "A", verdict),
            None => observed,
        }
    };
    let probe = Some(Step::Probe(Source::State));
    let again = Some(Step::Refresh(Source::State));
    assert_eq!(step(&lost(Some(works()), 30, 1)), probe, "what was known before says nothing");
    assert_eq!(step(&lost(None, 30, 1)), probe);
    assert_eq!(step(&lost(Some(REJECTED), 30, 1)), again, "it has been replaced");
    assert_ne!(step(&lost(Some(REJECTED), 30, 2)), again, "but not again and again");
    let alive = Verdict::Works { at: UPTIME, organizations: None };
    assert_ne!(step(&lost(Some(alive.clone()), 59, 1)), again);
    assert_eq!(step(&lost(Some(alive.clone()), 60, 1)), again);
    assert_ne!(step(&lost(Some(alive.clone()), 119, 2)), again, "at growing distances");
    assert_eq!(step(&lost(Some(alive), 120, 2)), again);
}

#[test]
fn a_call_that_was_certainly_not_made_leaves_no_open_marker() {
    let ours = marker("us", "R");
    let state = TokenState { marker: Some(ours.clone()), refresh_at: Some(minutes(0)), ..pair() };
    let mut observed = judged(with(oauth(None), state), "A", works());
    observed.memory.ended = Some((ours, CallEnd::Harmless));
    assert_eq!(step(&observed), Some(Step::Refresh(Source::State)));
}

#[test]
fn a_marker_whose_token_is_nowhere_is_closed_after_its_grace() {
    let state = TokenState { marker: Some(marker("other", "X")), ..pair() };
    let mut observed = judged(with(oauth(None), state), "A", works());
    assert_ne!(step(&observed), Some(Step::CloseMarker));
    let since = ago(60);
    observed.memory.marker = Some((marker("other", "X"), since));
    assert_eq!(step(&observed), Some(Step::CloseMarker));
    // The seed's own token is still there: it is tried once more.
    let state = TokenState { marker: Some(marker("other", "S")), ..TokenState::default() };
    let mut observed = with(oauth(Some(("", "S"))), state);
    observed.memory.marker = Some((marker("other", "S"), since));
    assert_eq!(step(&observed), Some(Step::Refresh(Source::Seed)));
}

#[test]
fn a_secret_of_somebody_else_or_a_damaged_one_stops_everything() {
    for state in [StateRead::Foreign, StateRead::Damaged(Box::default())] {
        let observed = Observed { state, ..oauth(Some(("B", "S"))) };
        assert_eq!(outcome(&observed), (Some(install()), Reason::SecretInvalid));
    }
}

#[test]
fn who_is_not_used_any_more_cleans_up_and_goes() {
    let leaving = |users: usize, state: StateRead| Observed {
        users: Some(Users { count: users, names: Vec::new() }),
        state,
        ..at_rest()
    };
    let ours = || StateRead::Ours(Box::new(pair()), Box::default());
    let clean = planned(&leaving(0, ours()));
    assert_eq!((clean.step, clean.release), (Some(Step::Clean), false));
    for state in [StateRead::Absent, StateRead::Foreign] {
        let gone = planned(&leaving(0, state));
        assert_eq!((gone.step, gone.release), (None, true));
    }
    assert!(!planned(&leaving(1, ours())).release);
}

#[test]
fn only_admitted_organizations_count() {
    let judge = |spec: &str, seen: Option<&[&str]>| {
        let object = connection(spec);
        let seen: Option<Vec<_>> =
            seen.map(|slugs| slugs.iter().map(|slug| organization(slug)).collect());
        match OrganizationPolicy::of(&object).judge(seen.as_deref()) {
            Health::Usable(list) => {
                Ok(list.iter().map(|one| one.slug.to_string()).collect::<Vec<_>>())
            }
            Health::Waiting(problem) | Health::Stalled(problem) => Err(problem.reason),
        }
    };
    let free = r#"{"auth": {}}"#;
    let pinned = r#"{"auth": {}, "organizationSlug": "b"}"#;
    assert_eq!(judge(free, Some(&["b", "a", "b"])), Ok(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(judge(pinned, Some(&["b", "a"])), Ok(vec!["b".to_owned()]));
    assert_eq!(judge(pinned, Some(&["a"])), Err(Reason::OrganizationNotAllowed));
    assert_eq!(judge(free, Some(&[])), Err(Reason::OrganizationNotAllowed));
    assert_eq!(judge(free, None), Err(Reason::MissingScope));
    assert_eq!(judge(pinned, None), Ok(vec!["b".to_owned()]));
}

#[test]
fn the_organizations_are_asked_for_again_now_and_then() {
    let mut observed = at_rest();
    let asked = |hours: u64| Verdict::Works {
        at: ago(hours * 3600),
        organizations: Some(vec![organization("acme")]),
    };
    observed = judged(observed, "A", asked(2));
    assert_eq!(step(&observed), None);
    let late = At { uptime: UPTIME + RECHECK, ..at() };
    let object = connection(r#"{"auth": {"oauth": {}}}"#);
    let plan = plan(&OrganizationPolicy::of(&object), &observed, late);
    assert_eq!(plan.step, Some(Step::Probe(Source::State)));
    assert!(matches!(plan.report.health, Health::Usable(_)), "in use meanwhile");
}

#[test]
fn a_token_whose_end_has_come_is_tried_once_more() {
    let ended = TokenState {
        refresh: None,
        expires_at: Some(minutes(0)),
        refresh_at: Some(minutes(-10)),
        ..pair()
    };
    let known_before = judged(with(oauth(None), ended.clone()), "A", works());
    assert_eq!(step(&known_before), Some(Step::Probe(Source::State)));
    let now_works = Verdict::Works { at: UPTIME, organizations: Some(vec![organization("acme")]) };
    let known_since = judged(with(oauth(None), ended), "A", now_works);
    assert_eq!(step(&known_since), Some(install()), "the platform knows better than the clock");
}

#[test]
fn a_failure_is_said_while_its_step_is_tried_again() {
    let mut observed = oauth(Some(("B", "")));
    observed.memory.fail(away("probe", access("B").digest));
    assert_eq!(outcome(&observed), (Some(install()), Reason::PlatformUnavailable), "after a while");
    assert_eq!(planned(&observed).requeue, Requeue::After(Duration::from_secs(9)));
    let mut failure = away("probe", access("B").digest);
    failure.next = UPTIME;
    observed.memory.fail(failure);
    assert_eq!(outcome(&observed), (Some(Step::Probe(Source::Seed)), Reason::PlatformUnavailable));
}

fn away(step: &'static str, token: String) -> Failure {
    Failure {
        reason: Reason::PlatformUnavailable,
        message: "away".to_owned(),
        step,
        token,
        times: 3,
        next: UPTIME + Duration::from_secs(9),
    }
}

#[test]
fn a_failure_holds_back_nothing_but_its_own_step_and_token() {
    let mut observed = oauth(Some(("C", "")));
    observed.memory.fail(away("probe", access("B").digest));
    assert_eq!(step(&observed), Some(Step::Probe(Source::Seed)), "another token is tried at once");
    // A seed that cannot be tried does not keep a pair from being renewed.
    let due = TokenState { refresh_at: Some(minutes(0)), ..spent() };
    let mut observed = judged(with(oauth(Some(("B", "T"))), due), "A", works());
    observed.memory.fail(away("probe", access("B").digest));
    assert_eq!(step(&observed), Some(Step::Refresh(Source::State)));
    observed.memory.fail(away("refresh", refresh("R").digest));
    let plan = planned(&observed);
    assert!(matches!(plan.report.health, Health::Usable(_)), "{:?}", plan.report);
    assert_ne!(plan.step, Some(Step::Refresh(Source::State)));
}

#[test]
fn a_token_of_the_same_chain_inherits_what_its_predecessor_was_good_for() {
    let mut observed = judged(with(oauth(None), pair()), "Z", works());
    observed.memory.grant(Some(access("A").digest), Some(&access("Z").digest));
    let plan = planned(&observed);
    assert_eq!(plan.step, Some(Step::Probe(Source::State)), "it is tried all the same");
    assert!(matches!(plan.report.health, Health::Usable(_)));
    observed.memory.fail(away("probe", access("A").digest));
    let plan = planned(&observed);
    assert!(matches!(plan.step, Some(Step::Install(_))), "in use while it cannot be tried");
    assert!(matches!(plan.report.health, Health::Usable(_)));
    // A seed's pair has no predecessor.
    observed.memory.grant(Some(access("A").digest), None);
    assert!(matches!(planned(&observed).report.health, Health::Waiting(_)));
}
