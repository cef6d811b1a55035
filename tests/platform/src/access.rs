//! Who is calling, and what that caller may do.
//!
//! Reads the world's tokens and members, changes nothing.

use std::collections::BTreeSet;

use http::{HeaderMap, header};
use serde_json::json;

use crate::answer::Reply;
use crate::oauth::{PatReach, Permissions};
use crate::project::Project;
use crate::routes::{Operation, Route, Scope};
use crate::world::{Call, World};
use crate::{ForeignRef, Gone};

/// Whose credential a request carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// None, or none that is accepted.
    Anonymous,
    /// A personal access token.
    Pat {
        /// The user.
        user: String,
        /// The token's number, in the order of [`crate::World::add_pat`].
        number: usize,
    },
    /// An OAuth access token.
    App {
        /// The app.
        client_id: String,
        /// The organization that it was authorized for.
        organization: String,
    },
    /// A hand in the dashboard.
    Dashboard,
}

/// An authenticated caller.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) identity: Identity,
    pub(crate) user: String,
    pub(crate) organizations: BTreeSet<String>,
    /// The projects it is limited to.
    pub(crate) projects: Option<BTreeSet<String>>,
    pub(crate) grant: Grant,
}

/// What a caller may do with what it can reach.
#[derive(Clone, Debug)]
pub(crate) enum Grant {
    Nothing,
    Everything,
    Scopes(BTreeSet<String>),
    /// Those of an authorization that has lost its scopes.
    Lost,
    Permissions(Permissions),
}

impl Caller {
    pub(crate) fn anonymous() -> Self {
        Self {
            identity: Identity::Anonymous,
            user: String::new(),
            organizations: BTreeSet::new(),
            projects: None,
            grant: Grant::Nothing,
        }
    }

    /// The limiter's name for the caller: the app, else the user, else the address.
    pub(crate) fn bucket(&self) -> String {
        match &self.identity {
            Identity::App { client_id, .. } => format!("app {client_id}"),
            Identity::Pat { user, .. } => format!("user {user}"),
            Identity::Anonymous | Identity::Dashboard => "address".to_owned(),
        }
    }

    /// Refuses what the credential was not granted.
    pub(crate) fn admit(&self, route: &Route) -> Result<(), Reply> {
        match (&self.grant, route.scope) {
            (_, Scope::Public) | (Grant::Everything, _) => Ok(()),
            (Grant::Nothing, _) => Err(Reply::unauthorized()),
            (Grant::Scopes(granted), Scope::Needs(scope)) if granted.contains(scope) => Ok(()),
            (Grant::Lost, _) => Err(Reply::scopes_lost()),
            (Grant::Scopes(_), Scope::Unlisted) => Err(Reply::not_for_oauth()),
            (Grant::Scopes(_), Scope::Needs(_)) => Err(Reply::forbidden()),
            (Grant::Permissions(_), _) if route.operation == Operation::GetProfile => {
                Err(Reply::forbidden())
            }
            (Grant::Permissions(permissions), _) => {
                let missing: Vec<_> =
                    route.permissions.iter().filter(|name| !permissions.allow(name)).collect();
                if missing.is_empty() { Ok(()) } else { Err(missing_permissions(&json!(missing))) }
            }
        }
    }

    /// Refuses `permission` to a fine-grained token without it, in general words as the platform does.
    pub(crate) fn require(&self, permission: &str) -> Result<(), Reply> {
        match &self.grant {
            Grant::Permissions(permissions) if !permissions.allow(permission) => {
                Err(Reply::forbidden())
            }
            Grant::Permissions(_)
            | Grant::Nothing
            | Grant::Everything
            | Grant::Lost
            | Grant::Scopes(_) => Ok(()),
        }
    }

    /// Whether the credential reaches a project at all.
    pub(crate) fn reaches(&self, project: &Project) -> bool {
        self.organizations.contains(&project.organization)
            && self.projects.as_ref().is_none_or(|limit| limit.contains(&project.reference))
    }
}

