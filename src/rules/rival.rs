//! Two installations of the operator that serve the same objects.
//!
//! Each leaves its mark on an object: its name, since when its process leads (`term`), and since when it has looked after
//! the object (`since`). A mark from before this process began to lead proves nothing: the operator was moved, or
//! another one made way. One from after that is a living rival's, and of the two the one that leads for longer
//! goes on. As both judge by the same two terms, exactly one does.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// Which installation says in a status that it looks after the object, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark<'a> {
    /// The installation.
    pub name: &'a str,
    /// Since when its process leads.
    pub term: Timestamp,
    /// Since when it has looked after the object.
    pub since: Timestamp,
}

/// Whose an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Ours, as it is marked.
    Keep,
    /// Ours from now on: the mark is to be replaced.
    Take,
    /// A living rival's, which leads for longer.
    Yield,
}

/// Judges a mark. `ours` leads since `term`; a rival whose mark is older than `patience` may be gone by now, and is
/// tried.
pub fn judge(
    (ours, term): (&str, Timestamp),
    found: Option<Mark<'_>>,
    now: Timestamp,
    patience: Duration,
) -> Claim {
    let Some(found) = found else {
        return Claim::Take;
    };
    if found.name == ours {
        return Claim::Keep;
    }
    let age = Duration::try_from(now.duration_since(found.since)).unwrap_or_default();
    let lives = found.since > term && age < patience;
    if lives && (found.term, found.name) < (term, ours) { Claim::Yield } else { Claim::Take }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::SignedDuration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    fn mark(name: &str, term: i64, since: i64) -> Mark<'_> {
        Mark { name, term: at(term), since: at(since) }
    }

    #[test]
    fn only_a_living_rival_that_leads_for_longer_is_made_way_for() {
        let ours = ("b/lease", at(100));
        let judged = |found, now| judge(ours, found, at(now), HOUR);
        assert_eq!(judged(None, 200), Claim::Take);
        // Our own, whichever process wrote it.
        assert_eq!(judged(Some(mark("b/lease", 1, 1)), 200), Claim::Keep);
        // From before this process led: moved, or gone.
        assert_eq!(judged(Some(mark("a/lease", 1, 99)), 200), Claim::Take);
        assert_eq!(judged(Some(mark("a/lease", 1, 100)), 200), Claim::Take);
        // A living rival that leads for longer, for less long, for as long.
        assert_eq!(judged(Some(mark("a/lease", 1, 150)), 200), Claim::Yield);
        assert_eq!(judged(Some(mark("a/lease", 120, 150)), 200), Claim::Take);
        assert_eq!(judged(Some(mark("a/lease", 100, 150)), 200), Claim::Yield);
        assert_eq!(judged(Some(mark("c/lease", 100, 150)), 200), Claim::Take);
        // It may be gone by now.
        assert_eq!(judged(Some(mark("a/lease", 1, 150)), 150 + 3600), Claim::Take);
        // A clock that is behind.
        assert_eq!(judged(Some(mark("a/lease", 1, 150)), 140), Claim::Yield);
    }

    /// Two that live and look at one object in any order come to rest with one of them, whichever began.
    #[test]
    fn of_two_that_live_exactly_one_goes_on() {
        for orders in 0_u32..256 {
            let names = ["a/lease", "b/lease"];
            let terms = [at(10), at(20)];
            let mut stored: Option<(usize, Timestamp)> =
                Some((usize::from(orders % 2 == 0), at(5)));
            let mut yields = [false; 2];
            for step in 0..16 {
                let who = if step < 8 { (orders >> step & 1) as usize } else { step % 2 };
                let now = at(100 + i64::try_from(step).unwrap());
                let found =
                    stored.map(|(by, since)| Mark { name: names[by], term: terms[by], since });
                let claim = judge((names[who], terms[who]), found, now, HOUR);
                yields[who] = claim == Claim::Yield;
                if claim == Claim::Take {
                    stored = Some((who, now));
                }
            }
            assert_eq!(yields, [false, true], "{orders:b}");
            assert_eq!(stored.map(|(by, _)| by), Some(0));
        }
    }
}
