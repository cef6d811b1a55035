//! Deleting objects: what stays, what goes, and what is said about it.

use kube::api::DeleteParams;
use serde_json::{Value, json};
use simulated_platform::{Config, Fault, FaultKind};

use super::{connected, ready_project};
use crate::support::cluster::SOON;
use crate::support::cluster::kinds::{CONNECTION, NAMESPACE, PROJECT, SECRET};
use crate::support::samples::project;
use crate::support::stage::{Reach, Stage};

#[tokio::test]
async fn retain_leaves_the_project_and_its_password() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let ready = ready_project(&stage, "orders").await;
    let password = stage
        .cluster
        .data(SECRET, "orders-supabase-password")
        .await
        .unwrap();
    stage.cluster.delete(PROJECT, "orders").await;
    stage.cluster.gone(PROJECT, "orders", SOON).await;
    stage.cluster.gone(SECRET, "orders-supabase", SOON).await;
    assert_eq!(stage.platform.project_names().len(), 1);
    let kept = stage
        .cluster
        .get(SECRET, "orders-supabase-password")
        .await
        .unwrap();
    let labels = &kept["metadata"]["labels"];
    assert_eq!(labels["supabase-operator.dev/ref"], ready["status"]["ref"]);
    assert!(
        !labels["supabase-operator.dev/retained"].is_null(),
        "{labels}"
    );
    assert_eq!(
        stage
            .cluster
            .data(SECRET, "orders-supabase-password")
            .await
            .unwrap(),
        password
    );
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn delete_deletes_the_project_once_and_waits_until_it_is_gone() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    stage
        .cluster
        .apply(project("preview").on_delete("Delete"))
        .await;
    stage
        .cluster
        .wait_condition(PROJECT, "preview", "Ready", "True")
        .await;
    let mark = stage.platform.mark();
    stage.cluster.delete(PROJECT, "preview").await;
    stage.cluster.gone(PROJECT, "preview", SOON).await;
    assert!(stage.platform.project_names().is_empty());
    let calls = stage.platform.calls_since(mark);
    assert_eq!(calls["DELETE /v1/projects/{ref}"], 1, "{calls:?}");
    stage
        .cluster
        .gone(SECRET, "preview-supabase-password", SOON)
        .await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn everything_of_a_namespace_can_be_deleted_at_once() {
    for (policy, how) in [
        ("Retain", DeleteParams::background()),
        ("Delete", DeleteParams::foreground()),
        ("Delete", DeleteParams::background()),
    ] {
        let mut stage = Stage::new(Reach::Namespace).await;
        let operator = stage.operator().await;
        connected(&stage).await;
        stage
            .cluster
            .apply(project("orders").on_delete(policy))
            .await;
        stage
            .cluster
            .wait_condition(PROJECT, "orders", "Ready", "True")
            .await;
        for (kind, name) in [(CONNECTION, "acme"), (PROJECT, "orders")] {
            stage.cluster.delete_with(kind, name, &how).await;
        }
        for credentials in ["supabase-oauth-app", "supabase-oauth-tokens"] {
            stage.cluster.delete(SECRET, credentials).await;
        }
        stage.cluster.gone(PROJECT, "orders", SOON).await;
        stage.cluster.gone(CONNECTION, "acme", SOON).await;
        let left = usize::from(policy == "Retain");
        assert_eq!(stage.platform.project_names().len(), left, "{policy}");
        stage.finish(vec![operator]).await;
    }
}

#[tokio::test]
async fn a_deleted_namespace_lets_go_of_its_projects() {
    for policy in ["Retain", "Delete"] {
        let mut stage = Stage::new(Reach::Cluster).await;
        let operator = stage.operator().await;
        connected(&stage).await;
        stage
            .cluster
            .apply(project("orders").on_delete(policy))
            .await;
        stage
            .cluster
            .wait_condition(PROJECT, "orders", "Ready", "True")
            .await;
        let namespace = stage.cluster.namespace.clone();
        stage.cluster.delete(NAMESPACE, &namespace).await;
        stage.cluster.gone(NAMESPACE, &namespace, SOON * 2).await;
        let left = usize::from(policy == "Retain");
        assert_eq!(stage.platform.project_names().len(), left, "{policy}");
        stage.finish(vec![operator]).await;
    }
}

