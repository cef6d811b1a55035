//! OAuth tokens: used once, kept, and never lost or repeated.

use std::collections::BTreeMap;

use super::{goes, ready_project};
use crate::support::cluster::SOON;
use crate::support::cluster::kinds::{CONNECTION, SECRET};
use crate::support::samples::{oauth_connection, secret};
use crate::support::stage::{Reach, Stage};

const STATE: &str = "acme-oauth-state";
const REFRESH: &str = "POST /v1/oauth/token";

/// Takes the access token out of the seed, so that the refresh token has to be spent at once.
async fn only_a_refresh_token(stage: &Stage) -> BTreeMap<String, String> {
    stage.cluster.delete(SECRET, "supabase-oauth-tokens").await;
    let refresh = stage.platform.tokens.refresh_token.clone();
    let seed = secret("supabase-oauth-tokens", &[("refresh_token", &refresh)]);
    stage.cluster.apply(seed).await;
    stage.cluster.data(SECRET, "supabase-oauth-tokens").await.unwrap()
}

#[tokio::test]
async fn a_refresh_token_is_spent_once_and_what_it_bought_survives_a_crash() {
    let mut stage =
        Stage::with(Reach::Namespace, simulated_platform::Config::fast(), &super::short_lease())
            .await;
    let seed = only_a_refresh_token(&stage).await;
    let first = stage.operator().await;
    stage.cluster.apply(oauth_connection("acme")).await;
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
    assert_eq!(stage.platform.calls_since(0)[REFRESH], 1);
    let held = stage.cluster.data(SECRET, STATE).await.unwrap();
    assert_eq!(stage.cluster.data(SECRET, "supabase-oauth-tokens").await.unwrap(), seed);

    first.kill().await;
    let second = stage.operator().await;
    ready_project(&stage, "orders").await;
    assert_eq!(stage.platform.calls_since(0)[REFRESH], 1);
    assert_eq!(stage.cluster.data(SECRET, STATE).await.unwrap(), held);
    stage.finish(vec![second]).await;
}

#[tokio::test]
async fn a_spent_seed_that_comes_back_is_not_sent_again() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let seed = only_a_refresh_token(&stage).await;
    let operator = stage.operator().await;
    stage.cluster.apply(oauth_connection("acme")).await;
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
    // As a revert in Git does: away, and back again.
    stage.cluster.delete(SECRET, "supabase-oauth-tokens").await;
    stage.cluster.delete(CONNECTION, "acme").await;
    stage.cluster.gone(CONNECTION, "acme", crate::support::cluster::SOON).await;
    let again = secret("supabase-oauth-tokens", &[("refresh_token", &seed["refresh_token"])]);
    stage.cluster.apply(again).await;
    stage.cluster.apply(oauth_connection("again")).await;
    let told = "False/ReauthorizationRequired";
    stage.cluster.wait_condition(CONNECTION, "again", "Ready", told).await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn access_ends_with_the_connection_once_no_project_needs_it() {
    const REVOKE: &str = "POST /v1/oauth/revoke";
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    let connection = oauth_connection("acme").with("auth/oauth/revokeOnDelete", true);
    stage.cluster.apply(connection).await;
    ready_project(&stage, "orders").await;
    stage.cluster.delete(CONNECTION, "acme").await;
    stage.cluster.wait_condition(CONNECTION, "acme", "DeletionBlocked", "True/InUse").await;
    assert!(!stage.platform.calls_since(0).contains_key(REVOKE));
    goes(&stage, "orders").await;
    stage.cluster.gone(CONNECTION, "acme", SOON).await;
    assert_eq!(stage.platform.calls_since(0)[REVOKE], 1);
    let left = stage.platform.world().acceptable_refresh_tokens();
    assert!(left.is_empty(), "the authorization has ended");
    stage.cluster.wait_events("acme", "Revoked", 1).await;
    stage.finish(vec![operator]).await;
}
