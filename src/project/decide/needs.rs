//! PURE. What must be read before a decision can be made: one thing after the other, each only where what was read before asks
//! for it. The order is part of the protocols: the list comes after the object, and a password after the list that
//! nobody stands on.

use k8s_openapi::jiff::Timestamp;

use super::create::{Candidate, candidate};
use super::follow::renames;
use super::health::{all_well, asks_health};
use super::obstacles::needs_no_list;
use super::password::password_is_settled;
use super::record::is_waited_for;
use super::settings::plan_settings;
use super::spec::pauses;
use super::{deletes, goes_without_looking};
use crate::api::project::AdoptionPolicy;
use crate::api::{ProjectStatus, SupabaseProject};
use crate::management::{Error, ProjectRef, Status};
use crate::outputs::Belonging;
use crate::project::facts::{FoundPassword, Listing, Observed, Presence, Read};

/// What to read next; none where all is known that a decision needs.
pub fn next(project: &SupabaseProject, observed: &Observed, now: Timestamp) -> Option<Read> {
    let needs = Needs { project, observed, now };
    let leaving = needs.is_leaving();
    // Whoever needs nothing of the platform to go is not held up by anything.
    if project.spec.suspend && !leaving || leaving && goes_without_looking(project) {
        return None;
    }
    if let Some(read) = needs.once(Read::Connection) {
        return Some(read);
    }
    if !observed.connected {
        return None;
    }
    match project.status.as_ref().and_then(|status| status.reference.as_deref()) {
        None => needs.creating(),
        Some(reference) if leaving => needs.leaving(&reference.parse().ok()?),
        Some(reference) => needs.living(&reference.parse().ok()?),
    }
}

struct Needs<'a> {
    project: &'a SupabaseProject,
    observed: &'a Observed,
    now: Timestamp,
}

