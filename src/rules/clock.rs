//! Time as the rest of the program sees it.
//!
//! Separate, because only `main` and tests may make a real one: whatever takes a [`Clock`] can be played through in
//! simulated time.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// What time it is.
pub trait Clock: Debug + Send + Sync {
    /// The wall clock, for what people and other machines read. It may jump.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment of this process. It does not go back: deadlines and graces are counted on
    /// it. Where the machine sleeps it stands still, and so do they.
    fn uptime(&self) -> Duration;
}
