//! Reads what a decision needs, and no more: [`decide::needs`] says what comes next.
//!
//! No effects: what this process will remember of it is a copy of what it remembers. What users should know is an
//! observation; only an API server that cannot be read is an error.

mod link;
mod reading;
mod remembered;
mod settings;
mod stored;

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;

use self::remembered::{foreign_for, hold_off, requested};
use super::decide;
use super::facts::{FoundPassword, Link, Listing, Observed, Presence, Read};
use super::memory::Memo;
use super::password::PasswordSecret;
use super::{Projects, reference_to};
use crate::api::{ObjectKey, SupabaseProject};
use crate::inventory::{Inventory, Pace, WholeList};
use crate::kubernetes::Error;
use crate::management::{self, ProjectRef};
use crate::rules::backoff;
use crate::session::Session;

/// How long after a create call its project is waited for at once: some are there within a moment.
const YOUNG: Duration = Duration::from_millis(600);

/// How long a whole list that was asked for is good for whoever asked: longer than any takes.
const ASKED: Duration = Duration::from_secs(720);

pub(super) async fn observe(
    projects: &Projects,
    project: &SupabaseProject,
) -> Result<Observed, Error> {
    let mut reads = Observer { projects, project, session: None };
    let mut observed = reads.nothing();
    while let Some(read) = decide::needs(project, &observed, projects.context.clock.now()) {
        observed.done.push(read.clone());
        reads.read(&mut observed, read).await?;
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

/// How often a project is looked at: often while it is on its way somewhere.
pub(super) fn pace(presence: &Presence, memo: &Memo) -> Pace {
    match presence {
        Presence::Present(listed) if listed.status.is_moving() || is_outdated(presence, memo) => {
            Pace::Moving
        }
        Presence::Unknown => Pace::Moving,
        Presence::Present(_) | Presence::Absent { .. } | Presence::NotVisible => Pace::Resting,
    }
}

/// Whether what is known was seen before our own last pause or restore: it proves nothing about what that did.
fn is_outdated(presence: &Presence, memo: &Memo) -> bool {
    match presence {
        Presence::Present(listed) => memo.powered_at.is_some_and(|at| at >= listed.begun),
        Presence::Unknown | Presence::Absent { .. } | Presence::NotVisible => false,
    }
}

/// Reads for one project, through its session once that is known.
struct Observer<'a> {
    projects: &'a Projects,
    project: &'a SupabaseProject,
    session: Option<Session>,
}

impl Observer<'_> {
    /// What is known before anything is read.
    fn nothing(&self) -> Observed {
        let (projects, project) = (self.projects, self.project);
        let mut memo = projects.memory.recall(&self.uid());
        let now = projects.context.clock.uptime();
        Observed {
            done: Vec::new(),
            process: projects.process.clone(),
            link: Link::unknown(),
            connected: false,
            organization: Ok(String::new()),
            listing: None,
            name_given: false,
            hold_off: hold_off(projects, project, &memo),
            name_taken: memo.name_taken.as_ref().is_some_and(|(generation, until)| {
                *generation == project.metadata.generation && *until > now
            }),
            holder: None,
            foreign_for: foreign_for(projects, project, &mut memo),
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
            keys_due: false,
            delete_accepted: memo.delete_accepted.map(|at| now.saturating_sub(at)),
            requested: requested(project),
            transition_interval: projects.transition_interval,
            rest_interval: projects.rest_interval,
            memo,
        }
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

    /// Reads one thing.
    async fn read(&mut self, observed: &mut Observed, read: Read) -> Result<(), Error> {
        if read == Read::Connection {
            return self.connection(observed).await;
        }
        let Some(session) = self.session.clone() else {
            return Ok(());
        };
        match read {
            Read::Connection => {}
            Read::Password => observed.password = self.password_secret().look().await?,
            Read::SuppliedPassword => observed.supplied = self.supplied().await?,
            Read::RecentList { organization } => self.recent(&session, observed, &organization),
            Read::WholeList { organization } => {
                observed.listing = Some(self.whole(&session, observed, &organization).await);
            }
            Read::Holder(reference) => {
                let (client, uid) = (&self.projects.context.client, self.uid());
                let holder = self.projects.refs.holder(client, reference.as_str(), &uid);
                observed.holder = holder.await?;
            }
            Read::Presence { organization, reference } => {
                self.presence(&session, observed, &organization, &reference).await;
            }
            Read::Project(reference) => {
                let answer = session.send(&self.tenant(), &management::project(&reference)).await;
                observed.itself = Some(answer.map(|answer| answer.value));
            }
            Read::Outputs => self.outputs(observed).await?,
            Read::Health(reference) => {
                let services = [
                    management::Service::Auth,
                    management::Service::Database,
                    management::Service::Pooler,
                    management::Service::Realtime,
                    management::Service::Rest,
                    management::Service::Storage,
                ];
                let call = management::health(&reference, &services);
                let answer = session.send(&self.tenant(), &call).await;
                observed.health = Some(answer.map(|answer| answer.value));
            }
            Read::Settings(reference) => self.settings(&session, observed, &reference).await,
            Read::Keys { reference, all } => {
                observed.reading =
                    Some(self.keys_and_endpoints(&session, &reference, observed, all).await);
            }
        }
        Ok(())
    }

    async fn connection(&mut self, observed: &mut Observed) -> Result<(), Error> {
        let connected = self.projects.parents.connection_of(self.project).await?;
        (observed.link, observed.unsettled) = (connected.link, connected.unsettled);
        observed.organization = link::organization(self.project, connected.session.as_ref());
        observed.connected = connected.session.is_some();
        self.session = connected.session;
        Ok(())
    }

    fn inventory(&self, session: &Session, organization: &str) -> Inventory {
        self.projects.inventories.of(session, organization)
    }

    /// A whole list that began after this object asked for one.
    async fn whole(
        &self,
        session: &Session,
        observed: &mut Observed,
        organization: &str,
    ) -> Result<Listing, management::Error> {
        let now = self.projects.context.clock.uptime();
        // A list may take longer than anybody waits for it at a time: the one that was asked for then is good now.
        let asked = observed.memo.lists_since.filter(|asked| *asked + ASKED > now).unwrap_or(now);
        observed.memo.lists_since = Some(asked);
        let list = self.inventory(session, organization).whole(&self.tenant(), asked).await?;
        observed.memo.lists_since = None;
        Ok(listing(&list))
    }

    /// The last list, if it is of the last minute.
    fn recent(&self, session: &Session, observed: &mut Observed, organization: &str) {
        let Some(list) = self.inventory(session, organization).lately() else {
            return;
        };
        let (wanted, names) = (self.project.wanted_name(), &self.projects.names);
        observed.name_given = names.is_taken_since(organization, &wanted, list.begun);
        observed.listing = Some(Ok(listing(&list)));
    }

    async fn presence(
        &self,
        session: &Session,
        observed: &mut Observed,
        organization: &str,
        reference: &ProjectRef,
    ) {
        let inventory = self.inventory(session, organization);
        observed.list_trouble = inventory.trouble();
        observed.presence = inventory.presence(reference.as_str());
        let now = self.projects.context.clock.uptime();
        let young = observed.memo.posted_at.is_some_and(|at| at + YOUNG > now);
        if young && pace(&observed.presence, &observed.memo) == Pace::Moving {
            let object = reference_to(&ObjectKey::of(self.project));
            inventory.settles(reference.as_str(), &object, YOUNG).await;
            observed.presence = inventory.presence(reference.as_str());
        }
        observed.outdated = is_outdated(&observed.presence, &observed.memo);
        // What was seen before our own last renaming shows the old name.
        if let (Presence::Present(listed), Some((name, at))) =
            (&mut observed.presence, &observed.memo.renamed)
            && *at >= listed.begun
        {
            listed.name.clone_from(name);
        }
    }

    /// What stands where outputs belong, a lost password in one of them, and whether keys are due to be compared with
    /// them: the first time is spread over the interval.
    async fn outputs(&self, observed: &mut Observed) -> Result<(), Error> {
        self.look_at_outputs(observed).await?;
        self.recover(observed);
        let now = self.projects.context.clock.uptime();
        let interval = self.projects.drift_interval;
        let first = || {
            let spread = backoff::spread(interval, &self.uid(), 1);
            now + spread.saturating_sub(interval * 9 / 10) * 5
        };
        let due = *observed.memo.drift_due.get_or_insert_with(first);
        observed.keys_due = now >= due;
        Ok(())
    }
}
