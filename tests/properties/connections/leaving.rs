//! Connections that go, and those that are held because they are needed.

use serde_json::json;
use simulated_platform::{Fault, FaultKind};
use supabase_operator::management::organizations;
use supabase_operator::session::SessionState;

use super::{HOUR, MINUTE, SECOND, with_oauth, with_pat};
use crate::sim::{CONNECTIONS, Living, PROJECTS, Play, SECRETS, id, simulate};

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
        let sent = session.send("team-a", &organizations()).await;
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
        assert!(session.send("team-a", &organizations()).await.is_ok());
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
