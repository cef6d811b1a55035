//! Looking again and again, as seldom as will do.
//!
//! A task per roster, as long as anybody follows anything: the newest page every few seconds while something is on
//! its way to another state, the whole list every minute at rest. Half of every bucket of the rate limit is left to
//! others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use tokio::time::timeout;
use tracing::debug;

use super::{Pace, Roster, WholeList};
use crate::management::{
    Endpoint, Error, ListedProject, OrganizationSlug, ProjectRef, Sort, organization_projects,
    project,
};
use crate::session::Identity;
use crate::session::live::{Session, SessionState};

/// Objects that begin to follow within so short a time share one list.
const TOGETHER: Duration = Duration::from_millis(200);
/// Projects asked for at a time.
const AT_A_TIME: usize = 8;
const PAGE: u32 = 100;
/// So many refused looks in a row are no accident.
const LASTING: u32 = 2;
/// Ticks are nobody's in particular.
const TENANT: &str = "";

/// When was looked last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    ticking: bool,
    /// When the last look of any kind began.
    looked: Option<Duration>,
    /// When the last whole list began.
    whole: Option<Duration>,
    /// Looks in a row that the platform answered, and not with projects.
    refused: u32,
    /// Pages of the last whole list.
    pages: u32,
}

impl Times {
    /// A whole list came, whoever asked for it.
    pub(super) fn saw_whole(&mut self, begun: Duration, pages: u32) {
        self.looked = self.looked.max(Some(begun));
        self.whole = self.whole.max(Some(begun));
        self.pages = pages;
    }
}

/// How many rosters share a bucket.
#[derive(Clone, Debug, Default)]
pub struct Sharing(Arc<Mutex<BTreeMap<(String, String), u32>>>);

/// One roster's share.
struct Share {
    sharing: Sharing,
    key: (String, String),
}

impl Sharing {
    fn take(&self, key: (String, String)) -> Share {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *shares.entry(key.clone()).or_default() += 1;
        Share {
            sharing: self.clone(),
            key,
        }
    }
}

impl Share {
    fn count(&self) -> u32 {
        let shares = self
            .sharing
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        shares.get(&self.key).copied().unwrap_or(1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut shares = self
            .sharing
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = shares.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                shares.remove(&self.key);
            }
        }
    }
}

/// What to look at, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Page,
    Whole,
}

impl Roster {
    pub(in crate::session) fn is_idle(&self) -> bool {
        self.state().is_idle()
    }

    /// Starts the ticks, unless they run.
    pub(super) fn start(&self) {
        let Ok(session) = self.session() else { return };
        if std::mem::replace(&mut self.times().ticking, true) {
            return;
        }
        let roster = self.clone();
        session
            .shared()
            .spawner
            .spawn(async move { roster.tick().await });
    }

    async fn tick(&self) {
        let mut share: Option<Share> = None;
        tokio::time::sleep(TOGETHER).await;
        loop {
            {
                let mut times = self.times();
                if self.is_idle() {
                    times.ticking = false;
                    return;
                }
            }
            let Ok(session) = self.session() else { return };
            let wait = match Self::identity(&session) {
                None => session.shared().options.rest_interval,
                Some(identity) => {
                    let key = (identity.counted, self.0.organization.clone());
                    if share.as_ref().is_none_or(|share| share.key != key) {
                        share = Some(session.shared().sharing.take(key));
                    }
                    let sharers = share.as_ref().map_or(1, Share::count);
                    let (look, wait) = self.next(&session, sharers);
                    if wait.is_zero() {
                        self.look(&session, look).await;
                        continue;
                    }
                    wait
                }
            };
            drop(session);
            if timeout(wait, self.0.kick.notified()).await.is_ok() {
                // More may follow at once.
                tokio::time::sleep(TOGETHER).await;
            }
        }
    }

    /// Who the calls are counted for; nobody while there is nothing to call with.
    fn identity(session: &Session) -> Option<Identity> {
        let usable = session.state() == SessionState::Usable && session.line().leads();
        session.identity().filter(|_| usable)
    }

    /// What to look at next, and how long until then.
    fn next(&self, session: &Session, sharers: u32) -> (Look, Duration) {
        let (times, options) = (*self.times(), &session.shared().options);
        let (line, state) = (session.line(), self.state());
        let identity = session.identity();
        let identity = identity.as_ref();
        let endpoint = Endpoint::OrganizationProjects;
        let limit = identity.map_or(1, |identity| {
            line.limit(identity, &self.0.organization, endpoint)
        });
        // So far apart must calls be for all sharers together to use half of the bucket.
        let apart = Duration::from_secs(60) * 2 * sharers / limit.max(1);
        let now = line.uptime();
        let until = |since: Option<Duration>, interval: Duration| {
            since.map_or(Duration::ZERO, |since| {
                (since + interval).saturating_sub(now)
            })
        };
        let whole = options.rest_interval.max(apart * times.pages.max(1));
        let page = options.transition_interval.max(apart);
        let mut next = (Look::Whole, until(times.whole, whole));
        if state.has_unknown(Pace::Resting) {
            next.1 = next.1.min(until(times.looked, page));
        }
        if state.is_moving() {
            let due = until(times.looked, page);
            if due < next.1 {
                next = (Look::Page, due);
            }
        }
        if next.1.is_zero()
            && let Some(wait) =
                identity.and_then(|identity| line.reserve(identity, &self.0.organization, endpoint))
        {
            next.1 = wait;
        }
        next
    }

