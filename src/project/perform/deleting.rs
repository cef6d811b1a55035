//! Deleting the project, and letting the object go.

use tracing::warn;

use super::{Done, Executor};
use crate::api::{ProjectStatus, SupabaseProject};
use crate::controller::{Note, Outcome, Reconcile, Requeue};
use crate::ending;
use crate::kubernetes;
use crate::management::{self};
use crate::project::step::Release;

impl Executor<'_> {
    pub(super) async fn delete(
        &self,
        reconcile: &Reconcile<SupabaseProject>,
        status: ProjectStatus,
    ) -> Done {
        let (Some(session), Some(reference)) = (self.session(), self.reference()) else {
            return Outcome::failed(status, Requeue::Backoff);
        };
        // Whoever changed his mind since this reconcile began is heard.
        match reconcile.is_current().await {
            Ok(true) => {}
            Ok(false) => return Outcome::failed(reconcile.stored(), Requeue::Backoff),
            Err(error) => {
                return self.kubernetes(&error, "looking at the object once more", status);
            }
        }
        match session.send(&self.tenant(), &management::delete_project(&reference)).await {
            Ok(_) => {
                self.projects.memory.note(&self.uid(), |memo| {
                    memo.delete_accepted = Some(self.uptime());
                });
                let note = Note::normal(
                    "Deleting",
                    format!("project {reference} is being deleted on the platform"),
                );
                Outcome::done(status).telling(note)
            }
            Err(management::Error::NotFound | management::Error::Removed) => Outcome::done(status),
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "deleting the project failed");
                self.conclude().not_deleted(&error, status)
            }
        }
    }

    pub(super) async fn release(&self, release: Release, status: ProjectStatus) -> Done {
        let done = match &release {
            Release::Keep(reference) => self.retain(reference).await,
            Release::Remove => self.password_secret().remove().await,
            Release::LeaveAlone => Ok(()),
        };
        // The object is about to go: its status has nothing more to tell.
        let status = if self.project.status.is_some() {
            self.project.status.clone().unwrap_or(status)
        } else {
            status
        };
        match done {
            Ok(()) => Outcome::done(status),
            Err(error) if self.namespace_took_rights(&error).await => Outcome::done(status),
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "the password Secret could not be seen to yet"
                );
                self.conclude().not_released(&error, status)
            }
        }
    }

    /// Whether the Secret cannot be seen to because its namespace is going, and the Secret with it.
    async fn namespace_took_rights(&self, error: &kubernetes::Error) -> bool {
        let namespace = self.project.metadata.namespace.as_deref();
        ending::took_rights(&self.projects.context.client, namespace, error).await
    }

    /// Leaves the password Secret behind, with the ref if the password in it is known to be the project's.
    async fn retain(&self, reference: &str) -> Result<(), kubernetes::Error> {
        let known = self.project.status.as_ref().and_then(|status| status.credentials.as_ref());
        let known = known.and_then(|known| known.password_digest.as_deref());
        self.password_secret().retain(reference, known).await
    }
}
