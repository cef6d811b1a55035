//! What a step that has ended means for the status: what the API server or the platform said to it, in words. PURE.
//!
//! A step gives facts; the conditions that follow from them are set here, as those before it are in the decision.

use k8s_openapi::jiff::Timestamp;

use super::Draft;
use super::password::is_known;
use super::release::answered;
use crate::api::project::{AttemptOutcome, Credentials, Endpoints, PasswordOrigin};
use crate::api::{ConditionType, ProjectStatus, Reason, SupabaseProject, bounds};
use crate::controller::{Outcome, Problem, Requeue, Trouble, translate};
use crate::kubernetes;
use crate::management;
use crate::project::facts::Observed;
use crate::project::step::Claim;
use crate::rules::conditions::{self, Truth};

type Done = Outcome<ProjectStatus>;

/// Concludes what steps of one reconcile have come to.
#[derive(Clone, Copy, Debug)]
pub struct Conclusions<'a> {
    /// The object as it was read.
    pub project: &'a SupabaseProject,
    /// The wall clock.
    pub now: Timestamp,
}

impl Conclusions<'_> {
    fn draft(&self, status: ProjectStatus) -> Draft {
        Draft::over(self.project, status, self.now)
    }

    /// The API server did not take something.
    pub fn not_stored(
        &self,
        error: &kubernetes::Error,
        doing: &str,
        status: ProjectStatus,
    ) -> Done {
        match error {
            kubernetes::Error::Conflict | kubernetes::Error::Exists => {
                Outcome::failed(status, Requeue::Backoff)
            }
            // Somebody must do something: in the API server's own words. It is tried again all the same.
            kubernetes::Error::Forbidden(refusal) => {
                let message = format!("{doing}: the API server refused: {refusal}");
                let mut draft = self.draft(status);
                draft.stalled(&Problem::new(Reason::Conflict, message));
                Outcome::failed(draft.finish(), Requeue::Backoff)
            }
            kubernetes::Error::NotFound
            | kubernetes::Error::Terminating
            | kubernetes::Error::Invalid
            | kubernetes::Error::TooLarge
            | kubernetes::Error::Unreadable(_)
            | kubernetes::Error::Unavailable(_) => {
                let mut draft = self.draft(status);
                draft.progressing(Reason::Retrying, &format!("{doing}: {error}"));
                Outcome::failed(draft.finish(), Requeue::Backoff)
            }
        }
    }

    /// The platform said no, or nothing.
    pub fn refused(&self, error: &management::Error, doing: &str, status: ProjectStatus) -> Done {
        self.refused_with(error, doing, None, status)
    }

    /// The same, with what could be chosen instead.
    pub fn refused_with(
        &self,
        error: &management::Error,
        doing: &str,
        choices: Option<&str>,
        status: ProjectStatus,
    ) -> Done {
        let Trouble { mut problem, requeue, stalled } = translate(error, doing);
        if let Some(choices) = choices {
            problem.message = format!("{}; {choices}", problem.message);
        }
        let mut draft = self.draft(status);
        if stalled {
            draft.stalled(&problem);
        } else {
            draft.progressing(problem.reason, &problem.message);
        }
        Outcome::failed(draft.finish(), requeue)
    }

    /// The answer to a create call is lost, or speaks of another project.
    pub fn confirming(&self, status: ProjectStatus) -> Done {
        let mut draft = self.draft(status);
        draft.progressing(
            Reason::Confirming,
            "the answer to the create call was lost; finding out whether it worked takes up to five minutes",
        );
        Outcome::failed(draft.finish(), Requeue::Backoff)
    }

    /// A rename did not come to pass. Not certain, if it was sent: the shared list will tell. A project that works goes on
    /// working under its name.
    pub fn not_renamed(&self, error: &management::Error, status: ProjectStatus) -> Done {
        const DOING: &str = "renaming the project";
        if !conditions::is_true(&status.conditions, ConditionType::Ready.as_str()) {
            return self.refused(error, DOING, status);
        }
        let Trouble { problem, requeue, .. } = translate(error, DOING);
        let mut draft = self.draft(status);
        draft.set(ConditionType::Synced, Truth::No, problem.reason, &problem.message);
        Outcome::failed(draft.finish(), requeue)
    }

    /// The platform does not delete the project yet.
    pub fn not_deleted(&self, error: &management::Error, status: ProjectStatus) -> Done {
        let early = matches!(
            error,
            management::Error::Rejected { because: management::Rejection::NotReady, .. }
        );
        let Trouble { problem, requeue, .. } = translate(error, "deleting the project");
        let mut draft = self.draft(status);
        let Problem { reason, message } = &problem;
        let message = answered(self.project, &draft.status, message);
        draft.set(ConditionType::DeletionBlocked, Truth::Yes, *reason, &message);
        let message = if early {
            "the platform does not delete a project that is on its way; waiting"
        } else {
            &message
        };
        draft.progressing(Reason::Deleting, message);
        Outcome::failed(draft.finish(), requeue)
    }

    /// The password Secret could not be seen to before the object goes.
    pub fn not_released(&self, error: &kubernetes::Error, status: ProjectStatus) -> Done {
        let mut draft = self.draft(status);
        let message = format!("the password Secret could not be seen to yet: {error}");
        draft.set(ConditionType::DeletionBlocked, Truth::Yes, Reason::Retrying, &message);
        Outcome::failed(draft.finish(), Requeue::Backoff)
    }

    /// A password that is lost, or was never known, is about to be replaced: that is said before it happens.
    pub fn resetting_password(&self, status: ProjectStatus) -> ProjectStatus {
        let mut draft = self.draft(status);
        let reason =
            if is_known(&draft.status) { Reason::PasswordLost } else { Reason::PasswordUnknown };
        draft.progressing(reason, "setting a new database password");
        draft.finish()
    }

    /// The status with a ref in it: what K4 stores. `sent` is the digest of the password that the project has, if it is
    /// known.
    pub fn claimed(
        &self,
        mut status: ProjectStatus,
        claim: &Claim,
        sent: Option<&str>,
        observed: &Observed,
    ) -> ProjectStatus {
        status.reference = Some(claim.reference.clone());
        status.dashboard_url = Some(SupabaseProject::dashboard_url(&claim.reference));
        status.organization_slug = Some(claim.organization.clone());
        status.project_name = Some(bounds::cut(&claim.name, bounds::LONGEST_NAME));
        if claim.region.is_some() {
            status.region.clone_from(&claim.region);
        }
        let open = status.creation.iter_mut().flat_map(|creation| &mut creation.attempts);
        let (mut last, mut found) = (None, false);
        for attempt in open.filter(|_| claim.own) {
            if Some(attempt.password_digest.as_str()) == sent {
                attempt.outcome = AttemptOutcome::Created;
                found = true;
            } else if attempt.is_unsettled() {
                last = Some(attempt);
            }
        }
        // One of them made it, whatever became of the password that it sent.
        if let Some(attempt) = last.filter(|_| !found) {
            attempt.outcome = AttemptOutcome::Created;
        }
        let supplied = observed.usable_supplied();
        let origin = match sent {
            None => PasswordOrigin::Unknown,
            Some(digest) if supplied.is_some_and(|supplied| supplied.digest == digest) => {
                PasswordOrigin::Supplied
            }
            Some(_) => PasswordOrigin::Generated,
        };
        status.credentials =
            Some(Credentials { password: origin, password_digest: sent.map(str::to_owned) });
        status.endpoints = Some(Endpoints {
            api_url: Some(SupabaseProject::api_url(&claim.reference)),
            ..Endpoints::default()
        });
        if let Some(creation) = &mut status.creation {
            creation.room = None;
        }
        let mut draft = self.draft(status);
        let how = if claim.own { Reason::Created } else { Reason::Adopted };
        draft.set(ConditionType::Provisioned, Truth::Yes, how, "");
        if self.project.metadata.deletion_timestamp.is_none() {
            draft.progressing(Reason::Provisioning, "waiting for the platform");
        }
        draft.finish()
    }
}
