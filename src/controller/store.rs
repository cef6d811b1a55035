//! The cache: what the watches last saw of every object of a kind, lean, and the list and watch that keep it current.
//!
//! Each namespace that is served has a source of its own: one that cannot be listed keeps nobody from the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use kube::Api;
use tokio::sync::watch;
use tracing::warn;

use crate::api::ObjectKey;
use crate::kubernetes::{self, Error, Event, Lean, Shape, Stored, Watch};
use crate::rules::backoff;
use crate::telemetry::Metrics;

/// The longest pause before a source that fails is tried again.
const PAUSE_MOST: Duration = Duration::from_secs(60);
/// After a watch that told nothing.
const BREATH: Duration = Duration::from_secs(1);
/// Failures of a watch after which everything is listed anew.
const WATCH_FAILURES: u32 = 3;

/// Objects as they were last seen. Cheap to clone; all clones are one.
pub struct Store<S>(Arc<RwLock<BTreeMap<ObjectKey, Arc<S>>>>);

impl<S> Clone for Store<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Default for Store<S> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<S> fmt::Debug for Store<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        formatter.debug_struct("Store").field("objects", &all.len()).finish()
    }
}

impl<S> Store<S> {
    /// Every object.
    pub fn all(&self) -> Vec<Arc<S>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.values().cloned().collect()
    }

    /// Every object of a namespace.
    pub fn of_namespace(&self, namespace: Option<&str>) -> Vec<Arc<S>> {
        let first = ObjectKey::new(namespace, "");
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let there = all.range(first..).take_while(|(key, _)| key.namespace() == namespace);
        there.map(|(_, object)| Arc::clone(object)).collect()
    }

    /// The keys of every object.
    pub fn keys(&self) -> Vec<ObjectKey> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.keys().cloned().collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first object after another, in the order of their keys.
    pub fn after(&self, key: Option<&ObjectKey>) -> Option<ObjectKey> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let first = key.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = all.range::<ObjectKey, _>((first, Bound::Unbounded));
        rest.next().map(|(key, _)| key.clone())
    }

    /// An object as it was seen last.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<S>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Whether an object was there when it was seen last.
    pub fn has(&self, key: &ObjectKey) -> bool {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.contains_key(key)
    }

    /// The first object for which `is_it` holds.
    pub fn find(&self, is_it: impl Fn(&S) -> bool) -> Option<Arc<S>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.values().find(|object| is_it(object)).cloned()
    }

    fn put(&self, key: ObjectKey, object: S) -> Change<S> {
        let now = Arc::new(object);
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Change { before: all.insert(key.clone(), Arc::clone(&now)), key, now: Some(now) }
    }

    fn take(&self, key: &ObjectKey) -> Option<Change<S>> {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = all.remove(key)?;
        Some(Change { key: key.clone(), before: Some(before), now: None })
    }

    fn keys_of(&self, namespace: Option<&str>) -> BTreeSet<ObjectKey> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let keys = all.keys().cloned();
        keys.filter(|key| namespace.is_none() || key.namespace() == namespace).collect()
    }
}

/// What changed of an object.
#[derive(Debug)]
pub struct Change<S> {
    /// The object's namespace and name.
    pub key: ObjectKey,
    /// How it was last; none if it is new.
    pub before: Option<Arc<S>>,
    /// How it is; none if it is gone.
    pub now: Option<Arc<S>>,
}

/// Told of every change.
pub type OnChange<S> = Arc<dyn Fn(&Change<S>) + Send + Sync>;

/// Where objects of a kind come from: the whole cluster, or one namespace.
#[derive(Clone, Debug)]
pub struct Source<K> {
    api: Api<K>,
    kind: &'static str,
    shape: Shape,
    namespace: Option<String>,
    /// Whether objects are listed and kept, or only changes are told.
    keeps: bool,
    /// The version that the store is at; none before the first list, and after one that is too old.
    version: Option<String>,
}

impl<K: Stored> Source<K> {
    /// The objects of an API; those of one namespace only, if that is named.
    pub const fn new(
        api: Api<K>,
        kind: &'static str,
        shape: Shape,
        namespace: Option<String>,
    ) -> Self {
        Self { api, kind, shape, namespace, keeps: true, version: None }
    }

    /// Only tells of changes: nothing is listed, and the store stays empty.
    #[must_use]
    pub const fn keeping_nothing(mut self) -> Self {
        self.keeps = false;
        self
    }

