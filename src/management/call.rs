//! What to ask: a call as pure data, without a token.

use std::fmt;
use std::time::Duration;

use http::Method;
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::transport::Limits;
use super::wire::Undecodable;

/// Every endpoint that is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// `GET /v1/organizations`
    Organizations,
    /// `GET /v1/organizations/{slug}/projects`
    OrganizationProjects,
    /// `POST /v1/projects`
    CreateProject,
    /// `GET /v1/projects/{ref}`
    Project,
    /// `PATCH /v1/projects/{ref}`
    RenameProject,
    /// `DELETE /v1/projects/{ref}`
    DeleteProject,
    /// `POST /v1/projects/{ref}/pause`
    PauseProject,
    /// `POST /v1/projects/{ref}/restore`
    RestoreProject,
    /// `GET /v1/projects/{ref}/health`
    Health,
    /// `GET /v1/projects/{ref}/api-keys`
    ApiKeys,
    /// `GET /v1/projects/{ref}/config/database/pooler`
    Pooler,
    /// `PATCH /v1/projects/{ref}/database/password`
    ChangePassword,
    /// `GET /v1/projects/{ref}/ssl-enforcement`
    SslEnforcement,
    /// `PUT /v1/projects/{ref}/ssl-enforcement`
    SetSslEnforcement,
    /// `GET /v1/projects/{ref}/network-restrictions`
    NetworkRestrictions,
    /// `POST /v1/projects/{ref}/network-restrictions/apply`
    RestrictNetworks,
    /// `GET /v1/projects/{ref}/postgrest`
    DataApi,
    /// `PATCH /v1/projects/{ref}/postgrest`
    ChangeDataApi,
    /// `GET /v1/projects/{ref}/config/database/postgres`
    Parameters,
    /// `PUT /v1/projects/{ref}/config/database/postgres`
    ReplaceParameters,
    /// `GET /v1/projects/{ref}/config/auth`
    AuthConfig,
    /// `PATCH /v1/projects/{ref}/config/auth`
    ChangeAuthConfig,
    /// `POST /v1/oauth/token`
    Token,
    /// `POST /v1/oauth/revoke`
    Revoke,
}

impl Endpoint {
    /// Whether it is about one project, by its ref.
    pub const fn is_of_a_project(self) -> bool {
        match self {
            Self::Project
            | Self::RenameProject
            | Self::DeleteProject
            | Self::PauseProject
            | Self::RestoreProject
            | Self::Health
            | Self::ApiKeys
            | Self::Pooler
            | Self::ChangePassword
            | Self::SslEnforcement
            | Self::SetSslEnforcement
            | Self::NetworkRestrictions
            | Self::RestrictNetworks
            | Self::DataApi
            | Self::ChangeDataApi
            | Self::Parameters
            | Self::ReplaceParameters
            | Self::AuthConfig
            | Self::ChangeAuthConfig => true,
            Self::Organizations
            | Self::OrganizationProjects
            | Self::CreateProject
            | Self::Token
            | Self::Revoke => false,
        }
    }

    /// Every endpoint.
    pub const ALL: [Self; 24] = [
        Self::Organizations,
        Self::OrganizationProjects,
        Self::CreateProject,
        Self::Project,
        Self::RenameProject,
        Self::DeleteProject,
        Self::PauseProject,
        Self::RestoreProject,
        Self::Health,
        Self::ApiKeys,
        Self::Pooler,
        Self::ChangePassword,
        Self::SslEnforcement,
        Self::SetSslEnforcement,
        Self::NetworkRestrictions,
        Self::RestrictNetworks,
        Self::DataApi,
        Self::ChangeDataApi,
        Self::Parameters,
        Self::ReplaceParameters,
        Self::AuthConfig,
        Self::ChangeAuthConfig,
        Self::Token,
        Self::Revoke,
    ];

