//! The official command line program, unmodified, as an independent judge.
//!
//! It checks most answers against schemas of its own, so what it accepts was not made from the same
//! reading of the API as this platform.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use simulated_platform::openapi::Violation;
use simulated_platform::server::Server;
use simulated_platform::{Fault, FaultKind, Pat, Plan, World};
use tempfile::TempDir;

use crate::client::eventually;
use crate::stage::{CONTRACT, calm};

/// The program; none where it cannot be had, which is said, and which fails where `CI=true`.
fn program() -> Option<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/ensure");
    let output = Command::new(script).arg("supabase").stdin(Stdio::null()).output().unwrap();
    if output.status.success() {
        return Some(String::from_utf8(output.stdout).unwrap().trim().into());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let reason = said.trim().lines().last().unwrap_or("no reason given").to_owned();
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "no Supabase CLI: {reason}");
    writeln!(std::io::stderr(), "note: the Supabase CLI did not judge: {reason}").unwrap();
    None
}

struct Judge {
    program: PathBuf,
    server: Server,
    token: String,
    home: TempDir,
    violations: Arc<Mutex<Vec<Violation>>>,
}

impl Judge {
    fn start() -> Option<Self> {
        let program = program()?;
        let mut world = World::new(calm(), 11);
        world.add_organization("acme", "Acme Inc.", Plan::Pro);
        world.add_organization("free", "Free", Plan::Free);
        let token = world.add_pat(Pat::classic());
        let server = Server::start(world, "127.0.0.1:0".parse().unwrap()).unwrap();
        let violations = Arc::new(Mutex::new(Vec::new()));
        let found = Arc::clone(&violations);
        server.observe(move |exchange| {
            if let Some(contract) = CONTRACT.as_ref() {
                let wrong = contract.check(exchange.request, exchange.answer);
                found.lock().unwrap().extend(wrong);
            }
        });
        let home = tempfile::tempdir().unwrap();
        let endpoint = server.endpoint();
        let profile = format!(
            "name: sim\napi_url: {endpoint}\ndashboard_url: {endpoint}/dashboard\n\
             project_host: 127.0.0.1\n"
        );
        std::fs::write(home.path().join("sim.yaml"), profile).unwrap();
        Some(Self { program, server, token, home, violations })
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let file = |name: &str| self.home.path().join(name);
        let written = |name: &str| std::fs::File::create(file(name)).unwrap();
        let mut child = Command::new(&self.program)
            .arg("--profile")
            .arg(file("sim.yaml"))
            .arg("--experimental")
            .args(arguments)
            .current_dir(self.home.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("SUPABASE_ACCESS_TOKEN", &self.token)
            .env("DO_NOT_TRACK", "1")
            .env("SUPABASE_NO_UPDATE_NOTIFIER", "1")
            .stdin(Stdio::null())
            .stdout(written("stdout"))
            .stderr(written("stderr"))
            .spawn()
            .unwrap();
        let status = eventually("the end of the CLI", || child.try_wait().unwrap());
        let read = |name: &str| std::fs::read(file(name)).unwrap();
        Output { status, stdout: read("stdout"), stderr: read("stderr") }
    }

    /// Runs a command that must succeed, and gives what it printed.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["-o", "json"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }
}

#[test]
fn the_official_program_is_satisfied_with_every_answer() {
    let Some(judge) = Judge::start() else { return };
    let organizations = judge.json(&["orgs", "list"]);
    assert_eq!(organizations[0], json!({ "id": "acme", "slug": "acme", "name": "Acme Inc." }));
    assert_eq!(organizations.as_array().unwrap().len(), 2);
    let created = judge.json(&[
        "projects",
        "create",
        "judged",
        "--org-id=acme",
        "--db-password=correct-horse-battery",
        "--region=eu-central-1",
        "--size=micro",
        "--yes",
    ]);
    let reference = created["ref"].as_str().unwrap().to_owned();
    let projects = judge.json(&["projects", "list"]);
    assert_eq!(projects[0]["ref"], reference);
    assert_eq!(projects[0]["status"], "ACTIVE_HEALTHY");
    let remote = format!("--remote={reference}");
    let keys = judge.json(&["projects", "api-keys", "--reveal", &remote]);
    assert_eq!(keys.as_array().unwrap().len(), 4);
    assert!(keys[3]["api_key"].as_str().unwrap().starts_with("sb_secret_"));
    judge.json(&["ssl-enforcement", "get", &remote]);
    judge.json(&["network-restrictions", "get", &remote]);
    judge.json(&["postgres-config", "get", &remote]);
    judge.json(&["projects", "delete", &reference, "--yes"]);
    assert_eq!(judge.json(&["projects", "list"]), json!([]));
    let world = judge.server.world();
    let asked: std::collections::BTreeSet<_> = world
        .ledger()
        .seen()
        .iter()
        .map(|seen| format!("{} {}", seen.method, seen.endpoint.unwrap_or(&seen.path)))
        .collect();
    for expected in [
        "GET /v1/organizations",
        "POST /v1/projects",
        "GET /v1/projects",
        "GET /v1/projects/{ref}/api-keys",
        "GET /v1/projects/{ref}/ssl-enforcement",
        "GET /v1/projects/{ref}/network-restrictions",
        "GET /v1/projects/{ref}/config/database/postgres",
        "DELETE /v1/projects/{ref}",
    ] {
        assert!(asked.contains(expected), "never asked: {expected}; but {asked:?}");
    }
    let refused: Vec<_> =
        world.ledger().seen().iter().filter(|seen| seen.status >= Some(400)).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let violations = judge.violations.lock().unwrap();
    assert!(violations.is_empty(), "{violations:?}");
}

#[test]
fn the_official_program_notices_what_is_missing() {
    let Some(judge) = Judge::start() else { return };
    let now = judge.server.now();
    let reference = judge.server.world().add_foreign_project("acme", "judged", now);
    let path = format!("/v1/projects/{reference}/network-restrictions");
    let remote = format!("--remote={reference}");
    assert!(judge.run(&["network-restrictions", "get", &remote]).status.success());
    let without = FaultKind::Merge(json!({ "entitlement": null }));
    judge.server.world().script(Fault::on("GET", &path, without).times(9));
    let output = judge.run(&["network-restrictions", "get", &remote]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("entitlement"), "{said}");
}

/// The configuration file that the program compares and pushes.
const CONFIGURATION: &str = r#"project_id = "judged"
[api]
schemas = ["public"]
max_rows = 7
[auth]
site_url = "https://shop.example"
[auth.email.smtp]
enabled = true
host = "smtp.example"
port = 587
user = "apikey"
pass = "canary-of-the-cli"
admin_email = "no-reply@shop.example"
sender_name = "Shop"
[db.settings]
work_mem = "8MB"
[db.network_restrictions]
enabled = true
allowed_cidrs = ["203.0.113.0/24"]
allowed_cidrs_v6 = ["2001:db8::/32"]
[storage]
file_size_limit = "20MiB"
"#;

#[test]
fn the_official_program_pushes_settings_once_sees_drift_and_pulls() {
    let Some(judge) = Judge::start() else { return };
    let now = judge.server.now();
    let reference = judge.server.world().add_foreign_project("acme", "judged", now);
    let file = judge.home.path().join("supabase/config.toml");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    std::fs::write(&file, CONFIGURATION).unwrap();
    let remote = format!("--remote={reference}");
    let run = |arguments: &[&str]| {
        let output = judge.run(&[arguments, &[&remote]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() != Some(1), "{arguments:?}: {said}");
        output.status.code()
    };
    let writes = || -> Vec<usize> {
        let world = judge.server.world();
        let count = |setting| world.ledger().writes(&reference, setting).count();
        let settings = [
            "postgrest",
            "config/auth",
            "config/database/postgres",
            "network-restrictions",
            "config/storage",
        ];
        settings.map(count).to_vec()
    };
    assert_eq!(run(&["config", "push", "--yes"]), Some(0));
    assert_eq!(writes(), [1, 1, 1, 1, 1]);
    let in_force = |key: &str| judge.server.world().auth_setting(&reference, key);
    assert_eq!(in_force("smtp_pass"), Some(json!("canary-of-the-cli")));
    assert_eq!(in_force("smtp_port"), Some(json!("587")));
    // The digest says that the password is the one in the file.
    assert_eq!(run(&["config", "push", "--yes"]), Some(0));
    assert_eq!(writes(), [1, 1, 1, 1, 1]);
    let elsewhere = json!({ "site_url": "https://else.example" });
    judge.server.world().set_by_hand(&reference, "config/auth", &elsewhere, now).unwrap();
    assert_eq!(run(&["config", "diff", "--exit-code"]), Some(2));
    assert_eq!(run(&["config", "pull", "--yes", "--force"]), Some(0));
    let pulled = std::fs::read_to_string(&file).unwrap();
    assert!(pulled.contains("https://else.example"), "{pulled}");
    let violations = judge.violations.lock().unwrap();
    assert!(violations.is_empty(), "{violations:?}");
}
