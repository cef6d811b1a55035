//! Outputs as a Pod has them, and the programs that ask with them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::matrix::{Case, Program, Tls};
use crate::support::programs::{ensure, repository, run};

const QUESTION: &str = "select ssl || ' ' || 6 * 7 from pg_stat_ssl where pid = pg_backend_pid()";

/// What outputs hold, by their names, and where it lies as files.
pub struct Given {
    folder: PathBuf,
    written: BTreeMap<String, BTreeMap<String, String>>,
    node: PathBuf,
    programs: BTreeMap<&'static str, PathBuf>,
}

impl Given {
    /// Every output as a folder, as it is mounted.
    pub async fn new(folder: &Path, written: BTreeMap<String, BTreeMap<String, String>>) -> Self {
        for (name, data) in &written {
            let mounted = folder.join(name).join(name);
            std::fs::create_dir_all(&mounted).unwrap();
            for (key, value) in data {
                std::fs::write(mounted.join(key), value).unwrap();
            }
        }
        let keys = &written["app-keys"];
        std::fs::write(folder.join("ca.crt"), &keys["ca.crt"]).unwrap();
        let passfile = folder.join("pgpass");
        std::fs::write(&passfile, &keys["pgpass"]).unwrap();
        std::fs::set_permissions(&passfile, PermissionsExt::from_mode(0o600)).unwrap();
        let mut programs = BTreeMap::new();
        for name in ["clients-node", "clients-python", "clients-go", "clients-java"] {
            programs.insert(name, ensure(name).await);
        }
        Self { folder: folder.to_owned(), written, node: ensure("node").await, programs }
    }

    fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// Puts an authority where clients look.
    pub fn trust(&self, pem: &str) {
        let bound = self.folder.join("app-binding-verified/app-binding-verified/ca.crt");
        for file in [self.ca_file(), bound] {
            std::fs::write(file, pem).unwrap();
        }
    }

    /// A client's version and its answer, joined by a tab; or what it says.
    pub async fn ask(&self, case: &Case) -> Result<String, String> {
        if case.program == Program::Rust {
            return self.ask_here(case).await;
        }
        let mut command = self.command(case.program);
        // Nothing of the machine's own settings counts, and nothing that lies in a home.
        for name in ["NODE_EXTRA_CA_CERTS", "NODE_OPTIONS", "PGSSLROOTCERT", "PGSSLMODE"] {
            command.env_remove(name);
        }
        command.env("HOME", &self.folder).stdin(Stdio::null());
        if let Some(variable) = case.trust {
            command.env(variable, self.ca_file());
        }
        match self.written.get(case.from) {
            Some(_) if case.program == Program::Java("binding") => {
                command.env("SERVICE_BINDING_ROOT", self.folder.join(case.from));
                command.env("ORG_SPRINGFRAMEWORK_CLOUD_BINDINGS_BOOT_ENABLE", "true");
            }
            Some(output) => {
                command.envs(output);
            }
            None if case.from == "pgpass" => {
                let mut login = self.written["app-libpq"].clone();
                login.remove("PGPASSWORD");
                command.envs(login);
                command.env("PGPASSFILE", self.folder.join("pgpass"));
            }
            None => {
                command.env("ADDRESS", &self.written["app-keys"][case.from]);
            }
        }
        let (answered, said) = run(command).await;
        let last = |said: &str| said.trim_end().lines().last().unwrap_or_default().to_owned();
        if answered { Ok(last(&said)) } else { Err(said.trim_end().replace('\n', " ")) }
    }

    fn command(&self, program: Program) -> Command {
        let path = |name: &str| self.programs[name].as_path();
        match program {
            Program::Psql | Program::Rust => {
                let mut command = Command::new("sh");
                let script = "answer=$(psql -X -A -t ${ADDRESS:+-d \"$ADDRESS\"} -c \"$0\") || exit 1\n\
                              printf '%s\\t%s\\n' \"$(psql --version | sed 's/^[^0-9]*//; s/ .*//')\" \"$answer\"";
                command.arg("-c").arg(script).arg(QUESTION);
                command.env("PGCONNECT_TIMEOUT", "10");
                command
            }
            Program::Node(client) => {
                let mut command = Command::new(&self.node);
                command.arg(path("clients-node")).arg(client);
                command.env("NODE_NO_WARNINGS", "1");
                command
            }
            Program::Python(client) => {
                let script = path("clients-python");
                let mut command = Command::new("python3");
                command.arg(script).arg(client);
                command.env("PYTHONPATH", script.with_file_name("lib"));
                command.env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
            Program::Go => Command::new(path("clients-go")),
            Program::Java(client) => {
                let folder = path("clients-java").parent().unwrap().to_owned();
                let mut command = Command::new("java");
                let path = format!("{0}:{0}/lib/*", folder.display());
                command.args(["-XX:TieredStopAtLevel=1", "-cp", &path, "Client", client]);
                command
            }
        }
    }

    async fn ask_here(&self, case: &Case) -> Result<String, String> {
        let uri = &self.written["app-keys"][case.from];
        let answer = if case.tls == Tls::Verified {
            let authorities = std::fs::read_to_string(self.ca_file()).unwrap();
            database_query::verified_answer(uri, QUESTION, &authorities).await
        } else {
            database_query::answer(uri, QUESTION).await
        };
        let answer = answer.map_err(|error| {
            let mut said = error.to_string();
            let mut next = error.source();
            while let Some(reason) = next {
                said = format!("{said}: {reason}");
                next = reason.source();
            }
            said
        })?;
        let lock = std::fs::read_to_string(repository().join("Cargo.lock")).unwrap();
        let (_, rest) = lock.split_once("name = \"tokio-postgres\"\nversion = \"").unwrap();
        let version = rest.split('"').next().unwrap();
        Ok(format!("{version}\t{}", answer.join(" ")))
    }
}
