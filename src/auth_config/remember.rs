//! What a reconcile leaves in the memory of this process: in which versions the Secrets were found, and when the settings are
//! read again. Nothing here is needed for being right, and nothing waits.

use kube::ResourceExt as _;

use super::facts::{Observed, Parent, Read};
use super::{AuthConfigs, decide};
use crate::api::{Kind, ObjectKey, ObjectRef, SupabaseAuthConfig};
use crate::controller::{Occasion, compared_generation};
use crate::versions::Item;

/// Remembers what was observed.
pub(super) fn remember(room: &AuthConfigs, object: &SupabaseAuthConfig, observed: &Observed) {
    let (key, uid) = (ObjectKey::of(object), object.uid().unwrap_or_default());
    let mut memo = observed.memo.clone();
    if observed.settings.is_some() {
        let occasion = occasion(room, object, observed, &uid);
        let plan = decide::planned(object, observed, occasion.now);
        let again = plan.as_ref().map_or(room.drift_interval, |plan| plan.read_again);
        memo.schedule.read(occasion, plan.map(|plan| plan.synced), again);
    } else if !observed.done.contains(&Read::Settings) && !observed.unsettled {
        // Nothing can be said of settings that are out of reach: they are read as soon as they are not.
        memo.schedule.hurry();
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
    observed: &'a Observed,
    uid: &'a str,
) -> Occasion<'a> {
    let status = object.status.as_ref();
    let reference = match &observed.parent {
        Parent::Active(reference) => reference.as_str(),
        Parent::NotReady(_) => "",
    };
    Occasion {
        now: room.context.clock.now(),
        uptime: room.context.clock.uptime(),
        interval: room.drift_interval,
        uid,
        generation: object.metadata.generation,
        policy: observed.policy,
        reference,
        compared: status.and_then(|status| compared_generation(&status.conditions)),
        settled: decide::is_settled(object) && status.is_some_and(decide::is_well),
        requested: observed.requested.is_some(),
    }
}
