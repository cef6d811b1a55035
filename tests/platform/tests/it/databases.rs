//! Projects with a real database: what the API hands out is what psql accepts.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use simulated_platform::postgres::Postgres;
use simulated_platform::server::Server;
use simulated_platform::{Config, Pat, Plan, World};

use crate::client::{Response, ask, eventually};
use crate::program::Program;

/// One server for all tests: worlds of different seeds do not meet on it.
fn postgres() -> Arc<Postgres> {
    static SHARED: OnceLock<Arc<Postgres>> = OnceLock::new();
    Arc::clone(SHARED.get_or_init(|| Arc::new(Postgres::start().unwrap())))
}

struct Platform {
    server: Server,
    token: String,
}

impl Platform {
    fn start(config: Config, seed: u64) -> Self {
        let mut world = World::new(config, seed);
        world.add_organization("acme", "Acme", Plan::Free);
        let token = world.add_pat(Pat::classic());
        let server = Server::start(world, "127.0.0.1:0".parse().unwrap()).unwrap();
        server.attach(postgres());
        Self { server, token }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Response {
        ask(self.server.address(), &self.token, method, path, &body.to_string())
    }

    fn create(&self, name: &str, password: &str) -> String {
        let body = json!({ "name": name, "organization_slug": "acme", "db_pass": password,
            "region_selection": { "type": "specific", "code": "eu-central-1" } });
        let created = self.ask("POST", "/v1/projects", &body);
        assert_eq!(created.status, 201, "{created:?}");
        created.body["ref"].as_str().unwrap().to_owned()
    }

    /// The pooler's entry, as soon as the API shows it.
    fn pooler(&self, reference: &str) -> Value {
        let path = format!("/v1/projects/{reference}/config/database/pooler");
        eventually("a pooler entry", || {
            let answer = self.ask("GET", &path, &json!({}));
            (answer.status == 200).then(|| answer.body[0].clone())
        })
    }
}

/// Runs one query the way a user of the API would, over TLS.
fn psql(entry: &Value, password: &str, sql: &str) -> Output {
    let text = |name: &str| entry[name].as_str().unwrap().to_owned();
    let address = format!(
        "host={} port={} user={} dbname={} sslmode=require connect_timeout=10",
        text("db_host"),
        entry["db_port"],
        text("db_user"),
        text("db_name")
    );
    Command::new("psql")
        .args(["--no-psqlrc", "-At", "-c", sql, &address])
        .env("PGPASSWORD", password)
        .output()
        .expect("psql: install Debian's package postgresql-client")
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(text).unwrap().trim().to_owned()
}

const WHO: &str = "select current_user, current_database(), ssl from pg_stat_ssl \
                   where pid = pg_backend_pid()";

#[test]
fn psql_accepts_what_the_pooler_endpoint_hands_out_at_once() {
    let platform = Platform::start(Config::instant(), 1);
    let reference = platform.create("orders", "it's a \\ \"password\" ü");
    let entry = platform.pooler(&reference);
    let output = psql(&entry, "it's a \\ \"password\" ü", WHO);
    assert_eq!(said(&output), format!("postgres.{reference}|{reference}|t"));
    let made = psql(&entry, "it's a \\ \"password\" ü", "create table a (b int); select 1");
    assert!(made.status.success(), "{}", said(&made));
}

#[test]
fn the_servers_certificate_can_be_verified() {
    let platform = Platform::start(Config::instant(), 2);
    let reference = platform.create("orders", "correct-horse");
    let entry = platform.pooler(&reference);
    let address = format!(
        "postgresql://postgres.{reference}:correct-horse@127.0.0.1:{}/{reference}\
         ?sslmode=verify-full&sslrootcert={}",
        entry["db_port"],
        postgres().certificate().display()
    );
    let output = Command::new("psql").args(["-At", "-c", "select 7", &address]).output().unwrap();
    assert_eq!(said(&output), "7");
}

#[test]
fn a_changed_password_is_accepted_after_the_lag_and_the_old_one_is_not() {
    let platform = Platform::start(Config::fast(), 3);
    let reference = platform.create("orders", "first-password");
    let entry = platform.pooler(&reference);
    let path = format!("/v1/projects/{reference}/database/password");
    let changed = platform.ask("PATCH", &path, &json!({ "password": "second-password" }));
    assert_eq!(changed.status, 200, "{changed:?}");
    eventually("the new password", || {
        psql(&entry, "second-password", "select 1").status.success().then_some(())
    });
    let refused = psql(&entry, "first-password", "select 1");
    assert!(said(&refused).contains("authentication failed"), "{}", said(&refused));
}

#[test]
fn a_password_without_lag_is_accepted_with_the_answer() {
    let platform = Platform::start(Config::instant(), 4);
    let reference = platform.create("orders", "first-password");
    let entry = platform.pooler(&reference);
    let path = format!("/v1/projects/{reference}/database/password");
    platform.ask("PATCH", &path, &json!({ "password": "second-password" }));
    assert_eq!(said(&psql(&entry, "second-password", "select 1")), "1");
}

#[test]
fn one_projects_role_cannot_enter_anothers_database() {
    let platform = Platform::start(Config::instant(), 5);
    let mut one = platform.pooler(&platform.create("one", "password-one"));
    let other = platform.pooler(&platform.create("other", "password-other"));
    one["db_name"] = other["db_name"].clone();
    let refused = psql(&one, "password-one", "select 1");
    assert!(said(&refused).contains("permission denied for database"), "{}", said(&refused));
}

#[test]
fn a_paused_project_lets_nobody_in_and_keeps_its_data() {
    let platform = Platform::start(Config::instant(), 6);
    let reference = platform.create("orders", "correct-horse");
    let entry = platform.pooler(&reference);
    assert!(psql(&entry, "correct-horse", "create table kept (a int)").status.success());
    platform.ask("POST", &format!("/v1/projects/{reference}/pause"), &json!({}));
    eventually("a closed door", || {
        (!psql(&entry, "correct-horse", "select 1").status.success()).then_some(())
    });
    platform.ask("POST", &format!("/v1/projects/{reference}/restore"), &json!({}));
    let entry = platform.pooler(&reference);
    let counted = psql(&entry, "correct-horse", "select count(*) from kept");
    assert_eq!(said(&counted), "0");
}

#[test]
fn a_deleted_project_takes_its_database_and_role_with_it() {
    let platform = Platform::start(Config::instant(), 7);
    let reference = platform.create("orders", "correct-horse");
    let entry = platform.pooler(&reference);
    let other = platform.pooler(&platform.create("other", "password-other"));
    platform.ask("DELETE", &format!("/v1/projects/{reference}"), &json!({}));
    eventually("no such role", || {
        let refused = psql(&entry, "correct-horse", "select 1");
        (!refused.status.success()).then_some(())
    });
    let sql = format!("select count(*) from pg_roles where rolname = 'postgres.{reference}'");
    eventually("no role", || (said(&psql(&other, "password-other", &sql)) == "0").then_some(()));
    let sql = format!("select count(*) from pg_database where datname = '{reference}'");
    assert_eq!(said(&psql(&other, "password-other", &sql)), "0");
}

#[test]
fn the_administrator_cannot_be_reached_over_the_network() {
    let entry = json!({ "db_host": "127.0.0.1", "db_port": postgres().port(),
        "db_user": "supabase_admin", "db_name": "postgres" });
    assert!(said(&psql(&entry, "", "select 1")).contains("reject"));
}

/// The folder and the process of the server that listens on a port.
fn server_on(port: u16) -> (PathBuf, String) {
    let folders = std::fs::read_dir(std::env::temp_dir()).unwrap();
    let folder = folders
        .map(|entry| entry.unwrap().path())
        .find(|path| path.join(format!(".s.PGSQL.{port}.lock")).exists())
        .expect("the folder of the cluster");
    let state = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
    (folder, state.lines().next().unwrap().to_owned())
}

#[test]
fn the_server_and_its_folder_go_however_their_owner_dies() {
    for signal in ["-KILL", "-TERM"] {
        let program = Program::start(&["--postgres", "--pace", "instant"]);
        let created = program.ask(
            "POST",
            "/v1/projects",
            &json!({ "name": "orders",
            "organization_slug": "acme", "db_pass": "correct-horse", "region": "eu-central-1" }),
        );
        let path = format!(
            "/v1/projects/{}/config/database/pooler",
            created.body["ref"].as_str().unwrap()
        );
        let entry = program.ask("GET", &path, &json!({})).body[0].clone();
        assert_eq!(said(&psql(&entry, "correct-horse", "select 1")), "1");
        let port = u16::try_from(entry["db_port"].as_u64().unwrap()).unwrap();
        let (folder, id) = server_on(port);
        program.kill(signal);
        eventually("the end of the server", || {
            (!folder.exists() && !Path::new("/proc").join(&id).exists()).then_some(())
        });
    }
}
