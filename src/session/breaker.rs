//! The breaker: an endpoint that failed several times in a row is left alone for a while.
//!
//! PURE: time is passed in. Each connection and tenant finds out for itself: a platform that fails at somebody's
//! project need not fail at another's.

use std::collections::HashMap;
use std::time::Duration;

use crate::management::Endpoint;

/// Failures in a row that open it.
const FAILURES: u32 = 5;
/// How long it stays open the first time, and at most.
const OPEN: Duration = Duration::from_secs(10);
const OPEN_MOST: Duration = Duration::from_secs(120);
/// From so many entries on, closed ones are forgotten.
const CROWD: usize = 256;

/// A connection, a tenant, an endpoint.
type Key = (String, String, Endpoint);

#[derive(Clone, Copy, Debug, Default)]
struct Circuit {
    failures: u32,
    opened: u32,
    until: Duration,
    probing: bool,
}

/// The breakers of all connections, tenants and endpoints.
#[derive(Debug, Default)]
pub struct Breakers(HashMap<Key, Circuit>);

/// What came of a call, as far as the breaker cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The platform answered, whatever it said.
    Answered,
    /// It did not.
    Failed,
    /// The call was given up, or never made.
    Unknown,
}

impl Breakers {
    /// Whether a call may be made. Whoever was allowed must [`Breakers::report`].
    pub fn allow(
        &mut self,
        now: Duration,
        (own, tenant): (&str, &str),
        endpoint: Endpoint,
    ) -> bool {
        let key = (own.to_owned(), tenant.to_owned(), endpoint);
        let Some(circuit) = self.0.get_mut(&key) else {
            return true;
        };
        if circuit.failures < FAILURES {
            return true;
        }
        if now < circuit.until || circuit.probing {
            return false;
        }
        circuit.probing = true;
        true
    }

    /// Tells what came of a call.
    pub fn report(
        &mut self,
        now: Duration,
        (own, tenant): (&str, &str),
        endpoint: Endpoint,
        verdict: Verdict,
    ) {
        let key = (own.to_owned(), tenant.to_owned(), endpoint);
        match verdict {
            Verdict::Answered => {
                self.0.remove(&key);
            }
            Verdict::Unknown => {
                if let Some(circuit) = self.0.get_mut(&key) {
                    circuit.probing = false;
                }
            }
            Verdict::Failed => {
                if self.0.len() >= CROWD {
                    self.0.retain(|_, circuit| circuit.until + OPEN_MOST > now);
                }
                let circuit = self.0.entry(key).or_default();
                circuit.failures = circuit.failures.saturating_add(1);
                let was_probe = std::mem::take(&mut circuit.probing);
                if circuit.failures == FAILURES || was_probe {
                    let doubled = OPEN.saturating_mul(1 << circuit.opened.min(8));
                    circuit.until = now + doubled.min(OPEN_MOST);
                    circuit.opened += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: (&str, &str) = ("team/acme", "team");
    const WHAT: Endpoint = Endpoint::CreateProject;

    const fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn fail(breakers: &mut Breakers, now: Duration) {
        assert!(breakers.allow(now, WHO, WHAT));
        breakers.report(now, WHO, WHAT, Verdict::Failed);
    }

    #[test]
    fn failures_in_a_row_open_it_for_longer_and_longer() {
        let mut breakers = Breakers::default();
        for _ in 0..FAILURES {
            fail(&mut breakers, second(0));
        }
        let mut now = Duration::ZERO;
        for open in [10, 20, 40, 80, 120, 120] {
            let almost = now + Duration::from_nanos(open * 1_000_000_000 - 1);
            assert!(!breakers.allow(almost, WHO, WHAT), "{open}");
            now += second(open);
            fail(&mut breakers, now);
        }
        for other in [("team/acme", "neighbour"), ("other/acme", "team")] {
            assert!(breakers.allow(now, other, WHAT), "{other:?}");
        }
        assert!(breakers.allow(now, WHO, Endpoint::Health));
    }

    #[test]
    fn one_probe_at_a_time_closes_it_again() {
        let mut breakers = Breakers::default();
        for _ in 0..FAILURES {
            fail(&mut breakers, second(0));
        }
        assert!(breakers.allow(second(10), WHO, WHAT));
        assert!(!breakers.allow(second(10), WHO, WHAT), "a second probe");
        breakers.report(second(11), WHO, WHAT, Verdict::Unknown);
        assert!(breakers.allow(second(11), WHO, WHAT), "after a probe that was given up");
        breakers.report(second(11), WHO, WHAT, Verdict::Answered);
        assert!(breakers.allow(second(11), WHO, WHAT));
        assert!(breakers.allow(second(11), WHO, WHAT));
    }

    #[test]
    fn an_answer_in_between_starts_the_count_anew() {
        let mut breakers = Breakers::default();
        for _ in 0..3 {
            for _ in 1..FAILURES {
                fail(&mut breakers, second(0));
            }
            breakers.report(second(0), WHO, WHAT, Verdict::Answered);
        }
        assert!(breakers.allow(second(0), WHO, WHAT));
    }

    #[test]
    fn late_failures_of_calls_begun_before_do_not_prolong_it() {
        let mut breakers = Breakers::default();
        for _ in 0..FAILURES + 20 {
            breakers.report(second(0), WHO, WHAT, Verdict::Failed);
        }
        assert!(breakers.allow(second(10), WHO, WHAT));
    }
}
