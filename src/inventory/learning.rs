//! What lists and answers teach about the projects that objects follow, and whom it concerns. PURE.

use std::collections::BTreeSet;
use std::time::Duration;

use super::state::InventoryState;
use super::{ListedState, Presence, ProjectList, Unreadable};
use crate::api::ObjectRef;
use crate::management::{ListedProject, Project};

impl InventoryState {
    /// Learns from a page of the list: who is on it was there. Gives the objects to look at.
    pub fn saw_page(&mut self, begun: Duration, page: &[ListedProject]) -> Vec<ObjectRef> {
        let mut changed = Vec::new();
        for listed in page {
            let reference = listed.reference.as_str();
            if self.projects.contains_key(reference) {
                let presence = Presence::Present(ListedState::of(begun, listed));
                self.note(reference, presence, &mut changed);
            }
        }
        changed.sort();
        changed
    }

    /// Learns from a whole list that began at `begun`: who is not on it was absent, unless it may be an entry that cannot
    /// be read.
    pub fn saw_whole(
        &mut self,
        begun: Duration,
        list: &ProjectList,
        unreadable: &[Unreadable],
    ) -> Vec<ObjectRef> {
        let mut changed = Vec::new();
        for reference in self.references() {
            let Some(tracked) = self.projects.get(&reference) else {
                continue;
            };
            let was_followed = || {
                let mut followers = tracked.followers.iter();
                followers.any(|follower| follower.since < begun)
            };
            let presence = match (list.find(&reference), &tracked.known) {
                (Some(listed), _) => Presence::Present(ListedState::of(begun, listed)),
                (None, _) if unreadable.iter().any(|one| one.may_be(&reference)) => continue,
                (None, Some(Presence::Absent { since })) => Presence::Absent { since: *since },
                (None, _) if !was_followed() => continue,
                (
                    None,
                    Some(Presence::Unknown | Presence::NotVisible | Presence::Present(_)) | None,
                ) => Presence::Absent { since: begun },
            };
            self.note(&reference, presence, &mut changed);
        }
        changed.sort();
        changed
    }

    /// The followed projects that are not on a list, but may be one of its entries that cannot be read.
    pub fn doubtful(&self, list: &ProjectList, unreadable: &[Unreadable]) -> BTreeSet<String> {
        let may_be = |reference: &&String| {
            list.find(reference).is_none() && unreadable.iter().any(|one| one.may_be(reference))
        };
        self.projects.keys().filter(may_be).cloned().collect()
    }

    /// Takes what an earlier list showed for a project that nobody has looked for since. Tells nobody: whoever
    /// follows from now on is about to ask.
    pub fn recall(&mut self, begun: Duration, reference: &str, list: &ProjectList) {
        let presence = ListedState::on(begun, reference, list).map(Presence::Present);
        if let Some(tracked) = self.projects.get_mut(reference)
            && tracked.known.is_none()
            && let Some(presence) = presence
        {
            tracked.known = Some(presence);
            self.unlooked.remove(reference);
        }
    }

    /// Learns from a project's own address; none if it is not found or not shown there. That proves nothing by
    /// itself: a whole list decides, or nothing does, where the credential is `blind` to some projects.
    pub fn saw_one(
        &mut self,
        begun: Duration,
        reference: &str,
        project: Option<&Project>,
        blind: bool,
    ) -> Vec<ObjectRef> {
        let mut changed = Vec::new();
        // Its own address does not show it.
        let size = match self.presence(reference) {
            Presence::Present(known) => known.size,
            Presence::Unknown | Presence::Absent { .. } | Presence::NotVisible => None,
        };
        let presence = match project {
            Some(project) => Some(Presence::Present(ListedState {
                name: project.name.clone(),
                region: project.region.clone(),
                status: project.status.clone(),
                size,
                elsewhere: (project.organization != self.organization)
                    .then(|| project.organization.as_str().into()),
                begun,
            })),
            None if blind => Some(Presence::NotVisible),
            None if matches!(self.presence(reference), Presence::Present(_)) => {
                Some(Presence::Unknown)
            }
            None => None,
        };
        if let Some(presence) = presence
            && self.projects.contains_key(reference)
        {
            self.note(reference, presence, &mut changed);
        }
        changed.sort();
        changed
    }

    /// Notes that a project is asked for by its own address, for want of a list that could prove it absent.
    pub fn asks(&mut self, reference: &str, now: Duration) {
        if let Some(tracked) = self.projects.get_mut(reference) {
            tracked.asked = Some(now);
            self.unlooked.remove(reference);
        }
    }

    /// Notes what is known of a project, and who must look at it if that is news.
    fn note(&mut self, reference: &str, presence: Presence, changed: &mut Vec<ObjectRef>) {
        let Some(tracked) = self.projects.get_mut(reference) else {
            return;
        };
        let same = match (&tracked.known, &presence) {
            // When it was seen does not count, and what cannot change neither.
            (Some(Presence::Present(before)), Presence::Present(now)) => {
                before.status == now.status
                    && before.name == now.name
                    && (before.size == now.size || before.size.is_none())
                    && before.elsewhere == now.elsewhere
            }
            (Some(before), now) => before == now,
            (None, Presence::Present(now)) => tracked
                .expected
                .as_deref()
                .is_some_and(|(name, status)| *name == now.name && *status == now.status),
            (None, _) => false,
        };
        tracked.expected = None;
        tracked.known = Some(presence);
        self.unlooked.remove(reference);
        if !same {
            let followers = tracked.followers.iter().filter(|follower| !follower.waits);
            changed.extend(followers.map(|follower| follower.object.clone()));
        }
    }
}
