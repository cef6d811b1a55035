//! What is looked at when a term begins: whatever is not known to be as it shall be. Starting costs what has changed.
//!
//! A project whose status says that all is well is followed on the platform at once, through the shared list; its Secrets
//! are looked at evenly over some minutes, the most recently written object first, since nobody has watched them
//! meanwhile.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use super::Caches;
use crate::api::project::ConnectionKind;
use crate::api::{Kind, ObjectKey, ObjectRef};
use crate::controller::{HasConditions as _, Requests};
use crate::inventory::Inventories;
use crate::kubernetes::Lean as _;
use crate::seen::SeenProject;
use crate::session::{ConnectionId, Sessions};
use crate::telemetry::Metrics;

/// Within so long everything has been looked at, however long the resync interval is.
const WITHIN: Duration = Duration::from_secs(600);

/// Asks for the first look at every object.
pub(super) fn begin(
    seen: &Caches,
    sessions: &Sessions,
    inventories: &Inventories,
    requests: &Requests,
    resync: Duration,
    metrics: &Metrics,
) {
    for key in seen.connections.store.keys() {
        requests.of(Kind::SupabaseConnection).add(key);
    }
    for key in seen.cluster_connections.store.keys() {
        requests.of(Kind::ClusterSupabaseConnection).add(key);
    }
    for key in seen.auth_configs.store.keys() {
        requests.of(Kind::SupabaseAuthConfig).add(key);
    }
    let project_requests = requests.of(Kind::SupabaseProject);
    let mut settled = Vec::new();
    for project in seen.projects.store.all() {
        match expected(seen, sessions, inventories, &project) {
            Some(key) => settled.push((written(&project), key)),
            None => project_requests.add(project.meta().key()),
        }
    }
    settled.sort_by_key(|(written, _)| Reverse(*written));
    let every = resync.min(WITHIN) / u32::try_from(settled.len()).unwrap_or(u32::MAX).max(1);
    for (place, (_, key)) in (1_u32..).zip(settled) {
        metrics.reconciled(crate::api::SupabaseProject::NAME, "settled", Duration::ZERO);
        project_requests.add_after(key, every * place);
    }
}

/// Follows a project that is as it shall be; none where it must be looked at.
fn expected(
    seen: &Caches,
    sessions: &Sessions,
    inventories: &Inventories,
    project: &Arc<SeenProject>,
) -> Option<ObjectKey> {
    let (settled, reference) = (project.settled.as_deref()?, project.reference.as_deref()?);
    let (kind, connection) = project.connection()?;
    let connections = match kind {
        ConnectionKind::SupabaseConnection => &seen.connections.store,
        ConnectionKind::ClusterSupabaseConnection => &seen.cluster_connections.store,
    };
    if !connections.has(&connection) {
        return None;
    }
    let key = project.meta().key();
    let session = sessions.expect(&ConnectionId::new(kind, &connection));
    let object = ObjectRef { kind: Kind::SupabaseProject, key: key.clone() };
    inventories.expect(&session, &object, reference, settled);
    Some(key)
}

/// Versions grow with every write of the API server.
fn written(project: &SeenProject) -> u64 {
    project.meta().version().parse().unwrap_or_default()
}
