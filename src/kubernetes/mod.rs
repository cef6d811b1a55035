//! The API server: a client with deadlines, and what the operator reads and writes there.
//!
//! | module | what it is |
//! |---|---|
//! | `error` | why a call did not work, by what the caller must do |
//! | `lean` | what is kept of an object that may hold anything |
//! | `listing`, `watching` | lists page by page, and watches, of lean objects |
//! | `reading` | one object, past every cache |
//! | `writing` | the few writes that the operator makes |
//! | `proxy` | the way there through a proxy, as kubectl goes it |
//! | `words` | what the API server says of a refused write, where that quotes nothing of it |
//! | `decode`, `transport` | from the bytes of an answer to an object; no answer is ever logged |
//!
//! Nothing here trusts an answer to be readable: one object that is not must not keep anybody from the others.

mod decode;
mod error;
pub mod lean;
mod listing;
pub mod proxy;
mod reading;
mod rollout;
mod transport;
mod watching;
mod words;
mod writing;

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Config, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use decode::{Partly, Read};
pub use error::{Error, Refusal};
pub use lean::{Bare, Flag, Lean, Many, Maybe, Meta, Number, Text, mark};
pub use listing::{Shape, current_version, list};
pub use proxy::Proxy;
pub use reading::{get, get_managed, read, see, version};
pub use rollout::annotate_template;
pub use watching::{Event, Watch};
pub use writing::{
    Written, answered, create, delete, hold, release, replace, request_reconcile, set_finalizers,
    write_status,
};

/// How long the API server may take to begin an answer. Watches begin theirs at once and may then be silent.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// The objects of a namespaced kind: in one namespace, or in all.
pub fn objects<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// What every stored type that we touch can do.
pub trait Stored:
    Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<K> Stored for K where
    K: Resource<DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// A client whose calls end: the default one waits for ever. What `config` says of a proxy does not count.
pub fn client(mut config: Config, proxy: Option<&Proxy>) -> Result<Client, kube::Error> {
    let layer = tower::timeout::TimeoutLayer::new(ANSWER_WITHIN);
    config.proxy_url = None;
    if let Some(proxy) = proxy {
        return proxy.client(&config, &layer);
    }
    Ok(kube::client::ClientBuilder::try_from(config)?.with_layer(&layer).build())
}
