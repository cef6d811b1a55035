//! With a ref: follow the project's state, bring it to what the spec says, keep the outputs.
//!
//! | the shared list says            | what is done                                   | Ready                      |
//! |---------------------------------|------------------------------------------------|----------------------------|
//! | nothing yet                     | wait for it                                    | as it was                  |
//! | not there, never seen, young    | wait for it                                    | Provisioning               |
//! | not there                       | ask the ref itself; never create again         | RemoteDeleted, …NotVisible |
//! | not shown to this credential    | say so; look again slowly                      | RemoteNotVisible           |
//! | on its way                      | wait; after too long say so                    | Transitioning, RemoteStuck |
//! | failed                          | say so                                         | RemoteFailed               |
//! | INACTIVE                        | restore, if powerState is Running, a few times | Paused; True if wanted so  |
//! | ACTIVE_HEALTHY, another name    | rename                                         | Provisioning               |
//! | ACTIVE_HEALTHY                  | pause by powerState; health; password; outputs | Available                  |
//! | ACTIVE_UNHEALTHY                | wait                                           | Degraded                   |

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::health::judge_health;
use super::password::{Password, password, rebind};
use super::record::{
    has_its_name, is_guarded, is_waited_for, lasted, may_turn_up, was_called_lately, was_seen,
};
use super::settings::{self, plan_settings};
use super::settle::{Written, not_read, settle};
use super::spec::is_observed_only;
use super::sync::stale;
use super::{Draft, ProjectDecision, SLOW, act, rest, unchanged};
use crate::api::project::PowerState;
use crate::api::{ConditionType, ProjectStatus, Reason, SupabaseProject, annotations, bounds};
use crate::controller::{Inputs, Requeue, Trouble, translate};
use crate::management::{Error, Status};
use crate::project::facts::{ListedState, Observed, Presence, Problem};
use crate::project::step::Step;
use crate::rules::conditions::Truth;

/// How long most passing states may last.
const PASSING: Duration = Duration::from_secs(3600);
/// How long waking a paused project may take: minutes to hours by size (platform.md §4.3).
const RESTORING: Duration = Duration::from_secs(24 * 3600);

/// How often a paused project is woken before a person is asked: waking can fail back (platform.md §4.4).
const WAKES: i64 = 3;

/// Decides for an object with a ref.
pub(super) fn follow(
    project: &SupabaseProject,
    observed: &Observed,
    inputs: &Inputs<'_>,
    mut draft: Draft,
    reference: &str,
) -> ProjectDecision {
    draft.status.dashboard_url = Some(SupabaseProject::dashboard_url(reference));
    if let Some(problem) = &observed.link.problem {
        // Outputs stay as they are: applications go on while the credential is being mended.
        draft.progressing(problem.reason, &problem.message);
        return rest(draft, Requeue::After(observed.rest_interval));
    }
    if let Err(problem) = &observed.organization {
        draft.stalled(problem);
        return rest(draft, Requeue::After(SLOW));
    }
    // Whoever changes something, or asks for a look, wants it tried anew.
    if observed.requested.is_some()
        || project.metadata.generation != draft.status.observed_generation
    {
        draft.status.restores = None;
    }
    outdated(&mut draft, observed);
    let young = may_turn_up(&draft.status, inputs.now) || was_called_lately(observed);
    match &observed.presence {
        Presence::Unknown if observed.list_trouble.is_some() => {
            rest(draft, Requeue::After(observed.rest_interval))
        }
        Presence::Unknown => unchanged(project, Requeue::After(observed.rest_interval)),
        Presence::Absent { .. } if young && !is_gone(observed, &draft.status) => {
            turning_up(observed, draft)
        }
        Presence::NotVisible if young && !was_seen(&draft.status) => turning_up(observed, draft),
        Presence::Absent { .. } => absent(observed, draft),
        Presence::NotVisible => not_visible(draft),
        Presence::Present(_) if observed.outdated => {
            unchanged(project, Requeue::After(observed.transition_interval))
        }
        Presence::Present(listed) => present(project, observed, inputs, draft, listed),
    }
}

