//! Deleting the project, and letting the object go.

use tracing::warn;

use super::{Done, Hand};
use crate::api::{ConditionType, ProjectStatus, Reason};
use crate::controller::{Again, Note, Outcome};
use crate::management::{self, Rejection};
use crate::project::decide::trouble;
use crate::project::facts::{Farewell, Problem};
use crate::rules::conditions::Truth;

impl Hand<'_> {
    pub(super) async fn delete(&self, status: ProjectStatus) -> Done {
        let (Some(session), Some(reference)) = (self.session(), self.reference()) else {
            return Outcome::failed(status, Again::Backoff);
        };
        match session
            .send(&self.tenant(), &management::delete_project(&reference))
            .await
        {
            Ok(_) => {
                self.projects
                    .memory
                    .note(&self.uid(), |memo| memo.delete_accepted = true);
                let note = Note::normal(
                    "Deleting",
                    format!("project {reference} is being deleted on the platform"),
                );
                Outcome::done(status).telling(note)
            }
            Err(management::Error::NotFound | management::Error::Removed) => Outcome::done(status),
            Err(
                error @ management::Error::Rejected {
                    because: Rejection::NotReady,
                    ..
                },
            ) => {
                let mut draft = self.draft(status);
                draft.set(
                    ConditionType::DeletionBlocked,
                    Truth::Yes,
                    Reason::RemoteRefused,
                    &error.to_string(),
                );
                draft.progressing(
                    Reason::Deleting,
                    "the platform does not delete a project that is on its way; waiting",
                );
                Outcome::failed(draft.finish(), Again::Backoff)
            }
            Err(error) => {
                let (problem, again, _) = trouble(&error, "deleting the project");
                let mut draft = self.draft(status);
                let Problem { reason, message } = &problem;
                draft.set(ConditionType::DeletionBlocked, Truth::Yes, *reason, message);
                draft.progressing(Reason::Deleting, message);
                Outcome::failed(draft.finish(), again)
            }
        }
    }

    pub(super) async fn let_go(&self, farewell: Farewell, status: ProjectStatus) -> Done {
        let done = match &farewell {
            Farewell::Keep(reference) => self.vault().retain(reference).await,
            Farewell::Remove => self.vault().remove().await,
            Farewell::LeaveAlone => Ok(()),
        };
        // The object is about to go: its status has nothing more to tell.
        let status = if self.project.status.is_some() {
            self.project.status.clone().unwrap_or(status)
        } else {
            status
        };
        match done {
            Ok(()) => Outcome::done(status),
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "the password Secret could not be seen to yet"
                );
                Outcome::failed(status, Again::Backoff)
            }
        }
    }
}
