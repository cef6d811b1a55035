//! The table of endpoints: method, path, OAuth scope, fine-grained permissions.
//!
//! Separate from the endpoints themselves, because access and rate limits are decided by this table
//! alone, as on the real platform.

use http::Method;

/// An endpoint's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    ListOrganizations,
    CreateOrganization,
    GetOrganization,
    GetEntitlements,
    ListMembers,
    ListOrganizationProjects,
    ListProjects,
    CreateProject,
    ListRegions,
    GetProject,
    UpdateProject,
    DeleteProject,
    PauseProject,
    ListRestoreVersions,
    RestoreProject,
    CancelRestore,
    RestartProject,
    GetHealth,
    ListKeys,
    CreateKey,
    GetLegacyKeys,
    SetLegacyKeys,
    GetKey,
    UpdateKey,
    DeleteKey,
    GetPooler,
    UpdatePooler,
    ChangePassword,
    GetAuth,
    UpdateAuth,
    GetSsl,
    SetSsl,
    GetRestrictions,
    PatchRestrictions,
    ApplyRestrictions,
    GetPostgres,
    ReplacePostgres,
    PatchPostgres,
    GetDataApi,
    UpdateDataApi,
    GetAddons,
    ChooseAddon,
    RemoveAddon,
    GetStorage,
    UpdateStorage,
    GetRealtime,
    UpdateRealtime,
    GetOverview,
    ListBranches,
    GetProfile,
    Authorize,
    Token,
    Revoke,
}

/// What an OAuth token needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// No credential at all.
    Public,
    /// No OAuth token will do.
    Unlisted,
    /// This scope.
    Needs(&'static str),
}

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) pattern: &'static str,
    /// Method and pattern: the limiter's name for it.
    pub(crate) label: &'static str,
    pub(crate) scope: Scope,
    pub(crate) permissions: &'static [&'static str],
    pub(crate) operation: Operation,
}

macro_rules! routes {
    ($($method:ident $pattern:literal $scope:expr, [$($permission:literal)*] => $operation:ident;)*) => {
        const ROUTES: &[Route] = &[$(Route {
            method: Method::$method,
            pattern: $pattern,
            label: concat!(stringify!($method), " ", $pattern),
            scope: $scope,
            permissions: &[$($permission),*],
            operation: Operation::$operation,
        }),*];
    };
}

use Scope::{Needs, Public, Unlisted};

