//! Whether Secrets and `ConfigMap`s are still as they were left: what is not watched is looked at now and then, each by its
//! version alone. `ConfigMap`s are never watched, Secrets only where the operator has the right to list them.
//!
//! So many a second in all, on average, and each at most once a minute: what that costs the API server has a bound, whatever the
//! number of objects. A version that is not the one that was left asks for a reconcile, which reads and decides.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use tracing::debug;

use crate::api::{ObjectRef, OutputKind};
use crate::controller::Requests;
use crate::kubernetes::{self, Error};

/// At most so many looks a second, on average: fewer than three an hour for each of ten thousand.
const PER_SECOND: u32 = 8;
/// Between two looks at one object, at least.
const EACH: Duration = Duration::from_secs(60);
/// The password Secret is looked at in one round of so many: nothing mounts it.
const PASSWORD_ROUNDS: u64 = 10;
/// Looks follow each other at once until their pauses have come to so much, and all of it is waited then: to wake up for each
/// takes four times the processor time.
const ROW: Duration = Duration::from_secs(5);
/// The pause where there is nothing to look at.
const IDLE: Duration = Duration::from_secs(5);

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// An output of this kind.
    Output(OutputKind),
    /// The password Secret.
    Password,
    /// A Secret that the object takes values from.
    Input,
}

#[derive(Clone, Debug)]
struct Left {
    item: Item,
    name: Box<str>,
    /// Of the version.
    hash: u64,
}

/// The versions in which objects were left.
#[derive(Debug)]
pub struct Versions {
    secrets_are_watched: bool,
    left: Mutex<BTreeMap<ObjectRef, Vec<Left>>>,
}

impl Versions {
    /// Of nothing yet. Where Secrets are watched, their versions are of no interest.
    pub fn new(secrets_are_watched: bool) -> Self {
        Self { secrets_are_watched, left: Mutex::default() }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ObjectRef, Vec<Left>>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object was found or left in this version; none if it is not there.
    pub fn note(&self, project: &ObjectRef, item: Item, name: &str, version: Option<&str>) {
        if self.secrets_are_watched && item != Item::Output(OutputKind::ConfigMap) {
            return;
        }
        let hash = hash(version);
        let mut all = self.all();
        let left = all.entry(project.clone()).or_default();
        match left.iter_mut().find(|left| *left.name == *name) {
            Some(known) => (known.item, known.hash) = (item, hash),
            None => left.push(Left { item, name: name.into(), hash }),
        }
    }

    /// Keeps what is known of these outputs and of the password, and forgets others.
    pub fn keep(&self, project: &ObjectRef, outputs: &[&str]) {
        if let Some(left) = self.all().get_mut(project) {
            left.retain(|left| left.item == Item::Password || outputs.contains(&&*left.name));
        }
    }

    /// The project is gone, or is not looked after any more.
    pub fn forget(&self, project: &ObjectRef) {
        self.all().remove(project);
    }

    fn of(&self, project: &ObjectRef) -> Vec<Left> {
        self.all().get(project).cloned().unwrap_or_default()
    }
}

fn hash(version: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    version.hash(&mut hasher);
    hasher.finish()
}

impl Versions {
    /// Looks at one object after the other, for ever, and asks for a reconcile of the one whose Secret is not as it was left.
    pub async fn look(self: Arc<Self>, client: Client, requests: Requests) {
        let mut cursor = None;
        let mut round = 0;
        let mut pauses = Pauses::default();
        loop {
            let (next, many) = self.after(cursor.as_ref());
            let Some(object) = next else {
                if cursor.take().is_none() {
                    tokio::time::sleep(IDLE).await;
                }
                round += 1;
                continue;
            };
            let many = u32::try_from(many).unwrap_or(u32::MAX).max(1);
            let pause = (EACH / many).max(Duration::from_secs(1) / PER_SECOND);
            let mut looked = false;
            for left in self.of(&object) {
                if left.item == Item::Password && round % PASSWORD_ROUNDS != 0 {
                    continue;
                }
                looked = true;
                pauses.add(pause).await;
                match version(&client, &object, &left).await {
                    Ok(version) if hash(version.as_deref()) == left.hash => {}
                    Ok(_) => requests.add(object.clone()),
                    Err(error) => debug!(
                        %object, name = %left.name,
                        error = &error as &dyn std::error::Error, "an object could not be looked at"
                    ),
                }
            }
            if !looked {
                pauses.add(pause).await;
            }
            cursor = Some(object);
        }
    }

    /// The first object after another, and how many there are.
    fn after(&self, object: Option<&ObjectRef>) -> (Option<ObjectRef>, usize) {
        let all = self.all();
        let first = object.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = all.range::<ObjectRef, _>((first, Bound::Unbounded));
        (rest.next().map(|(object, _)| object.clone()), all.len())
    }
}

/// Pauses that are not waited yet.
#[derive(Default)]
struct Pauses(Duration);

impl Pauses {
    async fn add(&mut self, pause: Duration) {
        self.0 += pause;
        if self.0 >= ROW {
            tokio::time::sleep(std::mem::take(&mut self.0)).await;
        }
    }
}

async fn version(
    client: &Client,
    object: &ObjectRef,
    left: &Left,
) -> Result<Option<String>, Error> {
    let namespace = object.key.namespace().unwrap_or_default();
    match left.item {
        Item::Output(OutputKind::Secret) | Item::Password | Item::Input => {
            let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
            kubernetes::version(&api, &left.name).await
        }
        Item::Output(OutputKind::ConfigMap) => {
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
            kubernetes::version(&api, &left.name).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_known_until_it_is_wanted_no_more() {
        let versions = Versions::new(false);
        let key = orders();
        let output = Item::Output(OutputKind::Secret);
        versions.note(&key, output, "a", Some("1"));
        versions.note(&key, output, "b", None);
        versions.note(&key, Item::Password, "p", Some("3"));
        versions.note(&key, output, "a", Some("2"));
        let known = |name: &str| {
            let all = versions.of(&key);
            all.iter().find(|left| &*left.name == name).map(|left| left.hash)
        };
        assert_eq!(known("a"), Some(hash(Some("2"))));
        assert_eq!(known("b"), Some(hash(None)));
        versions.keep(&key, &["a"]);
        assert_eq!((known("b"), known("p")), (None, Some(hash(Some("3")))));
        versions.forget(&key);
        assert!(versions.of(&key).is_empty() && versions.all().is_empty());
    }

    #[test]
    fn where_secrets_are_watched_config_maps_are_looked_at_all_the_same() {
        let versions = Versions::new(true);
        let key = orders();
        let secrets = [Item::Output(OutputKind::Secret), Item::Password, Item::Input];
        for (item, name) in secrets.into_iter().zip(["a", "b", "c"]) {
            versions.note(&key, item, name, Some("1"));
        }
        assert!(versions.all().is_empty(), "nothing is kept of what is watched");
        versions.note(&key, Item::Output(OutputKind::ConfigMap), "web", Some("1"));
        assert_eq!(versions.of(&key).len(), 1);
    }

    fn orders() -> ObjectRef {
        let key = crate::api::ObjectKey::new(Some("team"), "orders");
        ObjectRef { kind: crate::api::Kind::SupabaseProject, key }
    }
}
