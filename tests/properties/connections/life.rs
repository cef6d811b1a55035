//! How connections with a personal token live, and what holds for all: what users see, and what is called and written for it.

use std::time::Duration;

use http::Method;
use serde_json::json;
use simulated_apiserver::Verb;
use simulated_platform::{Config, Fault, FaultKind, Pat, Permissions, TokenMode};
use supabase_operator::management::{OrganizationSlug, Sort, organization_projects};
use supabase_operator::session::SessionState;

use super::{HOUR, MINUTE, SECOND, pat, play, with_oauth, with_pat};
use crate::sim::{CONNECTIONS, Play, id, simulate};

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
        let list = organization_projects(&slug, 0, 100, Sort::OldestFirst);
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

/// The platform, or what stands before it, answers 401 for a while, and nobody is there: it goes on by itself.
#[test]
fn a_token_that_is_refused_by_mistake_works_again_by_itself() {
    simulate(async || {
        let (play, _token, process) = with_pat().await;
        let session = process.session("acme");
        let slug = "acme".parse().unwrap();
        let list = organization_projects(&slug, 0, 100, Sort::OldestFirst);
        let mistake = FaultKind::Status(401, r#"{"message":"Unauthorized"}"#.to_owned());
        // One endpoint alone: the token is tried elsewhere before it is given up.
        let lists = Fault::on("GET", "/v1/organizations/*/projects", mistake.clone());
        play.world().script(lists.clone());
        assert!(session.send("team-a", &list).await.is_err());
        let process = play.live(process, SECOND * 5).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        assert!(session.send("team-a", &list).await.is_ok());

        // Everything.
        play.world().script(lists);
        play.world().script(Fault::on("GET", "/v1/organizations", mistake).times(2));
        assert!(session.send("team-a", &list).await.is_err());
        let process = play.live(process, MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "False/Unauthorized");
        let _process = play.live(process, HOUR * 3 / 2).await.unwrap();
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
fn capabilities_show_what_calls_have_shown() {
    simulate(async || {
        let (play, process) = with_oauth().await;
        let app = play.app();
        play.world()
            .set_app_scopes(&app, &["organizations:read", "projects:read", "projects:write"]);
        let session = process.session("acme");
        let slug: OrganizationSlug = "acme".parse().unwrap();
        let page = organization_projects(&slug, 0, 100, Sort::OldestFirst);
        assert!(session.send("team-a", &page).await.is_ok());
        let _process = play.live(process, SECOND).await.unwrap();
        let server = play.api();
        let capabilities =
            &server.get(&format!("{CONNECTIONS}/acme")).unwrap()["status"]["capabilities"];
        assert_eq!(capabilities[0], json!({"name": "ListProjects", "status": "Available"}));
        assert_eq!(capabilities[3], json!({"name": "ReadPooler", "status": "Unknown"}));
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
