//! Lists of a whole organization: all pages, as far as the platform's count tells, or nothing.
//!
//! Pages are asked for oldest first, each beginning with the last project of the one before: if it begins with
//! another one, something was deleted meanwhile and a project may have slipped through, so the list begins anew.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use super::glimpse::Glimpse;
use super::{Inventory, ProjectList, Unreadable};
use crate::management::{
    Answer, Call, Error, ListedProject, OrganizationSlug, ProjectPage, ProjectRef, Sent, Sort,
    Status, organization_projects,
};
use crate::session::Session;
use crate::slots;

const PAGE: u32 = 100;
/// Pages of one list: a hundred thousand projects.
const PAGES: u32 = 1000;
/// Lists begun anew before one gives up.
const RESTARTS: u32 = 3;
/// How long one list may take: as many pages as there may be, at two a second.
const LONGEST: Duration = Duration::from_secs(600);
/// The pause where the platform does not say how long to wait for the next page.
const PAUSE: Duration = Duration::from_secs(5);
/// How long whoever asks waits for a list at a time, and when to ask again.
const PATIENCE: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// A list of a whole organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeList {
    /// Uptime when it began.
    pub begun: Duration,
    /// The server's clock at the first page; ours, if the answer had no date.
    pub date: Timestamp,
    /// Whether `date` is by our own clock.
    pub date_is_ours: bool,
    /// How long it took.
    pub took: Duration,
    /// Every project that can be read, oldest first, branches included.
    pub projects: Arc<ProjectList>,
    /// What stands on it and cannot be read as a project.
    pub unreadable: Arc<Vec<Unreadable>>,
    /// Whether the credential may reach only some projects, so that absence says nothing.
    pub limited: bool,
    /// How many calls it took.
    pub pages: u32,
}

impl WholeList {
    /// What a cheap look must show as long as nothing has changed since.
    pub(super) fn glimpse(&self) -> Glimpse {
        let active = |one: &&ListedProject| one.status == Status::ActiveHealthy;
        Glimpse {
            count: (self.projects.len() + self.unreadable.len()) as u64,
            newest: self.projects.last().map(|one| one.reference.clone()),
            active: self.projects.iter().filter(active).count() as u64,
        }
    }
}

/// Lists running and done.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Counts the credentials of different chains: what a list of an earlier era shows is dropped.
    pub(super) era: u64,
    /// Never goes back, so that no list from before a call can pass for one from after it.
    started: u64,
    running: bool,
    last: Option<Done>,
}

#[derive(Debug)]
struct Done {
    number: u64,
    begun: Duration,
    result: Result<Arc<WholeList>, Error>,
}

impl Lists {
    /// Forgets what came, and what is under way.
    pub(super) fn begin_anew(&mut self) {
        self.era += 1;
        self.running = false;
        self.last = None;
    }

    /// The last list that came.
    pub(super) fn latest(&self) -> Option<Arc<WholeList>> {
        self.last.as_ref()?.result.as_ref().ok().map(Arc::clone)
    }
}

pub(super) async fn whole(
    inventory: &Inventory,
    tenant: &str,
    begun_after: Duration,
) -> Result<Arc<WholeList>, Error> {
    let session = inventory.session()?;
    let deadline = session.gateway().uptime() + PATIENCE;
    let mut listed = inventory.0.listed.subscribe();
    let (asked, under_way) = {
        let lists = inventory.lists();
        (lists.started, lists.running)
    };
    loop {
        {
            let mut lists = inventory.lists();
            if let Some(done) = &lists.last {
                // Two moments of a coarse clock may be equal; then only what started after this call is later for
                // sure.
                let later = done.begun > begun_after;
                let fresh = done.number > asked;
                // A failure from before this call is no answer to it.
                let waited_for = under_way && done.number == asked;
                if fresh || (later && (done.result.is_ok() || waited_for)) {
                    return done.result.clone();
                }
            }
            if !lists.running {
                lists.started += 1;
                lists.running = true;
                let run = Run {
                    inventory: inventory.clone(),
                    era: lists.era,
                    number: lists.started,
                    begun: session.gateway().uptime(),
                    finished: false,
                };
                drop(lists);
                let (session, tenant) = (session.clone(), tenant.to_owned());
                let spawner = &inventory.0.shared.spawner;
                if !spawner.spawn(run.list(session, tenant)) {
                    return Err(Error::Unreachable { sent: Sent::No });
                }
            }
        }
        // A long list goes on by itself: whoever asks again is served by it.
        let left = deadline.saturating_sub(session.gateway().uptime());
        if slots::waiting(timeout(left, listed.changed())).await.is_err() {
            return Err(Error::Throttled { retry_after: Some(ASK_AGAIN) });
        }
    }
}

/// A list under way. However it ends, those who wait are told.
struct Run {
    inventory: Inventory,
    era: u64,
    number: u64,
    begun: Duration,
    finished: bool,
}

