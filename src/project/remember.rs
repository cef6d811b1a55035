//! What a reconcile leaves in the memory of this process: which ref the object carries, how often its project is looked at, in
//! which versions its Secrets were found, and when settings and keys are read again.
//!
//! Nothing here is needed for being right, and nothing waits: no call is made and nothing is written.

use kube::ResourceExt as _;

use super::facts::{FoundPassword, Kept, Observed, Read};
use super::observe::pace;
use super::{Projects, decide, reference_to};
use crate::api::{ObjectKey, SupabaseProject};
use crate::controller::{Occasion, compared_generation};
use crate::versions::Item;

/// Remembers what was observed.
pub(super) fn remember(projects: &Projects, project: &SupabaseProject, observed: &Observed) {
    let key = ObjectKey::of(project);
    let uid = project.uid().unwrap_or_default();
    let mut memo = observed.memo.clone();
    if observed.settings.is_some() {
        let occasion = occasion(projects, project, &uid, observed.requested.is_some());
        let plan = decide::plan_settings(project, observed, occasion.now);
        let again = plan.as_ref().map_or(projects.drift_interval, |plan| plan.read_again);
        memo.schedule.read(occasion, plan.map(|plan| plan.synced), again);
    }
    let reference = project.status.as_ref().and_then(|status| status.reference.as_deref());
    let holds = |kept: &Kept| kept.marked && kept.reference.as_deref() == reference;
    if matches!(&observed.password, FoundPassword::There(kept) if holds(kept)) {
        memo.remarked = None;
    }
    projects.memory.keep(&key, &uid, memo);
    if project.metadata.deletion_timestamp.is_some() {
        return;
    }
    if project.spec.suspend {
        projects.unfollow(&key);
        projects.versions.forget(&reference_to(&key));
        return;
    }
    if let Some(reference) = reference.filter(|_| observed.connected) {
        projects.refs.enter(reference, &key, &uid);
    }
    for read in &observed.done {
        if let Read::Presence { organization, reference } = read {
            follow(projects, project, observed, organization, reference.as_str());
        }
    }
    if observed.done.contains(&Read::Outputs) {
        note_versions(projects, &key, project, observed);
    }
}

/// Follows the project from now on, as often as what is known of it asks for.
fn follow(
    projects: &Projects,
    project: &SupabaseProject,
    observed: &Observed,
    organization: &str,
    reference: &str,
) {
    let key = ObjectKey::of(project);
    let wanted = &project.spec.connection_ref;
    let tenant = project.namespace().unwrap_or_default();
    let Some(session) = projects.session(&tenant, wanted) else {
        return;
    };
    let inventory = projects.inventories.of(&session, organization);
    let pace = pace(&observed.presence, &observed.memo);
    inventory.keep_following(reference, &reference_to(&key), pace, &observed.presence);
}

/// In which versions the Secrets were found: what was written by others since then is seen by that.
fn note_versions(
    projects: &Projects,
    key: &ObjectKey,
    project: &SupabaseProject,
    observed: &Observed,
) {
    let (versions, object) = (&projects.versions, reference_to(key));
    let version = match &observed.password {
        FoundPassword::There(kept) => kept.meta.resource_version.as_deref(),
        FoundPassword::Missing => None,
    };
    versions.note(&object, Item::Password, &project.password_secret_name(), version);
    let names: Vec<_> = observed.wanted.iter().map(|one| one.output.name.as_str()).collect();
    versions.keep(&object, &names);
    for wanted in &observed.wanted {
        let found = wanted.found.as_ref();
        let version = found.and_then(|found| found.meta.resource_version.as_deref());
        let (item, name) = (Item::Output(wanted.output.kind), &wanted.output.name);
        versions.note(&object, item, name, version);
    }
}

/// The occasion of a reconcile.
pub(super) fn occasion<'a>(
    projects: &Projects,
    project: &'a SupabaseProject,
    uid: &'a str,
    requested: bool,
) -> Occasion<'a> {
    let status = project.status.as_ref();
    let reference = status.and_then(|status| status.reference.as_deref());
    Occasion {
        now: projects.context.clock.now(),
        uptime: projects.context.clock.uptime(),
        interval: projects.drift_interval,
        uid,
        generation: project.metadata.generation,
        policy: decide::policy(project),
        reference: reference.unwrap_or_default(),
        compared: status.and_then(|status| compared_generation(&status.conditions)),
        settled: status.is_some_and(decide::is_well),
        requested,
    }
}
