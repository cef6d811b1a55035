//! The chart's roles hold what the operator needs and nothing more: a tour through everything it does, after
//! which the rights that were granted and those that were used are compared, both ways.

use serde_json::json;

use crate::support::audit::{not_used, requests};
use crate::support::cluster::SOON;
use crate::support::cluster::kinds::{CLUSTER_CONNECTION, CONFIG_MAP, CONNECTION, PROJECT, SECRET};
use crate::support::samples::{cluster_connection, oauth_connection, project};
use crate::support::stage::{Reach, Stage};

async fn tour(reach: Reach) {
    let mut stage = Stage::new(reach).await;
    let operator = stage.operator().await;
    let cluster = &stage.cluster;
    cluster.apply(oauth_connection("acme")).await;
    cluster
        .wait_condition(CONNECTION, "acme", "Ready", "True")
        .await;
    let web = json!({"kind": "ConfigMap", "include": ["URL"]});
    let orders = project("orders")
        .on_delete("Delete")
        .with_output("server", "Env", json!({}));
    cluster
        .apply(orders.clone().with_output("web", "Env", web.clone()))
        .await;
    cluster
        .wait_condition(PROJECT, "orders", "Ready", "True")
        .await;
    // Both kinds of outputs are updated, and removed.
    let prefixed = |details: serde_json::Value| {
        let mut details = details;
        details["prefix"] = json!("A_");
        details
    };
    let changed = project("orders").on_delete("Delete");
    let changed = changed.with_output("server", "Env", prefixed(json!({})));
    cluster
        .apply(changed.with_output("web", "Env", prefixed(web)))
        .await;
    let has_prefix = |object: &serde_json::Value| {
        object["data"]
            .as_object()?
            .contains_key("A_SUPABASE_URL")
            .then_some(())
    };
    cluster
        .wait_for(CONFIG_MAP, "web", "its prefix", SOON, has_prefix)
        .await;
    cluster
        .wait_for(SECRET, "server", "its prefix", SOON, has_prefix)
        .await;
    cluster
        .apply(
            project("orders")
                .on_delete("Delete")
                .with("outputs", json!([])),
        )
        .await;
    cluster.gone(CONFIG_MAP, "web", SOON).await;
    cluster.gone(SECRET, "server", SOON).await;
    if reach != Reach::Namespace {
        stage.platform.provide_secrets(&stage.system).await;
        let names = json!({"names": [], "selector": {"matchLabels": {"lent": "yes"}}});
        cluster
            .apply(cluster_connection("company").with("allowedNamespaces", names))
            .await;
        cluster
            .wait_condition(CLUSTER_CONNECTION, "company", "Ready", "True")
            .await;
        cluster
            .apply(project("lent").of_cluster_connection("company"))
            .await;
        cluster
            .wait_condition(PROJECT, "lent", "Ready", "False/NamespaceNotAllowed")
            .await;
        cluster.delete(PROJECT, "lent").await;
        cluster.gone(PROJECT, "lent", SOON).await;
        cluster.delete(CLUSTER_CONNECTION, "company").await;
        cluster.gone(CLUSTER_CONNECTION, "company", SOON).await;
    }
    cluster.delete(PROJECT, "orders").await;
    cluster.gone(PROJECT, "orders", SOON).await;
    cluster.delete(CONNECTION, "acme").await;
    cluster.gone(CONNECTION, "acme", SOON).await;

    let granted = stage.release.grants(&stage.system).await;
    let used = requests(&stage.plane.audit_log(), &stage.release.user());
    // Events are repeated only when one happens twice, which a tour cannot rely on. Owner references are
    // checked by an admission plugin that is off by default: it asks whether finalizers may be updated.
    let excused = |grant: &crate::support::audit::Grant| {
        (grant.resource == "events" && grant.verb == "patch")
            || grant.resource == "supabaseprojects/finalizers"
    };
    let idle: Vec<_> = not_used(&granted, &used)
        .iter()
        .filter(|grant| !excused(grant))
        .map(ToString::to_string)
        .collect();
    assert!(idle.is_empty(), "granted, and never used: {idle:#?}");
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn the_default_rights_are_all_needed_and_suffice() {
    tour(Reach::Cluster).await;
}

#[tokio::test]
async fn the_rights_with_watched_secrets_are_all_needed_and_suffice() {
    tour(Reach::ClusterWatchingSecrets).await;
}

#[tokio::test]
async fn the_rights_within_a_namespace_are_all_needed_and_suffice() {
    tour(Reach::Namespace).await;
}
