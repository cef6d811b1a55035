//! Two replicas as Pods: what happens to the work when the leading one goes, in order or not, or reaches only half of the world.

use std::time::Duration;

use serde_json::{Value, json};
use simulated_platform::{Config, Limiter};
use tokio::time::Instant;

use super::{PATIENCE, readiness};
use crate::support::cluster::condition;
use crate::support::cluster::kinds::{CONNECTION, Kind, LEASE, PROJECT};
use crate::support::eventually::eventually;
use crate::support::leaks::{Text, assert_no_leaks};
use crate::support::node::{Call, Node, on_a_node, said, said_until};
use crate::support::samples::{oauth_connection, project};

const POD: Kind = ("v1", "Pod");
const NAME: &str = "supabase-operator";
/// How often the others look, and the chart's lease. All else that a change of leader takes must fit into the two seconds.
const RETRY: Duration = Duration::from_secs(1);
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// The chart's: for so long a leader believes in its last renewal.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// From the moment at which a call is allowed to its arrival at the platform.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
const MORE: Duration = Duration::from_secs(2);
/// Where a leader went between the record of a create call and the answer, whether the call worked is found out first.
const LOOK_UP: Duration = Duration::from_secs(300);

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

/// Applies a project, and waits for it for as long as a change of leader may take.
async fn another_project(node: &Node, name: &str) {
    let what = "Ready";
    let ready = |object: &Value| (condition(object, "Ready")?["status"] == "True").then_some(());
    let within = LEASE_DURATION + PATIENCE + LOOK_UP;
    node.stage.cluster.wait_for(PROJECT, name, what, within, ready).await;
}

/// What every story of this file ends with: these projects, each made once, and nothing said that must not be.
async fn made_once(node: Node, projects: &[&str], logs: Vec<String>) {
    let platform = &node.stage.platform;
    assert_eq!(platform.created().len(), projects.len());
    let mut names = platform.project_names();
    names.sort();
    let mut wanted: Vec<_> =
        projects.iter().map(|name| format!("{}-{name}", node.stage.cluster.namespace)).collect();
    wanted.sort();
    assert_eq!(names, wanted);
    let texts: Vec<_> = logs.into_iter().map(|log| Text::new("log", log)).collect();
    assert_no_leaks(&platform.canaries(), &texts);
    node.stage.finish(vec![]).await;
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
        let before = readiness(cluster, &["orders"]).await;

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

        let after = readiness(cluster, &["orders"]).await;
        assert_eq!(before, after, "a change of leader is nothing that a user notices");
        made_once(node, &["orders", "shop", "stock"], logs).await;
    });
}

