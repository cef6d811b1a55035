//! Whose turn it is: the objects that wait for a reconcile, fair between namespaces.
//!
//! PURE: time is passed in. A namespace with a thousand objects waiting delays another by one of them, besides those
//! that are being worked on; one whose
//! reconciles all wait for something has a bounded number of them under way, and the slots are the others'.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use crate::api::ObjectKey;

/// How much is done at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Reconciles that work at the same time.
    pub slots: usize,
    /// Reconciles of one namespace under way, those that wait for something included.
    pub of_a_namespace: usize,
    /// Reconciles under way in all.
    pub in_all: usize,
}

impl Limits {
    /// The limits for so many slots.
    pub const fn of(slots: usize) -> Self {
        Self { slots, of_a_namespace: slots * 2, in_all: slots * 32 }
    }
}

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A reconcile of this object begins.
    Begin(ObjectKey),
    /// The reconcile of this object, which waited for something, goes on.
    GoOn(ObjectKey),
}

#[derive(Debug, Default)]
struct Active {
    /// It was asked for once more meanwhile.
    requeue: bool,
    /// It waits for something, outside a slot.
    away: bool,
}

/// The queue of one kind.
#[derive(Debug)]
pub struct Queue {
    limits: Limits,
    /// Namespaces in the order of their turns; each has somebody waiting and may begin more.
    turns: VecDeque<Option<String>>,
    has_turn: HashSet<Option<String>>,
    waiting: HashMap<Option<String>, VecDeque<ObjectKey>>,
    queued: HashSet<ObjectKey>,
    /// Objects whose time has not come.
    due: BTreeSet<(Duration, ObjectKey)>,
    when: HashMap<ObjectKey, Duration>,
    active: HashMap<ObjectKey, Active>,
    /// Reconciles under way by namespace.
    under_way: HashMap<Option<String>, usize>,
    /// Reconciles that have waited long enough and want a slot again.
    returning: VecDeque<ObjectKey>,
    working: usize,
}

