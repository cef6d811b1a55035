//! Strangers: what one tenant's Secrets claim or get refused changes nothing for another one; and nobody lets the
//! operator knock at the platform without end.

use std::time::Duration;

use http::Method;
use serde_json::json;
use simulated_platform::{Fault, FaultKind, Pat, TokenMode};

use super::stage::*;
use crate::api::project::ConnectionKind;
use crate::inventory::Pace;
use crate::management::{self, Error};
use crate::session::{ConnectionId, Session, SessionState};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const OTHER_SECRETS: &str = "/api/v1/namespaces/other/secrets";
const OTHER_CONNECTIONS: &str =
    "/apis/supabase-operator.dev/v1alpha1/namespaces/other/supabaseconnections";

fn stage() -> Stage {
    let stage = Stage::with_tokens(TokenMode::Strict, HOUR);
    stage.api.server().add_namespace("other");
    stage
}

/// A Secret of another tenant.
fn other_secret(stage: &Stage, name: &str, data: &serde_json::Value) {
    let mut server = stage.api.server();
    server.delete_by_hand(&format!("{OTHER_SECRETS}/{name}"));
    let object = json!({"metadata": {"name": name}, "stringData": data});
    server.create_by_hand(OTHER_SECRETS, &object).unwrap();
}

/// A connection of another tenant.
fn other_connection(stage: &Stage, name: &str, auth: &serde_json::Value) {
    let object = json!({"metadata": {"name": name}, "spec": {"auth": auth}});
    stage.api.server().create_by_hand(OTHER_CONNECTIONS, &object).unwrap();
}

fn theirs(process: &Process, name: &str) -> Session {
    let id = ConnectionId {
        kind: ConnectionKind::SupabaseConnection,
        namespace: Some("other".to_owned()),
        name: name.to_owned(),
    };
    process.sessions.find(&id).unwrap()
}

/// The other tenant's Secrets claim the app of the connection `acme`, without knowing its secret.
fn claim_the_app(stage: &Stage, seed: &serde_json::Value) {
    let app = json!({"client_id": stage.app.client_id, "client_secret": "guessed"});
    other_secret(stage, "app", &app);
    other_secret(stage, "seed", seed);
    let auth =
        json!({"oauth": {"appSecretRef": {"name": "app"}, "tokenSecretRef": {"name": "seed"}}});
    other_connection(stage, "thief", &auth);
}

fn count(stage: &Stage, method: &Method, path: &str) -> usize {
    stage.world().ledger().count(method, path)
}

fn always(method: &str, path: &str, kind: FaultKind) -> Fault {
    Fault::on(method, path, kind).times(10_000)
}

