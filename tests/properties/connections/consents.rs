//! What somebody who consented brought back comes into the token store, whatever happens on the way.

use jiff::SignedDuration;
use serde_json::{Value, json};
use simulated_platform::{Fault, FaultKind, SecondConsent, TokenMode, TokenPair};
use supabase_operator::api::labels;
use supabase_operator::session::token_store::{Grants, NotOpened, Pair};

use super::{HOUR, MINUTE};
use crate::sim::{CONNECTIONS, Faults, Phase, Plan, Play, SECRETS, simulate};

const NAME: &str = "acme-oauth-grants";

fn set(mode: TokenMode) -> Play {
    let play = Play::with_tokens(mode, HOUR);
    play.connection("acme", &json!({"oauth": {"appSecretRef": {"name": "app"}}}));
    play
}

fn grants(play: &Play) -> Grants {
    let uid = play.api().get(&format!("{CONNECTIONS}/acme")).unwrap()["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let client = play.client(&Faults::new(&[]));
    Grants::new(client, "team-a".to_owned(), NAME.to_owned(), uid)
}

fn pair(play: &Play, tokens: &TokenPair) -> Pair {
    Pair {
        access: tokens.access_token.as_str().into(),
        refresh: tokens.refresh_token.as_str().into(),
        expires_at: play.now().checked_add(SignedDuration::from_secs(3600)).ok(),
        limited: false,
    }
}

/// Goes through a flow, as a replica does that serves the callback.
async fn consent(play: &Play, flow: &str, tokens: &TokenPair) {
    let grants = grants(play);
    let ends_at = play.now() + SignedDuration::from_secs(600);
    grants.open(flow, ends_at, play.now()).await.unwrap();
    grants.put(flow, Some(&pair(play, tokens))).await.unwrap();
}

fn there(play: &Play) -> Option<Value> {
    play.api().get(&format!("{SECRETS}/{NAME}")).cloned()
}

#[test]
fn what_a_consent_brings_bears_what_the_connection_declares() {
    simulate(async || {
        let play = set(TokenMode::Strict);
        let template = serde_json::from_value(json!({"labels": {"team-a": "db"}})).unwrap();
        let grants = grants(&play).bearing(Some(&template));
        let ends_at = play.now() + SignedDuration::from_secs(600);
        grants.open("flow-1", ends_at, play.now()).await.unwrap();
        let labels = there(&play).unwrap()["metadata"]["labels"].clone();
        assert_eq!(labels["team-a"], "db");
        assert_eq!(labels[labels::ROLE], labels::ROLE_OAUTH_GRANTS);
    });
}

#[test]
fn a_grant_makes_a_connection_without_tokens_ready_and_leaves_nothing_behind() {
    simulate(async || {
        let play = set(TokenMode::Strict);
        let process = play.live(play.start(), MINUTE).await.unwrap();
        assert_ne!(play.ready("acme"), "True/Authenticated");
        let tokens = play.authorize();
        consent(&play, "flow-1", &tokens).await;
        let process = play.live(process, MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
        assert_eq!(play.token_calls(), 0, "the pair was taken as it is");
        let held = play.secret_value("acme-oauth-state", "refresh_token");
        assert_eq!(held, Some(tokens.refresh_token));
        assert!(play.told("Authorized") && !play.told("RefreshFailed"));
        let entry = play.secret_value(NAME, "flow-1").unwrap();
        assert!(!entry.contains("token"), "in the token store, so not here any more: {entry}");
        // The entry stays for as long as its flow could be gone through once more.
        let again = grants(&play)
            .open("flow-1", play.now() + SignedDuration::from_secs(600), play.now())
            .await;
        assert!(matches!(again, Err(NotOpened::Replayed)), "{again:?}");
        let process = play.live(process, 12 * MINUTE).await.unwrap();
        assert_eq!(there(&play), None);
        let _process = play.live(process, 2 * HOUR).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        assert!(play.token_calls() >= 2, "it is kept alive like any other");
    });
}

#[test]
fn a_grant_brings_a_connection_back_whose_tokens_are_dead() {
    simulate(async || {
        let play = Play::with_tokens(TokenMode::Strict, HOUR);
        play.seed("acme", &play.authorize().refresh_token);
        play.oauth("acme");
        let process = play.live(play.start(), MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        let app = play.app();
        play.world().revoke_authorization(&app, "acme");
        let process = play.live(process, HOUR).await.unwrap();
        assert_eq!(play.ready("acme"), "False/ReauthorizationRequired");
        assert!(play.told("RefreshFailed"));
        let before = play.token_calls();
        consent(&play, "flow-1", &play.authorize()).await;
        let _process = play.live(process, MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
        assert_eq!(play.token_calls(), before);
    });
}

#[test]
fn where_a_second_consent_ends_the_first_the_other_connection_says_so_and_rests() {
    simulate(async || {
        let play = set(TokenMode::Strict);
        play.world().config_mut().second_consent = SecondConsent::EndsTheFirst;
        play.seed("sibling", &play.authorize().refresh_token);
        play.oauth("sibling");
        let process = play.live(play.start(), MINUTE).await.unwrap();
        assert_eq!(play.ready("sibling"), "True/Authenticated");
        let before = play.token_calls();
        consent(&play, "flow-1", &play.authorize()).await;
        let process = play.live(process, HOUR).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        assert_eq!(play.ready("sibling"), "False/ReauthorizationRequired");
        let refreshed_by_acme = 1;
        let calls = play.token_calls() - before;
        assert!(calls <= 2 + refreshed_by_acme, "{calls} token calls");
        // Consenting once more for the one that lives replaces its pair, although that was just ended.
        consent(&play, "flow-2", &play.authorize()).await;
        let _process = play.live(process, HOUR).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
    });
}

#[test]
fn a_grant_of_another_organization_is_discarded_and_not_revoked() {
    simulate(async || {
        let play = Play::with_tokens(TokenMode::Strict, HOUR);
        play.world().add_organization("other", "Other", simulated_platform::Plan::Pro);
        let connection = json!({
            "metadata": {"name": "acme"},
            "spec": {"auth": {"oauth": {"appSecretRef": {"name": "app"}}}, "organizationSlug": "acme"},
        });
        play.api().create_by_hand(CONNECTIONS, &connection).unwrap();
        let process = play.live(play.start(), MINUTE).await.unwrap();
        let (app, now) = (play.app(), play.now());
        let foreign = play.world().authorize(&app, "other", now).unwrap();
        consent(&play, "flow-1", &foreign).await;
        let process = play.live(process, MINUTE).await.unwrap();
        assert_ne!(play.ready("acme"), "True/Authenticated");
        assert_eq!(play.secret_value("acme-oauth-state", "refresh_token"), None);
        let entry = play.secret_value(NAME, "flow-1").unwrap();
        assert!(!entry.contains("token"), "{entry}");
        assert!(play.told("ConsentDiscarded") && !play.told("Authorized"));
        let living = play.world().acceptable_refresh_tokens();
        assert!(living.contains(&foreign.refresh_token), "somebody else may be using it");
        // The right one is taken all the same.
        consent(&play, "flow-2", &play.authorize()).await;
        let _process = play.live(process, MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
    });
}

#[test]
fn a_grant_survives_a_crash_at_every_effect_on_its_way() {
    simulate(async || {
        let mut runs = 0;
        for mode in [TokenMode::Strict, TokenMode::FamilyRevocation] {
            for at in 0.. {
                let mut crashed = false;
                for cut in [Phase::Before, Phase::During] {
                    let play = set(mode);
                    let process = play.live(play.start(), MINUTE).await.unwrap();
                    let tokens = play.authorize();
                    consent(&play, "flow-1", &tokens).await;
                    play.faults.interrupt(Some(Plan { effect: at, phase: cut }));
                    let process = if let Some(process) = play.live(process, MINUTE).await {
                        process
                    } else {
                        crashed = true;
                        play.live(play.start(), 2 * MINUTE).await.unwrap()
                    };
                    runs += 1;
                    assert_eq!(play.ready("acme"), "True/Authenticated", "{mode:?} {at} {cut:?}");
                    let held = play.secret_value("acme-oauth-state", "refresh_token");
                    assert_eq!(held.as_ref(), Some(&tokens.refresh_token), "{mode:?} {at} {cut:?}");
                    process.die().await;
                }
                if !crashed {
                    break;
                }
            }
        }
        assert!(runs > 10, "{runs}");
    });
}

/// A connection that revokes when it goes, another one of the same app, and what becomes of the authorization.
async fn deleted_with(sibling: bool, broken: bool) -> (Play, bool) {
    let play = Play::with_tokens(TokenMode::Strict, HOUR);
    play.seed("acme", &play.authorize().refresh_token);
    let oauth = |seed: &str| {
        json!({
            "appSecretRef": {"name": "app"}, "tokenSecretRef": {"name": seed}, "revokeOnDelete": true,
        })
    };
    play.connection("acme", &json!({"oauth": oauth("acme-seed")}));
    if sibling {
        play.seed("sibling", &play.authorize().refresh_token);
        play.connection("sibling", &json!({"oauth": oauth("sibling-seed")}));
    }
    let process = play.live(play.start(), MINUTE).await.unwrap();
    assert_eq!(play.ready("acme"), "True/Authenticated");
    if broken {
        let down = Fault::on("POST", "/v1/oauth/revoke", FaultKind::Stall);
        play.world().script(down.times(10));
    }
    play.api().delete_by_hand(&format!("{CONNECTIONS}/acme"));
    process.die().await;
    let process = play.live(play.start(), 5 * MINUTE).await.unwrap();
    let gone = play.api().get(&format!("{CONNECTIONS}/acme")).is_none();
    assert!(gone, "it goes whatever the platform says");
    process.die().await;
    let calls = play.world().ledger().count(&http::Method::POST, "/v1/oauth/revoke");
    (play, calls > 0)
}

#[test]
fn the_last_connection_of_an_app_ends_its_authorization_if_that_is_wanted() {
    simulate(async || {
        let (play, asked) = deleted_with(false, false).await;
        assert!(asked);
        assert!(play.world().acceptable_refresh_tokens().is_empty());
        assert!(play.told("Revoked"));
    });
}

#[test]
fn while_another_connection_uses_the_app_nothing_is_revoked() {
    simulate(async || {
        let (play, asked) = deleted_with(true, false).await;
        assert!(!asked);
        assert_eq!(play.ready("sibling"), "True/Authenticated");
    });
}

#[test]
fn a_platform_that_does_not_answer_holds_up_no_deletion() {
    simulate(async || {
        let (play, asked) = deleted_with(false, true).await;
        assert!(asked);
        assert!(play.told("RevocationFailed") && !play.told("Revoked"));
        assert!(!play.world().acceptable_refresh_tokens().is_empty(), "nothing came of it");
    });
}
