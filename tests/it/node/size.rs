//! A large cluster: whether the image of a release, with the memory that the chart gives it by default, can look after many
//! projects at once, take them over, and compare all of them again.
//!
//! Apart from the other stories because it needs that image, which takes minutes to build: `make node IMAGE=1`.

use std::path::PathBuf;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use simulated_platform::{Config, Limiter};
use tokio::time::Instant;

use super::PATIENCE;
use crate::support::cluster::condition;
use crate::support::cluster::kinds::{CONNECTION, PROJECT};
use crate::support::eventually::eventually;
use crate::support::node::{Node, on_a_node_for_longer, said};
use crate::support::samples::{oauth_connection, project};

/// How many projects, unless `NODE_PROJECTS` says otherwise.
const PROJECTS: usize = 5_000;
/// How many the test applies, or asks for, at the same time.
const AT_ONCE: usize = 16;
/// For each of them to become Ready, or to be compared, on a machine that has much else to do.
const EACH: Duration = Duration::from_millis(100);
/// Between two comparisons of each project, give or take a tenth.
const RESYNC: Duration = Duration::from_secs(60);

fn projects() -> usize {
    std::env::var("NODE_PROJECTS").map_or(PROJECTS, |number| number.parse().unwrap())
}

/// For a pass over all of them.
fn patience() -> Duration {
    PATIENCE + EACH * u32::try_from(projects()).unwrap()
}

fn is_ready(object: &Value) -> Option<()> {
    (condition(object, "Ready")?["status"] == "True").then_some(())
}

/// The operator's only Pod, once it is Ready.
async fn operator(node: &Node, but: &Value) -> Value {
    eventually("the operator's Pod", PATIENCE, async || {
        let mut pods = node.operators().await;
        pods.retain(|pod| is_ready(pod).is_some() && pod["metadata"]["uid"] != *but);
        pods.pop().ok_or("none is Ready")
    })
    .await
}

/// Says how much memory the Pod has taken at most, and holds it against its limit; nothing has ended it before.
async fn fits(node: &Node, pod: &Value, what: &str) {
    const MIB: u64 = 1 << 20;
    let memory = node.memory_of(pod);
    let (peak, limit) = (memory.peak(), memory.limit());
    let wanted = &pod["spec"]["containers"][0]["resources"]["limits"]["memory"];
    assert_eq!(*wanted, "256Mi", "the chart's default");
    assert_eq!(limit, 256 * MIB, "the kubelet hands it to the kernel");
    let name = pod["metadata"]["name"].as_str().unwrap();
    let now = node.stage.system.get(("v1", "Pod"), name).await.unwrap();
    assert_eq!(now["status"]["containerStatuses"][0]["restartCount"], 0, "{what}");
    said_memory(what, peak / MIB, limit / MIB);
    assert!(peak < limit, "{what}: {peak} of {limit} bytes");
}

#[expect(clippy::print_stderr, reason = "figures for the person who runs it")]
fn said_memory(what: &str, peak: u64, limit: u64) {
    eprintln!("node: {what}: {peak} of {limit} MiB at most");
}

/// Waits until the Pod has been over projects so often.
async fn passes(node: &Node, pod: &Value, wanted: usize, within: Duration) {
    eventually(&format!("{wanted} passes over projects"), within, async || {
        let metrics = node.metrics_of(pod).await.map_err(|error| error.to_string())?;
        let of_projects = metrics.lines().filter(|line| {
            line.starts_with("supabase_operator_passes_total{")
                && line.contains("kind=\"SupabaseProject\"")
        });
        let counts = of_projects.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
        let passes: usize = counts.sum();
        if passes >= wanted { Ok(()) } else { Err(format!("{passes} passes")) }
    })
    .await;
}

#[test]
fn many_projects_fit_into_the_memory_that_the_chart_gives_by_default() {
    let name = "node::size::many_projects_fit_into_the_memory_that_the_chart_gives_by_default";
    let Some(archive) = std::env::var_os("NODE_IMAGE").map(PathBuf::from) else {
        return left_out(name);
    };
    on_a_node_for_longer(name, 4 * patience(), async || {
        // Announced: where the platform names no limit, the operator keeps to the usual one.
        let config = Config { limiter: Limiter::ProjectEndpoint(1_000_000), ..Config::instant() };
        let resync = format!("{}s", RESYNC.as_secs());
        let values = json!({"intervals": {"resync": resync}});
        let node = Node::of_release(config, &values, &archive).await;
        let cluster = &node.stage.cluster;
        cluster.apply(oauth_connection("acme")).await;
        cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
        let first = operator(&node, &Value::Null).await;
        let names: Vec<_> = (0..projects()).map(|number| format!("project-{number}")).collect();
        let begun = Instant::now();
        stream::iter(&names)
            .for_each_concurrent(AT_ONCE, async |name| {
                cluster.apply(project(name)).await;
            })
            .await;
        said(&format!("{} projects are applied", names.len()), begun);
        let deadline = begun + patience();
        for name in &names {
            let left = deadline - Instant::now();
            cluster.wait_for(PROJECT, name, "Ready", left, is_ready).await;
        }
        said("all of them are Ready", begun);
        fits(&node, &first, "the Pod that created them").await;

        let begun = Instant::now();
        let uid = first["metadata"]["uid"].clone();
        node.stage.system.delete(("v1", "Pod"), first["metadata"]["name"].as_str().unwrap()).await;
        let second = operator(&node, &uid).await;
        said("another Pod is Ready", begun);
        passes(&node, &second, names.len(), patience()).await;
        said("it has been over all of them", begun);
        // The first look at keys and addresses is a pass of its own; the third one is a comparison.
        passes(&node, &second, 3 * names.len(), RESYNC + patience()).await;
        said("it has compared all of them again", begun);
        fits(&node, &second, "the Pod that took them over").await;
        let objects = cluster.list(PROJECT).await;
        let ready = objects.iter().filter(|object| is_ready(object).is_some()).count();
        assert_eq!((objects.len(), ready), (names.len(), names.len()));
        assert_eq!(node.stage.platform.created().len(), names.len());
        node.stage.finish(vec![]).await;
    });
}

#[expect(clippy::print_stderr, reason = "for the person who wonders why nothing was tested")]
fn left_out(name: &str) {
    eprintln!("{name}: left out; make node IMAGE=1 runs it");
}
