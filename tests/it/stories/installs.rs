//! Several installs on one platform, and an install that goes.

use serde_json::json;
use simulated_platform::Config;

use super::{connected_with_token, ready_project};
use crate::support::cluster::kinds::{CONNECTION, PROJECT, SECRET};
use crate::support::cluster::{SOON, condition};
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
