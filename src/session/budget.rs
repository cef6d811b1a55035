//! The rate budget: how many calls a bucket of the platform still takes, and whose turn it is.
//!
//! PURE: time is passed in. A bucket is one identity, scope and endpoint, as the platform counts today; its limit
//! is learned from the answers. Where the platform counts more coarsely, a 429 closes the bucket, and a second one
//! within a minute everything of the connection that was refused: not of others that use the same app, since they
//! were not. Tenants take turns, so that one with a thousand calls waiting delays another by one call as long as the
//! bucket has calls left; an empty or closed bucket delays everybody who shares it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use crate::management::{Endpoint, RateHeaders};

/// What the platform grants until its headers say otherwise.
const LIMIT: u32 = 120;
/// The platform's window.
const WINDOW: Duration = Duration::from_secs(60);
/// How far two answers of one window may differ about its end: they are in whole seconds.
const SAME_WINDOW: Duration = Duration::from_secs(2);
/// How long a 429 closes a bucket if the answer does not say, and at least and at most. The least doubles with every
/// 429 in a row: a platform that says "at once" for ever is not asked at once for ever.
const CLOSED: Duration = WINDOW;
const CLOSED_LEAST: Duration = Duration::from_secs(1);
const CLOSED_MOST: Duration = Duration::from_secs(300);
/// Buckets that nobody used for so long are forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(600);
/// From so many buckets on, forgetting is worth the look: when there are twice as many as the last look left, and once
/// a minute, so that what one call costs does not grow with their number.
const CROWD: usize = 256;
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What the platform counts by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Whose calls the platform counts together.
    pub identity: String,
    /// A ref, a slug, or nothing.
    pub scope: String,
    /// What is called: each has a bucket of its own.
    pub endpoint: Endpoint,
}

/// A place in a queue.
pub type Ticket = u64;

/// Whether it is a ticket's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The call may be made.
    Now,
    /// Not before this uptime, as far as can be said.
    NotBefore(Duration),
}

#[derive(Debug)]
struct Bucket {
    limit: u32,
    remaining: u32,
    resets: Duration,
    closed_until: Duration,
    /// 429s in a row.
    refusals: u32,
    /// Calls under way, by the order in which they were begun.
    under_way: BTreeMap<Ticket, u64>,
    /// Calls that were begun in this window.
    begun: u32,
    /// Calls that were ever begun.
    order: u64,
    used: Duration,
    turns: VecDeque<String>,
    waiting: BTreeMap<String, VecDeque<Waiting>>,
}

/// A ticket, and the connection that it is for.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    own: String,
}

/// One connection, by all its buckets.
#[derive(Debug, Default)]
struct Connection {
    closed_until: Duration,
    /// When it was refused lately.
    closures: Vec<(Key, Duration)>,
}

/// All buckets.
#[derive(Debug, Default)]
pub struct Budget {
    buckets: HashMap<Key, Bucket>,
    connections: HashMap<String, Connection>,
    admitted: HashSet<Ticket>,
    last: Ticket,
    /// When idle buckets were forgotten last, and how many were left.
    forgot: (Duration, usize),
}

