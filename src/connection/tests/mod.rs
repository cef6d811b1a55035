//! Connections on a stage: a simulated API server, a simulated platform, simulated time.

mod consents;
mod crashes;
mod inventories;
mod inventory;
mod life;
mod recovery;
mod refusals;
mod sending;
mod stage;
mod strangers;
