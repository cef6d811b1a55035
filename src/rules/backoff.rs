//! How long to wait before trying again. Deterministic: the jitter comes from the object, not from chance.

use std::time::Duration;

/// The longest wait after repeated failure: four calls an hour.
pub const LONGEST: Duration = Duration::from_secs(900);

/// The wait before try number `attempt` (the first failure is 1): doubling from one second up to [`LONGEST`].
pub fn delay(attempt: u32, seed: &str) -> Duration {
    let doubled = 1_u64.checked_shl(attempt.saturating_sub(1).min(32)).unwrap_or(u64::MAX);
    spread(Duration::from_secs(doubled).min(LONGEST), seed, attempt)
}

/// `interval` moved by up to a tenth either way, differently for every seed and round.
pub fn spread(interval: Duration, seed: &str, round: u32) -> Duration {
    // FNV-1a: spreads short, similar names well, and need not resist anybody.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in seed.bytes().chain(round.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let share = u32::try_from((hash >> 32) % 201).unwrap_or_default();
    interval * (900 + share) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_failure_is_at_most_twenty_tries_then_four_an_hour() {
        let mut passed = Duration::ZERO;
        let mut tries = 0;
        while passed < Duration::from_secs(3600) {
            tries += 1;
            passed += delay(tries, "some-uid");
        }
        assert!(tries <= 20, "{tries}");
        assert!(delay(tries + 50, "some-uid") >= Duration::from_secs(810));
    }

    #[test]
    fn neighbours_do_not_march_in_step() {
        let minute = Duration::from_secs(60);
        let waits: std::collections::BTreeSet<_> =
            (0..100).map(|n| spread(minute, &format!("uid-{n}"), 0)).collect();
        assert!(waits.len() > 60, "{}", waits.len());
        assert!(waits.iter().all(|wait| *wait >= minute * 9 / 10 && *wait <= minute * 11 / 10));
    }
}
