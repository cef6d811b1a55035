//! Who must look again when something else changed: projects when their connection did, everybody when a Secret did
//! that they read or wrote. Only wakes; decides nothing.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use tokio::sync::watch;

use crate::api::Kind;
use crate::api::project::ConnectionKind;
use crate::controller::{Change, OnChange, Requests, Source, Store, sources};
use crate::kubernetes::{Bare, Lean as _, Shape};
use crate::seen::{SeenAuthConfig, SeenConnection, SeenProject};
use crate::telemetry::Metrics;

/// Wakes the projects that use a connection whose state changed, and the Auth settings of a project whose state did.
#[derive(Clone)]
pub(crate) struct Dependents {
    pub(crate) projects: Store<SeenProject>,
    pub(crate) auth_configs: Store<SeenAuthConfig>,
    pub(crate) requests: Requests,
}

impl Dependents {
    pub(crate) fn of(self, kind: ConnectionKind) -> OnChange<SeenConnection> {
        Arc::new(move |change: &Change<SeenConnection>| {
            let state = |seen: &Option<Arc<SeenConnection>>| {
                seen.as_ref().map(|seen| {
                    let meta = seen.meta();
                    (meta.uid().to_owned(), meta.generation(), seen.ready.clone())
                })
            };
            if state(&change.before) == state(&change.now) {
                return;
            }
            for project in self.projects.all() {
                if project.uses(kind, &change.key) {
                    self.requests.of(Kind::SupabaseProject).add(project.meta().key());
                }
            }
        })
    }
}

impl Dependents {
    /// The Auth settings of a project, when it comes, goes, or is usable or not.
    pub(crate) fn of_projects(self) -> OnChange<SeenProject> {
        Arc::new(move |change: &Change<SeenProject>| {
            let state = |seen: &Option<Arc<SeenProject>>| {
                seen.as_ref().map(|seen| {
                    let meta = seen.meta();
                    let usable = (seen.reference.clone(), seen.settled.is_some());
                    (meta.uid().to_owned(), meta.generation(), meta.is_leaving(), usable)
                })
            };
            if state(&change.before) != state(&change.now) {
                self.wake_auth_configs(change.key.namespace(), change.key.name());
            }
        })
    }

    /// Others that are for the same project, when one goes: the next holds its settings.
    pub(crate) fn of_auth_configs(self) -> OnChange<SeenAuthConfig> {
        Arc::new(move |change: &Change<SeenAuthConfig>| {
            let there = |seen: &Option<Arc<SeenAuthConfig>>| {
                let seen = seen.as_ref().filter(|seen| !seen.meta().is_leaving());
                seen.map(|seen| seen.meta().uid().to_owned())
            };
            if there(&change.before) == there(&change.now) {
                return;
            }
            let project = change.before.as_ref().and_then(|seen| seen.project.clone());
            if let Some(project) = project {
                self.wake_auth_configs(change.key.namespace(), &project);
            }
        })
    }

    fn wake_auth_configs(&self, namespace: Option<&str>, project: &str) {
        for seen in self.auth_configs.of_namespace(namespace) {
            if seen.project.as_deref() == Some(project) {
                self.requests.of(Kind::SupabaseAuthConfig).add(seen.meta().key());
            }
        }
    }
}

/// Who cares about a Secret that changed.
#[derive(Clone)]
pub(crate) struct SecretChanges {
    pub(crate) projects: Store<SeenProject>,
    pub(crate) connections: Store<SeenConnection>,
    pub(crate) cluster_connections: Store<SeenConnection>,
    pub(crate) auth_configs: Store<SeenAuthConfig>,
    pub(crate) requests: Requests,
    pub(crate) namespace: String,
}

impl SecretChanges {
    fn tell(&self, change: &Change<Bare>) {
        let key = &change.key;
        let owners = [&change.before, &change.now]
            .map(|seen| seen.as_ref().and_then(|seen| seen.meta().owner().map(str::to_owned)));
        let namespace = key.namespace();
        for project in self.projects.of_namespace(namespace) {
            let meta = project.meta();
            let owned = owners.iter().flatten().any(|owner| owner == meta.uid());
            if owned || project.cares_for(key.name()) {
                self.requests.of(Kind::SupabaseProject).add(meta.key());
            }
        }
        for seen in self.auth_configs.of_namespace(namespace) {
            if seen.reads(key.name()) {
                self.requests.of(Kind::SupabaseAuthConfig).add(seen.meta().key());
            }
        }
        for connection in self.connections.of_namespace(namespace) {
            if connection.reads(key.name()) {
                self.requests.of(Kind::SupabaseConnection).add(connection.meta().key());
            }
        }
        if key.namespace() == Some(&self.namespace) {
            for connection in self.cluster_connections.all() {
                if connection.reads(key.name()) {
                    self.requests.of(Kind::ClusterSupabaseConnection).add(connection.meta().key());
                }
            }
        }
    }
}

/// Watches the metadata of Secrets, and tells whoever cares. None of them is listed or kept: there may be very many, and
/// everything gets its first reconcile anyhow.
pub(crate) async fn watch_secrets(
    client: kube::Client,
    namespaces: Option<Vec<String>>,
    changes: SecretChanges,
    metrics: Metrics,
) {
    let all: Vec<Source<Secret>> =
        sources(&client, "Secret", Shape::Metadata, namespaces.as_deref());
    let tell: OnChange<Bare> = Arc::new(move |change: &Change<Bare>| changes.tell(change));
    let following = all.into_iter().map(|source| {
        let (tried, _) = watch::channel(false);
        let source = source.keeping_nothing();
        source.follow(Store::default(), Arc::clone(&tell), metrics.clone(), tried)
    });
    futures::future::join_all(following).await;
}
