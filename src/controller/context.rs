//! What every reconcile is given: the API server, time, randomness, the claim to lead, and the memory of failures.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::{Inputs, Reporter, Requeue};
use crate::api::{ObjectKey, annotations};
use crate::leader::Leadership;
use crate::rules::backoff;
use crate::rules::clock::Clock;
use crate::rules::random::Random;

/// The parts of a [`Context`].
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a client has none worth reading")]
pub struct ContextParts {
    /// The API server.
    pub client: kube::Client,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The claim to lead.
    pub leadership: Leadership,
    /// Events and metrics.
    pub reporter: Reporter,
    /// The name of this installation, and since when this process leads it.
    pub installation: (String, Timestamp),
    /// How often everything is compared again.
    pub resync: Duration,
    /// How long one reconcile may take.
    pub reconcile_deadline: Duration,
}

/// Shared by all kinds; cheap to clone.
#[derive(Clone)]
pub struct Context {
    parts: Arc<ContextParts>,
    failures: Arc<Mutex<HashMap<(&'static str, ObjectKey), u32>>>,
    misspelt: Arc<Changes>,
    news: Arc<Changes>,
}

impl fmt::Debug for Context {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Context").finish_non_exhaustive()
    }
}

impl std::ops::Deref for Context {
    type Target = ContextParts;

    fn deref(&self) -> &ContextParts {
        &self.parts
    }
}

impl Context {
    /// Nothing has failed yet, and nothing was told.
    pub fn new(parts: ContextParts) -> Self {
        Self {
            parts: Arc::new(parts),
            failures: Arc::default(),
            misspelt: Arc::default(),
            news: Arc::default(),
        }
    }

    pub(super) fn inputs(&self, kind: &'static str, key: &ObjectKey) -> Inputs<'_> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        Inputs {
            now: self.clock.now(),
            uptime: self.clock.uptime(),
            attempt: failures.get(&(kind, key.clone())).copied().unwrap_or_default(),
            random: self.random.as_ref(),
        }
    }

    /// How long until the next reconcile, and the count of failures kept.
    pub(super) fn next(
        &self,
        kind: &'static str,
        key: &ObjectKey,
        uid: &str,
        requeue: Requeue,
    ) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let resync = backoff::spread(self.resync, uid, 0);
        if requeue == Requeue::Backoff {
            let count = failures.entry((kind, key.clone())).or_default();
            *count = count.saturating_add(1);
            return backoff::delay(*count, uid);
        }
        if requeue != Requeue::Now {
            failures.remove(&(kind, key.clone()));
        }
        match requeue {
            Requeue::Now => Duration::ZERO,
            Requeue::After(wait) => wait.min(resync),
            Requeue::Backoff | Requeue::OnChange => resync,
        }
    }

    /// Annotations under our prefix that mean nothing, if they were not told of yet.
    pub(super) fn misspelt<O: kube::Resource>(
        &self,
        kind: &'static str,
        key: &ObjectKey,
        object: &O,
    ) -> Option<String> {
        let all = object.meta().annotations.iter().flat_map(|annotations| annotations.keys());
        let unknown: Vec<_> = all
            .filter(|name| {
                name.starts_with(annotations::PREFIX)
                    && !annotations::KNOWN.contains(&name.as_str())
            })
            .map(String::as_str)
            .collect();
        let named = unknown.join(", ");
        if unknown.is_empty() {
            self.misspelt.forget(kind, key);
            return None;
        }
        self.misspelt.is_new(kind, key, &named).then_some(named)
    }

    /// Whether this was not said of the object before.
    pub(super) fn is_news(
        &self,
        kind: &'static str,
        key: &ObjectKey,
        said: impl std::hash::Hash,
    ) -> bool {
        self.news.is_new(kind, key, said)
    }

    /// What was said of an object did not arrive.
    pub(super) fn forget_news(&self, kind: &'static str, key: &ObjectKey) {
        self.news.forget(kind, key);
    }

    pub(super) fn forget(&self, kind: &'static str, key: &ObjectKey) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(&(kind, key.clone()));
        drop(failures);
        self.forget_news(kind, key);
        self.misspelt.forget(kind, key);
    }
}

/// Remembers one value an object of a kind, and says when it changed.
#[derive(Debug, Default)]
struct Changes(Mutex<HashMap<(&'static str, ObjectKey), u64>>);

impl Changes {
    /// Whether this is another value than the last one; the first one is a change.
    fn is_new(&self, kind: &'static str, key: &ObjectKey, value: impl std::hash::Hash) -> bool {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        let hash = hasher.finish();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert((kind, key.clone()), hash) != Some(hash)
    }

    /// The object is gone, or has nothing to remember any more.
    fn forget(&self, kind: &'static str, key: &ObjectKey) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.remove(&(kind, key.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_and_a_connection_of_one_name_do_not_undo_each_others_memory() {
        let (changes, orders) = (Changes::default(), key("team-a", "orders"));
        let (project, connection) = ("SupabaseProject", "SupabaseConnection");
        assert!(changes.is_new(project, &orders, "about the project"));
        assert!(changes.is_new(connection, &orders, "about the connection"));
        assert!(!changes.is_new(project, &orders, "about the project"));
        assert!(!changes.is_new(connection, &orders, "about the connection"));
        // The same words about another kind, or an object of another namespace, are news.
        assert!(changes.is_new("ClusterSupabaseConnection", &orders, "about the project"));
        assert!(changes.is_new(project, &key("team-b", "orders"), "about the project"));

        changes.forget(project, &orders);
        assert!(!changes.is_new(connection, &orders, "about the connection"));
        assert!(changes.is_new(project, &orders, "about the project"));
    }

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey::new(Some(namespace), name)
    }
}
