//! Reads what a decision needs, and no more: which reads those are hangs on how far the object has come.
//!
//! No effects. What users should know is an observation; only an API server that cannot be read is an error.

mod link;
mod reading;
mod remembered;
mod settings;
mod stored;

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;

use self::remembered::{foreign_for, hold_off, requested};
pub(super) use self::settings::occasion;
use super::decide::{self, Candidate};
use super::facts::{FoundPassword, Link, ListedState, Listing, Observed, Presence};
use super::memory::Memo;
use super::password::PasswordSecret;
use super::{Projects, reference_to};
use crate::api::project::{AdoptionPolicy, DeletionPolicy};
use crate::api::{ObjectKey, ProjectStatus, SupabaseProject};
use crate::inventory::{Inventory, Pace, WholeList};
use crate::kubernetes::Error;
use crate::management::{self, ProjectRef, Status};
use crate::outputs::Belonging;
use crate::rules::backoff;
use crate::session::Session;
use crate::versions::Item;

/// How long after a create call its project is waited for at once: some are there within a moment.
const YOUNG: Duration = Duration::from_millis(600);

/// How long a whole list that was asked for is good for whoever asked: longer than any takes.
const ASKED: Duration = Duration::from_secs(720);

pub(super) async fn observe(
    projects: &Projects,
    project: &SupabaseProject,
) -> Result<Observed, Error> {
    let uid = project.uid().unwrap_or_default();
    projects.memory.meet(&ObjectKey::of(project), &uid);
    let memo = projects.memory.recall(&uid);
    let leaving = project.metadata.deletion_timestamp.is_some();
    let now = projects.context.clock.uptime();
    let mut observed = Observed {
        process: projects.process.clone(),
        link: Link::unknown(),
        organization: Ok(String::new()),
        listing: None,
        hold_off: hold_off(projects, project, &memo),
        name_taken: memo.name_taken.as_ref().is_some_and(|(generation, until)| {
            *generation == project.metadata.generation && *until > projects.context.clock.uptime()
        }),
        holder: None,
        foreign_for: foreign_for(projects, project, &uid),
        own_for: memo.posted_at.map_or(now, |at| now.saturating_sub(at)),
        unsent: memo.unsent,
        unsettled: false,
        presence: Presence::Unknown,
        outdated: false,
        list_trouble: None,
        itself: None,
        health: None,
        reading: None,
        password: FoundPassword::Missing,
        supplied: None,
        recovered: None,
        wanted: Vec::new(),
        obsolete: Vec::new(),
        settings: None,
        settings_again: None,
        delete_accepted: memo.delete_accepted.map(|at| now.saturating_sub(at)),
        requested: requested(project),
        transition_interval: projects.transition_interval,
        rest_interval: projects.rest_interval,
    };
    if project.spec.suspend && !leaving {
        projects.unfollow(&ObjectKey::of(project));
        projects.versions.forget(&reference_to(&ObjectKey::of(project)));
        return Ok(observed);
    }
    // Whoever needs nothing of the platform to go is not held up by anything.
    if leaving && decide::goes_without_looking(project) {
        return Ok(observed);
    }
    let namespace = project.namespace().unwrap_or_default();
    let connected = projects.parents.connection(&namespace, &project.spec.connection_ref).await?;
    let session = connected.session;
    (observed.link, observed.unsettled) = (connected.link, connected.unsettled);
    observed.organization = link::organization(project, session.as_ref());
    let Some(session) = session else {
        return Ok(observed);
    };
    let reads = Observer { projects, project, session: &session, memo: &memo };
    match project.status.as_ref().and_then(|status| status.reference.clone()) {
        None => reads.creating(&mut observed, leaving).await?,
        Some(reference) if leaving => reads.leaving(&mut observed, &reference).await,
        Some(reference) => reads.living(&mut observed, &reference).await?,
    }
    Ok(observed)
}

/// A whole list, shared with everybody who looks at it.
fn listing(list: &WholeList) -> Listing {
    Listing {
        date: list.date,
        begun: list.begun,
        projects: Arc::clone(&list.projects),
        unreadable: Arc::clone(&list.unreadable),
        limited: list.limited,
    }
}

/// Reads for one project through its session.
struct Observer<'a> {
    projects: &'a Projects,
    project: &'a SupabaseProject,
    session: &'a Session,
    memo: &'a Memo,
}

