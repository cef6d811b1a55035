//! Kubernetes operator for hosted Supabase projects.

pub mod api;
pub mod controller;
pub mod kubernetes;
pub mod leader;
pub mod rules;
pub mod telemetry;
