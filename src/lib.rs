//! Kubernetes operator for hosted Supabase projects.

pub mod api;
pub mod controller;
pub mod kubernetes;
pub mod leader;
pub mod management;
pub mod outputs;
pub mod rules;
pub mod session;
pub mod telemetry;
