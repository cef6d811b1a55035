//! How the project's services are: when to ask, and what the answer means.

use super::record::is_waited_for;
use super::{Draft, ProjectDecision, rest};
use crate::api::project::ServiceStatus;
use crate::api::{ConditionType, ProjectStatus, Reason};
use crate::controller::{Inputs, Requeue, Trouble, translate};
use crate::management::{Error, ServiceHealth, ServiceState, Status};
use crate::project::facts::{ListedState, Observed};
use crate::rules::conditions::Truth;

/// Whether the services must be asked how they are: after a change of the remote status, until all are well.
pub(in crate::project) fn asks_health(status: &ProjectStatus, listed: &ListedState) -> bool {
    let same = status.remote_status.as_deref() == Some(listed.status.as_str());
    let well = !status.services.is_empty()
        && status.services.iter().all(|service| is_well(&service.status));
    listed.status == Status::ActiveHealthy && !(same && well)
}

fn is_well(word: &str) -> bool {
    word == word_of(ServiceState::Healthy) || word == word_of(ServiceState::Off)
}

/// The word shown for the state of a service.
const fn word_of(state: ServiceState) -> &'static str {
    match state {
        ServiceState::ComingUp => "COMING_UP",
        ServiceState::Healthy => "ACTIVE_HEALTHY",
        ServiceState::Unhealthy => "UNHEALTHY",
        ServiceState::Transient => "UNKNOWN",
        ServiceState::Off => "OFF",
    }
}

/// Whether all services are well, or off.
pub(in crate::project) fn all_well(health: &[ServiceHealth]) -> bool {
    !health.is_empty() && health.iter().all(|service| is_well(word_of(service.state)))
}

/// Notes the health of the services; an error is the decision to wait, as long as waiting may help.
pub(super) fn judge_health(
    health: &Result<Vec<ServiceHealth>, Error>,
    observed: &Observed,
    inputs: &Inputs<'_>,
    draft: &mut Draft,
) -> Result<(), Box<ProjectDecision>> {
    let list = match health {
        Ok(list) => list,
        Err(error) => {
            let Trouble { problem, requeue, .. } =
                translate(error, "asking for the services' health");
            draft.set(
                ConditionType::ServicesHealthy,
                Truth::Unknown,
                problem.reason,
                &problem.message,
            );
            // The platform calls the project healthy, and has for a while: outputs need no more than that.
            if !is_waited_for(&draft.status, inputs.now) {
                return Ok(());
            }
            draft.progressing(problem.reason, &problem.message);
            return Err(Box::new(rest(draft.clone(), requeue)));
        }
    };
    draft.status.services = list
        .iter()
        .map(|health| ServiceStatus {
            name: health.service.as_str().to_owned(),
            status: word_of(health.state).to_owned(),
        })
        .collect();
    if all_well(list) {
        draft.set(ConditionType::ServicesHealthy, Truth::Yes, Reason::AllHealthy, "");
        return Ok(());
    }
    let unwell: Vec<_> = list
        .iter()
        .filter(|health| !is_well(word_of(health.state)))
        .map(|health| health.service.as_str())
        .collect();
    let unwell = if unwell.is_empty() { "(none is listed)".to_owned() } else { unwell.join(", ") };
    if is_waited_for(&draft.status, inputs.now) {
        let message = format!("waiting for the services {unwell}");
        draft.set(ConditionType::ServicesHealthy, Truth::No, Reason::ComingUp, &message);
        draft.progressing(Reason::WaitingForServices, &message);
        return Err(Box::new(rest(draft.clone(), Requeue::After(observed.transition_interval))));
    }
    // Outputs are kept all the same: a service that is ill does not change keys or passwords.
    let message =
        format!("the services {unwell} are not healthy; the project's dashboard says more");
    draft.set(ConditionType::ServicesHealthy, Truth::No, Reason::Unhealthy, &message);
    Ok(())
}

/// What is wrong with the services, if that has lasted too long to be waited for.
pub(super) fn sick(draft: &Draft) -> Option<&str> {
    let services = draft.find(ConditionType::ServicesHealthy)?;
    (services.reason == Reason::Unhealthy.as_str()).then_some(services.message.as_str())
}
