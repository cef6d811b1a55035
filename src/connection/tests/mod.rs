//! Connections on a stage: a simulated API server, a simulated platform, simulated time.

mod consents;
mod crashes;
mod life;
mod recovery;
mod refusals;
mod roster;
mod rosters;
mod sending;
mod stage;
mod strangers;
