//! The Kubernetes that tests run against.
//!
//! Where it comes from, in this order: the cluster of the current kubeconfig with
//! `USE_EXISTING_CLUSTER=true`, else `tests/controlplane`, which takes etcd and kube-apiserver from
//! `KUBEBUILDER_ASSETS` when that is set. One of them is shared by the whole test binary; a test whose
//! operator serves the whole cluster gets one of its own, or the existing cluster to itself.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::process::Command;
use tokio::sync::{OnceCell, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::programs::ensure;

const STARTING: Duration = Duration::from_secs(90);

/// Runs the control plane and removes its folder afterwards, also when this process is killed: the
/// program ends when its standard input does.
const RUN_AND_TIDY: &str = r#""$1" -dir "$2" -audit-log "$2/audit.log" -exit-with-stdin; status=$?; rm -rf "$2"; exit $status"#;

/// A Kubernetes API server, and the administrator's way to it.
#[derive(Debug)]
pub enum ControlPlane {
    /// The cluster of the current kubeconfig.
    Existing,
    /// One that ends with this value, or with this process.
    Started {
        /// Its data folder.
        folder: PathBuf,
        /// The program.
        process: Child,
    },
}

/// What a test holds while it uses a control plane. On an existing cluster it keeps tests apart whose
/// operators would serve each other's objects.
#[derive(Debug)]
pub struct Use {
    plane: Arc<ControlPlane>,
    _turn: Turn,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held, not read")]
enum Turn {
    Shared(OwnedRwLockReadGuard<()>),
    Alone(OwnedRwLockWriteGuard<()>),
    Own,
}

static SHARED: OnceCell<Arc<ControlPlane>> = OnceCell::const_new();
static TURNS: LazyLock<Arc<RwLock<()>>> = LazyLock::new(Arc::default);

impl ControlPlane {
    /// The control plane of this test binary, for tests that stay within their own namespaces.
    pub async fn shared() -> Use {
        let plane = SHARED.get_or_init(async || Arc::new(Self::obtain().await)).await;
        let turn = Turn::Shared(TURNS.clone().read_owned().await);
        Use { plane: plane.clone(), _turn: turn }
    }

    /// A control plane that no other test uses meanwhile.
    pub async fn own() -> Use {
        let plane = Arc::new(Self::obtain().await);
        let turn = match *plane {
            Self::Existing => Turn::Alone(TURNS.clone().write_owned().await),
            Self::Started { .. } => Turn::Own,
        };
        Use { plane, _turn: turn }
    }

    /// Whether this is a cluster that was there before the tests.
    pub const fn is_existing(&self) -> bool {
        matches!(self, Self::Existing)
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> Kubeconfig {
        match self {
            Self::Existing => Kubeconfig::read().expect("USE_EXISTING_CLUSTER needs a kubeconfig"),
            Self::Started { folder, .. } => {
                Kubeconfig::read_from(folder.join("kubeconfig")).unwrap()
            }
        }
    }

    /// A client with the administrator's rights, for the runtime of the calling test.
    pub async fn client(&self) -> kube::Client {
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(self.kubeconfig(), &options).await;
        kube::Client::try_from(config.unwrap()).unwrap()
    }

    /// The command of a program, such as kubectl or helm, that acts with the administrator's rights.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Self::Started { folder, .. } = self {
            command.env("KUBECONFIG", folder.join("kubeconfig"));
            for kind in ["CACHE", "CONFIG", "DATA"] {
                command.env(format!("HELM_{kind}_HOME"), folder.join("helm").join(kind));
            }
        }
        command
    }

    /// The audit log so far, one JSON object a line.
    ///
    /// # Panics
    /// On an existing cluster, whose audit log is out of reach.
    pub fn audit_log(&self) -> String {
        match self {
            Self::Existing => {
                panic!("this test needs an audit log: run it without USE_EXISTING_CLUSTER")
            }
            Self::Started { folder, .. } => {
                std::fs::read_to_string(folder.join("audit.log")).unwrap_or_default()
            }
        }
    }

    async fn obtain() -> Self {
        if std::env::var("USE_EXISTING_CLUSTER").is_ok_and(|value| value == "true") {
            return Self::Existing;
        }
        let program = ensure("controlplane").await;
        let folder = tempfile::Builder::new().prefix("supabase-operator-it-").tempdir();
        let folder = folder.unwrap().keep();
        let starting = tokio::task::spawn_blocking(move || Self::start(&program, folder));
        tokio::time::timeout(STARTING, starting)
            .await
            .expect("the control plane did not start in time")
            .unwrap()
    }

    fn start(program: &Path, folder: PathBuf) -> Self {
        let mut process = std::process::Command::new("sh")
            .args(["-c", RUN_AND_TIDY, "controlplane"])
            .args([program, &folder])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("READY "), "the control plane did not start: {line:?}");
        Self::Started { folder, process }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if let Self::Started { process, .. } = self {
            drop(process.stdin.take());
            process.wait().ok();
        }
    }
}

impl std::ops::Deref for Use {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        &self.plane
    }
}
