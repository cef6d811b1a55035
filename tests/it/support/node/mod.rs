//! A real node: kubelet, containerd and the Pods that they run, without Docker.
//!
//! A story on a node is run by this test binary once more, inside namespaces that `tests/tools/in-namespaces` makes: there it has
//! a network, mounts and processes of its own, and the usual helpers work as everywhere else. What the story leaves goes with
//! the namespaces. Runs with `NODE=1` only, which `make node` sets.

mod machine;
mod memory;
mod network;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use simulated_platform::{Config, PoolerAddress};
use tokio::process::Command;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::control_plane::{ControlPlane, Use};
use super::install::Release;
use super::platform::Platform;
use super::programs::{ensure, repository, succeed};
use super::stage::{Stage, merge};
pub use machine::APPLICATION;
use machine::Machine;
pub use memory::Memory;
pub use network::Call;
use network::Calls;

/// Everything that a story does, starting the node included.
const STORY: Duration = Duration::from_secs(9 * 60);
/// For the answer of a Pod.
const METRICS: Duration = Duration::from_secs(5);
/// The ConfigMap with the authority of the platform's certificate.
const AUTHORITY: &str = "platform-authority";
/// One node at a time: more would only wait for the machine's cores.
static TURN: Mutex<()> = Mutex::new(());

/// A node, and on it the chart, with the platform and databases that its Pods reach.
#[derive(Debug)]
pub struct Node {
    /// The control plane, platform and release. No operator is started on it: they are Pods.
    pub stage: Stage,
    machine: Machine,
    calls: Calls,
}

/// Plays a story on a node: `name` is the path of the calling test function. Where the machine cannot, that is said, and fails
/// where `CI=true`.
pub fn on_a_node(name: &str, story: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if std::env::var_os("NODE_FOLDER").is_some() {
        return runtime.block_on(story());
    }
    in_turn(name, || runtime.block_on(again_inside(name)));
}

