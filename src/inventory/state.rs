//! What is known of the projects that objects follow.
//!
//! PURE: lists and answers go in, the objects to look at come out.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::{Pace, Presence, ProjectList};
use crate::api::ObjectRef;
use crate::management::Status;

/// When what has begun to move is looked at, counted from its beginning: soon, since much is done within a moment.
const SOON: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

#[derive(Clone, Debug)]
pub(super) struct Follower {
    pub(super) object: ObjectRef,
    pace: Pace,
    /// Uptime since when: a list that began before says nothing about absence.
    pub(super) since: Duration,
    /// Whether it waits for news at this moment, and need not be told of them.
    pub(super) waits: bool,
}

/// A project that somebody follows.
#[derive(Clone, Debug, Default)]
pub(super) struct Tracked {
    pub(super) followers: Vec<Follower>,
    pub(super) known: Option<Presence>,
    /// Uptime at which it was last asked for by its own address, because no list can prove it absent.
    pub(super) asked: Option<Duration>,
    /// Name and status that its followers know of: seen so, it is no news.
    pub(super) expected: Option<Box<(String, Status)>>,
}

impl Tracked {
    /// Whether it was asked for by its own address and gave no answer: it is not asked for all the time.
    const fn in_vain(&self) -> bool {
        self.asked.is_some() && self.known.is_none()
    }
}

/// The followed projects of one organization. What is done for one object does not grow with the number of objects.
#[derive(Clone, Debug, Default)]
pub struct InventoryState {
    pub(super) organization: String,
    /// By ref. Boxed: a table has room for twice as many.
    pub(super) projects: HashMap<String, Box<Tracked>>,
    /// What each object follows.
    followed: HashMap<ObjectRef, String>,
    /// The refs that somebody expects to change, and the uptime since when.
    moving: HashMap<String, Duration>,
    /// The refs that nobody has looked for.
    pub(super) unlooked: HashSet<String>,
}

impl InventoryState {
    /// Nothing is followed yet.
    pub fn new(organization: &str) -> Self {
        Self { organization: organization.to_owned(), ..Self::default() }
    }

    /// An object follows a project from now on. Whether anything changed.
    pub fn follow(
        &mut self,
        reference: &str,
        object: &ObjectRef,
        pace: Pace,
        now: Duration,
    ) -> bool {
        if self.followed.get(object).is_some_and(|known| known != reference) {
            self.unfollow(object);
        }
        if !self.projects.contains_key(reference) {
            self.unlooked.insert(reference.to_owned());
        }
        let tracked = self.projects.entry(reference.to_owned()).or_default();
        let known = tracked.followers.iter_mut().find(|follower| follower.object == *object);
        match known {
            Some(follower) if follower.pace == pace => return false,
            Some(follower) => follower.pace = pace,
            None => {
                tracked.followers.push(Follower {
                    object: object.clone(),
                    pace,
                    since: now,
                    waits: false,
                });
                self.followed.insert(object.clone(), reference.to_owned());
            }
        }
        self.pace(reference, now);
        true
    }

    /// An object follows a project of which it knows name and status: only another sight is news.
    pub fn expect(
        &mut self,
        reference: &str,
        object: &ObjectRef,
        known: (String, Status),
        now: Duration,
    ) -> bool {
        let changed = self.follow(reference, object, Pace::Resting, now);
        if let Some(tracked) = self.projects.get_mut(reference)
            && tracked.known.is_none()
        {
            tracked.expected = Some(Box::new(known));
        }
        changed
    }

    /// An object follows nothing any more.
    pub fn unfollow(&mut self, object: &ObjectRef) {
        let Some(reference) = self.followed.remove(object) else {
            return;
        };
        if let Some(tracked) = self.projects.get_mut(&reference) {
            tracked.followers.retain(|follower| follower.object != *object);
            if tracked.followers.is_empty() {
                self.projects.remove(&reference);
                self.unlooked.remove(&reference);
            }
        }
        self.pace(&reference, Duration::ZERO);
    }

    /// Notes whether anybody expects a project to change.
    fn pace(&mut self, reference: &str, now: Duration) {
        let moves = self.projects.get(reference).is_some_and(|tracked| {
            let mut followers = tracked.followers.iter();
            followers.any(|follower| follower.pace == Pace::Moving)
        });
        if moves {
            self.moving.entry(reference.to_owned()).or_insert(now);
        } else {
            self.moving.remove(reference);
        }
    }