routes! {
    GET "/v1/profile" Unlisted, [] => GetProfile;
    GET "/v1/oauth/authorize" Public, [] => Authorize;
    POST "/v1/oauth/token" Public, [] => Token;
    POST "/v1/oauth/revoke" Public, [] => Revoke;
    GET "/v1/organizations" Needs("organizations:read"), ["organizations_read"] => ListOrganizations;
    POST "/v1/organizations" Unlisted, ["organizations_create"] => CreateOrganization;
    GET "/v1/organizations/{slug}" Needs("organizations:read"), ["organization_admin_read"] => GetOrganization;
    GET "/v1/organizations/{slug}/entitlements" Needs("organizations:read"), ["organization_admin_read"] => GetEntitlements;
    GET "/v1/organizations/{slug}/members" Needs("organizations:read"), ["members_read"] => ListMembers;
    GET "/v1/organizations/{slug}/projects" Needs("projects:read"), ["organization_projects_read"] => ListOrganizationProjects;
    GET "/v1/projects" Needs("projects:read"), ["projects_read"] => ListProjects;
    POST "/v1/projects" Needs("projects:write"), ["organization_projects_create"] => CreateProject;
    GET "/v1/projects/available-regions" Needs("organizations:read"), [] => ListRegions;
    GET "/v1/projects/{ref}" Needs("projects:read"), ["project_admin_read"] => GetProject;
    PATCH "/v1/projects/{ref}" Needs("projects:write"), ["project_admin_write"] => UpdateProject;
    DELETE "/v1/projects/{ref}" Needs("projects:write"), ["project_admin_write"] => DeleteProject;
    POST "/v1/projects/{ref}/pause" Needs("projects:write"), ["project_admin_write"] => PauseProject;
    GET "/v1/projects/{ref}/restore" Needs("projects:read"), ["project_admin_read"] => ListRestoreVersions;
    POST "/v1/projects/{ref}/restore" Needs("projects:write"), ["project_admin_write"] => RestoreProject;
    POST "/v1/projects/{ref}/restore/cancel" Needs("projects:write"), ["project_admin_write"] => CancelRestore;
    POST "/v1/projects/{ref}/restart" Needs("projects:write"), ["project_admin_write"] => RestartProject;
    GET "/v1/projects/{ref}/health" Needs("projects:read"), ["project_admin_read"] => GetHealth;
    GET "/v1/projects/{ref}/api-keys" Needs("secrets:read"), ["api_gateway_keys_read"] => ListKeys;
    POST "/v1/projects/{ref}/api-keys" Needs("secrets:write"), ["api_gateway_keys_write"] => CreateKey;
    GET "/v1/projects/{ref}/api-keys/legacy" Needs("secrets:read"), ["api_gateway_keys_read"] => GetLegacyKeys;
    PUT "/v1/projects/{ref}/api-keys/legacy" Needs("secrets:write"), ["api_gateway_keys_write"] => SetLegacyKeys;
    GET "/v1/projects/{ref}/api-keys/{id}" Needs("secrets:read"), ["api_gateway_keys_read"] => GetKey;
    PATCH "/v1/projects/{ref}/api-keys/{id}" Needs("secrets:write"), ["api_gateway_keys_write"] => UpdateKey;
    DELETE "/v1/projects/{ref}/api-keys/{id}" Needs("secrets:write"), ["api_gateway_keys_write"] => DeleteKey;
    GET "/v1/projects/{ref}/config/database/pooler" Needs("database:read"), ["database_pooling_config_read"] => GetPooler;
    PATCH "/v1/projects/{ref}/config/database/pooler" Needs("database:write"), ["database_pooling_config_write"] => UpdatePooler;
    PATCH "/v1/projects/{ref}/database/password" Needs("database:write"), ["database_config_write"] => ChangePassword;
    GET "/v1/projects/{ref}/config/auth" Needs("auth:read"), ["auth_config_read"] => GetAuth;
    PATCH "/v1/projects/{ref}/config/auth" Needs("auth:write"), ["auth_config_write" "project_admin_write"] => UpdateAuth;
    GET "/v1/projects/{ref}/ssl-enforcement" Needs("database:read"), ["database_ssl_config_read"] => GetSsl;
    PUT "/v1/projects/{ref}/ssl-enforcement" Needs("database:write"), ["database_ssl_config_write"] => SetSsl;
    GET "/v1/projects/{ref}/network-restrictions" Needs("projects:read"), ["database_network_restrictions_read"] => GetRestrictions;
    PATCH "/v1/projects/{ref}/network-restrictions" Needs("projects:write"), ["database_network_restrictions_write"] => PatchRestrictions;
    POST "/v1/projects/{ref}/network-restrictions/apply" Needs("projects:write"), ["database_network_restrictions_write"] => ApplyRestrictions;
    GET "/v1/projects/{ref}/config/database/postgres" Needs("database:read"), ["database_config_read"] => GetPostgres;
    PUT "/v1/projects/{ref}/config/database/postgres" Needs("database:write"), ["database_config_write"] => ReplacePostgres;
    PATCH "/v1/projects/{ref}/config/database/postgres" Needs("database:write"), ["database_config_write"] => PatchPostgres;
    GET "/v1/projects/{ref}/postgrest" Needs("rest:read"), ["data_api_config_read"] => GetDataApi;
    PATCH "/v1/projects/{ref}/postgrest" Needs("rest:write"), ["data_api_config_write"] => UpdateDataApi;
    GET "/v1/projects/{ref}/billing/addons" Unlisted, ["infra_add_ons_read"] => GetAddons;
    PATCH "/v1/projects/{ref}/billing/addons" Unlisted, ["infra_add_ons_write"] => ChooseAddon;
    DELETE "/v1/projects/{ref}/billing/addons/{addon_variant}" Unlisted, ["infra_add_ons_write"] => RemoveAddon;
    GET "/v1/projects/{ref}/config/storage" Unlisted, ["storage_config_read"] => GetStorage;
    PATCH "/v1/projects/{ref}/config/storage" Unlisted, ["storage_config_write"] => UpdateStorage;
    GET "/v1/projects/{ref}/config/realtime" Unlisted, ["realtime_config_read"] => GetRealtime;
    PATCH "/v1/projects/{ref}/config/realtime" Unlisted, ["realtime_config_write"] => UpdateRealtime;
    GET "/v2/projects/{ref}/config" Unlisted, ["auth_config_read" "data_api_config_read" "database_config_read" "database_network_restrictions_read" "database_read" "database_ssl_config_read" "realtime_config_read" "storage_config_read"] => GetOverview;
    GET "/v1/projects/{ref}/branches" Needs("environment:read"), ["branching_development_read" "branching_production_read"] => ListBranches;
}

