//! Strangers: what one tenant's Secrets claim or get refused changes nothing for another one; and nobody lets the
//! operator knock at the platform without end.

use std::time::Duration;

use http::Method;
use serde_json::json;
use simulated_platform::{Fault, FaultKind, Pat, TokenMode};
use supabase_operator::inventory::Pace;
use supabase_operator::management::{self, Error};
use supabase_operator::session::{Session, SessionState};

use super::{HOUR, MINUTE, SECOND};
use crate::sim::{CONNECTIONS, Living, Play, SECRETS, follower, id_in, simulate};

const OTHER_SECRETS: &str = "/api/v1/namespaces/team-b/secrets";
const OTHER_CONNECTIONS: &str =
    "/apis/supabase-operator.dev/v1alpha1/namespaces/team-b/supabaseconnections";

fn play() -> Play {
    Play::with_tokens(TokenMode::Strict, HOUR)
}

/// A Secret of another tenant.
fn other_secret(play: &Play, name: &str, data: &serde_json::Value) {
    let mut server = play.api();
    server.delete_by_hand(&format!("{OTHER_SECRETS}/{name}"));
    let object = json!({"metadata": {"name": name}, "stringData": data});
    server.create_by_hand(OTHER_SECRETS, &object).unwrap();
}

/// A connection of another tenant.
fn other_connection(play: &Play, name: &str, auth: &serde_json::Value) {
    let object = json!({"metadata": {"name": name}, "spec": {"auth": auth}});
    play.api().create_by_hand(OTHER_CONNECTIONS, &object).unwrap();
}

fn theirs(process: &Living, name: &str) -> Session {
    process.term().sessions.find(&id_in("team-b", name)).unwrap()
}

/// The other tenant's Secrets claim the app of the connection `acme`, without knowing its secret.
fn claim_the_app(play: &Play, seed: &serde_json::Value) {
    let app = json!({"client_id": play.app().client_id, "client_secret": "guessed"});
    other_secret(play, "app", &app);
    other_secret(play, "seed", seed);
    let auth =
        json!({"oauth": {"appSecretRef": {"name": "app"}, "tokenSecretRef": {"name": "seed"}}});
    other_connection(play, "thief", &auth);
}

fn count(play: &Play, method: &Method, path: &str) -> usize {
    play.world().ledger().count(method, path)
}

fn always(method: &str, path: &str, kind: FaultKind) -> Fault {
    Fault::on(method, path, kind).times(10_000)
}

