//! Which object holds which project: no ref is ever carried by two.
//!
//! The index is built by a consistent list at takeover and kept by the leader's own writes, never from a watch
//! cache. Nobody is refused because of it without a live look at the holder.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kube::{Api, Client, Resource as _, ResourceExt as _};

use crate::api::{ObjectKey, SupabaseProject};
use crate::kubernetes;

/// Objects a page.
const PAGE: u32 = 50;

/// The index.
#[derive(Debug, Default)]
pub struct Refs(Mutex<HashMap<String, Holder>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Holder {
    key: ObjectKey,
    uid: String,
}

impl Refs {
    /// Fills the index from the API server. Must be complete before the first pass.
    pub async fn build(
        &self,
        client: &Client,
        namespaces: Option<&[String]>,
    ) -> Result<usize, kubernetes::Error> {
        let apis: Vec<Api<SupabaseProject>> = match namespaces {
            None => vec![Api::all(client.clone())],
            Some(names) => names
                .iter()
                .map(|name| Api::namespaced(client.clone(), name))
                .collect(),
        };
        let mut found = HashMap::new();
        for api in apis {
            let mut parameters = kube::api::ListParams::default().limit(PAGE);
            loop {
                let list = api.list(&parameters).await?;
                for project in &list.items {
                    let reference = project
                        .status
                        .as_ref()
                        .and_then(|status| status.reference.clone());
                    if let Some(reference) = reference {
                        let holder = Holder {
                            key: ObjectKey::of(project),
                            uid: project.uid().unwrap_or_default(),
                        };
                        found.insert(reference, holder);
                    }
                }
                match list.metadata.continue_.filter(|token| !token.is_empty()) {
                    Some(token) => parameters = parameters.continue_token(&token),
                    None => break,
                }
            }
        }
        let count = found.len();
        *self.lock() = found;
        Ok(count)
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
        let there = kubernetes::get(&api, &holder.key.name).await?;
        let carries = there.is_some_and(|there| {
            there.meta().uid.as_deref() == Some(&holder.uid)
                && there.status.and_then(|status| status.reference).as_deref() == Some(reference)
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
        let holder = index.entry(reference.to_owned()).or_insert_with(|| Holder {
            key: key.clone(),
            uid: uid.to_owned(),
        });
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
