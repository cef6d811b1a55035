//! Does one step. At most one effect on the platform that is not idempotent; what the platform accepted is stored
//! before anything else happens.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use secrecy::SecretString;
use tracing::{error, warn};

use super::Projects;
use super::decide::trouble;
use super::draft::Draft;
use super::facts::{
    Claim, Farewell, Observed, Order, PasswordSecret, PasswordSource, Problem, Step,
};
use super::password::{Vault, digest};
use super::writing;
use crate::api::project::{Attempt, AttemptOutcome, Credentials, PasswordOrigin};
use crate::api::{ConditionType, ObjectKey, ProjectStatus, Reason, SupabaseProject};
use crate::controller::{Again, Note, Outcome, Pass};
use crate::kubernetes;
use crate::management::{self, NewProject, OrganizationSlug, ProjectRef, Region, Rejection};
use crate::outputs::Belonging;
use crate::rules::conditions::Truth;
use crate::rules::password;
use crate::session::{ConnectionId, Session};

/// How long an accepted refusal keeps further create calls away, unless the spec changes.
const REFUSED_FOR: Duration = Duration::from_secs(600);
/// How long a taken name keeps further renames away, unless the spec changes.
const NAME_TAKEN_FOR: Duration = Duration::from_secs(1800);
/// How much of the claim to lead must be left for a create call.
const LEADERSHIP_LEFT: Duration = Duration::from_secs(5);

type Done = Outcome<ProjectStatus>;

pub(super) async fn perform(
    projects: &Projects,
    pass: &mut Pass<SupabaseProject>,
    step: Step,
    observed: Observed,
    status: ProjectStatus,
) -> Done {
    let project = pass.object().clone();
    let hand = Hand {
        projects,
        project: &project,
        observed: &observed,
    };
    match step {
        Step::Create(order) => hand.create(pass, order, status).await,
        Step::Claim(claim) => hand.claim(pass, claim, status).await,
        Step::Rename(name) => hand.rename(&name, status).await,
        Step::Restore => hand.power(Power::Restore, status).await,
        Step::Pause => hand.power(Power::Pause, status).await,
        Step::KeepPassword(source) => hand.keep_password(pass, source, status).await,
        Step::ResetPassword => hand.reset_password(pass, status).await,
        Step::WriteOutputs => {
            let mut draft = Draft::over(&project, status, projects.shell.clock.now());
            writing::write(projects, &project, &observed, &mut draft).await
        }
        Step::Delete => hand.delete(status).await,
        Step::LetGo(farewell) => hand.let_go(farewell, status).await,
    }
}

#[derive(Clone, Copy)]
enum Power {
    Pause,
    Restore,
}

struct Hand<'a> {
    projects: &'a Projects,
    project: &'a SupabaseProject,
    observed: &'a Observed,
}

