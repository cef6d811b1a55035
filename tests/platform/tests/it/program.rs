//! The binary: what it prints, what it writes, and that it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A program that is killed when the test ends, however it ends.
struct Program {
    child: Child,
    endpoint: String,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_simulated-platform"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let endpoint = line
            .strip_prefix("READY ")
            .expect("a READY line")
            .trim_end()
            .to_owned();
        Self { child, endpoint }
    }

    fn get(&self, path: &str, token: &str) -> String {
        let address = self.endpoint.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             authorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Waits for the end, which must come soon.
    fn ended(mut self) -> ExitStatus {
        for _ in 0..1000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        panic!("still running after ten seconds");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kill(program: &Program, signal: &str) {
    let id = program.child.id().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &id])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn the_credentials_it_writes_are_private_and_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.json");
    std::fs::write(&path, "old").unwrap();
    let program = Program::start(&[
        "--organization",
        "acme",
        "--organization",
        "other:free",
        "--credentials-file",
        path.to_str().unwrap(),
    ]);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let written: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let field = |name: &str| written[name].as_str().expect(name).to_owned();
    assert_eq!(field("endpoint"), program.endpoint);
    assert_eq!(field("organization"), "acme");
    for name in ["client_id", "client_secret", "refresh_token", "expires_at"] {
        assert!(!field(name).is_empty(), "{name}");
    }
    let all = program.get("/v1/organizations", &field("personal_access_token"));
    assert!(
        all.contains("\"slug\":\"acme\"") && all.contains("\"slug\":\"other\""),
        "{all}"
    );
    let one = program.get("/v1/organizations", &field("access_token"));
    assert!(
        one.contains("\"slug\":\"acme\"") && !one.contains("other"),
        "{one}"
    );
    let second = written["authorizations"][1]["access_token"]
        .as_str()
        .unwrap();
    let free = program.get("/v1/organizations/other", second);
    assert!(free.contains("\"plan\":\"free\""), "{free}");
}

#[test]
fn the_same_seed_writes_the_same_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.json");
    let token = |seed: &str| {
        let _program =
            Program::start(&["--seed", seed, "--credentials-file", path.to_str().unwrap()]);
        let written: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        written["access_token"].as_str().unwrap().to_owned()
    };
    assert_eq!(token("7"), token("7"));
    assert_ne!(token("7"), token("8"));
}

#[test]
fn signals_end_it_in_order() {
    for signal in ["-TERM", "-INT"] {
        let program = Program::start(&["--pace", "instant"]);
        kill(&program, signal);
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
    assert!(
        program
            .get("/v1/organizations", "none")
            .starts_with("HTTP/1.1 401")
    );
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
