//! Supabase's Management API and its OAuth server as a pure state machine, with a thin HTTP skin.
//!
//! [`World`] is the platform: it takes a request and the time, and says what the platform answers and
//! how that answer travels. It reads no clock, opens no socket and draws every secret from a seeded
//! generator, so that property tests can run thousands of worlds. [`server`] puts a world behind a
//! loopback address, with the real clock and real broken connections.

mod access;
mod answer;
mod auth;
mod clock;
mod config;
mod disturbance;
mod endpoints;
mod faults;
mod hand;
mod ledger;
mod limits;
mod mail;
mod oauth;
pub mod openapi;
mod organization;
pub mod postgres;
mod project;
mod random;
mod routes;
mod rules;
mod secret;
pub mod server;
mod world;

pub use access::Identity;
pub use answer::{Answer, Delivery};
pub use auth::{AfterRefusal, Letter, Message, SecretsShown};
pub use config::{
    Config, DatabaseName, ForeignRef, Gone, Limiter, MessageShape, PoolerAddress, Refusal,
    SecondConsent, TokenMode, WhileComingUp,
};
pub use faults::{Fault, FaultKind};
pub use hand::{Consent, Refusal as HandRefusal};
pub use ledger::{Accepted, Effect, Ledger, Seen};
pub use mail::Sent;
pub use oauth::{ALL_SCOPES, App, Pat, PatReach, Permissions, TokenPair};
pub use organization::{Organization, Plan};
pub use project::{Fate, Project, Status};
pub use routes::{Endpoint, endpoints};
pub use world::World;
