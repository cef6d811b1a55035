//! Tests of the simulated platform, through its public interface only.
//!
//! The modules carry `cfg(test)` for the sake of clippy, which allows `unwrap` in tests only and does
//! not take the helpers of an integration test for such.

#[cfg(test)]
mod client;
#[cfg(test)]
mod databases;
#[cfg(test)]
mod program;
#[cfg(test)]
mod sockets;
