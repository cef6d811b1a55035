//! Who must look again when something else changed: projects when their connection did, everybody when a Secret did
//! that they read or wrote. Only wakes; decides nothing.

use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::Store;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tracing::warn;

use crate::api::connection::Connection;
use crate::api::project::ConnectionKind;
use crate::api::{
    ClusterSupabaseConnection, ObjectKey, SupabaseConnection, SupabaseProject, labels,
};
use crate::controller::{Changes, OnChange, Wakes};
use crate::rules::conditions;
use crate::telemetry::Metrics;
use crate::watching::apis;

/// Wakes the projects that use a connection whose state changed.
#[derive(Clone)]
pub(crate) struct Dependents {
    pub(crate) projects: Store<SupabaseProject>,
    pub(crate) wakes: Wakes,
}

impl Dependents {
    pub(crate) fn of<C: Connection>(self, kind: ConnectionKind) -> OnChange<C> {
        let changes = Changes::default();
        Arc::new(move |connection: &C| {
            let key = ObjectKey::of(connection);
            let status = connection.status();
            let ready = status.and_then(|status| conditions::find(&status.conditions, "Ready"));
            let state = (
                connection.meta().uid.clone(),
                connection.meta().generation,
                ready.map(|ready| (ready.status.clone(), ready.reason.clone())),
            );
            if !changes.is_new(&key, state) {
                return;
            }
            for project in self.projects.state() {
                let reference = &project.spec.connection_ref;
                let near = kind == ConnectionKind::ClusterSupabaseConnection
                    || project.metadata.namespace == key.namespace;
                if reference.kind == kind && reference.name == key.name && near {
                    self.wakes.wake(ObjectKey::of(&*project));
                }
            }
        })
    }
}

/// Who cares about a Secret that changed.
pub(crate) struct SecretChanges {
    pub(crate) projects: Store<SupabaseProject>,
    pub(crate) project_wakes: Wakes,
    pub(crate) connections: Store<SupabaseConnection>,
    pub(crate) connection_wakes: Wakes,
    pub(crate) cluster_connections: Option<Store<ClusterSupabaseConnection>>,
    pub(crate) cluster_wakes: Wakes,
    pub(crate) namespace: String,
    pub(crate) metrics: Metrics,
}

impl SecretChanges {
    fn tell(&self, secret: &PartialObjectMeta<Secret>) {
        let name = secret.name_any();
        let namespace = secret.namespace();
        for project in self.projects.state() {
            if project.metadata.namespace != namespace {
                continue;
            }
            let supplied = project.spec.database.password.secret_key_ref.as_ref();
            let owned = secret.labels().get(labels::OWNER_UID) == project.metadata.uid.as_ref();
            let wanted = || {
                project
                    .wanted_outputs()
                    .iter()
                    .any(|output| output.name == name)
            };
            if owned
                || supplied.is_some_and(|supplied| supplied.name == name)
                || project.password_secret_name() == name
                || wanted()
            {
                self.project_wakes.wake(ObjectKey::of(&*project));
            }
        }
        for connection in self.connections.state() {
            if connection.metadata.namespace == namespace && uses(&*connection, &name) {
                self.connection_wakes.wake(ObjectKey::of(&*connection));
            }
        }
        if namespace.as_deref() == Some(&self.namespace) {
            for connection in self.cluster_connections.iter().flat_map(Store::state) {
                if uses(&*connection, &name) {
                    self.cluster_wakes.wake(ObjectKey::of(&*connection));
                }
            }
        }
    }
}

/// Whether a connection reads a Secret of this name. Its own state Secret counts too: somebody may delete it.
fn uses<C: Connection>(connection: &C, name: &str) -> bool {
    let auth = connection.view().auth;
    let oauth = auth.oauth.as_ref();
    let app = oauth.and_then(|oauth| oauth.app_secret_ref.as_ref());
    let seed = oauth.and_then(|oauth| oauth.token_secret_ref.as_ref());
    let pat = auth
        .personal_access_token
        .as_ref()
        .map(|pat| &pat.secret_key_ref.name);
    [app.map(|app| &app.name), seed.map(|seed| &seed.name), pat]
        .into_iter()
        .flatten()
        .any(|used| used == name)
}

/// Watches the metadata of Secrets, and tells whoever cares. Events before the first list has ended tell nothing:
/// everything gets its first pass anyhow.
pub(crate) async fn watch_secrets(
    client: Client,
    namespaces: Option<Vec<String>>,
    changes: SecretChanges,
) {
    let apis: Vec<Api<PartialObjectMeta<Secret>>> = apis(&client, namespaces.as_deref());
    let config = || watcher::Config::default().page_size(50);
    let watches = apis
        .into_iter()
        .map(|api| watcher(api, config()).default_backoff().boxed());
    let mut events = futures::stream::select_all(watches);
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Apply(secret) | watcher::Event::Delete(secret)) => {
                changes.tell(&secret);
            }
            Ok(watcher::Event::Init | watcher::Event::InitApply(_) | watcher::Event::InitDone) => {}
            Err(error) => {
                changes.metrics.watch_failed("Secret");
                warn!(
                    error = &error as &dyn std::error::Error,
                    "watching Secrets failed; trying again"
                );
            }
        }
    }
}