#[tokio::test(start_paused = true)]
async fn who_claims_an_app_and_is_throttled_closes_nothing_for_its_owner() {
    let stage = stage();
    stage.seed("acme", &stage.authorize().refresh_token);
    stage.oauth("acme");
    let token = stage.world().add_pat(Pat::classic());
    claim_the_app(&stage, &json!({"access_token": token}));
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    let (victim, thief) = (process.session("acme"), theirs(&process, "thief"));
    let reference = "aaaaaaaaaaaaaaaaaaaa".parse().unwrap();
    let health = management::health(&reference, &[]);
    let keys = management::api_keys(&reference);
    let busy = || FaultKind::RetryAfter(429, "300".to_owned());
    for path in ["health", "api-keys"] {
        let path = format!("/v1/projects/{}/{path}", "a".repeat(20));
        stage.world().script(Fault::on("GET", &path, busy()));
    }
    assert!(matches!(thief.send("other", &health).await, Err(Error::Throttled { .. })));
    assert!(matches!(thief.send("other", &keys).await, Err(Error::Throttled { .. })));
    let begun = tokio::time::Instant::now();
    victim.send("team", &management::organizations()).await.unwrap();
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_for_one_tenant_is_not_left_alone_for_another() {
    let stage = stage();
    stage.seed("acme", &stage.authorize().refresh_token);
    stage.oauth("acme");
    let token = stage.world().add_pat(Pat::classic());
    claim_the_app(&stage, &json!({"access_token": token}));
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    let (victim, thief) = (process.session("acme"), theirs(&process, "thief"));
    let slug = "acme".parse().unwrap();
    let list = management::organization_projects(&slug, 0, 100, management::Sort::OldestFirst);
    let path = "/v1/organizations/acme/projects";
    stage.world().script(Fault::on("GET", path, FaultKind::Html(503)).times(5));
    for _ in 0..2 {
        assert!(thief.send("other", &list).await.is_err());
    }
    assert_eq!(victim.send("team", &list).await.err().map(|error| error.as_str()), None);
}

#[tokio::test(start_paused = true)]
async fn who_claims_an_app_at_the_token_endpoint_does_not_keep_its_owner_from_it() {
    let stage = stage();
    claim_the_app(&stage, &json!({"refresh_token": "made-up"}));
    let busy = FaultKind::RetryAfter(429, "300".to_owned());
    stage.world().script(Fault::on("POST", "/v1/oauth/token", busy));
    let process = stage.live(stage.start(), SECOND * 5).await.unwrap();
    assert_eq!(stage.token_calls(), 1);
    stage.seed("acme", &stage.authorize().refresh_token);
    stage.oauth("acme");
    process.nudge();
    let _process = stage.live(process, SECOND * 10).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated", "{}", stage.message("acme"));
}

#[tokio::test(start_paused = true)]
async fn two_connections_of_one_confirmed_app_share_what_the_platform_counts_together() {
    let stage = stage();
    for name in ["acme", "second"] {
        stage.seed(name, &stage.authorize().refresh_token);
        stage.oauth(name);
    }
    // Its pair is of the app too, but the platform has not said so to this operator.
    let pair = stage.authorize();
    let tokens =
        [("access_token", pair.access_token.as_str()), ("refresh_token", &pair.refresh_token)];
    stage.secret("unproven-seed", &tokens);
    stage.oauth("unproven");
    let mut process = stage.live(stage.start(), MINUTE).await.unwrap();
    for _ in 0..2 {
        let busy = FaultKind::RetryAfter(429, "100".to_owned());
        stage.world().script(Fault::on("GET", "/v1/organizations", busy));
        let call = management::organizations();
        let said = process.session("acme").send("team", &call).await;
        assert!(matches!(said, Err(Error::Throttled { .. })), "{said:?}");
        let before = count(&stage, &Method::GET, "/v1/organizations");
        let said = process.session("second").send("team", &call).await;
        assert!(matches!(said, Err(Error::Throttled { .. })), "{said:?}");
        assert_eq!(count(&stage, &Method::GET, "/v1/organizations"), before);
        process.session("unproven").send("team", &call).await.unwrap();
        // What was proven is stored: the next process knows it.
        process.die().await;
        process = stage.live(stage.start(), MINUTE).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_claimed_app_is_no_sibling_that_keeps_an_authorization_alive() {
    let stage = stage();
    claim_the_app(&stage, &json!({"refresh_token": "made-up"}));
    stage.seed("acme", &stage.authorize().refresh_token);
    let auth = json!({"oauth": {
        "appSecretRef": {"name": "app"},
        "tokenSecretRef": {"name": "acme-seed"},
        "revokeOnDelete": true,
    }});
    stage.connection("acme", &auth);
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    assert!(stage.api.server().delete_by_hand(&format!("{CONNECTIONS}/acme")));
    process.nudge();
    let process = tokio::time::timeout(MINUTE, async {
        tokio::time::sleep(SECOND * 30).await;
        process
    })
    .await
    .unwrap();
    assert_eq!(count(&stage, &Method::POST, "/v1/oauth/revoke"), 1);
    process.die().await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_edited_ten_times_a_second_is_shown_to_the_platform_now_and_then() {
    let stage = stage();
    let pat = json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
    stage.secret("pat", &[("token", "sbp_first")]);
    stage.connection("acme", &pat);
    let mut process = stage.live(stage.start(), SECOND).await.unwrap();
    for number in 0..150 {
        stage.secret("pat", &[("token", &format!("sbp_{number:040x}"))]);
        process.nudge();
        process = stage.live(process, Duration::from_millis(100)).await.unwrap();
    }
    let tried = count(&stage, &Method::GET, "/v1/organizations");
    assert!((3..=5).contains(&tried), "{tried}");
    // A person who pauses to think is served soon.
    let token = stage.world().add_pat(Pat::classic());
    stage.secret("pat", &[("token", &token)]);
    process.nudge();
    let _process = stage.live(process, MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
}

#[tokio::test(start_paused = true)]
async fn asking_for_a_look_ten_times_a_second_shows_no_refused_token_again_and_again() {
    let stage = stage();
    let pat = json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
    stage.secret("pat", &[("token", "sbp_revoked")]);
    stage.connection("acme", &pat);
    let mut process = stage.live(stage.start(), SECOND).await.unwrap();
    for number in 0..150 {
        let asked = json!({"metadata": {"annotations": {
            "supabase-operator.dev/reconcile-requested-at": number.to_string(),
        }}});
        let path = format!("{CONNECTIONS}/acme");
        assert!(stage.api.server().change_by_hand(&path, &asked));
        process.nudge();
        process = stage.live(process, Duration::from_millis(100)).await.unwrap();
    }
    let tried = count(&stage, &Method::GET, "/v1/organizations");
    assert!(tried <= 5, "{tried}");
}

#[tokio::test(start_paused = true)]
async fn many_connections_made_anew_all_the_time_are_bounded_by_their_namespace() {
    let stage = stage();
    let pat = json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
    let mut process = stage.live(stage.start(), SECOND).await.unwrap();
    let mut number = 0;
    for round in 0..60 {
        stage.secret("pat", &[("token", &format!("sbp_{round:040x}"))]);
        for _ in 0..10 {
            number += 1;
            stage.connection(&format!("c{number}"), &pat);
        }
        process.nudge();
        process = stage.live(process, SECOND).await.unwrap();
        for gone in number - 9..=number {
            stage.remove_by_force(&format!("{CONNECTIONS}/c{gone}"));
        }
    }
    let tried = count(&stage, &Method::GET, "/v1/organizations");
    assert!((12..=18).contains(&tried), "{tried}");
    // Another namespace has its first tries at once.
    other_secret(&stage, "pat", &json!({"token": "sbp_mistyped"}));
    other_connection(&stage, "honest", &pat);
    process.nudge();
    let process = stage.live(process, SECOND).await.unwrap();
    let token = stage.world().add_pat(Pat::classic());
    other_secret(&stage, "pat", &json!({"token": token}));
    process.nudge();
    let process = stage.live(process, SECOND).await.unwrap();
    let session = theirs(&process, "honest");
    assert_eq!(session.state(), SessionState::Usable);
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_says_at_once_for_ever_is_asked_later_and_later() {
    let stage = stage();
    let token = stage.world().add_pat(Pat::classic());
    stage.secret("pat", &[("token", &token)]);
    let pat = json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
    stage.connection("acme", &pat);
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    let path = "/v1/organizations/acme/projects";
    let at_once = FaultKind::RetryAfter(429, "0".to_owned());
    stage.world().script(always("GET", path, at_once));
    let session = process.session("acme");
    let slug = "acme".parse().unwrap();
    let list = management::organization_projects(&slug, 0, 100, management::Sort::OldestFirst);
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < SECOND * 12 {
        let said = session.send("team", &list).await;
        let Err(Error::Throttled { retry_after }) = said else {
            panic!("{said:?}");
        };
        // As every caller does that heeds what it is told.
        tokio::time::sleep(retry_after.unwrap_or(MINUTE).max(Duration::from_millis(50))).await;
    }
    let called = count(&stage, &Method::GET, "/v1/organizations/{slug}/projects");
    assert!((3..=5).contains(&called), "{called}");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_under_way_changes_nobodys_readiness() {
    // The platform's tokens live shorter than a seed without expires_at makes believe.
    let stage = Stage::with_tokens(TokenMode::Strict, MINUTE * 10);
    let pair = stage.authorize();
    let tokens =
        [("access_token", pair.access_token.as_str()), ("refresh_token", &pair.refresh_token)];
    stage.secret("acme-seed", &tokens);
    stage.oauth("acme");
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    let session = process.session("acme");
    let orders = follower("orders");
    process.inventory("acme", "acme").follow("aaaaaaaaaaaaaaaaaaaa", &orders, Pace::Resting);
    let process = stage.live(process, MINUTE * 8).await.unwrap();
    while process.projects.take().is_some() {}
    let version = || {
        let server = stage.api.server();
        server.get(&format!("{CONNECTIONS}/acme")).unwrap()["status"]["conditions"].clone()
    };
    let before = version();
    // The refresh takes its time, and everybody can look.
    *stage.travel.lock().unwrap() = SECOND * 2;
    let mut process = process;
    for _ in 0..240 {
        process = stage.live(process, Duration::from_millis(500)).await.unwrap();
        assert_eq!(session.state(), SessionState::Usable);
        assert_eq!(version(), before);
    }
    assert_eq!(stage.token_calls(), 1, "the token was refreshed meanwhile");
    while let Some(woken) = process.projects.take() {
        // Its inventory has shown something; the connection has not.
        assert_eq!(woken, orders.key);
    }
    session.send("team", &management::organizations()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_away_while_the_operator_starts_flips_nothing_for_a_while() {
    let stage = stage();
    let token = stage.world().add_pat(Pat::classic());
    stage.secret("pat", &[("token", &token)]);
    let pat = json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
    stage.connection("acme", &pat);
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    process.die().await;
    stage.world().script(always("GET", "/v1/organizations", FaultKind::Html(503)));
    let process = stage.live(stage.start(), MINUTE * 4).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    assert_eq!(process.session("acme").state(), SessionState::Unknown);
    let process = stage.live(process, MINUTE * 2).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/PlatformUnavailable");
    assert_ne!(process.session("acme").state(), SessionState::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_replaced_by_hand_flips_nothing() {
    let stage = stage();
    let token = stage.world().add_pat(Pat::classic());
    stage.secret("pat", &[("token", &token)]);
    let pat = json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
    stage.connection("acme", &pat);
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    assert!(stage.api.server().delete_by_hand(&format!("{SECRETS}/pat")));
    process.nudge();
    let process = stage.live(process, SECOND * 3).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    assert_eq!(process.session("acme").state(), SessionState::Usable);
    stage.secret("pat", &[("token", &token)]);
    process.nudge();
    let process = stage.live(process, MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    // One that stays away is told of.
    assert!(stage.api.server().delete_by_hand(&format!("{SECRETS}/pat")));
    process.nudge();
    let _process = stage.live(process, SECOND * 20).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/SecretNotFound");
}
