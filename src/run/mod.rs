//! Wires everything: what one term of leadership consists of, and the life of the process around it.
//!
//! A process that lost its claim exits and is started anew: no state of an earlier term can leak into a later one.

mod caches;
mod starting;
mod term;
mod work;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;
use kube::{Api, Client};
use tokio::sync::{oneshot, watch};
use tracing::{error, info, warn};

pub use caches::{Cache, Caches};
pub use term::Term;

use crate::api::{
    ClusterSupabaseConnection, SupabaseAuthConfig, SupabaseConnection, SupabaseProject,
};
use crate::consent::browser;
use crate::controller::{Source, sources};
use crate::environment::Environment;
use crate::health::{self, Readiness};
use crate::keys;
use crate::kubernetes::{self, Shape, Stored};
use crate::leader::{Holder, Leadership, LeaseOptions, last_words};
use crate::options::{Options, Scope};
use crate::rules::random::{Random, draw};
use crate::telemetry::Metrics;

/// How long answers in flight are stored after a stop or a lost claim.
const LAST_WORDS: Duration = Duration::from_secs(30);
/// Between two tries to find the kinds, or to take over.
const RETRY: Duration = Duration::from_secs(2);
/// How long taking over may last: somebody else may fare better.
const TAKEOVER: Duration = Duration::from_secs(120);

/// Runs until `stop` ends or the claim to lead is lost. The latter is an error, so that the process is restarted.
pub async fn run(
    environment: Environment,
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
        () = wait_for_kinds(&environment.client, &options, &readiness) => {}
    }
    say_what_is_not_watched(&options);
    let pages = tokio::select! {
        () = &mut stop => return Ok(()),
        pages = consent_pages(&environment, &options, &metrics) => pages?,
    };
    readiness.has("kinds");
    let (ending, ends) = oneshot::channel();
    // Both end at once: one after the other, they could take longer than a Pod is given.
    let pages = async {
        if let Some(pages) = pages {
            let _ = ends.await;
            pages.end().await;
        }
    };
    let leading = async {
        let told = async {
            (&mut stop).await;
            let _ = ending.send(());
        };
        Box::pin(lead(environment, options, metrics, readiness, Box::pin(told))).await
    };
    let (led, ()) = tokio::join!(leading, pages);
    serving.abort();
    led
}

/// Serves the consent pages, if they are wanted, whoever leads. They are ready when the connections are known.
async fn consent_pages(
    environment: &Environment,
    options: &Options,
    metrics: &Metrics,
) -> anyhow::Result<Option<browser::Served>> {
    let Some(base) = options.consent_url.clone() else {
        return Ok(None);
    };
    let random = environment.random.as_ref();
    let digest_key = keys::digest_key(&environment.client, &options.namespace, random).await?;
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
    let mut pages = browser::serve(parts, environment.clone())
        .await
        .with_context(|| format!("listening on {}", options.consent_listen))?;
    pages.ready().await;
    Ok(Some(pages))
}

/// Waits for the claim to lead, and leads until `stop` ends or the claim is lost.
async fn lead(
    environment: Environment,
    options: Options,
    metrics: Metrics,
    readiness: Readiness,
    mut stop: impl Future<Output = ()> + Unpin + Send,
) -> anyhow::Result<()> {
    let leadership = Leadership::new(Arc::clone(&environment.clock));
    let lease = lease(&options, environment.random.as_ref());
    let clock = Arc::clone(&environment.clock);
    let mut holder = Holder::new(environment.client.clone(), lease, clock, leadership.clone());
    tokio::select! {
        () = &mut stop => return Ok(()),
        () = holder.acquire() => {}
    }
    info!("leading");
    metrics.leads(true);

    let (stopping, stopped) = watch::channel(false);
    let mut working = tokio::spawn(work(
        environment.clone(),
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
    if !Box::pin(last_words(ended, kept, LAST_WORDS)).await {
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
            served::<SupabaseAuthConfig>(client, "SupabaseAuthConfig", namespaces).await?;
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
            credentials = ?options.credentials_interval,
            "Secrets are not watched: changed credentials are seen within this interval, edited outputs within a minute or so"
        );
    }
}

/// Takes over, then looks after every kind until told to stop.
async fn work(
    environment: Environment,
    options: Options,
    leadership: Leadership,
    metrics: Metrics,
    readiness: Readiness,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let taking = take_over(&environment, &options, &leadership, &metrics, &readiness);
    let term = tokio::select! {
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
        term = taking => term?,
    };
    term.work(&options, &metrics, stop).await;
    Ok(())
}

/// Takes over, within a deadline. Readiness says what it waits for.
async fn take_over(
    environment: &Environment,
    options: &Options,
    leadership: &Leadership,
    metrics: &Metrics,
    readiness: &Readiness,
) -> anyhow::Result<Term> {
    let begun = environment.clock.uptime();
    readiness.wait_for("takeover", "listing every object");
    loop {
        let left = TAKEOVER.saturating_sub(environment.clock.uptime().saturating_sub(begun));
        if left.is_zero() {
            anyhow::bail!("taking over has lasted too long; another process may fare better");
        }
        let taking = Box::pin(Term::begin(environment, options, leadership.clone(), metrics));
        match tokio::time::timeout(left, taking).await {
            Ok(Ok(term)) => {
                readiness.has("takeover");
                return Ok(term);
            }
            Ok(Err(error)) => {
                readiness.wait_for("takeover", &format!("{error:#}"));
                warn!(error = %format!("{error:#}"), "taking over failed; trying again");
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}