impl Observer<'_> {
    fn inventory(&self, organization: &str) -> Inventory {
        self.projects.inventories.of(self.session, organization)
    }

    fn tenant(&self) -> String {
        self.project.namespace().unwrap_or_default()
    }

    fn uid(&self) -> String {
        self.project.uid().unwrap_or_default()
    }

    fn password_secret(&self) -> PasswordSecret<'_> {
        PasswordSecret::of(&self.projects.context.client, self.project, &self.projects.digest_key)
    }

    async fn creating(&self, observed: &mut Observed, leaving: bool) -> Result<(), Error> {
        let Ok(organization) = observed.organization.clone() else {
            return Ok(());
        };
        let status = self.project.status.as_ref();
        let open = status.is_some_and(ProjectStatus::has_unsettled_attempt);
        if leaving && !open
            || !leaving && (observed.link.problem.is_some() || observed.hold_off.is_some())
        {
            return Ok(());
        }
        if !leaving {
            observed.password = self.password_secret().look().await?;
            observed.supplied = self.supplied().await?;
            // No list for what cannot come to anything yet.
            let creates = self.project.spec.adoption.policy == AdoptionPolicy::CreateOnly;
            if creates && !open && decide::needs_no_list(self.project, observed) {
                return Ok(());
            }
        }
        let listing = match self.lately(observed, &organization) {
            Some(listing) => Ok(listing),
            None => self.whole(&organization).await,
        };
        if let Ok(listing) = &listing {
            match decide::candidate(self.project, listing, observed.link.adoption) {
                Candidate::Own(listed) | Candidate::Adopt(listed) => {
                    let client = &self.projects.context.client;
                    let reference = listed.reference.as_str();
                    observed.holder =
                        self.projects.refs.holder(client, reference, &self.uid()).await?;
                }
                Candidate::None
                | Candidate::Several
                | Candidate::InTheWay(_)
                | Candidate::Unreadable(_)
                | Candidate::NotFound => {}
            }
        }
        observed.listing = Some(listing);
        Ok(())
    }

    /// A whole list that began after this object asked for one.
    async fn whole(&self, organization: &str) -> Result<Listing, management::Error> {
        let inventory = self.inventory(organization);
        let uid = self.uid();
        let now = self.projects.context.clock.uptime();
        // A list may take longer than anybody waits for it at a time: the one that was asked for then is good now.
        let since = self.projects.memory.note(&uid, |memo| {
            let asked = memo.lists_since.filter(|asked| *asked + ASKED > now);
            *memo.lists_since.insert(asked.unwrap_or(now))
        });
        let list = inventory.whole(&self.tenant(), since).await?;
        self.projects.memory.note(&uid, |memo| memo.lists_since = None);
        Ok(listing(&list))
    }

    /// A list of the last minute, where that will do: nothing that was sent for the object may have come to anything, so
    /// nobody bears its create name; and the wanted name is not on the list, nor taken by this operator since. Whatever
    /// else is found is looked at anew before anything is said of it.
    fn lately(&self, observed: &Observed, organization: &str) -> Option<Listing> {
        let status = self.project.status.as_ref();
        let open = status.is_some_and(ProjectStatus::has_unsettled_attempt);
        let creates = self.project.spec.adoption.policy == AdoptionPolicy::CreateOnly;
        let alone = match &observed.password {
            FoundPassword::Missing => true,
            FoundPassword::There(kept) => kept.belonging == Belonging::Ours,
        };
        if open || !creates || !alone {
            return None;
        }
        let list = self.inventory(organization).lately()?;
        let wanted = self.project.wanted_name();
        let names = &self.projects.names;
        if list.limited || names.is_taken_since(organization, &wanted, list.begun) {
            return None;
        }
        let listing = listing(&list);
        let found = decide::candidate(self.project, &listing, observed.link.adoption);
        (found == Candidate::None).then_some(listing)
    }

    async fn leaving(&self, observed: &mut Observed, reference: &str) {
        if self.project.spec.deletion_policy != DeletionPolicy::Delete || self.project.spec.suspend
        {
            return;
        }
        let Ok(parsed) = reference.parse::<ProjectRef>() else {
            return;
        };
        let itself = self.session.send(&self.tenant(), &management::project(&parsed)).await;
        let gone = matches!(
            itself.as_ref().map(|answer| &answer.value.status),
            Err(management::Error::NotFound | management::Error::Removed)
        );
        observed.itself = Some(itself.map(|answer| answer.value));
        if gone && observed.delete_accepted.is_none() {
            let recorded =
                self.project.status.as_ref().and_then(|status| status.organization_slug.clone());
            observed.listing = Some(self.whole(&recorded.unwrap_or_default()).await);
        }
    }

    async fn living(&self, observed: &mut Observed, reference: &str) -> Result<(), Error> {
        let (Ok(organization), Ok(parsed)) =
            (observed.organization.clone(), reference.parse::<ProjectRef>())
        else {
            return Ok(());
        };
        let key = ObjectKey::of(self.project);
        self.projects.refs.enter(reference, &key, &self.uid());
        if observed.link.problem.is_some() {
            return Ok(());
        }
        let object = reference_to(&key);
        let inventory = self.inventory(&organization);
        observed.list_trouble = inventory.trouble();
        let known = self.pace(&inventory.presence(reference));
        observed.presence = inventory.follow(reference, &object, known);
        let now = self.projects.context.clock.uptime();
        let young = self.memo.posted_at.is_some_and(|at| at + YOUNG > now);
        if young && self.pace(&observed.presence) == Pace::Moving {
            inventory.settles(reference, &object, YOUNG).await;
            observed.presence = inventory.presence(reference);
        }
        let learned = self.pace(&observed.presence);
        if learned != known {
            inventory.follow(reference, &object, learned);
        }
        observed.outdated = self.is_outdated(&observed.presence);
        self.call_by_its_new_name(&mut observed.presence);
        match observed.presence.clone() {
            Presence::Unknown | Presence::NotVisible => {}
            Presence::Absent { .. } => {
                let itself = self.session.send(&self.tenant(), &management::project(&parsed)).await;
                observed.itself = Some(itself.map(|answer| answer.value));
            }
            Presence::Present(listed) => {
                if listed.status == Status::ActiveHealthy && !observed.outdated {
                    self.active(observed, &parsed, &listed).await?;
                }
            }
        }
        Ok(())
    }

    /// Whether what is known was seen before our own last pause or restore: it proves nothing about what that did.
    fn is_outdated(&self, presence: &Presence) -> bool {
        match presence {
            Presence::Present(listed) => self.memo.powered_at.is_some_and(|at| at >= listed.begun),
            Presence::Unknown | Presence::Absent { .. } | Presence::NotVisible => false,
        }
    }

    /// What was seen before our own last renaming shows the old name.
    fn call_by_its_new_name(&self, presence: &mut Presence) {
        if let (Presence::Present(listed), Some((name, at))) = (presence, &self.memo.renamed)
            && *at >= listed.begun
        {
            listed.name.clone_from(name);
        }
    }

    /// How often the project is looked at: often while it is on its way somewhere.
    fn pace(&self, presence: &Presence) -> Pace {
        match presence {
            Presence::Present(listed)
                if listed.status.is_moving() || self.is_outdated(presence) =>
            {
                Pace::Moving
            }
            Presence::Unknown => Pace::Moving,
            Presence::Present(_) | Presence::Absent { .. } | Presence::NotVisible => Pace::Resting,
        }
    }

    async fn active(
        &self,
        observed: &mut Observed,
        reference: &ProjectRef,
        listed: &ListedState,
    ) -> Result<(), Error> {
        let status = self.project.status.clone().unwrap_or_default();
        let now = self.projects.context.clock.now();
        if decide::renames(self.project, listed, observed.name_taken, now)
            || decide::pauses(self.project)
        {
            return Ok(());
        }
        observed.password = self.password_secret().look().await?;
        let version = match &observed.password {
            FoundPassword::There(kept) => kept.meta.resource_version.as_deref(),
            FoundPassword::Missing => None,
        };
        let name = self.project.password_secret_name();
        let object = reference_to(&ObjectKey::of(self.project));
        self.projects.versions.note(&object, Item::Password, &name, version);
        observed.supplied = self.supplied().await?;
        self.look_at_outputs(observed).await?;
        self.recover(observed, &status);
        if decide::asks_health(&status, listed) {
            let services = [
                management::Service::Auth,
                management::Service::Database,
                management::Service::Pooler,
                management::Service::Realtime,
                management::Service::Rest,
                management::Service::Storage,
            ];
            let health =
                self.session.send(&self.tenant(), &management::health(reference, &services)).await;
            let health = health.map(|answer| answer.value);
            let well = health.as_ref().is_ok_and(|health| decide::all_well(health));
            observed.health = Some(health);
            if !well && decide::is_waited_for(&status, now) {
                return Ok(());
            }
        }
        // A password that must first be put right is a step of its own; what is read is read for the step that uses it.
        let settled = decide::password_is_settled(self.project, observed, &status);
        if !settled {
            return Ok(());
        }
        if self.settings(observed, reference).await {
            return Ok(());
        }
        let stale = observed
            .wanted
            .iter()
            .any(|wanted| wanted.writable && (!wanted.current || wanted.rolls));
        let due = self.drift_due();
        if stale || due || observed.requested.is_some() {
            let all = due || observed.requested.is_some();
            observed.reading = Some(self.read(reference, observed, all).await);
        }
        Ok(())
    }

    /// Whether keys and endpoints are due to be compared; the first time is spread over the interval.
    fn drift_due(&self) -> bool {
        let now = self.projects.context.clock.uptime();
        let interval = self.projects.drift_interval;
        let uid = self.uid();
        let first =
            || now + backoff::spread(interval, &uid, 1).saturating_sub(interval * 9 / 10) * 5;
        let due = self.projects.memory.note(&uid, |memo| *memo.drift_due.get_or_insert_with(first));
        now >= due
    }
}
