//! Wires everything: what one term of leadership consists of, and the life of the process around it.
//!
//! A process that lost its claim exits and is started anew: no state of an earlier term can leak into a later one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use kube::{Api, Client};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::api::project::ConnectionKind;
use crate::api::{ClusterSupabaseConnection, SupabaseConnection, SupabaseProject};
use crate::connection::{Connections, Consent};
use crate::consent::browser;
use crate::controller::{Looking, Reporter, Shell, ShellParts, Wakes, look};
use crate::dependents::{Dependents, SecretChanges, watch_secrets};
use crate::health::{self, Readiness};
use crate::keys;
use crate::kubernetes;
use crate::leader::{Holder, Leadership, LeaseOptions, last_words};
use crate::options::{Options, Scope};
use crate::outside::Outside;
use crate::project::refs::Refs;
use crate::project::{ProjectParts, Projects};
use crate::rules::ambient::{Random, draw};
use crate::rules::link::ConsentLinks;
use crate::session::{SessionOptions, Sessions, SessionsParts};
use crate::telemetry::Metrics;
use crate::watching::apis;

/// How long answers in flight are stored after a stop or a lost claim.
const LAST_WORDS: Duration = Duration::from_secs(30);
/// Between two tries to find the kinds, or to take over.
const RETRY: Duration = Duration::from_secs(2);
/// How long one pass may read.
const READING: Duration = Duration::from_secs(90);

/// Everything that lives for as long as this process leads.
#[derive(Clone, Debug)]
pub struct Term {
    /// The shell.
    pub shell: Shell,
    /// The live credentials.
    pub sessions: Sessions,
    /// Projects.
    pub projects: Projects,
    /// Projects that somebody inside wants looked at.
    pub project_wakes: Wakes,
    /// Connections of namespaces.
    pub connections: Connections<SupabaseConnection>,
    /// Connections of the cluster; none in a namespaced install.
    pub cluster_connections: Option<Connections<ClusterSupabaseConnection>>,
}

impl Term {
    /// Takes over: reads the operator's key, builds the index of refs and the index of consumed tokens. Both are
    /// complete before anything is done.
    pub async fn begin(
        outside: &Outside,
        options: &Options,
        leadership: Leadership,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let Outside {
            client,
            management,
            clock,
            random,
        } = outside.clone();
        let process = draw(random.as_ref(), b"abcdefghijklmnopqrstuvwxyz0123456789", 12);
        let digest_key = keys::digest_key(&client, &options.namespace, random.as_ref()).await?;
        let reporter = Reporter::new(client.clone(), &options.identity, metrics.clone());
        let shell = Shell::new(ShellParts {
            client: client.clone(),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            leadership: leadership.clone(),
            reporter,
            resync: options.resync_interval,
            pass_deadline: READING,
        });
        let namespaces = options.namespaces();
        let project_wakes = Wakes::default();
        let sessions = Sessions::new(SessionsParts {
            client: client.clone(),
            management,
            clock,
            random,
            leadership,
            digest_key: digest_key.clone(),
            process: process.clone(),
            namespace: options.namespace.clone(),
            options: SessionOptions {
                namespaces: namespaces.clone(),
                transition_interval: options.transition_interval,
                rest_interval: options.rest_interval,
                credentials_interval: options.credentials_interval,
            },
            metrics: metrics.clone(),
            wake: project_wakes.clone(),
        });
        let refs = Refs::default();
        let held = refs.build(&client, namespaces.as_deref()).await?;
        sessions.takeover().await;
        info!(refs = held, "took over");
        let projects = Projects::new(
            ProjectParts {
                shell: shell.clone(),
                sessions: sessions.clone(),
                digest_key: digest_key.clone(),
                process,
                cluster_connections: options.scope == Scope::Cluster,
                transition_interval: options.transition_interval,
                rest_interval: options.rest_interval,
                drift_interval: options.drift_interval,
            },
            refs,
        );
        let consent = Consent {
            links: options
                .consent_url
                .as_ref()
                .map(|url| ConsentLinks::new(url.to_string(), digest_key)),
            app_secret: options.oauth_app_secret.clone(),
        };
        let clock = || Arc::clone(&shell.clock);
        let connections = Connections::new(sessions.clone(), clock(), consent.clone());
        let cluster_connections = (options.scope == Scope::Cluster)
            .then(|| Connections::new(sessions.clone(), clock(), consent));
        Ok(Self {
            shell,
            sessions,
            projects,
            project_wakes,
            connections,
            cluster_connections,
        })
    }
}

