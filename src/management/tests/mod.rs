//! The client over real sockets.

mod loopback;
mod trust;
