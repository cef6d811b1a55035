//! Who uses a connection. Reads projects, past every cache.

use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

use super::Connections;
use super::facts::Users;
use crate::api::SupabaseProject;
use crate::api::connection::Connection;
use crate::api::project::ConnectionKind;
use crate::kubernetes::Error;
use crate::session::ConnectionId;

/// How many are named.
const NAMED: usize = 3;

/// The projects that need the connection: those that refer to it and have, or may have, something on the platform.
/// A reference alone must not let a stranger hold a connection.
pub(super) async fn of<C: Connection>(
    room: &Connections<C>,
    id: &ConnectionId,
) -> Result<Users, Error> {
    let client = || room.sessions.client().clone();
    let apis: Vec<Api<SupabaseProject>> = match (&id.namespace, &room.sessions.options().namespaces)
    {
        (Some(namespace), _) => vec![Api::namespaced(client(), namespace)],
        (None, None) => vec![Api::all(client())],
        (None, Some(namespaces)) => namespaces
            .iter()
            .map(|namespace| Api::namespaced(client(), namespace))
            .collect(),
    };
    let mut users = Users::default();
    for api in apis {
        let list = api
            .list(&ListParams::default())
            .await
            .map_err(Error::from)?;
        for project in list.items.iter().filter(|project| needs(project, id)) {
            users.count += 1;
            // Other namespaces are nobody's business.
            if id.kind == ConnectionKind::SupabaseConnection && users.names.len() < NAMED {
                users.names.push(project.name_any());
            }
        }
    }
    Ok(users)
}

fn needs(project: &SupabaseProject, id: &ConnectionId) -> bool {
    let status = project.status.as_ref();
    let bound = status.is_some_and(|status| {
        let attempted = status
            .creation
            .as_ref()
            .is_some_and(|creation| !creation.attempts.is_empty());
        status.reference.is_some() || attempted
    });
    bound && ConnectionId::of(project) == *id
}