impl Run {
    async fn list(mut self, session: Session, tenant: String) {
        let result = fetch(&session, &self.inventory.0.organization, &tenant).await;
        let before = self.inventory.lists().latest();
        let result = result.map(|mut list: WholeList| {
            if let Some(before) = before {
                for entry in Arc::make_mut(&mut list.unreadable) {
                    entry.recall(before.date, &before.projects, &before.unreadable);
                }
            }
            Arc::new(list)
        });
        if let Ok(list) = &result
            && self.inventory.saw_whole(self.era, list)
        {
            self.inventory.times().saw_whole(list);
        }
        let partial = result
            .as_ref()
            .ok()
            .filter(|list| list.limited || !list.unreadable.is_empty())
            .cloned();
        self.finish(result);
        if let Some(list) = partial {
            if list.limited {
                self.inventory.look_for_missing(&session, &list.projects).await;
            } else {
                self.inventory.look_at_doubtful(&session, &list).await;
            }
        }
    }

    fn finish(&mut self, result: Result<Arc<WholeList>, Error>) {
        self.finished = true;
        {
            let mut lists = self.inventory.lists();
            if lists.era != self.era {
                // Seen with a credential that is in use no more. Whoever waited has begun anew.
                return;
            }
            lists.running = false;
            lists.last = Some(Done { number: self.number, begun: self.begun, result });
        }
        self.inventory.0.listed.send_modify(|version| *version += 1);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.finished {
            self.finish(Err(Error::Unreachable { sent: Sent::No }));
        }
    }
}

async fn fetch(session: &Session, organization: &str, tenant: &str) -> Result<WholeList, Error> {
    let slug: OrganizationSlug = organization.parse().map_err(|_| Error::NotFound)?;
    for attempt in 0..=RESTARTS {
        if let Some(list) = pages(session, &slug, tenant, attempt == RESTARTS).await? {
            return Ok(list);
        }
    }
    Err(Error::Undecodable { status: 200 })
}

/// One page. While the budget has no room for it, those before are kept: a list that needs more pages than a minute
/// allows takes longer than a minute.
async fn page(
    session: &Session,
    tenant: &str,
    call: &Call<ProjectPage>,
    deadline: Duration,
) -> Result<Answer<ProjectPage>, Error> {
    loop {
        let answer = session.send(tenant, call).await;
        let Err(Error::Throttled { retry_after }) = answer else {
            return answer;
        };
        let pause = retry_after.unwrap_or(PAUSE);
        if session.gateway().uptime() + pause >= deadline {
            return answer;
        }
        tokio::time::sleep(pause).await;
    }
}

/// All pages; nothing if a project may have slipped through. The last try is content with as many projects as the
/// platform says there are.
async fn pages(
    session: &Session,
    slug: &OrganizationSlug,
    tenant: &str,
    last_try: bool,
) -> Result<Option<WholeList>, Error> {
    let begun = session.gateway().uptime();
    // Tokens of one chain may differ in it, and may be replaced between two pages.
    let limited = session.may_be_limited_to_projects();
    let mut projects: Vec<ListedProject> = Vec::new();
    let mut unreadable: Vec<Unreadable> = Vec::new();
    let mut last: Option<Option<ProjectRef>> = None;
    let mut seen = HashSet::new();
    let (mut date, mut offset, mut counts) = (None, 0, Vec::new());
    for number in 1..=PAGES {
        let call = organization_projects(slug, offset, PAGE, Sort::OldestFirst);
        let answer = page(session, tenant, &call, begun + LONGEST).await?;
        date = if number == 1 { answer.date } else { date };
        let page: ProjectPage = answer.value;
        counts.push(page.count);
        let references = page.references();
        let joined = last
            .as_ref()
            .is_none_or(|last| references.first().is_some_and(|first| *first == last.as_ref()));
        if !joined && !last_try {
            return Ok(None);
        }
        last = references.last().map(|last| last.cloned()).or(last);
        let length = page.len() as u64;
        let before = projects.len() + unreadable.len();
        for entry in page.unreadable {
            let number = offset + entry.place as u64 + 1;
            // What has no ref is known by its place.
            let fresh = match &entry.reference {
                Some(reference) => seen.insert(reference.clone()),
                None => unreadable.iter().all(|known| known.number != number),
            };
            if fresh {
                unreadable.push(Unreadable {
                    number,
                    reference: entry.reference,
                    created_at: entry.created_at,
                    known_since: None,
                });
            }
        }
        let fresh = page.projects.into_iter().filter(|one| seen.insert(one.reference.clone()));
        projects.extend(fresh);
        let entries = projects.len() + unreadable.len();
        let complete = entries as u64 >= page.count;
        if complete || entries == before {
            let steady = counts.iter().all(|count| *count == page.count);
            if !complete || (last_try && !steady) {
                return Ok(None);
            }
            return Ok(Some(WholeList {
                begun,
                date: date.unwrap_or_else(|| session.gateway().clock().now()),
                date_is_ours: date.is_none(),
                took: session.gateway().uptime().saturating_sub(begun),
                projects: Arc::new(ProjectList::from(projects)),
                unreadable: Arc::new(unreadable),
                limited: limited || session.may_be_limited_to_projects(),
                pages: number,
            }));
        }
        offset += length.saturating_sub(1);
    }
    Ok(None)
}
