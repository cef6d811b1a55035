//! THE INVENTORY: one list of an organization's projects, shared by every object that follows one of them.
//!
//! Above sessions, which it calls the platform through and is told by; knows no kind of object but by its name.

mod following;
mod glimpse;
mod learning;
mod list;
mod listed;
mod registry;
mod state;
mod ticks;
mod whole;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

pub use list::ProjectList;
pub use listed::{ListedState, Pace, Presence, Unreadable};
pub use registry::{Inventories, InventoryOptions};
pub use whole::WholeList;

use crate::api::ObjectRef;
use crate::management::{Error, Status, Withheld};
use crate::session::Session;
use crate::slots;
use registry::Shared;
use state::InventoryState;
use ticks::Times;
use whole::Lists;

/// How old a list of the last minute may be.
const LATELY: Duration = Duration::from_secs(60);

/// The inventory of one organization. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Inventory(Arc<Inner>);

struct Inner {
    organization: String,
    session: Session,
    shared: Arc<Shared>,
    /// Its connection is gone.
    closed: AtomicBool,
    state: Mutex<InventoryState>,
    lists: Mutex<Lists>,
    listed: watch::Sender<u64>,
    /// Counts the looks from which something was learned.
    learned: watch::Sender<u64>,
    times: Mutex<Times>,
    /// Why looks fail, once that has lasted.
    trouble: Mutex<Option<Error>>,
    kick: Notify,
}

/// An object that waits for news. Dropped, however the wait ends, it is told of them again.
struct Waiting<'a> {
    inventory: &'a Inventory,
    object: &'a ObjectRef,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.inventory.state().waits(self.object, false);
    }
}

impl fmt::Debug for Inventory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Inventory")
            .field("organization", &self.0.organization)
            .finish_non_exhaustive()
    }
}

