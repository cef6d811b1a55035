//! What is known of the projects that objects follow.
//!
//! PURE: lists and answers go in, the objects to look at come out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use crate::api::ObjectKey;
use crate::management::{ListedProject, Project, ProjectRef, Status};

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
pub struct Sighted {
    /// Its name, as it is.
    pub name: String,
    /// Its region.
    pub region: Option<String>,
    /// Its status.
    pub status: Status,
    /// Whether it is a branch of another project.
    pub is_branch: bool,
    /// The slug of its organization.
    pub organization: String,
    /// When it was created, by the platform's clock.
    pub inserted_at: Option<Timestamp>,
    /// Uptime at which the look that saw it began.
    pub begun: Duration,
}

/// What is known of a project's being there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nobody has looked yet.
    Unknown,
    /// It was there when it was looked for last.
    Present(Sighted),
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
    pub fn recall(&mut self, date: Timestamp, projects: &[ListedProject], unreadable: &[Self]) {
        let Some(reference) = &self.reference else {
            return;
        };
        let earlier = unreadable
            .iter()
            .find(|earlier| earlier.reference.as_ref() == Some(reference))
            .map(|earlier| (earlier.known_since, earlier.created_at));
        let project = || {
            let project = projects.iter().find(|one| one.reference == *reference)?;
            Some((None, project.created_at))
        };
        if let Some((since, created_at)) = earlier.or_else(project) {
            self.known_since = since.or(Some(date));
            self.created_at = self.created_at.or(created_at);
        }
    }
}

#[derive(Clone, Debug)]
struct Followed {
    reference: String,
    pace: Pace,
    /// Uptime since when: a list that began before says nothing about absence.
    since: Duration,
}

/// The followed projects of one organization.
#[derive(Clone, Debug, Default)]
pub struct RosterState {
    organization: String,
    followed: BTreeMap<ObjectKey, Followed>,
    known: HashMap<String, Presence>,
    /// Uptime at which a project that no list can prove absent was last asked for by its own address.
    asked: HashMap<String, Duration>,
}

impl RosterState {
    /// Nothing is followed yet.
    pub fn new(organization: &str) -> Self {
        Self {
            organization: organization.to_owned(),
            ..Self::default()
        }
    }

    /// An object follows a project from now on. Whether anything changed.
    pub fn follow(
        &mut self,
        reference: &str,
        object: &ObjectKey,
        pace: Pace,
        now: Duration,
    ) -> bool {
        let before = self
            .followed
            .get(object)
            .filter(|followed| followed.reference == reference);
        let same = before.is_some_and(|followed| followed.pace == pace);
        if !same {
            let followed = Followed {
                reference: reference.to_owned(),
                pace,
                since: before.map_or(now, |followed| followed.since),
            };
            self.followed.insert(object.clone(), followed);
            self.forget_unfollowed();
        }
        !same
    }

    /// An object follows nothing any more.
    pub fn unfollow(&mut self, object: &ObjectKey) {
        self.followed.remove(object);
        self.forget_unfollowed();
    }

    fn forget_unfollowed(&mut self) {
        let wanted: BTreeSet<&str> = self
            .followed
            .values()
            .map(|one| one.reference.as_str())
            .collect();
        self.known
            .retain(|reference, _| wanted.contains(reference.as_str()));
        self.asked
            .retain(|reference, _| wanted.contains(reference.as_str()));
    }

    /// Forgets what was seen, since it was seen with another credential.
    pub fn forget_sightings(&mut self) {
        self.known.clear();
        self.asked.clear();
    }

    /// What is known of a project.
    pub fn presence(&self, reference: &str) -> Presence {
        self.known
            .get(reference)
            .cloned()
            .unwrap_or(Presence::Unknown)
    }

    /// Whether nobody follows anything.
    pub fn is_idle(&self) -> bool {
        self.followed.is_empty()
    }

    /// Whether anybody waits for a change.
    pub fn is_moving(&self) -> bool {
        self.followed
            .values()
            .any(|one| self.pace(one) == Pace::Moving)
    }

    /// How soon to look: what was asked for by its own address and gave no answer is not asked for all the time.
    fn pace(&self, one: &Followed) -> Pace {
        let in_vain =
            self.asked.contains_key(&one.reference) && !self.known.contains_key(&one.reference);
        if in_vain { Pace::Resting } else { one.pace }
    }

    /// Whether somebody follows, at this pace, what nobody has looked for yet.
    pub fn has_unknown(&self, pace: Pace) -> bool {
        self.followed.values().any(|one| {
            one.pace == pace
                && !self.known.contains_key(&one.reference)
                && !self.asked.contains_key(&one.reference)
        })
    }