impl Bucket {
    const fn new() -> Self {
        Self {
            limit: LIMIT,
            remaining: LIMIT,
            resets: Duration::ZERO,
            closed_until: Duration::ZERO,
            refusals: 0,
            under_way: BTreeMap::new(),
            begun: 0,
            order: 0,
            used: Duration::ZERO,
            turns: VecDeque::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// A window that is over is followed by one that begins with its first call.
    const fn roll(&mut self, now: Duration) {
        if self.resets.as_nanos() <= now.as_nanos() {
            self.remaining = self.limit;
            self.begun = 0;
        }
    }

    /// Whose turn it is, of those whose connection is open.
    fn next(&mut self, is_open: impl Fn(&str) -> bool) -> Option<Ticket> {
        for _ in 0..self.turns.len() {
            let tenant = self.turns.pop_front()?;
            let queue = self.waiting.get_mut(&tenant)?;
            let place = queue.iter().position(|waiting| is_open(&waiting.own));
            let waiting = place.and_then(|place| queue.remove(place));
            if queue.is_empty() {
                self.waiting.remove(&tenant);
            } else {
                self.turns.push_back(tenant);
            }
            if let Some(waiting) = waiting {
                return Some(waiting.ticket);
            }
        }
        None
    }
}

impl Budget {
    /// Takes a place in the queue of a bucket, for a connection and a tenant.
    pub fn enqueue(&mut self, now: Duration, key: &Key, own: &str, tenant: &str) -> Ticket {
        self.forget(now);
        self.last += 1;
        let bucket = self.buckets.entry(key.clone()).or_insert_with(Bucket::new);
        bucket.used = now;
        let queue = bucket.waiting.entry(tenant.to_owned()).or_default();
        if queue.is_empty() {
            bucket.turns.push_back(tenant.to_owned());
        }
        queue.push_back(Waiting { ticket: self.last, own: own.to_owned() });
        self.last
    }

    /// Whether it is this ticket's turn. Asking lets others have theirs: tell them.
    pub fn poll(&mut self, now: Duration, key: &Key, own: &str, ticket: Ticket) -> Turn {
        let closed = self.closed_until(key, own);
        let connections = &self.connections;
        let is_open = |own: &str| {
            connections.get(own).is_none_or(|connection| connection.closed_until <= now)
        };
        if let Some(bucket) = self.buckets.get_mut(key) {
            bucket.roll(now);
            while bucket.closed_until <= now && bucket.remaining > 0 {
                let Some(next) = bucket.next(is_open) else {
                    break;
                };
                if bucket.resets <= now {
                    bucket.resets = now + WINDOW;
                }
                bucket.remaining -= 1;
                bucket.begun += 1;
                bucket.order += 1;
                bucket.under_way.insert(next, bucket.order);
                bucket.used = now;
                self.admitted.insert(next);
            }
        }
        if self.admitted.contains(&ticket) {
            return Turn::Now;
        }
        let empty = self
            .buckets
            .get(key)
            .filter(|bucket| bucket.remaining == 0)
            .map_or(now, |bucket| bucket.resets);
        Turn::NotBefore(closed.max(empty))
    }

    /// Gives up a place, or a turn that was not used.
    pub fn leave(&mut self, key: &Key, ticket: Ticket) {
        let Some(bucket) = self.buckets.get_mut(key) else {
            return;
        };
        if self.admitted.remove(&ticket) {
            bucket.under_way.remove(&ticket);
            bucket.begun = bucket.begun.saturating_sub(1);
            bucket.remaining = (bucket.remaining + 1).min(bucket.limit);
            return;
        }
        let holder = bucket
            .waiting
            .iter()
            .find(|(_, queue)| queue.iter().any(|waiting| waiting.ticket == ticket))
            .map(|(tenant, _)| tenant.clone());
        if let Some(tenant) = holder
            && let Some(queue) = bucket.waiting.get_mut(&tenant)
        {
            queue.retain(|waiting| waiting.ticket != ticket);
            if queue.is_empty() {
                bucket.waiting.remove(&tenant);
                bucket.turns.retain(|turn| *turn != tenant);
            }
        }
    }

    /// A call was made; this is what the limiter said to it, if anything came back.
    pub fn finish(&mut self, now: Duration, key: &Key, ticket: Ticket, rate: Option<RateHeaders>) {
        self.admitted.remove(&ticket);
        let Some(bucket) = self.buckets.get_mut(key) else {
            return;
        };
        let order = bucket.under_way.remove(&ticket).unwrap_or_default();
        if let Some(rate) = rate {
            bucket.limit = rate.limit.max(1);
            // What was begun later was not counted yet when the platform said this; what was begun before, perhaps. Our own
            // count is the bound as long as nobody else shares the bucket.
            let later = bucket.under_way.values().filter(|other| **other > order);
            let later = u32::try_from(later.count()).unwrap_or(u32::MAX);
            let resets = now + rate.reset;
            if resets > bucket.resets + SAME_WINDOW {
                // The platform has begun another window than we thought.
                bucket.begun = later + 1;
            }
            let own = bucket.limit.saturating_sub(bucket.begun);
            bucket.remaining = rate.remaining.saturating_sub(later).min(own);
            bucket.resets = resets;
            // What one project is asked now and then needs no memory as long as the platform counts it: its next answer
            // says as much.
            let plenty = rate.remaining > rate.limit / 2 && bucket.refusals == 0;
            let idle = bucket.under_way.is_empty() && bucket.waiting.is_empty();
            if key.endpoint.is_of_a_project() && plenty && idle && bucket.closed_until <= now {
                self.buckets.remove(key);
            }
        }
    }

    /// The platform let a call of the bucket through, whatever it said to it.
    pub fn let_through(&mut self, key: &Key) {
        if let Some(bucket) = self.buckets.get_mut(key) {
            bucket.refusals = 0;
        }
    }

    /// The platform said 429 to a connection. `share` is a random number from 0 to 255. Gives the uptime until which
    /// the bucket is closed.
    pub fn close(
        &mut self,
        now: Duration,
        key: &Key,
        own: &str,
        retry_after: Option<Duration>,
        share: u8,
    ) -> Duration {
        let mut least = CLOSED_LEAST;
        if let Some(bucket) = self.buckets.get_mut(key) {
            // What was under way when it closed belongs to the same refusal.
            if bucket.closed_until <= now {
                bucket.refusals = bucket.refusals.saturating_add(1);
            }
            let doublings = bucket.refusals.saturating_sub(1).min(16);
            least = (CLOSED_LEAST * (1 << doublings)).min(CLOSED_MOST);
        }
        let wait = retry_after.unwrap_or(CLOSED).clamp(least, CLOSED_MOST);
        // Everybody who was refused together must not come back together.
        let mut until = now + wait + wait / 10 * u32::from(share) / 255;
        if let Some(bucket) = self.buckets.get_mut(key) {
            until = bucket.closed_until.max(until);
            bucket.closed_until = until;
        }
        let connection = self.connections.entry(own.to_owned()).or_default();
        connection.closures.retain(|(other, at)| other != key && *at + WINDOW >= now);
        connection.closures.push((key.clone(), now));
        if connection.closures.len() > 1 {
            let longest = connection
                .closures
                .iter()
                .filter_map(|(key, _)| self.buckets.get(key))
                .map(|bucket| bucket.closed_until)
                .max();
            connection.closed_until = connection.closed_until.max(longest.unwrap_or(until));
        }
        until
    }

    /// How long background work of a connection should leave a bucket alone, so that half of it is there for others.
    pub fn reserve(&mut self, now: Duration, key: &Key, own: &str) -> Option<Duration> {
        let closed = self.closed_until(key, own);
        let bucket = self.buckets.get_mut(key)?;
        bucket.roll(now);
        let half_used = bucket.remaining <= bucket.limit / 2 && bucket.resets > now;
        let until = if half_used { closed.max(bucket.resets) } else { closed };
        Some(until.saturating_sub(now)).filter(|wait| !wait.is_zero())
    }

    /// How far apart background calls should be for half of the bucket to be left when its window ends. A quarter may be
    /// used at once.
    pub fn spacing(&mut self, now: Duration, key: &Key) -> Duration {
        let Some(bucket) = self.buckets.get_mut(key) else {
            return Duration::ZERO;
        };
        bucket.roll(now);
        let half = bucket.limit / 2;
        if bucket.remaining > half + bucket.limit / 4 || bucket.resets <= now {
            return Duration::ZERO;
        }
        let left = bucket.remaining.saturating_sub(half).max(1);
        bucket.resets.saturating_sub(now) / left
    }

    /// How many calls a window of the bucket takes.
    pub fn limit(&self, key: &Key) -> u32 {
        self.buckets.get(key).map_or(LIMIT, |bucket| bucket.limit)
    }

    fn closed_until(&self, key: &Key, own: &str) -> Duration {
        let of_bucket = self.buckets.get(key).map(|bucket| bucket.closed_until);
        let of_connection = self.connections.get(own).map(|connection| connection.closed_until);
        of_bucket.max(of_connection).unwrap_or_default()
    }

    fn forget(&mut self, now: Duration) {
        let crowd = self.buckets.len() + self.connections.len();
        let (at, left) = self.forgot;
        if crowd < CROWD || (crowd < left * 2 && at + LOOK_EVERY > now) {
            return;
        }
        let recent = |used: Duration| used + FORGET_AFTER > now;
        self.buckets.retain(|_, bucket| {
            recent(bucket.used)
                || bucket.closed_until > now
                || !bucket.under_way.is_empty()
                || !bucket.waiting.is_empty()
        });
        self.connections.retain(|_, connection| {
            connection.closed_until > now || connection.closures.iter().any(|(_, at)| recent(*at))
        });
        self.forgot = (now, self.buckets.len() + self.connections.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "team/acme";

    fn key(scope: &str, endpoint: Endpoint) -> Key {
        Key { identity: "app".to_owned(), scope: scope.to_owned(), endpoint }
    }

    fn bucket() -> Key {
        key("acme", Endpoint::CreateProject)
    }

    const fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn rate(limit: u32, remaining: u32, reset: u64) -> RateHeaders {
        RateHeaders { limit, remaining, reset: second(reset) }
    }

    /// One call that is made at once.
    fn call(budget: &mut Budget, now: Duration, key: &Key, rate: Option<RateHeaders>) {
        let ticket = budget.enqueue(now, key, OWN, "t");
        assert_eq!(budget.poll(now, key, OWN, ticket), Turn::Now);
        budget.finish(now, key, ticket, rate);
    }

    #[test]
    fn a_window_takes_what_the_platform_grants_and_begins_with_its_first_call() {
        let mut budget = Budget::default();
        for _ in 0..LIMIT {
            call(&mut budget, second(7), &bucket(), None);
        }
        let ticket = budget.enqueue(second(8), &bucket(), OWN, "t");
        let full = Turn::NotBefore(second(67));
        assert_eq!(budget.poll(second(8), &bucket(), OWN, ticket), full);
        assert_eq!(budget.poll(second(66), &bucket(), OWN, ticket), full);
        assert_eq!(budget.poll(second(67), &bucket(), OWN, ticket), Turn::Now);
    }

    #[test]
    fn headers_win_over_our_own_count() {
        let mut budget = Budget::default();
        call(&mut budget, second(0), &bucket(), Some(rate(3, 1, 30)));
        call(&mut budget, second(0), &bucket(), None);
        let ticket = budget.enqueue(second(0), &bucket(), OWN, "t");
        let full = Turn::NotBefore(second(30));
        assert_eq!(budget.poll(second(0), &bucket(), OWN, ticket), full);
        assert_eq!(budget.poll(second(30), &bucket(), OWN, ticket), Turn::Now);
        assert_eq!(budget.limit(&bucket()), 3);
    }

    #[test]
    fn calls_under_way_are_not_given_away_twice() {
        let mut budget = Budget::default();
        let tickets: Vec<_> =
            (0..3).map(|_| budget.enqueue(second(0), &bucket(), OWN, "t")).collect();
        for ticket in &tickets {
            assert_eq!(budget.poll(second(0), &bucket(), OWN, *ticket), Turn::Now);
        }
        // The platform has counted one of three calls, and says that two are left: they are on their way.
        budget.finish(second(0), &bucket(), tickets[0], Some(rate(3, 2, 60)));
        let late = budget.enqueue(second(0), &bucket(), OWN, "t");
        let turn = budget.poll(second(0), &bucket(), OWN, late);
        assert_eq!(turn, Turn::NotBefore(second(60)));
    }

    #[test]
    fn answers_that_come_together_leave_nothing_of_the_window_unused() {
        let mut budget = Budget::default();
        let mut made = 0;
        // The platform counts all of ten calls before it answers the first of them.
        while made < 120 {
            let tickets: Vec<_> =
                (0..10).map(|_| budget.enqueue(second(0), &bucket(), OWN, "t")).collect();
            for ticket in &tickets {
                assert_eq!(budget.poll(second(0), &bucket(), OWN, *ticket), Turn::Now, "{made}");
            }
            made += 10;
            for ticket in tickets {
                budget.finish(second(0), &bucket(), ticket, Some(rate(120, 120 - made, 60)));
            }
        }
        let late = budget.enqueue(second(0), &bucket(), OWN, "t");
        let turn = budget.poll(second(0), &bucket(), OWN, late);
        assert_eq!(turn, Turn::NotBefore(second(60)));
    }

    #[test]
    fn a_window_that_the_platform_began_earlier_is_used_as_well() {
        let mut budget = Budget::default();
        for number in 1..=3 {
            call(&mut budget, second(0), &bucket(), Some(rate(3, 3 - number, 30)));
        }
        // Our own window would last longer than the platform's.
        for number in 1..=3 {
            call(&mut budget, second(30), &bucket(), Some(rate(3, 3 - number, 60)));
        }
        let late = budget.enqueue(second(31), &bucket(), OWN, "t");
        let turn = budget.poll(second(31), &bucket(), OWN, late);
        assert_eq!(turn, Turn::NotBefore(second(90)));
    }

    #[test]
    fn what_others_use_of_a_bucket_is_not_ours() {
        let mut budget = Budget::default();
        call(&mut budget, second(0), &bucket(), Some(rate(120, 1, 60)));
        call(&mut budget, second(0), &bucket(), None);
        let late = budget.enqueue(second(0), &bucket(), OWN, "t");
        assert_ne!(budget.poll(second(0), &bucket(), OWN, late), Turn::Now);
    }

    #[test]
    fn tenants_take_turns() {
        let mut budget = Budget::default();
        call(&mut budget, second(0), &bucket(), Some(rate(3, 0, 10)));
        let many: Vec<_> =
            (0..100).map(|_| budget.enqueue(second(1), &bucket(), OWN, "many")).collect();
        let one = budget.enqueue(second(2), &bucket(), OWN, "one");
        assert_eq!(budget.poll(second(10), &bucket(), OWN, many[0]), Turn::Now);
        assert_eq!(budget.poll(second(10), &bucket(), OWN, one), Turn::Now);
        assert_eq!(budget.poll(second(10), &bucket(), OWN, many[1]), Turn::Now);
        assert_ne!(budget.poll(second(10), &bucket(), OWN, many[2]), Turn::Now);
    }

    #[test]
    fn who_leaves_keeps_nobody_waiting_and_gives_his_turn_back() {
        let mut budget = Budget::default();
        call(&mut budget, second(0), &bucket(), Some(rate(1, 0, 10)));
        let first = budget.enqueue(second(1), &bucket(), OWN, "a");
        let second_ticket = budget.enqueue(second(1), &bucket(), OWN, "b");
        budget.leave(&bucket(), first);
        assert_eq!(budget.poll(second(10), &bucket(), OWN, second_ticket), Turn::Now);
        budget.leave(&bucket(), second_ticket);
        let third = budget.enqueue(second(11), &bucket(), OWN, "c");
        assert_eq!(budget.poll(second(11), &bucket(), OWN, third), Turn::Now);
    }

    #[test]
    fn a_429_closes_its_bucket_within_bounds() {
        for (said, closed) in
            [(None, 60), (Some(second(5)), 5), (Some(Duration::ZERO), 1), (Some(second(4000)), 300)]
        {
            let mut budget = Budget::default();
            call(&mut budget, second(0), &bucket(), None);
            budget.close(second(0), &bucket(), OWN, said, 0);
            let ticket = budget.enqueue(second(0), &bucket(), OWN, "t");
            let turn = budget.poll(second(0), &bucket(), OWN, ticket);
            assert_eq!(turn, Turn::NotBefore(second(closed)), "{said:?}");
            let other = key("other", Endpoint::CreateProject);
            call(&mut budget, second(0), &other, None);
        }
        let mut budget = Budget::default();
        call(&mut budget, second(0), &bucket(), None);
        budget.close(second(0), &bucket(), OWN, Some(second(100)), 255);
        let ticket = budget.enqueue(second(0), &bucket(), OWN, "t");
        let turn = budget.poll(second(0), &bucket(), OWN, ticket);
        assert_eq!(turn, Turn::NotBefore(second(110)));
    }

    #[test]
    fn two_closed_buckets_within_a_minute_close_the_connection_and_no_other() {
        let other = key("x", Endpoint::Health);
        let third = key("y", Endpoint::ApiKeys);
        let mut budget = Budget::default();
        for key in [&bucket(), &other, &third] {
            call(&mut budget, second(0), key, None);
        }
        budget.close(second(0), &bucket(), OWN, Some(second(90)), 0);
        budget.close(second(30), &other, OWN, Some(second(10)), 0);
        let ticket = budget.enqueue(second(31), &third, OWN, "t");
        let turn = budget.poll(second(31), &third, OWN, ticket);
        assert_eq!(turn, Turn::NotBefore(second(90)));
        // Another connection of the same app was not refused: it has its turn, also from the same queue.
        let stranger = budget.enqueue(second(31), &third, "team/other", "t");
        let turn = budget.poll(second(31), &third, "team/other", stranger);
        assert_eq!(turn, Turn::Now);
        let turn = budget.poll(second(31), &third, OWN, ticket);
        assert_eq!(turn, Turn::NotBefore(second(90)));

        let mut budget = Budget::default();
        for key in [&bucket(), &other, &third] {
            call(&mut budget, second(0), key, None);
        }
        budget.close(second(0), &bucket(), OWN, Some(second(5)), 0);
        budget.close(second(1), &bucket(), OWN, Some(second(5)), 0);
        budget.close(second(62), &other, OWN, Some(second(5)), 0);
        call(&mut budget, second(62), &third, None);
    }

    #[test]
    fn a_429_that_says_at_once_for_ever_is_asked_later_and_later_until_something_gets_through() {
        let mut budget = Budget::default();
        let mut closed = Vec::new();
        let mut now = Duration::ZERO;
        for _ in 0..10 {
            let ticket = budget.enqueue(now, &bucket(), OWN, "t");
            assert_eq!(budget.poll(now, &bucket(), OWN, ticket), Turn::Now);
            let late = budget.enqueue(now, &bucket(), OWN, "t");
            assert_eq!(budget.poll(now, &bucket(), OWN, late), Turn::Now);
            budget.finish(now, &bucket(), ticket, None);
            let until = budget.close(now, &bucket(), OWN, Some(Duration::ZERO), 0);
            // The answer to what was under way then says nothing new.
            budget.finish(now, &bucket(), late, None);
            assert_eq!(until, budget.close(now, &bucket(), OWN, Some(Duration::ZERO), 0));
            closed.push(until.saturating_sub(now).as_secs());
            now = until;
        }
        assert_eq!(closed, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        call(&mut budget, now, &bucket(), None);
        budget.let_through(&bucket());
        let until = budget.close(now, &bucket(), OWN, Some(Duration::ZERO), 0);
        assert_eq!(until, now + second(1));
    }

    #[test]
    fn background_work_leaves_half_of_a_bucket_to_others() {
        let mut budget = Budget::default();
        assert_eq!(budget.reserve(second(0), &bucket(), OWN), None);
        call(&mut budget, second(0), &bucket(), Some(rate(120, 61, 40)));
        assert_eq!(budget.reserve(second(0), &bucket(), OWN), None);
        call(&mut budget, second(0), &bucket(), Some(rate(120, 60, 40)));
        let wait = budget.reserve(second(10), &bucket(), OWN);
        assert_eq!(wait, Some(second(30)));
        assert_eq!(budget.reserve(second(40), &bucket(), OWN), None);
    }

    #[test]
    fn idle_buckets_are_forgotten() {
        let mut budget = Budget::default();
        for number in 0..2000_u64 {
            let key = key(&number.to_string(), Endpoint::Project);
            call(&mut budget, second(number * 60), &key, None);
        }
        assert!(budget.buckets.len() <= CROWD, "{}", budget.buckets.len());
        assert!(budget.admitted.is_empty());
    }
}
