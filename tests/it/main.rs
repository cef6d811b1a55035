//! The integration tests: one binary, so that they share one control plane.
//!
//! The modules carry `cfg(test)` for the sake of clippy, which allows `unwrap` in tests only and does not
//! take the helpers of an integration test for such.

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod chart;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod frameworks;
#[cfg(test)]
mod frozen;
#[cfg(test)]
mod gitops;
#[cfg(test)]
mod image;
#[cfg(test)]
mod installation;
#[cfg(test)]
mod networks;
#[cfg(test)]
mod node;
#[cfg(test)]
mod observed;
#[cfg(test)]
mod process;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod schema_keys;
#[cfg(test)]
mod schema_settings;
#[cfg(test)]
mod stories;
#[cfg(test)]
#[expect(dead_code, reason = "some helpers wait for the stories that need them")]
mod support;
