//! Two replicas as Pods: what happens to the work when the leading one goes, in order or not.

use std::time::Duration;

use serde_json::{Value, json};
use simulated_platform::Config;
use tokio::time::Instant;

use super::PATIENCE;
use crate::support::cluster::kinds::{CONNECTION, Kind, LEASE, PROJECT};
use crate::support::cluster::{Cluster, condition};
use crate::support::eventually::eventually;
use crate::support::leaks::{Text, assert_no_leaks};
use crate::support::node::{Node, on_a_node, said};
use crate::support::samples::{oauth_connection, project};

const POD: Kind = ("v1", "Pod");
const NAME: &str = "supabase-operator";
/// How often the others look, and the chart's lease. All else that a change of leader takes must fit into the two seconds.
const RETRY: Duration = Duration::from_secs(1);
const LEASE_DURATION: Duration = Duration::from_secs(15);
const MORE: Duration = Duration::from_secs(2);

async fn lease(node: &Node) -> Value {
    node.stage.system.get(LEASE, NAME).await.expect("there is a Lease")["spec"].clone()
}

/// Who holds the Lease: the name of its Pod, and what tells processes of one Pod apart.
async fn holder(node: &Node) -> String {
    lease(node).await["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

/// Waits until as many Pods as the chart asks for are Ready; returns the one that leads.
async fn leader(node: &Node) -> Value {
    eventually("two Pods that are Ready, one leading", PATIENCE, async || {
        let holder = holder(node).await;
        let leading = holder.split('_').next().unwrap_or_default();
        let mut pods = node.operators().await;
        pods.retain(|pod| condition(pod, "Ready").is_some_and(|ready| ready["status"] == "True"));
        let ready = pods.len();
        let leading = pods.into_iter().find(|pod| name_of(pod) == leading);
        leading.filter(|_| ready == 2).ok_or_else(|| format!("{ready} Pods, {holder} leads"))
    })
    .await
}

fn name_of(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap()
}

/// Waits until another process than this one leads.
async fn another_leads(node: &Node, than: &str, within: Duration) {
    eventually(&format!("another leader than {than}"), within, async || {
        let holder = holder(node).await;
        if holder.is_empty() || holder == than { Err(holder) } else { Ok(()) }
    })
    .await;
}

async fn ready_since(cluster: &Cluster, kind: Kind, name: &str) -> Value {
    let object = cluster.get(kind, name).await.unwrap();
    let ready = condition(&object, "Ready").cloned().unwrap();
    json!([ready["status"], ready["lastTransitionTime"]])
}

/// Applies a project, and waits for it for as long as a change of leader may take.
async fn another_project(node: &Node, name: &str) {
    let what = "Ready";
    let ready = |object: &Value| (condition(object, "Ready")?["status"] == "True").then_some(());
    let within = LEASE_DURATION + PATIENCE;
    node.stage.cluster.wait_for(PROJECT, name, what, within, ready).await;
}

#[test]
fn whenever_the_leading_pod_goes_the_other_goes_on() {
    on_a_node("node::leaders::whenever_the_leading_pod_goes_the_other_goes_on", async || {
        let values = json!({"replicas": 2, "leaderElection": {"retryPeriod": "1s"}});
        let node = Node::with(Config::fast(), &values).await;
        let (cluster, system) = (&node.stage.cluster, &node.stage.system);
        cluster.apply(oauth_connection("acme")).await;
        cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
        cluster.apply(project("orders")).await;
        cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
        let before = (
            ready_since(cluster, CONNECTION, "acme").await,
            ready_since(cluster, PROJECT, "orders").await,
        );

        // Deleted, as by a drain: it gives the Lease away.
        let first = leader(&node).await;
        let held = holder(&node).await;
        let mut logs = vec![node.log(system, name_of(&first), false).await];
        cluster.apply(project("shop")).await;
        let begun = Instant::now();
        system.delete(POD, name_of(&first)).await;
        another_leads(&node, &held, RETRY + MORE).await;
        said("another leads when the leading Pod was deleted", begun);
        another_project(&node, "shop").await;

        // Killed: the Lease runs out. The kubelet starts it again, as another process of the same Pod.
        let second = leader(&node).await;
        let held = holder(&node).await;
        cluster.apply(project("stock")).await;
        let begun = Instant::now();
        node.kill(&second).await;
        another_leads(&node, &held, LEASE_DURATION + RETRY + MORE).await;
        said("another leads when the leading process was killed", begun);
        another_project(&node, "stock").await;
        let third = leader(&node).await;
        logs.push(node.log(system, name_of(&second), true).await);
        logs.push(node.log(system, name_of(&third), false).await);

        let after = (
            ready_since(cluster, CONNECTION, "acme").await,
            ready_since(cluster, PROJECT, "orders").await,
        );
        assert_eq!(before, after, "a change of leader is nothing that a user notices");
        assert_eq!(node.stage.platform.created().len(), 3);
        let mut names = node.stage.platform.project_names();
        names.sort();
        let wanted = ["orders", "shop", "stock"];
        assert_eq!(names, wanted.map(|name| format!("{}-{name}", cluster.namespace)));
        let texts: Vec<_> = logs.into_iter().map(|log| Text::new("log", log)).collect();
        assert_no_leaks(&node.stage.platform.canaries(), &texts);
        node.stage.finish(vec![]).await;
    });
}
