//! How connections live: what users see, and what is called and written for it.

use std::time::Duration;

use http::Method;
use serde_json::json;
use simulated_apiserver::Verb;
use simulated_platform::{Config, Fault, FaultKind, Pat, Permissions, TokenMode};

use super::{HOUR, MINUTE, SECOND};
use crate::sim::{CONNECTIONS, Living, PROJECTS, Play, SECRETS, id, simulate};
use supabase_operator::session::SessionState;

fn play() -> Play {
    Play::with_tokens(TokenMode::Strict, HOUR)
}

fn pat() -> serde_json::Value {
    json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}})
}

/// Where the operator keeps its own key.
const KEYS: &str = "/api/v1/namespaces/supabase-system/secrets/supabase-operator-keys";

/// A connection with a personal token that works, and its process.
async fn with_pat() -> (Play, String, Living) {
    let play = play();
    let token = play.world().add_pat(Pat::classic());
    play.secret("pat", &[("token", &token)]);
    play.connection("acme", &pat());
    let process = play.live(play.start(), MINUTE).await.unwrap();
    assert_eq!(play.ready("acme"), "True/Authenticated");
    (play, token, process)
}

/// A connection with OAuth that works, and its process.
async fn with_oauth() -> (Play, Living) {
    let play = play();
    play.seed("acme", &play.authorize().refresh_token);
    play.oauth("acme");
    let process = play.live(play.start(), MINUTE).await.unwrap();
    assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
    (play, process)
}

