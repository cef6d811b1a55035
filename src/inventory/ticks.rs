//! Looking again and again, as seldom as will do.
//!
//! A task per inventory, as long as anybody follows anything: the newest page soon after something began to move, and every
//! few seconds while it does; at rest a cheap look every minute, and a whole list where that shows a change, or none was
//! made for long. Half of every bucket of the rate limit is left to others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use tokio::time::timeout;
use tracing::debug;

use super::{Inventory, Pace, ProjectList, WholeList, glimpse};
use crate::management::{
    Endpoint, Error, OrganizationSlug, ProjectRef, Sort, organization_projects, project,
};
use crate::session::Identity;
use crate::session::{Session, SessionState};

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
    /// Pages of the last look at what moves.
    newest_pages: u32,
    /// When the last cheap look began that showed no change.
    glanced: Option<Duration>,
    /// Cheap looks in a row that contradict the whole list made because of them.
    misled: u32,
}

/// Whole lists of more pages than this are not made as long as a cheap look, which takes two calls, shows no change.
const CHEAP: u32 = 2;
/// Cheap looks that were wrong so often in a row are made no more.
const MISLED: u32 = 2;
/// The least time between two looks.
const SPACING: Duration = Duration::from_millis(200);
/// Pages of one look at what moves.
const NEWEST_PAGES: u32 = 10;

impl Times {
    /// A whole list came, whoever asked for it.
    pub(super) fn saw_whole(&mut self, list: &WholeList) {
        self.looked = self.looked.max(Some(list.begun));
        self.whole = self.whole.max(Some(list.begun));
        self.pages = list.pages;
    }
}

/// How many inventories share a bucket.
#[derive(Clone, Debug, Default)]
pub struct Sharing(Arc<Mutex<BTreeMap<(String, String), u32>>>);

/// One inventory's share.
struct Share {
    sharing: Sharing,
    key: (String, String),
}

impl Sharing {
    fn take(&self, key: (String, String)) -> Share {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *shares.entry(key.clone()).or_default() += 1;
        Share { sharing: self.clone(), key }
    }
}