    /// The followed projects of a pace, or all.
    pub fn references(&self, pace: Option<Pace>) -> BTreeSet<String> {
        self.followed
            .values()
            .filter(|one| pace.is_none_or(|pace| self.pace(one) == pace))
            .map(|one| one.reference.clone())
            .collect()
    }

    /// The followed projects that are missing from a list of some projects, and were not asked for by their own
    /// address since `asked_after`.
    pub fn missing(&self, list: &[ListedProject], asked_after: Option<Duration>) -> Vec<String> {
        let listed: BTreeSet<&str> = list.iter().map(|one| one.reference.as_str()).collect();
        let due = |reference: &String| {
            let asked = self.asked.get(reference).copied();
            asked.is_none_or(|asked| asked_after.is_some_and(|after| asked <= after))
        };
        self.references(None)
            .into_iter()
            .filter(|reference| !listed.contains(reference.as_str()) && due(reference))
            .collect()
    }

    /// Every object that follows something.
    pub fn objects(&self) -> Vec<ObjectKey> {
        self.followed.keys().cloned().collect()
    }

    /// Learns from a page of the list: who is on it was there. Gives the objects to look at.
    pub fn saw_page(&mut self, begun: Duration, page: &[ListedProject]) -> Vec<ObjectKey> {
        let wanted = self.references(None);
        let mut changed = BTreeSet::new();
        for listed in page {
            let reference = listed.reference.as_str();
            if wanted.contains(reference) {
                self.note(
                    reference,
                    &Presence::Present(self.sighted(begun, listed)),
                    &mut changed,
                );
            }
        }
        self.followers(&changed)
    }

    /// Learns from a whole list that began at `begun`: who is not on it was absent, unless it may be an entry that cannot
    /// be read.
    pub fn saw_whole(
        &mut self,
        begun: Duration,
        list: &[ListedProject],
        unreadable: &[Unreadable],
    ) -> Vec<ObjectKey> {
        let listed: HashMap<&str, &ListedProject> = list
            .iter()
            .map(|listed| (listed.reference.as_str(), listed))
            .collect();
        let mut changed = BTreeSet::new();
        for reference in self.references(None) {
            let presence = match (listed.get(reference.as_str()), self.known.get(&reference)) {
                (Some(listed), _) => Presence::Present(self.sighted(begun, listed)),
                (None, _) if unreadable.iter().any(|one| one.may_be(&reference)) => continue,
                (None, Some(Presence::Absent { since })) => Presence::Absent { since: *since },
                (None, _) if !self.followed_before(&reference, begun) => continue,
                (
                    None,
                    Some(Presence::Unknown | Presence::NotVisible | Presence::Present(_)) | None,
                ) => Presence::Absent { since: begun },
            };
            self.note(&reference, &presence, &mut changed);
        }
        self.followers(&changed)
    }

    /// The followed projects that are not on a list, but may be one of its entries that cannot be read.
    pub fn doubtful(&self, list: &[ListedProject], unreadable: &[Unreadable]) -> Vec<String> {
        let listed: BTreeSet<&str> = list.iter().map(|one| one.reference.as_str()).collect();
        let may_be = |reference: &String| {
            !listed.contains(reference.as_str())
                && unreadable.iter().any(|one| one.may_be(reference))
        };
        self.references(None).into_iter().filter(may_be).collect()
    }

    fn followed_before(&self, reference: &str, moment: Duration) -> bool {
        self.followed
            .values()
            .any(|one| one.reference == reference && one.since < moment)
    }

    /// Takes what an earlier list showed for a project that nobody has looked for since. Tells nobody: whoever
    /// follows from now on is about to ask.
    pub fn recall(&mut self, begun: Duration, reference: &str, list: &[ListedProject]) {
        if self.known.contains_key(reference) {
            return;
        }
        if let Some(presence) = self.on_list(begun, reference, list) {
            self.known.insert(reference.to_owned(), presence);
        }
    }

    /// What a list shows for a project; nothing if it is not on it.
    pub fn on_list(
        &self,
        begun: Duration,
        reference: &str,
        list: &[ListedProject],
    ) -> Option<Presence> {
        list.iter()
            .find(|listed| listed.reference.as_str() == reference)
            .map(|listed| Presence::Present(self.sighted(begun, listed)))
    }

