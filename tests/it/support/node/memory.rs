//! The memory of one container, as its cgroup counts and limits it. Touches that cgroup only, of either version.

use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::super::programs::run;

const CGROUPS: &str = "/sys/fs/cgroup";

/// The memory of one container, for as long as that runs.
#[derive(Debug)]
pub struct Memory {
    folder: PathBuf,
    names: &'static Names,
}

/// How one version of cgroups calls its files.
#[derive(Debug)]
struct Names {
    peak: &'static str,
    limit: &'static str,
}

static FIRST: Names = Names { peak: "memory.max_usage_in_bytes", limit: "memory.limit_in_bytes" };
static SECOND: Names = Names { peak: "memory.peak", limit: "memory.max" };

impl Memory {
    /// That of a container somewhere below a cgroup.
    pub fn of(cgroup: &str, container: &str) -> Self {
        let second = Path::new(CGROUPS).join("cgroup.controllers").exists();
        let (hierarchy, names) = if second { ("", &SECOND) } else { ("memory", &FIRST) };
        let top = Path::new(CGROUPS).join(hierarchy).join(cgroup.trim_start_matches('/'));
        let folder = find(&top, container);
        let folder = folder.unwrap_or_else(|| panic!("no {container} in {}", top.display()));
        Self { folder, names }
    }

    /// The most that was used at one time, files that the kernel keeps in memory included.
    pub fn peak(&self) -> u64 {
        self.read(self.names.peak).unwrap()
    }

    /// What may be used.
    pub fn limit(&self) -> u64 {
        self.read(self.names.limit).unwrap()
    }

    /// Takes all that is left of it, and more: the kernel ends the container's largest process. What it is taken with is a file
    /// in memory, which counts for the cgroup and for no process.
    pub async fn exhaust(&self) {
        const FILE: &str = "/run/exhausted";
        let mut fill = Command::new("sh");
        let script = "echo $$ >\"$1\" && exec dd if=/dev/zero of=\"$2\" bs=1M count=\"$3\"";
        fill.args(["-c", script, "sh"]).arg(self.folder.join("cgroup.procs")).arg(FILE);
        fill.arg((self.limit() >> 20).to_string());
        // It does not get that far, or is ended itself.
        let _ = run(fill).await;
        std::fs::remove_file(FILE).unwrap();
    }

    fn read(&self, name: &str) -> io::Result<u64> {
        let text = std::fs::read_to_string(self.folder.join(name))?;
        text.trim().parse().map_err(io::Error::other)
    }
}

/// The folder of this name below another.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.find_map(|entry| {
        let path = entry.ok()?.path();
        if path.is_dir() && path.ends_with(name) { Some(path) } else { find(&path, name) }
    })
}
