//! From everything that is known to the next write and the next status.

use std::time::Duration;

use jiff::Timestamp;

use super::checks::{Case, Verdict, is_of};
use super::group::{Group, Reading, Record, Wanted};
use super::memory::Memory;
use super::policy::Policy;
use super::report::{Synced, aggregate, entries, most_important};
use super::write::{Piece, Write, remember};
use crate::api::Reason;
use crate::api::settings::{Applied, Drift, DriftReason};
use crate::rules::backoff;
use crate::rules::conditions::Truth;

/// When what is on its way is looked at again.
const FOLLOW: Duration = Duration::from_secs(10);
/// When it is, once it has taken long.
const FOLLOW_SLOWLY: Duration = Duration::from_secs(60);

/// All that a plan rests on.
#[derive(Debug)]
pub struct Input<'a> {
    /// Every group that is declared, and those of [`orphans`] that can be taken back.
    pub groups: &'a [Group],
    /// The strictest policy.
    pub policy: Policy,
    /// `status.applied` so far.
    pub applied: &'a [Applied],
    /// `status.drift` so far.
    pub drift: &'a [Drift],
    /// Whether this generation of the spec was already all in force or refused: the status speaks of it, without
    /// `Reconciling`.
    pub was_settled: bool,
    /// Whether a reconcile was asked for since the last one: what does not hold or was refused is tried again.
    pub asked: bool,
    /// The object's UID.
    pub uid: &'a str,
    /// How often settings are read when all is well.
    pub interval: Duration,
    /// The time.
    pub now: Timestamp,
}

/// What to do and what to say.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The next write; none where nothing is to be written now.
    pub write: Option<Write>,
    /// `status.applied` from now on; [`Write::record`] adds what the write brings.
    pub applied: Vec<Applied>,
    /// `status.drift` from now on.
    pub drift: Vec<Drift>,
    /// `status.driftCount` from now on.
    pub drift_count: Option<i64>,
    /// The condition `Synced`.
    pub synced: Synced,
    /// Whether `Reconciling` holds: something declared is neither in force nor refused yet.
    pub waiting: bool,
    /// Whether something declared stays so without somebody's help.
    pub blocked: bool,
    /// When settings are read again.
    pub read_again: Duration,
    /// Places that are managed no more and left as they are: an event each.
    pub no_longer_managed: Vec<String>,
}

/// Places on record that are declared no more, and are entries of a list: what was put there is taken back.
pub fn orphans<'a>(
    applied: &'a [Applied],
    groups: &'a [Group],
) -> impl Iterator<Item = &'a str> + 'a {
    applied
        .iter()
        .map(|known| known.path.as_str())
        .filter(|path| is_entry(path) && !groups.iter().any(|group| group.path == *path))
}

fn is_entry(path: &str) -> bool {
    path.ends_with(']')
}

