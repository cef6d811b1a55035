//! The outside: a client of Supabase's Management API and its OAuth token endpoint.
//!
//! A [`Call`] says what to ask, as pure data without a token; a [`Client`] sends one call and gives an
//! [`Exchange`]: the answer or an [`Error`] that says what to do next. Nothing here is repeated, counted
//! against a budget or refreshed: that is the session's. Knows neither Kubernetes nor our own kinds, so
//! that the API's oddities stay in one room. The only seam is [`Transport`], one HTTP exchange.

mod base;
mod call;
mod classify;
mod client;
mod endpoint;
mod endpoints;
mod error;
mod headers;
mod network;
mod oauth;
mod remote;
mod sending;
mod settings;
#[cfg(test)]
mod tests;
mod transport;
pub mod wire;

pub use base::{BadBaseUrl, BaseUrl};
pub use call::Call;
pub use client::{Answer, Client, Exchange};
pub use endpoint::Endpoint;
pub use endpoints::{
    NewProject, READS_SECRET_KEYS, Region, Sort, api_keys, available_regions, change_password,
    count_active_projects, create_project, delete_project, health, organization_projects,
    organizations, pause_project, pooler, project, rename_project, restore_project, shown_api_keys,
};
pub use error::{Credential, Error, Field, Forbidden, Rejection, Remedy, Withheld};
pub use headers::RateHeaders;
pub use network::{BadProxy, Network, NetworkError, Proxy};
pub use oauth::{
    Authorization, DASHBOARD_ORIGIN, OAuthApp, TokenGrant, exchange_code, refresh_token, revoke,
};
pub use settings::{
    auth_config, change_auth_config, change_data_api, data_api, network_restrictions, parameters,
    replace_parameters, restrict_networks, set_ssl_enforcement, ssl_enforcement,
};
pub use transport::{Connection, Limits, Sent, Transport, TransportError, TransportKind};
pub use wire::{
    ApiKey, Change, CreatedProject, DataApi, Database, Given, KeyKind, ListedProject,
    NetworkRestrictions, Organization, OrganizationSlug, PoolMode, PoolerEntry, Project,
    ProjectPage, ProjectRef, Regions, Service, ServiceHealth, ServiceState, Setting, Settings,
    SslEnforcement, Status, UnreadableProject,
};
