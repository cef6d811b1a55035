//! What a run leaves on the machine when it is killed: nothing, or nothing for longer than until the next run.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::node::{in_namespaces, in_turn};

/// A run that goes on until it is ended, and its folder.
fn begun() -> (Child, PathBuf) {
    let mut command = Command::new(in_namespaces());
    command.args(["run", "sh", "-c", "echo \"$NODE_FOLDER\"; exec tail -f /dev/null"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let folder = PathBuf::from(line.trim_end());
    assert!(folder.is_dir() && !cgroups(&folder).is_empty(), "{line:?}");
    (child, folder)
}

/// The cgroups of a run.
fn cgroups(folder: &Path) -> Vec<PathBuf> {
    let name = folder.file_name().unwrap();
    let top = Path::new("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(top).unwrap().map(|entry| entry.unwrap().path());
    let all = hierarchies.chain([top.to_owned()]).map(|hierarchy| hierarchy.join(name));
    all.filter(|cgroup| cgroup.exists()).collect()
}

#[test]
fn a_killed_run_leaves_nothing_behind() {
    in_turn("node::leftovers::a_killed_run_leaves_nothing_behind", || {
        // Whoever waited for it is gone: nobody reads what it says, and its standard input ends.
        let (mut waiting, folder) = begun();
        drop(waiting.stderr.take());
        drop(waiting.stdin.take());
        assert!(!waiting.wait().unwrap().success());
        assert!(!folder.exists() && cgroups(&folder).is_empty());

        // It was killed itself, with all of its process group.
        let (mut killed, folder) = begun();
        let group = format!("-{}", killed.id());
        assert!(Command::new("kill").args(["-KILL", "--", &group]).status().unwrap().success());
        killed.wait().unwrap();
        // The kernel ends what is in the namespaces; then the lock on the folder is free.
        let freed =
            Command::new("flock").args(["--timeout", "20"]).arg(&folder).arg("true").status();
        assert!(freed.unwrap().success());
        let mut next = Command::new(in_namespaces());
        let mut next = next.args(["run", "true"]).stdin(Stdio::piped()).spawn().unwrap();
        let input = next.stdin.take();
        assert!(next.wait().unwrap().success());
        drop(input);
        assert!(!folder.exists() && cgroups(&folder).is_empty());
    });
}