    /// Learns from a project's own address; none if it is not found or not shown there. That proves nothing by
    /// itself: a whole list decides, or nothing does, where the credential is `blind` to some projects.
    pub fn saw_one(
        &mut self,
        begun: Duration,
        reference: &str,
        project: Option<&Project>,
        blind: bool,
    ) -> Vec<ObjectKey> {
        let mut changed = BTreeSet::new();
        let presence = match project {
            Some(project) => Some(Presence::Present(Sighted {
                name: project.name.clone(),
                region: project.region.clone(),
                status: project.status.clone(),
                // Branches are not served at this address.
                is_branch: false,
                organization: project.organization.clone(),
                inserted_at: project.created_at,
                begun,
            })),
            None if blind => Some(Presence::NotVisible),
            None if matches!(self.presence(reference), Presence::Present(_)) => {
                Some(Presence::Unknown)
            }
            None => None,
        };
        if let Some(presence) = presence {
            self.note(reference, &presence, &mut changed);
        }
        self.followers(&changed)
    }

    /// Notes that a project is asked for by its own address, for want of a list that could prove it absent.
    pub fn asks(&mut self, reference: &str, now: Duration) {
        if self.followed.values().any(|one| one.reference == reference) {
            self.asked.insert(reference.to_owned(), now);
        }
    }

    fn sighted(&self, begun: Duration, listed: &ListedProject) -> Sighted {
        Sighted {
            name: listed.name.clone(),
            region: listed.region.clone(),
            status: listed.status.clone(),
            is_branch: listed.is_branch,
            organization: self.organization.clone(),
            inserted_at: listed.created_at,
            begun,
        }
    }

    fn note(&mut self, reference: &str, presence: &Presence, changed: &mut BTreeSet<String>) {
        let before = self.known.insert(reference.to_owned(), presence.clone());
        let same = match (&before, presence) {
            // When it was seen does not count, and what cannot change neither.
            (Some(Presence::Present(before)), Presence::Present(now)) => {
                before.status == now.status
                    && before.name == now.name
                    && before.organization == now.organization
            }
            (Some(before), now) => before == now,
            (None, _) => false,
        };
        if !same {
            changed.insert(reference.to_owned());
        }
    }

