//! The process itself, without any cluster: an API server that never answers keeps it waiting.

use std::net::{SocketAddr, TcpListener as Listener};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::support::eventually::eventually;

const SOON: Duration = Duration::from_secs(30);
/// As long as the chart's probes wait.
const PROBE: Duration = Duration::from_secs(3);

struct Waiting {
    child: Child,
    listen: SocketAddr,
    /// Takes connections and says nothing.
    _api_server: Listener,
    _files: TempDir,
}

impl Waiting {
    async fn start() -> Self {
        let api_server = Listener::bind("127.0.0.1:0").unwrap();
        let server = format!("http://{}", api_server.local_addr().unwrap());
        let files = tempfile::tempdir().unwrap();
        let kubeconfig = files.path().join("kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": server}}],
            "users": [{"name": "it", "user": {}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let free = Listener::bind("127.0.0.1:0").unwrap();
        let listen = free.local_addr().unwrap();
        drop(free);
        let mut command = Command::new(env!("CARGO_BIN_EXE_supabase-operator"));
        command
            .arg("run")
            .env_clear()
            .env("KUBECONFIG", kubeconfig)
            .env("SUPABASE_OPERATOR_LISTEN", listen.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let waiting = Self {
            child: command.spawn().unwrap(),
            listen,
            _api_server: api_server,
            _files: files,
        };
        eventually("its first answer", SOON, async || {
            probe(waiting.listen).await.map_err(|error| error.to_string())
        })
        .await;
        waiting
    }
}

/// As the kubelet asks: over a connection of its own.
async fn probe(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await?;
    Ok(heard)
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn no_core_is_dumped() {
    use std::os::unix::fs::MetadataExt as _;

    let waiting = Waiting::start().await;
    let folder = format!("/proc/{}", waiting.child.id().unwrap());
    let limits = std::fs::read_to_string(format!("{folder}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size"));
    let values: Vec<_> = line.unwrap().split_whitespace().skip(4).take(2).collect();
    assert_eq!(values, ["0", "0"], "{limits}");
    // prctl(2): what belongs to a process that cannot be dumped belongs to root. For root's own it cannot be seen so.
    let owner = std::fs::metadata(format!("{folder}/environ")).unwrap().uid();
    assert_eq!(owner, 0);
}

/// 128 clients that ask over one connection each, and come back as soon as it is closed.
#[tokio::test]
async fn clients_that_keep_their_connections_do_not_keep_the_kubelet_out() {
    let waiting = Waiting::start().await;
    let address = waiting.listen;
    let (tell, mut answered) = tokio::sync::mpsc::channel(1024);
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..128 {
        let tell = tell.clone();
        crowd.spawn(async move {
            loop {
                let Ok(mut stream) = TcpStream::connect(address).await else {
                    continue;
                };
                let request = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
                let _ = stream.write_all(request).await;
                if stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                    let _ = tell.try_send(());
                }
                // Until it is closed.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        });
    }
    for _ in 0..128 {
        answered.recv().await.unwrap();
    }
    for _ in 0..5 {
        let heard = tokio::time::timeout(PROBE, probe(address)).await;
        let heard = heard.expect("an answer before the kubelet gives up").unwrap();
        assert!(heard.starts_with("HTTP/1.1 200"), "{heard}");
    }
}
