//! The work of one term: follows every cache, and reconciles what changes, until told to stop.
//!
//! Apart from [`super`], which holds the Lease around it: tests run terms in simulated time, without one.

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Caches, Term, starting};
use crate::api::project::ConnectionKind;
use crate::controller::look;
use crate::dependents::{Dependents, SecretChanges, watch_secrets};
use crate::options::Options;
use crate::telemetry::Metrics;

impl Term {
    /// Looks after every kind until `stop`, and until what is under way then has ended. Dropped, all of it ends at once.
    pub async fn work(self, options: &Options, metrics: &Metrics, stop: watch::Receiver<bool>) {
        let Self {
            context,
            sessions,
            projects,
            project_wakes,
            connections,
            cluster_connections,
            seen,
        } = self;
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
        starting::begin(&seen, &sessions, &project_wakes, options.resync_interval, metrics);
        let dependents =
            Dependents { projects: seen.projects.store.clone(), wakes: project_wakes.clone() };
        let of = |kind| Some(dependents.clone().of(kind));
        let Caches {
            projects: project_cache,
            connections: connection_cache,
            cluster_connections: cluster_cache,
        } = seen;
        // What follows never ends by itself, and is not needed once the last reconciles have ended.
        let mut following = JoinSet::new();
        following.spawn(project_cache.follow(&project_wakes, None, metrics));
        let told = of(ConnectionKind::SupabaseConnection);
        following.spawn(connection_cache.follow(&connection_wakes, told, metrics));
        let told = of(ConnectionKind::ClusterSupabaseConnection);
        following.spawn(cluster_cache.follow(&cluster_wakes, told, metrics));
        if options.watches_secrets() {
            let (client, namespaces) = (context.client.clone(), options.namespaces());
            following.spawn(watch_secrets(client, namespaces, secrets, metrics.clone()));
        } else {
            let (store, wakes) = (secrets.projects, project_wakes.clone());
            following.spawn(projects.clone().look_at_secrets(store, wakes));
        }
        let mut looking: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
        let many = options.concurrency;
        let (at, until) = (|| context.clone(), || stop.clone());
        looking.push(look(projects, at(), project_wakes, many, until()).boxed());
        looking.push(look(connections, at(), connection_wakes, many, until()).boxed());
        if let Some(kind) = cluster_connections {
            looking.push(look(kind, at(), cluster_wakes, many, until()).boxed());
        }
        while looking.next().await.is_some() {}
        drop(following);
        // The last task of a session ends with it.
        drop(sessions);
    }
}
