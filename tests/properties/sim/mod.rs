//! The simulated surroundings of the operator, and a driver that plays the queue of a controller.

mod clock;
mod driver;
mod faults;
mod play;
mod scene;
mod tokens;
mod transport;

pub use driver::{Driver, Ending};
pub use faults::{Faults, Phase, Plan};
pub use play::{Living, Play, follower, id, id_in};
pub use scene::{
    AUTH_CONFIGS, CLUSTER_CONNECTIONS, CONNECTIONS, Hand, PROJECTS, SECRETS, Scene, Seed, complete,
};

/// Runs on a clock of its own, in simulated time.
pub fn simulate<T>(run: impl AsyncFnOnce() -> T) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(run())
}
