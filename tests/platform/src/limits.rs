//! The rate limiter: fixed windows of a minute, in three models.
//!
//! A window starts with its first request, not with the clock's minute, and a refused request counts
//! like any other.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;

use crate::answer::set;
use crate::clock::{later, seconds_until};
use crate::config::Limiter;

const WINDOW: Duration = Duration::from_secs(60);

/// All counters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits(BTreeMap<(String, String, &'static str), Window>);

#[derive(Clone, Copy, Debug)]
struct Window {
    ends: Timestamp,
    count: u32,
}

/// What the counter says about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    pub(crate) reset: u64,
    pub(crate) exceeded: bool,
}

impl Limits {
    /// Counts one request. `endpoint` is method and pattern.
    pub(crate) fn count(
        &mut self,
        limiter: Limiter,
        identity: &str,
        scope: &str,
        endpoint: &'static str,
        now: Timestamp,
    ) -> Option<Allowance> {
        let (limit, scope, endpoint) = match limiter {
            Limiter::ProjectEndpoint(limit) => (limit, scope, endpoint),
            Limiter::UserScope(limit) => (limit, scope, ""),
            Limiter::Oldest(limit) => (limit, "", ""),
            Limiter::Off => return None,
        };
        let fresh = Window { ends: later(now, WINDOW), count: 0 };
        let window =
            self.0.entry((identity.to_owned(), scope.to_owned(), endpoint)).or_insert(fresh);
        if window.ends <= now {
            *window = fresh;
        }
        window.count = window.count.saturating_add(1);
        Some(Allowance {
            limit,
            remaining: limit.saturating_sub(window.count),
            reset: seconds_until(now, window.ends),
            exceeded: window.count > limit,
        })
    }
}

impl Allowance {
    /// Writes the rate-limit headers.
    pub(crate) fn announce(self, headers: &mut HeaderMap) {
        set(headers, "x-ratelimit-limit", &self.limit.to_string());
        set(headers, "x-ratelimit-remaining", &self.remaining.to_string());
        set(headers, "x-ratelimit-reset", &self.reset.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    #[test]
    fn the_window_starts_with_the_first_request() {
        let mut limits = Limits::default();
        let limiter = Limiter::ProjectEndpoint(2);
        let mut ask = |seconds| limits.count(limiter, "me", "p", "GET /x", at(seconds)).unwrap();
        let first = ask(17);
        assert_eq!((first.remaining, first.reset, first.exceeded), (1, 60, false));
        assert_eq!((ask(47).remaining, ask(47).exceeded), (0, true));
        assert!(ask(76).exceeded);
        let fresh = ask(77);
        assert_eq!((fresh.remaining, fresh.reset, fresh.exceeded), (1, 60, false));
    }

    #[test]
    fn each_model_shares_what_it_should() {
        let remaining = |limiter, calls: &[(&str, &str, &'static str)]| {
            let mut limits = Limits::default();
            let mut last = 0;
            for (identity, scope, endpoint) in calls {
                last = limits.count(limiter, identity, scope, endpoint, at(0)).unwrap().remaining;
            }
            last
        };
        let endpoints = [("me", "p", "GET /x"), ("me", "p", "GET /y")];
        let scopes = [("me", "p", "GET /x"), ("me", "q", "GET /x")];
        assert_eq!(remaining(Limiter::ProjectEndpoint(9), &endpoints), 8);
        assert_eq!(remaining(Limiter::UserScope(9), &endpoints), 7);
        assert_eq!(remaining(Limiter::UserScope(9), &scopes), 8);
        assert_eq!(remaining(Limiter::Oldest(9), &scopes), 7);
        assert_eq!(remaining(Limiter::Oldest(9), &[("me", "", "x"), ("you", "", "x")]), 8);
        assert!(Limits::default().count(Limiter::Off, "", "", "", at(0)).is_none());
    }
}
