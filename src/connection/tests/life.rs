//! How connections live: what users see, and what is called and written for it.

use std::time::Duration;

use http::Method;
use serde_json::json;
use simulated_apiserver::Verb;
use simulated_platform::{Config, Fault, FaultKind, Pat, Permissions, TokenMode};

use super::stage::*;
use crate::session::SessionState;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn stage() -> Stage {
    Stage::with_tokens(TokenMode::Strict, HOUR)
}

fn pat() -> serde_json::Value {
    json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}})
}

/// A connection with a personal token that works, and its process.
async fn with_pat() -> (Stage, String, Process) {
    let stage = stage();
    let token = stage.world().add_pat(Pat::classic());
    stage.secret("pat", &[("token", &token)]);
    stage.connection("acme", &pat());
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    (stage, token, process)
}

/// A connection with OAuth that works, and its process.
async fn with_oauth() -> (Stage, Process) {
    let stage = stage();
    stage.seed("acme", &stage.authorize().refresh_token);
    stage.oauth("acme");
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated", "{}", stage.message("acme"));
    (stage, process)
}

fn calls(stage: &Stage) -> usize {
    stage.world().ledger().seen().len()
}

fn writes(stage: &Stage) -> usize {
    let server = stage.api.server();
    let ours = server.ledger().writes().iter().filter(|write| !write.by_hand);
    ours.filter(|write| write.resource != "events").count()
}

#[tokio::test(start_paused = true)]
async fn a_personal_token_is_accepted_with_white_space_around_it() {
    let stage = stage();
    let token = stage.world().add_pat(Pat::classic());
    stage.secret("pat", &[("token", &format!(" {token}\r\n"))]);
    stage.connection("acme", &pat());
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    let session = process.session("acme");
    assert_eq!(session.organizations()[0].slug.as_str(), "acme");
    assert_eq!(session.state(), SessionState::Usable);
    assert!(!session.may_be_limited_to_projects());
    let server = stage.api.server();
    let status = server.get(&format!("{CONNECTIONS}/acme")).unwrap()["status"].clone();
    assert_eq!(status["authMode"], "PersonalAccessToken");
    assert_eq!(status["organizations"], json!([{"slug": "acme", "name": "Acme"}]));
    assert_eq!(status["observedGeneration"], 1);
    assert!(!status.to_string().contains(&token));
}

#[tokio::test(start_paused = true)]
async fn at_rest_nothing_is_called_or_written() {
    let (stage, _, process) = with_pat().await;
    let (called, written) = (calls(&stage), writes(&stage));
    let _process = stage.live(process, HOUR).await.unwrap();
    assert_eq!((calls(&stage), writes(&stage)), (called, written));
}

