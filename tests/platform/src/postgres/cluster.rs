//! Making a cluster: the programs, the folder, the certificate, `initdb`.
//!
//! Everything happens in one temporary folder that belongs to the user whom PostgreSQL runs as.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::Error;

/// The superuser, reachable through the socket in the folder only.
pub(super) const ADMINISTRATOR: &str = "supabase_admin";
/// The certificate's file name in the folder.
pub(super) const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";
/// The user and the group whom root runs the server as: nobody.
const NOBODY: u32 = 65_534;

const ACCESS: &str = "\
local all all trust
host all supabase_admin all reject
host all all 127.0.0.1/32 scram-sha-256
";

/// A cluster that has not been started yet.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) folder: TempDir,
    programs: PathBuf,
    as_nobody: bool,
}

impl Cluster {
    pub(super) fn create() -> Result<Self, Error> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("simulated-postgres-").tempdir()?;
        let as_nobody = fs::metadata(folder.path())?.uid() == 0;
        let mut cluster = Self { folder, programs, as_nobody };
        if as_nobody {
            chown(cluster.folder.path(), Some(NOBODY), Some(NOBODY))?;
            if !open_to_all(&cluster.programs) {
                cluster.programs = copy(&cluster.programs, cluster.folder.path())?;
            }
        }
        cluster.certify()?;
        cluster.initialize()?;
        Ok(cluster)
    }

    fn certify(&self) -> Result<(), Error> {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names)?;
        self.write(CERTIFICATE, &made.cert.pem(), 0o644)?;
        self.write(KEY, &made.signing_key.serialize_pem(), 0o600)?;
        Ok(())
    }

    /// Writes a file that belongs to the server's user.
    fn write(&self, name: &str, text: &str, mode: u32) -> io::Result<()> {
        let path = self.folder.path().join(name);
        fs::write(&path, "")?;
        fs::set_permissions(&path, PermissionsExt::from_mode(mode))?;
        fs::write(&path, text)?;
        if self.as_nobody { chown(&path, Some(NOBODY), Some(NOBODY)) } else { Ok(()) }
    }

    fn initialize(&self) -> Result<(), Error> {
        let mut initdb = self.command("initdb");
        initdb.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C"]);
        initdb.args(["--username", ADMINISTRATOR]).arg("-D").arg(self.data());
        check("initdb", &initdb.stdin(Stdio::null()).output()?)?;
        self.write("data/pg_hba.conf", ACCESS, 0o600)?;
        Ok(())
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The command line of the server.
    pub(super) fn server(&self, port: u16) -> Command {
        let folder = self.folder.path();
        let mut server = self.command("postgres");
        server.arg("-D").arg(self.data());
        let mut set = |name: &str, value: &str| {
            server.arg("-c").arg(format!("{name}={value}"));
        };
        set("listen_addresses", "127.0.0.1");
        set("port", &port.to_string());
        set("unix_socket_directories", &folder.to_string_lossy());
        set("ssl", "on");
        set("ssl_cert_file", &folder.join(CERTIFICATE).to_string_lossy());
        set("ssl_key_file", &folder.join(KEY).to_string_lossy());
        set("password_encryption", "scram-sha-256");
        set("timezone", "UTC");
        set("shared_buffers", "16MB");
        // Nothing here outlives the process.
        for name in ["fsync", "synchronous_commit", "full_page_writes"] {
            set(name, "off");
        }
        server
    }

    /// One of PostgreSQL's programs, as the user that the folder belongs to.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = if self.as_nobody {
            let mut command = Command::new("setpriv");
            let nobody = NOBODY.to_string();
            command.arg(format!("--reuid={nobody}")).arg(format!("--regid={nobody}"));
            command.arg("--clear-groups").arg("--").arg(program);
            command
        } else {
            Command::new(program)
        };
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", self.folder.path()).current_dir(self.folder.path());
        command
    }
}

/// The folder with the programs, as the script of the tests' tools finds or makes it.
fn programs() -> Result<PathBuf, Error> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/ensure");
    let output = Command::new(script)
        .arg("postgres")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|_| Error::Programs)?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && folder.is_absolute() { Ok(folder) } else { Err(Error::Programs) }
}

/// Whether every user may enter a folder.
fn open_to_all(folder: &Path) -> bool {
    folder.ancestors().all(|folder| {
        fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & 0o005 == 0o005)
    })
}

/// Copies the installation that a folder of programs belongs to.
fn copy(programs: &Path, folder: &Path) -> Result<PathBuf, Error> {
    let installation = programs.parent().unwrap_or(programs);
    let copied = folder.join("postgresql");
    check("cp", &Command::new("cp").arg("-R").arg(installation).arg(&copied).output()?)?;
    fs::set_permissions(&copied, PermissionsExt::from_mode(0o755))?;
    Ok(copied.join("bin"))
}

fn check(program: &'static str, output: &Output) -> Result<(), Error> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let output_end = end_of(&said);
    Err(Error::Failed { program, status: output.status.to_string(), output: output_end })
}

/// The last lines of a text.
pub(super) fn end_of(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines.get(lines.len().saturating_sub(10)..).unwrap_or_default().join("\n")
}
