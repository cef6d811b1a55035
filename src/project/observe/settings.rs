//! The declared settings, read from the platform when they are due: after a change of the spec, when somebody asks, while
//! something is on its way, and now and then.

use kube::ResourceExt as _;

use super::Observer;
use crate::management::{self, Call, Error, ProjectRef};
use crate::project::facts::{Observed, SettingsRead};
use crate::project::remember::occasion;
use crate::project::settings::{Answers, Block, groups};
use crate::session::Session;
use crate::settings::{Digester, Policy, Reading};

impl Observer<'_> {
    /// Reads what is declared, if it is due.
    pub(super) async fn settings(
        &self,
        session: &Session,
        observed: &mut Observed,
        reference: &ProjectRef,
    ) {
        let (spec, uid) = (&self.project.spec, self.uid());
        let status = self.project.status.clone().unwrap_or_default();
        let wanted = |block: &Block| block.is_wanted(spec, &status.applied);
        if !Block::ALL.iter().any(wanted) && status.applied.is_empty() && status.drift.is_empty() {
            return;
        }
        let requested = observed.requested.is_some();
        let occasion = occasion(self.projects, self.project, &uid, requested);
        let wait = observed.memo.schedule.wait(occasion);
        if !wait.is_zero() {
            observed.settings_again = Some(wait);
            return;
        }
        let mut answers = Answers::none(&Reading::Failed);
        if Policy::of(spec.suspend, spec.management_policy, spec.drift_policy) != Policy::Suspended
        {
            for block in Block::ALL.into_iter().filter(wanted) {
                self.block(session, block, &mut answers, reference).await;
            }
        }
        let now = self.projects.context.clock.now();
        let digester = Digester { key: &self.projects.digest_key, uid: &uid, reference: None };
        let groups = groups(spec, &answers, &status.applied, digester);
        let memory = &mut observed.memo.schedule.memory;
        if requested {
            memory.forget();
        }
        memory.read(&groups, now);
        let (memory, interval) = (memory.clone(), self.projects.drift_interval);
        observed.settings = Some(SettingsRead { answers, groups, memory, interval });
    }

    async fn block(
        &self,
        session: &Session,
        block: Block,
        answers: &mut Answers,
        reference: &ProjectRef,
    ) {
        match block {
            Block::Restrictions => {
                let call = management::network_restrictions(reference);
                answers.restrictions = self.ask(session, &call).await;
            }
            Block::Ssl => {
                answers.ssl = self.ask(session, &management::ssl_enforcement(reference)).await;
            }
            Block::Parameters => {
                answers.parameters = self.ask(session, &management::parameters(reference)).await;
            }
            Block::DataApi => {
                answers.data_api = self.ask(session, &management::data_api(reference)).await;
            }
        }
    }

    async fn ask<T>(&self, session: &Session, call: &Call<T>) -> Result<T, Reading> {
        let answer = session.send(&self.tenant(), call).await;
        answer.map(|answer| answer.value).map_err(|error: Error| {
            tracing::warn!(
                project = %self.project.name_any(), endpoint = call.endpoint().as_str(),
                error = &error as &dyn std::error::Error, "a setting could not be read"
            );
            Reading::after(&error)
        })
    }
}
