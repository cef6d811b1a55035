//! The engine against a model of the platform: whatever is declared, read and remembered, it ends in what is declared or in a
//! condition that names the field, within few writes.

mod model;
mod rules;
mod walks;
