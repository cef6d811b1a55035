//! Running, paused, suspended; and what the platform or somebody else does to a project.

use std::time::Duration;

use serde_json::json;
use simulated_platform::{Config, Fate, Gone, Plan};

use super::{connected, ready_project};
use crate::support::cluster::SOON;
use crate::support::cluster::kinds::{PROJECT, SECRET};
use crate::support::platform::ORGANIZATION;
use crate::support::samples::project;
use crate::support::stage::{Reach, Stage};

#[tokio::test]
async fn power_follows_the_spec() {
    let mut stage = Stage::new(Reach::Namespace).await;
    stage.platform.world().set_plan(ORGANIZATION, Plan::Free);
    let operator = stage.operator().await;
    connected(&stage).await;
    ready_project(&stage, "orders").await;
    let before = stage.cluster.data(SECRET, "orders-supabase").await.unwrap();
    stage.cluster.apply(project("orders").with("powerState", "Paused")).await;
    let remote = |wanted: &'static str| {
        move |object: &serde_json::Value| (object["status"]["remoteStatus"] == wanted).then_some(())
    };
    stage.cluster.wait_for(PROJECT, "orders", "paused", SOON, remote("INACTIVE")).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True/Paused").await;
    // Workloads have what they had: it is theirs again when the project wakes.
    assert_eq!(stage.cluster.data(SECRET, "orders-supabase").await.unwrap(), before);
    stage.cluster.apply(project("orders").with("powerState", "Running")).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_pause_that_nobody_asked_for_is_told_and_left() {
    let mut stage = Stage::new(Reach::Namespace).await;
    stage.platform.world().set_plan(ORGANIZATION, Plan::Free);
    let operator = stage.operator().await;
    connected(&stage).await;
    let ready = ready_project(&stage, "orders").await;
    let now = stage.platform.now();
    let reference = ready["status"]["ref"].as_str().unwrap();
    stage.platform.world().pause_by_hand(reference, now);
    let mark = stage.platform.mark();
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "False/Paused").await;
    let calls = stage.platform.calls_since(mark);
    assert!(calls.keys().all(|call| call.starts_with("GET ")), "{calls:?}");
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_project_deleted_elsewhere_is_told_and_never_made_again() {
    // Gone between two looks: no passing state is ever shown.
    let config = Config {
        delete: Duration::ZERO,
        removed_visible: Duration::ZERO,
        gone: Gone::RemovedNotFound,
        ..Config::fast()
    };
    let mut stage = Stage::with_platform(Reach::Namespace, config).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let ready = ready_project(&stage, "orders").await;
    let now = stage.platform.now();
    let reference = ready["status"]["ref"].as_str().unwrap();
    stage.platform.world().delete_by_hand(reference, now);
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "False/RemoteDeleted").await;
    let nudge = "supabase-operator.dev/reconcile-requested-at";
    let nudge = json!({"metadata": {"annotations": {nudge: "again"}}});
    stage.cluster.merge(PROJECT, "orders", nudge).await;
    stage
        .cluster
        .wait_for(PROJECT, "orders", "the request handled", SOON, |object| {
            (object["status"]["lastHandledReconcileAt"] == "again").then_some(())
        })
        .await;
    assert_eq!(stage.platform.created().len(), 1);
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn waking_that_falls_back_is_tried_three_times_and_anew_when_somebody_asks() {
    let mut stage = Stage::new(Reach::Namespace).await;
    stage.platform.world().set_plan(ORGANIZATION, Plan::Free);
    let operator = stage.operator().await;
    connected(&stage).await;
    let running = project("orders").with("powerState", "Running");
    stage.cluster.apply(running).await;
    let ready = stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    let now = stage.platform.now();
    let mark = stage.platform.mark();
    stage.platform.world().next_restores_fail(3);
    let reference = ready["status"]["ref"].as_str().unwrap();
    stage.platform.world().pause_by_hand(reference, now);
    stage.cluster.wait_condition(PROJECT, "orders", "Stalled", "True/RemoteFailed").await;
    let restores = stage.platform.calls_since(mark)["POST /v1/projects/{ref}/restore"];
    assert_eq!(restores, 3);
    let nudge = "supabase-operator.dev/reconcile-requested-at";
    let nudge = json!({"metadata": {"annotations": {nudge: "again"}}});
    stage.cluster.merge(PROJECT, "orders", nudge).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_suspended_object_is_left_alone() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    stage.cluster.apply(project("orders").with("suspend", true)).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "False/Suspended").await;
    assert!(stage.platform.created().is_empty());
    stage.cluster.apply(project("orders").with("suspend", false)).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_new_name_renames_the_project() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    ready_project(&stage, "orders").await;
    stage.cluster.apply(project("orders").called("orders-2")).await;
    stage
        .cluster
        .wait_for(PROJECT, "orders", "the new name", SOON, |object| {
            (object["status"]["projectName"] == "orders-2").then_some(())
        })
        .await;
    assert_eq!(stage.platform.project_names(), ["orders-2"]);
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_creation_that_failed_on_the_platform_is_told() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    stage.platform.world().next_creation(Fate::InitFailed);
    stage.cluster.apply(project("orders")).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "False/RemoteFailed").await;
    assert_eq!(stage.platform.created().len(), 1);
    stage.finish(vec![operator]).await;
}
