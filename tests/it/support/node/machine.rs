//! The programs that make a node of this machine: containerd, kubelet, the scheduler and the controllers behind Deployments.
//!
//! They are started inside the namespaces that `tests/tools/in-namespaces` made, write into its folder only, and end with it.

use std::fmt::Write as _;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::super::cluster::{Cluster, condition};
use super::super::control_plane::ControlPlane;
use super::super::eventually::eventually;
use super::super::programs::{ensure, repository, run, succeed};
use super::{built, network};

/// The image of the operator.
pub const OPERATOR: &str = "localhost/supabase-operator:it";
/// The image of an application.
pub const APPLICATION: &str = "localhost/application:it";
const PAUSE: &str = "localhost/pause:it";
/// On a machine that has much else to do.
const STARTING: Duration = Duration::from_secs(120);
/// Deployments, the Services before them, Jobs, and what Pods need to be: the certificate of the API server in their
/// namespaces, and a node without the taint of one that is not ready. All others run in the control plane already.
const CONTROLLERS: &str = "deployment-controller,replicaset-controller,endpoints-controller,\
    endpointslice-controller,job-controller,node-lifecycle-controller,\
    root-ca-certificate-publisher-controller";

/// The node.
#[derive(Debug)]
pub struct Machine {
    tools: PathBuf,
    folder: PathBuf,
    api: String,
    address: String,
    cgroup: String,
    running: Vec<Child>,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("tests/tools/in-namespaces sets {name}"))
}

impl Machine {
    /// Starts all of it and waits for nothing but containerd. The operator's image is what the tests were built with, or an
    /// archive.
    pub async fn start(plane: &ControlPlane, operator: Option<&Path>) -> Self {
        let ControlPlane::Started { folder: plane_folder, .. } = plane else {
            panic!("a node needs a control plane of its own");
        };
        let mut machine = Self {
            tools: ensure("node-tools").await,
            folder: PathBuf::from(variable("NODE_FOLDER")),
            api: variable("NODE_API"),
            address: variable("NODE_ADDRESS"),
            cgroup: variable("NODE_CGROUP"),
            running: Vec::new(),
        };
        let server = serde_json::to_value(plane.kubeconfig()).unwrap();
        let server = server["clusters"][0]["cluster"]["server"].as_str().unwrap().to_owned();
        let server: SocketAddr = server.strip_prefix("https://").unwrap().parse().unwrap();
        network::forward(&machine.api, 443, server.port()).await;
        machine.write("containerd.toml", &machine.containerd());
        machine.write("cni/10-pods.conflist", &pods_network().to_string());
        machine.write("kubelet.json", &machine.kubelet().to_string());
        machine.write("resolv.conf", "");
        machine.launch("containerd", &["--config", &machine.at("containerd.toml")]);
        let kubeconfig = plane_folder.join("kubeconfig").display().to_string();
        let kubeconfig = ["--kubeconfig", &kubeconfig];
        let authority = plane_folder.join("ca.crt").display().to_string();
        let elected = "--leader-elect=false";
        machine.launch("kube-scheduler", &[&kubeconfig[..], &[elected]].concat());
        let controllers = ["--controllers", CONTROLLERS, "--root-ca-file", &authority, elected];
        machine.launch("kube-controller-manager", &[&kubeconfig[..], &controllers].concat());
        machine.images(operator).await;
        let own = [
            "--config",
            &machine.at("kubelet.json"),
            "--hostname-override",
            &variable("NODE_NAME"),
            "--node-ip",
            &machine.address.clone(),
            "--root-dir",
            &machine.at("kubelet"),
            "--cert-dir",
            &machine.at("kubelet/pki"),
        ];
        machine.launch("kubelet", &[&kubeconfig[..], &own].concat());
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
        command.args(["--address", &self.at("containerd.sock"), "--namespace", "k8s.io"]);
        command.args(arguments);
        command
    }

    /// Makes the images, and hands them to containerd as soon as that serves.
    async fn images(&self, operator: Option<&Path>) {
        let pause = self.tools.join("pause");
        let mut images = vec![(PAUSE, pause, vec![]), (APPLICATION, built("application"), vec![])];
        if let Some(archive) = operator {
            self.import(archive).await;
        } else {
            let (authorities, dockerfile) =
                (ensure("ca-bundle").await, repository().join("Dockerfile"));
            let of_release =
                vec!["--dockerfile".into(), dockerfile, "--authorities".into(), authorities];
            images.push((OPERATOR, built("supabase-operator"), of_release));
        }
        for (name, program, more) in images {
            let archive = self.folder.join("image.tar");
            let mut pack = Command::new(repository().join("tests/tools/oci-image"));
            pack.args(["plain", "--name", name, "--program"]).arg(program).args(more);
            pack.arg("--output").arg(&archive);
            succeed(pack).await;
            self.import(&archive).await;
        }
    }

    async fn import(&self, archive: &Path) {
        eventually("containerd", STARTING, async || {
            let (serves, said) = run(self.ctr(&["version"])).await;
            if serves { Ok(()) } else { Err(format!("{said} {}", self.ends())) }
        })
        .await;
        succeed(self.ctr(&["images", "import", &archive.display().to_string()])).await;
    }

    fn at(&self, file: &str) -> String {
        self.folder.join(file).display().to_string()
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Starts a program, whose output goes into a file.
    fn launch(&mut self, name: &str, arguments: &[&str]) {
        let log = File::create(self.folder.join(format!("{name}.log"))).unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(self.tools.join(name));
        command.args(arguments).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        // containerd looks for its shim there, and for runc.
        command.env("PATH", format!("{}:{path}", self.tools.display()));
        self.running.push(command.spawn().unwrap());
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

    fn containerd(&self) -> String {
        format!(
            "version = 3
root = '{folder}/containerd'
state = '{folder}/containerd-state'
[grpc]
address = '{folder}/containerd.sock'
[plugins.'io.containerd.internal.v1.opt']
path = '{folder}/opt'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{PAUSE}'
[plugins.'io.containerd.cri.v1.runtime']
# Where a capability is missing that lowering the score takes, runc would fail.
restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['/usr/lib/cni']
conf_dir = '{folder}/cni'
",
            folder = self.folder.display()
        )
    }

    fn kubelet(&self) -> Value {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": "0.0.0.0",
            "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.cgroup,
            "containerRuntimeEndpoint": format!("unix://{}", self.at("containerd.sock")),
            "failCgroupV1": false,
            "failSwapOn": false,
            "makeIPTablesUtilChains": false,
            "podLogsDir": self.at("logs"),
            "resolvConf": self.at("resolv.conf"),
            // The machine's disk is shared with much else.
            "evictionHard": {
                "memory.available": "50Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
                "nodefs.inodesFree": "1%",
            },
            "imageGCHighThresholdPercent": 100,
        })
    }
}

/// A bridge, of which the machine has an address too. Pods reach nothing but the machine and each other.
fn pods_network() -> Value {
    let ranges = json!([[{"subnet": "10.244.0.0/24"}]]);
    let routes = json!([{"dst": "0.0.0.0/0"}]);
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "pods",
                "isGateway": true,
                "ipam": {"type": "host-local", "ranges": ranges, "routes": routes},
            },
        ],
    })
}