/// Lists show a new project a moment after the create call's answer.
fn turning_up(observed: &Observed, mut draft: Draft) -> ProjectDecision {
    draft.progressing(Reason::Provisioning, "waiting for the platform to show the project");
    rest(draft, Requeue::After(observed.transition_interval))
}

/// Whether what was seen once says by its own answer that it is gone.
fn is_gone(observed: &Observed, status: &ProjectStatus) -> bool {
    let gone = match &observed.itself {
        Some(Err(error)) => matches!(error, Error::NotFound | Error::Removed),
        Some(Ok(itself)) => itself.status == Status::Removed,
        None => false,
    };
    gone && was_seen(status)
}

/// While the shared list fails, what is known of the project is old: that is said, and what is known stays.
fn outdated(draft: &mut Draft, observed: &Observed) {
    if let Some(error) = &observed.list_trouble {
        let problem = stale(error);
        let (reason, message) = (problem.reason, problem.message);
        draft.set(ConditionType::Synced, Truth::Unknown, reason, &message);
    } else if draft.find(ConditionType::Synced).is_some_and(|synced| {
        let stays = [Reason::NotCreated, Reason::NotRead];
        synced.status == "Unknown" && stays.iter().all(|one| one.as_str() != synced.reason)
    }) {
        // Said anew as soon as it is compared.
        draft.remove(ConditionType::Synced);
    }
}

/// Not on the whole list of its organization: gone only if the ref itself says so too.
fn absent(observed: &Observed, mut draft: Draft) -> ProjectDecision {
    let gone = "the project is gone from the platform; nothing is created in its place, since its data are lost: \
                delete this object, and apply a new one if another project is wanted";
    let problem = match &observed.itself {
        Some(Err(Error::NotFound | Error::Removed)) => Problem::new(Reason::RemoteDeleted, gone),
        Some(Ok(itself)) if itself.status == Status::Removed => {
            Problem::new(Reason::RemoteDeleted, gone)
        }
        Some(Ok(_)) => Problem::new(
            Reason::RemoteNotVisible,
            "the project exists but is not in its organization any more; if it was moved, use a connection of \
             the other organization with a new object that adopts it",
        ),
        Some(Err(Error::Unauthorized | Error::Forbidden { .. })) => Problem::new(
            Reason::RemoteNotVisible,
            "the credential cannot see the project; give the connection one that can",
        ),
        Some(Err(error)) => {
            let Trouble { problem, requeue, .. } = translate(error, "looking for the project");
            draft.progressing(problem.reason, &problem.message);
            return rest(draft, requeue);
        }
        None => return rest(draft, Requeue::Backoff),
    };
    if problem.reason == Reason::RemoteDeleted {
        draft.status.remote_status = Some(Status::Removed.as_str().to_owned());
        draft.set(ConditionType::Provisioned, Truth::No, problem.reason, &problem.message);
    }
    draft.stalled(&problem);
    rest(draft, Requeue::After(SLOW))
}

/// The credential sees only some projects, so it cannot be told whether this one is gone.
fn not_visible(mut draft: Draft) -> ProjectDecision {
    draft.stalled(&Problem::new(
        Reason::RemoteNotVisible,
        "the credential sees only some projects, and this one is not among them: it was deleted, or the credential \
         may not see it; give the connection one that can, or delete this object if the project is gone",
    ));
    rest(draft, Requeue::After(SLOW))
}

