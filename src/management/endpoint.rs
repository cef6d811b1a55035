//! THE TABLE OF ENDPOINTS: every one that is called, once, with all that is the same for each of its calls.
//!
//! What a call carries is in [`super::endpoints`] and [`super::settings`], what an answer holds in [`super::wire`]. Permissions and
//! OAuth scopes are those of the API's description (platform.md §2); a test holds the table against it.

use http::Method;

/// What the platform counts a call for, besides identity and endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Nothing.
    Alone,
    /// The organization.
    Organization,
    /// The project.
    Project,
}

#[derive(Clone, Debug)]
struct Row {
    name: &'static str,
    method: Method,
    path: &'static str,
    counted: Counted,
    /// The permissions that a credential needs; none where the endpoint takes no token, or the description names none.
    permissions: &'static [&'static str],
    /// Whether it changes declared settings: a refusal speaks of their values.
    settings: bool,
}

macro_rules! endpoints {
    ($($variant:ident: $method:ident $path:literal, $name:literal, $counted:ident, [$($permission:literal),*] $(, $settings:ident)?;)+) => {
        /// Every endpoint that is called.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Endpoint { $(#[doc = concat!("`", stringify!($method), " ", $path, "`")] $variant,)+ }

        impl Endpoint {
            /// Every endpoint, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        name: $name,
                        method: Method::$method,
                        path: $path,
                        counted: Counted::$counted,
                        permissions: &[$($permission),*],
                        settings: false $(|| endpoints!(@ $settings))?,
                    },)+
                }
            }
        }
    };
    (@ settings) => { true };
}

// Only reads are repeated, by whoever sends them; everything else is sent once.
endpoints! {
    Organizations: GET "/v1/organizations", "list_organizations", Alone, ["organizations_read"];
    OrganizationProjects: GET "/v1/organizations/{slug}/projects", "list_projects", Organization, ["organization_projects_read"];
    Regions: GET "/v1/projects/available-regions", "list_regions", Alone, [];
    CreateProject: POST "/v1/projects", "create_project", Alone, ["organization_projects_create"];
    Project: GET "/v1/projects/{ref}", "get_project", Project, ["project_admin_read"];
    RenameProject: PATCH "/v1/projects/{ref}", "rename_project", Project, ["project_admin_write"];
    DeleteProject: DELETE "/v1/projects/{ref}", "delete_project", Project, ["project_admin_write"];
    PauseProject: POST "/v1/projects/{ref}/pause", "pause_project", Project, ["project_admin_write"];
    RestoreProject: POST "/v1/projects/{ref}/restore", "restore_project", Project, ["project_admin_write"];
    Health: GET "/v1/projects/{ref}/health", "get_health", Project, ["project_admin_read"];
    ApiKeys: GET "/v1/projects/{ref}/api-keys", "list_api_keys", Project, ["api_gateway_keys_read"];
    Pooler: GET "/v1/projects/{ref}/config/database/pooler", "get_pooler", Project, ["database_pooling_config_read"];
    ChangePassword: PATCH "/v1/projects/{ref}/database/password", "change_password", Project, ["database_config_write"];
    SslEnforcement: GET "/v1/projects/{ref}/ssl-enforcement", "get_ssl_enforcement", Project, ["database_ssl_config_read"];
    SetSslEnforcement: PUT "/v1/projects/{ref}/ssl-enforcement", "set_ssl_enforcement", Project, ["database_ssl_config_write"], settings;
    NetworkRestrictions: GET "/v1/projects/{ref}/network-restrictions", "get_network_restrictions", Project, ["database_network_restrictions_read"];
    RestrictNetworks: POST "/v1/projects/{ref}/network-restrictions/apply", "apply_network_restrictions", Project, ["database_network_restrictions_write"], settings;
    DataApi: GET "/v1/projects/{ref}/postgrest", "get_data_api", Project, ["data_api_config_read"];
    ChangeDataApi: PATCH "/v1/projects/{ref}/postgrest", "update_data_api", Project, ["data_api_config_write"], settings;
    Parameters: GET "/v1/projects/{ref}/config/database/postgres", "get_postgres_config", Project, ["database_config_read"];
    ReplaceParameters: PUT "/v1/projects/{ref}/config/database/postgres", "replace_postgres_config", Project, ["database_config_write"], settings;
    AuthConfig: GET "/v1/projects/{ref}/config/auth", "get_auth_config", Project, ["auth_config_read"];
    ChangeAuthConfig: PATCH "/v1/projects/{ref}/config/auth", "update_auth_config", Project, ["auth_config_write", "project_admin_write"], settings;
    Token: POST "/v1/oauth/token", "refresh_token", Alone, [];
    Revoke: POST "/v1/oauth/revoke", "revoke_authorization", Alone, [];
}

impl Endpoint {
    /// The endpoint's name in metrics, logs and messages.
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// The method that it is called with.
    pub fn method(self) -> Method {
        self.row().method
    }

    /// Its path, with its parameters named.
    pub fn path(self) -> &'static str {
        self.row().path
    }

    /// The permissions that a credential needs for it.
    pub fn permissions(self) -> &'static [&'static str] {
        self.row().permissions
    }

    /// Whether it is about one project, by its ref.
    pub fn is_of_a_project(self) -> bool {
        matches!(self.row().counted, Counted::Project)
    }

    /// Whether it changes declared settings: a refusal speaks of their values.
    pub fn changes_settings(self) -> bool {
        self.row().settings
    }

    /// Whether it only reads, and may be repeated at will.
    pub fn is_read(self) -> bool {
        self.method() == Method::GET
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

    #[test]
    fn what_is_counted_is_in_the_path() {
        for endpoint in Endpoint::ALL {
            let (counted, path) = (endpoint.row().counted, endpoint.path());
            assert_eq!(counted == Counted::Project, path.contains("{ref}"), "{path}");
            assert_eq!(counted == Counted::Organization, path.contains("{slug}"), "{path}");
            assert!(!endpoint.changes_settings() || !endpoint.is_read(), "{path}");
        }
    }

    #[test]
    fn the_table_is_what_the_description_of_the_api_says() {
        // The description is not part of the repository.
        let Some(file) = std::env::var_os("SUPABASE_OPENAPI") else {
            return;
        };
        let text = std::fs::read_to_string(file).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        for endpoint in Endpoint::ALL {
            let (path, method) = (endpoint.path(), endpoint.method().as_str().to_lowercase());
            let operation = &document["paths"][path][&method];
            assert!(operation.is_object(), "{method} {path} is not there");
            let named: BTreeSet<_> = operation["security"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|one| one["fga_permissions"].as_array())
                .flatten()
                .filter_map(serde_json::Value::as_str)
                .collect();
            assert_eq!(named, endpoint.permissions().iter().copied().collect(), "{method} {path}");
        }
    }
}
