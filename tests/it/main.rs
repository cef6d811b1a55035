//! The integration tests: one binary, so that they share one control plane.

mod examples;
mod readme;
mod schema;
#[expect(dead_code, reason = "some helpers wait for the stories that need them")]
mod support;