    fn followers(&self, changed: &BTreeSet<String>) -> Vec<ObjectKey> {
        self.followed
            .iter()
            .filter(|(_, followed)| changed.contains(&followed.reference))
            .map(|(object, _)| object.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbb";
    const AT: Duration = Duration::from_secs(1);

    fn object(name: &str) -> ObjectKey {
        ObjectKey {
            namespace: Some("team".to_owned()),
            name: name.to_owned(),
        }
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

    fn following() -> RosterState {
        let mut state = RosterState::new("acme");
        assert!(state.follow(A, &object("a"), Pace::Resting, AT));
        assert!(state.follow(B, &object("b"), Pace::Moving, AT));
        assert!(!state.follow(B, &object("b"), Pace::Moving, AT));
        state
    }

    #[test]
    fn only_those_whose_project_changed_are_woken() {
        let mut state = following();
        let page = [
            listed(A, Status::ActiveHealthy),
            listed(B, Status::ComingUp),
        ];
        assert_eq!(state.saw_page(AT, &page), [object("a"), object("b")]);
        assert_eq!(state.saw_page(AT, &page), []);
        assert_eq!(state.saw_whole(AT, &page, &[]), []);
        let page = [
            listed(A, Status::ActiveHealthy),
            listed(B, Status::ActiveHealthy),
        ];
        assert_eq!(state.saw_page(AT, &page), [object("b")]);
        let mut renamed = page;
        renamed[0].name = "other".to_owned();
        assert_eq!(state.saw_page(AT, &renamed), [object("a")]);
    }

    #[test]
    fn absence_comes_only_from_a_whole_list_and_keeps_its_beginning() {
        let mut state = following();
        state.saw_page(
            AT,
            &[
                listed(A, Status::ActiveHealthy),
                listed(B, Status::ComingUp),
            ],
        );
        assert_eq!(state.saw_page(AT, &[]), []);
        assert!(matches!(state.presence(A), Presence::Present(_)));
        let at = Duration::from_secs;
        assert_eq!(
            state.saw_whole(at(5), &[listed(B, Status::ComingUp)], &[]),
            [object("a")]
        );
        assert_eq!(state.presence(A), Presence::Absent { since: at(5) });
        assert_eq!(
            state.saw_whole(at(9), &[listed(B, Status::ComingUp)], &[]),
            []
        );
        assert_eq!(state.presence(A), Presence::Absent { since: at(5) });
        assert_eq!(
            state.saw_page(AT, &[listed(A, Status::ActiveHealthy)]),
            [object("a")]
        );
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
        let both = [
            listed(A, Status::ActiveHealthy),
            listed(B, Status::ComingUp),
        ];
        for (entry, in_doubt) in [(odd(Some(A)), vec![A]), (odd(None), vec![A, B])] {
            let mut state = following();
            state.saw_page(AT, &both);
            state.saw_whole(at(5), &[], std::slice::from_ref(&entry));
            assert!(matches!(state.presence(A), Presence::Present(_)));
            let absent = matches!(state.presence(B), Presence::Absent { .. });
            assert_eq!(absent, !in_doubt.contains(&B));
            assert_eq!(state.doubtful(&[], &[entry]), in_doubt);
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
        now.recall(attempt, &[readable], &[]);
        assert_eq!(
            (now.known_since, now.created_at),
            (Some(attempt), Some(before))
        );
        let mut later = Unreadable {
            known_since: None,
            created_at: None,
            ..now.clone()
        };
        later.recall(after, &[], &[now]);
        assert_eq!(
            (later.known_since, later.created_at),
            (Some(attempt), Some(before))
        );
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
        let list = [listed(B, Status::ComingUp)];
        assert_eq!(state.missing(&list, None), [A]);
        // Without an answer it is not known, and not looked for all the time.
        state.follow(A, &object("a"), Pace::Moving, AT);
        state.saw_page(AT, &list);
        state.asks(A, at(5));
        assert_eq!(state.presence(A), Presence::Unknown);
        assert_eq!(state.references(Some(Pace::Moving)), [B.to_owned()].into());
        assert!(!state.has_unknown(Pace::Moving) && !state.has_unknown(Pace::Resting));
        assert!(state.missing(&list, None).is_empty());
        assert!(state.missing(&list, Some(at(4))).is_empty());
        assert_eq!(state.missing(&list, Some(at(5))), [A]);
        assert_eq!(state.saw_one(at(5), A, None, true), [object("a")]);
        assert_eq!(state.presence(A), Presence::NotVisible);
        assert_eq!(state.saw_one(at(9), A, None, true), []);
        // It is looked at as soon as whoever follows it says.
        assert!(state.references(Some(Pace::Moving)).contains(A));
        assert_eq!(state.saw_whole(at(10), &list, &[]), [object("a")]);
        assert_eq!(state.presence(A), Presence::Absent { since: at(10) });
        // Another credential is asked anew.
        state.forget_sightings();
        assert_eq!(state.missing(&list, None), [A]);
    }

    #[test]
    fn what_nobody_follows_is_not_kept() {
        let mut state = following();
        state.saw_page(
            AT,
            &[
                listed(A, Status::ActiveHealthy),
                listed(B, Status::ComingUp),
            ],
        );
        assert!(state.is_moving() && !state.has_unknown(Pace::Moving));
        state.unfollow(&object("b"));
        assert_eq!(state.presence(B), Presence::Unknown);
        assert!(!state.is_moving());
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
        assert_eq!(
            state.saw_page(AT, &[listed(A, Status::Inactive)]),
            [object("a"), object("b")]
        );
        state.unfollow(&object("a"));
        assert!(matches!(state.presence(A), Presence::Present(_)));
    }

    #[test]
    fn a_list_from_before_a_project_was_followed_says_nothing_about_its_absence() {
        let mut state = following();
        let at = Duration::from_secs;
        state.follow(A, &object("late"), Pace::Resting, at(9));
        state.unfollow(&object("a"));
        assert_eq!(state.saw_whole(at(9), &[], &[]), [object("b")]);
        assert_eq!(state.presence(A), Presence::Unknown);
        // A change of pace is no new beginning.
        state.follow(A, &object("late"), Pace::Moving, at(20));
        assert_eq!(state.saw_whole(at(10), &[], &[]), [object("late")]);
        assert_eq!(state.presence(A), Presence::Absent { since: at(10) });
    }

    #[test]
    fn an_earlier_list_is_recalled_for_what_it_showed_only() {
        let mut state = RosterState::new("acme");
        state.follow(A, &object("a"), Pace::Resting, AT);
        state.recall(AT, A, &[listed(B, Status::ComingUp)]);
        assert_eq!(state.presence(A), Presence::Unknown);
        state.recall(AT, A, &[listed(A, Status::ComingUp)]);
        assert!(matches!(state.presence(A), Presence::Present(seen) if seen.begun == AT));
        state.recall(AT, A, &[listed(A, Status::Inactive)]);
        assert!(
            matches!(state.presence(A), Presence::Present(seen) if seen.status == Status::ComingUp)
        );
    }
}