/// Does something that needs the rights and the kernel of a node, if it is asked for and possible; one test at a time.
#[expect(clippy::print_stderr, reason = "for the person who wonders why nothing was tested")]
pub fn in_turn(name: &str, act: impl FnOnce()) {
    let is = |variable: &str, wanted: &str| std::env::var(variable).is_ok_and(|is| is == wanted);
    if !is("NODE", "1") {
        eprintln!("{name}: left out; make node runs it");
        return;
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let check = std::process::Command::new(in_namespaces()).arg("check").output().unwrap();
    if check.status.success() {
        return act();
    }
    let lacks = String::from_utf8_lossy(&check.stderr);
    assert!(!is("CI", "true"), "{name}: {lacks}");
    eprintln!("{name}: left out: {lacks}");
}

/// The program that makes the namespaces.
pub fn in_namespaces() -> PathBuf {
    repository().join("tests/tools/in-namespaces")
}

/// Runs one test of this binary in namespaces.
#[expect(clippy::print_stderr, reason = "what the test printed")]
async fn again_inside(name: &str) {
    // Inside there is no network to fetch them from.
    for program in ["node-tools", "controlplane", "kubectl", "helm4", "ca-bundle", "postgres"] {
        ensure(program).await;
    }
    let mut command = Command::new(in_namespaces());
    command.arg("run").arg(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // What a terminal tells this process reaches the others by the end of their standard input.
    command.process_group(0);
    let mut child = command.spawn().unwrap();
    let input = child.stdin.take();
    let ended = tokio::time::timeout(STORY, child.wait_with_output()).await;
    drop(input);
    let output = ended.unwrap_or_else(|_| panic!("{name}: not finished within {STORY:?}")).unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    eprintln!("{printed}");
    let passed = output.status.success() && printed.contains("test result: ok. 1 passed");
    assert!(passed, "{name} failed on the node: {}", output.status);
}

impl Node {
    /// A node with the chart on it, installed with these values and waited for. The operator is what the tests were built with.
    pub async fn with(config: Config, values: &Value) -> Self {
        let (repository, tag) = machine::OPERATOR.rsplit_once(':').unwrap();
        let mut all = json!({"image": {"repository": repository, "tag": tag}});
        merge(&mut all, values);
        Self::start(config, &all, None).await
    }

    /// The same with the image of a release, as the chart names it.
    pub async fn of_release(config: Config, values: &Value, archive: &Path) -> Self {
        Self::start(config, values, Some(archive)).await
    }

    async fn start(config: Config, values: &Value, operator: Option<&Path>) -> Self {
        let begun = Instant::now();
        let plane = ControlPlane::own().await;
        let machine = Machine::start(&plane, operator).await;
        let cluster = Cluster::new(plane.client().await);
        machine.ready(&cluster).await;
        said("the node is Ready", begun);
        let platform = Platform::start(config);
        platform.attach_databases().await;
        let address = machine.address().to_owned();
        let pooler = platform.world().config().pooler.clone().expect("databases are attached");
        network::forward(&address, pooler.session_port, pooler.session_port).await;
        platform.world().config_mut().pooler =
            Some(PoolerAddress { host: address.clone(), ..pooler });
        let calls = Calls::default();
        let authority = network::serve_tls(&address, platform.address(), &calls).await;
        let stage = Self::stage(plane, &cluster, platform, &address, &authority, values).await;
        Self { stage, machine, calls }
    }

    async fn stage(
        plane: Use,
        cluster: &Cluster,
        platform: Platform,
        address: &str,
        authority: &str,
        values: &Value,
    ) -> Stage {
        let system = cluster.in_namespace(&cluster.new_namespace("it-system").await);
        let cluster = cluster.in_namespace(&cluster.new_namespace("it-story").await);
        let metadata = json!({"name": AUTHORITY});
        let data = json!({"ca.crt": authority});
        system
            .apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}))
            .await;
        let mut all = json!({
            "image": {"pullPolicy": "Never"},
            "managementAPI": {
                "endpoint": format!("https://{address}"),
                "caBundle": {"configMapName": AUTHORITY},
            },
        });
        merge(&mut all, values);
        let begun = Instant::now();
        let release =
            Release::install_with(&plane, &system, &all, &["--wait", "--timeout", "50s"]).await;
        said("helm install --wait has ended", begun);
        platform.provide_secrets(&cluster).await;
        Stage::of(plane, cluster, system, platform, release)
    }

    /// The Pods of the operator that are not about to go, by name.
    pub async fn operators(&self) -> Vec<Value> {
        let mut pods = self.stage.system.list(("v1", "Pod")).await;
        pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        pods
    }

    /// What the Pod's only container has printed; with `previous`, what it printed before it was started again.
    pub async fn log(&self, cluster: &Cluster, pod: &str, previous: bool) -> String {
        let mut kubectl = self.stage.plane.command(&ensure("kubectl").await);
        kubectl.args(["logs", "--namespace", &cluster.namespace, pod]);
        if previous {
            kubectl.arg("--previous");
        }
        succeed(kubectl).await
    }

    /// Ends the first process of a Pod's only container with SIGKILL.
    pub async fn kill(&self, pod: &Value) {
        let id = container(pod);
        succeed(self.machine.ctr(&["tasks", "kill", "--signal", "SIGKILL", id])).await;
    }

    /// Lets nothing through between a Pod and the API server any more.
    pub async fn cut_off(&self, pod: &Value) {
        network::cut_off(address(pod), self.machine.api()).await;
    }

    /// Lets it through again.
    pub async fn heal(&self) {
        network::heal().await;
    }

    /// What a Pod asked of the platform since a moment.
    pub fn calls_of(&self, pod: &Value, since: Instant) -> Vec<Call> {
        self.calls.of(address(pod), since)
    }

    /// The metrics of a Pod of the operator.
    pub async fn metrics_of(&self, pod: &Value) -> Result<String, reqwest::Error> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().timeout(METRICS).no_proxy().build()?;
        let answer = client.get(format!("http://{}:8080/metrics", address(pod))).send().await?;
        answer.error_for_status()?.text().await
    }

    /// The memory of a Pod's only container as it runs now.
    pub fn memory_of(&self, pod: &Value) -> Memory {
        Memory::of(self.machine.cgroup(), container(pod))
    }
}

/// The id of a Pod's only container.
fn container(pod: &Value) -> &str {
    let id = pod["status"]["containerStatuses"][0]["containerID"].as_str().unwrap();
    id.strip_prefix("containerd://").unwrap()
}

/// The address of a Pod.
fn address(pod: &Value) -> IpAddr {
    pod["status"]["podIP"].as_str().unwrap().parse().unwrap()
}

/// Says how long something took that has just ended.
pub fn said(what: &str, begun: Instant) {
    said_until(what, begun, Instant::now());
}

/// Says how long something took.
#[expect(clippy::print_stderr, reason = "figures for the person who runs it")]
pub fn said_until(what: &str, begun: Instant, ended: Instant) {
    eprintln!("node: {what} after {:.1} s", (ended - begun).as_secs_f64());
}

/// A program that was built with the operator.
fn built(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_supabase-operator")).with_file_name(name);
    assert!(path.exists(), "{} is missing: make node builds it", path.display());
    path
}
