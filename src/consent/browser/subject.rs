//! The connections that consent can be asked for: found by their links, and read afresh before anything is done.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::{self, Store};
use kube::{Api, Client, ResourceExt as _};
use tracing::warn;

use crate::api::connection::Connection;
use crate::api::project::ConnectionKind;
use crate::api::{ClusterSupabaseConnection, ConditionType, SupabaseConnection};
use crate::kubernetes::{self, Error, Stored};
use crate::rules::conditions;
use crate::rules::link::ConsentLinks;
use crate::session::custody::Grants;
use crate::telemetry::Metrics;
use crate::watching::{apis, events};

/// A connection, as far as the consent flow is concerned with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its kind.
    pub kind: ConnectionKind,
    /// Its namespace; none for the cluster's.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its UID, which its link hangs on.
    pub uid: String,
    /// The organization that it is pinned to.
    pub organization: String,
    /// The Secret of its own app.
    pub app_secret: Option<String>,
    /// The Secret through which tokens come into custody.
    pub grants_secret: String,
    /// Whether its credentials are missing or dead.
    pub wants_consent: bool,
}

impl Subject {
    /// What consent can be asked for: OAuth, pinned to an organization, and not on its way out.
    fn of<C: Connection>(object: &C) -> Option<Self> {
        let view = object.view();
        let oauth = view.auth.oauth.as_ref()?;
        let organization = view.organization_slug?.to_owned();
        if object.meta().deletion_timestamp.is_some() {
            return None;
        }
        let status = Connection::status(object);
        let offered = status.is_some_and(|status| status.consent_url.is_some());
        let ready = status.is_some_and(|status| {
            conditions::is_true(&status.conditions, ConditionType::Ready.as_str())
        });
        Some(Self {
            kind: C::KIND,
            namespace: object.namespace(),
            name: object.name_any(),
            uid: object.uid()?,
            organization,
            app_secret: oauth.app_secret_ref.as_ref().map(|app| app.name.clone()),
            grants_secret: object.grants_secret_name(),
            wants_consent: offered || !ready,
        })
    }

    /// How people name it.
    pub fn label(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// All connections, as the watches last saw them. Every replica has its own.
pub struct Subjects {
    client: Client,
    /// The operator's namespace, where the Secrets of the cluster's connections are.
    own: String,
    namespaced: Store<SupabaseConnection>,
    cluster: Option<Store<ClusterSupabaseConnection>>,
}

impl Subjects {
    /// Begins to watch; what is given back besides runs the watches.
    pub fn watch(
        client: &Client,
        own: &str,
        namespaces: Option<&[String]>,
        metrics: &Metrics,
    ) -> (Self, BoxFuture<'static, ()>) {
        let (store, running) = watch(apis(client, namespaces), metrics.clone());
        let mut all = vec![running];
        let cluster = namespaces.is_none().then(|| {
            let (store, running) = watch(vec![Api::all(client.clone())], metrics.clone());
            all.push(running);
            store
        });
        let subjects = Self {
            client: client.clone(),
            own: own.to_owned(),
            namespaced: store,
            cluster,
        };
        let running = futures::future::join_all(all).map(|_| ()).boxed();
        (subjects, running)
    }

    /// Waits until the connections were listed once.
    pub async fn listed(&self) {
        // An error means that the watch has ended, with the process.
        let _ = self.namespaced.wait_until_ready().await;
        if let Some(cluster) = &self.cluster {
            let _ = cluster.wait_until_ready().await;
        }
    }

    /// The connection of a link. A hash for every connection, and no call to the API server: anybody can ask.
    pub fn by_link(&self, links: &ConsentLinks, link: &str) -> Option<Subject> {
        self.find(|uid| links.name(uid) == link)
    }

    /// The connection of a UID.
    pub fn by_uid(&self, uid: &str) -> Option<Subject> {
        self.find(|known| known == uid)
    }

    fn find(&self, is_it: impl Fn(&str) -> bool) -> Option<Subject> {
        fn within<C: Connection>(store: &Store<C>, is_it: impl Fn(&str) -> bool) -> Option<Arc<C>> {
            store.find(|object| object.meta().uid.as_deref().is_some_and(&is_it))
        }
        if let Some(found) = within(&self.namespaced, &is_it) {
            return Subject::of(&*found);
        }
        let cluster = self.cluster.as_ref()?;
        within(cluster, &is_it).and_then(|found| Subject::of(&*found))
    }

    /// The same connection as the API server has it now; none if it is gone, or cannot be consented for any more.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn afresh(&self, seen: &Subject) -> Result<Option<Subject>, Error> {
        async fn read<C: Connection>(
            api: Api<C>,
            seen: &Subject,
        ) -> Result<Option<Subject>, Error> {
            let found = kubernetes::get(&api, &seen.name).await?;
            let subject = found.as_ref().and_then(Subject::of);
            Ok(subject.filter(|subject| subject.uid == seen.uid))
        }
        match &seen.namespace {
            Some(namespace) => {
                let api = Api::<SupabaseConnection>::namespaced(self.client.clone(), namespace);
                read(api, seen).await
            }
            None => {
                read(
                    Api::<ClusterSupabaseConnection>::all(self.client.clone()),
                    seen,
                )
                .await
            }
        }
    }

    /// The namespace of a connection's Secrets.
    pub fn secrets_of<'a>(&'a self, subject: &'a Subject) -> &'a str {
        subject.namespace.as_deref().unwrap_or(&self.own)
    }

    /// Where what is consented to for a connection goes.
    pub fn grants(&self, subject: &Subject) -> Grants {
        Grants::new(
            self.client.clone(),
            self.secrets_of(subject).to_owned(),
            subject.grants_secret.clone(),
            subject.uid.clone(),
        )
    }

    /// Asks the leading operator for a look at a connection. If that does not work it looks by itself, later.
    pub async fn wake(&self, subject: &Subject, mark: &str) {
        let woken = if let Some(namespace) = &subject.namespace {
            let api = Api::<SupabaseConnection>::namespaced(self.client.clone(), namespace);
            kubernetes::request_reconcile(&api, &subject.name, mark).await
        } else {
            let api = Api::<ClusterSupabaseConnection>::all(self.client.clone());
            kubernetes::request_reconcile(&api, &subject.name, mark).await
        };
        if let Err(error) = woken {
            warn!(
                connection = subject.label(),
                error = &error as &dyn std::error::Error,
                "the leading operator could not be told of the consent; it looks by itself"
            );
        }
    }
}

fn watch<C: Connection + Stored>(
    apis: Vec<Api<C>>,
    metrics: Metrics,
) -> (Store<C>, BoxFuture<'static, ()>) {
    let (store, writer) = reflector::store();
    let running = events(apis)
        .reflect(writer)
        .for_each(move |event| {
            if let Err(error) = event {
                metrics.watch_failed(C::KIND.as_str());
                warn!(
                    kind = C::KIND.as_str(),
                    error = &error as &dyn std::error::Error,
                    "watch of the consent pages failed; trying again"
                );
            }
            std::future::ready(())
        })
        .boxed();
    (store, running)
}
