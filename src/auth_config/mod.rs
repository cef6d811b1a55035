//! The room of `SupabaseAuthConfig`: how people sign in to a project.
//!
//! So far its pure half, driven by one table of fields ([`fields`]): from the spec and the platform's answer to groups of the
//! settings engine ([`groups`]), and from a planned write to what is sent ([`change`]). What a field is stands in its row and
//! nowhere else.

mod declared;
pub mod fields;
#[cfg(test)]
mod tests;
mod values;

pub use declared::{Resolved, change, groups, secret_refs};