/// Runs until `stop` ends or the claim to lead is lost. The latter is an error, so that the process is restarted.
pub async fn run(
    outside: Outside,
    options: Options,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let metrics = Metrics::default();
    let readiness = Readiness::default();
    readiness.wait_for("kinds");
    let served = health::serve(options.listen, readiness.clone(), metrics.clone())
        .await
        .with_context(|| format!("listening on {}", options.listen))?;
    let serving = tokio::spawn(served);
    let mut stop = Box::pin(stop.fuse());
    tokio::select! {
        () = &mut stop => return Ok(()),
        () = wait_for_kinds(&outside.client, &options) => {}
    }
    say_what_is_not_watched(&options);
    let pages = tokio::select! {
        () = &mut stop => return Ok(()),
        pages = consent_pages(&outside, &options, &metrics) => pages?,
    };
    readiness.has("kinds");
    let led = Box::pin(lead(outside, options, metrics, &mut stop)).await;
    if let Some(pages) = pages {
        pages.end().await;
    }
    serving.abort();
    led
}

/// Serves the consent pages, if they are wanted, whoever leads. They are ready when the connections are known.
async fn consent_pages(
    outside: &Outside,
    options: &Options,
    metrics: &Metrics,
) -> anyhow::Result<Option<browser::Served>> {
    let Some(base) = options.consent_url.clone() else {
        return Ok(None);
    };
    let random = outside.random.as_ref();
    let digest_key = keys::digest_key(&outside.client, &options.namespace, random).await?;
    let parts = browser::SiteParts {
        listen: options.consent_listen,
        base,
        display_name: options.consent_display_name.clone(),
        returns: options.consent_return_addresses.clone(),
        namespace: options.namespace.clone(),
        operator_app: options.oauth_app_secret.clone(),
        namespaces: options.namespaces(),
        digest_key,
        metrics: metrics.clone(),
    };
    let mut pages = browser::serve(parts, outside.clone())
        .await
        .with_context(|| format!("listening on {}", options.consent_listen))?;
    pages.ready().await;
    Ok(Some(pages))
}

/// Waits for the claim to lead, and leads until `stop` ends or the claim is lost.
async fn lead(
    outside: Outside,
    options: Options,
    metrics: Metrics,
    mut stop: impl Future<Output = ()> + Unpin + Send,
) -> anyhow::Result<()> {
    let leadership = Leadership::new(Arc::clone(&outside.clock));
    let lease = lease(&options, outside.random.as_ref());
    let clock = Arc::clone(&outside.clock);
    let mut holder = Holder::new(outside.client.clone(), lease, clock, leadership.clone());
    tokio::select! {
        () = &mut stop => return Ok(()),
        () = holder.acquire() => {}
    }
    info!("leading");
    metrics.leads(true);

    let (stopping, stopped) = watch::channel(false);
    let mut working = tokio::spawn(work(
        outside.clone(),
        options.clone(),
        leadership.clone(),
        metrics.clone(),
        stopped,
    ));
    let lost = tokio::select! {
        () = &mut stop => false,
        () = holder.keep() => true,
        result = &mut working => {
            let result = result.context("the operator's work ended unexpectedly")?;
            holder.release().await;
            return result;
        }
    };
    if lost {
        error!("the claim to lead was lost; nothing new is started");
    } else {
        info!("stopping");
    }
    metrics.leads(false);
    stopping.send_replace(true);
    // The Lease is renewed while answers in flight are stored, and given away only after that.
    let ended = async {
        let _ = (&mut working).await;
        leadership.all_released().await;
    };
    let kept = async {
        if lost {
            std::future::pending::<()>().await;
        }
        holder.keep().await;
    };
    if !last_words(ended, kept, LAST_WORDS).await {
        warn!("not everything under way ended in time");
    }
    if !lost {
        holder.release().await;
    }
    working.abort();
    if lost {
        anyhow::bail!("the claim to lead was lost");
    }
    Ok(())
}

