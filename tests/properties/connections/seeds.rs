//! Seeds: which refresh tokens are sent, which never are, and who may send which.

use serde_json::json;
use simulated_platform::{ALL_SCOPES, App, Fault, FaultKind, TokenMode};

use super::{HOUR, MINUTE, play, with_oauth};
use crate::sim::{CONNECTIONS, Play, SECRETS, simulate};

/// Where the operator keeps its own key.
const KEYS: &str = "/api/v1/namespaces/supabase-system/secrets/supabase-operator-keys";

#[test]
fn another_app_may_try_what_one_app_was_refused() {
    simulate(async || {
        let play = play();
        let stranger = play.world().register_app(&[], ALL_SCOPES);
        let secret = |app: &App| {
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
