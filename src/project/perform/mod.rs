//! Does one step. At most one effect on the platform that is not idempotent; what the platform accepted is stored
//! before anything else happens.

mod creating;
mod deleting;
mod keeping;
mod settings;

use std::time::Duration;

use kube::ResourceExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use tracing::warn;

use super::decide::{Conclusions, Draft};
use super::facts::Observed;
use super::password::{self, PasswordSecret};
use super::step::Step;
use super::{Projects, writing};
use crate::api::{ObjectKey, ProjectStatus, Reason, SupabaseProject};
use crate::controller::{Note, Outcome, Reconcile, Requeue};
use crate::kubernetes;
use crate::management::{self, ProjectRef, Rejection};
use crate::session::Session;

/// How long a taken name keeps further renames away, unless the spec changes.
const NAME_TAKEN_FOR: Duration = Duration::from_secs(1800);

type Done = Outcome<ProjectStatus>;

pub(super) async fn perform(
    projects: &Projects,
    reconcile: &mut Reconcile<SupabaseProject>,
    step: Step,
    observed: Observed,
    status: ProjectStatus,
) -> Done {
    let project = reconcile.object().clone();
    let executor = Executor { projects, project: &project, observed: &observed };
    match step {
        Step::Create(request) => executor.create(reconcile, request, status).await,
        Step::Claim(claim) => executor.claim(reconcile, claim, status).await,
        Step::Rename(name) => executor.rename(&name, status).await,
        Step::Restore => executor.power(Power::Restore, status).await,
        Step::Pause => executor.power(Power::Pause, status).await,
        Step::KeepPassword(source) => executor.keep_password(reconcile, source, status).await,
        Step::ResetPassword => executor.reset_password(reconcile, status).await,
        Step::ApplySettings(write) => executor.apply_settings(write, status).await,
        Step::WriteOutputs => {
            let mut draft = Draft::over(&project, status, projects.context.clock.now());
            writing::write(projects, &project, &observed, &mut draft).await
        }
        Step::Delete => executor.delete(reconcile, status).await,
        Step::Release(release) => executor.release(release, status).await,
    }
}

#[derive(Clone, Copy)]
enum Power {
    Pause,
    Restore,
}

struct Executor<'a> {
    projects: &'a Projects,
    project: &'a SupabaseProject,
    observed: &'a Observed,
}

impl Executor<'_> {
    fn tenant(&self) -> String {
        self.project.namespace().unwrap_or_default()
    }

    fn uid(&self) -> String {
        self.project.uid().unwrap_or_default()
    }

    fn uptime(&self) -> Duration {
        self.projects.context.clock.uptime()
    }

    fn password_secret(&self) -> PasswordSecret<'_> {
        PasswordSecret::of(&self.projects.context.client, self.project, &self.projects.digest_key)
    }

    /// Digest of a password, as the object records it.
    fn digest(&self, password: &SecretString) -> String {
        password::digest(&self.projects.digest_key, self.project, password.expose_secret())
    }

    fn conclude(&self) -> Conclusions<'_> {
        Conclusions { project: self.project, now: self.projects.context.clock.now() }
    }

    fn session(&self) -> Option<Session> {
        self.projects.session(&self.tenant(), &self.project.spec.connection_ref)
    }

    fn reference(&self) -> Option<ProjectRef> {
        self.project.status.as_ref()?.reference.as_ref()?.parse().ok()
    }

    /// Something on the API server's side did not work.
    fn kubernetes(&self, error: &kubernetes::Error, doing: &str, status: ProjectStatus) -> Done {
        warn!(project = %ObjectKey::of(self.project), error = error as &dyn std::error::Error, "{doing} failed");
        self.conclude().not_stored(error, doing, status)
    }

    /// The platform said no, or nothing.
    fn platform(&self, error: &management::Error, doing: &str, status: ProjectStatus) -> Done {
        self.refused_with(error, doing, None, status)
    }

    /// The same, with what could be chosen instead.
    fn refused_with(
        &self,
        error: &management::Error,
        doing: &str,
        choices: Option<&str>,
        status: ProjectStatus,
    ) -> Done {
        warn!(project = %ObjectKey::of(self.project), error = error as &dyn std::error::Error, "{doing} failed");
        self.conclude().refused_with(error, doing, choices, status)
    }

    async fn rename(&self, name: &str, status: ProjectStatus) -> Done {
        let (Some(session), Some(reference)) = (self.session(), self.reference()) else {
            return Outcome::failed(status, Requeue::Backoff);
        };
        let answer =
            session.send(&self.tenant(), &management::rename_project(&reference, name)).await;
        let at = self.uptime();
        let uid = self.uid();
        match answer {
            Ok(_) => {
                self.projects.memory.note(&uid, |memo| memo.renamed = Some((name.to_owned(), at)));
                let mut status = status;
                let organization = status.organization_slug.clone().unwrap_or_default();
                self.projects.names.take(&organization, name, at);
                let inventory = self.projects.inventories.of(&session, &organization);
                inventory.renamed(reference.as_str(), name);
                status.project_name = Some(name.to_owned());
                Outcome::carry_on(status)
            }
            Err(management::Error::Rejected { because: Rejection::NameTaken, .. }) => {
                let until = (self.project.metadata.generation, at + NAME_TAKEN_FOR);
                self.projects.memory.note(&uid, |memo| memo.name_taken = Some(until));
                let note = Note::warning(
                    Reason::NameConflict.as_str(),
                    format!("another project of the organization is named {name:?}"),
                );
                let mut done = Outcome::go_on(status).telling(note);
                done.worked = false;
                done
            }
            Err(error) => {
                warn!(project = %ObjectKey::of(self.project), error = &error as &dyn std::error::Error, "renaming failed");
                self.conclude().not_renamed(&error, status)
            }
        }
    }

    async fn power(&self, power: Power, mut status: ProjectStatus) -> Done {
        let (Some(session), Some(reference)) = (self.session(), self.reference()) else {
            return Outcome::failed(status, Requeue::Backoff);
        };
        let (call, doing) = match power {
            Power::Pause => (management::pause_project(&reference), "pausing the project"),
            Power::Restore => (management::restore_project(&reference), "waking the project"),
        };
        let answer = session.send(&self.tenant(), &call).await;
        let at = self.uptime();
        let under_way = matches!(
            &answer,
            Ok(_)
                | Err(management::Error::Rejected {
                    because: Rejection::NotPaused | Rejection::NotReady,
                    ..
                })
        );
        if under_way || answer.as_ref().is_err_and(management::Error::was_perhaps_done) {
            self.projects.memory.note(&self.uid(), |memo| memo.powered_at = Some(at));
            if matches!(power, Power::Restore) {
                status.restores = Some(status.restores.unwrap_or_default().saturating_add(1));
            }
        }
        match answer {
            Err(error) if !under_way => self.platform(&error, doing, status),
            Ok(_) | Err(_) => Outcome::done(status),
        }
    }
}