    /// The namespace, if it is one.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Where this is, for people.
    pub fn place(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} in the namespace {namespace}", self.kind),
            None => self.kind.to_owned(),
        }
    }

    /// Whether the kind is served here, and may be listed.
    ///
    /// # Errors
    /// Why not.
    pub async fn is_served(&self) -> Result<(), Error> {
        kubernetes::current_version(&self.api).await.map(drop)
    }

    /// Lists everything into the store, and tells what that changed.
    ///
    /// # Errors
    /// What the API server said; then the store knows more than before, and is not complete.
    pub async fn list<S: Lean>(
        &mut self,
        store: &Store<S>,
        on_change: Option<&OnChange<S>>,
    ) -> Result<(), Error> {
        if !self.keeps {
            self.version = Some(kubernetes::current_version(&self.api).await?);
            return Ok(());
        }
        let mut gone = store.keys_of(self.namespace.as_deref());
        let tell = |change: &Change<S>| {
            if let Some(on_change) = on_change {
                on_change(change);
            }
        };
        let version = kubernetes::list(&self.api, self.shape, |object: S| {
            let key = object.meta().key();
            gone.remove(&key);
            tell(&store.put(key, object));
        })
        .await?;
        for key in gone {
            store.take(&key).iter().for_each(tell);
        }
        self.version = Some(version);
        Ok(())
    }

    /// Keeps the store current, for ever. `tried` is told when the first list has come or failed.
    pub async fn follow<S: Lean>(
        mut self,
        store: Store<S>,
        on_change: OnChange<S>,
        metrics: Metrics,
        tried: watch::Sender<bool>,
    ) {
        let mut failures = 0_u32;
        let mut told = String::new();
        loop {
            let (error, progress) = match self.step(&store, &on_change, &tried).await {
                Ok(()) => {
                    failures = 0;
                    told.clear();
                    continue;
                }
                Err(failed) => failed,
            };
            tried.send_replace(true);
            metrics.watch_failed(self.kind);
            failures = if progress { 1 } else { failures + 1 };
            // A namespace that cannot be read is named once, not every minute.
            let text = error.to_string();
            if text != told {
                warn!(
                    of = self.place(),
                    error = &error as &dyn std::error::Error,
                    "objects cannot be listed or watched; trying again"
                );
                told = text;
            }
            if failures >= WATCH_FAILURES {
                self.version = None;
            }
            let pause = backoff::delay(failures, self.namespace.as_deref().unwrap_or(self.kind));
            tokio::time::sleep(pause.min(PAUSE_MOST)).await;
        }
    }

    /// One list, or one watch until it ends. An error says whether anything came before it.
    async fn step<S: Lean>(
        &mut self,
        store: &Store<S>,
        on_change: &OnChange<S>,
        tried: &watch::Sender<bool>,
    ) -> Result<(), (Error, bool)> {
        let Some(version) = self.version.clone() else {
            self.list(store, Some(on_change)).await.map_err(|error| (error, false))?;
            tried.send_replace(true);
            return Ok(());
        };
        tried.send_replace(true);
        let opened = Watch::open(&self.api, self.shape, &version).await;
        let mut watch = match opened {
            Ok(watch) => watch,
            Err(error) if error.is_expired() => {
                self.version = None;
                return Ok(());
            }
            Err(error) => return Err((error, false)),
        };
        let mut came = false;
        loop {
            let event = watch.next::<S>().await.map_err(|error| (error, came))?;
            let Some(event) = event else {
                if !came {
                    // A watch that ends at once, each time, must not be opened in a hot loop.
                    tokio::time::sleep(BREATH).await;
                }
                return Ok(());
            };
            came = true;
            let version = match event {
                Event::Applied(object) => {
                    let (key, version) = (object.meta().key(), object.meta().version().to_owned());
                    if self.keeps {
                        on_change(&store.put(key, object));
                    } else {
                        on_change(&Change { key, before: None, now: Some(Arc::new(object)) });
                    }
                    version
                }
                Event::Deleted(object) => {
                    let (key, version) = (object.meta().key(), object.meta().version().to_owned());
                    if self.keeps {
                        store.take(&key).iter().for_each(|change| on_change(change));
                    } else {
                        on_change(&Change { key, before: Some(Arc::new(object)), now: None });
                    }
                    version
                }
                Event::Bookmark(object) => object.meta().version().to_owned(),
                Event::Expired => {
                    self.version = None;
                    return Ok(());
                }
            };
            if !version.is_empty() {
                self.version = Some(version);
            }
        }
    }
}

/// One source a namespace that is served, or one for all.
pub fn sources<K>(
    client: &kube::Client,
    kind: &'static str,
    shape: Shape,
    namespaces: Option<&[String]>,
) -> Vec<Source<K>>
where
    K: Stored + kube::Resource<Scope = kube::core::NamespaceResourceScope>,
{
    match namespaces {
        None => vec![Source::new(Api::all(client.clone()), kind, shape, None)],
        Some(names) => names
            .iter()
            .map(|name| {
                let api = Api::namespaced(client.clone(), name);
                Source::new(api, kind, shape, Some(name.clone()))
            })
            .collect(),
    }
}
