//! The chart's roles hold what the operator needs and nothing more: a tour through everything it does, after
//! which the rights that were granted and those that were used are compared, both ways.

use kube::api::DeleteParams;
use serde_json::{Value, json};
use simulated_platform::Config;

use super::{connected, connected_with_token, ready_project};
use crate::support::audit::{not_used, requests};
use crate::support::cluster::kinds::{
    AUTH_CONFIG, CLUSTER_CONNECTION, CONFIG_MAP, CONNECTION, Kind, NAMESPACE, PROJECT, SECRET,
};
use crate::support::cluster::{Cluster, SOON};
use crate::support::eventually::eventually;
use crate::support::programs::{ensure, run};
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
    cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    cluster.apply(outputs(json!("B_"))).await;
    let changed =
        |object: &Value| object["data"].as_object()?.contains_key("B_SUPABASE_URL").then_some(());
    cluster.wait_for(CONFIG_MAP, "web", "its new prefix", SOON, changed).await;
    cluster.wait_for(SECRET, "server", "its new prefix", SOON, changed).await;
    cluster.apply(orders.clone().with("outputs", json!([]))).await;
    cluster.gone(CONFIG_MAP, "web", SOON).await;
    cluster.gone(SECRET, "server", SOON).await;
}

/// Auth settings, with a Secret.
async fn auth_settings_come_and_go(cluster: &Cluster) {
    let auth = json!({
        "apiVersion": "supabase-operator.dev/v1alpha1", "kind": "SupabaseAuthConfig", "metadata": {"name": "orders"},
        "spec": {"projectRef": {"name": "orders"}, "siteURL": "https://shop.example"},
    });
    cluster.apply(auth).await;
    cluster.wait_condition(AUTH_CONFIG, "orders", "Ready", "True/Available").await;
    cluster.delete(AUTH_CONFIG, "orders").await;
    cluster.gone(AUTH_CONFIG, "orders", SOON).await;
}

/// A cluster connection that has to look at the namespace's labels.
async fn a_cluster_connection_comes_and_goes(stage: &Stage) {
    let cluster = &stage.cluster;
    stage.platform.provide_secrets(&stage.system).await;
    let labelled = json!({"selector": {"matchLabels": {"lent": "yes"}}});
    cluster.apply(cluster_connection("company").with("allowedNamespaces", labelled)).await;
    cluster.wait_condition(CLUSTER_CONNECTION, "company", "Ready", "True").await;
    cluster.apply(project("lent").of_cluster_connection("company")).await;
    cluster.wait_condition(PROJECT, "lent", "Ready", "False/NamespaceNotAllowed").await;
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
    auth_settings_come_and_go(&stage.cluster).await;
    if reach != Reach::Namespace {
        a_cluster_connection_comes_and_goes(&stage).await;
    }
    for (kind, name) in [(PROJECT, "orders"), (CONNECTION, "acme")] {
        stage.cluster.delete(kind, name).await;
        stage.cluster.gone(kind, name, SOON).await;
    }
    let granted = stage.release.grants(&stage.system).await;
    let used = requests(&stage.plane.audit_log(), &stage.release.user());
    let idle = not_used(&granted, &used);
    let idle: Vec<_> = idle.iter().map(ToString::to_string).collect();
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

/// What a thief of the operator's token would do: applies an object with it. What the API server says to a refusal.
async fn apply_with_its_token(stage: &Stage, object: &Value) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("object.json");
    std::fs::write(&file, object.to_string()).unwrap();
    let mut kubectl = stage.plane.command(&ensure("kubectl").await);
    kubectl
        .args(["replace", "--force=false", "--filename"])
        .arg(&file)
        .env("KUBECONFIG", stage.release.kubeconfig());
    let (replaced, said) = run(kubectl).await;
    if replaced || !said.contains("NotFound") {
        return if replaced { Ok(()) } else { Err(said) };
    }
    let mut kubectl = stage.plane.command(&ensure("kubectl").await);
    kubectl.args(["create", "--filename"]).arg(&file).env("KUBECONFIG", stage.release.kubeconfig());
    match run(kubectl).await {
        (true, _) => Ok(()),
        (false, said) => Err(said),
    }
}

#[tokio::test]
async fn a_stolen_token_makes_no_token_of_another_account() {
    let mut stage = Stage::new(Reach::Cluster).await;
    let operator = stage.operator().await;
    let namespace = stage.cluster.namespace.clone();
    let secret = |name: &str, kind: &str, account: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "type": kind,
            "metadata": {"name": name, "namespace": namespace,
                "annotations": {"kubernetes.io/service-account.name": account}}})
    };
    let token = "kubernetes.io/service-account-token";
    // A policy takes effect a moment after it was made.
    eventually("the policy", SOON, async || {
        match apply_with_its_token(&stage, &secret("token", token, "default")).await {
            Err(said) if said.contains("supabase-operator-secrets") => Ok(()),
            Err(said) => Err(said),
            Ok(()) => {
                stage.cluster.delete(SECRET, "token").await;
                Err("the token was made".to_owned())
            }
        }
    })
    .await;
    for kind in ["bootstrap.kubernetes.io/token", "helm.sh/release.v1", "example.dev/other"] {
        let refused = apply_with_its_token(&stage, &secret("other", kind, "default")).await;
        let said = refused.expect_err(kind);
        assert!(said.contains("supabase-operator-secrets"), "{kind}: {said}");
    }
    // One that an administrator made is not taken over either.
    stage.cluster.apply(secret("theirs", "example.dev/theirs", "")).await;
    let mut theirs = secret("theirs", "example.dev/theirs", "");
    theirs["stringData"] = json!({"password": "mine"});
    let said = apply_with_its_token(&stage, &theirs).await.unwrap_err();
    assert!(said.contains("supabase-operator-secrets"), "{said}");
    // The operator's own work goes on, with all that it writes.
    connected(&stage).await;
    let outputs =
        json!([{"name": "binding", "preset": "ServiceBinding"}, {"name": "env", "preset": "Env"}]);
    stage.cluster.apply(project("orders").with("outputs", outputs)).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    stage.finish(vec![operator]).await;
}

/// The worst case of a race: the right is gone before any object was asked to go.
#[tokio::test]
async fn a_namespace_whose_role_went_first_ends_where_a_right_outlives_it() {
    const ROLE_BINDING: Kind = ("rbac.authorization.k8s.io/v1", "RoleBinding");

    let values = json!({"rbac": {"outliveNamespaces": true}});
    let mut stage = Stage::with(Reach::Namespace, Config::fast(), &values).await;
    let _operator = stage.operator().await;
    connected_with_token(&stage).await;
    ready_project(&stage, "kept").await;
    stage.cluster.apply(project("preview").on_delete("Delete")).await;
    stage.cluster.wait_condition(PROJECT, "preview", "Ready", "True").await;
    assert_eq!(stage.platform.project_names().len(), 2);
    stage.cluster.delete(ROLE_BINDING, "supabase-operator").await;
    let namespace = stage.cluster.namespace.clone();
    stage.cluster.delete_with(NAMESPACE, &namespace, &DeleteParams::background()).await;
    stage.cluster.gone(NAMESPACE, &namespace, SOON * 3).await;
    let left = stage.platform.project_names();
    assert!(left.len() == 1 && left[0].ends_with("kept"), "{left:?}");
}
