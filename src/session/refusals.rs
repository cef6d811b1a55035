//! How often credentials were refused lately: per connection and per namespace, so that whoever edits Secrets cannot
//! let the operator knock at the platform without end, and get its address banned for everybody.
//!
//! PURE: time is passed in. Not part of a session: it outlives the connection object, which can be made anew.

use std::collections::HashMap;
use std::time::Duration;

use super::id::ConnectionId;

/// From so many entries on, forgiven ones are forgotten.
const CROWD: usize = 256;

/// How much is taken.
#[derive(Clone, Copy, Debug)]
struct Measure {
    /// So many refusals are nothing: somebody mistypes, or several tokens are renewed in turn.
    free: u32,
    /// The distance after the first one beyond; it doubles with every other one.
    first: Duration,
    /// The longest distance.
    most: Duration,
    /// One refusal is forgiven after so long.
    forgiven: Duration,
}

const CONNECTION: Measure = Measure {
    free: 3,
    first: Duration::from_secs(10),
    most: Duration::from_secs(900),
    forgiven: Duration::from_secs(3600),
};
/// Of all connections of a namespace together. Its distance stays small, so that an honest neighbour is served soon.
const NAMESPACE: Measure = Measure {
    free: 12,
    first: Duration::from_secs(5),
    most: Duration::from_secs(60),
    forgiven: Duration::from_secs(300),
};

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    refusals: u32,
    last: Duration,
}

impl Count {
    fn left(&self, now: Duration, measure: Measure) -> u32 {
        let passed = now.saturating_sub(self.last).as_secs() / measure.forgiven.as_secs();
        self.refusals.saturating_sub(u32::try_from(passed).unwrap_or(u32::MAX))
    }

    fn note(&mut self, now: Duration, measure: Measure) {
        self.refusals = self.left(now, measure).saturating_add(1);
        self.last = now;
    }

    fn until(&self, now: Duration, measure: Measure) -> Option<Duration> {
        let beyond = self.left(now, measure).checked_sub(measure.free)?;
        let distance = (measure.first * (1 << beyond.min(16))).min(measure.most);
        Some(self.last + distance).filter(|until| *until > now)
    }
}

/// All counts.
#[derive(Debug, Default)]
pub struct Refusals {
    connections: HashMap<ConnectionId, Count>,
    namespaces: HashMap<Option<String>, Count>,
}

impl Refusals {
    /// The platform refused a credential of this connection.
    pub fn note(&mut self, now: Duration, id: &ConnectionId) {
        if self.connections.len() >= CROWD {
            self.connections.retain(|_, count| count.left(now, CONNECTION) > 0);
        }
        if self.namespaces.len() >= CROWD {
            self.namespaces.retain(|_, count| count.left(now, NAMESPACE) > 0);
        }
        self.connections.entry(id.clone()).or_default().note(now, CONNECTION);
        self.namespaces.entry(id.namespace.clone()).or_default().note(now, NAMESPACE);
    }

    /// The uptime before which no credential is tried that the platform has not accepted yet.
    pub fn until(&self, now: Duration, id: &ConnectionId) -> Option<Duration> {
        let own = self.connections.get(id);
        let all = self.namespaces.get(&id.namespace);
        let own = own.and_then(|count| count.until(now, CONNECTION));
        let all = all.and_then(|count| count.until(now, NAMESPACE));
        own.max(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::project::ConnectionKind;

    fn id(namespace: &str, name: &str) -> ConnectionId {
        ConnectionId {
            kind: ConnectionKind::SupabaseConnection,
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
        }
    }

    /// Tries as often as allowed, and is always refused: how often in so long, and the last distance.
    fn knocked(time: Duration, who: impl Fn(u32) -> ConnectionId) -> (u32, Duration) {
        let (mut refusals, mut now, mut tries) = (Refusals::default(), Duration::ZERO, 0);
        let mut distance = Duration::ZERO;
        while now < time {
            let id = who(tries);
            if let Some(until) = refusals.until(now, &id) {
                distance = until.saturating_sub(now);
                now = until;
                continue;
            }
            refusals.note(now, &id);
            tries += 1;
        }
        (tries, distance)
    }

    #[test]
    fn a_connection_is_refused_at_a_growing_distance_whatever_it_shows() {
        let (quarter, _) = knocked(Duration::from_secs(15), |_| id("a", "x"));
        assert!((4..=5).contains(&quarter), "{quarter}");
        let (day, distance) = knocked(Duration::from_secs(86_400), |_| id("a", "x"));
        assert!(day < 120, "{day}");
        assert_eq!(distance, CONNECTION.most);
    }

    #[test]
    fn many_connections_of_a_namespace_knock_no_more_than_once_a_minute() {
        let (hour, distance) =
            knocked(Duration::from_secs(3600), |tries| id("a", &tries.to_string()));
        assert!(hour < 85, "{hour}");
        assert_eq!(distance, NAMESPACE.most);
    }

    #[test]
    fn strangers_and_the_first_tries_are_not_held_up_and_time_forgives() {
        let mut refusals = Refusals::default();
        for _ in 0..CONNECTION.free {
            assert_eq!(refusals.until(Duration::ZERO, &id("a", "x")), None);
            refusals.note(Duration::ZERO, &id("a", "x"));
        }
        for _ in 0..100 {
            refusals.note(Duration::ZERO, &id("a", "x"));
        }
        assert!(refusals.until(Duration::ZERO, &id("a", "x")).is_some());
        assert_eq!(refusals.until(Duration::ZERO, &id("b", "x")), None);
        let later = CONNECTION.forgiven * 102;
        refusals.note(later, &id("a", "x"));
        assert_eq!(refusals.until(later, &id("a", "x")), None);
    }

    #[test]
    fn what_is_forgiven_is_forgotten() {
        let mut refusals = Refusals::default();
        for number in 0..2000_u64 {
            let now = Duration::from_secs(number * 600);
            let id = id(&number.to_string(), "x");
            refusals.note(now, &id);
        }
        assert!(refusals.connections.len() <= CROWD);
        assert!(refusals.namespaces.len() <= CROWD);
    }
}
