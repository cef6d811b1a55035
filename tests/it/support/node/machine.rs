//! The programs that make a node of this machine: containerd, kubelet, the scheduler and the controllers behind Deployments.
//!
//! `tests/tools/node` starts them inside the namespaces that `tests/tools/in-namespaces` made; they write into its folder only, and
//! end with it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::super::cluster::{Cluster, condition};
use super::super::control_plane::ControlPlane;
use super::super::eventually::eventually;
use super::super::programs::{ensure, repository, succeed_within};
use super::{built, network};

/// The image of the operator.
pub const OPERATOR: &str = "localhost/supabase-operator:it";
/// The image of an application.
pub const APPLICATION: &str = "localhost/application:it";
/// On a machine that has much else to do.
const STARTING: Duration = Duration::from_secs(120);
/// `tests/tools/node` waits as long for containerd, and says so.
const STARTED: Duration = Duration::from_secs(150);

/// The node.
#[derive(Debug)]
pub struct Machine {
    tools: PathBuf,
    folder: PathBuf,
    api: String,
    address: String,
    cgroup: String,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("tests/tools/in-namespaces sets {name}"))
}

impl Machine {
    /// Starts all of it and waits for nothing but containerd.
    pub async fn start(plane: &ControlPlane) -> Self {
        let ControlPlane::Started { folder: plane_folder, .. } = plane else {
            panic!("a node needs a control plane of its own");
        };
        let machine = Self {
            tools: ensure("node-tools").await,
            folder: PathBuf::from(variable("NODE_FOLDER")),
            api: variable("NODE_API"),
            address: variable("NODE_ADDRESS"),
            cgroup: variable("NODE_CGROUP"),
        };
        let server = serde_json::to_value(plane.kubeconfig()).unwrap();
        let server = server["clusters"][0]["cluster"]["server"].as_str().unwrap().to_owned();
        let server: SocketAddr = server.strip_prefix("https://").unwrap().parse().unwrap();
        network::forward(&machine.api, 443, server.port()).await;
        let mut start = node();
        start.arg("start").arg(plane_folder.join("kubeconfig")).arg(plane_folder.join("ca.crt"));
        succeed_within(start, STARTED).await;
        machine.image(OPERATOR, &built("supabase-operator"), true).await;
        machine.image(APPLICATION, &built("application"), false).await;
        machine
    }

    /// Waits until Pods can be scheduled to it.
    pub async fn ready(&self, cluster: &Cluster) {
        let name = variable("NODE_NAME");
        eventually("the node", STARTING, async || {
            let node = cluster.get(("v1", "Node"), &name).await.ok_or_else(|| self.ends())?;
            let ready = condition(&node, "Ready").cloned().unwrap_or_default();
            let tainted =
                node["spec"]["taints"].as_array().is_some_and(|taints| !taints.is_empty());
            if ready["status"] == "True" && !tainted { Ok(()) } else { Err(ready.to_string()) }
        })
        .await;
    }

    /// The address under which Pods reach the machine.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address under which Pods reach the API server.
    pub fn api(&self) -> &str {
        &self.api
    }

    /// The cgroup of all Pods, in each hierarchy.
    pub fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// containerd's client, in the namespace of the kubelet.
    pub fn ctr(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.tools.join("ctr"));
        command.arg("--address").arg(self.folder.join("containerd.sock"));
        command.args(["--namespace", "k8s.io"]).args(arguments);
        command
    }

    /// Makes an image of a program and loads it. Where it `is_operator`, it is what the Dockerfile says.
    pub async fn image(&self, name: &str, program: &Path, is_operator: bool) {
        let mut image = node();
        image.args(["image", name]).arg(program);
        if is_operator {
            image.arg("--dockerfile").arg(repository().join("Dockerfile"));
            image.arg("--authorities").arg(ensure("ca-bundle").await);
        }
        succeed_within(image, STARTED).await;
    }

    /// Loads an image, under the name that its archive gives it.
    pub async fn import(&self, archive: &Path) {
        succeed_within(self.ctr(&["images", "import", &archive.display().to_string()]), STARTED)
            .await;
    }

    /// The last lines of all logs.
    fn ends(&self) -> String {
        let mut ends = String::new();
        for name in ["containerd", "kubelet", "kube-scheduler", "kube-controller-manager"] {
            let text = std::fs::read_to_string(self.folder.join(format!("{name}.log")));
            let text = text.unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(8)..].join("\n");
            write!(ends, "\n--- {name}:\n{last}").unwrap();
        }
        ends
    }
}

/// What starts the programs.
fn node() -> Command {
    Command::new(repository().join("tests/tools/node"))
}