/// The plan. Forgets in `memory` what is about nothing any more.
pub fn plan(input: &Input<'_>, memory: &mut Memory) -> Plan {
    if input.policy == Policy::Suspended {
        return frozen(input);
    }
    if input.asked {
        memory.forget();
    }
    memory.keep(&input.groups.iter().map(|group| group.path.as_str()).collect());
    // What does not hold is given another chance when somebody asks for it.
    let before: &[Drift] = if input.asked { &[] } else { input.drift };
    let judged: Vec<(Case<'_>, Verdict)> = input
        .groups
        .iter()
        .map(|group| {
            let past = memory.of(&group.path, group.digest());
            let case = Case::new(group, input.policy, input.applied, before, past, input.now);
            let verdict = case.verdict();
            (case, verdict)
        })
        .collect();

    let all: Vec<Drift> = judged
        .iter()
        .flat_map(|(case, verdict)| entries(case, *verdict))
        .map(|entry| with_since(entry, input.drift))
        .collect();
    let unusable: Vec<_> = judged
        .iter()
        .filter_map(|(case, _)| match &case.group.wanted {
            Wanted::Unusable(unusable) => Some(unusable),
            Wanted::Values(..) | Wanted::Nothing => None,
        })
        .collect();
    let unread = judged.iter().filter(|(_, verdict)| *verdict == Verdict::Unread).count();
    let refusals: Vec<_> = judged
        .iter()
        .filter_map(|(case, _)| {
            let (refusal, _) = case.past.refusal(input.now)?;
            Some((case.group.path.clone(), refusal.words.clone()))
        })
        .collect();
    let write = next_write(input, &judged);
    let (applied, no_longer_managed) = records(input, &judged);
    Plan {
        applied,
        no_longer_managed,
        synced: aggregate(&all, &unusable, unread, &refusals),
        waiting: judged.iter().any(|(case, verdict)| is_awaited(input, case, *verdict)),
        blocked: !unusable.is_empty() || all.iter().any(|entry| is_blocked(entry.reason)),
        read_again: read_again(input, memory, &judged, write.is_some()),
        drift_count: i64::try_from(all.len()).ok().filter(|count| *count > 0),
        drift: most_important(all),
        write,
    }
}

/// Nothing is read, written or said anew.
fn frozen(input: &Input<'_>) -> Plan {
    Plan {
        write: None,
        applied: input.applied.to_vec(),
        drift: input.drift.to_vec(),
        drift_count: i64::try_from(input.drift.len()).ok().filter(|count| *count > 0),
        synced: Synced {
            truth: Truth::Unknown,
            reason: Reason::Suspended,
            message: "suspended: settings are neither read nor written".to_owned(),
        },
        waiting: false,
        blocked: false,
        read_again: next_read(input.now, input.interval, input.uid),
        no_longer_managed: Vec::new(),
    }
}

fn with_since(mut entry: Drift, before: &[Drift]) -> Drift {
    if let Some(known) = before.iter().find(|known| known.path == entry.path) {
        entry.since = known.since.clone();
    }
    entry
}

/// The groups of the lowest order that can go now. A group that waits for another goes when that one neither is written nor on
/// its way.
fn next_write(input: &Input<'_>, judged: &[(Case<'_>, Verdict)]) -> Option<Write> {
    let moving = |path: &str| {
        judged.iter().any(|(case, verdict)| {
            let moves =
                matches!(verdict, Verdict::Write { .. } | Verdict::Told(DriftReason::Pending));
            case.group.path == path && moves
        })
    };
    let ready: Vec<_> = judged
        .iter()
        .filter_map(|(case, verdict)| match verdict {
            Verdict::Write { correction }
                if !case.group.after.is_some_and(moving) && case.past.held(input.now).is_none() =>
            {
                Some((case, *correction))
            }
            Verdict::Write { .. }
            | Verdict::InForce
            | Verdict::Left
            | Verdict::Unusable
            | Verdict::Unread
            | Verdict::Told(_) => None,
        })
        .collect();
    let order = ready.iter().map(|(case, _)| case.group.order).min()?;
    let of_order = || ready.iter().filter(|(case, _)| case.group.order == order);
    let together: Vec<_> = of_order().filter(|(case, _)| !case.past.alone).collect();
    let chosen = if together.is_empty() { of_order().take(1).collect() } else { together };
    let groups = chosen.into_iter().map(|(case, correction)| piece(case, *correction));
    Some(Write { order, groups: groups.collect() })
}

fn piece(case: &Case<'_>, correction: bool) -> Piece {
    let secrets = case.differing.iter();
    Piece {
        path: case.group.path.clone(),
        take_back: matches!(case.group.wanted, Wanted::Nothing),
        correction,
        secrets: secrets
            .filter(|(_, wanted, _)| matches!(wanted, super::value::Value::Secret(_)))
            .map(|(path, ..)| path.clone())
            .collect(),
        after: case.group.after,
        digest: case.group.digest().to_owned(),
    }
}

