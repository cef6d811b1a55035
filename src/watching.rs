//! Watching objects of one namespace, of several, or of all, as one stream of events for a store.

use futures::{Stream, StreamExt as _, stream};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Client, Resource, ResourceExt as _};

use crate::api::annotations;
use crate::kubernetes::Stored;

/// Objects a page of a list: small pages keep the peak of memory low (reliability.md §3.2).
const PAGE: u32 = 50;

/// Where objects of a namespaced kind are: one API, or one a namespace that is served.
pub fn apis<K>(client: &Client, namespaces: Option<&[String]>) -> Vec<Api<K>>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
{
    match namespaces {
        None => vec![Api::all(client.clone())],
        Some(names) => names
            .iter()
            .map(|name| Api::namespaced(client.clone(), name))
            .collect(),
    }
}

/// The events of one watch, or of several as if they were one, without what nobody reads.
pub fn events<O: Stored>(
    apis: Vec<Api<O>>,
) -> impl Stream<Item = Result<Event<O>, watcher::Error>> + Send + use<O> {
    let alone = apis.len() == 1;
    let config = || watcher::Config::default().page_size(PAGE);
    let watches = apis
        .into_iter()
        .map(|api| watch(api, config()).default_backoff().boxed());
    let merged = stream::select_all(watches);
    if alone {
        return merged.modify(prune).boxed();
    }
    // A list of one namespace must not make the store forget the others: objects are only ever added and removed.
    let begun = stream::iter([Ok(Event::Init), Ok(Event::InitDone)]);
    let rest = merged.filter_map(|event| async move {
        match event {
            Ok(Event::Init | Event::InitDone) => None,
            Ok(Event::InitApply(object)) => Some(Ok(Event::Apply(object))),
            other => Some(other),
        }
    });
    begun.chain(rest).modify(prune).boxed()
}

/// Drops what nobody reads from the store.
fn prune<O: Stored>(object: &mut O) {
    object.managed_fields_mut().clear();
    object
        .annotations_mut()
        .retain(|key, _| key.starts_with(annotations::PREFIX));
}
