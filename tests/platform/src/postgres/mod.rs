//! A real PostgreSQL server behind the projects, so that a connection URI can be tried.
//!
//! Every project becomes a database named by its ref and a role `postgres.<ref>`. The real platform has
//! a pooler with two ports; here the ports of session and transaction mode are one and the same server.
//! Separate, because the plain [`World`](crate::World) knows nothing of it: [`Server::attach`] ties the two.
//!
//! [`Server::attach`]: crate::server::Server::attach

mod cluster;
mod follower;
mod process;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::PoolerAddress;
pub(crate) use follower::{Follower, follow};
use process::Process;

/// Why there is no PostgreSQL server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server's programs are neither installed nor to be had.
    #[error(
        "PostgreSQL's server programs cannot be had; install Debian's package postgresql, or see \
         what tests/tools/ensure postgres says"
    )]
    Programs,
    /// A program failed.
    #[error("{program} failed ({status}): {output}")]
    Failed {
        /// Which one.
        program: &'static str,
        /// Its exit status.
        status: String,
        /// The end of what it said.
        output: String,
    },
    /// The server did not begin to serve in time.
    #[error("PostgreSQL does not serve: {0}")]
    NotServing(String),
    /// The server's certificate could not be made.
    #[error("no certificate for PostgreSQL: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The machine refused something.
    #[error("PostgreSQL could not be set up: {0}")]
    Machine(#[from] io::Error),
}

/// A running PostgreSQL server on loopback, with TLS on and a fresh, empty cluster in a temporary folder.
///
/// It ends and its folder goes when this is dropped, and also when this process dies in any other way.
/// Worlds that share one server need different seeds, or their refs collide.
pub struct Postgres {
    process: Process,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Postgres").field("port", &self.port()).finish_non_exhaustive()
    }
}

impl Postgres {
    /// Starts a server, which takes about two seconds. Uses the machine's own PostgreSQL (13 or newer),
    /// else one that is downloaded once into the user's cache. Run by root, the server runs as `nobody`,
    /// since PostgreSQL refuses to run as root.
    ///
    /// Blocks the thread.
    ///
    /// # Errors
    /// When the programs cannot be had or do not work.
    pub fn start() -> Result<Self, Error> {
        Ok(Self { process: Process::start()? })
    }

    /// The TCP port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.process.port
    }

    /// Where the projects' databases are, for [`Config::pooler`](crate::Config::pooler).
    pub fn pooler(&self) -> PoolerAddress {
        PoolerAddress {
            host: "127.0.0.1".to_owned(),
            session_port: self.port(),
            transaction_port: self.port(),
        }
    }

    /// The file with the server's self-signed certificate (PEM), for `sslmode=verify-full`.
    pub fn certificate(&self) -> PathBuf {
        self.folder().join(cluster::CERTIFICATE)
    }

    /// The folder of the cluster and the administrator's socket.
    pub(crate) fn folder(&self) -> &Path {
        self.process.folder()
    }
}
