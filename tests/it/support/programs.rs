//! Running the programs that tests need: kubectl, helm and whatever `tests/tools/ensure` finds or builds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use tokio::process::Command;

/// Long enough to build the control plane from nothing on a slow machine.
const BUILDING: Duration = Duration::from_secs(45 * 60);
/// With this status `ensure` says that something is missing.
const MISSING: i32 = 3;
const RUNNING: Duration = Duration::from_secs(60);

static FOUND: LazyLock<Mutex<BTreeMap<String, PathBuf>>> = LazyLock::new(Mutex::default);

/// The root folder of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The path of a program, as `tests/tools/ensure` prints it; built or installed where necessary.
pub async fn ensure(name: &str) -> PathBuf {
    if let Some(path) = FOUND.lock().unwrap().get(name) {
        return path.clone();
    }
    let mut command = Command::new(repository().join("tests/tools/ensure"));
    command.arg(name).stderr(std::process::Stdio::inherit());
    let output = finish(command, BUILDING).await;
    assert!(output.status.success(), "tests/tools/ensure {name}: {}", output.status);
    let path = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end());
    FOUND.lock().unwrap().insert(name.to_owned(), path.clone());
    path
}

/// The same of a program that not every machine or clone can have: none where something is missing, which `ensure` says.
pub async fn at_hand(name: &str) -> Option<PathBuf> {
    let mut command = Command::new(repository().join("tests/tools/ensure"));
    command.arg(name).stderr(std::process::Stdio::inherit());
    let output = finish(command, BUILDING).await;
    if output.status.code() == Some(MISSING) {
        return None;
    }
    Some(ensure(name).await)
}

/// Runs a program to its end and returns its output, both kinds together, and whether it succeeded.
pub async fn run(command: Command) -> (bool, String) {
    let output = finish(command, RUNNING).await;
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// Runs a program that must succeed and returns its standard output.
pub async fn succeed(command: Command) -> String {
    succeed_within(command, RUNNING).await
}

/// The same of a program that may take longer.
pub async fn succeed_within(command: Command, within: Duration) -> String {
    let what = format!("{:?}", command.as_std());
    let output = finish(command, within).await;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {}: {complaint}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

async fn finish(mut command: Command, within: Duration) -> Output {
    let what = format!("{:?}", command.as_std());
    command.kill_on_drop(true);
    tokio::time::timeout(within, command.output())
        .await
        .unwrap_or_else(|_| panic!("{what}: not finished within {within:?}"))
        .unwrap_or_else(|error| panic!("{what}: {error}"))
}
