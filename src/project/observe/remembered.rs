//! What this process remembers of an object, as an observation: how long it holds off, and since when it knows of somebody
//! else's attempt.

use std::time::Duration;

use crate::api::project::AttemptOutcome;
use crate::api::{ProjectStatus, SupabaseProject, annotations};
use crate::project::Projects;
use crate::project::memory::Memo;

/// A reconcile that was asked for by annotation and has not been acknowledged.
pub(super) fn requested(project: &SupabaseProject) -> Option<String> {
    let asked = annotations::requested(project)?;
    let handled =
        project.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_deref());
    (handled != Some(asked.as_str())).then_some(asked)
}

pub(super) fn hold_off(
    projects: &Projects,
    project: &SupabaseProject,
    memo: &Memo,
) -> Option<Duration> {
    let (generation, until) = memo.refused.as_ref()?;
    let left = until.checked_sub(projects.context.clock.uptime())?;
    let same = *generation == project.metadata.generation && requested(project).is_none();
    (same && !left.is_zero()).then_some(left)
}

/// For how long an open attempt of another process has been known to this one.
pub(super) fn foreign_for(
    projects: &Projects,
    project: &SupabaseProject,
    memo: &mut Memo,
) -> Duration {
    let attempts = project.status.iter().flat_map(ProjectStatus::attempts);
    let foreign = attempts.into_iter().any(|attempt| {
        attempt.outcome == AttemptOutcome::Pending && attempt.process != projects.process
    });
    if !foreign {
        return Duration::ZERO;
    }
    let now = projects.context.clock.uptime();
    now.saturating_sub(*memo.foreign_since.get_or_insert(now))
}
