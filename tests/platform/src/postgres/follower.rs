//! Keeps the server's databases as the world says that they are.
//!
//! Follows the world after every request and as time passes, over the administrator's socket. Nothing
//! flows the other way.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use postgres_protocol::escape::escape_literal;
use tokio::sync::{Notify, watch};
use tokio_postgres::{Client, NoTls};

use super::Postgres;
use super::cluster::ADMINISTRATOR;
use crate::answer::{Answer, Reply};
use crate::secret::Secret;
use crate::server::Shared;
use crate::world::World;

/// How soon what time alone changes is noticed.
const TICK: Duration = Duration::from_millis(25);
/// The pause after an error.
const PAUSE: Duration = Duration::from_millis(500);
/// How long an answer is held back for the database to catch up.
const HOLD: Duration = Duration::from_secs(15);

/// What a project's database is like.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Database {
    password: Secret,
    /// Whether it lets the project's role in.
    open: bool,
}

type Databases = BTreeMap<String, Database>;

/// The server's side of the follower.
pub(crate) struct Follower {
    wake: Arc<Notify>,
    made: watch::Receiver<Databases>,
    // Kept running for as long as there is somebody to follow.
    _postgres: Arc<Postgres>,
}

impl fmt::Debug for Follower {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Follower").finish_non_exhaustive()
    }
}

/// The follower of a world, and the work to be run for it.
pub(crate) fn follow(
    shared: Arc<Shared>,
    postgres: Arc<Postgres>,
) -> (Follower, impl Future<Output = ()> + Send) {
    let wake = Arc::new(Notify::new());
    let (made, seen) = watch::channel(Databases::new());
    let follower =
        Follower { wake: Arc::clone(&wake), made: seen, _postgres: Arc::clone(&postgres) };
    let work = async move {
        loop {
            let outcome = match connect(postgres.folder(), postgres.port()).await {
                Ok(client) => keep_up(&client, &shared, &wake, &made).await,
                Err(error) => error,
            };
            // The client sees a held answer fail; this says why.
            let _ = writeln!(std::io::stderr(), "simulated-platform: PostgreSQL: {outcome}");
            tokio::time::sleep(PAUSE).await;
        }
    };
    (follower, work)
}

impl Follower {
    /// Holds an answer back that promises a database, until the database is there.
    pub(crate) async fn hold(
        &self,
        request: &Request<Bytes>,
        answer: Answer,
        shared: &Shared,
    ) -> Answer {
        self.wake.notify_one();
        let Some(reference) = promised(request.uri().path()) else {
            return answer;
        };
        if !answer.response.status().is_success() {
            return answer;
        }
        let mut made = self.made.clone();
        let caught_up = async {
            loop {
                let wanted = database(&shared.world(), reference);
                if made.borrow_and_update().get(reference) == wanted.as_ref() {
                    return;
                }
                if made.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        if tokio::time::timeout(HOLD, caught_up).await.is_ok() {
            return answer;
        }
        let message = "The simulated platform's PostgreSQL does not follow; see its standard error";
        Answer { response: Reply::error(500, message).into_response(), ..answer }
    }
}

/// The project whose database an endpoint's answer promises.
fn promised(path: &str) -> Option<&str> {
    let (reference, rest) = path.strip_prefix("/v1/projects/")?.split_once('/')?;
    matches!(rest, "config/database/pooler" | "database/password").then_some(reference)
}

/// What the world says about a project's database.
fn database(world: &World, reference: &str) -> Option<Database> {
    let project = world.project(reference)?;
    if project.gone || project.status.is_leaving() {
        return None;
    }
    Some(Database {
        password: Secret::new(world.accepted_password(reference)?),
        open: project.status.is_active(),
    })
}

async fn connect(folder: &Path, port: u16) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::Config::new()
        .host_path(folder)
        .port(port)
        .user(ADMINISTRATOR)
        .dbname("postgres")
        .connect_timeout(HOLD)
        .connect(NoTls)
        .await?;
    // Its errors are those of the client.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

/// Follows until an error comes.
async fn keep_up(
    client: &Client,
    shared: &Shared,
    wake: &Notify,
    made: &watch::Sender<Databases>,
) -> tokio_postgres::Error {
    loop {
        let changes = changes(shared, &made.borrow());
        for (reference, wanted) in changes {
            let before = made.borrow().get(&reference).cloned();
            if let Err(error) = change(client, &reference, before, wanted.as_ref()).await {
                return error;
            }
            made.send_modify(|made| {
                match wanted {
                    Some(wanted) => made.insert(reference, wanted),
                    None => made.remove(&reference),
                };
            });
        }
        let _ = tokio::time::timeout(TICK, wake.notified()).await;
    }
}

/// Where the world is ahead of what was made.
fn changes(shared: &Shared, made: &Databases) -> Vec<(String, Option<Database>)> {
    let now = shared.now();
    let mut world = shared.world();
    world.tick(now);
    let there: Vec<String> = world.projects().map(|project| project.reference.clone()).collect();
    let gone = made.keys().filter(|reference| !there.contains(reference)).cloned();
    let all: Vec<String> = gone.chain(there.iter().cloned()).collect();
    all.into_iter()
        .map(|reference| {
            let wanted = database(&world, &reference);
            (reference, wanted)
        })
        .filter(|(reference, wanted)| made.get(reference) != wanted.as_ref())
        .collect()
}

/// Makes, changes or drops one database and its role. A ref consists of lowercase letters.
async fn change(
    client: &Client,
    reference: &str,
    before: Option<Database>,
    wanted: Option<&Database>,
) -> Result<(), tokio_postgres::Error> {
    let role = format!("\"postgres.{reference}\"");
    let Some(wanted) = wanted else {
        drop_database(client, reference).await?;
        return client.batch_execute(&format!("DROP ROLE IF EXISTS {role}")).await;
    };
    let login = if wanted.open { "LOGIN" } else { "NOLOGIN" };
    let password = escape_literal(wanted.password.reveal());
    if before.is_none() {
        // Left by an attempt that failed midway, perhaps.
        drop_database(client, reference).await?;
        client.batch_execute(&format!("DROP ROLE IF EXISTS {role}")).await?;
        client.batch_execute(&format!("CREATE ROLE {role}")).await?;
        client.batch_execute(&format!("CREATE DATABASE \"{reference}\" OWNER {role}")).await?;
        client
            .batch_execute(&format!("REVOKE ALL ON DATABASE \"{reference}\" FROM PUBLIC"))
            .await?;
    }
    client.batch_execute(&format!("ALTER ROLE {role} {login} PASSWORD {password}")).await?;
    if !wanted.open {
        let leave = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE usename = 'postgres.{reference}'"
        );
        client.batch_execute(&leave).await?;
    }
    Ok(())
}

async fn drop_database(client: &Client, reference: &str) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(&format!("DROP DATABASE IF EXISTS \"{reference}\" WITH (FORCE)")).await
}
