//! The real binary, run with what the chart gives it: its environment, its arguments and its
//! `ServiceAccount`'s token. Everything that it prints is kept.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::eventually::eventually;
use super::install::Release;
use super::programs::succeed;

const STARTING: Duration = Duration::from_secs(30);
const PROBE: Duration = Duration::from_secs(5);

/// All that a process printed, kept also after its end.
#[derive(Clone, Debug, Default)]
pub struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    /// Standard output and standard error together.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    async fn keep(self, mut from: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            self.0.lock().unwrap().extend_from_slice(&buffer[..read]);
        }
    }
}

/// A running operator; it is killed when this is dropped.
#[derive(Debug)]
pub struct Operator {
    identity: String,
    listen: SocketAddr,
    consent: SocketAddr,
    printed: Printed,
    child: Child,
}

impl Operator {
    /// Starts the binary under an identity, the name that its Pod would have, with some variables set
    /// otherwise than the chart sets them.
    pub fn start(release: &Release, identity: &str, changed: &[(&str, &str)]) -> Self {
        let (listen, consent) = (free_address(), free_address());
        let mut command = Command::new(env!("CARGO_BIN_EXE_supabase-operator"));
        command
            .args(&release.arguments)
            .env_clear()
            .envs(release.environment.iter().map(|(name, value)| (name, value)))
            .envs(release.identity_variables.iter().map(|name| (name, identity)))
            .env("SUPABASE_OPERATOR_LISTEN", listen.to_string())
            .env("SUPABASE_OPERATOR_CONSENT_LISTEN", consent.to_string())
            .env("KUBECONFIG", release.kubeconfig())
            .envs(changed.iter().copied())
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let printed = Printed::default();
        tokio::spawn(printed.clone().keep(child.stdout.take().unwrap()));
        tokio::spawn(printed.clone().keep(child.stderr.take().unwrap()));
        Self { identity: identity.to_owned(), listen, consent, printed, child }
    }

    /// Waits until `/readyz` says so.
    pub async fn ready(&mut self) {
        let what = format!("readiness of {}", self.identity);
        eventually(&what, STARTING, async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!(
                    "{} ended before it was ready: {status}\n{}",
                    self.identity,
                    self.printed.text()
                );
            }
            let (status, body) = self.get("/readyz").await.map_err(|error| error.to_string())?;
            if status == 200 { Ok(()) } else { Err(format!("{status}: {body}")) }
        })
        .await;
    }

    /// Status and body of one of its endpoints, such as `/metrics`.
    pub async fn get(&self, path: &str) -> Result<(u16, String), reqwest::Error> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().timeout(PROBE).no_proxy().build()?;
        let answer = client.get(format!("http://{}{path}", self.listen)).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// The metrics.
    pub async fn metrics(&self) -> String {
        let (status, body) = self.get("/metrics").await.unwrap();
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Where it serves probes and metrics.
    pub const fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where it serves the consent pages, if it does.
    pub const fn consent(&self) -> SocketAddr {
        self.consent
    }

    /// What it has printed so far.
    pub fn printed(&self) -> Printed {
        self.printed.clone()
    }

    /// The most memory that it has had resident so far, in bytes (`VmHWM` of proc(5)).
    pub fn peak_memory(&self) -> u64 {
        let pid = self.child.id().expect("it still runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
        kibibytes.unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it as a crash does: SIGKILL, at once.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to stop as Kubernetes does, with SIGTERM, and waits for its end.
    pub async fn terminate(mut self, within: Duration) -> ExitStatus {
        let pid = self.child.id().expect("it still runs").to_string();
        let mut kill = Command::new("kill");
        kill.args(["-TERM", &pid]);
        succeed(kill).await;
        self.ended(within).await
    }

    /// Waits for its end.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        tokio::time::timeout(within, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("{} did not end within {within:?}", self.identity))
            .unwrap()
    }
}

impl Drop for Operator {
    #[expect(clippy::print_stderr, reason = "for the person who reads why the test failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = self.printed.text();
            // Other crates fill the trace.
            let lines: Vec<_> =
                text.lines().filter(|line| line.contains("supabase_operator")).collect();
            let last = &lines[lines.len().saturating_sub(60)..];
            eprintln!("--- the last lines of {}:\n{}", self.identity, last.join("\n"));
        }
    }
}

/// An address that was free a moment ago. The operator is told its port, as in a Pod.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}
