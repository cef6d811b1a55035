//! Workloads that mount an output are restarted when it holds something new.

use serde_json::{Value, json};
use simulated_platform::Config;

use super::connected;
use crate::support::cluster::kinds::{PROJECT, SECRET};
use crate::support::cluster::{SOON, conditions_of};
use crate::support::samples::project;
use crate::support::stage::{Reach, Stage};

const WORKLOADS: [(&str, &str); 3] =
    [("Deployment", "web"), ("StatefulSet", "queue"), ("DaemonSet", "agent")];
const ANNOTATION: &str = "output.supabase-operator.dev/orders-app";

fn workload(kind: &str, name: &str) -> Value {
    let labels = json!({"app": name});
    let container = json!({"name": "main", "image": "example.com/app:1", "envFrom": [{"secretRef": {"name": "orders-app"}}]});
    let mut spec = json!({
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    });
    if kind == "StatefulSet" {
        spec["serviceName"] = json!(name);
    }
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// The digest that each workload was given, and how often its Pod template was changed.
async fn given(stage: &Stage) -> Vec<(Option<String>, i64)> {
    let mut all = Vec::new();
    for (kind, name) in WORKLOADS {
        let there = stage.cluster.get(("apps/v1", kind), name).await.unwrap();
        let digest = there["spec"]["template"]["metadata"]["annotations"][ANNOTATION].as_str();
        all.push((digest.map(str::to_owned), there["metadata"]["generation"].as_i64().unwrap()));
    }
    all
}

fn rotate(stage: &Stage, reference: &str) {
    let now = stage.platform.now();
    stage.platform.world().rotate_keys_by_hand(reference, now);
}

async fn written_anew(stage: &Stage, before: &Value, word: &str) -> Value {
    let ask = json!({"metadata": {"annotations": {"supabase-operator.dev/reconcile-requested-at": word}}});
    stage.cluster.merge(PROJECT, "orders", ask).await;
    let changed = |object: &Value| (object["data"] != *before).then(|| object["data"].clone());
    stage.cluster.wait_for(SECRET, "orders-app", "other keys", SOON, changed).await
}

#[tokio::test]
async fn workloads_are_restarted_once_a_change_and_only_where_that_is_allowed() {
    for allowed in [true, false] {
        let values = json!({"rolloutRestart": {"enabled": allowed}});
        let mut stage = Stage::with(Reach::Namespace, Config::fast(), &values).await;
        let operator = stage.operator().await;
        connected(&stage).await;
        for (kind, name) in WORKLOADS {
            stage.cluster.apply(workload(kind, name)).await;
        }
        let named: Vec<_> =
            WORKLOADS.map(|(kind, name)| json!({"kind": kind, "name": name})).into();
        let mut named = named;
        named.push(json!({"kind": "Deployment", "name": "not-there-yet"}));
        let output = json!({"rolloutRestart": named});
        let declared = project("orders").with_output("orders-app", "Env", output.clone());
        stage.cluster.apply(declared.clone()).await;
        let ready = stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
        let reference = ready["status"]["ref"].as_str().unwrap().to_owned();
        // What it holds first is what they start with.
        let first = given(&stage).await;
        assert!(
            first.iter().all(|(digest, generation)| digest.is_none() && *generation == 1),
            "{first:?}"
        );
        let before = stage.cluster.get(SECRET, "orders-app").await.unwrap()["data"].clone();

        rotate(&stage, &reference);
        let after = written_anew(&stage, &before, "first").await;
        if !allowed {
            let told = |object: &Value| {
                let text = conditions_of(object);
                text.contains("rolloutRestart.enabled").then_some(())
            };
            stage.cluster.wait_for(PROJECT, "orders", "a word about it", SOON, told).await;
            stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
            assert_eq!(given(&stage).await, first);
            stage.finish(vec![operator]).await;
            continue;
        }
        let rolled = |object: &Value| {
            let outputs = object["status"]["outputs"].as_array()?;
            let digest = outputs.first()?["rolledOut"].as_str()?;
            Some(digest.to_owned())
        };
        let old = ready["status"]["outputs"][0]["rolledOut"].as_str().map(str::to_owned);
        let anew = |object: &Value| rolled(object).filter(|digest| Some(digest) != old.as_ref());
        let digest = stage.cluster.wait_for(PROJECT, "orders", "rolled out", SOON, anew).await;
        let once: Vec<_> = WORKLOADS.iter().map(|_| (Some(digest.clone()), 2)).collect();
        assert_eq!(given(&stage).await, once);
        let events = stage.cluster.wait_events("orders", "RolloutRestarted", 3).await;
        assert_eq!(
            events.iter().filter(|reason| *reason == "RolloutRestarted").count(),
            3,
            "{events:?}"
        );

        // Other labels are no other content, and a new process restarts nobody.
        let mut labelled = output.clone();
        labelled["labels"] = json!({"tier": "db"});
        stage.cluster.apply(project("orders").with_output("orders-app", "Env", labelled)).await;
        let labelled =
            |object: &Value| (object["metadata"]["labels"]["tier"] == "db").then_some(());
        stage.cluster.wait_for(SECRET, "orders-app", "the label", SOON, labelled).await;
        let ended = operator.terminate(SOON).await;
        assert!(ended.success(), "{ended}");
        let operator = stage.operator().await;
        let ask = json!({"metadata": {"annotations": {"supabase-operator.dev/reconcile-requested-at": "once more"}}});
        stage.cluster.merge(PROJECT, "orders", ask).await;
        let handled = |object: &Value| {
            (object["status"]["lastHandledReconcileAt"] == "once more").then_some(())
        };
        stage.cluster.wait_for(PROJECT, "orders", "a reconcile", SOON, handled).await;
        assert_eq!(given(&stage).await, once);

        rotate(&stage, &reference);
        written_anew(&stage, &after, "second").await;
        let twice = |object: &Value| rolled(object).filter(|next| *next != digest);
        let next = stage.cluster.wait_for(PROJECT, "orders", "rolled out again", SOON, twice).await;
        let all: Vec<_> = WORKLOADS.iter().map(|_| (Some(next.clone()), 3)).collect();
        assert_eq!(given(&stage).await, all);
        stage.finish(vec![operator]).await;
    }
}
