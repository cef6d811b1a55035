//! From watches to passes: one queue a kind, fed by changes that matter, by wakes from inside, and by the wait that
//! every pass asks for.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use futures::future::BoxFuture;
use kube::runtime::controller::{self, Action, Config};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Controller, PredicateConfig, WatchStreamExt as _};
use kube::{Api, Resource};
use tracing::{debug, warn};

use super::{Kind, Shell, Wakes, pass};
use crate::api::{ObjectKey, annotations};
use crate::telemetry::Metrics;
use crate::watching::events;

/// One kind's watch and queue.
pub struct Looked<K: Kind> {
    /// The objects as the watch last saw them, without what nobody needs.
    pub store: Store<K::Object>,
    /// Runs until the stop signal has come and all passes under way have ended.
    pub running: BoxFuture<'static, ()>,
}

impl<K: Kind> std::fmt::Debug for Looked<K> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Looked")
            .field("kind", &K::NAME)
            .finish_non_exhaustive()
    }
}

/// Told of every change of an object.
pub type OnChange<O> = Arc<dyn Fn(&O) + Send + Sync>;

/// What a watch and its queue need.
pub struct Looking<K: Kind> {
    /// The kind.
    pub kind: K,
    /// The shell.
    pub shell: Shell,
    /// Where its objects are: one API, or one a namespace.
    pub apis: Vec<Api<K::Object>>,
    /// Passes that are asked for from inside.
    pub wakes: Wakes,
    /// Passes at the same time.
    pub concurrency: u16,
    /// Metrics.
    pub metrics: Metrics,
    /// Told of every change of an object, before its pass.
    pub on_change: OnChange<K::Object>,
    /// Becomes true when it is time to stop.
    pub stop: tokio::sync::watch::Receiver<bool>,
}

impl<K: Kind> std::fmt::Debug for Looking<K> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Looking")
            .field("kind", &K::NAME)
            .finish_non_exhaustive()
    }
}

/// Begins to look after a kind.
pub fn look<K: Kind>(looking: Looking<K>) -> Looked<K> {
    let Looking {
        kind,
        shell,
        apis,
        wakes,
        concurrency,
        metrics,
        on_change,
        mut stop,
    } = looking;
    let (store, writer) = reflector::store();
    let changes = events(apis)
        .reflect(writer)
        .applied_objects()
        .inspect(move |change| match change {
            Ok(object) => on_change(object),
            Err(error) => {
                metrics.watch_failed(K::NAME);
                warn!(
                    kind = K::NAME,
                    error = error as &dyn std::error::Error,
                    "watch failed; trying again"
                );
            }
        })
        .predicate_filter(significant, PredicateConfig::default());
    let asked = wakes.stream().map(|key| reference::<K>(&key));
    let context = Arc::new((kind, shell));
    let forgetting = Arc::clone(&context);
    let running = Controller::for_stream(changes, store.clone())
        .with_config(Config::default().concurrency(concurrency))
        .reconcile_on(asked)
        .graceful_shutdown_on(async move {
            // An error means that nobody is left to say so.
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .run(
            |object: Arc<K::Object>, context: Arc<(K, Shell)>| async move {
                let key = ObjectKey::of(&*object);
                let next = pass(&context.0, &context.1, &key).await;
                Ok::<_, Infallible>(next.map_or_else(Action::await_change, Action::requeue))
            },
            |_, never, _| match *never {},
            context,
        )
        .for_each(move |result| {
            if let Err(controller::Error::ObjectNotFound(gone)) = &result {
                // It went by the time its turn came, without a pass that would have seen it go.
                let key = ObjectKey {
                    namespace: gone.namespace.clone(),
                    name: gone.name.clone(),
                };
                forgetting.1.forget(K::NAME, &key);
                forgetting.0.forget(&key);
            }
            if let Err(error) = result {
                debug!(
                    kind = K::NAME,
                    error = &error as &dyn std::error::Error,
                    "no pass"
                );
            }
            std::future::ready(())
        });
    Looked {
        store,
        running: Box::pin(running),
    }
}

fn reference<K: Kind>(key: &ObjectKey) -> ObjectRef<K::Object> {
    let reference = ObjectRef::new(&key.name);
    match &key.namespace {
        Some(namespace) => reference.within(namespace),
        None => reference,
    }
}

/// What must have changed for a pass: the spec, our annotations, or the wish to be deleted. Our own writes of
/// status and finalizer change none of these, so the operator does not wake itself.
#[expect(clippy::unnecessary_wraps, reason = "the shape of a predicate")]
fn significant<O: Resource>(object: &O) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    let meta = object.meta();
    meta.uid.hash(&mut hasher);
    meta.generation.hash(&mut hasher);
    meta.deletion_timestamp.is_some().hash(&mut hasher);
    let ours = meta.annotations.iter().flatten();
    for (key, value) in ours.filter(|(key, _)| key.starts_with(annotations::PREFIX)) {
        (key, value).hash(&mut hasher);
    }
    Some(hasher.finish())
}

/// Remembers one value an object, and says when it changed.
#[derive(Debug, Default)]
pub struct Changes(Mutex<HashMap<ObjectKey, u64>>);

impl Changes {
    /// Whether this is another value than the last one; the first one is a change.
    pub fn is_new(&self, key: &ObjectKey, value: impl std::hash::Hash) -> bool {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        let hash = hasher.finish();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(key.clone(), hash) != Some(hash)
    }
}