    /// An object waits for news of what it follows, or does so no more.
    pub fn waits(&mut self, object: &ObjectRef, waits: bool) {
        let tracked =
            self.followed.get(object).and_then(|reference| self.projects.get_mut(reference));
        let followers = tracked.into_iter().flat_map(|tracked| &mut tracked.followers);
        for follower in followers.filter(|follower| follower.object == *object) {
            follower.waits = waits;
        }
    }

    /// A follower has given a project a name: to see it is no news.
    pub fn renamed(&mut self, reference: &str, name: &str) {
        if let Some(tracked) = self.projects.get_mut(reference)
            && let Some(Presence::Present(seen)) = &mut tracked.known
        {
            name.clone_into(&mut seen.name);
        }
    }

    /// Forgets what was seen, since it was seen with another credential.
    pub fn forget_seen(&mut self) {
        for (reference, tracked) in &mut self.projects {
            tracked.known = None;
            tracked.asked = None;
            tracked.expected = None;
            self.unlooked.insert(reference.clone());
        }
    }

    /// What is known of a project.
    pub fn presence(&self, reference: &str) -> Presence {
        let tracked = self.projects.get(reference);
        let known = tracked.and_then(|tracked| tracked.known.clone());
        known.unwrap_or(Presence::Unknown)
    }

    /// Whether nobody follows anything.
    pub fn is_idle(&self) -> bool {
        self.followed.is_empty()
    }

    /// The refs that move, and since when. What was asked for in vain is not looked at all the time.
    fn in_motion(&self) -> impl Iterator<Item = (&String, Duration)> {
        self.moving
            .iter()
            .filter(|(reference, _)| {
                let tracked = self.projects.get(*reference);
                tracked.is_some_and(|tracked| !tracked.in_vain())
            })
            .map(|(reference, since)| (reference, *since))
    }

    /// The uptime at which what moves is to be looked at next: soon after it began to, and every `interval`.
    pub fn due(&self, looked: Option<Duration>, interval: Duration) -> Option<Duration> {
        let next = |since: Duration| {
            let mut soon = SOON.iter().map(|offset| since + *offset);
            match looked {
                None => soon.next().unwrap_or(since),
                Some(looked) => {
                    let soon = soon.find(|at| *at > looked);
                    soon.map_or(looked + interval, |at| at.min(looked + interval))
                }
            }
        };
        self.in_motion().map(|(_, since)| next(since)).min()
    }

    /// Whether somebody follows, at this pace, what nobody has looked for yet.
    pub fn has_unknown(&self, pace: Pace) -> bool {
        self.unlooked.iter().any(|reference| {
            let tracked = self.projects.get(reference);
            tracked.is_some_and(|tracked| {
                let mut followers = tracked.followers.iter();
                followers.any(|follower| follower.pace == pace)
            })
        })
    }

    /// The refs of the followed projects that move.
    pub fn moving(&self) -> BTreeSet<String> {
        self.in_motion().map(|(reference, _)| reference.clone()).collect()
    }

    /// The refs of all followed projects.
    pub fn references(&self) -> BTreeSet<String> {
        self.projects.keys().cloned().collect()
    }

    /// The followed projects that are missing from a list of some projects, and were not asked for by their own
    /// address since `asked_after`.
    pub fn missing(&self, list: &ProjectList, asked_after: Option<Duration>) -> BTreeSet<String> {
        let due = |tracked: &Tracked| {
            let asked = tracked.asked;
            asked.is_none_or(|asked| asked_after.is_some_and(|after| asked <= after))
        };
        self.projects
            .iter()
            .filter(|(reference, tracked)| list.find(reference).is_none() && due(tracked))
            .map(|(reference, _)| reference.clone())
            .collect()
    }

