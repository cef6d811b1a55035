//! Which object holds which project: no ref is ever carried by two.
//!
//! The index is built by a consistent list at takeover and kept by the leader's own writes, never from a watch
//! cache. Nobody is refused because of it without a live look at the holder.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kube::{Api, Client};

use crate::api::{ObjectKey, SupabaseProject};
use crate::kubernetes::{self, Lean as _};
use crate::seen::SeenProject;

/// The index.
#[derive(Debug, Default)]
pub struct Refs(Mutex<HashMap<String, Holder>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Holder {
    key: ObjectKey,
    uid: String,
}

impl Refs {
    /// Fills the index from a consistent list. Must be complete before the first reconcile.
    pub fn build<'a>(&self, projects: impl IntoIterator<Item = &'a SeenProject>) -> usize {
        let carried = projects.into_iter().filter_map(|project| {
            let meta = project.meta();
            let holder = Holder { key: meta.key(), uid: meta.uid().to_owned() };
            Some((project.reference.clone()?, holder))
        });
        let mut index = self.lock();
        index.extend(carried);
        index.len()
    }

    /// Who else carries a ref, looked at live; whoever does not carry it any more is forgotten.
    pub async fn holder(
        &self,
        client: &Client,
        reference: &str,
        uid: &str,
    ) -> Result<Option<ObjectKey>, kubernetes::Error> {
        let holder = self.lock().get(reference).cloned();
        let Some(holder) = holder.filter(|holder| holder.uid != uid) else {
            return Ok(None);
        };
        let namespace = holder.key.namespace.clone().unwrap_or_default();
        let api: Api<SupabaseProject> = Api::namespaced(client.clone(), &namespace);
        let there = kubernetes::see::<_, SeenProject>(&api, &holder.key.name).await?;
        let carries = there.is_some_and(|there| {
            there.meta().uid() == holder.uid && there.reference.as_deref() == Some(reference)
        });
        if carries {
            return Ok(Some(holder.key));
        }
        let mut index = self.lock();
        if index.get(reference) == Some(&holder) {
            index.remove(reference);
        }
        Ok(None)
    }

    /// Enters a ref that is about to be stored; false if another object has it by now.
    pub fn enter(&self, reference: &str, key: &ObjectKey, uid: &str) -> bool {
        let mut index = self.lock();
        let holder = index
            .entry(reference.to_owned())
            .or_insert_with(|| Holder { key: key.clone(), uid: uid.to_owned() });
        holder.uid == uid
    }

    /// Frees the refs of an object that is gone.
    pub fn free(&self, key: &ObjectKey) {
        self.lock().retain(|_, holder| holder.key != *key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Holder>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
