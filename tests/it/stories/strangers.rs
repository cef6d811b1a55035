//! Two tenants: what one of them claims, or gets refused, changes nothing for the other.

use super::{connected, ready_project};
use crate::support::cluster::kinds::{CONNECTION, PROJECT, SECRET};
use crate::support::samples::{oauth_connection, project, secret, token_connection};
use crate::support::stage::{Reach, Stage};

/// What shows a credential to the platform that it has not accepted yet.
const SHOWN: [&str; 2] = ["GET /v1/organizations", "POST /v1/oauth/token"];

#[tokio::test]
async fn a_secret_that_is_edited_all_the_time_gets_few_calls_and_keeps_nobody_waiting() {
    let mut stage = Stage::new(Reach::ClusterWatchingSecrets).await;
    let operator = stage.operator().await;
    let other = stage.cluster.new_namespace("it-stranger").await;
    let other = stage.cluster.in_namespace(&other);
    let mark = stage.platform.mark();
    other.apply(token_connection("restless")).await;
    for number in 0..150 {
        let token = format!("sbp_{number:040x}");
        other.apply(secret("supabase-token", &[("token", &token)])).await;
    }
    other.wait_condition(CONNECTION, "restless", "Ready", "False/Unauthorized").await;
    let calls = stage.platform.calls_since(mark);
    let shown: usize = SHOWN.iter().filter_map(|call| calls.get(*call)).sum();
    assert!((1..=8).contains(&shown), "{calls:?}");
    connected(&stage).await;
    ready_project(&stage, "orders").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn who_claims_the_app_of_another_namespace_has_no_part_in_it() {
    let mut stage = Stage::new(Reach::Cluster).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let other = stage.cluster.new_namespace("it-stranger").await;
    let other = stage.cluster.in_namespace(&other);
    let app = stage.cluster.data(SECRET, "supabase-oauth-app").await;
    let app = app.unwrap();
    let claimed = [
        ("client_id", app["client_id"].as_str()),
        ("client_secret", "guessed-by-somebody-0123456789"),
    ];
    other.apply(secret("supabase-oauth-app", &claimed)).await;
    let seed =
        secret("supabase-oauth-tokens", &[("refresh_token", "made-up-by-somebody-0123456789")]);
    other.apply(seed).await;
    other.apply(oauth_connection("thief")).await;
    other.wait_condition(CONNECTION, "thief", "Ready", "False").await;
    ready_project(&stage, "orders").await;
    other.apply(project("loot").of_connection("thief")).await;
    other.wait_condition(PROJECT, "loot", "Ready", "False/ConnectionNotReady").await;
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
    assert_eq!(stage.platform.created().len(), 1);
    stage.finish(vec![operator]).await;
}
