//! Objects that somebody inside the operator wants looked at again: a set, so that it is never larger than the
//! number of objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::api::{Kind, ObjectKey, ObjectRef};

/// Requests for objects of every kind. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Requests([ReconcileRequests; Kind::ALL.len()]);

impl Requests {
    /// Those of one kind.
    pub const fn of(&self, kind: Kind) -> &ReconcileRequests {
        let [project, connection, cluster_connection, auth_config] = &self.0;
        match kind {
            Kind::SupabaseProject => project,
            Kind::SupabaseConnection => connection,
            Kind::ClusterSupabaseConnection => cluster_connection,
            Kind::SupabaseAuthConfig => auth_config,
        }
    }

    /// Asks for a reconcile of an object.
    pub fn add(&self, object: ObjectRef) {
        self.of(object.kind).add(object.key);
    }
}

/// The set. Cheap to clone; all clones are one set.
#[derive(Clone, Debug, Default)]
pub struct ReconcileRequests {
    waiting: Arc<Mutex<BTreeSet<ObjectKey>>>,
    later: Arc<Mutex<BTreeMap<ObjectKey, Duration>>>,
    arrival: Arc<Notify>,
}

impl ReconcileRequests {
    /// Asks for a reconcile of an object.
    pub fn add(&self, key: ObjectKey) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        self.arrival.notify_one();
    }

    /// Asks for a reconcile of an object after some time, unless something else asks for one before.
    pub fn add_after(&self, key: ObjectKey, wait: Duration) {
        self.later.lock().unwrap_or_else(PoisonError::into_inner).insert(key, wait);
        self.arrival.notify_one();
    }

    /// Takes every object that is to be looked at after some time.
    pub fn take_later(&self) -> BTreeMap<ObjectKey, Duration> {
        std::mem::take(&mut self.later.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes one object, if any waits.
    pub fn take(&self) -> Option<ObjectKey> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_first()
    }

    /// Until something may have been asked for. There is one listener.
    pub async fn arrived(&self) {
        self.arrival.notified().await;
    }
}
