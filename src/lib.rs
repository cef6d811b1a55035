//! Kubernetes operator for hosted Supabase projects.
