//! ONE LIVE SESSION PER CREDENTIAL: token custody, client, rate budget, breaker, roster.
//!
//! May call the platform through `management`, and touch the state Secrets of connections. Knows no project: it
//! sends what it is given, and tells objects that their project changed. Separate because everything that two
//! objects share by using one credential is here, and nothing else.

mod breaker;
mod budget;
mod capabilities;
pub mod custody;
mod id;
mod line;
mod registry;
mod roster;
mod sending;
mod tasks;

pub use capabilities::{Ability, Capabilities};
pub use id::ConnectionId;
pub use registry::{SessionOptions, Sessions, SessionsParts};
pub use roster::{Pace, Presence, Roster, Sighted, WholeList};
pub use sending::{Credential, Session, SessionState};