    /// The endpoint's name in metrics, logs and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organizations => "list_organizations",
            Self::OrganizationProjects => "list_projects",
            Self::CreateProject => "create_project",
            Self::Project => "get_project",
            Self::RenameProject => "rename_project",
            Self::DeleteProject => "delete_project",
            Self::PauseProject => "pause_project",
            Self::RestoreProject => "restore_project",
            Self::Health => "get_health",
            Self::ApiKeys => "list_api_keys",
            Self::Pooler => "get_pooler",
            Self::ChangePassword => "change_password",
            Self::SslEnforcement => "get_ssl_enforcement",
            Self::SetSslEnforcement => "set_ssl_enforcement",
            Self::NetworkRestrictions => "get_network_restrictions",
            Self::RestrictNetworks => "apply_network_restrictions",
            Self::DataApi => "get_data_api",
            Self::ChangeDataApi => "update_data_api",
            Self::Parameters => "get_postgres_config",
            Self::ReplaceParameters => "replace_postgres_config",
            Self::AuthConfig => "get_auth_config",
            Self::ChangeAuthConfig => "update_auth_config",
            Self::Token => "refresh_token",
            Self::Revoke => "revoke_authorization",
        }
    }

    /// The method that it is called with.
    pub const fn method(self) -> Method {
        match self {
            Self::Organizations
            | Self::OrganizationProjects
            | Self::Project
            | Self::Health
            | Self::ApiKeys
            | Self::Pooler
            | Self::SslEnforcement
            | Self::NetworkRestrictions
            | Self::DataApi
            | Self::Parameters
            | Self::AuthConfig => Method::GET,
            Self::CreateProject
            | Self::PauseProject
            | Self::RestoreProject
            | Self::RestrictNetworks
            | Self::Token
            | Self::Revoke => Method::POST,
            Self::SetSslEnforcement | Self::ReplaceParameters => Method::PUT,
            Self::RenameProject
            | Self::ChangePassword
            | Self::ChangeDataApi
            | Self::ChangeAuthConfig => Method::PATCH,
            Self::DeleteProject => Method::DELETE,
        }
    }

    /// Whether it changes declared settings: a refusal speaks of their values.
    pub const fn changes_settings(self) -> bool {
        matches!(
            self,
            Self::SetSslEnforcement
                | Self::RestrictNetworks
                | Self::ChangeDataApi
                | Self::ReplaceParameters
                | Self::ChangeAuthConfig
        )
    }

    /// Whether it only reads, and may be repeated at will.
    pub fn is_read(self) -> bool {
        self.method() == Method::GET
    }
}

/// The body of a call; cleared from memory afterwards.
#[derive(Clone)]
pub(super) enum Body {
    Json(Zeroizing<Vec<u8>>),
    Form(Zeroizing<Vec<u8>>),
}

/// Proof of an OAuth client, for the token endpoint.
#[derive(Clone)]
pub(super) struct ClientProof {
    pub(super) client_id: String,
    pub(super) client_secret: SecretString,
}

/// One call: what to ask, how long to wait, and how to read the answer. Holds no token.
pub struct Call<T> {
    pub(super) endpoint: Endpoint,
    pub(super) scope: String,
    pub(super) path: String,
    pub(super) body: Option<Body>,
    pub(super) client: Option<ClientProof>,
    pub(super) limits: Limits,
    pub(super) tentative: bool,
    pub(super) decode: fn(&str, &[u8]) -> Result<T, Undecodable>,
}

impl<T> Call<T> {
    pub(super) const fn new(
        endpoint: Endpoint,
        scope: String,
        path: String,
        decode: fn(&str, &[u8]) -> Result<T, Undecodable>,
    ) -> Self {
        Self {
            endpoint,
            scope,
            path,
            body: None,
            client: None,
            limits: Limits::ORDINARY,
            tentative: false,
            decode,
        }
    }

    pub(super) fn with_body(mut self, body: Body) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    pub(super) const fn tentative(mut self) -> Self {
        self.tentative = true;
        self
    }

    /// Whether it asks for more than the endpoint gives to everybody who may use it: that it is forbidden says nothing
    /// about the endpoint itself.
    pub const fn is_tentative(&self) -> bool {
        self.tentative
    }

    /// The endpoint.
    pub const fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// What its rate limit is counted for besides identity and endpoint: a ref, a slug, or nothing.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// How long it may take as a whole.
    pub const fn deadline(&self) -> Duration {
        self.limits.whole
    }

    /// The same call, to be over after `whole`.
    #[must_use]
    pub const fn within(mut self, whole: Duration) -> Self {
        self.limits.whole = whole;
        self
    }
}

impl<T> Clone for Call<T> {
    fn clone(&self) -> Self {
        Self {
            endpoint: self.endpoint,
            scope: self.scope.clone(),
            path: self.path.clone(),
            body: self.body.clone(),
            client: self.client.clone(),
            limits: self.limits,
            tentative: self.tentative,
            decode: self.decode,
        }
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Call")
            .field("endpoint", &self.endpoint)
            .field("scope", &self.scope)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_endpoint_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Endpoint::ALL.iter().map(|endpoint| endpoint.as_str()).collect();
        assert_eq!(names.len(), Endpoint::ALL.len());
    }
}
