//! Outputs, rendered from facts that are made up.

mod authorities;
mod content;
mod golden;
mod keys;
