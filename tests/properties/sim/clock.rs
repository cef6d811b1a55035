//! Simulated time: tokio's paused clock, seen as wall clock and as uptime.

use std::sync::Mutex;
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use supabase_operator::rules::clock::Clock;
use supabase_operator::rules::random::Random;
use tokio::time::Instant;

/// The clock of one process. All processes share the wall; each has an uptime of its own.
#[derive(Clone, Debug)]
pub struct SimClock {
    wall: Timestamp,
    world: Instant,
    process: Instant,
}

impl SimClock {
    /// The clock that the world runs on.
    pub fn of_the_world() -> Self {
        let now = Instant::now();
        Self { wall: "2026-06-01T00:00:00Z".parse().unwrap(), world: now, process: now }
    }

    /// The clock of a process that starts now, on a machine whose wall clock is so much ahead.
    pub fn of_a_process(&self, ahead: Duration) -> Self {
        let wall = self.wall + SignedDuration::try_from(ahead).unwrap();
        Self { wall, process: Instant::now(), ..self.clone() }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.wall + SignedDuration::try_from(self.world.elapsed()).unwrap()
    }

    fn uptime(&self) -> Duration {
        self.process.elapsed()
    }
}

/// Randomness from a seed.
#[derive(Debug)]
pub struct SimRandom(Mutex<u64>);

impl SimRandom {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Random for SimRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.lock().unwrap();
        for byte in bytes {
            // SplitMix64: reproducible, and good enough where nobody attacks.
            *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = *state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            *byte = u8::try_from((mixed ^ (mixed >> 31)) & 0xff).unwrap();
        }
    }
}
