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
use crate::controller::{
    OnChange, Reporter, Shell, ShellParts, Source, Store, Wakes, look, on_change, sources,
};
use crate::dependents::{Dependents, SecretChanges, watch_secrets};
use crate::health::{self, Readiness};
use crate::keys;
use crate::kubernetes::{self, Lean, Shape, Stored};
use crate::leader::{Holder, Leadership, LeaseOptions, last_words};
use crate::options::{Options, Scope};
use crate::outside::Outside;
use crate::project::refs::Refs;
use crate::project::{ProjectParts, Projects};
use crate::rules::ambient::{Random, draw};
use crate::rules::link::ConsentLinks;
use crate::seen::{SeenConnection, SeenProject};
use crate::session::{ConnectionId, SessionOptions, Sessions, SessionsParts};
use crate::telemetry::Metrics;

/// How long answers in flight are stored after a stop or a lost claim.
const LAST_WORDS: Duration = Duration::from_secs(30);
/// Between two tries to find the kinds, or to take over.
const RETRY: Duration = Duration::from_secs(2);
/// How long one pass may read.
const READING: Duration = Duration::from_secs(90);
/// How long taking over may last: somebody else may fare better.
const TAKEOVER: Duration = Duration::from_secs(120);

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
    /// What was seen of all objects when this term began, and where more is to be seen.
    pub seen: Caches,
}

/// The caches of one term.
#[derive(Clone, Debug)]
pub struct Caches {
    /// Projects.
    pub projects: Cache<SupabaseProject, SeenProject>,
    /// Connections of namespaces.
    pub connections: Cache<SupabaseConnection, SeenConnection>,
    /// Connections of the cluster.
    pub cluster_connections: Cache<ClusterSupabaseConnection, SeenConnection>,
}

/// The cache of one kind.
#[derive(Clone, Debug)]
pub struct Cache<K, S> {
    /// What it holds.
    pub store: Store<S>,
    sources: Vec<Source<K>>,
}

impl<K: Stored, S: Lean> Cache<K, S> {
    fn new(sources: Vec<Source<K>>) -> Self {
        Self {
            store: Store::default(),
            sources,
        }
    }

    /// Lists everything. A namespace that cannot be read is left out, as long as another one can: it is named, and tried
    /// again while the others are served.
    async fn list(&mut self) -> Result<(), kubernetes::Error> {
        let mut failed = None;
        let mut listed = false;
        for source in &mut self.sources {
            match source.list(&self.store, None).await {
                Ok(()) => listed = true,
                Err(error) => {
                    warn!(
                        of = source.place(),
                        error = &error as &dyn std::error::Error,
                        "objects cannot be listed"
                    );
                    failed = Some(error);
                }
            }
        }
        match failed {
            Some(error) if !listed => Err(error),
            Some(_) | None => Ok(()),
        }
    }

    /// Follows every source, for ever, and asks for a first look at everything that is known.
    fn follow(
        self,
        wakes: &Wakes,
        also: Option<OnChange<S>>,
        metrics: &Metrics,
    ) -> impl Future<Output = ()> + Send + use<K, S> {
        for key in self.store.keys() {
            wakes.wake(key);
        }
        let tell = on_change(wakes, also);
        let all = self.sources.into_iter().map(move |source| {
            let (tried, _) = watch::channel(false);
            source.follow(
                self.store.clone(),
                Arc::clone(&tell),
                metrics.clone(),
                tried,
            )
        });
        let all: Vec<_> = all.collect();
        async move {
            futures::future::join_all(all).await;
        }
    }
}

impl Caches {
    fn new(client: &Client, namespaces: Option<&[String]>) -> Self {
        let cluster = || {
            let api = Api::all(client.clone());
            Source::new(api, "ClusterSupabaseConnection", Shape::Whole, None)
        };
        Self {
            projects: Cache::new(sources(client, "SupabaseProject", Shape::Whole, namespaces)),
            connections: Cache::new(sources(
                client,
                "SupabaseConnection",
                Shape::Whole,
                namespaces,
            )),
            cluster_connections: Cache::new(
                namespaces.is_none().then(cluster).into_iter().collect(),
            ),
        }
    }

    async fn list(&mut self) -> Result<(), kubernetes::Error> {
        self.projects.list().await?;
        self.connections.list().await?;
        self.cluster_connections.list().await
    }

    fn all_connections(&self) -> Vec<(ConnectionId, Arc<SeenConnection>)> {
        let of = |store: &Store<SeenConnection>, kind: ConnectionKind| {
            let all = store.all().into_iter();
            all.map(move |seen| (ConnectionId::new(kind, &seen.meta().key()), seen))
                .collect::<Vec<_>>()
        };
        let mut all = of(&self.connections.store, ConnectionKind::SupabaseConnection);
        all.extend(of(
            &self.cluster_connections.store,
            ConnectionKind::ClusterSupabaseConnection,
        ));
        all
    }
}