/// How this process holds the Lease: under a name of its own.
fn lease(options: &Options, random: &dyn Random) -> LeaseOptions {
    let suffix = draw(random, b"abcdefghijklmnopqrstuvwxyz0123456789", 8);
    LeaseOptions {
        namespace: options.namespace.clone(),
        name: options.lease_name.clone(),
        identity: format!("{}_{suffix}", options.identity),
        duration: options.lease_duration,
        renew_deadline: options.renew_deadline,
        retry_period: options.retry_period,
    }
}

/// Waits until the API server serves every kind.
async fn wait_for_kinds(client: &Client, options: &Options) {
    async fn served<K>(apis: Vec<Api<K>>) -> Result<(), kubernetes::Error>
    where
        K: kubernetes::Stored,
    {
        for api in apis {
            api.list(&kube::api::ListParams::default().limit(1)).await?;
        }
        Ok(())
    }
    let namespaces = options.namespaces();
    loop {
        let found = async {
            served(apis::<SupabaseProject>(client, namespaces.as_deref())).await?;
            served(apis::<SupabaseConnection>(client, namespaces.as_deref())).await?;
            if options.scope == Scope::Cluster {
                served(vec![Api::<ClusterSupabaseConnection>::all(client.clone())]).await?;
            }
            Ok::<_, kubernetes::Error>(())
        };
        match found.await {
            Ok(()) => return,
            Err(kubernetes::Error::NotFound) => {
                warn!(
                    "the CustomResourceDefinitions are not installed; run 'supabase-operator crds apply'"
                );
            }
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "the operator's kinds cannot be listed yet"
                );
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn say_what_is_not_watched(options: &Options) {
    if !options.watches_secrets() {
        info!(
            credentials = ?options.credentials_interval, outputs = ?options.resync_interval,
            "Secrets are not watched: changed credentials and edited outputs are seen within these intervals"
        );
    }
}

/// Takes over, then looks after every kind until told to stop.
async fn work(
    outside: Outside,
    options: Options,
    leadership: Leadership,
    metrics: Metrics,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let term = loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            begun = Term::begin(&outside, &options, leadership.clone(), &metrics) => match begun {
                Ok(term) => break term,
                Err(error) => warn!(error = %format!("{error:#}"), "taking over failed; trying again"),
            }
        }
        tokio::time::sleep(RETRY).await;
    };
    let (client, namespaces) = (&outside.client, options.namespaces());
    let mut running: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();

    let looked = look(Looking {
        kind: term.projects.clone(),
        shell: term.shell.clone(),
        apis: apis(client, namespaces.as_deref()),
        wakes: term.project_wakes.clone(),
        concurrency: options.concurrency,
        metrics: metrics.clone(),
        on_change: Arc::new(|_: &SupabaseProject| {}),
        stop: stop.clone(),
    });
    running.push(looked.running);
    let projects = looked.store;

    let connection_wakes = term.sessions.connection_wakes().clone();
    let dependents = Dependents {
        projects: projects.clone(),
        wakes: term.project_wakes.clone(),
    };
    let looked = look(Looking {
        kind: term.connections.clone(),
        shell: term.shell.clone(),
        apis: apis(client, namespaces.as_deref()),
        wakes: connection_wakes.clone(),
        concurrency: options.concurrency,
        metrics: metrics.clone(),
        on_change: dependents.clone().of(ConnectionKind::SupabaseConnection),
        stop: stop.clone(),
    });
    running.push(looked.running);
    let connections = looked.store;

    let cluster_wakes = term.sessions.cluster_connection_wakes().clone();
    let mut cluster_connections = None;
    if let Some(kind) = term.cluster_connections.clone() {
        let looked = look(Looking {
            kind,
            shell: term.shell.clone(),
            apis: vec![Api::all(client.clone())],
            wakes: cluster_wakes.clone(),
            concurrency: options.concurrency,
            metrics: metrics.clone(),
            on_change: dependents.of(ConnectionKind::ClusterSupabaseConnection),
            stop: stop.clone(),
        });
        running.push(looked.running);
        cluster_connections = Some(looked.store);
    }
    if options.watches_secrets() {
        let secrets = SecretChanges {
            projects,
            project_wakes: term.project_wakes.clone(),
            connections,
            connection_wakes,
            cluster_connections,
            cluster_wakes,
            namespace: options.namespace.clone(),
            metrics,
        };
        let watching = watch_secrets(client.clone(), namespaces, secrets);
        running.push(Box::pin(async move {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                () = watching => {}
            }
        }));
    }
    while running.next().await.is_some() {}
    Ok(())
}
