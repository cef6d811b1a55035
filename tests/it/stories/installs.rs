//! Several installs on one platform, and an install that goes.

use serde_json::{Value, json};
use simulated_platform::Config;

use super::{connected_with_token, ready_project};
use crate::support::cluster::kinds::{CONNECTION, Kind, PROJECT, SECRET};
use crate::support::cluster::{Cluster, SOON, condition};
use crate::support::eventually::eventually;
use crate::support::programs::{ensure, succeed};
use crate::support::samples::project;
use crate::support::stage::{Reach, Stage};

#[tokio::test]
async fn two_installs_that_want_one_name_never_share_a_project() {
    let mut one = Stage::new(Reach::Namespace).await;
    let endpoint = json!({"managementAPI": {"endpoint": one.platform.endpoint()}});
    let mut other = Stage::with(Reach::Namespace, Config::fast(), &endpoint).await;
    one.platform.provide_secrets(&other.cluster).await;
    let operators = (one.operator().await, other.operator().await);
    connected_with_token(&one).await;
    connected_with_token(&other).await;
    for stage in [&one, &other] {
        stage.cluster.apply(project("orders").called("same")).await;
    }
    let mut refs = Vec::new();
    for stage in [&one, &other] {
        let what = "an end";
        let end = stage.cluster.wait_for(PROJECT, "orders", what, SOON, |object| {
            let ready = condition(object, "Ready")?;
            let ended = ready["status"] == "True" || ready["reason"] == "NameConflict";
            ended.then(|| object["status"]["ref"].clone())
        });
        refs.push(end.await);
    }
    assert!(refs[0] != refs[1], "both carry {}", refs[0]);
    let names = one.platform.project_names();
    assert_eq!(names.iter().filter(|name| *name == "same").count(), 1, "{names:?}");
    one.finish(vec![operators.0]).await;
    other.finish(vec![operators.1]).await;
}

#[tokio::test]
async fn uninstalling_the_chart_leaves_everything_of_the_users_alone() {
    let mut stage = Stage::new(Reach::Cluster).await;
    let operator = stage.operator().await;
    connected_with_token(&stage).await;
    stage.cluster.apply(project("orders").on_delete("Delete")).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    let before = stage.platform.project_names();
    let ended = operator.terminate(SOON).await;
    assert!(ended.success(), "{ended}");
    let mut helm = stage.plane.command(&ensure("helm4").await);
    helm.args(["uninstall", "supabase-operator", "--namespace", &stage.release.namespace]);
    succeed(helm).await;
    for (kind, name) in [(PROJECT, "orders"), (CONNECTION, "acme"), (SECRET, "orders-supabase")] {
        let object = stage.cluster.get(kind, name).await.unwrap();
        assert!(object["metadata"]["deletionTimestamp"].is_null(), "{object}");
    }
    assert_eq!(stage.platform.project_names(), before);
}

#[tokio::test]
async fn a_credential_without_watch_rights_is_read_again_in_time() {
    let mut stage = Stage::new(Reach::Cluster).await;
    let operator = stage.operator().await;
    stage.cluster.delete(SECRET, "supabase-token").await;
    stage.cluster.apply(crate::support::samples::token_connection("acme")).await;
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "False/SecretNotFound").await;
    stage.platform.provide_secrets(&stage.cluster).await;
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
    ready_project(&stage, "orders").await;
    stage.finish(vec![operator]).await;
}

/// Two releases that serve one namespace, by mistake: the one that was there first goes on, the other one leaves its objects
/// alone and says so; when the first one goes, the other takes over.
#[tokio::test]
async fn of_two_installs_that_serve_the_same_objects_one_makes_way() {
    let mut one = Stage::new(Reach::Namespace).await;
    let first = one.operator().await;
    connected_with_token(&one).await;
    ready_project(&one, "orders").await;
    let marked = async |cluster: &Cluster, kind: Kind, name: &str, by: &str| {
        let marked = |object: &Value| {
            let mark = object["status"]["installation"]["name"].as_str()?;
            mark.starts_with(&format!("{by}/")).then_some(())
        };
        cluster.wait_for(kind, name, &format!("the mark of {by}"), SOON, marked).await;
    };
    let here = one.release.namespace.clone();
    marked(&one.cluster, PROJECT, "orders", &here).await;

    let same = json!({
        "managementAPI": {"endpoint": one.platform.endpoint()},
        "watchNamespaces": [one.cluster.namespace],
        "fullnameOverride": "other",
    });
    let mut two = Stage::with(Reach::Namespace, Config::fast(), &same).await;
    let there = two.release.namespace.clone();
    let second = two.operator().await;
    for (kind, name) in [(CONNECTION, "acme"), (PROJECT, "orders")] {
        eventually("the second one to make way", SOON, async || {
            let reasons = one.cluster.event_reasons(name).await;
            if reasons.iter().any(|reason| reason == "AnotherOperator") {
                Ok(())
            } else {
                Err(format!("{reasons:?}"))
            }
        })
        .await;
        marked(&one.cluster, kind, name, &here).await;
    }
    // What the first one does is not undone, and nothing is done twice.
    ready_project(&one, "shop").await;
    assert_eq!(one.platform.created().len(), 2);
    let told = one.cluster.event_reasons("orders").await;
    let told = told.iter().filter(|reason| *reason == "AnotherOperator").count();
    assert_eq!(told, 1);

    // It was a move after all: the first one goes, and the other is started anew.
    let ended = first.terminate(SOON).await;
    assert!(ended.success(), "{ended}");
    let ended = second.terminate(SOON).await;
    assert!(ended.success(), "{ended}");
    let again = two.operator().await;
    for (kind, name) in [(CONNECTION, "acme"), (PROJECT, "orders"), (PROJECT, "shop")] {
        marked(&one.cluster, kind, name, &there).await;
    }
    one.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    assert_eq!(one.platform.created().len(), 2);
    one.finish(Vec::new()).await;
    two.finish(vec![again]).await;
}
