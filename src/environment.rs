//! The outside world: everything that is reached through the network, and the clock and the dice.
//!
//! `main` makes the real one, tests make simulated ones; whoever needs it is given it. No decision reads
//! another clock or draws at random elsewhere; deadlines of connections are the network's own.

use std::sync::Arc;

use kube::Client;

use crate::management;
use crate::rules::clock::Clock;
use crate::rules::random::Random;

/// The outside world.
#[derive(Clone)]
pub struct Environment {
    /// The API server.
    pub client: Client,
    /// The platform.
    pub management: management::Client,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Environment").finish_non_exhaustive()
    }
}