#[test]
fn a_personal_token_is_accepted_with_white_space_around_it() {
    simulate(async || {
        let play = play();
        let token = play.world().add_pat(Pat::classic());
        play.secret("pat", &[("token", &format!(" {token}\r\n"))]);
        play.connection("acme", &pat());
        let process = play.live(play.start(), MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        let session = process.session("acme");
        assert_eq!(session.organizations()[0].slug.as_str(), "acme");
        assert_eq!(session.state(), SessionState::Usable);
        assert!(!session.may_be_limited_to_projects());
        let server = play.api();
        let status = server.get(&format!("{CONNECTIONS}/acme")).unwrap()["status"].clone();
        assert_eq!(status["authMode"], "PersonalAccessToken");
        assert_eq!(status["organizations"], json!([{"slug": "acme", "name": "Acme"}]));
        assert_eq!(status["observedGeneration"], 1);
        assert!(!status.to_string().contains(&token));
    });
}

#[test]
fn at_rest_nothing_is_called_or_written() {
    simulate(async || {
        let (play, _, process) = with_pat().await;
        let (called, written) = (play.calls(), play.writes());
        let _process = play.live(process, HOUR).await.unwrap();
        assert_eq!((play.calls(), play.writes()), (called, written));
    });
}

#[test]
fn a_missing_secret_is_named_and_found_soon_after_it_was_made() {
    simulate(async || {
        let play = play();
        play.connection("acme", &pat());
        let process = play.live(play.start(), MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "False/SecretNotFound");
        assert!(play.message("acme").contains("the Secret pat "), "{}", play.message("acme"));
        play.secret("pat", &[("other", "x")]);
        let process = play.live(process, MINUTE / 2 + SECOND).await.unwrap();
        assert_eq!(play.ready("acme"), "False/SecretNotFound");
        assert!(play.message("acme").contains("no key token"), "{}", play.message("acme"));
        play.secret("pat", &[("token", "two words")]);
        let process = play.live(process, MINUTE / 2 + SECOND).await.unwrap();
        assert_eq!(play.ready("acme"), "False/SecretInvalid");
        let token = play.world().add_pat(Pat::classic());
        play.secret("pat", &[("token", &token)]);
        let _process = play.live(process, MINUTE / 2 + SECOND).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
    });
}

#[test]
fn a_revoked_token_stops_all_calls_until_there_is_another_one() {
    simulate(async || {
        let (play, token, process) = with_pat().await;
        play.world().revoke_pat(&token);
        let session = process.session("acme");
        let slug = "acme".parse().unwrap();
        let list = supabase_operator::management::organization_projects(
            &slug,
            0,
            100,
            supabase_operator::management::Sort::OldestFirst,
        );
        let before = play.calls();
        for _ in 0..5 {
            assert!(session.send("team-a", &list).await.is_err());
        }
        let process = play.live(process, HOUR).await.unwrap();
        assert!(play.calls() - before <= 3, "{}", play.calls() - before);
        assert_eq!(play.ready("acme"), "False/Unauthorized");
        let another = play.world().add_pat(Pat::classic());
        play.secret("pat", &[("token", &another)]);
        let _process = play.live(process, MINUTE / 2 + SECOND).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        assert!(session.send("team-a", &list).await.is_ok());
    });
}

#[test]
fn a_token_without_the_right_to_list_organizations_works_with_a_pin() {
    simulate(async || {
        let play = play();
        let permissions =
            Permissions { write: true, without: ["organizations_read".to_owned()].into() };
        let token = play.world().add_pat(Pat::for_organizations(&["acme"], permissions));
        play.secret("pat", &[("token", &token)]);
        play.connection("acme", &pat());
        let process = play.live(play.start(), MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "False/MissingScope");
        play.api().change_by_hand(
            &format!("{CONNECTIONS}/acme"),
            &json!({"spec": {"organizationSlug": "acme"}}),
        );
        let process = play.live(process, MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        assert!(process.session("acme").may_be_limited_to_projects(), "a scoped token");
    });
}

#[test]
fn an_organization_that_is_not_seen_is_not_admitted() {
    simulate(async || {
        let (play, _, process) = with_pat().await;
        play.api().change_by_hand(
            &format!("{CONNECTIONS}/acme"),
            &json!({"spec": {"organizationSlug": "other"}}),
        );
        let process = play.live(process, SECOND).await.unwrap();
        assert_eq!(play.ready("acme"), "False/OrganizationNotAllowed");
        assert!(process.session("acme").state() != SessionState::Usable);
    });
}

#[test]
fn a_platform_that_is_away_is_waited_for() {
    simulate(async || {
        let play = play();
        let token = play.world().add_pat(Pat::classic());
        play.secret("pat", &[("token", &token)]);
        play.connection("acme", &pat());
        let away = Fault::on("GET", "/v1/organizations", FaultKind::Html(503)).times(4);
        play.world().script(away);
        let process = play.live(play.start(), SECOND).await.unwrap();
        assert_eq!(play.ready("acme"), "False/PlatformUnavailable");
        let _process = play.live(process, MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
    });
}

#[test]
fn a_person_can_ask_for_a_look() {
    simulate(async || {
        let (play, token, process) = with_pat().await;
        let before = play.calls();
        play.api().change_by_hand(
        &format!("{CONNECTIONS}/acme"),
        &json!({"metadata": {"annotations": {"supabase-operator.dev/reconcile-requested-at": "now"}}}),
    );
        let process = play.live(process, SECOND).await.unwrap();
        assert_eq!(play.calls(), before + 1);
        let handled = play.api()
        .get(&format!("{CONNECTIONS}/acme"))
        .unwrap()["status"]["lastHandledReconcileAt"]
        .clone();
        assert_eq!(handled, "now");
        let _process = play.live(process, HOUR).await.unwrap();
        assert_eq!(play.calls(), before + 1);
        drop(token);
    });
}

#[test]
fn a_refresh_takes_three_writes_and_comes_in_time() {
    simulate(async || {
        let (play, process) = with_oauth().await;
        assert_eq!(play.token_calls(), 1);
        let (called, written) = (play.calls(), play.writes());
        let process = play.live(process, MINUTE * 29).await.unwrap();
        assert_eq!(play.token_calls(), 1, "before half of its life");
        assert_eq!((play.calls(), play.writes()), (called, written));
        let process = play.live(process, MINUTE * 16).await.unwrap();
        assert_eq!(play.token_calls(), 2, "by three quarters");
        assert_eq!(play.writes() - written, 3);
        // The token call, and the first use of its result.
        assert_eq!(play.calls() - called, 2);
        let _process = play.live(process, HOUR * 24).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        assert!(
            play.tokens().seen().violations.is_empty(),
            "{:?}",
            play.tokens().seen().violations
        );
        let refused = play.answered(401);
        assert_eq!(refused, 0);
    });
}

#[test]
fn the_state_secret_says_whose_it_is_and_holds_what_is_promised() {
    simulate(async || {
        let (play, _process) = with_oauth().await;
        let server = play.api();
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
        assert!(!play.secret_value("acme-oauth-state", "consumed").unwrap().contains("sbp_"));
    });
}

#[test]
fn a_seed_with_an_access_token_costs_no_refresh_before_it_is_due() {
    simulate(async || {
        let play = play();
        let pair = play.authorize();
        let ends = (play.now() + jiff::SignedDuration::from_secs(3600)).as_second().to_string();
        play.secret(
            "acme-seed",
            &[
                ("refresh_token", &pair.refresh_token),
                ("access_token", &pair.access_token),
                ("expires_at", &ends),
            ],
        );
        play.oauth("acme");
        let process = play.live(play.start(), MINUTE * 29).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
        assert_eq!(play.token_calls(), 0);
        assert_eq!(
            play.secret_value("acme-oauth-state", "refresh_token"),
            Some(pair.refresh_token)
        );
        let _process = play.live(process, MINUTE * 16).await.unwrap();
        assert_eq!(play.token_calls(), 1);
        assert_eq!(play.ready("acme"), "True/Authenticated");
    });
}

#[test]
fn a_lone_access_token_is_read_again_when_somebody_renews_it() {
    simulate(async || {
        let play = play();
        let first = play.authorize();
        play.secret("acme-seed", &[("access_token", &first.access_token)]);
        play.oauth("acme");
        let process = play.live(play.start(), MINUTE * 59).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        let session = process.session("acme");
        let second = play.authorize();
        play.secret("acme-seed", &[("access_token", &second.access_token)]);
        let process = play.live(process, MINUTE * 2).await.unwrap();
        assert!(
            session.send("team-a", &supabase_operator::management::organizations()).await.is_ok()
        );
        let process = play.live(process, HOUR).await.unwrap();
        assert!(
            session.send("team-a", &supabase_operator::management::organizations()).await.is_err()
        );
        let _process = play.live(process, MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "False/Unauthorized");
        assert_eq!(play.token_calls(), 0);
        assert!(play.api().get(&format!("{SECRETS}/acme-oauth-state")).is_none());
    });
}

#[test]
fn a_wrong_app_secret_costs_no_token() {
    simulate(async || {
        let play = play();
        play.secret("app", &[("client_id", &play.app().client_id), ("client_secret", "wrong")]);
        play.seed("acme", &play.authorize().refresh_token);
        play.oauth("acme");
        let process = play.live(play.start(), HOUR).await.unwrap();
        assert_eq!(play.ready("acme"), "False/SecretInvalid");
        assert!(
            play.message("acme").contains("client_id or client_secret"),
            "{}",
            play.message("acme")
        );
        assert!(play.token_calls() <= 5, "{}", play.token_calls());
        let app = play.app();
        play.secret("app", &[("client_id", &app.client_id), ("client_secret", &app.client_secret)]);
        let _process = play.live(process, MINUTE * 2).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
    });
}

#[test]
fn another_app_may_try_what_one_app_was_refused() {
    simulate(async || {
        let play = play();
        let stranger = play.world().register_app(&[], simulated_platform::ALL_SCOPES);
        let secret = |app: &simulated_platform::App| {
            play.secret(
                "app",
                &[("client_id", &app.client_id), ("client_secret", &app.client_secret)],
            );
        };
        secret(&stranger);
        play.seed("acme", &play.authorize().refresh_token);
        play.oauth("acme");
        let process = play.live(play.start(), HOUR).await.unwrap();
        assert_eq!(play.ready("acme"), "False/ReauthorizationRequired");
        assert_eq!(play.token_calls(), 1);
        secret(&play.app());
        let _process = play.live(process, MINUTE * 2).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
    });
}

#[test]
fn a_throttled_token_endpoint_is_left_alone_for_as_long_as_it_says() {
    simulate(async || {
        let play = play();
        let busy =
            Fault::on("POST", "/v1/oauth/token", FaultKind::RetryAfter(429, "120".to_owned()));
        play.world().script(busy);
        play.seed("acme", &play.authorize().refresh_token);
        play.oauth("acme");
        let process = play.live(play.start(), SECOND * 119).await.unwrap();
        assert_eq!(play.ready("acme"), "False/RateLimited");
        assert_eq!(play.token_calls(), 1);
        let _process = play.live(process, MINUTE * 2).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        assert_eq!(play.token_calls(), 2);
    });
}

#[test]
fn a_seed_that_comes_back_is_never_sent_again() {
    simulate(async || {
        let play = play();
        let old = play.authorize().refresh_token;
        play.seed("acme", &old);
        play.oauth("acme");
        let process = play.live(play.start(), MINUTE).await.unwrap();
        let new = play.authorize().refresh_token;
        play.seed("acme", &new);
        let process = play.live(process, MINUTE * 2).await.unwrap();
        assert_eq!(play.token_calls(), 2);
        // A revert in Git, and a new process that remembers nothing.
        play.seed("acme", &old);
        let process = play.live(process, MINUTE * 3).await.unwrap();
        process.die().await;
        let _process = play.live(play.start(), MINUTE * 20).await.unwrap();
        assert_eq!(play.token_calls(), 2);
        assert_eq!(play.ready("acme"), "True/Authenticated", "the chain goes on");
        assert_eq!(play.tokens().seen().sent.iter().filter(|token| **token == old).count(), 1);
    });
}

#[test]
fn a_seed_that_does_not_work_leaves_what_works_in_use() {
    simulate(async || {
        let (play, process) = with_oauth().await;
        let before = play.secret_value("acme-oauth-state", "refresh_token");
        play.seed("acme", "no-such-token");
        let process = play.live(process, MINUTE * 3).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        assert!(play.message("acme").contains("acme-seed"), "{}", play.message("acme"));
        assert_eq!(play.secret_value("acme-oauth-state", "refresh_token"), before);
        assert_eq!(play.token_calls(), 2);
        let _process = play.live(process, MINUTE * 20).await.unwrap();
        assert_eq!(play.token_calls(), 2, "tried once");
    });
}

#[test]
fn two_connections_never_spend_one_token() {
    simulate(async || {
        let play = play();
        let token = play.authorize().refresh_token;
        for name in ["one", "two"] {
            play.seed(name, &token);
            play.oauth(name);
        }
        let process = play.live(play.start(), HOUR).await.unwrap();
        assert_eq!(play.ready("one"), "True/Authenticated");
        assert_eq!(play.ready("two"), "False/CredentialShared");
        assert!(!play.message("two").contains("one "), "{}", play.message("two"));
        assert_eq!(play.tokens().seen().sent.iter().filter(|sent| **sent == token).count(), 1);
        // A new process knows it too, although the token was spent long ago.
        process.die().await;
        let process = play.live(play.start(), MINUTE * 10).await.unwrap();
        assert_eq!(play.ready("two"), "False/CredentialShared");
        play.seed("two", &play.authorize().refresh_token);
        let _process = play.live(process, MINUTE * 2).await.unwrap();
        assert_eq!(play.ready("two"), "True/Authenticated", "{}", play.message("two"));
        assert_eq!(play.ready("one"), "True/Authenticated");
    });
}

#[test]
fn what_a_connection_has_spent_is_known_before_its_first_pass() {
    simulate(async || {
        let play = play();
        let token = play.authorize().refresh_token;
        play.seed("zed", &token);
        play.oauth("zed");
        let process = play.live(play.start(), MINUTE).await.unwrap();
        assert_eq!(play.ready("zed"), "True/Authenticated");
        // Its seed is replaced, so that only its state Secret knows the old one.
        play.seed("zed", &play.authorize().refresh_token);
        let process = play.live(process, MINUTE * 2).await.unwrap();
        process.die().await;
        play.seed("abe", &token);
        play.oauth("abe");
        let _process = play.live(play.start(), MINUTE * 10).await.unwrap();
        assert_eq!(play.ready("abe"), "False/CredentialShared");
        assert_eq!(play.tokens().seen().sent.iter().filter(|sent| **sent == token).count(), 1);
    });
}

#[test]
fn a_secret_of_somebody_else_is_not_written() {
    simulate(async || {
        let play = play();
        play.secret("acme-oauth-state", &[("mine", "x")]);
        play.seed("acme", &play.authorize().refresh_token);
        play.oauth("acme");
        let process = play.live(play.start(), HOUR).await.unwrap();
        assert_eq!(play.ready("acme"), "False/SecretInvalid");
        assert!(play.message("acme").contains("acme-oauth-state"), "{}", play.message("acme"));
        assert_eq!(play.token_calls(), 0);
        assert_eq!(play.secret_value("acme-oauth-state", "mine").as_deref(), Some("x"));
        play.api().delete_by_hand(&format!("{SECRETS}/acme-oauth-state"));
        let _process = play.live(process, MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
    });
}

#[test]
fn a_damaged_state_is_not_trusted() {
    simulate(async || {
        let (play, process) = with_oauth().await;
        play.api().change_by_hand(
            &format!("{SECRETS}/acme-oauth-state"),
            &json!({"stringData": {"consumed": "nonsense"}}),
        );
        let _process = play.live(process, HOUR).await.unwrap();
        assert_eq!(play.ready("acme"), "False/SecretInvalid");
        assert_eq!(play.token_calls(), 1);
    });
}

#[test]
fn a_recreated_connection_goes_on_with_the_chain_of_its_predecessor() {
    simulate(async || {
        let (play, process) = with_oauth().await;
        process.die().await;
        // Somebody removed the finalizer by force.
        let path = format!("{CONNECTIONS}/acme");
        play.remove_by_force(&path);
        play.oauth("acme");
        let _process = play.live(play.start(), HOUR).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
        assert_eq!(play.token_calls(), 2, "its renewal, and no seed spent again");
        let server = play.api();
        let uid = server.get(&path).unwrap()["metadata"]["uid"].clone();
        let secret = server.get(&format!("{SECRETS}/acme-oauth-state")).unwrap();
        assert_eq!(secret["metadata"]["labels"]["supabase-operator.dev/owner-uid"], uid);
    });
}

#[test]
fn tokens_that_claim_to_end_at_once_cause_no_storm() {
    simulate(async || {
        for odd in [json!(0), json!(-5), json!("soon"), json!(1), json!(null), json!(1e18)] {
            let play = play();
            let odd_life =
                Fault::on("POST", "/v1/oauth/token", FaultKind::Merge(json!({"expires_in": odd})));
            play.world().script(odd_life.times(1000));
            play.seed("acme", &play.authorize().refresh_token);
            play.oauth("acme");
            let _process = play.live(play.start(), MINUTE * 30).await.unwrap();
            assert!(play.token_calls() <= 30, "{odd}: {}", play.token_calls());
            assert_eq!(play.ready("acme"), "True/Authenticated", "{odd}: {}", play.message("acme"));
        }
    });
}

#[test]
fn tokens_that_are_refused_as_soon_as_they_are_granted_are_not_asked_for_again() {
    simulate(async || {
        let play = Play::with_tokens(TokenMode::Strict, Duration::ZERO);
        play.seed("acme", &play.authorize().refresh_token);
        play.oauth("acme");
        let _process = play.live(play.start(), HOUR).await.unwrap();
        assert_eq!(play.ready("acme"), "False/ReauthorizationRequired");
        assert_eq!(play.token_calls(), 1);
    });
}

#[test]
fn a_grant_without_a_refresh_token_is_used_up_to_its_end() {
    simulate(async || {
        let play = play();
        let lone =
            Fault::on("POST", "/v1/oauth/token", FaultKind::Merge(json!({"refresh_token": null})));
        play.world().script(lone);
        play.seed("acme", &play.authorize().refresh_token);
        play.oauth("acme");
        let process = play.live(play.start(), MINUTE * 50).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        assert!(
            play.message("acme").contains("authorize again before"),
            "{}",
            play.message("acme")
        );
        let _process = play.live(process, MINUTE * 15).await.unwrap();
        assert_eq!(play.ready("acme"), "False/ReauthorizationRequired");
        assert_eq!(play.token_calls(), 1);
    });
}

#[test]
fn a_revoked_authorization_is_noticed_at_the_next_refresh() {
    simulate(async || {
        let (play, process) = with_oauth().await;
        let app = play.app();
        play.world().revoke_authorization(&app, "acme");
        let _process = play.live(process, HOUR * 5).await.unwrap();
        assert_eq!(play.ready("acme"), "False/ReauthorizationRequired");
        assert_eq!(play.token_calls(), 2);
    });
}

#[test]
fn a_revoked_authorization_stops_after_one_refresh() {
    simulate(async || {
        let (play, process) = with_oauth().await;
        let app = play.app();
        play.world().revoke_authorization(&app, "acme");
        let session = process.session("acme");
        assert!(
            session.send("team-a", &supabase_operator::management::organizations()).await.is_err()
        );
        let before = play.calls();
        let process = play.live(process, HOUR * 5).await.unwrap();
        assert_eq!(play.ready("acme"), "False/ReauthorizationRequired");
        assert!(play.calls() - before <= 2, "{}", play.calls() - before);
        play.seed("acme", &play.authorize().refresh_token);
        let _process = play.live(process, MINUTE * 2).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
        assert!(
            session.send("team-a", &supabase_operator::management::organizations()).await.is_ok()
        );
    });
}

#[test]
fn capabilities_show_what_calls_have_shown() {
    simulate(async || {
        let (play, process) = with_oauth().await;
        let app = play.app();
        play.world()
            .set_app_scopes(&app, &["organizations:read", "projects:read", "projects:write"]);
        let session = process.session("acme");
        let slug: supabase_operator::management::OrganizationSlug = "acme".parse().unwrap();
        let page = supabase_operator::management::organization_projects(
            &slug,
            0,
            100,
            supabase_operator::management::Sort::OldestFirst,
        );
        assert!(session.send("team-a", &page).await.is_ok());
        let _process = play.live(process, SECOND).await.unwrap();
        let server = play.api();
        let capabilities =
            &server.get(&format!("{CONNECTIONS}/acme")).unwrap()["status"]["capabilities"];
        assert_eq!(capabilities[0], json!({"name": "ListProjects", "status": "Available"}));
        assert_eq!(capabilities[3], json!({"name": "ReadPooler", "status": "Unknown"}));
    });
}

/// Projects that have something on the platform.
async fn projects(play: &Play, process: Living, names: &[&str]) -> Living {
    for name in names {
        play.project(name, json!({}));
    }
    let process = play.live(process, MINUTE).await.unwrap();
    assert!(names.iter().all(|name| play.is_ready(name)));
    process
}

#[test]
fn a_connection_in_use_is_kept_and_says_by_whom() {
    simulate(async || {
        let (play, process) = with_oauth().await;
        let process = projects(&play, process, &["a", "b", "c", "d"]).await;
        let path = format!("{CONNECTIONS}/acme");
        assert!(play.api().delete_by_hand(&path));
        // It goes on working, and renewing, for as long as it is needed.
        let process = play.live(process, HOUR * 2).await.unwrap();
        let (status, reason, message) = play.said("acme", "DeletionBlocked").unwrap();
        assert_eq!((status.as_str(), reason.as_str()), ("True", "InUse"));
        assert!(message.starts_with("4 projects use this connection (a, b, c, …)"), "{message}");
        assert_eq!(play.ready("acme"), "True/Authenticated");
        assert!(play.token_calls() > 2);
        for name in ["a", "b", "c", "d"] {
            play.api().delete_by_hand(&format!("{PROJECTS}/{name}"));
        }
        let process = play.live(process, MINUTE).await.unwrap();
        let server = play.api();
        assert!(server.get(&path).is_none());
        assert!(server.get(&format!("{SECRETS}/acme-oauth-state")).is_none());
        drop(server);
        assert!(process.term().sessions.find(&id("acme")).is_none());
    });
}

#[test]
fn a_reference_alone_holds_nothing() {
    simulate(async || {
        let (play, process) = with_oauth().await;
        play.project("stranger", json!({"suspend": true}));
        let process = play.live(process, SECOND).await.unwrap();
        play.api().delete_by_hand(&format!("{CONNECTIONS}/acme"));
        let _process = play.live(process, MINUTE).await.unwrap();
        assert!(play.api().get(&format!("{CONNECTIONS}/acme")).is_none());
    });
}

#[test]
fn tokens_outlive_their_namespace_for_as_long_as_they_are_needed() {
    simulate(async || {
        let (play, process) = with_oauth().await;
        play.project("a", json!({"deletionPolicy": "Delete"}));
        let process = play.live(process, MINUTE).await.unwrap();
        assert!(play.is_ready("a"));
        // What it has on the platform cannot be deleted yet.
        let away = Fault::on("DELETE", "/v1/projects/*", FaultKind::Html(503));
        play.world().script(away.times(10_000));
        play.api().delete_by_hand("/api/v1/namespaces/team-a");
        assert!(play.get(&format!("{SECRETS}/app")).is_none(), "the app's Secret is gone");
        let process = play.live(process, HOUR * 3).await.unwrap();
        assert!(play.stored("a").is_some());
        let session = process.session("acme");
        let sent = session.send("team-a", &supabase_operator::management::organizations()).await;
        assert!(sent.is_ok(), "{sent:?}");
        play.world().clear_script();
        let _process = play.live(process, MINUTE * 20).await.unwrap();
        assert!(play.get("/api/v1/namespaces/team-a").is_none());
    });
}

#[test]
fn the_last_token_that_worked_serves_deletions_when_its_secret_is_gone() {
    simulate(async || {
        let (play, _, process) = with_pat().await;
        let session = process.session("acme");
        let process = projects(&play, process, &["a"]).await;
        play.api().delete_by_hand(&format!("{SECRETS}/pat"));
        let _process = play.live(process, MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "False/SecretNotFound");
        assert!(session.state() != SessionState::Usable);
        assert!(
            session.send("team-a", &supabase_operator::management::organizations()).await.is_ok()
        );
    });
}

#[test]
fn only_what_is_needed_carries_a_finalizer() {
    simulate(async || {
        let (play, _, process) = with_pat().await;
        let finalizers = |play: &Play| {
            let server = play.api();
            server.get(&format!("{CONNECTIONS}/acme")).unwrap()["metadata"]["finalizers"].clone()
        };
        assert!(finalizers(&play).is_null());
        let session = process.term().sessions.find(&id("acme"));
        assert!(session.is_some());
        let process = play.live(process, SECOND).await.unwrap();
        assert_eq!(finalizers(&play), json!(["supabase-operator.dev/finalizer"]));
        play.api().delete_by_hand(&format!("{CONNECTIONS}/acme"));
        let _process = play.live(process, SECOND).await.unwrap();
        assert!(play.api().get(&format!("{CONNECTIONS}/acme")).is_none());
    });
}

#[test]
fn no_secret_gets_into_a_status_or_an_event() {
    simulate(async || {
        let play = Play::new(Config {
            token_mode: TokenMode::Strict,
            access_token_lifetime: HOUR,
            ..Config::instant()
        });
        play.seed("acme", &play.authorize().refresh_token);
        play.oauth("acme");
        let process = play.live(play.start(), HOUR).await.unwrap();
        play.seed("acme", "zq9-not-a-token-of-anybody");
        let process = play.live(process, HOUR).await.unwrap();
        let app = play.app();
        play.world().revoke_authorization(&app, "acme");
        let _process = play.live(process, HOUR).await.unwrap();
        let mut canaries = play.world().canaries();
        canaries.push("zq9-not-a-token-of-anybody".to_owned());
        let server = play.api();
        for write in server.ledger().writes().iter().filter(|write| write.resource != "secrets") {
            let text = format!("{:?}", write.after);
            assert!(!canaries.iter().any(|canary| text.contains(canary)), "{text}");
        }
        let events = server.ledger().writes_of("events").filter(|write| write.verb == Verb::Create);
        let events: Vec<_> =
            events.map(|write| write.after.clone().unwrap()["reason"].clone()).collect();
        assert!(events.len() >= 2, "{events:?}");
        let posts = play.world().ledger().count(&Method::POST, "/v1/oauth/token");
        assert!(posts >= 3);
    });
}

#[test]
fn a_new_secret_is_tried_at_once_however_long_the_old_one_has_failed() {
    simulate(async || {
        let play = play();
        let odd = Fault::on("GET", "/v1/organizations", FaultKind::Garbage).times(10_000);
        play.world().script(odd);
        let token = play.world().add_pat(Pat::classic());
        play.secret("pat", &[("token", &token)]);
        play.connection("acme", &pat());
        let process = play.live(play.start(), HOUR * 5).await.unwrap();
        assert_eq!(play.ready("acme"), "False/PlatformUnavailable");
        assert!(play.calls() <= 40, "{} calls in five hours", play.calls());
        play.world().clear_script();
        let another = play.world().add_pat(Pat::classic());
        play.secret("pat", &[("token", &another)]);
        let _process = play.live(process, MINUTE / 2 + SECOND).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
    });
}

#[test]
fn a_seed_that_cannot_be_tried_does_not_harm_what_works() {
    simulate(async || {
        let (play, process) = with_oauth().await;
        let pair = play.authorize();
        play.secret(
            "acme-seed",
            &[("refresh_token", &pair.refresh_token), ("access_token", &pair.access_token)],
        );
        let odd = Fault::on("GET", "/v1/organizations", FaultKind::Garbage).times(10_000);
        play.world().script(odd);
        let process = play.live(process, MINUTE * 43).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
        assert!(play.message("acme").contains("but:"), "{}", play.message("acme"));
        assert_eq!(play.token_calls(), 2, "renewed meanwhile");
        play.world().clear_script();
        let _process = play.live(process, MINUTE * 16).await.unwrap();
        assert_eq!(
            play.secret_value("acme-oauth-state", "refresh_token"),
            Some(pair.refresh_token)
        );
    });
}

#[test]
fn a_connection_is_settled_by_its_first_probe_even_if_the_platform_is_down() {
    simulate(async || {
        let play = Play::with_tokens(TokenMode::Strict, HOUR);
        let token = play.world().add_pat(Pat::classic());
        play.secret("pat", &[("token", &token)]);
        play.connection(
            "acme",
            &json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}}),
        );
        let down = Fault::on("GET", "/v1/organizations", FaultKind::Status(503, "{}".to_owned()));
        play.world().script(down.times(1000));
        let process = play.start();
        let sessions = process.begun().await.sessions.clone();
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
        let process = play.live(process, Duration::from_secs(2)).await.unwrap();
        assert_eq!(play.ready("acme"), "False/PlatformUnavailable");
        play.world().clear_script();
        let _process = play.live(process, 10 * MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
    });
}

#[test]
fn a_pass_that_comes_while_the_claim_is_being_renewed_is_made_soon_after() {
    simulate(async || {
        let play = Play::with_tokens(TokenMode::Strict, HOUR);
        let token = play.world().add_pat(Pat::classic());
        play.secret("pat", &[("token", &token)]);
        let process = play.start();
        process.leadership.claim_until(Duration::ZERO);
        play.connection(
            "acme",
            &json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}}),
        );
        let process = play.live(process, Duration::from_secs(1)).await.unwrap();
        assert_eq!(play.ready("acme"), "nothing", "nothing is done without the claim");
        process.leadership.claim_until(24 * HOUR);
        let _process = play.live(process, Duration::from_secs(10)).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
    });
}