impl Share {
    fn count(&self) -> u32 {
        let shares = self.sharing.0.lock().unwrap_or_else(PoisonError::into_inner);
        shares.get(&self.key).copied().unwrap_or(1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut shares = self.sharing.0.lock().unwrap_or_else(PoisonError::into_inner);
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
    Glance,
    Whole,
}

impl Inventory {
    pub(super) fn is_idle(&self) -> bool {
        self.state().is_idle()
    }

    /// Starts the ticks, unless they run.
    pub(super) fn start(&self) {
        if self.session().is_err() {
            return;
        }
        if std::mem::replace(&mut self.times().ticking, true) {
            return;
        }
        let inventory = self.clone();
        self.0.shared.spawner.spawn(async move { inventory.tick().await });
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
                None => self.0.shared.options.rest_interval,
                Some(identity) => {
                    let key = (identity.counted, self.0.organization.clone());
                    if share.as_ref().is_none_or(|share| share.key != key) {
                        share = Some(self.0.shared.sharing.take(key));
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
            let _ = timeout(wait, self.0.kick.notified()).await;
        }
    }

    /// Who the calls are counted for; nobody while there is nothing to call with.
    fn identity(session: &Session) -> Option<Identity> {
        let usable = session.state() == SessionState::Usable && session.gateway().leads();
        session.identity().filter(|_| usable)
    }

    /// What to look at next, and how long until then.
    fn next(&self, session: &Session, sharers: u32) -> (Look, Duration) {
        let (times, options) = (*self.times(), &self.0.shared.options);
        let (gateway, state) = (session.gateway(), self.state());
        let identity = session.identity();
        let identity = identity.as_ref();
        let endpoint = Endpoint::OrganizationProjects;
        let limit =
            identity.map_or(1, |identity| gateway.limit(identity, &self.0.organization, endpoint));
        // So far apart must calls be for all sharers together to use half of the bucket.
        let apart = Duration::from_secs(60) * 2 * sharers / limit.max(1);
        let now = gateway.uptime();
        let until = |since: Option<Duration>, interval: Duration| {
            since.map_or(Duration::ZERO, |since| (since + interval).saturating_sub(now))
        };
        let whole = options.rest_interval.max(apart * times.pages.max(1));
        let newest = options.transition_interval.max(apart * times.newest_pages.max(1));
        let mut next = self.at_rest(session, &times, until(times.whole, whole));
        if state.has_unknown(Pace::Resting) {
            next = (Look::Whole, next.1.min(until(times.looked, newest)));
        }
        if let Some(due) = state.due(times.looked, newest) {
            let spacing = identity.map_or(SPACING, |identity| {
                gateway.spacing(identity, &self.0.organization, endpoint) * sharers
            });
            let least = times.looked.map_or(due, |looked| looked + spacing.max(SPACING));
            let due = due.max(least).saturating_sub(now);
            if due < next.1 {
                next = (Look::Page, due);
            }
        }
        if next.1.is_zero()
            && let Some(wait) = identity
                .and_then(|identity| gateway.reserve(identity, &self.0.organization, endpoint))
        {
            next.1 = wait;
        }
        next
    }

    /// What to do where nothing moves: `whole` is when a whole list would be due.
    fn at_rest(&self, session: &Session, times: &Times, whole: Duration) -> (Look, Duration) {
        let options = &self.0.shared.options;
        let cheap = times.pages > CHEAP
            && times.misled < MISLED
            && !session.may_be_limited_to_projects()
            && self.lists().latest().is_some_and(|list| !list.limited);
        if !cheap {
            return (Look::Whole, whole);
        }
        let now = session.gateway().uptime();
        let since = |moment: Option<Duration>, interval: Duration| {
            (moment.unwrap_or_default() + interval).saturating_sub(now)
        };
        let sure = since(times.whole, options.resync_interval);
        let glance = since(times.whole.max(times.glanced), options.rest_interval);
        if sure <= glance { (Look::Whole, sure.max(whole)) } else { (Look::Glance, glance) }
    }

    async fn look(&self, session: &Session, look: Look) {
        let now = session.gateway().uptime();
        self.times().looked = Some(now);
        let outcome = match look {
            Look::Whole => {
                self.times().whole = Some(now);
                self.whole(TENANT, now).await.map(|_| ())
            }
            Look::Page => self.look_at_newest(session).await,
            Look::Glance => self.glance(session).await,
        };
        self.judge(outcome.as_ref().err());
        match outcome {
            Ok(()) => {}
            Err(Error::Forbidden { .. }) => {
                // Listing is not allowed: each by its own address.
                let references = if look == Look::Page {
                    self.state().moving()
                } else {
                    self.state().references()
                };
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

    /// Looks at the newest projects, as far back as needed to see what moves; what is missing then is asked for by its
    /// own address.
    async fn look_at_newest(&self, session: &Session) -> Result<(), Error> {
        let slug: OrganizationSlug = self.0.organization.parse().map_err(|_| Error::NotFound)?;
        let mut missing = self.state().moving();
        let mut pages = 0;
        loop {
            let offset = u64::from(pages) * u64::from(PAGE);
            let call = organization_projects(&slug, offset, PAGE, Sort::NewestFirst);
            let (era, begun) = (self.era(), session.gateway().uptime());
            let page = session.send(TENANT, &call).await?.value;
            pages += 1;
            self.times().newest_pages = pages;
            self.learn(era, |state| state.saw_page(begun, &page.projects));
            for listed in &page.projects {
                missing.remove(listed.reference.as_str());
            }
            let more = page.len() as u64 == u64::from(PAGE) && pages < NEWEST_PAGES;
            if missing.len() <= AT_A_TIME || !more {
                break;
            }
        }
        let blind = session.may_be_limited_to_projects();
        self.look_at(session, missing, blind).await;
        Ok(())
    }

    /// Looks whether anything has changed since the last whole list; if so, makes another.
    async fn glance(&self, session: &Session) -> Result<(), Error> {
        let slug: OrganizationSlug = self.0.organization.parse().map_err(|_| Error::NotFound)?;
        let now = session.gateway().uptime();
        let seen = glimpse::look(session, &slug, TENANT).await?;
        let before = self.lists().latest().map(|list| list.glimpse());
        if before.as_ref() == Some(&seen) {
            let mut times = self.times();
            times.glanced = Some(now);
            times.misled = 0;
            return Ok(());
        }
        self.times().whole = Some(now);
        let list = self.whole(TENANT, now).await?;
        let mut times = self.times();
        // The list shows what it showed before, and the look something else: it counts in another way.
        let unchanged = before == Some(list.glimpse());
        times.misled = if unchanged { times.misled + 1 } else { 0 };
        Ok(())
    }

    /// Asks for what is missing from a list of some projects, each at most once in the interval of lists.
    pub(super) async fn look_for_missing(&self, session: &Session, list: &ProjectList) {
        // A little less, so that a list that comes early is no reason to leave one out.
        let interval = self.0.shared.options.rest_interval * 9 / 10;
        let asked_after = session.gateway().uptime().checked_sub(interval);
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
                let (era, begun) = (self.era(), session.gateway().uptime());
                if blind {
                    self.state().asks(&reference, begun);
                }
                let seen = match session.send(TENANT, &project(&parsed)).await {
                    Ok(answer) => Some(answer.value),
                    Err(Error::NotFound | Error::Removed) => None,
                    Err(Error::Forbidden { .. }) if blind => None,
                    Err(_) => return,
                };
                self.learn(era, |state| state.saw_one(begun, &reference, seen.as_ref(), blind));
            })
            .await;
    }
}
