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
            project_requests,
            connections,
            cluster_connections,
            seen,
        } = self;
        let connection_requests = sessions.connection_requests().clone();
        let cluster_requests = sessions.cluster_connection_requests().clone();
        let secrets = SecretChanges {
            projects: seen.projects.store.clone(),
            project_requests: project_requests.clone(),
            connections: seen.connections.store.clone(),
            connection_requests: connection_requests.clone(),
            cluster_connections: seen.cluster_connections.store.clone(),
            cluster_requests: cluster_requests.clone(),
            namespace: options.namespace.clone(),
        };
        starting::begin(&seen, &sessions, &project_requests, options.resync_interval, metrics);
        let dependents = Dependents {
            projects: seen.projects.store.clone(),
            requests: project_requests.clone(),
        };
        let of = |kind| Some(dependents.clone().of(kind));
        let Caches {
            projects: project_cache,
            connections: connection_cache,
            cluster_connections: cluster_cache,
        } = seen;
        // What follows never ends by itself, and is not needed once the last reconciles have ended.
        let mut following = JoinSet::new();
        following.spawn(project_cache.follow(&project_requests, None, metrics));
        let told = of(ConnectionKind::SupabaseConnection);
        following.spawn(connection_cache.follow(&connection_requests, told, metrics));
        let told = of(ConnectionKind::ClusterSupabaseConnection);
        following.spawn(cluster_cache.follow(&cluster_requests, told, metrics));
        if options.watches_secrets() {
            let (client, namespaces) = (context.client.clone(), options.namespaces());
            following.spawn(watch_secrets(client, namespaces, secrets, metrics.clone()));
        } else {
            let (store, requests) = (secrets.projects, project_requests.clone());
            following.spawn(projects.clone().look_at_secrets(store, requests));
        }
        let mut looking: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
        let many = options.concurrency;
        let (at, until) = (|| context.clone(), || stop.clone());
        looking.push(look(projects, at(), project_requests, many, until()).boxed());
        looking.push(look(connections, at(), connection_requests, many, until()).boxed());
        if let Some(kind) = cluster_connections {
            looking.push(look(kind, at(), cluster_requests, many, until()).boxed());
        }
        while looking.next().await.is_some() {}
        drop(following);
        // The last task of a session ends with it.
        drop(sessions);
    }
}
