//! What the tests stand on: the control plane, the installed chart, the running binary, the platform, and
//! ways to look at them. Only here do tests start processes or talk to the API server.

pub mod audit;
pub mod browser;
pub mod cluster;
pub mod control_plane;
pub mod eventually;
pub mod front;
pub mod gateway;
pub mod hostile;
pub mod install;
pub mod leaks;
pub mod mail;
pub mod node;
pub mod operator;
pub mod platform;
pub mod programs;
pub mod proxy;
pub mod samples;
pub mod stage;
pub mod terminal;
