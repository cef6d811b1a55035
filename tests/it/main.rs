//! The integration tests: one binary, so that they share one control plane.

mod architecture;
mod examples;
mod schema;
#[expect(dead_code, reason = "some helpers wait for the stories that need them")]
mod support;