impl Hand<'_> {
    fn tenant(&self) -> String {
        self.project.namespace().unwrap_or_default()
    }

    fn uid(&self) -> String {
        self.project.uid().unwrap_or_default()
    }

    fn uptime(&self) -> Duration {
        self.projects.shell.clock.uptime()
    }

    fn vault(&self) -> Vault<'_> {
        Vault::of(
            &self.projects.shell.client,
            self.project,
            &self.projects.digest_key,
        )
    }

    fn draft(&self, status: ProjectStatus) -> Draft {
        Draft::over(self.project, status, self.projects.shell.clock.now())
    }

    fn session(&self) -> Option<Session> {
        self.projects.sessions.find(&ConnectionId::of(self.project))
    }

    fn reference(&self) -> Option<ProjectRef> {
        self.project
            .status
            .as_ref()?
            .reference
            .as_ref()?
            .parse()
            .ok()
    }

    /// Something on the API server's side did not work.
    fn kubernetes(&self, error: &kubernetes::Error, doing: &str, status: ProjectStatus) -> Done {
        warn!(project = %ObjectKey::of(self.project), error = error as &dyn std::error::Error, "{doing} failed");
        let again = match error {
            kubernetes::Error::Conflict | kubernetes::Error::Exists => Again::Backoff,
            kubernetes::Error::NotFound
            | kubernetes::Error::Terminating
            | kubernetes::Error::Forbidden(_)
            | kubernetes::Error::Invalid
            | kubernetes::Error::Unavailable(_) => {
                let mut draft = self.draft(status);
                draft.progressing(Reason::Retrying, &format!("{doing}: {error}"));
                return Outcome::failed(draft.finish(), Again::Backoff);
            }
        };
        Outcome::failed(status, again)
    }

    /// The platform said no, or nothing.
    fn platform(&self, error: &management::Error, doing: &str, status: ProjectStatus) -> Done {
        let (problem, again, stalled) = trouble(error, doing);
        let mut draft = self.draft(status);
        if stalled {
            draft.stalled(&problem);
        } else {
            draft.progressing(problem.reason, &problem.message);
        }
        Outcome::failed(draft.finish(), again)
    }

    /// K2, K3, M2, K4 of the create protocol.
    async fn create(
        &self,
        pass: &mut Pass<SupabaseProject>,
        order: Order,
        mut status: ProjectStatus,
    ) -> Done {
        let (Some(session), Ok(organization)) = (
            self.session(),
            order.organization.parse::<OrganizationSlug>(),
        ) else {
            return Outcome::failed(pass.stored(), Again::Backoff);
        };
        // Nothing is recorded or sent by a process that may not lead any more.
        if self
            .projects
            .shell
            .leadership
            .require(LEADERSHIP_LEFT)
            .is_err()
        {
            return Outcome::failed(pass.stored(), Again::Backoff);
        }
        let held = self.projects.shell.leadership.hold();
        let sent = match self.ensure_password(&status).await {
            Ok(password) => password,
            Err(error) => {
                return self.kubernetes(&error, "making the password Secret", pass.stored());
            }
        };
        let digest = digest(
            &self.projects.digest_key,
            secrecy::ExposeSecret::expose_secret(&sent),
        );
        let new = NewProject {
            name: order.name.clone(),
            organization,
            region: match (&self.project.spec.region, &self.project.spec.region_group) {
                (Some(region), _) => Region::Specific(region.clone()),
                (None, group) => Region::Group(group.clone().unwrap_or_default()),
            },
            size: self
                .project
                .spec
                .compute
                .as_ref()
                .and_then(|compute| compute.size.clone()),
            db_pass: sent,
        };
        let call = management::create_project(&new);
        let number = order.number;
        let creation = status.creation.get_or_insert_default();
        creation
            .attempts
            .push(self.attempt(&order, &new, &digest, call.deadline()));
        // K3: refused if anybody wrote the object since it was read, before the list was begun.
        if let Err(error) = pass.write(&status).await {
            return self.kubernetes(&error, "recording the create call", pass.stored());
        }
        // The password that is sent is the one that is stored now.
        let stored = matches!(
            self.vault().look().await,
            Ok(PasswordSecret::There(kept))
                if kept.belonging == Belonging::Ours && kept.digest.as_deref() == Some(&digest)
        );
        if !stored
            || self
                .projects
                .shell
                .leadership
                .require(LEADERSHIP_LEFT)
                .is_err()
        {
            settle_attempt(&mut status, number, AttemptOutcome::NotSent, None);
            return Outcome::failed(status, Again::Backoff);
        }
        let answer = session.send(&self.tenant(), &call).await;
        let done = self.answered(pass, &order, answer, &digest, status).await;
        drop(held);
        done
    }

    /// The record of a call that is about to be made.
    fn attempt(
        &self,
        order: &Order,
        new: &NewProject,
        digest: &str,
        deadline: Duration,
    ) -> Attempt {
        Attempt {
            number: order.number,
            organization_slug: order.organization.clone(),
            region: self.project.spec.region.clone(),
            region_group: self.project.spec.region_group.clone(),
            size: new.size.clone(),
            listed_at: Time(order.listed_at),
            deadline_seconds: i64::try_from(deadline.as_secs()).unwrap_or(i64::MAX),
            password_digest: digest.to_owned(),
            process: self.projects.process.clone(),
            outcome: AttemptOutcome::Pending,
            http_status: None,
        }
    }

    async fn answered(
        &self,
        pass: &mut Pass<SupabaseProject>,
        order: &Order,
        answer: Result<management::Answer<management::CreatedProject>, management::Error>,
        digest: &str,
        mut status: ProjectStatus,
    ) -> Done {
        let key = ObjectKey::of(self.project);
        let number = order.number;
        let error = match answer {
            Ok(answer) => {
                let created = answer.value;
                let reference = created.reference.to_string();
                let asked =
                    created.name == order.name && created.organization == order.organization;
                if asked && self.projects.refs.enter(&reference, &key, &self.uid()) {
                    settle_attempt(&mut status, number, AttemptOutcome::Created, None);
                    let claim = Claim {
                        reference,
                        organization: order.organization.clone(),
                        name: created.name,
                        region: created.region,
                        own: true,
                    };
                    return self.store(pass, &claim, Some(digest), status).await;
                }
                error!(project = %key, "the answer to the create call speaks of another project; looking it up");
                None
            }
            Err(error) => Some(error),
        };
        let name_taken = matches!(
            &error,
            Some(management::Error::Rejected {
                because: Rejection::NameTaken,
                ..
            })
        );
        match error {
            // Nobody else can own the name: an earlier call of ours worked.
            Some(error) if error.is_definite_refusal() && !name_taken => {
                let http = if let management::Error::Rejected { status, .. } = &error {
                    Some(i64::from(*status))
                } else {
                    None
                };
                settle_attempt(&mut status, number, AttemptOutcome::Refused, http);
                let done = self.platform(&error, "creating the project", status);
                if let Some(Again::After(wait)) = done.again {
                    let until = self.uptime() + wait.min(REFUSED_FOR);
                    let generation = self.project.metadata.generation;
                    self.projects
                        .memory
                        .note(&self.uid(), |memo| memo.refused = Some((generation, until)));
                }
                done
            }
            Some(error) if error.was_not_sent() => {
                settle_attempt(&mut status, number, AttemptOutcome::NotSent, None);
                self.platform(&error, "creating the project", status)
            }
            Some(_) | None => {
                let mut draft = self.draft(status);
                draft.progressing(
                    Reason::Confirming,
                    "the answer to the create call was lost; finding out whether it worked takes up to four minutes",
                );
                Outcome::failed(draft.finish(), Again::Backoff)
            }
        }
    }

    /// The password to send, stored before it is sent. An open attempt's password is never replaced.
    async fn ensure_password(
        &self,
        status: &ProjectStatus,
    ) -> Result<SecretString, kubernetes::Error> {
        let supplied = self
            .observed
            .supplied
            .as_ref()
            .and_then(|supplied| supplied.as_ref().ok());
        let open = status
            .creation
            .iter()
            .any(|creation| !creation.attempts.is_empty());
        if let PasswordSecret::There(kept) = &self.observed.password
            && let Some(password) = &kept.password
        {
            let outdated =
                supplied.filter(|supplied| !open && Some(&supplied.digest) != kept.digest.as_ref());
            if let Some(supplied) = outdated {
                self.vault().put(&supplied.password, None).await?;
                return Ok(supplied.password.clone());
            }
            return Ok(password.clone());
        }
        let password = supplied.map_or_else(
            || SecretString::from(password::generate(self.projects.shell.random.as_ref())),
            |supplied| supplied.password.clone(),
        );
        self.vault().make(&password, None).await?;
        Ok(password)
    }

    async fn claim(
        &self,
        pass: &mut Pass<SupabaseProject>,
        claim: Claim,
        mut status: ProjectStatus,
    ) -> Done {
        let key = ObjectKey::of(self.project);
        if !self
            .projects
            .refs
            .enter(&claim.reference, &key, &self.uid())
        {
            return Outcome::failed(pass.stored(), Again::Backoff);
        }
        let mut sent = None;
        if claim.own
            && let Some(creation) = status.creation.as_mut()
            && let Some(attempt) = creation.attempts.last_mut()
        {
            attempt.outcome = AttemptOutcome::Created;
            sent = Some(attempt.password_digest.clone());
        }
        self.store(pass, &claim, sent.as_deref(), status).await
    }

    /// K4: the ref into the status, whatever else changed, until it is stored.
    async fn store(
        &self,
        pass: &mut Pass<SupabaseProject>,
        claim: &Claim,
        sent: Option<&str>,
        mut status: ProjectStatus,
    ) -> Done {
        status.reference = Some(claim.reference.clone());
        status.organization_slug = Some(claim.organization.clone());
        status.project_name = Some(claim.name.clone());
        if claim.region.is_some() {
            status.region.clone_from(&claim.region);
        }
        let supplied = self
            .observed
            .supplied
            .as_ref()
            .and_then(|supplied| supplied.as_ref().ok());
        status.credentials = Some(Credentials {
            password: match sent {
                None => PasswordOrigin::Unknown,
                Some(digest) if supplied.is_some_and(|supplied| supplied.digest == digest) => {
                    PasswordOrigin::Supplied
                }
                Some(_) => PasswordOrigin::Generated,
            },
            password_digest: sent.map(str::to_owned),
        });
        status.endpoints = Some(crate::api::project::Endpoints {
            api_url: Some(format!("https://{}.supabase.co", claim.reference)),
            ..crate::api::project::Endpoints::default()
        });
        let mut draft = self.draft(status);
        let how = if claim.own {
            Reason::Created
        } else {
            Reason::Adopted
        };
        draft.set(ConditionType::Provisioned, Truth::Yes, how, "");
        if self.project.metadata.deletion_timestamp.is_none() {
            draft.progressing(Reason::Provisioning, "waiting for the platform");
        }
        let status = draft.finish();
        if let Err(error) = pass.insist(&status, &self.projects.shell).await {
            warn!(
                project = %ObjectKey::of(self.project), reference = claim.reference, name = claim.name,
                error = &error as &dyn std::error::Error,
                "the object is gone, and its project stays on the platform"
            );
            return Outcome::failed(status, Again::Backoff);
        }
        self.label_password(claim, sent).await;
        let done = if claim.own { "created" } else { "adopted" };
        let message = format!("project {} was {done}", claim.reference);
        Outcome::go_on(status).telling(Note::normal(how.as_str(), message))
    }

    /// Notes on the password Secret whose password it keeps. What fails here is done by a later pass.
    async fn label_password(&self, claim: &Claim, sent: Option<&str>) {
        let Some(sent) = sent else { return };
        let kept = self.vault().look().await;
        if let Ok(PasswordSecret::There(kept)) = kept
            && kept.belonging == Belonging::Ours
            && kept.digest.as_deref() == Some(sent)
            && let Some(password) = &kept.password
            && let Err(error) = self.vault().put(password, Some(&claim.reference)).await
        {
            warn!(
                error = &error as &dyn std::error::Error,
                "the ref could not be noted on the password Secret yet"
            );
        }
    }

    async fn rename(&self, name: &str, status: ProjectStatus) -> Done {
        let (Some(session), Some(reference)) = (self.session(), self.reference()) else {
            return Outcome::failed(status, Again::Backoff);
        };
        let answer = session
            .send(
                &self.tenant(),
                &management::rename_project(&reference, name),
            )
            .await;
        let at = self.uptime();
        let uid = self.uid();
        match answer {
            Ok(_) => {
                self.projects
                    .memory
                    .note(&uid, |memo| memo.renamed = Some((name.to_owned(), at)));
                let mut status = status;
                status.project_name = Some(name.to_owned());
                Outcome::go_on(status)
            }
            Err(management::Error::Rejected {
                because: Rejection::NameTaken,
                ..
            }) => {
                let until = (self.project.metadata.generation, at + NAME_TAKEN_FOR);
                self.projects
                    .memory
                    .note(&uid, |memo| memo.name_taken = Some(until));
                let note = Note::warning(
                    Reason::NameConflict.as_str(),
                    format!("another project of the organization is named {name:?}"),
                );
                let mut done = Outcome::go_on(status).telling(note);
                done.worked = false;
                done
            }
            // Not certain: the shared list will tell.
            Err(error) => self.platform(&error, "renaming the project", status),
        }
    }

    async fn power(&self, power: Power, status: ProjectStatus) -> Done {
        let (Some(session), Some(reference)) = (self.session(), self.reference()) else {
            return Outcome::failed(status, Again::Backoff);
        };
        let (call, doing) = match power {
            Power::Pause => (management::pause_project(&reference), "pausing the project"),
            Power::Restore => (
                management::restore_project(&reference),
                "waking the project",
            ),
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
        if under_way
            || answer
                .as_ref()
                .is_err_and(management::Error::was_perhaps_done)
        {
            self.projects
                .memory
                .note(&self.uid(), |memo| memo.powered_at = Some(at));
        }
        match answer {
            Err(error) if !under_way => self.platform(&error, doing, status),
            Ok(_) | Err(_) => Outcome::done(status),
        }
    }

    /// Puts a password that the platform has into its Secret.
    async fn keep_password(
        &self,
        pass: &mut Pass<SupabaseProject>,
        source: PasswordSource,
        mut status: ProjectStatus,
    ) -> Done {
        let supplied = self
            .observed
            .supplied
            .as_ref()
            .and_then(|supplied| supplied.as_ref().ok());
        let kept = match &self.observed.password {
            PasswordSecret::There(kept) => kept.password.clone(),
            PasswordSecret::Missing => None,
        };
        let password = match source {
            PasswordSource::Recovered => self.observed.recovered.clone(),
            PasswordSource::Supplied => supplied.map(|supplied| supplied.password.clone()),
            PasswordSource::Retained | PasswordSource::Kept => kept,
        };
        let Some(password) = password else {
            return Outcome::failed(status, Again::Backoff);
        };
        let reference = status.reference.clone();
        if let Err(error) = self.vault().put(&password, reference.as_deref()).await {
            return self.kubernetes(&error, "keeping the database password", pass.stored());
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
        let digest = digest(
            &self.projects.digest_key,
            secrecy::ExposeSecret::expose_secret(&password),
        );
        known.password_digest = Some(digest);
        Outcome::go_on(status)
    }

    /// Notes a new password, sets it, stores that it is set, and only then lets it be the password.
    async fn reset_password(
        &self,
        pass: &mut Pass<SupabaseProject>,
        mut status: ProjectStatus,
    ) -> Done {
        let (Some(session), Some(reference)) = (self.session(), self.reference()) else {
            return Outcome::failed(status, Again::Backoff);
        };
        let held = self.projects.shell.leadership.hold();
        let supplied = self
            .observed
            .supplied
            .as_ref()
            .and_then(|supplied| supplied.as_ref().ok());
        let origin = if supplied.is_some() {
            PasswordOrigin::Supplied
        } else {
            PasswordOrigin::Generated
        };
        let fresh = supplied.map_or_else(
            || SecretString::from(password::generate(self.projects.shell.random.as_ref())),
            |supplied| supplied.password.clone(),
        );
        let next = match self.vault().note_next(fresh).await {
            Ok(next) => next,
            Err(error) => {
                return self.kubernetes(&error, "noting a new database password", pass.stored());
            }
        };
        // The same value again is harmless, so a lost answer is simply asked again.
        if let Err(error) = session
            .send(
                &self.tenant(),
                &management::change_password(&reference, &next),
            )
            .await
        {
            return self.platform(&error, "setting a new database password", status);
        }
        let digest = digest(
            &self.projects.digest_key,
            secrecy::ExposeSecret::expose_secret(&next),
        );
        status.credentials = Some(Credentials {
            password: origin,
            password_digest: Some(digest),
        });
        if let Err(error) = pass.insist(&status, &self.projects.shell).await {
            return self.kubernetes(&error, "storing the new database password", pass.stored());
        }
        if let Err(error) = self.vault().put(&next, Some(reference.as_str())).await {
            return self.kubernetes(&error, "keeping the new database password", status);
        }
        drop(held);
        let note = Note::warning(
            "PasswordReset",
            "the lost database password was replaced by a new one",
        );
        Outcome::go_on(status).telling(note)
    }

    async fn delete(&self, status: ProjectStatus) -> Done {
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

    async fn let_go(&self, farewell: Farewell, status: ProjectStatus) -> Done {
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

fn settle_attempt(
    status: &mut ProjectStatus,
    number: i64,
    outcome: AttemptOutcome,
    http: Option<i64>,
) {
    let attempts = status
        .creation
        .iter_mut()
        .flat_map(|creation| &mut creation.attempts);
    for attempt in attempts.filter(|attempt| attempt.number == number) {
        attempt.outcome = outcome;
        attempt.http_status = http;
    }
}
