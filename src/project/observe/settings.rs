//! The declared settings, read from the platform when they are due: after a change of the spec, when somebody asks, while
//! something is on its way, and now and then.

use kube::ResourceExt as _;

use super::Observer;
use crate::api::SupabaseProject;
use crate::controller::{Occasion, compared_generation};
use crate::management::{self, Call, Error, ProjectRef};
use crate::project::Projects;
use crate::project::decide;
use crate::project::facts::{Observed, SettingsRead};
use crate::project::settings::{Answers, Block, groups};
use crate::settings::{Digester, Policy, Reading};

/// The occasion of a reconcile.
pub(in crate::project) fn occasion<'a>(
    projects: &Projects,
    project: &SupabaseProject,
    uid: &'a str,
    requested: bool,
) -> Occasion<'a> {
    let status = project.status.as_ref();
    Occasion {
        now: projects.context.clock.now(),
        uptime: projects.context.clock.uptime(),
        interval: projects.drift_interval,
        uid,
        generation: project.metadata.generation,
        compared: status.and_then(|status| compared_generation(&status.conditions)),
        settled: status
            .is_some_and(|status| status.drift.is_empty() && decide::is_configured(status)),
        requested,
    }
}

impl Observer<'_> {
    /// Reads what is declared, if it is due. Whether a setting is to be written, so that nothing else need be read.
    pub(super) async fn settings(&self, observed: &mut Observed, reference: &ProjectRef) -> bool {
        let (spec, uid) = (&self.project.spec, self.uid());
        let status = self.project.status.clone().unwrap_or_default();
        let wanted = |block: &Block| block.is_wanted(spec, &status.applied);
        if !Block::ALL.iter().any(wanted) && status.applied.is_empty() && status.drift.is_empty() {
            return false;
        }
        let occasion = occasion(self.projects, self.project, &uid, observed.requested.is_some());
        let wait = self.projects.memory.note(&uid, |memo| memo.schedule.wait(occasion));
        if !wait.is_zero() {
            observed.settings_again = Some(wait);
            return false;
        }
        let mut answers = Answers::none(&Reading::Failed);
        if decide::policy(self.project) != Policy::Suspended {
            for block in Block::ALL.into_iter().filter(wanted) {
                self.block(block, &mut answers, reference).await;
            }
        }
        let now = self.projects.context.clock.now();
        let digester = Digester { key: &self.projects.digest_key, uid: &uid };
        let groups = groups(spec, &answers, &status.applied, digester);
        let memory = self.projects.memory.note(&uid, |memo| {
            if observed.requested.is_some() {
                memo.schedule.memory.forget();
            }
            memo.schedule.memory.read(&groups, now);
            memo.schedule.memory.clone()
        });
        let interval = self.projects.drift_interval;
        observed.settings = Some(SettingsRead { answers, groups, memory, interval });
        let plan = decide::plan_settings(self.project, observed, now);
        let again = plan.as_ref().map_or(interval, |plan| plan.read_again);
        observed.settings_again = Some(again);
        let uptime = self.projects.context.clock.uptime();
        self.projects.memory.note(&uid, |memo| memo.schedule.read(occasion, uptime, again));
        plan.is_some_and(|plan| plan.write.is_some())
    }

    async fn block(&self, block: Block, answers: &mut Answers, reference: &ProjectRef) {
        match block {
            Block::Restrictions => {
                answers.restrictions = self.ask(&management::network_restrictions(reference)).await;
            }
            Block::Ssl => answers.ssl = self.ask(&management::ssl_enforcement(reference)).await,
            Block::Parameters => {
                answers.parameters = self.ask(&management::parameters(reference)).await;
            }
            Block::DataApi => answers.data_api = self.ask(&management::data_api(reference)).await,
        }
    }

    async fn ask<T>(&self, call: &Call<T>) -> Result<T, Reading> {
        let answer = self.session.send(&self.tenant(), call).await;
        answer.map(|answer| answer.value).map_err(|error: Error| {
            tracing::warn!(
                project = %self.project.name_any(), endpoint = call.endpoint().as_str(),
                error = &error as &dyn std::error::Error, "a setting could not be read"
            );
            Reading::after(&error)
        })
    }
}
