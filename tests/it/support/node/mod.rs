//! A real node: kubelet, containerd and the Pods that they run, without Docker.
//!
//! A story on a node is run by this test binary once more, inside namespaces that `tests/tools/in-namespaces` makes: there it has
//! a network, mounts and processes of its own, and the usual helpers work as everywhere else. What the story leaves goes with
//! the namespaces. Runs with `NODE=1` only, which `make node` sets.

mod machine;
mod memory;
mod network;
mod setup;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use simulated_platform::{Config, PoolerAddress};
use tokio::process::Command;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::control_plane::ControlPlane;
use super::platform::Platform;
use super::programs::{at_hand, ensure, repository, succeed};
use super::proxy::Proxy;
use super::stage::Stage;
use machine::Machine;
pub use machine::{APPLICATION, OPERATOR};
pub use memory::Memory;
pub use network::Call;
use network::Calls;
pub use setup::Setup;

/// Everything that most stories do, starting the node included.
const STORY: Duration = Duration::from_secs(9 * 60);
/// For the answer of a Pod.
const METRICS: Duration = Duration::from_secs(5);
/// A name of the platform that no resolver knows (RFC 6761): only a proxy leads there.
const FAR_AWAY: &str = "platform.invalid";
/// One node at a time: more would only wait for the machine's cores.
static TURN: Mutex<()> = Mutex::new(());

/// A node, and on it the chart, with the platform and databases that its Pods reach.
#[derive(Debug)]
pub struct Node {
    /// The control plane, platform and release. No operator is started on it: they are Pods.
    pub stage: Stage,
    /// The proxy that leads to the platform, where there is one.
    pub proxy: Option<Proxy>,
    machine: Machine,
    calls: Calls,
}

/// Plays a story on a node: `name` is the path of the calling test function. Where the machine cannot, that is said, and fails
/// where `CI=true`.
pub fn on_a_node(name: &str, story: impl AsyncFnOnce()) {
    play(name, &[], STORY, story);
}

/// The same with programs that not every story needs, and not every machine or clone has.
pub fn on_a_node_with(name: &str, programs: &[&str], story: impl AsyncFnOnce()) {
    play(name, programs, STORY, story);
}

/// The same with so much more time than other stories have.
pub fn on_a_node_for_longer(name: &str, more: Duration, story: impl AsyncFnOnce()) {
    play(name, &[], STORY + more, story);
}

fn play(name: &str, programs: &[&str], limit: Duration, story: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if std::env::var_os("NODE_FOLDER").is_some() {
        return runtime.block_on(story());
    }
    in_turn(name, || {
        let missing = runtime.block_on(async {
            for program in programs {
                if at_hand(program).await.is_none() {
                    return Some(program);
                }
            }
            again_inside(name, limit).await;
            None
        });
        if let Some(program) = missing {
            left_out(name, &format!("tests/tools/ensure {program} says what is missing"));
        }
    });
}

/// Does something that needs the rights and the kernel of a node, if it is asked for and possible; one test at a time.
pub fn in_turn(name: &str, act: impl FnOnce()) {
    if !is("NODE", "1") {
        return say(&format!("{name}: left out; make node runs it"));
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let check = std::process::Command::new(in_namespaces()).arg("check").output().unwrap();
    if check.status.success() {
        return act();
    }
    left_out(name, &String::from_utf8_lossy(&check.stderr));
}

fn is(variable: &str, wanted: &str) -> bool {
    std::env::var(variable).is_ok_and(|is| is == wanted)
}

/// Says what this machine lacks for a story.
fn left_out(name: &str, lacks: &str) {
    assert!(!is("CI", "true"), "{name}: {lacks}");
    say(&format!("{name}: left out: {lacks}"));
}

/// For the person who runs it and wonders.
#[expect(clippy::print_stderr, reason = "there is nobody else to tell")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// The program that makes the namespaces.
pub fn in_namespaces() -> PathBuf {
    repository().join("tests/tools/in-namespaces")
}

/// Runs one test of this binary in namespaces.
async fn again_inside(name: &str, limit: Duration) {
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
    let ended = tokio::time::timeout(limit, child.wait_with_output()).await;
    drop(input);
    let output = ended.unwrap_or_else(|_| panic!("{name}: not finished within {limit:?}")).unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    say(&printed);
    let passed = output.status.success() && printed.contains("test result: ok. 1 passed");
    assert!(passed, "{name} failed on the node: {}", output.status);
}

impl Node {
    /// A node with the chart on it, installed with these values and waited for. The operator is what the tests were built with.
    pub async fn with(config: Config, values: &Value) -> Self {
        Self::set_up(Setup { config, values: values.clone(), ..Setup::default() }).await
    }

    /// The same with the image of a release, as the chart names it, and without databases.
    pub async fn of_release(config: Config, values: &Value, archive: &Path) -> Self {
        let archive = Some(archive.to_owned());
        let values = values.clone();
        Self::set_up(Setup { config, values, archive, databases: false, ..Setup::default() }).await
    }

    /// A node with a chart on it, installed as told and waited for.
    pub async fn set_up(setup: Setup) -> Self {
        let begun = Instant::now();
        let plane = ControlPlane::own().await;
        let machine = Machine::start(&plane).await;
        if let Some(archive) = &setup.archive {
            machine.import(archive).await;
        }
        if let Some((name, program)) = &setup.operator {
            machine.image(name, program, true).await;
        }
        let cluster = Cluster::new(plane.client().await);
        machine.ready(&cluster).await;
        said("the node is Ready", begun);
        let platform = Platform::start(setup.config.clone());
        let address = machine.address().to_owned();
        if setup.databases {
            platform.attach_databases().await;
            let pooler = platform.world().config().pooler.clone().expect("databases are attached");
            network::forward(&address, pooler.session_port, pooler.session_port).await;
            platform.world().config_mut().pooler =
                Some(PoolerAddress { host: address.clone(), ..pooler });
        }
        let calls = Calls::default();
        let names = [address.as_str(), FAR_AWAY];
        let (server, authority) = network::serve_tls(&names, platform.address(), &calls).await;
        let proxy = if setup.by_proxy { Some(Proxy::before(&address, server).await) } else { None };
        let endpoint = if setup.by_proxy { FAR_AWAY } else { &address };
        let way = setup::way(endpoint, proxy.as_ref());
        let stage = setup.install(plane, &cluster, platform, &authority, way).await;
        Self { stage, proxy, machine, calls }
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

/// Says how long something took.
pub fn said(what: &str, begun: Instant) {
    said_until(what, begun, Instant::now());
}

/// Says how long something took that has ended before now.
pub fn said_until(what: &str, begun: Instant, ended: Instant) {
    say(&format!("node: {what} after {:.1} s", (ended - begun).as_secs_f64()));
}

/// A program that was built with the operator.
fn built(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_supabase-operator")).with_file_name(name);
    assert!(path.exists(), "{} is missing: make node builds it", path.display());
    path
}
