//! The chart's roles hold what the operator needs and nothing more: a tour through everything it does, after
//! which the rights that were granted and those that were used are compared, both ways.

use serde_json::{Value, json};

use super::connected;
use crate::support::audit::{Grant, not_used, requests};
use crate::support::cluster::kinds::{CLUSTER_CONNECTION, CONFIG_MAP, CONNECTION, PROJECT, SECRET};
use crate::support::cluster::{Cluster, SOON};
use crate::support::samples::{cluster_connection, project};
use crate::support::stage::{Reach, Stage};

/// A project with both kinds of outputs, which are written, changed and removed.
async fn outputs_come_and_go(cluster: &Cluster) {
    let orders = project("orders").on_delete("Delete");
    let outputs = |prefix: Value| {
        let server = json!({"name": "server", "preset": "Env", "prefix": prefix});
        let web = json!({"name": "web", "kind": "ConfigMap", "preset": "Env", "prefix": prefix,
            "include": ["URL"]});
        orders.clone().with("outputs", json!([server, web]))
    };
    cluster.apply(outputs(json!("A_"))).await;
    cluster
        .wait_condition(PROJECT, "orders", "Ready", "True")
        .await;
    cluster.apply(outputs(json!("B_"))).await;
    let changed = |object: &Value| {
        object["data"]
            .as_object()?
            .contains_key("B_SUPABASE_URL")
            .then_some(())
    };
    cluster
        .wait_for(CONFIG_MAP, "web", "its new prefix", SOON, changed)
        .await;
    cluster
        .wait_for(SECRET, "server", "its new prefix", SOON, changed)
        .await;
    cluster
        .apply(orders.clone().with("outputs", json!([])))
        .await;
    cluster.gone(CONFIG_MAP, "web", SOON).await;
    cluster.gone(SECRET, "server", SOON).await;
}

/// A cluster connection that has to look at the namespace's labels.
async fn a_cluster_connection_comes_and_goes(stage: &Stage) {
    let cluster = &stage.cluster;
    stage.platform.provide_secrets(&stage.system).await;
    let labelled = json!({"selector": {"matchLabels": {"lent": "yes"}}});
    cluster
        .apply(cluster_connection("company").with("allowedNamespaces", labelled))
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
    for (kind, name) in [(PROJECT, "lent"), (CLUSTER_CONNECTION, "company")] {
        cluster.delete(kind, name).await;
        cluster.gone(kind, name, SOON).await;
    }
}

async fn tour(reach: Reach) {
    let mut stage = Stage::new(reach).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    outputs_come_and_go(&stage.cluster).await;
    if reach != Reach::Namespace {
        a_cluster_connection_comes_and_goes(&stage).await;
    }
    for (kind, name) in [(PROJECT, "orders"), (CONNECTION, "acme")] {
        stage.cluster.delete(kind, name).await;
        stage.cluster.gone(kind, name, SOON).await;
    }
    let granted = stage.release.grants(&stage.system).await;
    let used = requests(&stage.plane.audit_log(), &stage.release.user());
    let idle = not_used(&granted, &used)
        .into_iter()
        .filter(|grant| !excused(grant));
    let idle: Vec<_> = idle.map(|grant| grant.to_string()).collect();
    assert!(idle.is_empty(), "granted, and never used: {idle:#?}");
    stage.finish(vec![operator]).await;
}

/// What a tour cannot rely on to happen: an event is patched when the same one comes again, and the right
/// to update finalizers is asked for by an admission plugin that is off by default.
fn excused(grant: &Grant) -> bool {
    (grant.resource == "events" && grant.verb == "patch")
        || grant.resource == "supabaseprojects/finalizers"
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
