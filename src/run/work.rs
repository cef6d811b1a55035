//! The work of one term: follows every cache, and reconciles what changes, until told to stop.
//!
//! Apart from [`super`], which holds the Lease around it: tests run terms in simulated time, without one.

use std::num::NonZeroU64;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Caches, Term, starting};
use crate::api::Kind;
use crate::api::project::ConnectionKind;
use crate::controller::{Requests, look};
use crate::dependents::{Dependents, SecretChanges, watch_secrets};
use crate::kubernetes::mark;
use crate::options::Options;
use crate::telemetry::Metrics;

impl Term {
    /// Looks after every kind until `stop`, and until what is under way then has ended. Dropped, all of it ends at once.
    pub async fn work(self, options: &Options, metrics: &Metrics, stop: watch::Receiver<bool>) {
        let Self {
            context,
            sessions,
            projects,
            auth_configs,
            versions,
            inventories,
            requests,
            connections,
            cluster_connections,
            seen,
        } = self;
        let secrets = SecretChanges {
            projects: seen.projects.store.clone(),
            connections: seen.connections.store.clone(),
            cluster_connections: seen.cluster_connections.store.clone(),
            auth_configs: seen.auth_configs.store.clone(),
            requests: requests.clone(),
            namespace: options.namespace.clone(),
        };
        starting::begin(
            &seen,
            &sessions,
            &inventories,
            &requests,
            options.resync_interval,
            metrics,
        );
        let dependents = Dependents {
            projects: seen.projects.store.clone(),
            auth_configs: seen.auth_configs.store.clone(),
            requests: requests.clone(),
        };
        // What follows never ends by itself, and is not needed once the last reconciles have ended.
        let mut following =
            follow(seen, &dependents, &requests, mark(&context.installation.0), metrics);
        if options.watches_secrets() {
            let (client, namespaces) = (context.client.clone(), options.namespaces());
            following.spawn(watch_secrets(client, namespaces, secrets, metrics.clone()));
        }
        following.spawn(versions.look(context.client.clone(), requests.clone()));
        let mut looking: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
        let many = options.concurrency;
        let (at, until) = (|| context.clone(), || stop.clone());
        let all = || requests.clone();
        looking.push(look(projects, at(), all(), many, until()).boxed());
        looking.push(look(auth_configs, at(), all(), many, until()).boxed());
        looking.push(look(connections, at(), all(), many, until()).boxed());
        if let Some(kind) = cluster_connections {
            looking.push(look(kind, at(), all(), many, until()).boxed());
        }
        while looking.next().await.is_some() {}
        drop(following);
        // The last tasks of sessions and inventories end with them.
        drop((sessions, inventories));
    }
}

/// Follows the cache of every kind, and tells those that stand on its objects.
fn follow(
    seen: Caches,
    dependents: &Dependents,
    requests: &Requests,
    ours: NonZeroU64,
    metrics: &Metrics,
) -> JoinSet<()> {
    let of = |kind| Some(dependents.clone().of(kind));
    let to = |kind| requests.of(kind);
    let mut following = JoinSet::new();
    let told = Some(dependents.clone().of_projects());
    following.spawn(seen.projects.follow(to(Kind::SupabaseProject), told, ours, metrics));
    let told = Some(dependents.clone().of_auth_configs());
    following.spawn(seen.auth_configs.follow(to(Kind::SupabaseAuthConfig), told, ours, metrics));
    let told = of(ConnectionKind::SupabaseConnection);
    following.spawn(seen.connections.follow(to(Kind::SupabaseConnection), told, ours, metrics));
    let told = of(ConnectionKind::ClusterSupabaseConnection);
    let cluster = to(Kind::ClusterSupabaseConnection);
    following.spawn(seen.cluster_connections.follow(cluster, told, ours, metrics));
    following
}
