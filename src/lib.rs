//! Kubernetes operator for hosted Supabase projects.
//!
//! In reading order:
//!
//! | module | what it is |
//! |---|---|
//! | [`api`] | the promise: types of the custom resources, no logic beyond their own words |
//! | [`rules`] | pure helpers with a name from the domain: conditions, backoff, digests, passwords |
//! | [`management`] | the outside: a client of Supabase's Management API that knows nothing of Kubernetes |
//! | [`session`] | one live session per credential: its tokens, rate budget and breaker |
//! | [`inventory`] | the shared project lists, and who follows what on them |
//! | [`parents`] | what objects stand on: a connection, a project |
//! | [`connection`] | the room of the two connection kinds |
//! | [`project`] | the room of `SupabaseProject`: create, follow, delete |
//! | [`auth_config`] | the room of `SupabaseAuthConfig`: its table of fields |
//! | [`outputs`] | pure: from the facts of a project to the data of a Secret or `ConfigMap` |
//! | [`consent`] | a person lets the operator act for an organization: the OAuth consent flow |
//! | [`settings`] | pure: declared settings against those of the platform, for every kind |
//! | [`controller`] | the engine: one reconcile for every kind, its watches, events and error policy |
//! | [`run`] | wires everything for one term of leadership |
//! | [`leader`] | the claim to lead, which expires by itself |
//! | [`keys`] | the keys that the operator makes for itself |
//! | [`kubernetes`] | the few calls to the API server, with errors that say what to do next |
//! | [`seen`] | what the cache holds of our kinds |
//! | [`slots`] | a slot to work in, given back while waiting |
//! | [`ending`] | namespaces that are being deleted and took rights with them |
//! | [`environment`] | cluster, platform, time and randomness, as `main` or a test makes them |
//! | [`options`] | every tunable, once |
//! | [`health`] | probes and metrics over HTTP |
//! | [`serving`] | HTTP within bounds |
//! | [`versions`] | whether Secrets are still as they were left |
//! | [`telemetry`] | logs and metrics |
//! | [`crds`] | printing and applying the custom resource definitions |

pub mod api;
pub mod auth_config;
pub mod connection;
pub mod consent;
pub mod controller;
pub mod crds;
mod dependents;
pub mod ending;
pub mod environment;
pub mod health;
pub mod inventory;
pub mod keys;
pub mod kubernetes;
pub mod leader;
pub mod management;
pub mod options;
pub mod outputs;
pub mod parents;
pub mod project;
pub mod rules;
pub mod run;
pub mod seen;
pub mod serving;
pub mod session;
pub mod settings;
pub mod slots;
mod tasks;
pub mod telemetry;
pub mod versions;