/// What this object has put there, and what it leaves.
fn records(input: &Input<'_>, judged: &[(Case<'_>, Verdict)]) -> (Vec<Applied>, Vec<String>) {
    let mut applied = input.applied.to_vec();
    let mut left = Vec::new();
    applied.retain(|known| {
        let declared = input.groups.iter().any(|group| group.path == known.path);
        // An entry that the room does not know how to take back stays on record.
        let kept = declared || is_entry(&known.path);
        if !kept {
            left.push(known.path.clone());
        }
        kept
    });
    for (case, verdict) in judged {
        let nothing = matches!(case.group.wanted, Wanted::Nothing);
        if *verdict == Verdict::InForce && nothing {
            applied.retain(|known| known.path != case.group.path);
        } else if *verdict == Verdict::InForce && input.policy.writes() {
            // Ours by declaration, whoever put it there.
            remember(&mut applied, &case.group.path, case.group.digest());
        } else if case.record == Record::Unknown
            && input.policy == Policy::Report
            && matches!(case.group.reading, Reading::Seen { .. })
        {
            // A new starting point, so that the next change of the declaration is seen as one.
            remember(&mut applied, &case.group.path, case.group.digest());
        }
    }
    (applied, left)
}

/// Until everything of this generation is in force or refused, or a new value of a group is.
fn is_awaited(input: &Input<'_>, case: &Case<'_>, verdict: Verdict) -> bool {
    let moving = match verdict {
        Verdict::Write { .. } | Verdict::Told(DriftReason::Pending | DriftReason::Differs) => true,
        Verdict::Unread => case.group.reading == Reading::Failed,
        Verdict::InForce | Verdict::Left | Verdict::Unusable | Verdict::Told(_) => false,
    };
    let changed = matches!(case.record, Record::None | Record::Other);
    input.policy.writes() && moving && (!input.was_settled || changed)
}

const fn is_blocked(reason: DriftReason) -> bool {
    match reason {
        DriftReason::NotHolding
        | DriftReason::CapabilityUnavailable
        | DriftReason::PaymentRequired
        | DriftReason::Refused => true,
        DriftReason::Reported | DriftReason::Pending | DriftReason::Differs => false,
    }
}

fn read_again(
    input: &Input<'_>,
    memory: &Memory,
    judged: &[(Case<'_>, Verdict)],
    writes: bool,
) -> Duration {
    if writes {
        return Duration::ZERO;
    }
    let usual = next_read(input.now, input.interval, input.uid);
    let soonest = judged.iter().filter_map(|(case, verdict)| match verdict {
        Verdict::Told(DriftReason::Pending) | Verdict::Write { .. } => {
            let held = case.past.held(input.now).and_then(|left| Duration::try_from(left).ok());
            Some(held.unwrap_or_default().max(follow(input, case)))
        }
        Verdict::Told(_) => {
            let (_, left) = case.past.refusal(input.now)?;
            Duration::try_from(left).ok()
        }
        Verdict::Unread => {
            (case.group.reading == Reading::Failed).then(|| memory.retry_read(input.now))
        }
        Verdict::InForce | Verdict::Left | Verdict::Unusable => None,
    });
    soonest.fold(usual, Duration::min)
}

/// Soon; less often once it has taken longer than most things do.
fn follow(input: &Input<'_>, case: &Case<'_>) -> Duration {
    let known = input.drift.iter().filter(|entry| is_of(&entry.path, &case.group.path));
    let long = known
        .map(|entry| entry.since.0)
        .any(|since| input.now.duration_since(since).as_secs() > 300);
    if long { FOLLOW_SLOWLY } else { FOLLOW }
}

/// Until the next regular read of an object. Each has its own place within the interval, by its UID, so that many spread
/// evenly over it, also after a restart.
pub fn next_read(now: Timestamp, interval: Duration, uid: &str) -> Duration {
    // Between nine and eleven tenths: the place within the interval, in steps of a two-hundredth.
    let place = backoff::spread(interval, uid, 0).saturating_sub(interval * 9 / 10) * 5;
    let whole = interval.as_millis().max(1);
    let passed = u128::try_from(now.as_millisecond()).unwrap_or_default() % whole;
    let wait = (place.as_millis() + whole - passed) % whole;
    // Not right after the last one.
    let wait = if wait < whole / 4 { wait + whole } else { wait };
    Duration::from_millis(u64::try_from(wait).unwrap_or(u64::MAX))
}