fn present(
    project: &SupabaseProject,
    observed: &Observed,
    inputs: &Inputs<'_>,
    mut draft: Draft,
    listed: &ListedState,
) -> ProjectDecision {
    see(&mut draft.status, listed, inputs.now);
    if listed.status == Status::ActiveHealthy {
        draft.status.restores = None;
    }
    let adopted = !draft.status.was_created();
    let how = if adopted { Reason::Adopted } else { Reason::Created };
    draft.set(ConditionType::Provisioned, Truth::Yes, how, "");
    let power = project.spec.power_state.filter(|_| !is_observed_only(project));
    match &listed.status {
        Status::ActiveHealthy if power == Some(PowerState::Paused) => {
            draft
                .progressing(Reason::Transitioning, "pausing the project, as spec.powerState says");
            act(Step::Pause, draft, Requeue::After(observed.transition_interval))
        }
        Status::ActiveHealthy => active(project, observed, inputs, draft, listed),
        Status::ActiveUnhealthy => {
            let message = "the platform reports the project as unhealthy; its dashboard says more";
            draft.set(ConditionType::ServicesHealthy, Truth::No, Reason::Degraded, message);
            draft.progressing(Reason::Degraded, message);
            rest(draft, Requeue::OnChange)
        }
        Status::Inactive if power == Some(PowerState::Running) => wake(observed, draft),
        Status::Inactive => paused(draft, power),
        Status::InitFailed | Status::PauseFailed | Status::RestoreFailed => {
            let message = format!(
                "the platform reports {}; look at the project's dashboard or ask Supabase's support, then it is \
                 seen here by itself",
                listed.status.as_str()
            );
            draft.stalled(&Problem::new(Reason::RemoteFailed, message));
            rest(draft, Requeue::OnChange)
        }
        Status::GoingDown | Status::Removed => {
            let message = "somebody is deleting the project on the platform";
            draft.stalled(&Problem::new(Reason::RemoteDeleted, message));
            rest(draft, Requeue::OnChange)
        }
        moving @ (Status::Unknown
        | Status::ComingUp
        | Status::Pausing
        | Status::Restoring
        | Status::Restarting
        | Status::Resizing
        | Status::Upgrading
        | Status::Promoting
        | Status::Other(_)) => passing(draft, inputs, moving),
    }
}

/// Wakes a paused project, a few times; then a person is asked.
fn wake(observed: &Observed, mut draft: Draft) -> ProjectDecision {
    let tried = draft.status.restores.unwrap_or_default();
    if tried >= WAKES {
        let message = format!(
            "the platform accepted to wake the project {WAKES} times, and it was paused again each time; look at its \
             dashboard or ask Supabase's support, then change the spec or set the annotation {} to try anew",
            annotations::RECONCILE_REQUESTED_AT
        );
        draft.stalled(&Problem::new(Reason::RemoteFailed, message));
        return rest(draft, Requeue::OnChange);
    }
    let number = tried + 1;
    let message =
        format!("waking the paused project, as spec.powerState says (try {number} of {WAKES})");
    draft.progressing(Reason::Transitioning, &message);
    act(Step::Restore, draft, Requeue::After(observed.transition_interval))
}

/// Paused, and to be left so.
fn paused(mut draft: Draft, power: Option<PowerState>) -> ProjectDecision {
    let wanted = power == Some(PowerState::Paused);
    let message = if wanted {
        "the project is paused, as spec.powerState says"
    } else {
        "the project is paused, by the platform or by somebody; set spec.powerState: Running to wake it"
    };
    draft.set(ConditionType::ServicesHealthy, Truth::No, Reason::Paused, message);
    if wanted {
        draft.reached(Reason::Paused, message);
    } else {
        draft.resting(Reason::Paused, message);
    }
    rest(draft, Requeue::OnChange)
}

/// Writes down what was seen. Time enters only when the status changed.
fn see(status: &mut ProjectStatus, listed: &ListedState, now: Timestamp) {
    let word = listed.status.as_str();
    if status.remote_status.as_deref() != Some(word) {
        status.remote_status = Some(word.to_owned());
        let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
        status.remote_status_since = Some(Time(second));
        // What is known of the services is known of the state before.
        status.services.clear();
    }
    status.project_name = Some(bounds::cut(&listed.name, bounds::LONGEST_NAME));
    if listed.region.is_some() {
        status.region.clone_from(&listed.region);
    }
}

fn passing(mut draft: Draft, inputs: &Inputs<'_>, moving: &Status) -> ProjectDecision {
    let limit = if *moving == Status::Restoring { RESTORING } else { PASSING };
    let lasted = lasted(&draft.status, inputs.now);
    let word = moving.as_str().to_owned();
    if lasted > limit {
        let message = format!(
            "the project has been {word} for more than {} hours; look at its dashboard or ask Supabase's support",
            limit.as_secs() / 3600
        );
        draft.stalled(&Problem::new(Reason::RemoteStuck, message));
        return rest(draft, Requeue::OnChange);
    }
    let young = matches!(moving, Status::Unknown | Status::ComingUp);
    let reason = if young { Reason::Provisioning } else { Reason::Transitioning };
    draft.progressing(reason, &format!("the platform reports {word}"));
    draft.set(ConditionType::ServicesHealthy, Truth::Unknown, reason, "");
    rest(draft, Requeue::After(limit.saturating_sub(lasted) + Duration::from_secs(1)))
}

