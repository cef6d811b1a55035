//! The caches of one term: every kind, listed once at takeover, and followed from there.

use std::num::NonZeroU64;
use std::sync::Arc;

use kube::{Api, Client};
use tokio::sync::watch;
use tracing::warn;

use crate::api::project::ConnectionKind;
use crate::api::{
    ClusterSupabaseConnection, SupabaseAuthConfig, SupabaseConnection, SupabaseProject,
};
use crate::controller::{OnChange, ReconcileRequests, Source, Store, on_change, sources};
use crate::kubernetes::{self, Lean, Shape, Stored};
use crate::seen::{SeenAuthConfig, SeenConnection, SeenProject};
use crate::session::ConnectionId;
use crate::telemetry::Metrics;

/// The caches of one term.
#[derive(Clone, Debug)]
pub struct Caches {
    /// Projects.
    pub projects: Cache<SupabaseProject, SeenProject>,
    /// Connections of namespaces.
    pub connections: Cache<SupabaseConnection, SeenConnection>,
    /// Connections of the cluster.
    pub cluster_connections: Cache<ClusterSupabaseConnection, SeenConnection>,
    /// Auth settings.
    pub auth_configs: Cache<SupabaseAuthConfig, SeenAuthConfig>,
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
        Self { store: Store::default(), sources }
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

    /// Follows every source, for ever.
    pub(super) fn follow(
        self,
        requests: &ReconcileRequests,
        also: Option<OnChange<S>>,
        ours: NonZeroU64,
        metrics: &Metrics,
    ) -> impl Future<Output = ()> + Send + use<K, S> {
        let tell = on_change(requests, ours, also);
        let all = self.sources.into_iter().map(move |source| {
            let (tried, _) = watch::channel(false);
            source.follow(self.store.clone(), Arc::clone(&tell), metrics.clone(), tried)
        });
        let all: Vec<_> = all.collect();
        async move {
            futures::future::join_all(all).await;
        }
    }
}

impl Caches {
    pub(super) fn new(client: &Client, namespaces: Option<&[String]>) -> Self {
        let cluster = || {
            let api = Api::all(client.clone());
            Source::new(api, "ClusterSupabaseConnection", Shape::Whole, None)
        };
        Self {
            auth_configs: Cache::new(sources(
                client,
                "SupabaseAuthConfig",
                Shape::Whole,
                namespaces,
            )),
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

    pub(super) async fn list(&mut self) -> Result<(), kubernetes::Error> {
        self.projects.list().await?;
        self.connections.list().await?;
        self.cluster_connections.list().await?;
        self.auth_configs.list().await
    }

    pub(super) fn all_connections(&self) -> Vec<(ConnectionId, Arc<SeenConnection>)> {
        let of = |store: &Store<SeenConnection>, kind: ConnectionKind| {
            let all = store.all().into_iter();
            all.map(move |seen| (ConnectionId::new(kind, &seen.meta().key()), seen))
                .collect::<Vec<_>>()
        };
        let mut all = of(&self.connections.store, ConnectionKind::SupabaseConnection);
        all.extend(of(&self.cluster_connections.store, ConnectionKind::ClusterSupabaseConnection));
        all
    }
}
