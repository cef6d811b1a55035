//! Simulated platform.