impl Inventory {
    fn new(organization: &str, session: &Session, shared: &Arc<Shared>) -> Self {
        Self(Arc::new(Inner {
            organization: organization.to_owned(),
            session: session.clone(),
            shared: Arc::clone(shared),
            closed: AtomicBool::new(false),
            state: Mutex::new(InventoryState::new(organization)),
            lists: Mutex::default(),
            listed: watch::Sender::new(0),
            learned: watch::Sender::new(0),
            times: Mutex::default(),
            trouble: Mutex::default(),
            kick: Notify::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, InventoryState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.0.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session to call with; none once its connection is gone.
    fn session(&self) -> Result<Session, Error> {
        if self.0.closed.load(Ordering::Relaxed) {
            return Err(Error::Withheld(Withheld::NoCredential));
        }
        Ok(self.0.session.clone())
    }

    /// Its connection is gone: nothing is looked at any more.
    fn close(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
        self.0.kick.notify_one();
        self.0.listed.send_modify(|version| *version += 1);
    }

    /// An object follows a project from now on, and nothing anywhere else; the newest pace counts. Saying it again
    /// changes nothing. Gives what is known of the project's being there: at once, if a list that is not older than
    /// the interval of lists has shown it.
    pub fn follow(&self, reference: &str, object: &ObjectRef, pace: Pace) -> Presence {
        let Ok(session) = self.session() else {
            return Presence::Unknown;
        };
        if let Some(before) = self.0.shared.following.moves(object, self) {
            before.state().unfollow(object);
        }
        let now = session.gateway().uptime();
        let changed = self.state().follow(reference, object, pace, now);
        if let Some(list) = self.recent(&session) {
            self.state().recall(list.begun, reference, &list.projects);
        }
        if changed {
            self.start();
            self.0.kick.notify_one();
        }
        self.state().presence(reference)
    }

    /// The same for an object that has just looked: one that saw nothing looks again if something is known by now, since what
    /// came in between has woken nobody.
    pub fn keep_following(&self, reference: &str, object: &ObjectRef, pace: Pace, seen: &Presence) {
        let known = self.follow(reference, object, pace);
        if *seen == Presence::Unknown && known != Presence::Unknown {
            self.0.shared.requests.add(object.clone());
        }
    }

    /// An object follows a project from now on, and knows its name and status by its own word.
    fn expect(&self, reference: &str, object: &ObjectRef, known: (String, Status)) {
        let Ok(session) = self.session() else {
            return;
        };
        self.0.shared.following.moves(object, self);
        let now = session.gateway().uptime();
        if self.state().expect(reference, object, known, now) {
            self.start();
        }
    }

    /// Whoever follows a project has given it a name.
    pub fn renamed(&self, reference: &str, name: &str) {
        self.state().renamed(reference, name);
    }

    /// Looks are tried again at once.
    fn kick(&self) {
        self.0.kick.notify_one();
    }

    /// The last list, if it is not older than the interval of lists.
    fn recent(&self, session: &Session) -> Option<Arc<WholeList>> {
        let fresh = self.0.shared.options.rest_interval;
        self.latest(session, |_| fresh)
    }

    /// The last list, if it is not older than it may be.
    fn latest(
        &self,
        session: &Session,
        fresh: impl Fn(&WholeList) -> Duration,
    ) -> Option<Arc<WholeList>> {
        let now = session.gateway().uptime();
        let list = self.lists().latest();
        list.filter(|list| list.begun + fresh(list) > now)
    }

    /// An object follows nothing here any more.
    pub fn unfollow(&self, object: &ObjectRef) {
        self.0.shared.following.leaves(object, self);
        self.state().unfollow(object);
    }

    /// What is known of a project's being there, whether anybody follows it or not.
    pub fn presence(&self, reference: &str) -> Presence {
        let known = self.state().presence(reference);
        if known != Presence::Unknown {
            return known;
        }
        let recent = self.session().ok().and_then(|session| self.recent(&session));
        recent
            .and_then(|list| {
                ListedState::on(list.begun, reference, &list.projects).map(Presence::Present)
            })
            .unwrap_or(known)
    }

    /// Looks at a project that is on its way until it was seen at rest, at most for so long: much is done within a moment
    /// of the call that asked for it. The object is not woken by what is seen meanwhile: it is about to look.
    pub async fn settles(&self, reference: &str, object: &ObjectRef, at_most: Duration) {
        self.follow(reference, object, Pace::Moving);
        let mut learned = self.0.learned.subscribe();
        self.state().waits(object, true);
        let _waiting = Waiting { inventory: self, object };
        let settled = async {
            loop {
                let known = self.state().presence(reference);
                if matches!(&known, Presence::Present(seen) if !seen.status.is_moving()) {
                    return;
                }
                // The sender lives as long as the inventory that we hold.
                let _ = learned.changed().await;
            }
        };
        let _ = slots::away(timeout(at_most, settled)).await;
    }

    /// The last whole list, if it is of the last minute, or as fresh as a list that takes longer than that can be. It is
    /// good for knowing what was there, not for what was not: whoever must know that asks for [`Inventory::whole`].
    pub fn lately(&self) -> Option<Arc<WholeList>> {
        let session = self.session().ok()?;
        self.latest(&session, |list| LATELY.max(list.took * 2))
    }

    /// Another credential is in use from now on: what was seen before says nothing, and what is being looked for
    /// with the old one neither.
    fn forget_seen(&self) {
        {
            let mut lists = self.lists();
            lists.begin_anew();
            self.state().forget_seen();
        }
        self.0.listed.send_modify(|version| *version += 1);
        self.0.kick.notify_one();
    }

    /// The era to give to [`Inventory::learn`]; taken before the look.
    fn era(&self) -> u64 {
        self.lists().era
    }

    /// Learns what a look has shown, unless the credential was replaced under way. Whether it was learned.
    fn learn(&self, era: u64, saw: impl FnOnce(&mut InventoryState) -> Vec<ObjectRef>) -> bool {
        let changed = {
            // Held until it is learned, so that no new era begins in between.
            let lists = self.lists();
            if lists.era != era {
                return false;
            }
            saw(&mut self.state())
        };
        self.0.learned.send_modify(|looks| *looks += 1);
        self.wake(changed);
        true
    }

    /// Why the projects cannot be looked at, although the platform answers: what is known of them is old, and stays so.
    pub fn trouble(&self) -> Option<Error> {
        let trouble = self.0.trouble.lock();
        trouble.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes why looks fail, or that they do not. Whoever follows something is told of the change.
    fn note_trouble(&self, trouble: Option<Error>) {
        let changed = {
            let mut noted = self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            let before = std::mem::replace(&mut *noted, trouble);
            before.is_some() != noted.is_some()
        };
        if changed {
            let objects = self.state().objects();
            self.wake(objects);
        }
    }

    /// Asks for a reconcile of everybody who follows something.
    fn wake_all(&self) {
        let objects = self.state().objects();
        self.wake(objects);
        self.0.kick.notify_one();
    }

    fn wake(&self, objects: Vec<ObjectRef>) {
        for object in objects {
            self.0.shared.requests.add(object);
        }
    }

    fn saw_whole(&self, era: u64, list: &WholeList) -> bool {
        self.learn(era, |state| {
            if list.limited {
                // Absence from a list of some projects says nothing.
                state.saw_page(list.begun, &list.projects)
            } else {
                state.saw_whole(list.begun, &list.projects, &list.unreadable)
            }
        })
    }

    /// A list of the whole organization that began after `begun_after` (uptime), or after this call: every page of
    /// it. One running list serves everybody who asked before it began.
    ///
    /// # Errors
    /// What kept a page from coming; then nothing is known.
    pub async fn whole(
        &self,
        tenant: &str,
        begun_after: Duration,
    ) -> Result<Arc<WholeList>, Error> {
        whole::whole(self, tenant, begun_after).await
    }
}
