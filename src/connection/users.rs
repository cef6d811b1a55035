//! Who uses a connection. Reads projects, past every cache.

use kube::Api;

use super::Connections;
use super::facts::Users;
use crate::api::SupabaseProject;
use crate::api::connection::Connection;
use crate::api::project::ConnectionKind;
use crate::kubernetes::{self, Error, Lean as _, Shape};
use crate::seen::SeenProject;
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
        (None, Some(namespaces)) => {
            namespaces.iter().map(|namespace| Api::namespaced(client(), namespace)).collect()
        }
    };
    let mut users = Users::default();
    let key = id.key();
    for api in apis {
        kubernetes::list(&api, Shape::Whole, |project: SeenProject| {
            if !project.is_bound() || !project.uses(id.kind, &key) {
                return;
            }
            users.count += 1;
            // Other namespaces are nobody's business.
            if id.kind == ConnectionKind::SupabaseConnection && users.names.len() < NAMED {
                users.names.push(project.meta().key().name().to_owned());
            }
        })
        .await?;
    }
    Ok(users)
}
