//! The database password: putting it back, and replacing a lost one.

use secrecy::{ExposeSecret as _, SecretString};

use super::{Done, Executor};
use crate::api::project::{Credentials, PasswordOrigin};
use crate::api::{ProjectStatus, SupabaseProject};
use crate::controller::{Note, Outcome, Reconcile, Requeue};
use crate::management;
use crate::project::facts::FoundPassword;
use crate::project::password::bound;
use crate::project::step::PasswordSource;
use crate::rules::password;

impl Executor<'_> {
    /// Puts a password that the platform has into its Secret.
    pub(super) async fn keep_password(
        &self,
        reconcile: &mut Reconcile<SupabaseProject>,
        source: PasswordSource,
        mut status: ProjectStatus,
    ) -> Done {
        let supplied = self.observed.usable_supplied();
        let kept = match &self.observed.password {
            FoundPassword::There(kept) => kept.password.clone(),
            FoundPassword::Missing => None,
        };
        let password = match source {
            PasswordSource::Recovered => self.observed.recovered.clone(),
            PasswordSource::Supplied => supplied.map(|supplied| supplied.password.clone()),
            PasswordSource::Retained | PasswordSource::Kept => kept,
        };
        let Some(password) = password else {
            return Outcome::failed(status, Requeue::Backoff);
        };
        let reference = status.reference.clone();
        if let Err(error) = self.password_secret().put(&password, reference.as_deref()).await {
            return self.kubernetes(&error, "keeping the database password", reconcile.stored());
        }
        if source == PasswordSource::Kept {
            let generation = self.project.metadata.generation;
            self.projects.memory.note(&self.uid(), |memo| {
                let times = memo.remarked.as_deref().filter(|(of, _)| *of == generation);
                let times = times.map_or(1, |(_, times)| times + 1);
                memo.remarked = Some(Box::new((generation, times)));
            });
        }
        let known = status.credentials.get_or_insert(Credentials {
            password: PasswordOrigin::Unknown,
            password_digest: None,
        });
        match source {
            PasswordSource::Supplied => known.password = PasswordOrigin::Supplied,
            PasswordSource::Retained => known.password = PasswordOrigin::Retained,
            PasswordSource::Recovered | PasswordSource::Kept => {}
        }
        let key = &self.projects.digest_key;
        let digest = bound(key, self.project, password.expose_secret());
        known.password_digest = Some(digest);
        Outcome::go_on(status)
    }

    /// Notes a new password, sets it, stores that it is set, and only then lets it be the password.
    pub(super) async fn reset_password(
        &self,
        reconcile: &mut Reconcile<SupabaseProject>,
        status: ProjectStatus,
    ) -> Done {
        let (Some(session), Some(reference)) = (self.session(), self.reference()) else {
            return Outcome::failed(status, Requeue::Backoff);
        };
        let held = self.projects.context.leadership.hold();
        let supplied = self.observed.usable_supplied();
        let fresh = supplied.map_or_else(
            || SecretString::from(password::generate(self.projects.context.random.as_ref())),
            |supplied| supplied.password.clone(),
        );
        let status = self.conclude().resetting_password(status);
        if let Err(error) = reconcile.write(&status).await {
            return self.kubernetes(
                &error,
                "announcing a new database password",
                reconcile.stored(),
            );
        }
        if !self.observed.password.is_pending() {
            // Before anything is done, and once: what follows is noted and goes on with the same password.
            let note = Note::warning(
                "ResettingPassword",
                format!(
                    "setting a new database password, as spec.database.password allows: whoever has the old one must \
                     take the new one from the outputs or from the Secret {}",
                    self.project.password_secret_name()
                ),
            );
            self.projects.context.reporter.tell(self.project, &note).await;
        }
        let next = match self.password_secret().note_next(fresh).await {
            Ok(next) => next,
            Err(error) => {
                return self.kubernetes(
                    &error,
                    "noting a new database password",
                    reconcile.stored(),
                );
            }
        };
        // The same value again is harmless, so a lost answer is simply asked again.
        if let Err(error) =
            session.send(&self.tenant(), &management::change_password(&reference, &next)).await
        {
            return self.platform(&error, "setting a new database password", status);
        }
        let digest = bound(&self.projects.digest_key, self.project, next.expose_secret());
        // What was noted before the user supplied another one goes on.
        let origin = match supplied {
            Some(supplied) if supplied.password.expose_secret() == next.expose_secret() => {
                PasswordOrigin::Supplied
            }
            Some(_) | None => PasswordOrigin::Generated,
        };
        let known = Credentials { password: origin, password_digest: Some(digest) };
        let stored = reconcile.insist(&self.projects.context, |there| {
            (there.credentials.as_ref() != Some(&known))
                .then(|| ProjectStatus { credentials: Some(known.clone()), ..there })
        });
        if let Err(error) = stored.await {
            return self.kubernetes(
                &error,
                "storing the new database password",
                reconcile.stored(),
            );
        }
        if let Err(error) = self.password_secret().put(&next, Some(reference.as_str())).await {
            return self.kubernetes(
                &error,
                "keeping the new database password",
                reconcile.stored(),
            );
        }
        drop(held);
        let note =
            Note::warning("PasswordReset", "the database password was replaced by a new one");
        Outcome::go_on(reconcile.stored()).telling(note)
    }
}
