//! A real mail server on loopback: Mailpit, with STARTTLS, one user, and an API that shows what arrived.
//!
//! Touches its own temporary folder and process only. Separate from the stage, because few stories write mail. The
//! tests of the simulated platform use this file too.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything that must happen takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a start is tried.
const STARTS: usize = 5;
/// The pause between two looks.
const STEP: Duration = Duration::from_millis(20);

/// A letter that arrived.
#[derive(Debug, PartialEq, Eq)]
pub struct Arrived {
    pub subject: String,
    pub from: String,
    pub to: String,
    /// The user that the sender was.
    pub user: String,
}

/// A running mail server; dropping it ends it.
#[derive(Debug)]
pub struct MailServer {
    program: PathBuf,
    folder: TempDir,
    certificate: String,
    smtp: SocketAddr,
    api: SocketAddr,
    child: Child,
}

impl MailServer {
    /// A server that knows one user. None where the program cannot be had, which is said, and which fails where
    /// `CI=true`. `ensure` is the path of `tests/tools/ensure`.
    pub fn start(ensure: &Path, user: &str, password: &str) -> Option<Self> {
        let program = program(ensure)?;
        let folder = tempfile::tempdir().unwrap();
        let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = pair.cert.pem();
        std::fs::write(folder.path().join("cert.pem"), &certificate).unwrap();
        std::fs::write(folder.path().join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
        write_user(folder.path(), user, password);
        // Somebody else may get a port that was free a moment ago.
        let started = (0..STARTS).find_map(|_| {
            let [smtp, api] = free_addresses();
            run(&program, folder.path(), smtp, api).map(|child| (smtp, api, child))
        });
        let (smtp, api, child) = started.expect("the mail server ends as soon as it begins");
        Some(Self { program, folder, certificate, smtp, api, child })
    }

    /// The certificate, in PEM form; it is its own authority.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The port of SMTP on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.smtp.port()
    }

    /// Lets the user have another password; what arrived before is gone.
    pub fn change_password(&mut self, user: &str, password: &str) {
        self.end();
        write_user(self.folder.path(), user, password);
        let (smtp, api) = (self.smtp, self.api);
        let mut starts = (0..STARTS).map(|_| run(&self.program, self.folder.path(), smtp, api));
        let started = starts.find_map(|child| child);
        self.child = started.expect("the mail server does not come back");
    }

    /// Everything that arrived, newest first.
    pub fn arrived(&self) -> Vec<Arrived> {
        let body = ask(self.api, "/api/v1/messages").unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let messages = body["messages"].as_array().unwrap();
        messages
            .iter()
            .map(|message| Arrived {
                subject: text(&message["Subject"]),
                from: text(&message["From"]["Address"]),
                to: text(&message["To"][0]["Address"]),
                user: text(&message["Username"]),
            })
            .collect()
    }

    fn end(&mut self) {
        // It has ended already, or it ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.end();
    }
}

fn program(ensure: &Path) -> Option<PathBuf> {
    let output = Command::new(ensure).arg("mailpit").stdin(Stdio::null()).output().unwrap();
    if output.status.success() {
        return Some(String::from_utf8(output.stdout).unwrap().trim().into());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let reason = said.trim().lines().last().unwrap_or("no reason given");
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "no mail server: {reason}");
    writeln!(io::stderr(), "note: no mail was sent: {reason}").unwrap();
    None
}

fn write_user(folder: &Path, user: &str, password: &str) {
    std::fs::write(folder.join("users"), format!("{user}:{password}\n")).unwrap();
}

fn free_addresses() -> [SocketAddr; 2] {
    // Held together, so that they differ.
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

/// Starts the program and waits until it serves. None if it ends before that: a port is taken.
fn run(program: &Path, folder: &Path, smtp: SocketAddr, api: SocketAddr) -> Option<Child> {
    let file = |name: &str| folder.join(name);
    let mut child = Command::new(program)
        .args(["--smtp", &smtp.to_string(), "--listen", &api.to_string()])
        .arg("--smtp-tls-cert")
        .arg(file("cert.pem"))
        .arg("--smtp-tls-key")
        .arg(file("key.pem"))
        .arg("--smtp-require-starttls")
        .arg("--smtp-auth-file")
        .arg(file("users"))
        .arg("--disable-version-check")
        .env_clear()
        .current_dir(folder)
        .env("HOME", folder)
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
        let speaks = TcpStream::connect(smtp).is_ok() && ask(api, "/readyz").is_ok();
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        if speaks {
            return Some(child);
        }
        std::thread::park_timeout(STEP);
    }
    panic!("no mail server within {PATIENCE:?}");
}

/// The body of an answer with success.
fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // HTTP 1.0: the body comes whole, and its end is the end of the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    if head.split(' ').nth(1) == Some("200") {
        Ok(body.to_owned())
    } else {
        Err(io::Error::other("no success"))
    }
}