    /// Every object that follows something.
    pub fn objects(&self) -> Vec<ObjectRef> {
        self.followed.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::Unreadable;
    use super::*;
    use crate::api::{Kind, ObjectKey};
    use crate::management::ListedProject;

    const A: &str = "aaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbb";
    const AT: Duration = Duration::from_secs(1);

    fn object(name: &str) -> ObjectRef {
        let key = ObjectKey::new(Some("team"), name);
        ObjectRef { kind: Kind::SupabaseProject, key }
    }

    fn listed(reference: &str, status: Status) -> ListedProject {
        ListedProject {
            reference: reference.parse().unwrap(),
            name: "demo".to_owned(),
            region: None,
            status,
            is_branch: false,
            created_at: None,
            size: None,
        }
    }

    fn whole(all: &[ListedProject]) -> ProjectList {
        ProjectList::from(all.to_vec())
    }

    fn following() -> InventoryState {
        let mut state = InventoryState::new("acme");
        assert!(state.follow(A, &object("a"), Pace::Resting, AT));
        assert!(state.follow(B, &object("b"), Pace::Moving, AT));
        assert!(!state.follow(B, &object("b"), Pace::Moving, AT));
        state
    }

    #[test]
    fn only_those_whose_project_changed_are_woken() {
        let mut state = following();
        let page = [listed(A, Status::ActiveHealthy), listed(B, Status::ComingUp)];
        assert_eq!(state.saw_page(AT, &page), [object("a"), object("b")]);
        assert_eq!(state.saw_page(AT, &page), []);
        assert_eq!(state.saw_whole(AT, &whole(&page), &[]), []);
        let page = [listed(A, Status::ActiveHealthy), listed(B, Status::ActiveHealthy)];
        assert_eq!(state.saw_page(AT, &page), [object("b")]);
        let mut renamed = page;
        renamed[0].name = "other".to_owned();
        assert_eq!(state.saw_page(AT, &renamed), [object("a")]);
    }

    #[test]
    fn absence_comes_only_from_a_whole_list_and_keeps_its_beginning() {
        let mut state = following();
        state.saw_page(AT, &[listed(A, Status::ActiveHealthy), listed(B, Status::ComingUp)]);
        assert_eq!(state.saw_page(AT, &[]), []);
        assert!(matches!(state.presence(A), Presence::Present(_)));
        let at = Duration::from_secs;
        assert_eq!(
            state.saw_whole(at(5), &whole(&[listed(B, Status::ComingUp)]), &[]),
            [object("a")]
        );
        assert_eq!(state.presence(A), Presence::Absent { since: at(5) });
        assert_eq!(state.saw_whole(at(9), &whole(&[listed(B, Status::ComingUp)]), &[]), []);
        assert_eq!(state.presence(A), Presence::Absent { since: at(5) });
        assert_eq!(state.saw_page(AT, &[listed(A, Status::ActiveHealthy)]), [object("a")]);
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_nobodys_absence() {
        let odd = |reference: Option<&str>| Unreadable {
            number: 3,
            reference: reference.map(|text| text.parse().unwrap()),
            created_at: None,
            known_since: None,
        };
        let at = Duration::from_secs;
        let both = [listed(A, Status::ActiveHealthy), listed(B, Status::ComingUp)];
        for (entry, in_doubt) in [(odd(Some(A)), vec![A]), (odd(None), vec![A, B])] {
            let mut state = following();
            state.saw_page(AT, &both);
            state.saw_whole(at(5), &whole(&[]), std::slice::from_ref(&entry));
            assert!(matches!(state.presence(A), Presence::Present(_)));
            let absent = matches!(state.presence(B), Presence::Absent { .. });
            assert_eq!(absent, !in_doubt.contains(&B));
            let doubtful = state.doubtful(&whole(&[]), &[entry]);
            assert!(doubtful.iter().eq(&in_doubt), "{doubtful:?}");
        }
    }

    #[test]
    fn only_an_entry_that_is_new_may_be_what_was_just_made() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let attempt = at("2026-06-01T12:00:00Z");
        let (before, after) = (at("2026-06-01T11:59:59Z"), at("2026-06-01T12:00:01Z"));
        for (known_since, created_at, newer) in [
            (None, None, true),
            (None, Some(attempt), true),
            (None, Some(before), false),
            (Some(attempt), None, false),
            (Some(after), None, true),
        ] {
            let entry = Unreadable {
                number: 1,
                reference: Some(A.parse().unwrap()),
                created_at,
                known_since,
            };
            assert_eq!(entry.may_be_newer_than(attempt), newer, "{entry:?}");
        }
        let mut now = Unreadable {
            number: 1,
            reference: Some(A.parse().unwrap()),
            created_at: None,
            known_since: None,
        };
        let mut readable = listed(A, Status::ComingUp);
        readable.created_at = Some(before);
        now.recall(attempt, &whole(&[readable]), &[]);
        assert_eq!((now.known_since, now.created_at), (Some(attempt), Some(before)));
        let mut later = Unreadable { known_since: None, created_at: None, ..now.clone() };
        later.recall(after, &whole(&[]), &[now]);
        assert_eq!((later.known_since, later.created_at), (Some(attempt), Some(before)));
    }

    #[test]
    fn not_found_at_its_own_address_is_not_absence() {
        let mut state = following();
        state.saw_page(AT, &[listed(A, Status::ActiveHealthy)]);
        assert_eq!(state.saw_one(AT, A, None, false), [object("a")]);
        assert_eq!(state.presence(A), Presence::Unknown);
        assert_eq!(state.saw_one(AT, A, None, false), []);
    }

    #[test]
    fn what_a_blind_credential_does_not_show_is_not_visible_and_asked_for_now_and_then() {
        let at = Duration::from_secs;
        let mut state = following();
        let page = [listed(B, Status::ComingUp)];
        let list = whole(&page);
        assert!(state.missing(&list, None).contains(A));
        // Without an answer it is not known, and not looked for all the time.
        state.follow(A, &object("a"), Pace::Moving, AT);
        state.saw_page(AT, &page);
        state.asks(A, at(5));
        assert_eq!(state.presence(A), Presence::Unknown);
        assert_eq!(state.moving(), [B.to_owned()].into());
        assert!(!state.has_unknown(Pace::Moving) && !state.has_unknown(Pace::Resting));
        assert!(state.missing(&list, None).is_empty());
        assert!(state.missing(&list, Some(at(4))).is_empty());
        assert!(state.missing(&list, Some(at(5))).contains(A));
        assert_eq!(state.saw_one(at(5), A, None, true), [object("a")]);
        assert_eq!(state.presence(A), Presence::NotVisible);
        assert_eq!(state.saw_one(at(9), A, None, true), []);
        // It is looked at as soon as whoever follows it says.
        assert!(state.moving().contains(A));
        assert_eq!(state.saw_whole(at(10), &list, &[]), [object("a")]);
        assert_eq!(state.presence(A), Presence::Absent { since: at(10) });
        // Another credential is asked anew.
        state.forget_seen();
        assert!(state.missing(&list, None).contains(A));
    }

    #[test]
    fn what_nobody_follows_is_not_kept() {
        let mut state = following();
        state.saw_page(AT, &[listed(A, Status::ActiveHealthy), listed(B, Status::ComingUp)]);
        assert!(!state.moving().is_empty() && !state.has_unknown(Pace::Moving));
        state.unfollow(&object("b"));
        assert_eq!(state.presence(B), Presence::Unknown);
        assert!(state.moving().is_empty());
        state.follow(B, &object("a"), Pace::Resting, AT);
        assert_eq!(state.presence(A), Presence::Unknown);
        assert!(state.has_unknown(Pace::Resting));
        state.unfollow(&object("a"));
        assert!(state.is_idle());
    }

    #[test]
    fn several_objects_may_follow_one_project() {
        let mut state = following();
        state.follow(A, &object("b"), Pace::Resting, AT);
        assert_eq!(state.saw_page(AT, &[listed(A, Status::Inactive)]), [object("a"), object("b")]);
        state.unfollow(&object("a"));
        assert!(matches!(state.presence(A), Presence::Present(_)));
    }

    #[test]
    fn a_list_from_before_a_project_was_followed_says_nothing_about_its_absence() {
        let mut state = following();
        let at = Duration::from_secs;
        state.follow(A, &object("late"), Pace::Resting, at(9));
        state.unfollow(&object("a"));
        assert_eq!(state.saw_whole(at(9), &whole(&[]), &[]), [object("b")]);
        assert_eq!(state.presence(A), Presence::Unknown);
        // A change of pace is no new beginning.
        state.follow(A, &object("late"), Pace::Moving, at(20));
        assert_eq!(state.saw_whole(at(10), &whole(&[]), &[]), [object("late")]);
        assert_eq!(state.presence(A), Presence::Absent { since: at(10) });
    }

    #[test]
    fn an_earlier_list_is_recalled_for_what_it_showed_only() {
        let mut state = InventoryState::new("acme");
        state.follow(A, &object("a"), Pace::Resting, AT);
        state.recall(AT, A, &whole(&[listed(B, Status::ComingUp)]));
        assert_eq!(state.presence(A), Presence::Unknown);
        state.recall(AT, A, &whole(&[listed(A, Status::ComingUp)]));
        assert!(matches!(state.presence(A), Presence::Present(seen) if seen.begun == AT));
        state.recall(AT, A, &whole(&[listed(A, Status::Inactive)]));
        assert!(
            matches!(state.presence(A), Presence::Present(seen) if seen.status == Status::ComingUp)
        );
    }

    #[test]
    fn what_begins_to_move_is_looked_at_soon_and_then_every_interval() {
        let mut state = InventoryState::new("acme");
        let (at, interval) = (Duration::from_millis, Duration::from_secs(2));
        assert_eq!(state.due(None, interval), None);
        state.follow(A, &object("a"), Pace::Resting, at(0));
        assert_eq!(state.due(None, interval), None);
        state.follow(A, &object("a"), Pace::Moving, at(10_000));
        assert_eq!(state.due(Some(at(9_000)), interval), Some(at(10_200)));
        let mut looks = Vec::new();
        let mut looked = at(10_000);
        for _ in 0..6 {
            looked = state.due(Some(looked), interval).unwrap();
            looks.push(looked.as_millis() - 10_000);
        }
        assert_eq!(looks, [200, 1000, 2000, 4000, 5000, 7000]);
        // Another one is looked at soon too, whenever the last look was.
        state.follow(B, &object("b"), Pace::Moving, at(17_500));
        assert_eq!(state.due(Some(at(17_000)), interval), Some(at(17_700)));
        state.unfollow(&object("b"));
        state.follow(A, &object("a"), Pace::Resting, at(18_000));
        assert_eq!(state.due(Some(at(17_000)), interval), None);
    }

    #[test]
    fn who_waits_for_news_is_not_told_of_them_as_well() {
        let mut state = following();
        state.waits(&object("a"), true);
        let page = [listed(A, Status::ComingUp), listed(B, Status::ComingUp)];
        assert_eq!(state.saw_page(AT, &page), [object("b")]);
        state.waits(&object("a"), false);
        let page = [listed(A, Status::ActiveHealthy)];
        assert_eq!(state.saw_page(AT, &page), [object("a")]);
    }

    #[test]
    fn a_name_that_a_follower_has_given_is_no_news() {
        let mut state = following();
        state.saw_page(AT, &[listed(A, Status::ActiveHealthy)]);
        state.renamed(A, "other");
        let mut page = [listed(A, Status::ActiveHealthy)];
        page[0].name = "other".to_owned();
        assert_eq!(state.saw_page(AT, &page), []);
        page[0].name = "again".to_owned();
        assert_eq!(state.saw_page(AT, &page), [object("a")]);
    }

    #[test]
    fn what_is_seen_as_it_was_known_to_be_is_no_news() {
        let known = || ("demo".to_owned(), Status::ActiveHealthy);
        let healthy = [listed(A, Status::ActiveHealthy)];
        let mut renamed = healthy.clone();
        renamed[0].name = "other".to_owned();
        for (page, news) in
            [(&healthy[..], false), (&renamed[..], true), (&[listed(A, Status::Inactive)], true)]
        {
            let mut state = InventoryState::new("acme");
            assert!(state.expect(A, &object("a"), known(), Duration::ZERO));
            assert_eq!(state.presence(A), Presence::Unknown);
            assert_eq!(!state.saw_page(AT, page).is_empty(), news, "{page:?}");
        }
        let mut state = InventoryState::new("acme");
        state.expect(A, &object("a"), known(), Duration::ZERO);
        assert_eq!(state.saw_whole(AT, &whole(&[]), &[]), [object("a")]);
        // What was seen with another credential is not expected of this one.
        let mut state = InventoryState::new("acme");
        state.expect(A, &object("a"), known(), Duration::ZERO);
        state.forget_seen();
        assert_eq!(state.saw_page(AT, &healthy), [object("a")]);
    }

    #[test]
    fn nothing_is_kept_of_what_the_last_follower_has_left() {
        let mut state = InventoryState::new("acme");
        for number in 0..100 {
            let name = format!("o{number}");
            state.follow(A, &object(&name), Pace::Resting, AT);
        }
        state.saw_page(AT, &[listed(A, Status::ActiveHealthy)]);
        for number in 0..99 {
            state.unfollow(&object(&format!("o{number}")));
        }
        assert!(matches!(state.presence(A), Presence::Present(_)));
        state.unfollow(&object("o99"));
        assert!(state.is_idle() && state.projects.is_empty() && state.moving.is_empty());
        assert!(state.unlooked.is_empty() && state.followed.is_empty());
    }
}
