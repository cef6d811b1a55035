//! The binary: what it prints, what it writes, and that it ends.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{self, Response};

/// A program that is killed when the test ends, however it ends.
pub struct Program {
    child: Child,
    credentials: Value,
    folder: TempDir,
}

impl Program {
    pub fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.json");
        std::fs::write(&path, "an old file that everybody can read").unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_simulated-platform"))
            .args(arguments)
            .arg("--credentials-file")
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let endpoint = line.strip_prefix("READY ").expect("a READY line").trim_end();
        let credentials: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(credentials["endpoint"], endpoint);
        Self { child, credentials, folder }
    }

    fn field(&self, name: &str) -> &str {
        self.credentials[name].as_str().expect(name)
    }

    fn address(&self) -> SocketAddr {
        self.field("endpoint").strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// Asks with the personal access token.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Response {
        let token = self.field("personal_access_token");
        client::ask(self.address(), token, method, path, &body.to_string())
    }

    fn get(&self, path: &str, token: &str) -> Response {
        client::ask(self.address(), token, "GET", path, "")
    }

    pub fn kill(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Waits for the end, which must come soon.
    fn ended(mut self) -> ExitStatus {
        client::eventually("the end of the program", || self.child.try_wait().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_credentials_it_writes_are_private_and_accepted() {
    let program = Program::start(&["--organization", "acme", "--organization", "other:free"]);
    let path = program.folder.path().join("credentials.json");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for name in ["client_id", "client_secret", "refresh_token", "expires_at"] {
        assert!(!program.field(name).is_empty(), "{name}");
    }
    assert_eq!(program.field("organization"), "acme");
    let slugs = |answer: &Response| -> Vec<String> {
        let list = answer.body.as_array().unwrap();
        list.iter().map(|entry| entry["slug"].as_str().unwrap().to_owned()).collect()
    };
    let all = program.ask("GET", "/v1/organizations", &Value::Null);
    assert_eq!(slugs(&all), ["acme", "other"]);
    let one = program.get("/v1/organizations", program.field("access_token"));
    assert_eq!(slugs(&one), ["acme"]);
    let second = program.credentials["authorizations"][1]["access_token"].as_str().unwrap();
    assert_eq!(program.get("/v1/organizations/other", second).body["plan"], "free");
}

#[test]
fn the_same_seed_writes_the_same_credentials() {
    let token = |seed: &str| Program::start(&["--seed", seed]).field("access_token").to_owned();
    assert_eq!(token("7"), token("7"));
    assert_ne!(token("7"), token("8"));
}

#[test]
fn without_a_seed_every_run_has_other_secrets() {
    let token = || Program::start(&[]).field("access_token").to_owned();
    assert_ne!(token(), token());
}

#[test]
fn signals_end_it_in_order() {
    for signal in ["-TERM", "-INT"] {
        let program = Program::start(&["--pace", "instant"]);
        program.kill(signal);
        assert!(program.ended().success(), "{signal}");
    }
}

#[test]
fn it_ends_with_standard_input_where_that_was_asked_for() {
    let mut program = Program::start(&["--exit-with-stdin"]);
    drop(program.child.stdin.take());
    assert!(program.ended().success());
}

#[test]
fn it_outlives_standard_input_otherwise() {
    let mut program = Program::start(&[]);
    drop(program.child.stdin.take());
    assert_eq!(program.get("/v1/organizations", "none").status, 401);
}

#[test]
fn an_address_that_others_can_reach_is_refused_with_a_reason() {
    let output = Command::new(env!("CARGO_BIN_EXE_simulated-platform"))
        .args(["--listen", "0.0.0.0:0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("loopback"), "{said}");
}
