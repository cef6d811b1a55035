//! Objects that somebody inside the operator wants looked at again: a set, so that it is never larger than the
//! number of objects.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::api::ObjectKey;

/// The set. Cheap to clone; all clones are one set.
#[derive(Clone, Debug, Default)]
pub struct Wakes {
    waiting: Arc<Mutex<BTreeSet<ObjectKey>>>,
    arrival: Arc<Notify>,
}

impl Wakes {
    /// Asks for a pass of an object.
    pub fn wake(&self, key: ObjectKey) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key);
        self.arrival.notify_one();
    }

    /// Takes one object, if any waits.
    pub fn take(&self) -> Option<ObjectKey> {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_first()
    }

    /// The next object, as soon as one is asked for. There is one listener.
    pub async fn next(&self) -> ObjectKey {
        loop {
            if let Some(key) = self.take() {
                return key;
            }
            self.arrival.notified().await;
        }
    }
}