#[tokio::test(start_paused = true)]
async fn a_missing_secret_is_named_and_found_soon_after_it_was_made() {
    let stage = stage();
    stage.connection("acme", &pat());
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/SecretNotFound");
    assert!(stage.message("acme").contains("the Secret pat "), "{}", stage.message("acme"));
    stage.secret("pat", &[("other", "x")]);
    let process = stage.live(process, MINUTE / 2 + SECOND).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/SecretNotFound");
    assert!(stage.message("acme").contains("no key token"), "{}", stage.message("acme"));
    stage.secret("pat", &[("token", "two words")]);
    let process = stage.live(process, MINUTE / 2 + SECOND).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/SecretInvalid");
    let token = stage.world().add_pat(Pat::classic());
    stage.secret("pat", &[("token", &token)]);
    let _process = stage.live(process, MINUTE / 2 + SECOND).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_stops_all_calls_until_there_is_another_one() {
    let (stage, token, process) = with_pat().await;
    stage.world().revoke_pat(&token);
    let session = process.session("acme");
    let slug = "acme".parse().unwrap();
    let list = crate::management::organization_projects(
        &slug,
        0,
        100,
        crate::management::Sort::OldestFirst,
    );
    let before = calls(&stage);
    for _ in 0..5 {
        assert!(session.send("team", &list).await.is_err());
    }
    let process = stage.live(process, HOUR).await.unwrap();
    assert!(calls(&stage) - before <= 3, "{}", calls(&stage) - before);
    assert_eq!(stage.ready("acme"), "False/Unauthorized");
    let another = stage.world().add_pat(Pat::classic());
    stage.secret("pat", &[("token", &another)]);
    let _process = stage.live(process, MINUTE / 2 + SECOND).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    assert!(session.send("team", &list).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_token_without_the_right_to_list_organizations_works_with_a_pin() {
    let stage = stage();
    let permissions =
        Permissions { write: true, without: ["organizations_read".to_owned()].into() };
    let token = stage.world().add_pat(Pat::for_organizations(&["acme"], permissions));
    stage.secret("pat", &[("token", &token)]);
    stage.connection("acme", &pat());
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/MissingScope");
    stage.api.server().change_by_hand(
        &format!("{CONNECTIONS}/acme"),
        &json!({"spec": {"organizationSlug": "acme"}}),
    );
    process.nudge();
    let process = stage.live(process, MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    assert!(process.session("acme").may_be_limited_to_projects(), "a scoped token");
}

#[tokio::test(start_paused = true)]
async fn an_organization_that_is_not_seen_is_not_admitted() {
    let (stage, _, process) = with_pat().await;
    stage.api.server().change_by_hand(
        &format!("{CONNECTIONS}/acme"),
        &json!({"spec": {"organizationSlug": "other"}}),
    );
    process.nudge();
    let process = stage.live(process, SECOND).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/OrganizationNotAllowed");
    assert!(process.session("acme").state() != SessionState::Usable);
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_away_is_waited_for() {
    let stage = stage();
    let token = stage.world().add_pat(Pat::classic());
    stage.secret("pat", &[("token", &token)]);
    stage.connection("acme", &pat());
    let away = Fault::on("GET", "/v1/organizations", FaultKind::Html(503)).times(4);
    stage.world().script(away);
    let process = stage.live(stage.start(), SECOND).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/PlatformUnavailable");
    let _process = stage.live(process, MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
}

#[tokio::test(start_paused = true)]
async fn a_person_can_ask_for_a_look() {
    let (stage, token, process) = with_pat().await;
    let before = calls(&stage);
    stage.api.server().change_by_hand(
        &format!("{CONNECTIONS}/acme"),
        &json!({"metadata": {"annotations": {"supabase-operator.dev/reconcile-requested-at": "now"}}}),
    );
    process.nudge();
    let process = stage.live(process, SECOND).await.unwrap();
    assert_eq!(calls(&stage), before + 1);
    let handled = stage
        .api
        .server()
        .get(&format!("{CONNECTIONS}/acme"))
        .unwrap()["status"]["lastHandledReconcileAt"]
        .clone();
    assert_eq!(handled, "now");
    let _process = stage.live(process, HOUR).await.unwrap();
    assert_eq!(calls(&stage), before + 1);
    drop(token);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_takes_three_writes_and_comes_in_time() {
    let (stage, process) = with_oauth().await;
    assert_eq!(stage.token_calls(), 1);
    let (called, written) = (calls(&stage), writes(&stage));
    let process = stage.live(process, MINUTE * 29).await.unwrap();
    assert_eq!(stage.token_calls(), 1, "before half of its life");
    assert_eq!((calls(&stage), writes(&stage)), (called, written));
    let process = stage.live(process, MINUTE * 16).await.unwrap();
    assert_eq!(stage.token_calls(), 2, "by three quarters");
    assert_eq!(writes(&stage) - written, 3);
    // The token call, and the first use of its result.
    assert_eq!(calls(&stage) - called, 2);
    let _process = stage.live(process, HOUR * 24).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    assert!(stage.watched().violations.is_empty(), "{:?}", stage.watched().violations);
    let refused =
        stage.world().ledger().seen().iter().filter(|seen| seen.status == Some(401)).count();
    assert_eq!(refused, 0);
}

#[tokio::test(start_paused = true)]
async fn the_state_secret_says_whose_it_is_and_holds_what_is_promised() {
    let (stage, _process) = with_oauth().await;
    let server = stage.api.server();
    let secret = server.get(&format!("{SECRETS}/acme-oauth-state")).unwrap();
    let connection = server.get(&format!("{CONNECTIONS}/acme")).unwrap();
    let labels = &secret["metadata"]["labels"];
    assert_eq!(labels["supabase-operator.dev/owner-uid"], connection["metadata"]["uid"]);
    assert_eq!(labels["supabase-operator.dev/role"], "oauth-state");
    assert_eq!(labels["app.kubernetes.io/managed-by"], "supabase-operator");
    assert_eq!(secret["metadata"]["finalizers"], json!(["supabase-operator.dev/finalizer"]));
    assert!(secret["metadata"].get("ownerReferences").is_none());
    let keys: Vec<_> = secret["data"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        keys,
        [
            "access_token",
            "consumed",
            "expires_at",
            "granted_at",
            "granted_by",
            "refresh_at",
            "refresh_token",
            "seed"
        ]
    );
    assert!(connection["status"]["tokenExpiresAt"].is_string());
    drop(server);
    assert!(!stage.stored("acme-oauth-state", "consumed").unwrap().contains("sbp_"));
}

#[tokio::test(start_paused = true)]
async fn a_seed_with_an_access_token_costs_no_refresh_before_it_is_due() {
    let stage = stage();
    let pair = stage.authorize();
    let ends = (stage.now() + jiff::SignedDuration::from_secs(3600)).as_second().to_string();
    stage.secret(
        "acme-seed",
        &[
            ("refresh_token", &pair.refresh_token),
            ("access_token", &pair.access_token),
            ("expires_at", &ends),
        ],
    );
    stage.oauth("acme");
    let process = stage.live(stage.start(), MINUTE * 29).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated", "{}", stage.message("acme"));
    assert_eq!(stage.token_calls(), 0);
    assert_eq!(stage.stored("acme-oauth-state", "refresh_token"), Some(pair.refresh_token));
    let _process = stage.live(process, MINUTE * 16).await.unwrap();
    assert_eq!(stage.token_calls(), 1);
    assert_eq!(stage.ready("acme"), "True/Authenticated");
}

#[tokio::test(start_paused = true)]
async fn a_lone_access_token_is_read_again_when_somebody_renews_it() {
    let stage = stage();
    let first = stage.authorize();
    stage.secret("acme-seed", &[("access_token", &first.access_token)]);
    stage.oauth("acme");
    let process = stage.live(stage.start(), MINUTE * 59).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    let session = process.session("acme");
    let second = stage.authorize();
    stage.secret("acme-seed", &[("access_token", &second.access_token)]);
    let process = stage.live(process, MINUTE * 2).await.unwrap();
    assert!(session.send("team", &crate::management::organizations()).await.is_ok());
    let process = stage.live(process, HOUR).await.unwrap();
    assert!(session.send("team", &crate::management::organizations()).await.is_err());
    let _process = stage.live(process, MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/Unauthorized");
    assert_eq!(stage.token_calls(), 0);
    assert!(stage.api.server().get(&format!("{SECRETS}/acme-oauth-state")).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_app_secret_costs_no_token() {
    let stage = stage();
    stage.secret("app", &[("client_id", &stage.app.client_id), ("client_secret", "wrong")]);
    stage.seed("acme", &stage.authorize().refresh_token);
    stage.oauth("acme");
    let process = stage.live(stage.start(), HOUR).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/SecretInvalid");
    assert!(
        stage.message("acme").contains("client_id or client_secret"),
        "{}",
        stage.message("acme")
    );
    assert!(stage.token_calls() <= 5, "{}", stage.token_calls());
    let app = stage.app.clone();
    stage.secret("app", &[("client_id", &app.client_id), ("client_secret", &app.client_secret)]);
    let _process = stage.live(process, MINUTE * 2).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated", "{}", stage.message("acme"));
}

#[tokio::test(start_paused = true)]
async fn another_app_may_try_what_one_app_was_refused() {
    let stage = stage();
    let stranger = stage.world().register_app(&[], simulated_platform::ALL_SCOPES);
    let secret = |app: &simulated_platform::App| {
        stage
            .secret("app", &[("client_id", &app.client_id), ("client_secret", &app.client_secret)]);
    };
    secret(&stranger);
    stage.seed("acme", &stage.authorize().refresh_token);
    stage.oauth("acme");
    let process = stage.live(stage.start(), HOUR).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/ReauthorizationRequired");
    assert_eq!(stage.token_calls(), 1);
    secret(&stage.app);
    let _process = stage.live(process, MINUTE * 2).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated", "{}", stage.message("acme"));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_token_endpoint_is_left_alone_for_as_long_as_it_says() {
    let stage = stage();
    let busy = Fault::on("POST", "/v1/oauth/token", FaultKind::RetryAfter(429, "120".to_owned()));
    stage.world().script(busy);
    stage.seed("acme", &stage.authorize().refresh_token);
    stage.oauth("acme");
    let process = stage.live(stage.start(), SECOND * 119).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/RateLimited");
    assert_eq!(stage.token_calls(), 1);
    let _process = stage.live(process, MINUTE * 2).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    assert_eq!(stage.token_calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_seed_that_comes_back_is_never_sent_again() {
    let stage = stage();
    let old = stage.authorize().refresh_token;
    stage.seed("acme", &old);
    stage.oauth("acme");
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    let new = stage.authorize().refresh_token;
    stage.seed("acme", &new);
    let process = stage.live(process, MINUTE * 2).await.unwrap();
    assert_eq!(stage.token_calls(), 2);
    // A revert in Git, and a new process that remembers nothing.
    stage.seed("acme", &old);
    let process = stage.live(process, MINUTE * 3).await.unwrap();
    process.die().await;
    let _process = stage.live(stage.start(), MINUTE * 20).await.unwrap();
    assert_eq!(stage.token_calls(), 2);
    assert_eq!(stage.ready("acme"), "True/Authenticated", "the chain goes on");
    assert_eq!(stage.watched().sent.iter().filter(|token| **token == old).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_seed_that_does_not_work_leaves_what_works_in_use() {
    let (stage, process) = with_oauth().await;
    let before = stage.stored("acme-oauth-state", "refresh_token");
    stage.seed("acme", "no-such-token");
    let process = stage.live(process, MINUTE * 3).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    assert!(stage.message("acme").contains("acme-seed"), "{}", stage.message("acme"));
    assert_eq!(stage.stored("acme-oauth-state", "refresh_token"), before);
    assert_eq!(stage.token_calls(), 2);
    let _process = stage.live(process, MINUTE * 20).await.unwrap();
    assert_eq!(stage.token_calls(), 2, "tried once");
}

#[tokio::test(start_paused = true)]
async fn two_connections_never_spend_one_token() {
    let stage = stage();
    let token = stage.authorize().refresh_token;
    for name in ["one", "two"] {
        stage.seed(name, &token);
        stage.oauth(name);
    }
    let process = stage.live(stage.start(), HOUR).await.unwrap();
    assert_eq!(stage.ready("one"), "True/Authenticated");
    assert_eq!(stage.ready("two"), "False/CredentialShared");
    assert!(!stage.message("two").contains("one "), "{}", stage.message("two"));
    assert_eq!(stage.watched().sent.iter().filter(|sent| **sent == token).count(), 1);
    // A new process knows it too, although the token was spent long ago.
    process.die().await;
    let process = stage.live(stage.start(), MINUTE * 10).await.unwrap();
    assert_eq!(stage.ready("two"), "False/CredentialShared");
    stage.seed("two", &stage.authorize().refresh_token);
    let _process = stage.live(process, MINUTE * 2).await.unwrap();
    assert_eq!(stage.ready("two"), "True/Authenticated", "{}", stage.message("two"));
    assert_eq!(stage.ready("one"), "True/Authenticated");
}

#[tokio::test(start_paused = true)]
async fn what_a_connection_has_spent_is_known_before_its_first_pass() {
    let stage = stage();
    let token = stage.authorize().refresh_token;
    stage.seed("zed", &token);
    stage.oauth("zed");
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    assert_eq!(stage.ready("zed"), "True/Authenticated");
    // Its seed is replaced, so that only its state Secret knows the old one.
    stage.seed("zed", &stage.authorize().refresh_token);
    let process = stage.live(process, MINUTE * 2).await.unwrap();
    process.die().await;
    stage.seed("abe", &token);
    stage.oauth("abe");
    let _process = stage.live(stage.start(), MINUTE * 10).await.unwrap();
    assert_eq!(stage.ready("abe"), "False/CredentialShared");
    assert_eq!(stage.watched().sent.iter().filter(|sent| **sent == token).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_somebody_else_is_not_written() {
    let stage = stage();
    stage.secret("acme-oauth-state", &[("mine", "x")]);
    stage.seed("acme", &stage.authorize().refresh_token);
    stage.oauth("acme");
    let process = stage.live(stage.start(), HOUR).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/SecretInvalid");
    assert!(stage.message("acme").contains("acme-oauth-state"), "{}", stage.message("acme"));
    assert_eq!(stage.token_calls(), 0);
    assert_eq!(stage.stored("acme-oauth-state", "mine").as_deref(), Some("x"));
    stage.api.server().delete_by_hand(&format!("{SECRETS}/acme-oauth-state"));
    let _process = stage.live(process, MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_state_is_not_trusted() {
    let (stage, process) = with_oauth().await;
    stage.api.server().change_by_hand(
        &format!("{SECRETS}/acme-oauth-state"),
        &json!({"stringData": {"consumed": "nonsense"}}),
    );
    let _process = stage.live(process, HOUR).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/SecretInvalid");
    assert_eq!(stage.token_calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_recreated_connection_goes_on_with_the_chain_of_its_predecessor() {
    let (stage, process) = with_oauth().await;
    process.die().await;
    // Somebody removed the finalizer by force.
    let path = format!("{CONNECTIONS}/acme");
    stage.remove_by_force(&path);
    stage.oauth("acme");
    let _process = stage.live(stage.start(), HOUR).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated", "{}", stage.message("acme"));
    assert_eq!(stage.token_calls(), 2, "its renewal, and no seed spent again");
    let server = stage.api.server();
    let uid = server.get(&path).unwrap()["metadata"]["uid"].clone();
    let secret = server.get(&format!("{SECRETS}/acme-oauth-state")).unwrap();
    assert_eq!(secret["metadata"]["labels"]["supabase-operator.dev/owner-uid"], uid);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_claim_to_end_at_once_cause_no_storm() {
    for odd in [json!(0), json!(-5), json!("soon"), json!(1), json!(null), json!(1e18)] {
        let stage = stage();
        let odd_life =
            Fault::on("POST", "/v1/oauth/token", FaultKind::Merge(json!({"expires_in": odd})));
        stage.world().script(odd_life.times(1000));
        stage.seed("acme", &stage.authorize().refresh_token);
        stage.oauth("acme");
        let _process = stage.live(stage.start(), MINUTE * 30).await.unwrap();
        assert!(stage.token_calls() <= 30, "{odd}: {}", stage.token_calls());
        assert_eq!(stage.ready("acme"), "True/Authenticated", "{odd}: {}", stage.message("acme"));
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_that_are_refused_as_soon_as_they_are_granted_are_not_asked_for_again() {
    let stage = Stage::with_tokens(TokenMode::Strict, Duration::ZERO);
    stage.seed("acme", &stage.authorize().refresh_token);
    stage.oauth("acme");
    let _process = stage.live(stage.start(), HOUR).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/ReauthorizationRequired");
    assert_eq!(stage.token_calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_grant_without_a_refresh_token_is_used_up_to_its_end() {
    let stage = stage();
    let lone =
        Fault::on("POST", "/v1/oauth/token", FaultKind::Merge(json!({"refresh_token": null})));
    stage.world().script(lone);
    stage.seed("acme", &stage.authorize().refresh_token);
    stage.oauth("acme");
    let process = stage.live(stage.start(), MINUTE * 50).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    assert!(stage.message("acme").contains("authorize again before"), "{}", stage.message("acme"));
    let _process = stage.live(process, MINUTE * 15).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/ReauthorizationRequired");
    assert_eq!(stage.token_calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_authorization_is_noticed_at_the_next_refresh() {
    let (stage, process) = with_oauth().await;
    let app = stage.app.clone();
    stage.world().revoke_authorization(&app, "acme");
    let _process = stage.live(process, HOUR * 5).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/ReauthorizationRequired");
    assert_eq!(stage.token_calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_authorization_stops_after_one_refresh() {
    let (stage, process) = with_oauth().await;
    let app = stage.app.clone();
    stage.world().revoke_authorization(&app, "acme");
    let session = process.session("acme");
    assert!(session.send("team", &crate::management::organizations()).await.is_err());
    let before = calls(&stage);
    let process = stage.live(process, HOUR * 5).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/ReauthorizationRequired");
    assert!(calls(&stage) - before <= 2, "{}", calls(&stage) - before);
    stage.seed("acme", &stage.authorize().refresh_token);
    let _process = stage.live(process, MINUTE * 2).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated", "{}", stage.message("acme"));
    assert!(session.send("team", &crate::management::organizations()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn capabilities_show_what_calls_have_shown() {
    let (stage, process) = with_oauth().await;
    let app = stage.app.clone();
    stage.world().set_app_scopes(&app, &["organizations:read", "projects:read", "projects:write"]);
    let session = process.session("acme");
    let slug: crate::management::OrganizationSlug = "acme".parse().unwrap();
    let page = crate::management::organization_projects(
        &slug,
        0,
        100,
        crate::management::Sort::OldestFirst,
    );
    assert!(session.send("team", &page).await.is_ok());
    let _process = stage.live(process, SECOND).await.unwrap();
    let server = stage.api.server();
    let capabilities =
        &server.get(&format!("{CONNECTIONS}/acme")).unwrap()["status"]["capabilities"];
    assert_eq!(capabilities[0], json!({"name": "ListProjects", "status": "Available"}));
    assert_eq!(capabilities[3], json!({"name": "ReadPooler", "status": "Unknown"}));
}

/// A project that has something on the platform.
fn project(stage: &Stage, name: &str) {
    let object = json!({
        "metadata": {"name": name},
        "spec": {"connectionRef": {"name": "acme"}, "region": "eu-central-1"},
    });
    let mut server = stage.api.server();
    server.create_by_hand(PROJECTS, &object).unwrap();
    let status = json!({"status": {"ref": "abcdefghijklmnopqrst"}});
    assert!(server.change_by_hand(&format!("{PROJECTS}/{name}/status"), &status));
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_use_is_kept_and_says_by_whom() {
    let (stage, process) = with_oauth().await;
    for name in ["a", "b", "c", "d"] {
        project(&stage, name);
    }
    let path = format!("{CONNECTIONS}/acme");
    assert!(stage.api.server().delete_by_hand(&path));
    process.nudge();
    // It goes on working, and renewing, for as long as it is needed.
    let process = stage.live(process, HOUR * 2).await.unwrap();
    let (status, reason, message) = stage.condition("acme", "DeletionBlocked").unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("True", "InUse"));
    assert!(message.starts_with("4 projects use this connection (a, b, c, …)"), "{message}");
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    assert!(stage.token_calls() > 2);
    for name in ["a", "b", "c", "d"] {
        stage.api.server().delete_by_hand(&format!("{PROJECTS}/{name}"));
    }
    let process = stage.live(process, MINUTE).await.unwrap();
    let server = stage.api.server();
    assert!(server.get(&path).is_none());
    assert!(server.get(&format!("{SECRETS}/acme-oauth-state")).is_none());
    drop(server);
    assert!(process.sessions.find(&id("acme")).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_reference_alone_holds_nothing() {
    let (stage, process) = with_oauth().await;
    let object = json!({
        "metadata": {"name": "stranger"},
        "spec": {"connectionRef": {"name": "acme"}, "region": "eu-central-1"},
    });
    stage.api.server().create_by_hand(PROJECTS, &object).unwrap();
    stage.api.server().delete_by_hand(&format!("{CONNECTIONS}/acme"));
    process.nudge();
    let _process = stage.live(process, MINUTE).await.unwrap();
    assert!(stage.api.server().get(&format!("{CONNECTIONS}/acme")).is_none());
}

#[tokio::test(start_paused = true)]
async fn tokens_outlive_their_namespace_for_as_long_as_they_are_needed() {
    let (stage, process) = with_oauth().await;
    project(&stage, "a");
    let held = json!({"metadata": {"finalizers": ["supabase-operator.dev/finalizer"]}});
    stage.api.server().change_by_hand(&format!("{PROJECTS}/a"), &held);
    stage.api.server().delete_by_hand("/api/v1/namespaces/team");
    assert!(
        stage.api.server().get(&format!("{SECRETS}/app")).is_none(),
        "the app's Secret is gone"
    );
    process.nudge();
    let process = stage.live(process, HOUR * 3).await.unwrap();
    let session = process.session("acme");
    assert!(session.send("team", &crate::management::organizations()).await.is_ok());
    let freed = json!({"metadata": {"finalizers": null}});
    stage.api.server().change_by_hand(&format!("{PROJECTS}/a"), &freed);
    let _process = stage.live(process, MINUTE).await.unwrap();
    assert!(stage.api.server().get("/api/v1/namespaces/team").is_none());
}

#[tokio::test(start_paused = true)]
async fn the_last_token_that_worked_serves_deletions_when_its_secret_is_gone() {
    let (stage, _, process) = with_pat().await;
    let session = process.session("acme");
    project(&stage, "a");
    stage.api.server().delete_by_hand(&format!("{SECRETS}/pat"));
    let _process = stage.live(process, MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/SecretNotFound");
    assert!(session.state() != SessionState::Usable);
    assert!(session.send("team", &crate::management::organizations()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn only_what_is_needed_carries_a_finalizer() {
    let (stage, _, process) = with_pat().await;
    let finalizers = |stage: &Stage| {
        let server = stage.api.server();
        server.get(&format!("{CONNECTIONS}/acme")).unwrap()["metadata"]["finalizers"].clone()
    };
    assert!(finalizers(&stage).is_null());
    let session = process.sessions.find(&id("acme"));
    assert!(session.is_some());
    let process = stage.live(process, SECOND).await.unwrap();
    assert_eq!(finalizers(&stage), json!(["supabase-operator.dev/finalizer"]));
    stage.api.server().delete_by_hand(&format!("{CONNECTIONS}/acme"));
    process.nudge();
    let _process = stage.live(process, SECOND).await.unwrap();
    assert!(stage.api.server().get(&format!("{CONNECTIONS}/acme")).is_none());
}

#[tokio::test(start_paused = true)]
async fn no_secret_gets_into_a_status_or_an_event() {
    let stage = Stage::new(Config {
        token_mode: TokenMode::Strict,
        access_token_lifetime: HOUR,
        ..Config::instant()
    });
    stage.seed("acme", &stage.authorize().refresh_token);
    stage.oauth("acme");
    let process = stage.live(stage.start(), HOUR).await.unwrap();
    stage.seed("acme", "zq9-not-a-token-of-anybody");
    let process = stage.live(process, HOUR).await.unwrap();
    let app = stage.app.clone();
    stage.world().revoke_authorization(&app, "acme");
    let _process = stage.live(process, HOUR).await.unwrap();
    let mut canaries = stage.world().canaries();
    canaries.push("zq9-not-a-token-of-anybody".to_owned());
    let server = stage.api.server();
    for write in server.ledger().writes().iter().filter(|write| write.resource != "secrets") {
        let text = format!("{:?}", write.after);
        assert!(!canaries.iter().any(|canary| text.contains(canary)), "{text}");
    }
    let events = server.ledger().writes_of("events").filter(|write| write.verb == Verb::Create);
    let events: Vec<_> =
        events.map(|write| write.after.clone().unwrap()["reason"].clone()).collect();
    assert!(events.len() >= 2, "{events:?}");
    let posts = stage.world().ledger().count(&Method::POST, "/v1/oauth/token");
    assert!(posts >= 3);
}

#[tokio::test(start_paused = true)]
async fn a_new_secret_is_tried_at_once_however_long_the_old_one_has_failed() {
    let stage = stage();
    let odd = Fault::on("GET", "/v1/organizations", FaultKind::Garbage).times(10_000);
    stage.world().script(odd);
    let token = stage.world().add_pat(Pat::classic());
    stage.secret("pat", &[("token", &token)]);
    stage.connection("acme", &pat());
    let process = stage.live(stage.start(), HOUR * 5).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/PlatformUnavailable");
    assert!(calls(&stage) <= 40, "{} calls in five hours", calls(&stage));
    stage.world().clear_script();
    let another = stage.world().add_pat(Pat::classic());
    stage.secret("pat", &[("token", &another)]);
    let _process = stage.live(process, MINUTE / 2 + SECOND).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
}

#[tokio::test(start_paused = true)]
async fn a_seed_that_cannot_be_tried_does_not_harm_what_works() {
    let (stage, process) = with_oauth().await;
    let pair = stage.authorize();
    stage.secret(
        "acme-seed",
        &[("refresh_token", &pair.refresh_token), ("access_token", &pair.access_token)],
    );
    let odd = Fault::on("GET", "/v1/organizations", FaultKind::Garbage).times(10_000);
    stage.world().script(odd);
    let process = stage.live(process, MINUTE * 43).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated", "{}", stage.message("acme"));
    assert!(stage.message("acme").contains("but:"), "{}", stage.message("acme"));
    assert_eq!(stage.token_calls(), 2, "renewed meanwhile");
    stage.world().clear_script();
    let _process = stage.live(process, MINUTE * 16).await.unwrap();
    assert_eq!(stage.stored("acme-oauth-state", "refresh_token"), Some(pair.refresh_token));
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
    let down = Fault::on("GET", "/v1/organizations", FaultKind::Status(503, "{}".to_owned()));
    stage.world().script(down.times(1000));
    let process = stage.start();
    let sessions = process.sessions.clone();
    assert!(!sessions.settled(&id("acme"), Duration::ZERO).await, "nothing is known yet");
    assert!(
        sessions.settled(&id("acme"), Duration::from_secs(10)).await,
        "the probe has failed, and that is known"
    );
    assert!(sessions.settled(&id("acme"), Duration::ZERO).await);
    assert!(
        sessions.settled(&id("unheard-of"), Duration::ZERO).await,
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
    assert_eq!(stage.ready("acme"), "nothing", "nothing is done without the claim");
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
    assert_eq!(stage.ready("acme"), "True/Authenticated", "{}", stage.message("acme"));
    assert!(stage.token_calls() > calls + 3, "the chain goes on");
    // Requeue, and a seed that is there before the tokens are used is still the old one.
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
