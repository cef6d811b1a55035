//! A terminal with a program in it, and hands on its keyboard: for what programs do only where a person sits.

use std::time::Duration;

use pty_process::{Command, Pty};
use rustix::termios::{LocalModes, tcgetattr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;
use tokio::time::timeout;

use super::eventually::eventually;

/// How long a program may take to say what is waited for.
const SAYING: Duration = Duration::from_secs(60);

/// A terminal. Its program is killed when this is dropped.
pub struct Terminal {
    pty: Pty,
    child: Child,
    /// All that can be read on it, what was typed included.
    shown: String,
    /// How much of it has been looked at.
    seen: usize,
}

impl Terminal {
    /// Starts a program with the arguments and variables of a command.
    pub fn start(command: &tokio::process::Command) -> Self {
        let command = command.as_std();
        let (pty, end) = pty_process::open().unwrap();
        let variables = command.get_envs();
        let child = Command::new(command.get_program())
            .args(command.get_args())
            .envs(variables.filter_map(|(name, value)| Some((name, value?))))
            .kill_on_drop(true)
            .spawn(end)
            .unwrap();
        Self { pty, child, shown: String::new(), seen: 0 }
    }

    /// Waits until a text shows that did not show before, and gives what stands before it.
    pub async fn shows(&mut self, text: &str) -> String {
        let looking = async {
            loop {
                let rest = &self.shown[self.seen..];
                if let Some(at) = rest.find(text) {
                    let before = rest[..at].to_owned();
                    self.seen += at + text.len();
                    return Some(before);
                }
                if !read(&mut self.pty, &mut self.shown).await {
                    return None;
                }
            }
        };
        let found = timeout(SAYING, looking).await;
        let found = found.unwrap_or_else(|late| panic!("{text:?}: {late}:\n{}", self.shown));
        found.unwrap_or_else(|| panic!("it ended without {text:?}:\n{}", self.shown))
    }

    /// Waits until what is typed does not show.
    pub async fn hides(&self) {
        eventually("typing unseen", SAYING, async || {
            let modes = tcgetattr(&self.pty).unwrap().local_modes;
            let echoes = modes.contains(LocalModes::ECHO);
            (!echoes).then_some(()).ok_or("it shows")
        })
        .await;
    }

    /// Types a line.
    pub async fn types(&mut self, line: &str) {
        let keys = format!("{line}\r");
        self.pty.write_all(keys.as_bytes()).await.unwrap();
    }

    /// Waits for the end: whether it succeeded, and all that can be read on the terminal.
    pub async fn ending(mut self) -> (bool, String) {
        let reading = async { while read(&mut self.pty, &mut self.shown).await {} };
        let read = timeout(SAYING * 3, reading).await;
        assert!(read.is_ok(), "it does not end:\n{}", self.shown);
        let status = timeout(SAYING, self.child.wait()).await.unwrap().unwrap();
        (status.success(), self.shown)
    }
}

/// Reads on; false at the end, which on a terminal is an error.
async fn read(pty: &mut Pty, shown: &mut String) -> bool {
    let mut buffer = [0; 4096];
    let Ok(read @ 1..) = pty.read(&mut buffer).await else {
        return false;
    };
    shown.push_str(&String::from_utf8_lossy(&buffer[..read]));
    true
}