#[test]
fn another_key_of_the_operator_makes_no_spent_token_fresh_again() {
    simulate(async || {
        let play = Play::with_tokens(TokenMode::Strict, HOUR);
        play.seed("acme", &play.authorize().refresh_token);
        play.oauth("acme");
        let process = play.start();
        let process = play.live(process, 3 * HOUR).await.unwrap();
        let calls = play.token_calls();
        process.die().await;
        play.remove_by_force(KEYS);
        let process = play.start();
        let process = play.live(process, 3 * HOUR).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
        assert!(play.token_calls() > calls + 3, "the chain goes on");
        // Requeue, and a seed that is there before the tokens are used is still the old one.
        process.die().await;
        let process = play.start();
        let process = play.live(process, MINUTE).await.unwrap();
        // A new authorization is taken.
        let fresh = play.authorize().refresh_token;
        play.seed("acme", &fresh);
        let _process = play.live(process, 2 * HOUR).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        let sent = play.tokens().seen().sent.clone();
        assert!(sent.contains(&fresh));
        let once: std::collections::BTreeSet<_> = sent.iter().collect();
        assert_eq!(once.len(), sent.len(), "no token is sent twice");
    });
}

#[test]
fn another_key_of_the_operator_and_a_seed_that_is_missing_for_a_while_kill_no_chain() {
    simulate(async || {
        let play = Play::with_tokens(TokenMode::Strict, HOUR);
        let seed = play.authorize().refresh_token;
        play.seed("acme", &seed);
        play.oauth("acme");
        let process = play.start();
        let process = play.live(process, HOUR).await.unwrap();
        process.die().await;
        play.remove_by_force(KEYS);
        let seed_path = format!("{SECRETS}/acme-seed");
        assert!(play.api().delete_by_hand(&seed_path));
        let process = play.start();
        let process = play.live(process, HOUR).await.unwrap();
        play.seed("acme", &seed);
        let _process = play.live(process, 3 * HOUR).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        let sent = play.tokens().seen().sent.clone();
        assert_eq!(sent.iter().filter(|token| **token == seed).count(), 1);
    });
}
