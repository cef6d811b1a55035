//! What the spec asks for and allows, where that takes more than a look at one field. PURE.

use crate::api::SupabaseProject;
use crate::api::project::PowerState;
use crate::api::settings::ManagementPolicy;
use crate::settings::Policy;

/// What may be done about differences.
pub(in crate::project) fn policy(project: &SupabaseProject) -> Policy {
    let spec = &project.spec;
    Policy::of(spec.suspend, spec.management_policy, spec.drift_policy)
}

/// Whether the project is only looked at: nothing of it is changed.
pub(in crate::project) fn is_observed_only(project: &SupabaseProject) -> bool {
    project.spec.management_policy == ManagementPolicy::Observe
}

/// Whether the project shall be paused.
pub(in crate::project) fn pauses(project: &SupabaseProject) -> bool {
    project.spec.power_state == Some(PowerState::Paused) && !is_observed_only(project)
}