impl Term {
    /// Takes over: reads the operator's key, lists every object once, and builds of that the index of refs and the index
    /// of consumed tokens. Both are complete before anything is done.
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
        let mut seen = Caches::new(&client, namespaces.as_deref());
        seen.list().await?;
        let refs = Refs::default();
        let projects = seen.projects.store.all();
        let held = refs.build(projects.iter().map(AsRef::as_ref));
        drop(projects);
        sessions.takeover(seen.all_connections()).await?;
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
            seen,
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
    readiness.wait_for("kinds", "not looked for yet");
    let served = health::serve(options.listen, readiness.clone(), metrics.clone())
        .await
        .with_context(|| format!("listening on {}", options.listen))?;
    let serving = tokio::spawn(served);
    let mut stop = Box::pin(stop.fuse());
    tokio::select! {
        () = &mut stop => return Ok(()),
        () = wait_for_kinds(&outside.client, &options, &readiness) => {}
    }
    say_what_is_not_watched(&options);
    let pages = tokio::select! {
        () = &mut stop => return Ok(()),
        pages = consent_pages(&outside, &options, &metrics) => pages?,
    };
    readiness.has("kinds");
    let led = Box::pin(lead(outside, options, metrics, readiness, &mut stop)).await;
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
    readiness: Readiness,
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
        readiness,
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

/// Waits until the API server serves every kind; of several namespaces, one that can be listed is enough.
async fn wait_for_kinds(client: &Client, options: &Options, readiness: &Readiness) {
    async fn served<K>(
        client: &Client,
        kind: &'static str,
        namespaces: Option<&[String]>,
    ) -> Result<(), (String, kubernetes::Error)>
    where
        K: Stored + kube::Resource<Scope = kube::core::NamespaceResourceScope>,
    {
        let mut failed = None;
        for source in sources::<K>(client, kind, Shape::Metadata, namespaces) {
            match source.is_served().await {
                Ok(()) => return Ok(()),
                Err(error) => failed = Some((source.place(), error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }
    let namespaces = options.namespaces();
    loop {
        let found = async {
            let namespaces = namespaces.as_deref();
            served::<SupabaseProject>(client, "SupabaseProject", namespaces).await?;
            served::<SupabaseConnection>(client, "SupabaseConnection", namespaces).await?;
            if options.scope == Scope::Cluster {
                let kind = "ClusterSupabaseConnection";
                let api = Api::<ClusterSupabaseConnection>::all(client.clone());
                let source = Source::new(api, kind, Shape::Metadata, None);
                let served = source.is_served().await;
                served.map_err(|error| (source.place(), error))?;
            }
            Ok::<_, (String, kubernetes::Error)>(())
        };
        match found.await {
            Ok(()) => return,
            Err((place, kubernetes::Error::NotFound)) => {
                readiness.wait_for("kinds", &format!("{place} is not served"));
                warn!(
                    "the CustomResourceDefinitions are not installed; run 'supabase-operator crds apply'"
                );
            }
            Err((place, error)) => {
                readiness.wait_for("kinds", &format!("{place}: {error}"));
                warn!(
                    of = place,
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
    readiness: Readiness,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let begun = outside.clock.uptime();
    readiness.wait_for("takeover", "listing every object");
    let term = loop {
        let left = TAKEOVER.saturating_sub(outside.clock.uptime().saturating_sub(begun));
        if left.is_zero() {
            anyhow::bail!("taking over has lasted too long; another process may fare better");
        }
        let taking = Term::begin(&outside, &options, leadership.clone(), &metrics);
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            begun = tokio::time::timeout(left, taking) => match begun {
                Ok(Ok(term)) => break term,
                Ok(Err(error)) => {
                    readiness.wait_for("takeover", &format!("{error:#}"));
                    warn!(error = %format!("{error:#}"), "taking over failed; trying again");
                }
                Err(_) => {}
            }
        }
        tokio::time::sleep(RETRY).await;
    };
    readiness.has("takeover");
    let Term {
        shell,
        sessions,
        projects,
        project_wakes,
        connections,
        cluster_connections,
        seen,
    } = term;
    let connection_wakes = sessions.connection_wakes().clone();
    let cluster_wakes = sessions.cluster_connection_wakes().clone();
    let secrets = SecretChanges {
        projects: seen.projects.store.clone(),
        project_wakes: project_wakes.clone(),
        connections: seen.connections.store.clone(),
        connection_wakes: connection_wakes.clone(),
        cluster_connections: seen.cluster_connections.store.clone(),
        cluster_wakes: cluster_wakes.clone(),
        namespace: options.namespace.clone(),
    };
    let dependents = Dependents {
        projects: seen.projects.store.clone(),
        wakes: project_wakes.clone(),
    };
    let of = |kind| Some(dependents.clone().of(kind));
    let Caches {
        projects: project_cache,
        connections: connection_cache,
        cluster_connections: cluster_cache,
    } = seen;
    let mut following: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
    following.push(project_cache.follow(&project_wakes, None, &metrics).boxed());
    let told = of(ConnectionKind::SupabaseConnection);
    following.push(
        connection_cache
            .follow(&connection_wakes, told, &metrics)
            .boxed(),
    );
    let told = of(ConnectionKind::ClusterSupabaseConnection);
    following.push(cluster_cache.follow(&cluster_wakes, told, &metrics).boxed());
    if options.watches_secrets() {
        let (client, namespaces) = (outside.client.clone(), options.namespaces());
        following.push(watch_secrets(client, namespaces, secrets, metrics.clone()).boxed());
    }
    let mut looking: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
    let many = options.concurrency;
    let (at, until) = (|| shell.clone(), || stop.clone());
    looking.push(look(projects, at(), project_wakes, many, until()).boxed());
    looking.push(look(connections, at(), connection_wakes, many, until()).boxed());
    if let Some(kind) = cluster_connections {
        looking.push(look(kind, at(), cluster_wakes, many, until()).boxed());
    }
    // What follows never ends by itself, and is not needed while the last reconciles end.
    let following = tokio::spawn(async move { while following.next().await.is_some() {} });
    while looking.next().await.is_some() {}
    following.abort();
    // The last task of a session ends with it.
    drop(sessions);
    Ok(())
}
