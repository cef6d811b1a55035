//! ONE LIVE SESSION PER CREDENTIAL: token store, client, rate budget, breaker, inventory.
//!
//! May call the platform through `management`, and touch the state Secrets of connections. Knows no project: it
//! sends what it is given, and tells objects that their project changed. Separate because everything that two
//! objects share by using one credential is here, and nothing else.

mod breaker;
mod budget;
mod capabilities;
mod credential;
mod gateway;
mod id;
mod identity;
mod inventory;
mod live;
mod refusals;
mod registry;
mod sending;
mod tasks;
pub mod token_store;

pub use capabilities::{Ability, Capabilities};
pub use credential::Credential;
pub use gateway::Permit;
pub use id::ConnectionId;
pub use identity::Identity;
pub use inventory::{Inventory, ListedState, Pace, Presence, ProjectList, Unreadable, WholeList};
pub use live::{Session, SessionState};
pub use registry::{SessionOptions, Sessions, SessionsParts};
