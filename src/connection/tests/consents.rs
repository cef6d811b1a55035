//! What somebody who consented brought back comes into the token store, whatever happens on the way.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use simulated_platform::{Fault, FaultKind, SecondConsent, TokenMode, TokenPair};

use super::stage::*;
use crate::api::labels;
use crate::session::token_store::{Grants, NotOpened, Pair};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const NAME: &str = "acme-oauth-grants";

fn set(mode: TokenMode) -> Stage {
    let stage = Stage::with_tokens(mode, HOUR);
    stage.connection("acme", &json!({"oauth": {"appSecretRef": {"name": "app"}}}));
    stage
}

fn grants(stage: &Stage) -> Grants {
    let uid = stage.api.server().get(&format!("{CONNECTIONS}/acme")).unwrap()["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let client = kube::Client::new(stage.api.clone(), "team");
    Grants::new(client, "team".to_owned(), NAME.to_owned(), uid)
}

fn pair(stage: &Stage, tokens: &TokenPair) -> Pair {
    Pair {
        access: tokens.access_token.as_str().into(),
        refresh: tokens.refresh_token.as_str().into(),
        expires_at: stage.now().checked_add(SignedDuration::from_secs(3600)).ok(),
        limited: false,
    }
}

/// Goes through a flow, as a replica does that serves the callback.
async fn consent(stage: &Stage, flow: &str, tokens: &TokenPair) {
    let grants = grants(stage);
    let ends_at = stage.now() + SignedDuration::from_secs(600);
    grants.open(flow, ends_at, stage.now()).await.unwrap();
    grants.put(flow, Some(&pair(stage, tokens))).await.unwrap();
}

fn there(stage: &Stage) -> Option<Value> {
    stage.api.server().get(&format!("{SECRETS}/{NAME}")).cloned()
}

/// Whether an event with this reason was published.
fn told(stage: &Stage, reason: &str) -> bool {
    let server = stage.api.server();
    server
        .ledger()
        .writes_of("events")
        .filter_map(|write| write.after.as_ref())
        .any(|event| event["reason"] == reason)
}

#[tokio::test(start_paused = true)]
async fn what_a_consent_brings_bears_what_the_connection_declares() {
    let stage = set(TokenMode::Strict);
    let template = serde_json::from_value(json!({"labels": {"team": "db"}})).unwrap();
    let grants = grants(&stage).bearing(Some(&template));
    let ends_at = stage.now() + SignedDuration::from_secs(600);
    grants.open("flow-1", ends_at, stage.now()).await.unwrap();
    let labels = there(&stage).unwrap()["metadata"]["labels"].clone();
    assert_eq!(labels["team"], "db");
    assert_eq!(labels[labels::ROLE], labels::ROLE_OAUTH_GRANTS);
}

#[tokio::test(start_paused = true)]
async fn a_grant_makes_a_connection_without_tokens_ready_and_leaves_nothing_behind() {
    let stage = set(TokenMode::Strict);
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    assert_ne!(stage.ready("acme"), "True/Authenticated");
    let tokens = stage.authorize();
    consent(&stage, "flow-1", &tokens).await;
    let process = stage.live(process, MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated", "{}", stage.message("acme"));
    assert_eq!(stage.token_calls(), 0, "the pair was taken as it is");
    let held = stage.stored("acme-oauth-state", "refresh_token");
    assert_eq!(held, Some(tokens.refresh_token));
    assert!(told(&stage, "Authorized") && !told(&stage, "RefreshFailed"));
    let entry = stage.stored(NAME, "flow-1").unwrap();
    assert!(!entry.contains("token"), "in the token store, so not here any more: {entry}");
    // The entry stays for as long as its flow could be gone through once more.
    let again = grants(&stage)
        .open("flow-1", stage.now() + SignedDuration::from_secs(600), stage.now())
        .await;
    assert!(matches!(again, Err(NotOpened::Replayed)), "{again:?}");
    let process = stage.live(process, 12 * MINUTE).await.unwrap();
    assert_eq!(there(&stage), None);
    let _process = stage.live(process, 2 * HOUR).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    assert!(stage.token_calls() >= 2, "it is kept alive like any other");
}

#[tokio::test(start_paused = true)]
async fn a_grant_brings_a_connection_back_whose_tokens_are_dead() {
    let stage = Stage::with_tokens(TokenMode::Strict, HOUR);
    stage.seed("acme", &stage.authorize().refresh_token);
    stage.oauth("acme");
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    let app = stage.app.clone();
    stage.world().revoke_authorization(&app, "acme");
    let process = stage.live(process, HOUR).await.unwrap();
    assert_eq!(stage.ready("acme"), "False/ReauthorizationRequired");
    assert!(told(&stage, "RefreshFailed"));
    let before = stage.token_calls();
    consent(&stage, "flow-1", &stage.authorize()).await;
    let _process = stage.live(process, MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated", "{}", stage.message("acme"));
    assert_eq!(stage.token_calls(), before);
}

#[tokio::test(start_paused = true)]
async fn where_a_second_consent_ends_the_first_the_other_connection_says_so_and_rests() {
    let stage = set(TokenMode::Strict);
    stage.world().config_mut().second_consent = SecondConsent::EndsTheFirst;
    stage.seed("sibling", &stage.authorize().refresh_token);
    stage.oauth("sibling");
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    assert_eq!(stage.ready("sibling"), "True/Authenticated");
    let before = stage.token_calls();
    consent(&stage, "flow-1", &stage.authorize()).await;
    let process = stage.live(process, HOUR).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    assert_eq!(stage.ready("sibling"), "False/ReauthorizationRequired");
    let refreshed_by_acme = 1;
    let calls = stage.token_calls() - before;
    assert!(calls <= 2 + refreshed_by_acme, "{calls} token calls");
    // Consenting once more for the one that lives replaces its pair, although that was just ended.
    consent(&stage, "flow-2", &stage.authorize()).await;
    let _process = stage.live(process, HOUR).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
}

#[tokio::test(start_paused = true)]
async fn a_grant_of_another_organization_is_discarded_and_not_revoked() {
    let stage = Stage::with_tokens(TokenMode::Strict, HOUR);
    stage.world().add_organization("other", "Other", simulated_platform::Plan::Pro);
    let connection = json!({
        "metadata": {"name": "acme"},
        "spec": {"auth": {"oauth": {"appSecretRef": {"name": "app"}}}, "organizationSlug": "acme"},
    });
    stage.api.server().create_by_hand(CONNECTIONS, &connection).unwrap();
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    let (app, now) = (stage.app.clone(), stage.now());
    let foreign = stage.world().authorize(&app, "other", now).unwrap();
    consent(&stage, "flow-1", &foreign).await;
    let process = stage.live(process, MINUTE).await.unwrap();
    assert_ne!(stage.ready("acme"), "True/Authenticated");
    assert_eq!(stage.stored("acme-oauth-state", "refresh_token"), None);
    let entry = stage.stored(NAME, "flow-1").unwrap();
    assert!(!entry.contains("token"), "{entry}");
    assert!(told(&stage, "ConsentDiscarded") && !told(&stage, "Authorized"));
    let living = stage.world().acceptable_refresh_tokens();
    assert!(living.contains(&foreign.refresh_token), "somebody else may be using it");
    // The right one is taken all the same.
    consent(&stage, "flow-2", &stage.authorize()).await;
    let _process = stage.live(process, MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated", "{}", stage.message("acme"));
}

#[tokio::test(start_paused = true)]
async fn a_grant_survives_a_crash_at_every_effect_on_its_way() {
    let mut runs = 0;
    for mode in [TokenMode::Strict, TokenMode::FamilyRevocation] {
        for at in 0.. {
            let mut crashed = false;
            for cut in [Cut::Before, Cut::During] {
                let stage = set(mode);
                let process = stage.live(stage.start(), MINUTE).await.unwrap();
                let tokens = stage.authorize();
                consent(&stage, "flow-1", &tokens).await;
                let before = stage.effects().log.len();
                stage.effects().plan = Some((before + at, cut));
                let process = if let Some(process) = stage.live(process, MINUTE).await {
                    process
                } else {
                    crashed = true;
                    stage.live(stage.start(), 2 * MINUTE).await.unwrap()
                };
                runs += 1;
                assert_eq!(stage.ready("acme"), "True/Authenticated", "{mode:?} {at} {cut:?}");
                let held = stage.stored("acme-oauth-state", "refresh_token");
                assert_eq!(held.as_ref(), Some(&tokens.refresh_token), "{mode:?} {at} {cut:?}");
                process.die().await;
            }
            if !crashed {
                break;
            }
        }
    }
    assert!(runs > 10, "{runs}");
}

/// A connection that revokes when it goes, another one of the same app, and what becomes of the authorization.
async fn deleted_with(sibling: bool, broken: bool) -> (Stage, bool) {
    let stage = Stage::with_tokens(TokenMode::Strict, HOUR);
    stage.seed("acme", &stage.authorize().refresh_token);
    let oauth = |seed: &str| {
        json!({
            "appSecretRef": {"name": "app"}, "tokenSecretRef": {"name": seed}, "revokeOnDelete": true,
        })
    };
    stage.connection("acme", &json!({"oauth": oauth("acme-seed")}));
    if sibling {
        stage.seed("sibling", &stage.authorize().refresh_token);
        stage.connection("sibling", &json!({"oauth": oauth("sibling-seed")}));
    }
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated");
    if broken {
        let down = Fault::on("POST", "/v1/oauth/revoke", FaultKind::Stall);
        stage.world().script(down.times(10));
    }
    stage.api.server().delete_by_hand(&format!("{CONNECTIONS}/acme"));
    process.die().await;
    let process = stage.live(stage.start(), 5 * MINUTE).await.unwrap();
    let gone = stage.api.server().get(&format!("{CONNECTIONS}/acme")).is_none();
    assert!(gone, "it goes whatever the platform says");
    process.die().await;
    let calls = stage.world().ledger().count(&http::Method::POST, "/v1/oauth/revoke");
    (stage, calls > 0)
}

#[tokio::test(start_paused = true)]
async fn the_last_connection_of_an_app_ends_its_authorization_if_that_is_wanted() {
    let (stage, asked) = deleted_with(false, false).await;
    assert!(asked);
    assert!(stage.world().acceptable_refresh_tokens().is_empty());
    assert!(told(&stage, "Revoked"));
}

#[tokio::test(start_paused = true)]
async fn while_another_connection_uses_the_app_nothing_is_revoked() {
    let (stage, asked) = deleted_with(true, false).await;
    assert!(!asked);
    assert_eq!(stage.ready("sibling"), "True/Authenticated");
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_does_not_answer_holds_up_no_deletion() {
    let (stage, asked) = deleted_with(false, true).await;
    assert!(asked);
    assert!(told(&stage, "RevocationFailed") && !told(&stage, "Revoked"));
    assert!(!stage.world().acceptable_refresh_tokens().is_empty(), "nothing came of it");
}
