//! What must hold whatever happens: the whole operator in simulated time, on a simulated API server and the simulated
//! platform, with crashes at every effect. Needs no server and no network; every run is the same run again.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it found"
)]

mod crashes;
mod rest;
mod sim;
mod tenancy;
