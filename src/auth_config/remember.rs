//! What a reconcile leaves in the memory of this process: in which versions the Secrets were found, and when the settings are
//! read again. Nothing here is needed for being right, and nothing waits.

use kube::ResourceExt as _;

use super::facts::{Observed, Read};
use super::{AuthConfigs, decide};
use crate::api::{Kind, ObjectKey, ObjectRef, SupabaseAuthConfig};
use crate::controller::{Occasion, compared_generation};
use crate::versions::Item;

/// Remembers what was observed.
pub(super) fn remember(room: &AuthConfigs, object: &SupabaseAuthConfig, observed: &Observed) {
    let (key, uid) = (ObjectKey::of(object), object.uid().unwrap_or_default());
    let mut memo = observed.memo.clone();
    if observed.settings.is_some() {
        let occasion = occasion(room, object, &uid, observed.requested.is_some());
        let plan = decide::planned(object, observed, occasion.now);
        let again = plan.map_or(room.drift_interval, |plan| plan.read_again);
        memo.schedule.read(occasion, again);
    }
    room.memory.keep(&key, memo);
    if observed.done.contains(&Read::Secrets) {
        let owner = ObjectRef { kind: Kind::SupabaseAuthConfig, key };
        let names: Vec<_> = observed.versions.iter().map(|(name, _)| name.as_str()).collect();
        room.versions.keep(&owner, &names);
        for (name, version) in &observed.versions {
            room.versions.note(&owner, Item::Input, name, version.as_deref());
        }
    }
}

/// The occasion of a reconcile.
pub(super) fn occasion<'a>(
    room: &AuthConfigs,
    object: &SupabaseAuthConfig,
    uid: &'a str,
    requested: bool,
) -> Occasion<'a> {
    let status = object.status.as_ref();
    Occasion {
        now: room.context.clock.now(),
        uptime: room.context.clock.uptime(),
        interval: room.drift_interval,
        uid,
        generation: object.metadata.generation,
        compared: status.and_then(|status| compared_generation(&status.conditions)),
        settled: decide::is_settled(object)
            && status.is_some_and(|status| status.drift.is_empty() && decide::is_ready(status)),
        requested,
    }
}
