//! The work of one term: follows every cache, and reconciles what changes, until told to stop.
//!
//! Apart from [`super`], which holds the Lease around it: tests run terms in simulated time, without one.

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Caches, Term, starting};
use crate::api::Kind;
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
        let asked = |kind| requests.of(kind).clone();
        let dependents = Dependents {
            projects: seen.projects.store.clone(),
            requests: asked(Kind::SupabaseProject),
        };
        let of = |kind| Some(dependents.clone().of(kind));
        let Caches {
            projects: project_cache,
            connections: connection_cache,
            cluster_connections: cluster_cache,
        } = seen;
        // What follows never ends by itself, and is not needed once the last reconciles have ended.
        let mut following = JoinSet::new();
        following.spawn(project_cache.follow(requests.of(Kind::SupabaseProject), None, metrics));
        let told = of(ConnectionKind::SupabaseConnection);
        following.spawn(connection_cache.follow(
            requests.of(Kind::SupabaseConnection),
            told,
            metrics,
        ));
        let told = of(ConnectionKind::ClusterSupabaseConnection);
        following.spawn(cluster_cache.follow(
            requests.of(Kind::ClusterSupabaseConnection),
            told,
            metrics,
        ));
        if options.watches_secrets() {
            let (client, namespaces) = (context.client.clone(), options.namespaces());
            following.spawn(watch_secrets(client, namespaces, secrets, metrics.clone()));
        } else {
            let (store, asked) = (secrets.projects, asked(Kind::SupabaseProject));
            following.spawn(projects.clone().look_at_secrets(store, asked));
        }
        let mut looking: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
        let many = options.concurrency;
        let (at, until) = (|| context.clone(), || stop.clone());
        looking.push(look(projects, at(), asked(Kind::SupabaseProject), many, until()).boxed());
        looking
            .push(look(connections, at(), asked(Kind::SupabaseConnection), many, until()).boxed());
        if let Some(kind) = cluster_connections {
            looking.push(
                look(kind, at(), asked(Kind::ClusterSupabaseConnection), many, until()).boxed(),
            );
        }
        while looking.next().await.is_some() {}
        drop(following);
        // The last tasks of sessions and inventories end with them.
        drop((sessions, inventories));
    }
}
