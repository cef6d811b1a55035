//! Kubernetes operator for hosted Supabase projects.

pub mod api;
pub mod connection;
pub mod controller;
pub mod crds;
mod dependents;
pub mod health;
pub mod keys;
pub mod kubernetes;
pub mod leader;
pub mod management;
pub mod options;
pub mod outputs;
pub mod project;
pub mod rules;
pub mod run;
pub mod session;
pub mod telemetry;
