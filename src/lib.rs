//! Kubernetes operator for hosted Supabase projects.

pub mod api;
pub mod kubernetes;
pub mod rules;
