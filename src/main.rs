//! The program: dispatches its commands, and makes the real clock, randomness and network that everything else
//! is given.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use k8s_openapi::jiff::Timestamp;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use supabase_operator::consent::terminal;
use supabase_operator::environment::Environment;
use supabase_operator::options::{LogFormat, Options};
use supabase_operator::rules::clock::Clock;
use supabase_operator::rules::random::Random;
use supabase_operator::run::run;
use supabase_operator::{crds, kubernetes, management, telemetry};

/// Kubernetes operator for hosted Supabase projects
#[derive(Parser)]
#[command(version, about)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator
    Run(Box<Options>),
    /// Let the operator act for an organization: consent in a browser, with the rights of your kubeconfig
    Connect(terminal::Arguments),
    /// Print the definitions of the operator's kinds
    Crds {
        #[command(subcommand)]
        apply: Option<Crds>,
    },
}

#[derive(Subcommand)]
enum Crds {
    /// Apply them server-side, with the rights at hand, and wait until they are served
    Apply,
}

fn main() -> ExitCode {
    // Before anything is read that could be secret: what the memory holds must not get onto a disk.
    if let Err(error) = forbid_core_dumps() {
        return fail(&anyhow::Error::new(error).context("switching core dumps off"));
    }
    let program = Program::parse();
    // The only provider in the tree: without it neither client can speak TLS.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return fail(&anyhow::anyhow!("another TLS provider was installed first"));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("starting the runtime")),
    };
    let result = runtime.block_on(dispatch(program.command));
    // What still hangs in a call to somewhere must not hold up the exit.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// No core dump of this process: neither a file, by the limit, nor through a program that the kernel pipes it to, which
/// the limit does not stop. Processes of the same user can no longer attach to it either (prctl(2)).
fn forbid_core_dumps() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none)?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the last word of a program that could not do its work")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("supabase-operator: {error:#}");
    ExitCode::FAILURE
}

async fn dispatch(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(options) => Box::pin(operate(*options)).await,
        Command::Connect(arguments) => Box::pin(connect(arguments)).await,
        Command::Crds { apply: None } => {
            use std::io::Write as _;
            std::io::stdout().write_all(crds::print()?.as_bytes())?;
            Ok(())
        }
        Command::Crds { apply: Some(Crds::Apply) } => {
            use std::io::Write as _;
            for name in crds::apply(client(None).await?).await? {
                writeln!(std::io::stdout(), "{name} applied")?;
            }
            Ok(())
        }
    }
}

/// With the rights and by the way of the kubeconfig, else of the Pod. Variables that name a proxy count with a kubeconfig
/// only: a Pod reaches its API server directly.
async fn client(context: Option<String>) -> anyhow::Result<kube::Client> {
    let unknown =
        context.as_ref().map(|context| format!("the kubeconfig has no usable context {context}"));
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let (mut config, proxy) = match (from_kubeconfig(&options).await, unknown) {
        (Ok(config), _) => {
            let named = proxy_url(&options);
            let variable = |name: &str| std::env::var(name).ok();
            let proxy = kubernetes::proxy::choose(&config.cluster_url, named.as_deref(), variable)?;
            (config, proxy)
        }
        (Err(error), Some(unknown)) => return Err(anyhow::Error::new(error).context(unknown)),
        (Err(error), None) => {
            let config = kube::Config::incluster().map_err(|_| error).context(
                "no cluster is configured: neither a kubeconfig nor a ServiceAccount of a Pod was found",
            )?;
            (config, None)
        }
    };
    config.apply_debug_overrides();
    kubernetes::client(config, proxy.as_ref()).context("making a client of the API server")
}

async fn from_kubeconfig(options: &KubeConfigOptions) -> Result<kube::Config, KubeconfigError> {
    let kubeconfig = Kubeconfig::read()?;
    kube::Config::from_custom_kubeconfig(kubeconfig, options).await
}

/// What the kubeconfig itself says of a proxy.
fn proxy_url(options: &KubeConfigOptions) -> Option<String> {
    let kubeconfig = Kubeconfig::read().ok()?;
    let context = options.context.clone().or(kubeconfig.current_context)?;
    let named = kubeconfig.contexts.into_iter();
    let context = named.into_iter().find(|named| named.name == context)?.context?;
    let named = kubeconfig.clusters.into_iter();
    let cluster = named.into_iter().find(|named| named.name == context.cluster)?;
    cluster.cluster?.proxy_url
}

async fn operate(options: Options) -> anyhow::Result<()> {
    options.check().map_err(anyhow::Error::msg)?;
    telemetry::start_logging(&options.log_level, options.log_format == LogFormat::Json)
        .map_err(anyhow::Error::msg)?;
    let environment = environment(
        client(None).await?,
        &options.management_api_endpoint,
        options.management_api_proxy.as_deref(),
        options.management_api_ca_bundle.as_deref(),
    )?;
    Box::pin(run(environment, options, stop_signal())).await
}

async fn connect(arguments: terminal::Arguments) -> anyhow::Result<()> {
    let environment = environment(
        client(arguments.context.clone()).await?,
        &arguments.management_api_endpoint,
        arguments.management_api_proxy.as_deref(),
        arguments.management_api_ca_bundle.as_deref(),
    )?;
    terminal::connect(&arguments, &environment).await
}

fn environment(
    client: kube::Client,
    endpoint: &str,
    proxy: Option<&str>,
    ca_bundle: Option<&Path>,
) -> anyhow::Result<Environment> {
    let base: management::BaseUrl =
        endpoint.parse().context("--management-api-endpoint cannot be used")?;
    let proxy = proxy
        .filter(|proxy| !proxy.is_empty())
        .map(management::Proxy::read)
        .transpose()
        .context("--management-api-proxy cannot be used")?;
    let ca_bundle = ca_bundle
        .filter(|file| !file.as_os_str().is_empty())
        .map(|file| {
            let why = format!("--management-api-ca-bundle: {} cannot be read", file.display());
            std::fs::read(file).context(why)
        })
        .transpose()?;
    let network = management::Network::new(&base, proxy.as_ref(), ca_bundle.as_deref())
        .context("making a client of the Management API")?;
    Ok(Environment {
        client,
        management: management::Client::new(base, Arc::new(network)),
        clock: Arc::new(SystemClock { begun: begun() }),
        random: Arc::new(SystemRandom),
    })
}

/// The status of a process that was told to stop twice: 128 and the number of SIGINT, as of one that a signal ended.
const INTERRUPTED: i32 = 130;

/// Ends with the first SIGTERM or SIGINT; the second one ends the process.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        #[expect(
            clippy::exit,
            reason = "whoever says it twice does not want to wait for anything"
        )]
        std::process::exit(INTERRUPTED);
    });
}

#[expect(clippy::disallowed_methods, reason = "the one place where the monotonic clock is read")]
fn begun() -> Instant {
    Instant::now()
}

#[derive(Debug)]
struct SystemClock {
    begun: Instant,
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
    fn now(&self) -> Timestamp {
        Timestamp::try_from(SystemTime::now()).unwrap_or_default()
    }

    fn uptime(&self) -> Duration {
        self.begun.elapsed()
    }
}

#[derive(Debug)]
struct SystemRandom;

impl Random for SystemRandom {
    /// Ends the process where there is none: a password that can be guessed is worse.
    fn fill(&self, bytes: &mut [u8]) {
        let filled = getrandom::fill(bytes);
        assert!(filled.is_ok(), "the operating system gives no randomness");
    }
}
