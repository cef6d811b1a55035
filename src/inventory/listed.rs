//! What lists and answers show of a project, and what that says of its being there. PURE.

use std::time::Duration;

use jiff::Timestamp;

use super::ProjectList;
use crate::management::{ListedProject, ProjectRef, Status};

/// How soon an object wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Nothing is expected to change.
    Resting,
    /// The project is on its way to another state.
    Moving,
}

/// A project as it was seen last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedState {
    /// Its name, as it is.
    pub name: String,
    /// The region as the platform calls it; none where it says none.
    pub region: Option<String>,
    /// The status as the platform gave it, known to us or not.
    pub status: Status,
    /// The size of the instance of its primary database, as far as a list has shown it.
    pub size: Option<Box<str>>,
    /// The slug of its organization, where that is another one than it was looked for in.
    pub elsewhere: Option<Box<str>>,
    /// Uptime at which the look that saw it began.
    pub begun: Duration,
}

impl ListedState {
    /// What a list that began at `begun` shows for a project; nothing if it is not on it.
    pub fn on(begun: Duration, reference: &str, list: &ProjectList) -> Option<Self> {
        list.find(reference).map(|listed| Self::of(begun, listed))
    }

    /// A project on a list that began at `begun`, in the organization that was listed.
    pub fn of(begun: Duration, listed: &ListedProject) -> Self {
        Self {
            name: listed.name.clone(),
            region: listed.region.clone(),
            status: listed.status.clone(),
            size: listed.size.as_deref().map(Box::from),
            elsewhere: None,
            begun,
        }
    }
}

/// What is known of a project's being there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nobody has looked yet.
    Unknown,
    /// It was there when it was looked for last.
    Present(ListedState),
    /// It was absent from a whole list.
    Absent {
        /// Uptime at which the first such list began.
        since: Duration,
    },
    /// The credential sees only some projects, or no list, and this one is not among them: neither listed nor
    /// answered for at its own address. It may be there all the same.
    NotVisible,
}

/// An entry of a whole list that cannot be read as a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its place on the list, oldest first, counted from one.
    pub number: u64,
    /// Its ref, as far as that can be read.
    pub reference: Option<ProjectRef>,
    /// When it was created, by the platform's clock, as far as that is known.
    pub created_at: Option<Timestamp>,
    /// The platform's clock at the first list known to have shown its ref.
    pub known_since: Option<Timestamp>,
}

impl Unreadable {
    /// Whether it may be a project that was made after `moment`, by the platform's clock.
    pub fn may_be_newer_than(&self, moment: Timestamp) -> bool {
        let known = self.known_since.is_some_and(|since| since <= moment);
        !known && self.created_at.is_none_or(|created| created >= moment)
    }

    /// Whether it may be a project of this ref.
    pub fn may_be(&self, reference: &str) -> bool {
        let own = self.reference.as_ref();
        own.is_none_or(|own| own.as_str() == reference)
    }

    /// Takes over what an earlier list knew of its ref.
    pub fn recall(&mut self, date: Timestamp, projects: &ProjectList, unreadable: &[Self]) {
        let Some(reference) = &self.reference else {
            return;
        };
        let earlier = unreadable
            .iter()
            .find(|earlier| earlier.reference.as_ref() == Some(reference))
            .map(|earlier| (earlier.known_since, earlier.created_at));
        let project = || {
            let project = projects.find(reference.as_str())?;
            Some((None, project.created_at))
        };
        if let Some((since, created_at)) = earlier.or_else(project) {
            self.known_since = since.or(Some(date));
            self.created_at = self.created_at.or(created_at);
        }
    }
}