/// An endpoint of the simulated platform and who may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The method.
    pub method: &'static Method,
    /// The path, such as `/v1/projects/{ref}`.
    pub pattern: &'static str,
    /// The OAuth scope that it needs. Without one, no OAuth token will do, but for `/v1/oauth/`.
    pub scope: Option<&'static str>,
    /// The permissions that a scoped personal access token needs.
    pub permissions: &'static [&'static str],
}

/// Every endpoint of the simulated platform.
pub fn endpoints() -> impl Iterator<Item = Endpoint> {
    ROUTES.iter().map(|route| Endpoint {
        method: &route.method,
        pattern: route.pattern,
        scope: match route.scope {
            Scope::Needs(scope) => Some(scope),
            Scope::Public | Scope::Unlisted => None,
        },
        permissions: route.permissions,
    })
}

/// The endpoint of a request and what its placeholders stand for.
pub(crate) fn find<'a>(method: &Method, path: &'a str) -> Option<(&'static Route, Vec<&'a str>)> {
    ROUTES
        .iter()
        .filter(|route| route.method == *method)
        .find_map(|route| Some((route, captures(route.pattern, path)?)))
}

fn captures<'a>(pattern: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let mut found = Vec::new();
    let mut segments = path.split('/');
    for wanted in pattern.split('/') {
        let segment = segments.next()?;
        if wanted.starts_with('{') {
            if segment.is_empty() {
                return None;
            }
            found.push(segment);
        } else if wanted != segment {
            return None;
        }
    }
    segments.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(method: &Method, path: &str) -> Option<Operation> {
        find(method, path).map(|(route, _)| route.operation)
    }

    #[test]
    fn literal_segments_win_over_placeholders() {
        let get = Method::GET;
        assert_eq!(operation(&get, "/v1/projects/available-regions"), Some(Operation::ListRegions));
        assert_eq!(operation(&get, "/v1/projects/abc"), Some(Operation::GetProject));
        assert_eq!(
            operation(&get, "/v1/projects/abc/api-keys/legacy"),
            Some(Operation::GetLegacyKeys)
        );
        assert_eq!(operation(&get, "/v1/projects/abc/api-keys/7"), Some(Operation::GetKey));
    }

    #[test]
    fn unknown_paths_and_methods_are_not_found() {
        assert_eq!(operation(&Method::PUT, "/v1/projects/abc"), None);
        assert_eq!(operation(&Method::GET, "/v1/projects/"), None);
        assert_eq!(operation(&Method::GET, "/v1/projects/abc/"), None);
        assert_eq!(operation(&Method::GET, "/v2/projects"), None);
    }

    #[test]
    fn every_label_is_unique() {
        let labels: std::collections::BTreeSet<_> =
            ROUTES.iter().map(|route| route.label).collect();
        assert_eq!(labels.len(), ROUTES.len());
    }
}
