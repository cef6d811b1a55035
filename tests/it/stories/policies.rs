//! A cluster whose administrators ask something of every Secret: told in their words, and met by `secretTemplate`.

use serde_json::{Value, json};

use crate::support::cluster::kinds::{CONNECTION, PROJECT, SECRET};
use crate::support::cluster::{SOON, condition};
use crate::support::eventually::eventually;
use crate::support::samples::{oauth_connection, project, secret};
use crate::support::stage::{Reach, Stage};

const WORDS: &str = "every Secret carries the label team, see https://wiki.example/secrets";
const MADE: [&str; 3] = ["acme-oauth-state", "orders-supabase-password", "orders-supabase"];

/// From now on every Secret of the story's namespace must carry the label `team`.
async fn demand_a_label(stage: &Stage) {
    let namespace = &stage.cluster.namespace;
    let version = "admissionregistration.k8s.io/v1";
    let name = format!("labels-of-{namespace}");
    let secrets = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["secrets"]});
    stage
        .cluster
        .apply(json!({
            "apiVersion": version, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [secrets]},
                "validations": [{
                    "expression": "has(object.metadata.labels) && 'team' in object.metadata.labels",
                    "message": WORDS,
                }],
            },
        }))
        .await;
    let there = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
    stage
        .cluster
        .apply(json!({
            "apiVersion": version, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {
                "policyName": name, "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": there},
            },
        }))
        .await;
    // The API server looks at policies now and then.
    eventually("the policy to be in force", SOON, async || {
        match stage.cluster.try_apply(secret("probe", &[("key", "value")])).await {
            Ok(_) => Err("a Secret without the label was taken"),
            Err(_) => Ok(()),
        }
    })
    .await;
}

async fn told_in_their_words(stage: &Stage, kind: (&'static str, &'static str), name: &str) {
    let told = stage.cluster.wait_condition(kind, name, "Ready", "False/Conflict").await;
    for which in ["Ready", "Stalled"] {
        let message = condition(&told, which).unwrap()["message"].to_string();
        assert!(message.contains(WORDS) && message.contains("labels-of-"), "{which}: {message}");
    }
}

async fn meta(stage: &Stage, name: &str) -> Value {
    stage.cluster.get(SECRET, name).await.unwrap()["metadata"].clone()
}

#[tokio::test]
async fn what_a_policy_asks_of_secrets_is_told_in_its_words_and_can_be_declared() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    demand_a_label(&stage).await;
    stage.cluster.apply(oauth_connection("acme")).await;
    told_in_their_words(&stage, CONNECTION, "acme").await;
    let template = json!({"labels": {"team": "db"}, "annotations": {"example.com/owner": "db"}});
    stage.cluster.apply(oauth_connection("acme").with("secretTemplate", template.clone())).await;
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;

    stage.cluster.apply(project("orders")).await;
    told_in_their_words(&stage, PROJECT, "orders").await;
    assert!(stage.platform.created().is_empty(), "no create call without a place for the password");
    stage.cluster.apply(project("orders").with("secretTemplate", template)).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    assert_eq!(stage.platform.created().len(), 1);
    for name in MADE {
        let meta = meta(&stage, name).await;
        assert_eq!(meta["labels"]["team"], "db", "{name}: {meta}");
        assert_eq!(meta["annotations"]["example.com/owner"], "db", "{name}: {meta}");
        assert_eq!(meta["labels"]["app.kubernetes.io/managed-by"], "supabase-operator", "{name}");
    }

    // What is declared otherwise reaches what is there, and what is not declared any more goes.
    let theirs = json!({"metadata": {"annotations": {"example.com/theirs": "yes"}}});
    for name in MADE {
        stage.cluster.merge(SECRET, name, theirs.clone()).await;
    }
    let template = json!({"labels": {"team": "web"}});
    stage.cluster.apply(oauth_connection("acme").with("secretTemplate", template.clone())).await;
    stage.cluster.apply(project("orders").with("secretTemplate", template)).await;
    for name in MADE {
        let changed = |object: &Value| {
            let meta = &object["metadata"];
            let is = meta["labels"]["team"] == "web"
                && meta["annotations"]["example.com/owner"].is_null();
            is.then(|| meta.clone())
        };
        let meta = stage.cluster.wait_for(SECRET, name, "the new label", SOON, changed).await;
        assert_eq!(meta["annotations"]["example.com/theirs"], "yes", "{name}: {meta}");
    }
    // At rest nothing is written again.
    let versions = async |stage: &Stage| {
        let mut versions = Vec::new();
        for name in MADE {
            versions.push(meta(stage, name).await["resourceVersion"].clone());
        }
        versions
    };
    let before = versions(&stage).await;
    for (kind, name) in [(CONNECTION, "acme"), (PROJECT, "orders")] {
        let asked = json!({"metadata": {"annotations": {"supabase-operator.dev/reconcile-requested-at": "now"}}});
        stage.cluster.merge(kind, name, asked).await;
        let handled =
            |object: &Value| (object["status"]["lastHandledReconcileAt"] == "now").then_some(());
        stage.cluster.wait_for(kind, name, "a reconcile", SOON, handled).await;
    }
    assert_eq!(versions(&stage).await, before);
    stage.finish(vec![operator]).await;
}
