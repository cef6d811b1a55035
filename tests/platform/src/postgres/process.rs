//! The running server, under a watch that outlives this process.
//!
//! A shell holds one end of a pipe whose other end is ours. When we let go of it, in order or by being
//! killed, the shell stops the server and removes the folder. (The kernel's parent-death signal will not
//! do: it follows the thread that started the child, and test threads end early.)

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Error;
use super::cluster::{Cluster, end_of};

/// How long the server may take to begin or to end.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);
/// How often another port is tried when somebody else took the first.
const TRIES: usize = 3;

/// `$1` is the folder, the rest the server's command line.
const WATCH: &str = r#"
folder=$1
shift
exec 3<&0
"$@" </dev/null >"$folder/log" 2>&1 3<&- &
server=$!
{
  cat >/dev/null
  [ -e "$folder/ended" ] || kill -QUIT "$server"
} <&3 3<&- &
watcher=$!
wait "$server"
: >"$folder/ended"
wait "$watcher"
rm -rf "$folder"
"#;

/// The server and the shell that watches over it.
pub(super) struct Process {
    pub(super) port: u16,
    cluster: Cluster,
    watch: Child,
}

impl Process {
    pub(super) fn start() -> Result<Self, Error> {
        let mut tries = 1;
        loop {
            match Self::start_once() {
                Err(Error::NotServing(log)) if tries < TRIES && log.contains("in use") => {
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    fn start_once() -> Result<Self, Error> {
        let cluster = Cluster::create()?;
        // Free now; if somebody takes it before the server does, the server says so and ends.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let watch = launch(&cluster, port)?;
        let mut process = Self { port, cluster, watch };
        process.wait_until_it_serves()?;
        Ok(process)
    }

    pub(super) fn folder(&self) -> &Path {
        self.cluster.folder.path()
    }

    fn wait_until_it_serves(&mut self) -> Result<(), Error> {
        let state = self.cluster.data().join("postmaster.pid");
        let mut waited = Duration::ZERO;
        while waited < PATIENCE {
            let ready = fs::read_to_string(&state)
                .is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"));
            if ready {
                return Ok(());
            }
            if self.folder().join("ended").exists() {
                break;
            }
            std::thread::sleep(POLL);
            waited += POLL;
        }
        let log = fs::read_to_string(self.folder().join("log")).unwrap_or_default();
        Err(Error::NotServing(end_of(&log)))
    }

    /// Lets go of the watch, and waits until server and folder are gone.
    fn stop(&mut self) {
        drop(self.watch.stdin.take());
        let mut waited = Duration::ZERO;
        while waited < PATIENCE && matches!(self.watch.try_wait(), Ok(None)) {
            std::thread::sleep(POLL);
            waited += POLL;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

fn launch(cluster: &Cluster, port: u16) -> Result<Child, Error> {
    let server = cluster.server(port);
    let mut watch = Command::new("/bin/sh");
    watch.arg("-c").arg(WATCH).arg("watch").arg(cluster.folder.path());
    watch.arg(server.get_program()).args(server.get_args());
    // In a group of its own, so that Ctrl-C reaches us, and through us the watch, in that order.
    watch.env_clear().process_group(0).current_dir("/");
    for (name, value) in server.get_envs() {
        watch.envs(value.map(|value| (name, value)));
    }
    watch.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(watch.spawn()?)
}
