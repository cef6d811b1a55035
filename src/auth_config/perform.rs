//! Writing declared settings: one PATCH of one kind of fields, and what the platform said to it.

use kube::ResourceExt as _;
use tracing::{info, warn};

use super::facts::{Observed, Parent, Step};
use super::remember::occasion;
use super::{AuthConfigs, change};
use crate::api::{AuthConfigStatus, ObjectKey, SupabaseAuthConfig};
use crate::controller::{Outcome, Reconcile, Requeue};
use crate::management;
use crate::session::ConnectionId;
use crate::settings;

type Done = Outcome<AuthConfigStatus>;

pub(super) async fn perform(
    room: &AuthConfigs,
    reconcile: &Reconcile<SupabaseAuthConfig>,
    step: Step,
    observed: Observed,
    mut status: AuthConfigStatus,
) -> Done {
    let Step::Apply(write) = step;
    let object = reconcile.object();
    let (key, uid) = (ObjectKey::of(object), object.uid().unwrap_or_default());
    let namespace = object.namespace().unwrap_or_default();
    let Parent::Active(reference) = &observed.parent else {
        return Outcome::failed(status, Requeue::Backoff);
    };
    let project = room.parents.project(&namespace, &object.spec.project_ref.name).await;
    let Ok(Some(project)) = project else {
        return Outcome::failed(status, Requeue::Backoff);
    };
    let connection = ConnectionId::named(&namespace, &project.spec.connection_ref);
    let Some(session) = room.parents.sessions.find(&connection) else {
        return Outcome::failed(status, Requeue::Backoff);
    };
    let change = change(&object.spec, &observed.secrets, &write);
    let call = management::change_auth_config(reference, &change);
    let answer = session.send(&namespace, &call).await;
    let occasion = occasion(room, object, &observed, &uid);
    let (outcome, note) =
        room.memory.note(&key, &uid, |memo| memo.schedule.learn(&write, &answer, occasion));
    let worked = outcome == settings::Outcome::Accepted;
    match &answer {
        Ok(_) => info!(auth_config = %key, paths = write.paths(), "settings written"),
        Err(error) => warn!(
            auth_config = %key, paths = write.paths(), error = error as &dyn std::error::Error, "settings not written"
        ),
    }
    if worked {
        write.record(&mut status.applied);
    }
    let done = Outcome { worked, ..Outcome::go_on(status) };
    note.into_iter().fold(done, Outcome::telling)
}
