//! Who leads: the pure part. `leader` reads and writes the Lease and asks here what to do.
//!
//! Another holder's clock is not believed: what counts is how long the record has not changed, measured on our
//! own monotonic clock (architecture.md §5).

use std::time::Duration;

/// What a Lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty when it was released.
    pub holder: String,
    /// For how long after a renewal nobody else may take it.
    pub duration: Duration,
    /// How often it changed hands.
    pub transitions: i32,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Write ourselves in as a new holder.
    Acquire {
        /// The new number of changes of hands.
        transitions: i32,
    },
    /// Write a new time.
    Renew,
    /// Somebody else leads.
    Wait,
}

/// Decides for `me`, who has seen the record unchanged for `unchanged`.
pub fn decide(record: Option<&Record>, me: &str, unchanged: Duration) -> Move {
    match record {
        None => Move::Acquire { transitions: 0 },
        Some(record) if record.holder == me => Move::Renew,
        Some(record) if record.holder.is_empty() || unchanged > record.duration => {
            Move::Acquire { transitions: record.transitions.saturating_add(1) }
        }
        Some(_) => Move::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(holder: &str) -> Record {
        Record { holder: holder.to_owned(), duration: Duration::from_secs(15), transitions: 3 }
    }

    #[test]
    fn a_living_holder_is_left_alone() {
        let record = held_by("other");
        assert_eq!(decide(Some(&record), "me", Duration::from_secs(15)), Move::Wait);
        assert_eq!(
            decide(Some(&record), "me", Duration::from_secs(16)),
            Move::Acquire { transitions: 4 }
        );
    }

    #[test]
    fn a_released_or_missing_lease_is_taken_at_once() {
        assert_eq!(
            decide(Some(&held_by("")), "me", Duration::ZERO),
            Move::Acquire { transitions: 4 }
        );
        assert_eq!(decide(None, "me", Duration::ZERO), Move::Acquire { transitions: 0 });
    }

    #[test]
    fn the_holder_renews_however_late() {
        assert_eq!(decide(Some(&held_by("me")), "me", Duration::from_secs(99)), Move::Renew);
    }
}
