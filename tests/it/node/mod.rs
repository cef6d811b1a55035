//! Stories on a real node: the chart's own Deployment runs as Pods, and applications mount what the operator writes.

mod applications;
mod installation;
mod leaders;
mod leftovers;
mod probes;
mod release;
mod scale;
mod size;
mod upgrade;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cluster::kinds::{CONNECTION, PROJECT};
use crate::support::cluster::{Cluster, condition};
use crate::support::eventually::eventually;
use crate::support::node::Node;
use crate::support::programs::{ensure, succeed};

/// Longer than a kubelet waits between two tries.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a Pod needs to be let into a namespace for restricted Pods.
fn restricted() -> Value {
    json!({
        "runAsNonRoot": true,
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

/// The only Pod of an application.
async fn pod_of(cluster: &Cluster, application: &str) -> Option<Value> {
    let mut pods = cluster.list(("v1", "Pod")).await;
    pods.retain(|pod| pod["metadata"]["labels"]["app"] == application);
    pods.pop()
}

/// Waits until the application's Pod is as wanted, and returns its name.
async fn pod_when(
    cluster: &Cluster,
    application: &str,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> String {
    eventually(&format!("{application}: {what}"), PATIENCE, async || {
        let pod = pod_of(cluster, application).await.ok_or("it has no Pod")?;
        if wanted(&pod) {
            Ok(pod["metadata"]["name"].as_str().unwrap().to_owned())
        } else {
            Err(pod["status"].to_string())
        }
    })
    .await
}

/// What `kubectl rollout` does with the operator's Deployment.
async fn rollout(node: &Node, what: &[&str]) {
    let mut command = node.stage.plane.command(&ensure("kubectl").await);
    command.arg("rollout").args(what).arg("deployment/supabase-operator");
    command.args(["--namespace", &node.stage.system.namespace]);
    succeed(command).await;
}

/// Since when these projects and the connection are as Ready as they are.
async fn readiness(cluster: &Cluster, names: &[impl AsRef<str>]) -> Vec<Value> {
    let mut all = Vec::new();
    let projects = names.iter().map(|name| (PROJECT, name.as_ref()));
    for (kind, name) in projects.chain([(CONNECTION, "acme")]) {
        let object = cluster.get(kind, name).await.unwrap();
        let ready = condition(&object, "Ready").unwrap();
        all.push(json!([name, ready["status"], ready["lastTransitionTime"]]));
    }
    all
}
