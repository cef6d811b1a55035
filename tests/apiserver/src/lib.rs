//! A small Kubernetes API server as a pure state machine, for tests in simulated time.
//!
//! [`ApiServer`] takes a request and the time and gives the answer; it opens no socket and reads no clock.
//! [`Service`] puts one behind a `tower` service, as a Kubernetes client wants it, and lets a test decide what
//! becomes of each request: answered, refused, lost before or after its effect, or never answered.
//!
//! It knows what the operator uses: get, list, watch, create, replace, merge patch (with the `status` subresource)
//! and delete, with `resourceVersion` and `uid` preconditions, finalizers, owner references, and namespaces that are
//! being deleted. It knows no admission, no schemas, no RBAC and no server-side apply: what rests on those is shown
//! on a real control plane.

mod fate;
mod ledger;
mod listing;
mod path;
mod removing;
mod resource;
mod server;
mod service;
mod status;
mod watching;
mod writing;

pub use fate::{Fate, Fault, Script};
pub use ledger::{Ledger, Seen, Verb, Write};
pub use resource::Resource;
pub use server::ApiServer;
pub use service::{Lost, Service};
