//! THE OAUTH CONSENT FLOW: a person lets the operator act for an organization.
//!
//! Authorization Code with PKCE (RFC 6749 §4.1, RFC 7636). What the person brings back is put into the connection's
//! grants Secret, and the leading operator takes it into the token store from there: whoever goes through the flow needs
//! neither to lead nor to touch the tokens in use.
//!
//! ```text
//!   verifier, state ── authorize page ── consent ── callback ── flow on record ── code exchanged ── pair stored
//!   (kept here)        (the platform's)                          (or: a replay)    (once)            │
//!                                                                                                    ▼
//!                                          discarded ◄── another organization ── organizations asked for
//! ```

mod app;
pub mod browser;
mod pages;
mod pkce;
mod redeem;
pub mod terminal;
