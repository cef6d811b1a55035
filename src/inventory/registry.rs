//! All inventories, for as long as this process leads: one for each connection and organization, and where each object
//! follows something.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::Inventory;
use super::following::Following;
use super::ticks::Sharing;
use crate::api::ObjectRef;
use crate::controller::Requests;
use crate::management::{Organization, Status};
use crate::seen::Settled;
use crate::session::{ConnectionId, Listener, Session};
use crate::tasks::{Spawner, Tasks};

/// Tunables.
#[derive(Clone, Debug)]
pub struct InventoryOptions {
    /// Between two looks while a followed project is on its way to another state.
    pub transition_interval: Duration,
    /// Between two looks at rest.
    pub rest_interval: Duration,
    /// Between two whole lists at rest, at most.
    pub resync_interval: Duration,
}

impl Default for InventoryOptions {
    fn default() -> Self {
        Self {
            transition_interval: Duration::from_secs(2),
            rest_interval: Duration::from_secs(60),
            resync_interval: Duration::from_secs(600),
        }
    }
}

/// What all inventories share.
pub(super) struct Shared {
    pub(super) options: InventoryOptions,
    pub(super) requests: Requests,
    pub(super) spawner: Spawner,
    pub(super) sharing: Sharing,
    pub(super) following: Following,
}

type ByOrganization = BTreeMap<String, Inventory>;

/// All inventories. Cheap to clone; all clones are one. Dropping the last one ends every task.
#[derive(Clone)]
pub struct Inventories(Arc<Registry>);

struct Registry {
    shared: Arc<Shared>,
    all: Mutex<BTreeMap<ConnectionId, ByOrganization>>,
    // Dropped last: what the tasks use is still there when they end.
    _tasks: Tasks,
}

impl fmt::Debug for Inventories {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Inventories").finish_non_exhaustive()
    }
}

impl Inventories {
    /// None is there yet. Objects to look at are told to `requests`.
    pub fn new(options: InventoryOptions, requests: Requests) -> Self {
        let tasks = Tasks::default();
        let shared = Shared {
            options,
            requests,
            spawner: tasks.spawner(),
            sharing: Sharing::default(),
            following: Following::default(),
        };
        Self(Arc::new(Registry { shared: Arc::new(shared), all: Mutex::default(), _tasks: tasks }))
    }

    /// For sessions, which tell it what becomes of them.
    pub fn listener(&self) -> Weak<dyn Listener> {
        let registry: Arc<dyn Listener> = Arc::<Registry>::clone(&self.0);
        Arc::downgrade(&registry)
    }

    /// The projects of an organization, as a session sees them.
    pub fn of(&self, session: &Session, organization: &str) -> Inventory {
        let mut all = self.0.all();
        let inventories = all.entry(session.id().clone()).or_default();
        // A connection that was made anew has another session.
        if inventories.values().any(|inventory| inventory.0.session != *session) {
            inventories.clear();
        }
        let new = || Inventory::new(organization, session, &self.0.shared);
        inventories.entry(organization.to_owned()).or_insert_with(new).clone()
    }

    /// An object follows a project through a connection that exists, as its own status says: this process has looked at
    /// neither yet.
    pub fn expect(&self, session: &Session, object: &ObjectRef, reference: &str, known: &Settled) {
        let inventory = self.of(session, &known.organization);
        let status = Status::from(known.remote_status.as_str());
        inventory.expect(reference, object, (known.name.clone(), status));
    }

    /// An object follows nothing any more, whatever it followed.
    pub fn unfollow(&self, object: &ObjectRef) {
        let following = &self.0.shared.following;
        if let Some(inventory) = following.of(object) {
            inventory.unfollow(object);
        }
        // Also where the inventory is gone by now.
        following.forget(object);
    }
}

impl Registry {
    fn all(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, ByOrganization>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, id: &ConnectionId) -> Vec<Inventory> {
        let all = self.all();
        all.get(id).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }
}

impl Listener for Registry {
    fn replaced(&self, id: &ConnectionId) {
        for inventory in self.of(id) {
            inventory.forget_seen();
        }
    }

    fn learned(&self, id: &ConnectionId, seen: &[Organization], changed: bool) {
        let is_seen = |slug: &String| seen.iter().any(|one| one.slug.as_str() == slug);
        // Those of organizations that are not seen any more are forgotten, unless somebody follows something there.
        if let Some(inventories) = self.all().get_mut(id) {
            inventories.retain(|slug, inventory| !inventory.is_idle() || is_seen(slug));
        }
        for inventory in self.of(id) {
            if changed {
                inventory.wake_all();
            }
            inventory.kick();
        }
    }

    fn closed(&self, id: &ConnectionId) {
        let inventories = self.all().remove(id);
        for inventory in inventories.into_iter().flat_map(BTreeMap::into_values) {
            inventory.close();
        }
    }
}
