//! The simulated platform as a program, for the quickstart and for playing by hand.
//!
//! Prints `READY <endpoint>` when it serves, and ends with SIGINT, SIGTERM or, where that was asked for,
//! with its standard input.

use std::future::pending;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};
use simulated_platform::postgres::Postgres;
use simulated_platform::server::{Server, real_clock};
use simulated_platform::{ALL_SCOPES, App, Config, Pat, Plan, TokenPair, World};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Supabase's Management API and OAuth server, simulated on loopback.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// The loopback address to listen on; port 0 takes a free port.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// An organization, as SLUG or SLUG:PLAN with plan free, pro, team or enterprise (default pro).
    /// May be repeated; the first one is the one of the credentials.
    #[arg(long = "organization", default_value = "acme", value_parser = organization)]
    organizations: Vec<(String, Plan)>,
    /// How long the platform takes to create, pause, restore and delete.
    #[arg(long, value_enum, default_value_t = Pace::Fast)]
    pace: Pace,
    /// Where to write credentials for the first organization, as JSON that only this user can read.
    #[arg(long)]
    credentials_file: Option<PathBuf>,
    /// Put a real PostgreSQL server on loopback behind the projects.
    #[arg(long)]
    postgres: bool,
    /// The host under which clients reach that server, where something passes its port on to loopback.
    #[arg(long, requires = "postgres")]
    pooler_host: Option<String>,
    /// A redirect URI of the OAuth app, for consent in a browser on the simulated consent page. May be repeated.
    #[arg(long = "redirect-uri")]
    redirect_uris: Vec<String>,
    /// A PEM file with the authorities whose mail servers Auth trusts, instead of the machine's.
    #[arg(long)]
    mail_authority: Option<PathBuf>,
    /// End when standard input ends, so that nothing is left over when the parent is killed.
    #[arg(long)]
    exit_with_stdin: bool,
    /// Makes the same refs, tokens and keys in every run; drawn at random where it is absent.
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Pace {
    /// As recorded or measured: about two minutes for a project.
    Real,
    /// Two seconds for a project.
    Fast,
    /// At once.
    Instant,
}

impl Pace {
    fn config(self) -> Config {
        match self {
            Self::Real => Config::default(),
            Self::Fast => Config::fast(),
            Self::Instant => Config::instant(),
        }
    }
}

fn organization(text: &str) -> Result<(String, Plan), String> {
    let (slug, plan) = text.split_once(':').unwrap_or((text, "pro"));
    let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if slug.is_empty() || !slug.chars().all(word) {
        return Err("a slug consists of letters, digits, - and _".to_owned());
    }
    let plan = match plan {
        "free" => Plan::Free,
        "pro" => Plan::Pro,
        "team" => Plan::Team,
        "enterprise" => Plan::Enterprise,
        _ => {
            return Err(format!("{plan} is no plan: take free, pro, team or enterprise"));
        }
    };
    Ok((slug.to_owned(), plan))
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "simulated-platform: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<()> {
    let seed = match options.seed {
        Some(seed) => seed,
        None => getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?,
    };
    let now = real_clock()();
    let mut world = World::new(options.pace.config(), seed);
    for (slug, plan) in &options.organizations {
        world.add_organization(slug, slug, *plan);
    }
    let personal_access_token = world.add_pat(Pat::classic());
    let redirect_uris: Vec<_> = options.redirect_uris.iter().map(String::as_str).collect();
    let app = world.register_app(&redirect_uris, ALL_SCOPES);
    let authorizations: Vec<_> = options
        .organizations
        .iter()
        .filter_map(|(slug, _)| Some((slug.as_str(), world.authorize(&app, slug, now)?)))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let postgres = options.postgres.then(Postgres::start).transpose().map_err(io::Error::other)?;
    let server = Server::start(world, options.listen)?;
    server.serve_dashboard();
    if let Some(path) = &options.mail_authority {
        server.trust_mail_servers(&std::fs::read(path)?)?;
    }
    if let Some(postgres) = postgres {
        server.attach(Arc::new(postgres));
    }
    if let Some(host) = &options.pooler_host
        && let Some(pooler) = &mut server.world().config_mut().pooler
    {
        pooler.host.clone_from(host);
    }
    if let Some(path) = &options.credentials_file {
        let endpoint = server.endpoint();
        let body = credentials(&endpoint, &personal_access_token, &app, &authorizations, now);
        write_private(path, &body)?;
    }
    runtime.block_on(async {
        // The signals are taken over before anybody is told that this is ready.
        let ended = end(options.exit_with_stdin)?;
        writeln!(io::stdout(), "READY {}", server.endpoint())?;
        io::stdout().flush()?;
        ended.await;
        Ok(())
    })
}

/// Resolves when the program is to end.
fn end(with_stdin: bool) -> io::Result<impl Future<Output = ()>> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut stdin = with_stdin.then(watch_stdin);
    Ok(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
            () = async {
                match &mut stdin {
                    Some(ended) => drop(ended.await),
                    None => pending().await,
                }
            } => {}
        }
    })
}

/// Tells when standard input has ended, from a thread of its own: such a read cannot be called off.
fn watch_stdin() -> oneshot::Receiver<()> {
    let (say, ended) = oneshot::channel();
    std::thread::spawn(move || {
        let mut piece = [0; 1024];
        while io::stdin().read(&mut piece).is_ok_and(|size| size > 0) {}
        drop(say);
    });
    ended
}

fn credentials(
    endpoint: &str,
    personal_access_token: &str,
    app: &App,
    authorizations: &[(&str, TokenPair)],
    now: Timestamp,
) -> Value {
    let list: Vec<Value> = authorizations
        .iter()
        .map(|(slug, pair)| {
            let expires_at = now.checked_add(Duration::from_secs(pair.expires_in));
            json!({
                "organization": slug,
                "access_token": pair.access_token,
                "refresh_token": pair.refresh_token,
                "expires_at": expires_at.ok().map(|at| at.to_string()),
            })
        })
        .collect();
    let mut body = list.first().cloned().unwrap_or_else(|| json!({}));
    if let Some(body) = body.as_object_mut() {
        body.insert("endpoint".to_owned(), endpoint.into());
        body.insert("personal_access_token".to_owned(), personal_access_token.into());
        body.insert("client_id".to_owned(), app.client_id.as_str().into());
        body.insert("client_secret".to_owned(), app.client_secret.as_str().into());
        body.insert("authorizations".to_owned(), list.into());
    }
    body
}

/// Writes a file that only this user can read, whole or not at all.
fn write_private(path: &Path, body: &Value) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or_else(|| Path::new(".")))?;
    writeln!(file, "{body:#}")?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
