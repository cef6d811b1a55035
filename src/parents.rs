//! What objects stand on: a connection, and a project. Resolved here once, for every kind that does.
//!
//! Reads only. Whether a connection of the cluster admits the namespace is looked at live.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt as _};

use crate::api::connection;
use crate::api::project::{ConnectionKind, ConnectionRef};
use crate::api::{ClusterSupabaseConnection, Reason, SupabaseConnection, SupabaseProject};
use crate::controller::{Problem, Store};
use crate::kubernetes::{self, Bare, Error, Read};
use crate::rules::selector::selects;
use crate::seen::SeenConnection;
use crate::session::{ConnectionId, Session, SessionState, Sessions};

/// How long a reconcile waits for a connection that has not had its first one.
const SETTLE: Duration = Duration::from_secs(2);

/// Resolves what objects stand on. Cheap to clone.
#[derive(Clone)]
pub struct Parents {
    /// The API server.
    pub client: Client,
    /// The live credentials.
    pub sessions: Sessions,
    /// The connections of namespaces, as they were seen last.
    pub connections: Store<SeenConnection>,
    /// Whether `ClusterSupabaseConnection` may be used.
    pub cluster_connections: bool,
}

impl std::fmt::Debug for Parents {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Parents").finish_non_exhaustive()
    }
}

/// How a connection stands to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What is wrong with it for all work but deletion.
    pub problem: Option<Problem>,
    /// Whether calls can be tried at all: there is a session.
    pub reachable: bool,
    /// Whether projects that exist may be taken over through it.
    pub adoption: bool,
    /// Whether its credential may see only some projects of the organization.
    pub limited: bool,
}

impl Link {
    /// Nothing is known of it yet.
    pub const fn unknown() -> Self {
        Self { problem: None, reachable: false, adoption: false, limited: false }
    }
}

/// A connection that was looked up.
#[derive(Debug)]
pub struct Connected {
    /// How it stands to the object.
    pub link: Link,
    /// The session to call with.
    pub session: Option<Session>,
    /// Whether it has not been looked at yet since this process leads: what was said before goes on.
    pub unsettled: bool,
}

impl Connected {
    /// Why a connection of the cluster does nothing with a project of this organization that was adopted.
    fn refuses_adopted(&self, name: &str, organization: Option<&str>) -> Option<Problem> {
        if !self.link.adoption {
            let message = format!(
                "the project was adopted, and ClusterSupabaseConnection {name} looks after no adopted project; use a \
                 SupabaseConnection, or ask for spec.adoption: Allowed on the cluster's connection"
            );
            return Some(Problem::new(Reason::AdoptionForbidden, message));
        }
        let session = self.session.as_ref()?;
        // Before it is known what a connection sees, nothing is said of it.
        let known = matches!(session.state(), SessionState::Usable);
        let admitted =
            session.organizations().iter().any(|one| Some(one.slug.as_str()) == organization);
        (known && !admitted).then(|| {
            let message = format!(
                "the project was adopted, and ClusterSupabaseConnection {name} does not see or admit its organization; use a \
                 SupabaseConnection, or ask for it in spec.allowedOrganizations of the cluster's connection"
            );
            Problem::new(Reason::OrganizationNotAllowed, message)
        })
    }
}

