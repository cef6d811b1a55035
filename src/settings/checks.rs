//! The verdict on a group: a chain of named checks, of which the first that applies decides. Each is a rule in one sentence.

use jiff::Timestamp;

use super::group::{Group, Reading, Record, Wanted};
use super::memory::Past;
use super::policy::Policy;
use super::value::Value;
use crate::api::settings::{Applied, Drift, DriftReason};

/// What is to be done about a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is as declared.
    InForce,
    /// Nothing is to be done or said.
    Left,
    /// What is declared cannot be sent.
    Unusable,
    /// It was not read.
    Unread,
    /// It is told, and not written now.
    Told(DriftReason),
    /// It is written.
    Write {
        /// Whether it had been as declared: the write sets it back.
        correction: bool,
    },
}

/// All that a verdict rests on.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) group: &'a Group,
    pub(super) policy: Policy,
    pub(super) record: Record,
    pub(super) past: Past,
    /// What the status says of it so far.
    pub(super) before: Vec<&'a Drift>,
    pub(super) differing: Vec<(String, Value, Value)>,
    pub(super) now: Timestamp,
}

type Check = fn(&Case<'_>) -> Option<Verdict>;

/// The checks, in their order.
const CHAIN: [Check; 11] = [
    cannot_be_sent,
    was_not_read,
    may_not_be_read,
    is_in_force,
    was_accepted,
    is_only_observed,
    was_refused,
    does_not_hold,
    is_on_its_way,
    is_only_reported,
    wears_out,
];

impl<'a> Case<'a> {
    pub(super) fn new(
        group: &'a Group,
        policy: Policy,
        applied: &[Applied],
        drift: &'a [Drift],
        past: Past,
        now: Timestamp,
    ) -> Self {
        let record = group.record(applied);
        // Where the platform does not show what it has, only a change of ours can tell. A record that cannot be compared is
        // no change for a policy that writes changes only.
        let changed = match record {
            Record::Same => false,
            Record::None | Record::Other => true,
            Record::Unknown => policy == Policy::Correct,
        };
        Self {
            group,
            policy,
            record,
            past,
            before: drift.iter().filter(|entry| is_of(&entry.path, &group.path)).collect(),
            differing: group.differing(changed),
            now,
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        CHAIN
            .iter()
            .find_map(|check| check(self))
            .unwrap_or(Verdict::Write { correction: self.record == Record::Same })
    }

    fn settled(&self) -> bool {
        matches!(self.group.reading, Reading::Seen { settled: true, .. })
    }
}

/// Whether a place in the spec belongs to a group.
pub(super) fn is_of(path: &str, group: &str) -> bool {
    path.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn cannot_be_sent(case: &Case<'_>) -> Option<Verdict> {
    matches!(case.group.wanted, Wanted::Unusable(_)).then_some(Verdict::Unusable)
}

/// What was told stays, until it is read again.
fn was_not_read(case: &Case<'_>) -> Option<Verdict> {
    matches!(case.group.reading, Reading::Inactive | Reading::Failed).then_some(Verdict::Unread)
}

fn may_not_be_read(case: &Case<'_>) -> Option<Verdict> {
    match case.group.reading {
        Reading::Unable(reason) => Some(Verdict::Told(reason)),
        Reading::Seen { .. } | Reading::Inactive | Reading::Failed => None,
    }
}

fn is_in_force(case: &Case<'_>) -> Option<Verdict> {
    (case.differing.is_empty() && case.settled()).then_some(Verdict::InForce)
}

/// The platform has what is declared, and is still carrying it out. If that takes too long it is asked again.
fn was_accepted(case: &Case<'_>) -> Option<Verdict> {
    (case.differing.is_empty() && !is_stuck(case)).then_some(Verdict::Told(DriftReason::Pending))
}

fn is_only_observed(case: &Case<'_>) -> Option<Verdict> {
    let declared = !matches!(case.group.wanted, Wanted::Nothing);
    (!case.policy.writes()).then_some(if declared {
        Verdict::Told(DriftReason::Reported)
    } else {
        Verdict::Left
    })
}

fn was_refused(case: &Case<'_>) -> Option<Verdict> {
    let (refusal, _) = case.past.refusal(case.now)?;
    Some(Verdict::Told(refusal.reason))
}

/// Once it was found not to hold it is left, until the spec changes or a reconcile is asked for; the status remembers it.
fn does_not_hold(case: &Case<'_>) -> Option<Verdict> {
    let told = |entry: &&Drift| entry.reason == DriftReason::NotHolding;
    (case.record == Record::Same && case.before.iter().any(told))
        .then_some(Verdict::Told(DriftReason::NotHolding))
}

/// Reading may lag behind a write, and the platform may be on its way to what was written.
fn is_on_its_way(case: &Case<'_>) -> Option<Verdict> {
    let carrying = !case.settled() && case.record == Record::Same && !is_stuck(case);
    (case.past.settles(case.now) || carrying).then_some(Verdict::Told(DriftReason::Pending))
}

/// Report never writes a group whose declared value did not change since it was last applied.
fn is_only_reported(case: &Case<'_>) -> Option<Verdict> {
    let unchanged = matches!(case.record, Record::Same | Record::Unknown);
    (case.policy == Policy::Report && unchanged).then_some(Verdict::Told(DriftReason::Reported))
}

fn wears_out(case: &Case<'_>) -> Option<Verdict> {
    case.past.is_worn_out(case.now).then_some(Verdict::Told(DriftReason::NotHolding))
}

fn is_stuck(case: &Case<'_>) -> bool {
    let since = case.before.iter().map(|entry| entry.since.0).min();
    case.past.is_stuck(since, case.now)
}
