//! The browser that the command opens.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;
use tokio::process::Command;

use super::{SOON, command, command_of, consented, free_port, unconnected, waiting};
use crate::support::eventually::eventually;
use crate::support::stage::{Reach, Stage};

#[tokio::test]
async fn a_browser_is_opened_unless_that_is_not_wanted() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    let port = free_port();
    unconnected(&stage, port).await;
    let desktop = Opener::new();
    let (mut child, _, _) = waiting(desktop.in_path_of(command(&stage, port))).await;
    assert_eq!(desktop.opened(), "", "--no-browser");
    child.kill().await.unwrap();

    let arguments = format!("acme --namespace {}", stage.cluster.namespace);
    let command = desktop.in_path_of(command_of(&stage, &arguments, port));
    let waits = waiting(command).await;
    eventually("the browser", SOON, async || {
        let opened = desktop.opened();
        (opened == waits.2).then_some(()).ok_or(opened)
    })
    .await;
    consented(&stage, waits).await;
    stage.finish(vec![operator]).await;
}

/// A program that notes what it is to open, instead of a desktop's.
struct Opener(TempDir);

impl Opener {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("xdg-open");
        let note = "#!/bin/sh\nprintf %s \"$1\" >\"$(dirname \"$0\")/opened\"\n";
        std::fs::write(&program, note).unwrap();
        std::fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
        Self(folder)
    }

    fn in_path_of(&self, mut command: Command) -> Command {
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.0.path().display()));
        command
    }

    fn opened(&self) -> String {
        std::fs::read_to_string(self.0.path().join("opened")).unwrap_or_default()
    }
}
