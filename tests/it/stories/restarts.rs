//! Crashes, graceful stops and changes of leader: one project, whatever happens to the operator.

use std::time::Duration;

use simulated_platform::{Config, Fault, FaultKind};

use super::{connected, ready_project, short_lease};
use crate::support::cluster::SOON;
use crate::support::cluster::kinds::PROJECT;
use crate::support::eventually::eventually;
use crate::support::samples::project;
use crate::support::stage::{Reach, Stage};

#[tokio::test]
async fn an_operator_killed_right_after_the_create_call_makes_no_second_project() {
    let mut stage = Stage::with(Reach::Namespace, Config::fast(), &short_lease()).await;
    let first = stage.operator().await;
    connected(&stage).await;
    // The answer is on its way for long enough to be lost with the process.
    let late = FaultKind::Delay(Duration::from_secs(5));
    stage.platform.world().script(Fault::on("POST", "/v1/projects", late));
    stage.cluster.apply(project("orders")).await;
    eventually("the create call", SOON, async || match stage.platform.created().len() {
        0 => Err("no project yet"),
        _ => Ok(()),
    })
    .await;
    first.kill().await;
    let second = stage.operator().await;
    let ready = stage
        .cluster
        .wait_for(PROJECT, "orders", "Ready", Duration::from_secs(60), |object| {
            let ready = crate::support::cluster::condition(object, "Ready")?;
            (ready["status"] == "True").then(|| object.clone())
        })
        .await;
    assert_eq!(stage.platform.created(), [ready["status"]["ref"].as_str().unwrap()]);
    stage.finish(vec![second]).await;
}

#[tokio::test]
async fn a_graceful_stop_hands_over_at_once() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let first = stage.operator().await;
    connected(&stage).await;
    ready_project(&stage, "orders").await;
    let ended = first.terminate(Duration::from_secs(15)).await;
    assert!(ended.success(), "{ended}");
    let second = stage.operator().await;
    ready_project(&stage, "shop").await;
    assert_eq!(stage.platform.created().len(), 2);
    stage.finish(vec![second]).await;
}

#[tokio::test]
async fn of_two_operators_one_works_and_the_other_takes_over() {
    let mut stage = Stage::with(Reach::Namespace, Config::fast(), &short_lease()).await;
    let first = stage.operator().await;
    let second = stage.operator().await;
    connected(&stage).await;
    ready_project(&stage, "orders").await;
    first.kill().await;
    ready_project(&stage, "shop").await;
    assert_eq!(stage.platform.created().len(), 2);
    stage.finish(vec![second]).await;
}

#[tokio::test]
async fn a_lost_answer_is_looked_up() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let lost = Fault::on("POST", "/v1/projects", FaultKind::DropAfter);
    stage.platform.world().script(lost);
    let ready = ready_project(&stage, "orders").await;
    assert_eq!(stage.platform.created(), [ready["status"]["ref"].as_str().unwrap()]);
    stage.finish(vec![operator]).await;
}
