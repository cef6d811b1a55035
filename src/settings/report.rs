//! What the status says: the list of differences, and the condition `Synced` as its aggregate.

use std::cmp::Reverse;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::checks::{Case, Verdict};
use super::group::{Unusable, Wanted};
use super::value::{cut, difference};
use crate::api::Reason;
use crate::api::settings::{Drift, DriftReason, LONGEST_PATH, MOST_DRIFT};
use crate::rules::conditions::Truth;

/// Paths that a message names.
const NAMED: usize = 3;
/// Settings that cannot be sent, in a message.
const UNUSABLE: usize = 16;

/// What the condition `Synced` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Its status.
    pub truth: Truth,
    /// Of several that apply, the worst.
    pub reason: Reason,
    /// Empty where everything is in sync.
    pub message: String,
}

impl Synced {
    /// What differences that a status lists come to.
    pub fn of(drift: &[Drift]) -> Self {
        aggregate(drift, &[], 0, &[])
    }
}

/// The entries of one group, with what was known before. The list is whole; the status takes [`most_important`].
pub(super) fn entries(case: &Case<'_>, verdict: Verdict) -> Vec<Drift> {
    let reason = match verdict {
        Verdict::InForce | Verdict::Left | Verdict::Unusable => return Vec::new(),
        Verdict::Unread => return case.before.iter().copied().cloned().collect(),
        Verdict::Told(reason) => reason,
        Verdict::Write { .. } => DriftReason::Differs,
    };
    let entry = |path: &str, desired: String, observed: String| Drift {
        since: since(case, path),
        path: cut(path, LONGEST_PATH),
        desired,
        observed,
        reason,
    };
    let list: Vec<_> = case
        .differing
        .iter()
        .map(|(path, wanted, seen)| {
            let (desired, observed) = difference(wanted, seen);
            entry(path, desired, observed)
        })
        .collect();
    if !list.is_empty() {
        return list;
    }
    // No single field is known to differ: the group stands for them.
    let observed =
        if reason == DriftReason::Pending { "(accepted, not in force)" } else { "(not known)" };
    let desired = match &case.group.wanted {
        Wanted::Values(values, _) => match values.as_slice() {
            [(_, value)] => difference(value, value).0,
            _ => "(as declared)".to_owned(),
        },
        Wanted::Nothing | Wanted::Unusable(_) => "(default)".to_owned(),
    };
    vec![entry(&case.group.path, desired, observed.to_owned())]
}

/// Kept as long as the place is told.
fn since(case: &Case<'_>, path: &str) -> Time {
    let before = case.before.iter().find(|entry| entry.path == path);
    before.map_or_else(
        || Time(Timestamp::from_second(case.now.as_second()).unwrap_or(case.now)),
        |entry| entry.since.clone(),
    )
}

/// As many as the status holds, the worst first.
pub(super) fn most_important(mut all: Vec<Drift>) -> Vec<Drift> {
    all.sort_by(|one, other| {
        (Reverse(one.reason), &one.path).cmp(&(Reverse(other.reason), &other.path))
    });
    all.dedup_by(|one, other| one.path == other.path);
    all.truncate(MOST_DRIFT);
    all
}

/// The aggregate: the worst reason, the first places, and how many there are.
pub(super) fn aggregate(
    all: &[Drift],
    unusable: &[&Unusable],
    unread: usize,
    refusals: &[(String, String)],
) -> Synced {
    if let Some(worst) = unusable.first() {
        // Each by its name: none of them may be looked for in vain.
        let told = unusable.iter().take(UNUSABLE).map(|one| format!("{}: {}", one.path, one.words));
        let mut message = told.collect::<Vec<_>>().join("; ");
        if let Some(more) = unusable.len().checked_sub(UNUSABLE).filter(|more| *more > 0) {
            message = format!("{message}; and {more} more that cannot be sent");
        }
        return Synced { truth: Truth::No, reason: worst.reason, message };
    }
    if let Some(worst) = all.iter().map(|entry| entry.reason).max() {
        let mut places: Vec<_> = all
            .iter()
            .filter(|entry| entry.reason == worst)
            .map(|entry| entry.path.as_str())
            .collect();
        places.sort_unstable();
        let named = places.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        let mut message = named;
        if let Some(more) = places.len().checked_sub(NAMED).filter(|more| *more > 0) {
            message = format!("{message} and {more} more");
        }
        message = format!("{message}: {}", advice(worst));
        let told = refusals.iter().find(|(path, _)| {
            places.first().is_some_and(|first| super::checks::is_of(first, path))
        });
        if let Some((_, words)) = told {
            message = format!("{message} ({words})");
        }
        if all.len() > places.len() {
            message = format!("{message}; {} settings differ in all", all.len());
        }
        return Synced { truth: Truth::No, reason: reason(worst), message };
    }
    if unread > 0 {
        return Synced {
            truth: Truth::Unknown,
            reason: Reason::NotRead,
            message: format!(
                "{unread} groups of settings could not be read yet; it is tried again"
            ),
        };
    }
    Synced { truth: Truth::Yes, reason: Reason::InSync, message: String::new() }
}

const fn reason(drift: DriftReason) -> Reason {
    match drift {
        DriftReason::Reported => Reason::Reported,
        DriftReason::Pending => Reason::Pending,
        DriftReason::Differs => Reason::Differs,
        DriftReason::NotHolding => Reason::NotHolding,
        DriftReason::CapabilityUnavailable => Reason::CapabilityUnavailable,
        DriftReason::PaymentRequired => Reason::PaymentRequired,
        DriftReason::Refused => Reason::Refused,
    }
}

/// What is, and what can be done.
const fn advice(drift: DriftReason) -> &'static str {
    match drift {
        DriftReason::Reported => {
            "changed on the platform and left so by policy; change the spec, or set it back there"
        }
        DriftReason::Pending => "accepted by the platform, not in force yet",
        DriftReason::Differs => "differs from the platform and is about to be written",
        DriftReason::NotHolding => {
            "set back three times within a day and changed again; find who else writes it, then change the spec or ask for \
            a reconcile"
        }
        DriftReason::CapabilityUnavailable => {
            "the credential does not allow it; give the connection more rights, or take it out of the spec"
        }
        DriftReason::PaymentRequired => {
            "the organization's plan does not include it; change the plan, or take it out of the spec"
        }
        DriftReason::Refused => "refused by the platform; correct it in the spec",
    }
}
