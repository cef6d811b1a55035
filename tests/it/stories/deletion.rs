//! Deleting objects: what stays, what goes, and what is said about it.

use kube::api::{DeleteParams, PropagationPolicy};
use serde_json::{Value, json};
use simulated_platform::{Config, Fault, FaultKind};

use super::{connected, connected_with_token, ready_project};
use crate::support::cluster::kinds::{CONNECTION, NAMESPACE, PROJECT, SECRET};
use crate::support::cluster::{SOON, condition};
use crate::support::samples::project;
use crate::support::stage::{Reach, Stage};

#[tokio::test]
async fn retain_leaves_the_project_and_its_password() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let ready = ready_project(&stage, "orders").await;
    let password = stage.cluster.data(SECRET, "orders-supabase-password").await.unwrap();
    stage.cluster.delete(PROJECT, "orders").await;
    stage.cluster.gone(PROJECT, "orders", SOON).await;
    stage.cluster.gone(SECRET, "orders-supabase", SOON).await;
    assert_eq!(stage.platform.project_names().len(), 1);
    let kept = stage.cluster.get(SECRET, "orders-supabase-password").await.unwrap();
    let labels = &kept["metadata"]["labels"];
    assert_eq!(labels["supabase-operator.dev/ref"], ready["status"]["ref"]);
    assert!(!labels["supabase-operator.dev/retained"].is_null(), "{labels}");
    assert_eq!(stage.cluster.data(SECRET, "orders-supabase-password").await.unwrap(), password);
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn delete_deletes_the_project_once_and_waits_until_it_is_gone() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    stage.cluster.apply(project("preview").on_delete("Delete")).await;
    stage.cluster.wait_condition(PROJECT, "preview", "Ready", "True").await;
    let mark = stage.platform.mark();
    stage.cluster.delete(PROJECT, "preview").await;
    stage.cluster.gone(PROJECT, "preview", SOON).await;
    assert!(stage.platform.project_names().is_empty());
    let calls = stage.platform.calls_since(mark);
    assert_eq!(calls["DELETE /v1/projects/{ref}"], 1, "{calls:?}");
    stage.cluster.gone(SECRET, "preview-supabase-password", SOON).await;
    stage.finish(vec![operator]).await;
}

/// Four projects of the connection `acme`: of each policy one that is Ready, and one that has just been created.
async fn all_sorts(stage: &Stage) -> Vec<&'static str> {
    let applied = [
        ("kept", "Retain", "Ready"),
        ("dropped", "Delete", "Ready"),
        ("kept-early", "Retain", "Provisioned"),
        ("dropped-early", "Delete", "Provisioned"),
    ];
    for (name, policy, condition) in applied {
        stage.cluster.apply(project(name).on_delete(policy)).await;
        stage.cluster.wait_condition(PROJECT, name, condition, "True").await;
    }
    applied.map(|(name, ..)| name).to_vec()
}

/// Of four projects the two with Retain are left, each with its password.
fn only_the_retained_are_left(stage: &Stage) {
    assert_eq!(stage.platform.created().len(), 4);
    let mut left = stage.platform.project_names();
    left.sort();
    let [one, other] = left.as_slice() else {
        panic!("left: {left:?}");
    };
    assert!(one.contains("kept") && other.contains("kept-early"), "{left:?}");
}

#[tokio::test]
async fn everything_can_be_deleted_at_once_whatever_the_cascade() {
    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    for how in [DeleteParams::background(), DeleteParams::foreground(), orphan] {
        let orphaned = how.propagation_policy == Some(PropagationPolicy::Orphan);
        let mut stage = Stage::new(Reach::Namespace).await;
        let operator = stage.operator().await;
        connected(&stage).await;
        let projects = all_sorts(&stage).await;
        stage.cluster.delete_with(CONNECTION, "acme", &how).await;
        for name in &projects {
            stage.cluster.delete_with(PROJECT, name, &how).await;
        }
        for credentials in ["supabase-oauth-app", "supabase-oauth-tokens"] {
            stage.cluster.delete(SECRET, credentials).await;
        }
        for name in projects {
            stage.cluster.gone(PROJECT, name, SOON).await;
        }
        stage.cluster.gone(CONNECTION, "acme", SOON).await;
        only_the_retained_are_left(&stage);
        for (project, stays) in [("kept", true), ("kept-early", true), ("dropped", false)] {
            let secret = format!("{project}-supabase-password");
            let there = stage.cluster.get(SECRET, &secret).await.is_some();
            assert_eq!(there, stays, "{secret}");
        }
        // Whether orphans are let go in time is a race of the garbage collector's own.
        if !orphaned {
            stage.cluster.gone(SECRET, "kept-supabase", SOON).await;
        }
        stage.finish(vec![operator]).await;
    }
}

