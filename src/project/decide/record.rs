//! What the status records of a project: where it came from, what it is called, how long it has been as it is.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::GRACE;
use crate::api::project::AttemptOutcome;
use crate::api::{ProjectStatus, SupabaseProject};
use crate::project::facts::Observed;

/// How long services and keys may lag behind the project before that is called a problem.
const LAG: Duration = Duration::from_secs(600);
/// How long a create call whose answer was lost is guarded against by keeping the name that it carries. Far beyond
/// the grace: what comes this late was frozen on its way.
const GUARD: Duration = Duration::from_secs(3600);

/// How long the remote status has been what it is.
pub(super) fn lasted(status: &ProjectStatus, now: Timestamp) -> Duration {
    let since = status.remote_status_since.as_ref().map_or(now, |since| since.0);
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// Whether the project has come up so recently that its services and keys may lag behind.
pub(in crate::project) fn is_waited_for(status: &ProjectStatus, now: Timestamp) -> bool {
    lasted(status, now) < LAG
}

/// Whether the name of the create calls is kept for now: the answer to one of them was lost and the project came of
/// another one. Should the lost one arrive after all, the platform refuses it for as long as the name is taken.
pub(super) fn is_guarded(project: &SupabaseProject, name: &str, now: Timestamp) -> bool {
    let status = project.status.as_ref();
    let Some(creation) = status.and_then(|status| status.creation.as_ref()) else {
        return false;
    };
    let last = creation.attempts.iter().map(|attempt| attempt.listed_at.0).max();
    creation.name == name
        && creation.attempts.len() > 1
        && last.is_some_and(|last| {
            Duration::try_from(now.duration_since(last)).is_ok_and(|passed| passed < GUARD)
        })
}

/// Whether a name is as it shall be. Without `spec.projectName` it is nobody's business but that of whoever gave
/// it, except for the name under which the project was created.
pub(super) fn has_its_name(project: &SupabaseProject, name: &str) -> bool {
    let status = project.status.as_ref();
    let create_name =
        status.and_then(|status| status.creation.as_ref()).map(|creation| &creation.name);
    name == project.wanted_name()
        || (project.spec.project_name.is_none()
            && create_name.is_none_or(|create_name| create_name != name))
}

/// Whether the project was ever seen on the platform.
pub(super) fn was_seen(status: &ProjectStatus) -> bool {
    status.remote_status.is_some()
}

/// Whether this process has made a create call for the object within the grace, by the clock that does not jump.
pub(super) fn was_called_lately(observed: &Observed) -> bool {
    observed.memo.posted_at.is_some() && observed.own_for < GRACE
}

/// Whether a project of this object's own making may still turn up: it is younger than the grace.
pub(super) fn may_turn_up(status: &ProjectStatus, date: Timestamp) -> bool {
    status.attempts().filter(|attempt| attempt.outcome == AttemptOutcome::Created).any(|attempt| {
        let deadline =
            Duration::from_secs(u64::try_from(attempt.deadline_seconds).unwrap_or_default());
        let passed =
            Duration::try_from(date.duration_since(attempt.listed_at.0)).unwrap_or_default();
        passed <= deadline + GRACE
    })
}
