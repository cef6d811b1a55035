//! Declared settings against those of the platform: what differs, what is written next, and what the status says.
//!
//! PURE, and the same for every kind. A room says what is declared and what was read, as [`Group`]s; [`plan`] gives at most one
//! [`Write`], the new records of the status, and what the condition `Synced` says. After the write the room tells
//! [`Memory::learn`] what came of it, and lets [`Write::record`] keep it. Knows neither requests nor answers, so that everything
//! can be played through with a model of the platform.
//!
//! The rules it keeps: a group of settings is written as a whole; under `Report` it is written only when its declared value
//! changed; what does not hold is left after three corrections; a refusal holds nothing else back; a secret is known by digests
//! only.

mod checks;
mod group;
mod memory;
mod outcome;
mod plan;
mod policy;
mod report;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub use group::{Declared, Digester, Group, Reading, Unusable, Wanted};
pub use memory::Memory;
pub use outcome::Outcome;
pub use plan::{Input, Plan, next_read, orphans, plan};
pub use policy::Policy;
pub use report::Synced;
pub use value::Value;
pub use write::{Piece, Write};
