//! ONE LIVE SESSION PER CREDENTIAL: token store, client, rate budget, breaker.
//!
//! May call the platform through `management`, and touch the state Secrets of connections. Knows no project: it
//! sends what it is given, and tells a listener what becomes of it. Separate because everything that two
//! objects share by using one credential is here, and nothing else.

mod breaker;
mod budget;
mod capabilities;
mod credential;
mod gateway;
mod id;
mod identity;
mod listener;
mod live;
mod refusals;
mod registry;
mod sending;
mod shared;
pub mod token_store;

pub use capabilities::{Ability, Capabilities};
pub use credential::Credential;
pub use gateway::Permit;
pub use id::ConnectionId;
pub use identity::Identity;
pub use listener::Listener;
pub use live::{Session, SessionState};
pub use registry::{Sessions, SessionsParts};
pub use shared::SessionOptions;
