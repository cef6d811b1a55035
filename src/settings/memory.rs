//! What this process remembers of its writes: when, how often, and what was refused. Lost at a restart, which costs at most one
//! more write of each group; what must outlive it is in the status.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::group::{Group, Reading};
use super::outcome::Outcome;
use super::write::Write;
use crate::api::settings::DriftReason;

/// Corrections within [`WINDOW`] after which a group is left alone.
pub(super) const MOST_CORRECTIONS: usize = 3;
/// The time in which corrections are counted.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// How long what was accepted may take until it is read back.
const SETTLES_WITHIN: SignedDuration = SignedDuration::from_secs(90);
/// After which time what the platform is still carrying out is asked for again.
const STUCK_AFTER: SignedDuration = SignedDuration::from_mins(30);
/// When a refusal is tried again that a plan or a right may lift.
const RETRY_ABILITY: SignedDuration = SignedDuration::from_hours(1);
/// How long a group is left alone after a write of which nothing is known.
const UNCLEAR: SignedDuration = SignedDuration::from_secs(30);
/// When what could not be read is read again, at the soonest and at the latest.
const SOONEST_READ: Duration = Duration::from_secs(30);
const LATEST_READ: Duration = Duration::from_secs(1800);
/// When a refused value is tried again.
const RETRY_VALUE: SignedDuration = SignedDuration::from_hours(6);

/// What is remembered of an object's settings.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    groups: BTreeMap<String, Past>,
    /// Since when reading has failed, of any group.
    failing_since: Option<Timestamp>,
}

/// What is remembered of a group, for one declared value.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    digest: String,
    written: Option<Timestamp>,
    corrections: Vec<Timestamp>,
    refusal: Option<Refusal>,
    /// It was refused together with others: which of them was meant is found out one by one.
    pub(super) alone: bool,
    /// When its last write ended in a way of which nothing is known, and how many in a row did.
    unclear: Option<(Timestamp, u32)>,
}

#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) reason: DriftReason,
    pub(super) words: String,
    at: Timestamp,
    /// The group whose change may lift it.
    after: Option<&'static str>,
}

impl Memory {
    /// Keeps what came of a write.
    pub fn learn(&mut self, write: &Write, outcome: &Outcome, now: Timestamp) {
        let single = write.groups.len() == 1;
        for piece in &write.groups {
            let past = self.groups.entry(piece.path.clone()).or_default();
            if past.digest != piece.digest {
                *past = Past { digest: piece.digest.clone(), ..Past::default() };
            }
            match outcome {
                Outcome::Accepted => {
                    // Also counted where the status has no room to remember it.
                    let again = past.written.replace(now).is_some();
                    past.refusal = None;
                    past.unclear = None;
                    if piece.correction || again {
                        past.corrections.push(now);
                        past.corrections.retain(|at| now.duration_since(*at) < WINDOW);
                    }
                }
                // That a right is missing says the same of all of them.
                Outcome::Refused { reason, words }
                    if single || *reason == DriftReason::CapabilityUnavailable =>
                {
                    past.refusal = Some(Refusal {
                        reason: *reason,
                        words: words.clone(),
                        at: now,
                        after: piece.after,
                    });
                }
                Outcome::Refused { .. } => past.alone = true,
                Outcome::Unclear => {
                    let times = past.unclear.map_or(0, |(_, times)| times);
                    past.unclear = Some((now, times.saturating_add(1)));
                }
            }
        }
        if matches!(outcome, Outcome::Accepted) {
            // What was refused for want of another group may be taken now.
            let lifted = |refusal: &Refusal| refusal.after.is_some_and(|path| write.sets(path));
            for past in self.groups.values_mut() {
                if past.refusal.as_ref().is_some_and(lifted) {
                    past.refusal = None;
                }
            }
        }
    }

    /// Keeps whether all of these could be read just now.
    pub fn read(&mut self, groups: &[Group], now: Timestamp) {
        let failed = groups.iter().any(|group| group.reading == Reading::Failed);
        self.failing_since = failed.then(|| self.failing_since.unwrap_or(now));
    }

    /// How long until what could not be read is read again: as long as it has failed, within bounds.
    pub(super) fn retry_read(&self, now: Timestamp) -> Duration {
        let failing = self.failing_since.map(|since| now.duration_since(since));
        let failing = failing.and_then(|failing| Duration::try_from(failing).ok());
        failing.unwrap_or_default().clamp(SOONEST_READ, LATEST_READ)
    }

    /// Forgets everything: a reconcile was asked for.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Keeps only what is about these paths.
    pub(super) fn keep(&mut self, paths: &BTreeSet<&str>) {
        self.groups.retain(|path, _| paths.contains(path.as_str()));
    }

    pub(super) fn of(&self, path: &str, digest: &str) -> Past {
        let past = self.groups.get(path);
        let past = past.filter(|past| past.digest == digest);
        past.cloned().unwrap_or_default()
    }
}

impl Past {
    /// The refusal that still counts, and when it does no more.
    pub(super) fn refusal(&self, now: Timestamp) -> Option<(&Refusal, SignedDuration)> {
        let refusal = self.refusal.as_ref()?;
        let retry = match refusal.reason {
            DriftReason::CapabilityUnavailable | DriftReason::PaymentRequired => RETRY_ABILITY,
            DriftReason::Refused
            | DriftReason::Reported
            | DriftReason::Pending
            | DriftReason::Differs
            | DriftReason::NotHolding => RETRY_VALUE,
        };
        let left = retry - now.duration_since(refusal.at);
        left.is_positive().then_some((refusal, left))
    }

    /// Whether it was just accepted, and reading may lag behind.
    pub(super) fn settles(&self, now: Timestamp) -> bool {
        self.written.is_some_and(|at| now.duration_since(at) < SETTLES_WITHIN)
    }

    /// Whether the platform has been carrying it out for too long, counted from its last write or from when it was first
    /// seen so.
    pub(super) fn is_stuck(&self, since: Option<Timestamp>, now: Timestamp) -> bool {
        let from = self.written.or(since);
        from.is_some_and(|from| now.duration_since(from) > STUCK_AFTER)
    }

    /// How long it is left alone because nothing is known of its last write: longer with each in a row, so that what cannot be
    /// written holds nothing else back.
    pub(super) fn held(&self, now: Timestamp) -> Option<SignedDuration> {
        let (at, times) = self.unclear?;
        let pause = UNCLEAR * (1 << times.saturating_sub(1).min(5));
        let left = pause - now.duration_since(at);
        left.is_positive().then_some(left)
    }

    /// Whether it was corrected as often as it is.
    pub(super) fn is_worn_out(&self, now: Timestamp) -> bool {
        let recent = |at: &&Timestamp| now.duration_since(**at) < WINDOW;
        self.corrections.iter().filter(recent).count() >= MOST_CORRECTIONS
    }
}