impl Parents {
    /// The connection that an object of a namespace refers to.
    pub async fn connection(
        &self,
        namespace: &str,
        wanted: &ConnectionRef,
    ) -> Result<Connected, Error> {
        let (id, name) = (ConnectionId::named(namespace, wanted), &wanted.name);
        let kind = wanted.kind.as_str();
        let mut link = Link::unknown();
        let mut unsettled = false;
        let mut problem = match wanted.kind {
            ConnectionKind::SupabaseConnection => {
                // Whether it is accepted, the session knows. One that was not seen yet may have been made a moment ago.
                let api: Api<SupabaseConnection> = Api::namespaced(self.client.clone(), namespace);
                let there = self.connections.has(&id.key())
                    || kubernetes::see::<_, Bare>(&api, name).await?.is_some();
                link.adoption = there;
                (!there).then(|| missing(kind, name))
            }
            ConnectionKind::ClusterSupabaseConnection if !self.cluster_connections => {
                Some(Problem::new(
                    Reason::ConnectionNotFound,
                    "this operator serves single namespaces and no ClusterSupabaseConnection; use a SupabaseConnection",
                ))
            }
            ConnectionKind::ClusterSupabaseConnection => {
                self.cluster_connection(name, namespace, &mut link).await?
            }
        };
        let forbidden =
            problem.as_ref().is_some_and(|problem| problem.reason == Reason::NamespaceNotAllowed);
        if problem.is_none() {
            unsettled = !self.sessions.settled(&id, SETTLE).await;
        }
        let session = self.sessions.find(&id).filter(|_| !forbidden);
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
                    unsettled = true;
                    None
                }
                Some(SessionState::Unusable { reason, .. }) => Some(not_ready(reason.as_str())),
            };
        }
        link.problem = problem;
        link.reachable = session.is_some();
        link.limited = session.as_ref().is_some_and(Session::may_be_limited_to_projects);
        Ok(Connected { link, session, unsettled })
    }

    /// The connection that a project's object refers to. One of the cluster that would not let the project be adopted does nothing
    /// with a project that was, through whichever connection: else whoever may edit the object lends himself its rights.
    pub async fn connection_of(&self, project: &SupabaseProject) -> Result<Connected, Error> {
        let namespace = project.namespace().unwrap_or_default();
        let wanted = &project.spec.connection_ref;
        let mut connected = self.connection(&namespace, wanted).await?;
        let status = project.status.as_ref().filter(|status| status.reference.is_some());
        let adopted = status.is_some_and(|status| !status.was_created());
        if wanted.kind == ConnectionKind::ClusterSupabaseConnection && adopted {
            let slug = status.and_then(|status| status.organization_slug.as_deref());
            let problem = connected.refuses_adopted(&wanted.name, slug);
            if let Some(problem) = problem {
                connected.link.problem.get_or_insert(problem);
                connected.link.reachable = false;
                connected.session = None;
                connected.unsettled = false;
            }
        }
        Ok(connected)
    }

    /// A connection of the cluster: what is wrong with it for a namespace.
    async fn cluster_connection(
        &self,
        name: &str,
        namespace: &str,
        link: &mut Link,
    ) -> Result<Option<Problem>, Error> {
        let api: Api<ClusterSupabaseConnection> = Api::all(self.client.clone());
        let connection: ClusterSupabaseConnection = match kubernetes::read(&api, name).await? {
            Some(Read::Whole(connection)) => connection,
            // Whom it admits may be said by what is not understood.
            Some(Read::Partly(partly)) => {
                let message = format!(
                    "ClusterSupabaseConnection {name} was made for a newer version of the operator, so whom it admits is not \
                     known: {} cannot be read; update the operator",
                    partly.fields.join(", ")
                );
                return Ok(Some(Problem::new(Reason::NamespaceNotAllowed, message)));
            }
            None => {
                let kind = ConnectionKind::ClusterSupabaseConnection.as_str();
                return Ok(Some(missing(kind, name)));
            }
        };
        link.adoption = connection.spec.adoption == connection::Adoption::Allowed;
        let admitted = self.admits(&connection, namespace).await?;
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
        &self,
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
        let api: Api<Namespace> = Api::all(self.client.clone());
        let found = kubernetes::get(&api, namespace).await?;
        Ok(found.is_some_and(|found| selects(selector, found.labels())))
    }

    /// The project that an object of a namespace refers to; none where it is not there, or not wholly understood.
    pub async fn project(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<SupabaseProject>, Error> {
        let api: Api<SupabaseProject> = Api::namespaced(self.client.clone(), namespace);
        Ok(kubernetes::read(&api, name).await?.and_then(Read::understood))
    }
}

fn missing(kind: &str, name: &str) -> Problem {
    Problem::new(
        Reason::ConnectionNotFound,
        format!("{kind} {name} does not exist; create it, or correct the reference to it"),
    )
}
