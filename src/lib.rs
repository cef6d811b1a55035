//! Kubernetes operator for hosted Supabase projects.

pub mod management;
