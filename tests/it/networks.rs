//! The way of the commands to the API server: directly, and through proxies as kubectl goes through them.

use std::net::{SocketAddr, TcpListener as Listener};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::support::cluster::SOON;
use crate::support::control_plane::ControlPlane;
use crate::support::programs::run;
use crate::support::proxy::Proxy;

/// A name that no resolver knows (RFC 6761): only a proxy can lead there.
const SOMEWHERE: &str = "api.cluster.invalid";

struct Setting {
    kubeconfig: Value,
    server: SocketAddr,
}

impl Setting {
    /// The kubeconfig in a file, as long as its folder lives.
    fn written(&self) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, self.kubeconfig.to_string()).unwrap();
        (folder, file)
    }

    fn new(plane: &ControlPlane) -> Self {
        let kubeconfig = serde_json::to_value(plane.kubeconfig()).unwrap();
        let server = kubeconfig["clusters"][0]["cluster"]["server"].as_str();
        let server = server.unwrap().strip_prefix("https://").unwrap();
        Self { server: server.trim_end_matches('/').parse().unwrap(), kubeconfig }
    }

    /// The same cluster, with these fields of its entry changed.
    fn with(&self, fields: &Value) -> Value {
        let mut kubeconfig = self.kubeconfig.clone();
        for (name, value) in fields.as_object().unwrap() {
            kubeconfig["clusters"][0]["cluster"][name] = value.clone();
        }
        kubeconfig
    }

    /// The same cluster under a name that only a proxy knows.
    fn far_away(&self) -> Value {
        let server = format!("https://{SOMEWHERE}:6443");
        self.with(&json!({"server": server, "tls-server-name": "localhost"}))
    }
}

/// `crds apply` with this kubeconfig and these variables alone.
async fn apply(kubeconfig: &Value, variables: &[(&str, &str)]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_supabase-operator"));
    command.args(["crds", "apply"]).env_clear();
    command.env("KUBECONFIG", &file);
    command.envs(variables.iter().copied());
    run(command).await
}

fn nobody() -> String {
    let free = Listener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", free.local_addr().unwrap())
}

#[tokio::test]
async fn a_kubeconfigs_own_proxy_is_used_whatever_the_variables_say() {
    let plane = ControlPlane::shared().await;
    let setting = Setting::new(&plane);
    let proxy = Proxy::before("127.0.0.1", setting.server).await;
    let kubeconfig = setting.with(&json!({"proxy-url": proxy.address()}));
    let nobody = nobody();
    let variables = [("NO_PROXY", "127.0.0.1"), ("HTTPS_PROXY", nobody.as_str())];
    let (worked, said) = apply(&kubeconfig, &variables).await;
    assert!(worked, "{said}");
    assert!(proxy.tunnels() > 0);
}

#[tokio::test]
async fn the_variables_count_as_for_kubectl() {
    let plane = ControlPlane::shared().await;
    let setting = Setting::new(&plane);
    let proxy = Proxy::before("127.0.0.1", setting.server).await;
    let address = proxy.address();
    let without_scheme = address.strip_prefix("http://").unwrap();
    let far = setting.far_away();
    for variables in [
        [("HTTPS_PROXY", address), ("NO_PROXY", "127.0.0.1,.svc,")],
        [("https_proxy", without_scheme), ("no_proxy", "10.0.0.0/8")],
    ] {
        let before = proxy.tunnels();
        let (worked, said) = apply(&far, &variables).await;
        assert!(worked, "{variables:?}: {said}");
        assert!(proxy.tunnels() > before, "{variables:?}");
    }
    // Directly, which leads nowhere from here.
    let before = proxy.tunnels();
    let exempt = [("HTTPS_PROXY", address), ("NO_PROXY", "cluster.invalid")];
    let (worked, said) = apply(&far, &exempt).await;
    assert!(!worked && proxy.tunnels() == before, "{said}");
    // A server on this machine is always reached directly.
    let nobody = nobody();
    let (worked, said) = apply(&setting.kubeconfig, &[("HTTPS_PROXY", nobody.as_str())]).await;
    assert!(worked, "{said}");
}

/// Looking for one object is answered in the same way whether its kind or the object is missing.
#[tokio::test]
async fn connect_says_where_the_kinds_are_not_there() {
    let plane = ControlPlane::own().await;
    if plane.is_existing() {
        return;
    }
    let setting = Setting::new(&plane);
    let (_folder, file) = setting.written();
    for cluster in [&[][..], &["--cluster"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_supabase-operator"));
        command.args(["connect", "acme"]).args(cluster).env_clear();
        command.env("KUBECONFIG", &file);
        let (worked, said) = run(command).await;
        assert!(!worked && said.contains("supabase-operator crds apply"), "{said}");
    }
}

#[tokio::test]
async fn run_says_where_the_kinds_are_not_there() {
    let plane = ControlPlane::own().await;
    if plane.is_existing() {
        return;
    }
    let setting = Setting::new(&plane);
    let (_folder, file) = setting.written();
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" run 2>&1", env!("CARGO_BIN_EXE_supabase-operator")]);
    command.env_clear().env("KUBECONFIG", &file).kill_on_drop(true);
    command.env("SUPABASE_OPERATOR_LISTEN", "127.0.0.1:0");
    command.stdout(Stdio::piped());
    let mut operator = command.spawn().unwrap();
    let mut lines = BufReader::new(operator.stdout.take().unwrap()).lines();
    let told = async {
        let mut before = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("supabase-operator crds apply") {
                return;
            }
            before.push(line);
        }
        panic!("{before:#?}");
    };
    tokio::time::timeout(SOON, told).await.expect("it is told");
}

#[tokio::test]
async fn what_is_no_http_proxy_is_refused_in_words() {
    let plane = ControlPlane::shared().await;
    let setting = Setting::new(&plane);
    let socks = "socks5://user:canary@127.0.0.1:1080";
    for (kubeconfig, variables, origin) in [
        (setting.with(&json!({"proxy-url": socks})), vec![], "proxy-url"),
        (setting.far_away(), vec![("HTTPS_PROXY", socks)], "HTTPS_PROXY"),
    ] {
        let (worked, said) = apply(&kubeconfig, &variables).await;
        assert!(!worked);
        assert!(said.contains(origin) && said.contains("socks5 is not supported"), "{said}");
        assert!(!said.contains("canary") && !said.contains("feature"), "{said}");
    }
}
