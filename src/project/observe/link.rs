//! The connection and the organization of a project. Whether a connection of the cluster admits the namespace is looked at
//! live.

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt as _};

use super::SETTLE;
use crate::api::connection;
use crate::api::project::ConnectionKind;
use crate::api::{ClusterSupabaseConnection, Reason, SupabaseConnection, SupabaseProject};
use crate::kubernetes::{self, Bare, Error};
use crate::project::Projects;
use crate::project::facts::{Observed, Problem};
use crate::session::{ConnectionId, Session, SessionState};

/// The connection and its session.
pub(super) async fn link(
    projects: &Projects,
    project: &SupabaseProject,
    observed: &mut Observed,
) -> Result<Option<Session>, Error> {
    let client = &projects.context.client;
    let namespace = project.namespace().unwrap_or_default();
    let wanted = &project.spec.connection_ref;
    let name = &wanted.name;
    let id = ConnectionId::of(project);
    let kind = wanted.kind.as_str();
    let missing = || {
        Problem::new(
            Reason::ConnectionNotFound,
            format!("{kind} {name} does not exist; create it, or correct spec.connectionRef"),
        )
    };
    let mut problem = None;
    match wanted.kind {
        ConnectionKind::SupabaseConnection => {
            // Whether it is accepted, the session knows. One that was not seen yet may have been made a moment ago.
            let api: Api<SupabaseConnection> = Api::namespaced(client.clone(), &namespace);
            let there = projects.connections.has(&id.key())
                || kubernetes::see::<_, Bare>(&api, name).await?.is_some();
            if there {
                observed.link.adoption = true;
            } else {
                problem = Some(missing());
            }
        }
        ConnectionKind::ClusterSupabaseConnection if !projects.cluster_connections => {
            problem = Some(Problem::new(
                Reason::ConnectionNotFound,
                "this operator serves single namespaces and no ClusterSupabaseConnection; use a SupabaseConnection",
            ));
        }
        ConnectionKind::ClusterSupabaseConnection => {
            problem = cluster_link(projects, name, &namespace, observed).await?;
            if problem.as_ref().is_some_and(|problem| problem.reason == Reason::ConnectionNotFound)
            {
                problem = Some(missing());
            }
        }
    }
    let forbidden =
        problem.as_ref().is_some_and(|problem| problem.reason == Reason::NamespaceNotAllowed);
    if problem.is_none() {
        observed.unsettled = !projects.sessions.settled(&id, SETTLE).await;
    }
    let session = projects.sessions.find(&id).filter(|_| !forbidden);
    if problem.is_none() {
        let not_ready = |why: &str| {
            Problem::new(
                Reason::ConnectionNotReady,
                format!("{kind} {name} is not ready: {why}; its own conditions say what to do"),
            )
        };
        problem = match session.as_ref().map(Session::state) {
            None => Some(not_ready("it has not been accepted by the platform yet")),
            Some(SessionState::Usable) => None,
            // What was said before goes on.
            Some(SessionState::Unknown) => {
                observed.unsettled = true;
                None
            }
            Some(SessionState::Unusable { reason, .. }) => Some(not_ready(reason.as_str())),
        };
    }
    observed.link.problem = problem;
    observed.link.reachable = session.is_some();
    observed.link.limited = session.as_ref().is_some_and(Session::may_be_limited_to_projects);
    Ok(session)
}

/// A connection of the cluster, and whether it admits the namespace.
async fn cluster_link(
    projects: &Projects,
    name: &str,
    namespace: &str,
    observed: &mut Observed,
) -> Result<Option<Problem>, Error> {
    let api: Api<ClusterSupabaseConnection> = Api::all(projects.context.client.clone());
    let Some(connection) = kubernetes::get(&api, name).await? else {
        return Ok(Some(Problem::new(Reason::ConnectionNotFound, "")));
    };
    observed.link.adoption = connection.spec.adoption == connection::Adoption::Allowed;
    let admitted = admits(projects, &connection, namespace).await?;
    Ok((!admitted).then(|| {
        Problem::new(
            Reason::NamespaceNotAllowed,
            format!(
                "ClusterSupabaseConnection {name} does not admit the namespace {namespace}; ask for it in \
                 spec.allowedNamespaces, or use a SupabaseConnection"
            ),
        )
    }))
}

async fn admits(
    projects: &Projects,
    connection: &ClusterSupabaseConnection,
    namespace: &str,
) -> Result<bool, Error> {
    let Some(allowed) = &connection.spec.allowed_namespaces else {
        return Ok(false);
    };
    if allowed.names.iter().any(|name| name == namespace) {
        return Ok(true);
    }
    let Some(selector) = &allowed.selector else {
        return Ok(false);
    };
    let api: Api<Namespace> = Api::all(projects.context.client.clone());
    let found = kubernetes::get(&api, namespace).await?;
    Ok(found.is_some_and(|found| connection::selects(selector, found.labels())))
}

/// The organization: what is recorded of an attempt or a project, else what the spec and the connection give.
pub(super) fn organization(
    project: &SupabaseProject,
    session: Option<&Session>,
) -> Result<String, Problem> {
    let status = project.status.as_ref();
    let bound =
        status.is_some_and(|status| status.reference.is_some() || status.has_unsettled_attempt());
    let recorded = status.and_then(|status| status.organization_slug.clone()).filter(|_| bound);
    let seen: Vec<String> = session
        .map(|session| session.organizations().iter().map(|one| one.slug.to_string()).collect())
        .unwrap_or_default();
    let wanted = project.spec.organization_slug.as_ref();
    if session.is_none() {
        return Ok(recorded.or_else(|| wanted.cloned()).unwrap_or_default());
    }
    let one = match recorded.or_else(|| wanted.cloned()) {
        Some(slug) => slug,
        None => match seen.as_slice() {
            [one] => one.clone(),
            [] => {
                let message =
                    "the connection sees no organization; check its token and its organizationSlug";
                return Err(Problem::new(Reason::OrganizationNotAllowed, message));
            }
            several => {
                let message = format!(
                    "the connection sees {} organizations; name one in spec.organizationSlug",
                    several.len()
                );
                return Err(Problem::new(Reason::OrganizationRequired, message));
            }
        },
    };
    if seen.contains(&one) {
        Ok(one)
    } else {
        let message = format!("the connection does not see or admit the organization {one}");
        Err(Problem::new(Reason::OrganizationNotAllowed, message))
    }
}
