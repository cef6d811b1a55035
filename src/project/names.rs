//! Names that objects of this operator are about to give to projects, or have just given: a list from before says nothing
//! about them.
//!
//! Only what this process did counts: one that begins to lead makes a list of its own first.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Longer than any list is good for.
const KEPT: Duration = Duration::from_secs(1800);
/// From so many names on, forgetting is worth the look: when there are twice as many as the last look left.
const CROWD: usize = 256;

/// When each name of an organization was taken last.
#[derive(Debug, Default)]
pub struct Names(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    /// By hash: two names that share one cost a list, and nothing else.
    at: HashMap<u64, Duration>,
    hasher: RandomState,
    left: usize,
}

impl Names {
    /// A name is about to be given, or was given.
    pub fn take(&self, organization: &str, name: &str, now: Duration) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = taken.hasher.hash_one((organization, name));
        taken.at.insert(key, now);
        if taken.at.len() >= CROWD.max(taken.left * 2) {
            taken.at.retain(|_, at| *at + KEPT > now);
            taken.left = taken.at.len();
        }
    }

    /// Whether a name was taken since a moment.
    pub fn is_taken_since(&self, organization: &str, name: &str, moment: Duration) -> bool {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = taken.hasher.hash_one((organization, name));
        taken.at.get(&key).is_some_and(|at| *at >= moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_in_its_organization_and_forgotten_in_time() {
        let names = Names::default();
        let at = Duration::from_secs;
        names.take("acme", "orders", at(10));
        assert!(names.is_taken_since("acme", "orders", at(10)));
        assert!(!names.is_taken_since("acme", "orders", at(11)));
        assert!(!names.is_taken_since("other", "orders", at(0)));
        for number in 0..10_000 {
            names.take("acme", &number.to_string(), at(10 * number));
        }
        let kept = names.0.lock().unwrap().at.len();
        assert!(kept < 2 * CROWD + 2 * 180, "{kept}");
    }
}
