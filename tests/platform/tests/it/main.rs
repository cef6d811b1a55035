//! Tests of the simulated platform, through its public interface only.
//!
//! The modules carry `cfg(test)` for the sake of clippy, which allows `unwrap` in tests only and does
//! not take the helpers of an integration test for such.

#[cfg(test)]
mod access;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod client;
#[cfg(test)]
mod consent;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod creation;
#[cfg(test)]
mod database;
#[cfg(test)]
mod databases;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod health;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod listing;
#[cfg(test)]
mod mail;
#[cfg(test)]
#[path = "../../../it/support/mail.rs"]
mod mail_server;
#[cfg(test)]
mod mcp;
#[cfg(test)]
mod oauth;
#[cfg(test)]
mod official_cli;
#[cfg(test)]
mod pausing;
#[cfg(test)]
mod program;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod services;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod sockets;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod tour;
