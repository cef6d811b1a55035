//! Writing declared settings: one request, and what the platform said to it.

use tracing::{info, warn};

use super::{Done, Executor};
use crate::api::{ObjectKey, ProjectStatus};
use crate::controller::{Outcome, Requeue};
use crate::project::remember::occasion;
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
        let uid = self.uid();
        let occasion = occasion(self.projects, self.project, &uid, false);
        let (outcome, note) =
            self.projects.memory.note(&uid, |memo| memo.schedule.learn(&write, &answer, occasion));
        let (project, paths) = (ObjectKey::of(self.project), write.paths());
        match &outcome {
            settings::Outcome::Accepted => {
                info!(%project, paths, "settings written");
                write.record(&mut status.applied);
            }
            settings::Outcome::Refused { words, .. } => {
                warn!(%project, paths, error = words, "settings refused");
            }
            settings::Outcome::Unclear => {
                if let Err(error) = &answer {
                    warn!(%project, paths, error = error as &dyn std::error::Error, "settings not written");
                }
            }
        }
        let worked = outcome == settings::Outcome::Accepted;
        let done = Outcome { worked, ..Outcome::carry_on(status) };
        note.into_iter().fold(done, Outcome::telling)
    }
}
