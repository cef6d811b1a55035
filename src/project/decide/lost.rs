//! Create calls whose answers were lost: how long they are waited for, and when only a person can tell what became of them. PURE.
//!
//! Apart from [`super::create`], since an object that is being deleted asks the same.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::GRACE;
use crate::api::SupabaseProject;
use crate::api::project::Attempt;
use crate::project::facts::{Listing, Observed, Unreadable};

/// How many attempts may turn out absent before a person is asked.
const ABSENT_AT_MOST: usize = 2;

/// The first entry of a list that cannot be read and may be what one of the calls made whose answers were lost. What was
/// there before them is not, and before there was one, nothing is.
pub(super) fn doubt<'a>(attempts: &[Attempt], listing: &'a Listing) -> Option<&'a Unreadable> {
    let first = attempts
        .iter()
        .filter(|attempt| attempt.is_unsettled())
        .map(|attempt| attempt.listed_at.0)
        .min()?;
    let mut entries = listing.unreadable.iter();
    entries.find(|entry| entry.may_be_newer_than(first))
}

/// Which entry is meant, for whoever looks at the organization's projects. Its ref may be another tenant's.
pub(super) fn name_of(entry: &Unreadable) -> String {
    let created = entry.created_at.map(|at| format!(", created at {at}")).unwrap_or_default();
    format!("entry {} of the organization's projects (oldest first{created})", entry.number)
}

/// Why only a person can tell what became of calls whose answers were lost.
pub(super) fn undecidable(
    project: &SupabaseProject,
    attempts: &[Attempt],
    listing: &Listing,
) -> Option<&'static str> {
    let lost = attempts.iter().filter(|attempt| attempt.is_unsettled()).count();
    let wanted = project.wanted_name();
    let is_there = || {
        let mut bearers = listing.projects.named(&wanted);
        bearers.any(|listed| !listed.is_branch)
    };
    if lost >= ABSENT_AT_MOST {
        Some("the answers to two create calls were lost, and no project turned up")
    } else if lost > 0 && is_there() {
        Some(
            "the answer to the create call was lost, and a project of the wanted name is there, which may have been \
             renamed by hand",
        )
    } else {
        None
    }
}

/// How long an open attempt that is not on the list must still be waited for: by the platform's clock, and by our
/// own, which does not jump.
pub(super) fn patience(open: &Attempt, observed: &Observed, listing: &Listing) -> Duration {
    let deadline = Duration::from_secs(u64::try_from(open.deadline_seconds).unwrap_or_default());
    let needed = deadline + GRACE;
    let passed = since(open.listed_at.0, listing.date);
    let by_date = (needed + Duration::from_secs(1)).saturating_sub(passed);
    let by_uptime = if open.process == observed.process {
        GRACE.saturating_sub(observed.own_for)
    } else {
        needed.saturating_sub(observed.foreign_for)
    };
    by_date.max(by_uptime)
}

fn since(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}