impl Needs<'_> {
    /// This, if it was not read yet.
    fn once(&self, read: Read) -> Option<Read> {
        (!self.observed.done.contains(&read)).then_some(read)
    }

    fn is_leaving(&self) -> bool {
        self.project.metadata.deletion_timestamp.is_some()
    }

    fn is_open(&self) -> bool {
        self.project.status.as_ref().is_some_and(ProjectStatus::has_unsettled_attempt)
    }

    fn creating(&self) -> Option<Read> {
        let observed = self.observed;
        let organization = observed.organization.as_ref().ok()?;
        let (leaving, open) = (self.is_leaving(), self.is_open());
        if leaving && !open
            || !leaving && (observed.link.problem.is_some() || observed.hold_off.is_some())
        {
            return None;
        }
        let creates = self.project.spec.adoption.policy == AdoptionPolicy::CreateOnly;
        if !leaving {
            // Nothing was ever made for the object, as far as is known: that its Secret is there after all is found when it
            // is made, which replaces nothing.
            let status = self.project.status.as_ref();
            let began = status.is_some_and(|status| status.creation.is_some());
            if began || !creates || observed.memo.in_the_way {
                let password = self.once(Read::Password);
                if password.is_some() {
                    return password;
                }
            }
            let supplied = self.supplied();
            if supplied.is_some() {
                return supplied;
            }
            // No list for what cannot come to anything yet.
            if creates && !open && needs_no_list(self.project, observed) {
                return None;
            }
        }
        let whole = || self.once(Read::WholeList { organization: organization.clone() });
        let listing = match &observed.listing {
            Some(Ok(listing)) if self.suffices(listing) => listing,
            Some(Err(_)) => return None,
            None if self.recent_may_do(creates, open) => {
                let recent = Read::RecentList { organization: organization.clone() };
                return self.once(recent).or_else(whole);
            }
            Some(Ok(_)) | None => return whole(),
        };
        let found = candidate(self.project, listing, observed.link.adoption);
        let holder = match &found {
            Candidate::Own(listed) | Candidate::Adopt(listed) => {
                self.once(Read::Holder(listed.reference.clone()))
            }
            Candidate::None
            | Candidate::Several
            | Candidate::InTheWay(_)
            | Candidate::Unreadable(_)
            | Candidate::NotFound => None,
        };
        // What stands there may have been an earlier object's of this name: its password Secret tells.
        let stands = !leaving && found != Candidate::None;
        holder.or_else(|| self.once(Read::Password).filter(|_| stands))
    }

    /// Whether a list of the last minute may do: nothing that was sent for the object may have come to anything, so nobody
    /// bears its create name.
    fn recent_may_do(&self, creates: bool, open: bool) -> bool {
        let alone = match &self.observed.password {
            FoundPassword::Missing => true,
            FoundPassword::There(kept) => kept.belonging == Belonging::Ours,
        };
        creates && !open && alone
    }

    /// Whether a list does: a whole one that began after it was asked for, or one of the last minute with nothing of interest
    /// on it. The wanted name must not be there, nor have been given away by this operator since: whatever else is found is
    /// looked at anew before anything is said of it.
    fn suffices(&self, listing: &Listing) -> bool {
        let whole = |read: &Read| matches!(read, Read::WholeList { .. });
        self.observed.done.iter().any(whole)
            || !listing.limited
                && !self.observed.name_given
                && candidate(self.project, listing, self.observed.link.adoption) == Candidate::None
    }

    fn supplied(&self) -> Option<Read> {
        let declared = self.project.spec.database.password.secret_key_ref.is_some();
        self.once(Read::SuppliedPassword).filter(|_| declared)
    }

    fn leaving(&self, reference: &ProjectRef) -> Option<Read> {
        if !deletes(self.project) || self.project.spec.suspend {
            return None;
        }
        let itself = self.once(Read::Project(reference.clone()));
        if itself.is_some() {
            return itself;
        }
        let gone = matches!(self.observed.itself, Some(Err(Error::NotFound | Error::Removed)));
        if !gone || self.observed.delete_accepted.is_some() {
            return None;
        }
        let recorded =
            self.project.status.as_ref().and_then(|status| status.organization_slug.clone());
        self.once(Read::WholeList { organization: recorded.unwrap_or_default() })
    }

    fn living(&self, reference: &ProjectRef) -> Option<Read> {
        let observed = self.observed;
        let organization = observed.organization.as_ref().ok()?;
        if observed.link.problem.is_some() {
            return None;
        }
        let presence =
            Read::Presence { organization: organization.clone(), reference: reference.clone() };
        let presence = self.once(presence);
        if presence.is_some() {
            return presence;
        }
        match &observed.presence {
            Presence::Unknown | Presence::NotVisible => None,
            Presence::Absent { .. } => self.once(Read::Project(reference.clone())),
            Presence::Present(listed) => {
                let other = renames(self.project, listed, observed.name_taken, self.now)
                    || pauses(self.project);
                let active = listed.status == Status::ActiveHealthy && !observed.outdated;
                if active && !other { self.active(reference) } else { None }
            }
        }
    }

    /// Of a project that can be used.
    fn active(&self, reference: &ProjectRef) -> Option<Read> {
        let (project, observed) = (self.project, self.observed);
        let secrets = self.once(Read::Password).or_else(|| self.supplied());
        let secrets = secrets.or_else(|| self.once(Read::Outputs));
        if secrets.is_some() {
            return secrets;
        }
        let status = project.status.clone().unwrap_or_default();
        if let Presence::Present(listed) = &observed.presence
            && asks_health(&status, listed)
        {
            let health = self.once(Read::Health(reference.clone()));
            if health.is_some() {
                return health;
            }
            let well = matches!(&observed.health, Some(Ok(health)) if all_well(health));
            if !well && is_waited_for(&status, self.now) {
                return None;
            }
        }
        // A password that must first be put right is a step of its own; what is read is read for the step that uses it.
        if !password_is_settled(project, observed, &status) {
            return None;
        }
        let settings = self.once(Read::Settings(reference.clone()));
        if settings.is_some() {
            return settings;
        }
        if plan_settings(project, observed, self.now).is_some_and(|plan| plan.write.is_some()) {
            return None;
        }
        let due = observed.keys_due || observed.requested.is_some();
        let stale = observed.wanted.iter().any(|one| one.writable && (!one.current || one.rolls));
        let keys = Read::Keys { reference: reference.clone(), all: due };
        if stale || due { self.once(keys) } else { None }
    }
}
