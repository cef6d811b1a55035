//! The declared settings, read from the platform when they are due: after a change of the spec, when somebody asks, while
//! something is on its way, and now and then.

use std::time::Duration;

use kube::ResourceExt as _;

use super::Observer;
use crate::management::{self, Call, Error, ProjectRef};
use crate::project::decide;
use crate::project::facts::{Observed, SettingsRead};
use crate::project::settings::{Answers, Block, groups};
use crate::settings::{Digester, Policy, Reading, next_read};

impl Observer<'_> {
    /// Reads what is declared, if it is due. Whether a setting is to be written, so that nothing else need be read.
    pub(super) async fn settings(&self, observed: &mut Observed, reference: &ProjectRef) -> bool {
        let (spec, uid) = (&self.project.spec, self.uid());
        let status = self.project.status.clone().unwrap_or_default();
        let wanted = |block: &Block| block.is_wanted(spec, &status.applied);
        if !Block::ALL.iter().any(wanted) && status.applied.is_empty() && status.drift.is_empty() {
            return false;
        }
        let wait = self.settings_due(observed);
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
        let digester = Digester { key: &self.projects.digest_key, uid: &uid };
        let now = self.projects.context.clock.now();
        let groups = groups(spec, &answers, &status.applied, digester);
        let memory = self.projects.memory.note(&uid, |memo| {
            if observed.requested.is_some() {
                memo.settings.forget();
            }
            memo.settings.read(&groups, now);
            memo.settings.clone()
        });
        let interval = self.projects.drift_interval;
        observed.settings = Some(SettingsRead { answers, groups, memory, interval });
        let plan = decide::plan_settings(self.project, observed, now);
        let again = plan.as_ref().map_or(interval, |plan| plan.read_again);
        observed.settings_again = Some(again);
        let due = self.projects.context.clock.uptime() + again;
        self.projects.memory.note(&uid, |memo| memo.settings_due = Some(due));
        plan.is_some_and(|plan| plan.write.is_some())
    }

    /// How long until settings are read. A process that has read none yet begins at once where the status does not say that
    /// all is well; else each object has its own place within the interval.
    fn settings_due(&self, observed: &Observed) -> Duration {
        let clock = &self.projects.context.clock;
        let status = self.project.status.as_ref();
        let said = status.is_some_and(|status| {
            status.observed_generation == self.project.metadata.generation
                && status.drift.is_empty()
                && decide::is_configured(status)
        });
        if observed.requested.is_some() || !said && self.memo.settings_due.is_none() {
            return Duration::ZERO;
        }
        let generation = self.project.metadata.generation;
        let changed = status.is_some_and(|status| status.observed_generation != generation);
        let (uid, now) = (self.uid(), clock.uptime());
        let first = || now + next_read(clock.now(), self.projects.drift_interval, &uid);
        let due =
            self.projects.memory.note(&uid, |memo| *memo.settings_due.get_or_insert_with(first));
        // What was refused a moment ago, or is waited for, is not asked for at once because the spec is new.
        let held = self.memo.settings_for == generation;
        if changed && !held { Duration::ZERO } else { due.saturating_sub(now) }
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
