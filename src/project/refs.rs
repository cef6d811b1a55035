//! Which object holds which project: no ref is ever carried by two.
//!
//! The index is built by a consistent list at takeover and kept by the leader's own writes, never from a watch
//! cache. Nobody is refused because of it without a live look at the holder.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::{Api, Client};

use crate::api::{ObjectKey, SupabaseProject};
use crate::kubernetes::{self, Lean as _};
use crate::seen::SeenProject;

/// The index.
#[derive(Debug, Default)]
pub struct Refs(Mutex<Index>);

#[derive(Debug, Default)]
struct Index {
    holders: HashMap<Arc<str>, Holder>,
    /// Which ref each holder carries: whoever is gone is known by its key alone.
    carried: HashMap<ObjectKey, Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Holder {
    key: ObjectKey,
    uid: Box<str>,
}

impl Index {
    /// Whose it is: whoever held it before, or else this one from now on, who holds no other.
    fn enter(&mut self, reference: &str, key: &ObjectKey, uid: &str) -> &Holder {
        let Self { holders, carried } = self;
        let reference: Arc<str> = reference.into();
        if !holders.contains_key(&reference)
            && let Some(before) = carried.insert(key.clone(), Arc::clone(&reference))
        {
            holders.remove(&before);
        }
        let holder = || Holder { key: key.clone(), uid: uid.into() };
        holders.entry(reference).or_insert_with(holder)
    }

    fn remove(&mut self, key: &ObjectKey) {
        if let Some(reference) = self.carried.remove(key) {
            self.holders.remove(&reference);
        }
    }
}

impl Refs {
    /// Fills the index from a consistent list. Must be complete before the first reconcile.
    pub fn build<'a>(&self, projects: impl IntoIterator<Item = &'a SeenProject>) -> usize {
        let mut index = self.lock();
        for project in projects {
            let meta = project.meta();
            if let Some(reference) = &project.reference {
                index.enter(reference, &meta.key(), meta.uid());
            }
        }
        index.holders.len()
    }

    /// Who else carries a ref, looked at live; whoever does not carry it any more is forgotten.
    pub async fn holder(
        &self,
        client: &Client,
        reference: &str,
        uid: &str,
    ) -> Result<Option<ObjectKey>, kubernetes::Error> {
        let holder = self.lock().holders.get(reference).cloned();
        let Some(holder) = holder.filter(|holder| *holder.uid != *uid) else {
            return Ok(None);
        };
        let namespace = holder.key.namespace().unwrap_or_default();
        let api: Api<SupabaseProject> = Api::namespaced(client.clone(), namespace);
        let there = kubernetes::see::<_, SeenProject>(&api, holder.key.name()).await?;
        let carries = there.is_some_and(|there| {
            there.meta().uid() == &*holder.uid && there.reference.as_deref() == Some(reference)
        });
        if carries {
            return Ok(Some(holder.key));
        }
        let mut index = self.lock();
        if index.holders.get(reference) == Some(&holder) {
            index.remove(&holder.key);
        }
        Ok(None)
    }

    /// Enters a ref that is about to be stored; false if another object has it by now.
    pub fn enter(&self, reference: &str, key: &ObjectKey, uid: &str) -> bool {
        *self.lock().enter(reference, key, uid).uid == *uid
    }

    /// Frees the ref of an object that is gone.
    pub fn free(&self, key: &ObjectKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ref_is_carried_by_one_object_until_that_is_gone_or_carries_another() {
        let refs = Refs::default();
        let (one, two) = (ObjectKey::new(Some("a"), "one"), ObjectKey::new(Some("b"), "two"));
        assert!(refs.enter("first", &one, "1") && refs.enter("first", &one, "1"));
        assert!(!refs.enter("first", &two, "2"));
        assert!(
            !refs.enter("first", &one, "1 made anew"),
            "until the first one is known to be gone"
        );
        assert!(refs.enter("second", &one, "1 made anew"));
        assert!(refs.enter("first", &two, "2"), "an object carries one");
        refs.free(&one);
        assert!(refs.enter("second", &two, "2"));
        refs.free(&two);
        let index = refs.lock();
        assert!(index.holders.is_empty() && index.carried.is_empty());
    }
}