fn missing_permissions(missing: &serde_json::Value) -> Reply {
    Reply::json(
        403,
        json!({
            "message": "Your access token does not have the permissions that this endpoint requires.",
            "missing_permissions": missing,
        }),
    )
}

/// The token of an `Authorization: Bearer` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (kind, token) = value.split_once(' ')?;
    kind.eq_ignore_ascii_case("bearer").then_some(token)
}

impl World {
    /// The caller behind the headers; an unknown or dead token is nobody.
    pub(crate) fn identify(&self, headers: &HeaderMap) -> Caller {
        bearer(headers)
            .and_then(|token| self.holder_of_pat(token).or_else(|| self.holder_of_access(token)))
            .unwrap_or_else(Caller::anonymous)
    }

    fn holder_of_pat(&self, token: &str) -> Option<Caller> {
        let (number, stored) = self
            .oauth
            .pats
            .iter()
            .enumerate()
            .find(|(_, stored)| stored.token.reveal() == token)?;
        if stored.revoked || stored.pat.expires_at.is_some_and(|at| at <= self.now) {
            return None;
        }
        let user = stored.pat.user.clone();
        let mut organizations = self.organizations_of(&user);
        let mut projects = None;
        match &stored.pat.reach {
            PatReach::Everything => {}
            PatReach::Organizations(limit) => organizations.retain(|slug| limit.contains(slug)),
            PatReach::Projects(limit) => projects = Some(limit.clone()),
        }
        let grant = stored.pat.permissions.clone().map_or(Grant::Everything, Grant::Permissions);
        Some(Caller {
            identity: Identity::Pat { user: user.clone(), number },
            user,
            organizations,
            projects,
            grant,
        })
    }

    fn holder_of_access(&self, token: &str) -> Option<Caller> {
        let access = self.oauth.accesses.get(token)?;
        let authorization = self.oauth.authorizations.get(access.authorization)?;
        if authorization.revoked || access.dies_at <= self.now {
            return None;
        }
        Some(Caller {
            identity: Identity::App {
                client_id: authorization.client_id.clone(),
                organization: authorization.organization.clone(),
            },
            user: authorization.user.clone(),
            organizations: BTreeSet::from([authorization.organization.clone()]),
            projects: authorization.projects.clone(),
            grant: if authorization.scopes_lost {
                Grant::Lost
            } else {
                Grant::Scopes(authorization.scopes.clone())
            },
        })
    }

    pub(crate) fn organizations_of(&self, user: &str) -> BTreeSet<String> {
        self.organizations
            .values()
            .filter(|organization| organization.members.contains(user))
            .map(|organization| organization.slug.clone())
            .collect()
    }

    /// The project that a call names, if the caller may know it.
    pub(crate) fn target(&self, call: &Call<'_>) -> Result<&Project, Reply> {
        let project = self.projects.get(call.reference()).ok_or_else(Reply::project_not_found)?;
        if !call.caller.organizations.contains(&project.organization) {
            return Err(match self.config.foreign_ref {
                ForeignRef::Forbidden => Reply::forbidden(),
                ForeignRef::NotFound => Reply::project_not_found(),
            });
        }
        if !call.caller.reaches(project) {
            return Err(Reply::forbidden());
        }
        if project.gone {
            return Err(self.gone());
        }
        if self.now < crate::clock::later(project.created_at, self.config.get_visibility_lag) {
            return Err(Reply::project_not_found());
        }
        let for_branches_too = !matches!(
            call.operation,
            Operation::GetProject | Operation::UpdateProject | Operation::DeleteProject
        );
        if project.branch_of.is_some() && !for_branches_too {
            return Err(Reply::project_not_found());
        }
        Ok(project)
    }

    /// What a removed ref answers.
    pub(crate) fn gone(&self) -> Reply {
        match self.config.gone {
            Gone::NotFound => Reply::project_not_found(),
            Gone::Removed => Reply::error(400, "Resource has been removed"),
            Gone::RemovedNotFound => Reply::error(404, "Resource has been removed"),
        }
    }
}
