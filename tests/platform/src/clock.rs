//! Points in time as the platform writes them.
//!
//! Pure functions on given timestamps; separate because the API mixes three spellings of a date.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// `at` plus `duration`, held at the end of time.
pub(crate) fn later(at: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| at.checked_add(duration).ok())
        .unwrap_or(Timestamp::MAX)
}

/// Whole seconds from `now` until `then`, rounded up, never negative.
pub(crate) fn seconds_until(now: Timestamp, then: Timestamp) -> u64 {
    let left = then.duration_since(now).as_millis();
    u64::try_from(left).map_or(0, |left| left.div_ceil(1000))
}

/// The form of the `Date` header.
pub(crate) fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The form of `created_at`.
pub(crate) fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// The form of `inserted_at` on API keys: an offset instead of `Z`.
pub(crate) fn iso_offset(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_spelled_as_recorded() {
        let at: Timestamp = "2026-04-15T10:46:16.546327Z".parse().unwrap();
        assert_eq!(http_date(at), "Wed, 15 Apr 2026 10:46:16 GMT");
        assert_eq!(iso(at), "2026-04-15T10:46:16.546327Z");
        assert_eq!(iso_offset(at), "2026-04-15T10:46:16.546327+00:00");
    }

    #[test]
    fn adding_beyond_the_end_of_time_stays_there() {
        assert_eq!(later(Timestamp::MAX, Duration::from_secs(9)), Timestamp::MAX);
        assert_eq!(later(Timestamp::UNIX_EPOCH, Duration::MAX), Timestamp::MAX);
    }

    #[test]
    fn seconds_left_are_rounded_up() {
        let at = Timestamp::UNIX_EPOCH;
        assert_eq!(seconds_until(at, later(at, Duration::from_millis(1001))), 2);
        assert_eq!(seconds_until(later(at, Duration::from_secs(1)), at), 0);
    }
}
