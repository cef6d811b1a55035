//! Where each object follows its project: in one inventory at a time, of whatever session.
//!
//! Separate from inventories, since none of them knows the others: an object that changes its connection or its
//! organization must not be followed up by the old one for ever.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{Inner, Inventory};
use crate::api::ObjectRef;

/// The inventory in which each object follows something.
#[derive(Default)]
pub struct Following(Mutex<HashMap<ObjectRef, Weak<Inner>>>);

impl Following {
    fn all(&self) -> MutexGuard<'_, HashMap<ObjectRef, Weak<Inner>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object follows something in this inventory from now on. Gives the other one in which it did until now.
    pub(super) fn moves(&self, object: &ObjectRef, to: &Inventory) -> Option<Inventory> {
        let to = Arc::downgrade(&to.0);
        let before = self.all().insert(object.clone(), to.clone())?;
        let elsewhere = !before.ptr_eq(&to);
        before.upgrade().filter(|_| elsewhere).map(Inventory)
    }

    /// An object follows nothing in this inventory any more.
    pub(super) fn leaves(&self, object: &ObjectRef, from: &Inventory) {
        let mut all = self.all();
        let from = Arc::downgrade(&from.0);
        if all.get(object).is_some_and(|there| there.ptr_eq(&from)) {
            all.remove(object);
        }
    }

    /// An object is gone, wherever it followed something.
    pub(super) fn forget(&self, object: &ObjectRef) {
        self.all().remove(object);
    }

    /// Where an object follows something.
    pub(super) fn of(&self, object: &ObjectRef) -> Option<Inventory> {
        self.all().get(object)?.upgrade().map(Inventory)
    }
}