impl Queue {
    /// An empty queue.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            turns: VecDeque::new(),
            has_turn: HashSet::new(),
            waiting: HashMap::new(),
            queued: HashSet::new(),
            due: BTreeSet::new(),
            when: HashMap::new(),
            active: HashMap::new(),
            under_way: HashMap::new(),
            returning: VecDeque::new(),
            working: 0,
        }
    }

    /// Asks for a reconcile as soon as it is the object's turn.
    pub fn add(&mut self, key: ObjectKey) {
        if let Some(at) = self.when.remove(&key) {
            self.due.remove(&(at, key.clone()));
        }
        if let Some(active) = self.active.get_mut(&key) {
            active.requeue = true;
            return;
        }
        if self.queued.insert(key.clone()) {
            let namespace = key.namespace().map(str::to_owned);
            let lane = self.waiting.entry(namespace.clone()).or_default();
            let first = lane.is_empty();
            lane.push_back(key);
            if first {
                self.takes_turns(namespace);
            }
        }
    }

    /// Asks for a reconcile at some time, unless one is asked for or under way already.
    pub fn add_at(&mut self, key: ObjectKey, at: Duration) {
        let known = self.when.contains_key(&key)
            || self.queued.contains(&key)
            || self.active.contains_key(&key);
        if !known {
            self.when.insert(key.clone(), at);
            self.due.insert((at, key));
        }
    }

    fn takes_turns(&mut self, namespace: Option<String>) {
        let under_way = self.under_way.get(&namespace).copied().unwrap_or_default();
        if under_way < self.limits.of_a_namespace && self.has_turn.insert(namespace.clone()) {
            self.turns.push_back(namespace);
        }
    }

    /// What happens next, if anything may; asked until nothing does.
    pub fn next(&mut self, now: Duration) -> Option<Next> {
        while let Some((at, key)) = self.due.first().filter(|(at, _)| *at <= now).cloned() {
            self.due.remove(&(at, key.clone()));
            self.when.remove(&key);
            self.add(key);
        }
        if self.working >= self.limits.slots {
            return None;
        }
        if let Some(next) = self.next_return() {
            return Some(next);
        }
        if self.active.len() >= self.limits.in_all {
            return None;
        }
        let namespace = self.turns.pop_front()?;
        self.has_turn.remove(&namespace);
        let lane = self.waiting.get_mut(&namespace)?;
        let key = lane.pop_front()?;
        let more = !lane.is_empty();
        if !more {
            self.waiting.remove(&namespace);
        }
        self.queued.remove(&key);
        self.active.insert(key.clone(), Active::default());
        *self.under_way.entry(namespace.clone()).or_default() += 1;
        self.working += 1;
        if more {
            self.takes_turns(namespace);
        }
        Some(Next::Begin(key))
    }

    /// Who goes on next, if anybody wants to: for the time when nothing begins any more.
    pub fn next_return(&mut self) -> Option<Next> {
        let key = self.returning.pop_front()?;
        self.is_back(&key);
        Some(Next::GoOn(key))
    }

    /// When something is due by itself.
    pub fn due(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The reconcile of an object waits for something.
    pub fn leave(&mut self, key: &ObjectKey) {
        if let Some(active) = self.active.get_mut(key)
            && !std::mem::replace(&mut active.away, true)
        {
            self.working = self.working.saturating_sub(1);
        }
    }

    /// It wants to go on.
    pub fn wants_back(&mut self, key: ObjectKey) {
        self.returning.push_back(key);
    }

    /// It goes on without waiting for its turn.
    pub fn is_back(&mut self, key: &ObjectKey) {
        self.returning.retain(|other| other != key);
        if let Some(active) = self.active.get_mut(key)
            && std::mem::replace(&mut active.away, false)
        {
            self.working += 1;
        }
    }

    /// The reconcile of an object has ended; the next is due after `wait`, or on a change.
    pub fn done(&mut self, key: &ObjectKey, now: Duration, wait: Option<Duration>) {
        self.is_back(key);
        let Some(Active { requeue, .. }) = self.active.remove(key) else {
            return;
        };
        self.working = self.working.saturating_sub(1);
        let namespace = key.namespace().map(str::to_owned);
        if let Some(count) = self.under_way.get_mut(&namespace) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(&namespace);
            }
        }
        if self.waiting.contains_key(&namespace) {
            self.takes_turns(namespace);
        }
        match wait {
            _ if requeue => self.add(key.clone()),
            Some(Duration::ZERO) => self.add(key.clone()),
            Some(wait) => {
                let at = now.saturating_add(wait);
                self.when.insert(key.clone(), at);
                self.due.insert((at, key.clone()));
            }
            None => {}
        }
    }

    /// How many reconciles are under way, those that wait for something included.
    pub fn under_way(&self) -> usize {
        self.active.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { slots: 2, of_a_namespace: 4, in_all: 6 };

    fn key(namespace: &str, name: impl AsRef<str>) -> ObjectKey {
        ObjectKey::new(Some(namespace), name.as_ref())
    }

    const fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn begun(queue: &mut Queue, now: Duration) -> Vec<String> {
        let mut begun = Vec::new();
        while let Some(next) = queue.next(now) {
            begun.push(match next {
                Next::Begin(key) => key.to_string(),
                Next::GoOn(key) => format!("{key} again"),
            });
        }
        begun
    }

    #[test]
    fn a_namespace_with_many_delays_another_by_one() {
        let mut queue = Queue::new(LIMITS);
        for number in 0..1000 {
            queue.add(key("many", number.to_string()));
        }
        assert_eq!(begun(&mut queue, second(0)), ["many/0", "many/1"]);
        queue.add(key("one", "x"));
        queue.done(&key("many", "0"), second(1), None);
        let mut first = begun(&mut queue, second(1));
        queue.done(&key("many", "1"), second(1), None);
        first.extend(begun(&mut queue, second(1)));
        assert!(first.contains(&"one/x".to_owned()), "{first:?}");
    }

    #[test]
    fn who_waits_holds_no_slot_and_not_more_than_a_share() {
        let mut queue = Queue::new(LIMITS);
        for number in 0..1000 {
            queue.add(key("many", number.to_string()));
        }
        // Each of them waits for something that never comes.
        let mut stuck = 0;
        while let Some(Next::Begin(begun)) = queue.next(second(0)) {
            queue.leave(&begun);
            stuck += 1;
        }
        assert_eq!(stuck, LIMITS.of_a_namespace);
        queue.add(key("one", "x"));
        queue.add(key("one", "y"));
        assert_eq!(begun(&mut queue, second(0)), ["one/x", "one/y"]);
        assert_eq!(queue.under_way(), LIMITS.in_all);
        queue.add(key("third", "z"));
        assert!(begun(&mut queue, second(0)).is_empty());
        queue.done(&key("one", "x"), second(0), None);
        assert_eq!(begun(&mut queue, second(0)), ["third/z"]);
        // One of those who waited is done: the next of its namespace has a turn, when a slot is free.
        queue.done(&key("many", "0"), second(0), None);
        assert!(begun(&mut queue, second(0)).is_empty());
        queue.done(&key("third", "z"), second(0), None);
        assert_eq!(begun(&mut queue, second(0)), ["many/4"]);
    }

    #[test]
    fn who_has_waited_goes_on_when_a_slot_is_free() {
        let mut queue = Queue::new(LIMITS);
        for name in ["a", "b", "c"] {
            queue.add(key("n", name));
        }
        assert_eq!(begun(&mut queue, second(0)), ["n/a", "n/b"]);
        queue.leave(&key("n", "a"));
        assert_eq!(begun(&mut queue, second(0)), ["n/c"]);
        queue.wants_back(key("n", "a"));
        assert!(begun(&mut queue, second(0)).is_empty(), "both slots are taken");
        queue.done(&key("n", "b"), second(0), None);
        assert_eq!(begun(&mut queue, second(0)), ["n/a again"]);
        // Whoever is told not to wait any longer goes on at once, and its slot is counted all the same.
        queue.leave(&key("n", "a"));
        queue.wants_back(key("n", "a"));
        queue.is_back(&key("n", "a"));
        queue.add(key("n", "d"));
        assert!(begun(&mut queue, second(0)).is_empty());
        queue.done(&key("n", "a"), second(0), None);
        assert_eq!(begun(&mut queue, second(0)), ["n/d"]);
    }

    #[test]
    fn what_is_wanted_later_comes_in_its_time_or_when_it_is_wanted_before() {
        let mut queue = Queue::new(LIMITS);
        queue.add_at(key("n", "a"), second(10));
        queue.add_at(key("n", "b"), second(20));
        queue.add_at(key("n", "b"), second(5));
        queue.add(key("n", "b"));
        queue.add_at(key("n", "b"), second(5));
        assert_eq!(begun(&mut queue, second(0)), ["n/b"]);
        queue.add_at(key("n", "b"), second(5));
        assert_eq!(queue.due(), Some(second(10)));
        assert_eq!(begun(&mut queue, second(10)), ["n/a"]);
    }

    #[test]
    fn an_object_is_worked_on_once_at_a_time_and_again_when_asked_for_meanwhile() {
        let mut queue = Queue::new(LIMITS);
        queue.add(key("n", "a"));
        queue.add(key("n", "a"));
        assert_eq!(begun(&mut queue, second(0)), ["n/a"]);
        queue.add(key("n", "a"));
        queue.add(key("n", "a"));
        assert!(begun(&mut queue, second(0)).is_empty());
        queue.done(&key("n", "a"), second(0), Some(second(60)));
        assert_eq!(begun(&mut queue, second(0)), ["n/a"]);
        queue.done(&key("n", "a"), second(0), Some(second(60)));
        assert_eq!(queue.due(), Some(second(60)));
        assert!(begun(&mut queue, second(59)).is_empty());
        assert_eq!(begun(&mut queue, second(60)), ["n/a"]);
        queue.done(&key("n", "a"), second(60), Some(second(60)));
        queue.add(key("n", "a"));
        assert_eq!(queue.due(), None, "an earlier wish replaces a later one");
        assert_eq!(begun(&mut queue, second(61)), ["n/a"]);
        queue.done(&key("n", "a"), second(61), None);
        assert_eq!((queue.due(), queue.under_way()), (None, 0));
        assert!(
            queue.waiting.is_empty() && queue.under_way.is_empty() && queue.has_turn.is_empty()
        );
    }
}