#[test]
fn a_leader_that_reaches_the_platform_only_stops_before_another_leads() {
    let name = "node::leaders::a_leader_that_reaches_the_platform_only_stops_before_another_leads";
    on_a_node(name, async || {
        let intervals = json!({"transition": "1s", "rest": "1s"});
        let election = json!({"retryPeriod": "1s"});
        let values = json!({"replicas": 2, "leaderElection": election, "intervals": intervals});
        let node = Node::with(Config { limiter: Limiter::Off, ..Config::fast() }, &values).await;
        let (cluster, system) = (&node.stage.cluster, &node.stage.system);
        cluster.apply(oauth_connection("acme")).await;
        cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
        cluster.apply(project("orders")).await;
        cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
        let before = readiness(cluster, &["orders"]).await;
        let first = leader(&node).await;
        let held = holder(&node).await;

        // The answer to the last create is under way, and cannot be noted any more.
        let projects = ["shop", "stock"];
        for name in projects {
            cluster.apply(project(name)).await;
        }
        eventually("the create calls", PATIENCE, async || {
            let created = node.stage.platform.created().len();
            if created == 1 + projects.len() { Ok(()) } else { Err(format!("{created} creates")) }
        })
        .await;
        let begun = Instant::now();
        node.cut_off(&first).await;
        let cut = Instant::now();
        another_leads(&node, &held, LEASE_DURATION + RETRY + MORE).await;
        let led = Instant::now();
        said("another leads when the leading Pod was cut off from the API server", begun);
        for name in projects {
            another_project(&node, name).await;
        }
        said("its projects are Ready", begun);
        let calls = node.calls_of(&first, cut);
        let last = calls.last().expect("it still reaches the platform").at;
        said_until("the Pod that was cut off called the platform for the last time", begun, last);
        // A look at the Lease that is under way may take a little longer than the claim; meanwhile it only reads.
        let allowed = cut + RENEW_DEADLINE + ON_ITS_WAY;
        let late = |call: &&Call| call.at > led || (call.at > allowed && !call.only_reads());
        let late: Vec<_> = calls.iter().filter(late).collect();
        assert!(late.is_empty(), "calls without a claim to lead: {late:#?}");

        let second = holder(&node).await;
        node.heal().await;
        let begun = Instant::now();
        eventually("the end of the process that has lost its claim", PATIENCE, async || {
            let pod = system.get(POD, name_of(&first)).await.ok_or("its Pod is gone")?;
            let status = pod["status"]["containerStatuses"][0].clone();
            if status["restartCount"] == 1 { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
        let leading = leader(&node).await;
        said("the process was started again, and both Pods are Ready", begun);
        assert_eq!(holder(&node).await, second, "whoever comes back only waits");
        cluster.apply(project("late")).await;
        another_project(&node, "late").await;
        let after = readiness(cluster, &["orders"]).await;
        assert_eq!(before, after, "a change of leader is nothing that a user notices");
        let logs = vec![
            node.log(system, name_of(&first), true).await,
            node.log(system, name_of(&leading), false).await,
        ];
        made_once(node, &["orders", "shop", "stock", "late"], logs).await;
    });
}

#[test]
fn a_leader_that_runs_out_of_memory_is_started_again_and_the_work_goes_on() {
    let name =
        "node::leaders::a_leader_that_runs_out_of_memory_is_started_again_and_the_work_goes_on";
    on_a_node(name, async || {
        let values = json!({"replicas": 2, "leaderElection": {"retryPeriod": "1s"}});
        let node = Node::with(Config::fast(), &values).await;
        let (cluster, system) = (&node.stage.cluster, &node.stage.system);
        cluster.apply(oauth_connection("acme")).await;
        cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
        cluster.apply(project("orders")).await;
        cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
        let before = readiness(cluster, &["orders"]).await;
        let first = leader(&node).await;
        let held = holder(&node).await;

        // Amid work.
        let projects = ["shop", "stock"];
        for name in projects {
            cluster.apply(project(name)).await;
        }
        let begun = Instant::now();
        node.memory_of(&first).exhaust().await;
        let ended = eventually("the end for lack of memory", PATIENCE, async || {
            let pod = system.get(POD, name_of(&first)).await.ok_or("the Pod is gone")?;
            let status = &pod["status"]["containerStatuses"][0];
            let ended = &status["lastState"]["terminated"];
            if status["restartCount"] == 1 && ended.is_object() {
                Ok(ended.clone())
            } else {
                Err(status.to_string())
            }
        })
        .await;
        said("the container was ended for lack of memory and started again", begun);
        assert_eq!((&ended["reason"], &ended["exitCode"]), (&json!("OOMKilled"), &json!(137)));
        another_leads(&node, &held, LEASE_DURATION + RETRY + MORE).await;
        said("another leads", begun);
        for name in projects {
            another_project(&node, name).await;
        }
        said("the projects are Ready", begun);
        let leading = leader(&node).await;
        assert_eq!(before, readiness(cluster, &["orders"]).await);
        let logs = vec![
            node.log(system, name_of(&first), true).await,
            node.log(system, name_of(&leading), false).await,
        ];
        made_once(node, &["orders", "shop", "stock"], logs).await;
    });
}
