//! What must hold whatever happens: the whole operator in simulated time, on a simulated API server and the simulated
//! platform, with crashes at every effect. Needs no server and no network; every run is the same run again.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "a test says what it found"
)]

mod auth;
mod connections;
mod crashes;
mod digests;
mod fields;
mod hostile;
mod keys;
mod life;
mod one_process;
mod races;
mod ready;
mod rest;
mod settings;
mod sim;
mod tenancy;
mod traces;
mod transitions;
mod walks;
