//! The connections that consent can be asked for: found by their links, and read afresh before anything is done.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use kube::{Api, Client};
use tokio::sync::watch;
use tracing::warn;

use crate::api::connection::Connection;
use crate::api::project::ConnectionKind;
use crate::api::{ClusterSupabaseConnection, SecretTemplate, SupabaseConnection};
use crate::controller::{Change, OnChange, Source, Store, sources};
use crate::kubernetes::{self, Error, Lean as _, Shape, Stored};
use crate::rules::link::ConsentLinks;
use crate::seen::SeenConnection;
use crate::session::token_store::Grants;
use crate::telemetry::Metrics;

/// A connection, as far as the consent flow is concerned with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Whether it is of a namespace or of the cluster.
    pub kind: ConnectionKind,
    /// Its namespace; none for the cluster's.
    pub namespace: Option<String>,
    /// The name of the object.
    pub name: String,
    /// Its UID, which its link hangs on.
    pub uid: String,
    /// The organization that it is pinned to.
    pub organization: String,
    /// The Secret of its own app.
    pub app_secret: Option<String>,
    /// The Secret through which tokens come into the token store.
    pub grants_secret: String,
    /// Whether its credentials are missing or dead.
    pub wants_consent: bool,
    /// What its Secrets bear.
    pub secret_template: Option<Box<SecretTemplate>>,
}

impl Subject {
    /// What consent can be asked for: OAuth, pinned to an organization, and not on its way out.
    fn of(kind: ConnectionKind, seen: &SeenConnection) -> Option<Self> {
        let meta = seen.meta();
        if !seen.is_oauth || meta.is_leaving() {
            return None;
        }
        let key = meta.key();
        Some(Self {
            kind,
            organization: seen.organization.clone()?,
            uid: Some(meta.uid().to_owned()).filter(|uid| !uid.is_empty())?,
            app_secret: seen.app_secret.clone(),
            secret_template: seen.secret_template.clone(),
            grants_secret: kind.grants_secret_of(key.name()),
            wants_consent: seen.offers_consent || !seen.is_ready(),
            namespace: key.namespace().map(str::to_owned),
            name: key.name().to_owned(),
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
    namespaced: Store<SeenConnection>,
    cluster: Store<SeenConnection>,
    /// Whether each source was tried once.
    tried: Vec<watch::Receiver<bool>>,
}

impl Subjects {
    /// Begins to watch; what is given back besides runs the watches.
    pub fn watch(
        client: &Client,
        own: &str,
        namespaces: Option<&[String]>,
        metrics: &Metrics,
    ) -> (Self, BoxFuture<'static, ()>) {
        let mut subjects = Self {
            client: client.clone(),
            own: own.to_owned(),
            namespaced: Store::default(),
            cluster: Store::default(),
            tried: Vec::new(),
        };
        let mut all = Vec::new();
        let kind = ConnectionKind::SupabaseConnection.as_str();
        for source in sources::<SupabaseConnection>(client, kind, Shape::Whole, namespaces) {
            let store = subjects.namespaced.clone();
            all.push(subjects.follow(source, store, metrics));
        }
        if namespaces.is_none() {
            let kind = ConnectionKind::ClusterSupabaseConnection.as_str();
            let api = Api::<ClusterSupabaseConnection>::all(client.clone());
            let store = subjects.cluster.clone();
            let source = Source::new(api, kind, Shape::Whole, None);
            all.push(subjects.follow(source, store, metrics));
        }
        let running = futures::future::join_all(all).map(|_| ()).boxed();
        (subjects, running)
    }

    fn follow<K: Stored>(
        &mut self,
        source: Source<K>,
        store: Store<SeenConnection>,
        metrics: &Metrics,
    ) -> BoxFuture<'static, ()> {
        let (tell, told) = watch::channel(false);
        self.tried.push(told);
        let nothing: OnChange<SeenConnection> = Arc::new(|_: &Change<SeenConnection>| {});
        source.follow(store, nothing, metrics.clone(), tell).boxed()
    }

    /// Waits until the connections were listed once, or that was tried: one namespace that cannot be listed keeps nobody
    /// from the others.
    pub async fn listed(&self) {
        for tried in &self.tried {
            // An error means that the watch has ended, with the process.
            let _ = tried.clone().wait_for(|tried| *tried).await;
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
        let within = |store: &Store<SeenConnection>| store.find(|seen| is_it(seen.meta().uid()));
        if let Some(found) = within(&self.namespaced) {
            return Subject::of(ConnectionKind::SupabaseConnection, &found);
        }
        let found = within(&self.cluster)?;
        Subject::of(ConnectionKind::ClusterSupabaseConnection, &found)
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
            let found = kubernetes::see::<_, SeenConnection>(&api, &seen.name).await?;
            let subject = found.and_then(|found| Subject::of(C::KIND, &found));
            Ok(subject.filter(|subject| subject.uid == seen.uid))
        }
        match &seen.namespace {
            Some(namespace) => {
                let api = Api::<SupabaseConnection>::namespaced(self.client.clone(), namespace);
                read(api, seen).await
            }
            None => read(Api::<ClusterSupabaseConnection>::all(self.client.clone()), seen).await,
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
        .bearing(subject.secret_template.as_deref())
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
