//! Writing declared settings: one request, and what the platform said to it.

use tracing::{info, warn};

use super::{Done, Executor};
use crate::api::{ObjectKey, ProjectStatus};
use crate::controller::{Note, Outcome, Requeue};
use crate::project::settings::call;
use crate::settings::{self, Write};

impl Executor<'_> {
    /// Writes a group of settings. What the platform refuses holds nothing else back: it is remembered, and told.
    pub(super) async fn apply_settings(&self, write: Write, mut status: ProjectStatus) -> Done {
        let (Some(session), Some(reference)) = (self.session(), self.reference()) else {
            return Outcome::failed(status, Requeue::Backoff);
        };
        let spec = &self.project.spec;
        let read = self.observed.settings.as_ref();
        let Some(call) = read.and_then(|read| call(spec, &read.answers, &write, &reference)) else {
            return Outcome::failed(status, Requeue::Backoff);
        };
        let answer = session.send(&self.tenant(), &call).await;
        let outcome = settings::Outcome::of(&answer);
        let now = self.projects.context.clock.now();
        let (due, generation) = (self.uptime(), self.project.metadata.generation);
        self.projects.memory.note(&self.uid(), |memo| {
            memo.settings.learn(&write, &outcome, now);
            memo.settings_due = Some(due);
            memo.settings_for = generation;
        });
        let (project, paths) = (ObjectKey::of(self.project), write.paths());
        match outcome {
            settings::Outcome::Accepted => {
                info!(%project, paths, "settings written");
                write.record(&mut status.applied);
                let note = Note::normal("SettingsApplied", format!("set on the platform: {paths}"));
                Outcome::carry_on(status).telling(note)
            }
            settings::Outcome::Refused { words, .. } => {
                warn!(%project, paths, error = words, "settings refused");
                let note = Note::warning("SettingsRefused", format!("{paths}: {words}"));
                Outcome { worked: false, ..Outcome::carry_on(status).telling(note) }
            }
            settings::Outcome::Unclear => {
                if let Err(error) = &answer {
                    warn!(%project, paths, error = error as &dyn std::error::Error, "settings not written");
                }
                Outcome { worked: false, ..Outcome::carry_on(status) }
            }
        }
    }
}
