//! The life of a pair of tokens: when it is renewed, what that costs, and how it ends.

use std::time::Duration;

use serde_json::json;
use simulated_platform::{Fault, FaultKind, TokenMode};
use supabase_operator::management::organizations;

use super::{HOUR, MINUTE, SECOND, play, with_oauth};
use crate::sim::{CONNECTIONS, Play, SECRETS, simulate};

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
        assert!(session.send("team-a", &organizations()).await.is_ok());
        let process = play.live(process, HOUR).await.unwrap();
        assert!(session.send("team-a", &organizations()).await.is_err());
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
        assert!(session.send("team-a", &organizations()).await.is_err());
        let before = play.calls();
        let process = play.live(process, HOUR * 5).await.unwrap();
        assert_eq!(play.ready("acme"), "False/ReauthorizationRequired");
        assert!(play.calls() - before <= 2, "{}", play.calls() - before);
        play.seed("acme", &play.authorize().refresh_token);
        let _process = play.live(process, MINUTE * 2).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
        assert!(session.send("team-a", &organizations()).await.is_ok());
    });
}