#[tokio::test]
async fn a_connection_in_use_stays_and_says_so() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    ready_project(&stage, "orders").await;
    stage.cluster.delete(CONNECTION, "acme").await;
    stage
        .cluster
        .wait_condition(CONNECTION, "acme", "DeletionBlocked", "True/InUse")
        .await;
    stage.cluster.delete(PROJECT, "orders").await;
    stage.cluster.gone(CONNECTION, "acme", SOON).await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn without_credentials_deletion_is_held_until_somebody_says_what_to_leave_behind() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    stage
        .cluster
        .apply(project("orders").on_delete("Delete"))
        .await;
    let ready = stage
        .cluster
        .wait_condition(PROJECT, "orders", "Ready", "True")
        .await;
    let reference = ready["status"]["ref"].as_str().unwrap().to_owned();
    let app = stage.platform.app.clone();
    stage.platform.world().revoke_authorization(&app, "acme");
    stage
        .cluster
        .wait_condition(CONNECTION, "acme", "Ready", "False")
        .await;
    stage.cluster.delete(PROJECT, "orders").await;
    let blocked = "True/CredentialsUnavailable";
    let held = stage
        .cluster
        .wait_condition(PROJECT, "orders", "DeletionBlocked", blocked)
        .await;
    let message = crate::support::cluster::conditions_of(&held);
    assert!(
        message.contains("force-orphan") && message.contains(&reference),
        "{message}"
    );

    let wrong = json!({"metadata": {"annotations": {"supabase-operator.dev/force-orphan": "yes"}}});
    stage.cluster.merge(PROJECT, "orders", wrong).await;
    stage
        .cluster
        .wait_condition(PROJECT, "orders", "DeletionBlocked", blocked)
        .await;
    let right =
        json!({"metadata": {"annotations": {"supabase-operator.dev/force-orphan": reference}}});
    stage.cluster.merge(PROJECT, "orders", right).await;
    stage.cluster.gone(PROJECT, "orders", SOON).await;
    assert_eq!(
        stage.platform.project_names().len(),
        1,
        "it was left behind, not deleted"
    );
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_refusal_to_delete_is_waited_out() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    stage
        .cluster
        .apply(project("orders").on_delete("Delete"))
        .await;
    stage
        .cluster
        .wait_condition(PROJECT, "orders", "Ready", "True")
        .await;
    let body = json!({"message": "Project not ready for deletion."}).to_string();
    let refusal = Fault::on("DELETE", "/v1/projects/*", FaultKind::Status(400, body)).times(2);
    stage.platform.world().script(refusal);
    stage.cluster.delete(PROJECT, "orders").await;
    stage.cluster.gone(PROJECT, "orders", SOON).await;
    assert!(stage.platform.project_names().is_empty());
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn an_object_that_never_tried_to_create_goes_at_once() {
    let mut stage = Stage::with_platform(Reach::Namespace, Config::instant()).await;
    let operator = stage.operator().await;
    for policy in ["Retain", "Delete"] {
        stage
            .cluster
            .apply(project("orders").on_delete(policy).of_connection("missing"))
            .await;
        stage
            .cluster
            .wait_condition(PROJECT, "orders", "Ready", "False/ConnectionNotFound")
            .await;
        stage.cluster.delete(PROJECT, "orders").await;
        stage.cluster.gone(PROJECT, "orders", SOON).await;
    }
    assert!(stage.platform.created().is_empty());
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_recreated_object_takes_its_retained_project_back() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let first = ready_project(&stage, "orders").await;
    let password = stage
        .cluster
        .data(SECRET, "orders-supabase-password")
        .await
        .unwrap();
    stage.cluster.delete(PROJECT, "orders").await;
    stage.cluster.gone(PROJECT, "orders", SOON).await;

    stage.cluster.apply(project("orders")).await;
    let refused = stage
        .cluster
        .wait_condition(PROJECT, "orders", "Ready", "False")
        .await;
    let message = crate::support::cluster::conditions_of(&refused);
    assert!(message.contains("adoption.ref"), "{message}");
    let adoption = json!({"policy": "AdoptOrCreate", "ref": first["status"]["ref"]});
    let again = Value::from(project("orders").with("adoption", adoption));
    stage.cluster.apply(again).await;
    let second = stage
        .cluster
        .wait_condition(PROJECT, "orders", "Ready", "True")
        .await;
    assert_eq!(first["status"]["ref"], second["status"]["ref"]);
    assert_eq!(stage.platform.created().len(), 1);
    let kept = stage
        .cluster
        .data(SECRET, "orders-supabase-password")
        .await
        .unwrap();
    assert_eq!(password, kept);
    let data = stage.cluster.data(SECRET, "orders-supabase").await.unwrap();
    assert!(data.contains_key("SUPABASE_DB_URL"));
    stage.finish(vec![operator]).await;
}
