//! Several tenants: nobody gets or loses what is not his.

use serde_json::json;

use super::{connected, connected_with_token, goes, ready_project, told_calmly};
use crate::support::cluster::kinds::{CLUSTER_CONNECTION, CONNECTION, PROJECT};
use crate::support::platform::ORGANIZATION;
use crate::support::samples::{cluster_connection, oauth_connection, project};
use crate::support::stage::{Reach, Stage};

#[tokio::test]
async fn a_foreign_project_of_the_wanted_name_is_left_alone() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    let now = stage.platform.now();
    let foreign = stage.platform.world().add_foreign_project(ORGANIZATION, "orders", now);
    connected(&stage).await;
    stage.cluster.apply(project("orders").called("orders")).await;
    told_calmly(&stage, "orders", "NameConflict").await;
    assert!(stage.platform.created().is_empty());
    stage.cluster.apply(project("orders").called("mine")).await;
    let ready = stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    assert_ne!(ready["status"]["ref"], foreign.as_str());
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn two_objects_that_want_one_name_get_one_project_each() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    stage.cluster.apply(project("first").called("same")).await;
    stage.cluster.wait_condition(PROJECT, "first", "Ready", "True").await;
    stage.cluster.apply(project("second").called("same")).await;
    told_calmly(&stage, "second", "NameConflict").await;
    assert_eq!(stage.platform.created().len(), 1);
    goes(&stage, "second").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_project_is_carried_by_one_object_only() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let first = ready_project(&stage, "first").await;
    let adoption = json!({"policy": "AdoptOnly", "ref": first["status"]["ref"]});
    stage.cluster.apply(project("second").with("adoption", adoption)).await;
    told_calmly(&stage, "second", "OwnershipConflict").await;
    goes(&stage, "second").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_cluster_connection_serves_whom_it_names() {
    let mut stage = Stage::new(Reach::Cluster).await;
    let operator = stage.operator().await;
    stage.platform.provide_secrets(&stage.system).await;
    stage.cluster.apply(cluster_connection("company")).await;
    stage.cluster.wait_condition(CLUSTER_CONNECTION, "company", "Ready", "True").await;
    stage.cluster.apply(project("orders").of_cluster_connection("company")).await;
    told_calmly(&stage, "orders", "NamespaceNotAllowed").await;
    let names = json!([stage.cluster.namespace]);
    stage.cluster.apply(cluster_connection("company").with("allowedNamespaces/names", names)).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;

    let now = stage.platform.now();
    let foreign = stage.platform.world().add_foreign_project(ORGANIZATION, "treasure", now);
    let adoption = json!({"policy": "AdoptOnly", "ref": foreign});
    let thief = project("thief").of_cluster_connection("company").with("adoption", adoption);
    stage.cluster.apply(thief).await;
    told_calmly(&stage, "thief", "AdoptionForbidden").await;
    goes(&stage, "thief").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn one_refresh_token_serves_one_connection() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    stage.cluster.apply(oauth_connection("copy")).await;
    stage.cluster.wait_condition(CONNECTION, "copy", "Ready", "False/CredentialShared").await;
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn forged_annotations_and_labels_prove_nothing() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    let now = stage.platform.now();
    let foreign = stage.platform.world().add_foreign_project(ORGANIZATION, "treasure", now);
    connected_with_token(&stage).await;
    stage
        .cluster
        .apply(project("orders").annotated("ref", &foreign).annotated("owner-uid", "x"))
        .await;
    let ready = stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    assert_ne!(ready["status"]["ref"], foreign.as_str());
    stage.finish(vec![operator]).await;
}