#[tokio::test]
async fn a_deleted_namespace_takes_what_may_go_and_hangs_on_nothing() {
    for (connect, background) in [(true, true), (true, false), (false, true)] {
        let mut stage = Stage::new(Reach::Cluster).await;
        let operator = stage.operator().await;
        if connect {
            connected(&stage).await;
        } else {
            connected_with_token(&stage).await;
        }
        all_sorts(&stage).await;
        let namespace = stage.cluster.namespace.clone();
        let how = if background { DeleteParams::background() } else { DeleteParams::foreground() };
        stage.cluster.delete_with(NAMESPACE, &namespace, &how).await;
        stage.cluster.gone(NAMESPACE, &namespace, SOON * 2).await;
        only_the_retained_are_left(&stage);
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
    stage.cluster.wait_condition(CONNECTION, "acme", "DeletionBlocked", "True/InUse").await;
    stage.cluster.delete(PROJECT, "orders").await;
    stage.cluster.gone(CONNECTION, "acme", SOON).await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn without_credentials_deletion_is_held_until_somebody_says_what_to_leave_behind() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    stage.cluster.apply(project("orders").on_delete("Delete")).await;
    let ready = stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    let reference = ready["status"]["ref"].as_str().unwrap().to_owned();
    let app = stage.platform.app.clone();
    stage.platform.world().revoke_authorization(&app, "acme");
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "False").await;
    stage.cluster.delete(PROJECT, "orders").await;
    let blocked = "True/CredentialsUnavailable";
    let held = stage.cluster.wait_condition(PROJECT, "orders", "DeletionBlocked", blocked).await;
    let message = crate::support::cluster::conditions_of(&held);
    assert!(message.contains("force-orphan") && message.contains(&reference), "{message}");

    let wrong = json!({"metadata": {"annotations": {"supabase-operator.dev/force-orphan": "yes"}}});
    stage.cluster.merge(PROJECT, "orders", wrong).await;
    let answered = |object: &Value| {
        let message = condition(object, "DeletionBlocked")?["message"].as_str()?;
        message.contains(&format!("exactly {reference:?}")).then_some(())
    };
    stage.cluster.wait_for(PROJECT, "orders", "an answer to a wrong value", SOON, answered).await;
    stage.cluster.wait_condition(PROJECT, "orders", "DeletionBlocked", blocked).await;
    let right =
        json!({"metadata": {"annotations": {"supabase-operator.dev/force-orphan": reference}}});
    stage.cluster.merge(PROJECT, "orders", right).await;
    stage.cluster.gone(PROJECT, "orders", SOON).await;
    assert_eq!(stage.platform.project_names().len(), 1, "it was left behind, not deleted");
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_refusal_to_delete_is_waited_out() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    stage.cluster.apply(project("orders").on_delete("Delete")).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
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
        stage.cluster.apply(project("orders").on_delete(policy).of_connection("missing")).await;
        stage.cluster.wait_condition(PROJECT, "orders", "Ready", "False/ConnectionNotFound").await;
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
    let password = stage.cluster.data(SECRET, "orders-supabase-password").await.unwrap();
    stage.cluster.delete(PROJECT, "orders").await;
    stage.cluster.gone(PROJECT, "orders", SOON).await;

    stage.cluster.apply(project("orders")).await;
    let refused = stage.cluster.wait_condition(PROJECT, "orders", "Ready", "False").await;
    let message = crate::support::cluster::conditions_of(&refused);
    let reference = first["status"]["ref"].as_str().unwrap();
    let field = format!("spec.adoption: {{policy: AdoptOnly, ref: {reference}}}");
    assert!(message.contains(&field), "{message}");
    let adoption = json!({"policy": "AdoptOrCreate", "ref": first["status"]["ref"]});
    let again = Value::from(project("orders").with("adoption", adoption));
    stage.cluster.apply(again).await;
    let second = stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    assert_eq!(first["status"]["ref"], second["status"]["ref"]);
    assert_eq!(stage.platform.created().len(), 1);
    let kept = stage.cluster.data(SECRET, "orders-supabase-password").await.unwrap();
    assert_eq!(password, kept);
    let data = stage.cluster.data(SECRET, "orders-supabase").await.unwrap();
    assert!(data.contains_key("SUPABASE_DB_URL"));
    stage.finish(vec![operator]).await;
}
