//! PURE. From plain facts of a project (keys, endpoints, password) to the data of a Secret or ConfigMap.
//!
//! Knows neither the platform nor the API server: what an output holds depends on what is passed in, and on
//! nothing else.

mod address;
mod authorities;
mod entries;
mod facts;
mod object;
mod render;
#[cfg(test)]
mod tests;

pub use authorities::{Authorities, LARGEST_AUTHORITIES, Unusable};
pub use facts::{Database, Facts, Keys};
pub use object::{
    Belonging, Found, belonging, content_digest, digest, labelled, marked, meta_is_current,
    to_config_map, to_secret, unbound_digest,
};
pub use render::{Data, Missing, Rendered, authorities_are_current, password_in, render};