    async fn look(&self, session: &Session, look: Look) {
        let now = session.line().uptime();
        self.times().looked = Some(now);
        let outcome = match look {
            Look::Whole => {
                self.times().whole = Some(now);
                self.whole(TENANT, now).await.map(|_| ())
            }
            Look::Page => self.look_at_page(session).await,
        };
        self.judge(outcome.as_ref().err());
        match outcome {
            Ok(()) => {}
            Err(Error::Forbidden { .. }) => {
                // Listing is not allowed: each by its own address.
                let pace = (look == Look::Page).then_some(Pace::Moving);
                let references = self.state().references(pace);
                self.look_at(session, references, true).await;
            }
            Err(error) => debug!(
                organization = self.0.organization,
                error = error.as_str(),
                "projects could not be listed"
            ),
        }
    }

    /// Counts looks that the platform refuses, and says so once that lasts. Where it cannot be reached at all, or must be
    /// waited for, nothing is counted: that passes, or the connection says it.
    fn judge(&self, error: Option<&Error>) {
        let trouble = match error {
            // Each project is looked at by its own address then.
            None | Some(Error::Forbidden { .. }) => {
                self.times().refused = 0;
                None
            }
            Some(
                Error::Unreachable { .. }
                | Error::TimedOut { .. }
                | Error::Throttled { .. }
                | Error::Unauthorized
                | Error::MalformedCredential(_)
                | Error::Withheld(_),
            ) => return,
            Some(
                error @ (Error::NotFound
                | Error::Removed
                | Error::Rejected { .. }
                | Error::Unavailable { .. }
                | Error::Undecodable { .. }),
            ) => {
                let mut times = self.times();
                times.refused = times.refused.saturating_add(1);
                if times.refused < LASTING {
                    return;
                }
                Some(error.clone())
            }
        };
        self.note_trouble(trouble);
    }

    async fn look_at_page(&self, session: &Session) -> Result<(), Error> {
        let slug: OrganizationSlug = self.0.organization.parse().map_err(|_| Error::NotFound)?;
        let call = organization_projects(&slug, 0, PAGE, Sort::NewestFirst);
        let (era, begun) = (self.era(), session.line().uptime());
        let page = session.send(TENANT, &call).await?.value.projects;
        self.learn(era, |state| state.saw_page(begun, &page));
        let mut missing = self.state().references(Some(Pace::Moving));
        for listed in &page {
            missing.remove(listed.reference.as_str());
        }
        let blind = session.may_be_limited_to_projects();
        self.look_at(session, missing, blind).await;
        Ok(())
    }

    /// Asks for what is missing from a list of some projects, each at most once in the interval of lists.
    pub(super) async fn look_for_missing(&self, session: &Session, list: &[ListedProject]) {
        // A little less, so that a list that comes early is no reason to leave one out.
        let interval = session.shared().options.rest_interval * 9 / 10;
        let asked_after = session.line().uptime().checked_sub(interval);
        let missing = self.state().missing(list, asked_after);
        self.look_at(session, missing, true).await;
    }

    /// Asks for what may be an entry of a list that cannot be read.
    pub(super) async fn look_at_doubtful(&self, session: &Session, list: &WholeList) {
        let doubtful = self.state().doubtful(&list.projects, &list.unreadable);
        self.look_at(session, doubtful, false).await;
    }

    /// Asks for projects by their own addresses. `blind` if no list of this credential proves that a project is
    /// absent.
    async fn look_at(
        &self,
        session: &Session,
        references: impl IntoIterator<Item = String>,
        blind: bool,
    ) {
        stream::iter(references)
            .for_each_concurrent(AT_A_TIME, |reference| async move {
                let Ok(parsed) = reference.parse::<ProjectRef>() else {
                    return;
                };
                let (era, begun) = (self.era(), session.line().uptime());
                if blind {
                    self.state().asks(&reference, begun);
                }
                let seen = match session.send(TENANT, &project(&parsed)).await {
                    Ok(answer) => Some(answer.value),
                    Err(Error::NotFound | Error::Removed) => None,
                    Err(Error::Forbidden { .. }) if blind => None,
                    Err(_) => return,
                };
                self.learn(era, |state| {
                    state.saw_one(begun, &reference, seen.as_ref(), blind)
                });
            })
            .await;
    }
}
