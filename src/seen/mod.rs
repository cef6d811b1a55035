//! What the cache holds of our kinds: the few facts that others need, and nothing that its owner can make large.
//!
//! No schema and no enum: every object of every version can be seen, whoever wrote it. What must be understood is read
//! whole by a reconcile. No I/O.

mod auth_config;
mod connection;
mod project;
mod wire;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

pub use auth_config::SeenAuthConfig;
pub use connection::SeenConnection;
pub use project::{SeenProject, Settled};

use crate::kubernetes::Meta;

/// What must have changed for a reconcile: the spec, our annotations, or the wish to be deleted. Our own writes of status
/// and finalizer change none of these, so the operator does not wake itself.
pub fn significance(meta: &Meta) -> u64 {
    let mut hasher = DefaultHasher::new();
    meta.uid().hash(&mut hasher);
    meta.generation().hash(&mut hasher);
    meta.is_leaving().hash(&mut hasher);
    meta.annotations().hash(&mut hasher);
    hasher.finish()
}
