//! Tests of the simulated API server, through its public interface only.

#[cfg(test)]
mod behaviour;