#[test]
fn who_claims_an_app_and_is_throttled_closes_nothing_for_its_owner() {
    simulate(async || {
        let play = play();
        play.seed("acme", &play.authorize().refresh_token);
        play.oauth("acme");
        let token = play.world().add_pat(Pat::classic());
        claim_the_app(&play, &json!({"access_token": token}));
        let process = play.live(play.start(), MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        let (victim, thief) = (process.session("acme"), theirs(&process, "thief"));
        let reference = "aaaaaaaaaaaaaaaaaaaa".parse().unwrap();
        let health = management::health(&reference, &[]);
        let keys = management::api_keys(&reference);
        let busy = || FaultKind::RetryAfter(429, "300".to_owned());
        for path in ["health", "api-keys"] {
            let path = format!("/v1/projects/{}/{path}", "a".repeat(20));
            play.world().script(Fault::on("GET", &path, busy()));
        }
        assert!(matches!(thief.send("team-b", &health).await, Err(Error::Throttled { .. })));
        assert!(matches!(thief.send("team-b", &keys).await, Err(Error::Throttled { .. })));
        let begun = tokio::time::Instant::now();
        victim.send("team-a", &management::organizations()).await.unwrap();
        assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    });
}

#[test]
fn an_endpoint_that_fails_for_one_tenant_is_not_left_alone_for_another() {
    simulate(async || {
        let play = play();
        play.seed("acme", &play.authorize().refresh_token);
        play.oauth("acme");
        let token = play.world().add_pat(Pat::classic());
        claim_the_app(&play, &json!({"access_token": token}));
        let process = play.live(play.start(), MINUTE).await.unwrap();
        let (victim, thief) = (process.session("acme"), theirs(&process, "thief"));
        let slug = "acme".parse().unwrap();
        let list = management::organization_projects(&slug, 0, 100, management::Sort::OldestFirst);
        let path = "/v1/organizations/acme/projects";
        play.world().script(Fault::on("GET", path, FaultKind::Html(503)).times(5));
        for _ in 0..2 {
            assert!(thief.send("team-b", &list).await.is_err());
        }
        assert_eq!(victim.send("team-a", &list).await.err().map(|error| error.as_str()), None);
    });
}

#[test]
fn who_claims_an_app_at_the_token_endpoint_does_not_keep_its_owner_from_it() {
    simulate(async || {
        let play = play();
        claim_the_app(&play, &json!({"refresh_token": "made-up"}));
        let busy = FaultKind::RetryAfter(429, "300".to_owned());
        play.world().script(Fault::on("POST", "/v1/oauth/token", busy));
        let process = play.live(play.start(), SECOND * 5).await.unwrap();
        assert_eq!(play.token_calls(), 1);
        play.seed("acme", &play.authorize().refresh_token);
        play.oauth("acme");
        let _process = play.live(process, SECOND * 10).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
    });
}

#[test]
fn two_connections_of_one_confirmed_app_share_what_the_platform_counts_together() {
    simulate(async || {
        let play = play();
        for name in ["acme", "second"] {
            play.seed(name, &play.authorize().refresh_token);
            play.oauth(name);
        }
        // Its pair is of the app too, but the platform has not said so to this operator.
        let pair = play.authorize();
        let tokens =
            [("access_token", pair.access_token.as_str()), ("refresh_token", &pair.refresh_token)];
        play.secret("unproven-seed", &tokens);
        play.oauth("unproven");
        let mut process = play.live(play.start(), MINUTE).await.unwrap();
        for _ in 0..2 {
            let busy = FaultKind::RetryAfter(429, "100".to_owned());
            play.world().script(Fault::on("GET", "/v1/organizations", busy));
            let call = management::organizations();
            let said = process.session("acme").send("team-a", &call).await;
            assert!(matches!(said, Err(Error::Throttled { .. })), "{said:?}");
            let before = count(&play, &Method::GET, "/v1/organizations");
            let said = process.session("second").send("team-a", &call).await;
            assert!(matches!(said, Err(Error::Throttled { .. })), "{said:?}");
            assert_eq!(count(&play, &Method::GET, "/v1/organizations"), before);
            process.session("unproven").send("team-a", &call).await.unwrap();
            // What was proven is stored: the next process knows it.
            process.die().await;
            process = play.live(play.start(), MINUTE).await.unwrap();
        }
    });
}

#[test]
fn a_claimed_app_is_no_sibling_that_keeps_an_authorization_alive() {
    simulate(async || {
        let play = play();
        claim_the_app(&play, &json!({"refresh_token": "made-up"}));
        play.seed("acme", &play.authorize().refresh_token);
        let auth = json!({"oauth": {
            "appSecretRef": {"name": "app"},
            "tokenSecretRef": {"name": "acme-seed"},
            "revokeOnDelete": true,
        }});
        play.connection("acme", &auth);
        let process = play.live(play.start(), MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        assert!(play.api().delete_by_hand(&format!("{CONNECTIONS}/acme")));
        let process = tokio::time::timeout(MINUTE, async {
            tokio::time::sleep(SECOND * 30).await;
            process
        })
        .await
        .unwrap();
        assert_eq!(count(&play, &Method::POST, "/v1/oauth/revoke"), 1);
        process.die().await;
    });
}

#[test]
fn a_secret_that_is_edited_ten_times_a_second_is_shown_to_the_platform_now_and_then() {
    simulate(async || {
        let play = play().watching_secrets();
        let pat = json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
        play.secret("pat", &[("token", "sbp_first")]);
        play.connection("acme", &pat);
        let mut process = play.live(play.start(), SECOND).await.unwrap();
        for number in 0..150 {
            play.secret("pat", &[("token", &format!("sbp_{number:040x}"))]);
            process = play.live(process, Duration::from_millis(100)).await.unwrap();
        }
        let tried = count(&play, &Method::GET, "/v1/organizations");
        assert!((3..=5).contains(&tried), "{tried}");
        // A person who pauses to think is served soon.
        let token = play.world().add_pat(Pat::classic());
        play.secret("pat", &[("token", &token)]);
        let _process = play.live(process, MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
    });
}

#[test]
fn asking_for_a_look_ten_times_a_second_shows_no_refused_token_again_and_again() {
    simulate(async || {
        let play = play();
        let pat = json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
        play.secret("pat", &[("token", "sbp_revoked")]);
        play.connection("acme", &pat);
        let mut process = play.live(play.start(), SECOND).await.unwrap();
        for number in 0..150 {
            let asked = json!({"metadata": {"annotations": {
                "supabase-operator.dev/reconcile-requested-at": number.to_string(),
            }}});
            let path = format!("{CONNECTIONS}/acme");
            assert!(play.api().change_by_hand(&path, &asked));
            process = play.live(process, Duration::from_millis(100)).await.unwrap();
        }
        let tried = count(&play, &Method::GET, "/v1/organizations");
        assert!(tried <= 5, "{tried}");
    });
}

#[test]
fn many_connections_made_anew_all_the_time_are_bounded_by_their_namespace() {
    // What is under way at once is counted when it is refused.
    for (slots, beyond) in [(1, 0), (10, 10)] {
        simulate(async || made_anew_all_the_time(slots, beyond).await);
    }
}

async fn made_anew_all_the_time(slots: u16, beyond: usize) {
    let mut play = play().watching_secrets();
    play.driver.options.concurrency = slots;
    let pat = json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
    let mut process = play.live(play.start(), SECOND).await.unwrap();
    let mut number = 0;
    for round in 0..60 {
        play.secret("pat", &[("token", &format!("sbp_{round:040x}"))]);
        for _ in 0..10 {
            number += 1;
            play.connection(&format!("c{number}"), &pat);
        }
        process = play.live(process, SECOND).await.unwrap();
        for gone in number - 9..=number {
            play.remove_by_force(&format!("{CONNECTIONS}/c{gone}"));
        }
    }
    let tried = count(&play, &Method::GET, "/v1/organizations");
    assert!((12..=18 + beyond).contains(&tried), "{tried}");
    // Another namespace has its first tries at once.
    other_secret(&play, "pat", &json!({"token": "sbp_mistyped"}));
    other_connection(&play, "honest", &pat);
    let process = play.live(process, SECOND).await.unwrap();
    let token = play.world().add_pat(Pat::classic());
    other_secret(&play, "pat", &json!({"token": token}));
    let process = play.live(process, SECOND).await.unwrap();
    assert_eq!(theirs(&process, "honest").state(), SessionState::Usable);
}

#[test]
fn a_platform_that_says_at_once_for_ever_is_asked_later_and_later() {
    simulate(async || {
        let play = play();
        let token = play.world().add_pat(Pat::classic());
        play.secret("pat", &[("token", &token)]);
        let pat = json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
        play.connection("acme", &pat);
        let process = play.live(play.start(), MINUTE).await.unwrap();
        let path = "/v1/organizations/acme/projects";
        let at_once = FaultKind::RetryAfter(429, "0".to_owned());
        play.world().script(always("GET", path, at_once));
        let session = process.session("acme");
        let slug = "acme".parse().unwrap();
        let list = management::organization_projects(&slug, 0, 100, management::Sort::OldestFirst);
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < SECOND * 12 {
            let said = session.send("team-a", &list).await;
            let Err(Error::Throttled { retry_after }) = said else {
                panic!("{said:?}");
            };
            // As every caller does that heeds what it is told.
            tokio::time::sleep(retry_after.unwrap_or(MINUTE).max(Duration::from_millis(50))).await;
        }
        let called = count(&play, &Method::GET, "/v1/organizations/{slug}/projects");
        assert!((3..=5).contains(&called), "{called}");
    });
}

#[test]
fn a_refresh_under_way_changes_nobodys_readiness() {
    simulate(async || {
        // The platform's tokens live shorter than a seed without expires_at makes believe.
        let play = Play::with_tokens(TokenMode::Strict, MINUTE * 10).for_one_namespace();
        let pair = play.authorize();
        let tokens =
            [("access_token", pair.access_token.as_str()), ("refresh_token", &pair.refresh_token)];
        play.secret("acme-seed", &tokens);
        play.oauth("acme");
        let process = play.live(play.start(), MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        let session = process.session("acme");
        let orders = follower("orders");
        process.inventory("acme", "acme").follow("aaaaaaaaaaaaaaaaaaaa", &orders, Pace::Resting);
        let process = play.live(process, MINUTE * 8).await.unwrap();
        while process.take_woken().is_some() {}
        let version = || {
            let server = play.api();
            server.get(&format!("{CONNECTIONS}/acme")).unwrap()["status"]["conditions"].clone()
        };
        let before = version();
        // The refresh takes its time, and everybody can look.
        play.set_travel(SECOND * 2);
        let mut process = process;
        for _ in 0..240 {
            process = play.live(process, Duration::from_millis(500)).await.unwrap();
            assert_eq!(session.state(), SessionState::Usable);
            assert_eq!(version(), before);
        }
        assert_eq!(play.token_calls(), 1, "the token was refreshed meanwhile");
        while let Some(woken) = process.take_woken() {
            // Its inventory has shown something; the connection has not.
            assert_eq!(woken, "orders");
        }
        session.send("team-a", &management::organizations()).await.unwrap();
    });
}

#[test]
fn a_platform_that_is_away_while_the_operator_starts_flips_nothing_for_a_while() {
    simulate(async || {
        let play = play();
        let token = play.world().add_pat(Pat::classic());
        play.secret("pat", &[("token", &token)]);
        let pat = json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
        play.connection("acme", &pat);
        let process = play.live(play.start(), MINUTE).await.unwrap();
        process.die().await;
        play.world().script(always("GET", "/v1/organizations", FaultKind::Html(503)));
        let process = play.live(play.start(), MINUTE * 4).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        assert_eq!(process.session("acme").state(), SessionState::Unknown);
        let process = play.live(process, MINUTE * 2).await.unwrap();
        assert_eq!(play.ready("acme"), "False/PlatformUnavailable");
        assert_ne!(process.session("acme").state(), SessionState::Unknown);
    });
}

#[test]
fn a_secret_that_is_replaced_by_hand_flips_nothing() {
    simulate(async || {
        let play = play().watching_secrets();
        let token = play.world().add_pat(Pat::classic());
        play.secret("pat", &[("token", &token)]);
        let pat = json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
        play.connection("acme", &pat);
        let process = play.live(play.start(), MINUTE).await.unwrap();
        assert!(play.api().delete_by_hand(&format!("{SECRETS}/pat")));
        let process = play.live(process, SECOND * 3).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        assert_eq!(process.session("acme").state(), SessionState::Usable);
        play.secret("pat", &[("token", &token)]);
        let process = play.live(process, MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        // One that stays away is told of.
        assert!(play.api().delete_by_hand(&format!("{SECRETS}/pat")));
        let _process = play.live(process, SECOND * 20).await.unwrap();
        assert_eq!(play.ready("acme"), "False/SecretNotFound");
    });
}