/// Whether the project shall get another name now.
pub(in crate::project) fn renames(
    project: &SupabaseProject,
    listed: &ListedState,
    name_taken: bool,
    now: Timestamp,
) -> bool {
    listed.status == Status::ActiveHealthy
        && !is_observed_only(project)
        && !has_its_name(project, &listed.name)
        && !name_taken
        && !is_guarded(project, &listed.name, now)
}

fn active(
    project: &SupabaseProject,
    observed: &Observed,
    inputs: &Inputs<'_>,
    mut draft: Draft,
    listed: &ListedState,
) -> ProjectDecision {
    if renames(project, listed, observed.name_taken, inputs.now) {
        if !draft.is_true(ConditionType::Ready) {
            draft.progressing(Reason::Provisioning, "giving the project its name");
        }
        return act(Step::Rename(project.wanted_name()), draft, Requeue::Now);
    }
    if let Some(health) = &observed.health
        && let Err(decision) = judge_health(health, observed, inputs, &mut draft)
    {
        return *decision;
    }
    let unwell = observed.health.is_some() && !draft.is_true(ConditionType::ServicesHealthy);
    let requeue = if unwell { Requeue::After(observed.rest_interval) } else { Requeue::OnChange };
    match password(project, observed, &draft.status) {
        Password::Fine => rebind(observed, &mut draft.status),
        Password::Trouble(_) => {}
        Password::Keep(source) => {
            return act(Step::KeepPassword(source), draft, Requeue::Now);
        }
        Password::Reset => return act(Step::ResetPassword, draft, Requeue::Now),
    }
    // Before anything is handed out, the doors are as they are declared.
    let plan = plan_settings(project, observed, inputs.now);
    if let Some(plan) = &plan
        && let Some(decision) = settings::write(project, observed, plan, draft.clone())
    {
        return decision;
    }
    let again = plan.as_ref().map(|plan| plan.read_again).or(observed.settings_again);
    let requeue = match (again, requeue) {
        (Some(again), Requeue::After(wait)) => Requeue::After(wait.min(again)),
        (Some(again), _) => Requeue::After(again),
        (None, requeue) => requeue,
    };
    match &observed.reading {
        Some(Err(error)) => {
            let requeue = not_read(error, observed, inputs, &mut draft);
            let notes = settings::say(project, observed, plan.as_ref(), &mut draft);
            return ProjectDecision { notes, ..rest(draft, requeue) };
        }
        // As long as nothing can be written, nothing was handed out.
        Some(Ok(reading))
            if is_waited_for(&draft.status, inputs.now)
                && observed.wanted.iter().all(|one| reading.is_waiting(&one.output))
                && !observed.wanted.is_empty()
                && !draft.is_true(ConditionType::Ready) =>
        {
            draft.progressing(Reason::WaitingForServices, "waiting for API keys and pooler");
            let notes = settings::say(project, observed, plan.as_ref(), &mut draft);
            let requeue = Requeue::After(observed.transition_interval);
            return ProjectDecision { notes, ..rest(draft, requeue) };
        }
        Some(Ok(reading)) => {
            let waiting = observed.wanted.iter().any(|one| reading.is_waiting(&one.output));
            let requeue = if waiting && is_waited_for(&draft.status, inputs.now) {
                Requeue::After(observed.transition_interval)
            } else {
                requeue
            };
            if reading.postgres_version.is_some() {
                draft.status.postgres_version.clone_from(&reading.postgres_version);
            }
            return act(Step::WriteOutputs, draft, requeue);
        }
        None if !observed.obsolete.is_empty() => {
            return act(Step::WriteOutputs, draft, requeue);
        }
        None => {}
    }
    let written: Vec<_> = observed.wanted.iter().map(Written::unchanged).collect();
    let notes = settle(project, observed, &mut draft, &written);
    ProjectDecision { notes, ..rest(draft, requeue) }
}
