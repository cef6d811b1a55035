//! K2, K3, M2 and K4 of the create protocol, and the claim of what a lost answer made.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use secrecy::SecretString;
use tracing::{error, warn};

use super::{Done, Executor};
use crate::api::project::{Attempt, AttemptOutcome};
use crate::api::{ObjectKey, ProjectStatus, Reason, SupabaseProject};
use crate::controller::{Note, Outcome, Reconcile, Requeue};
use crate::kubernetes;
use crate::management::{self, NewProject, OrganizationSlug, Region, Rejection};
use crate::outputs::Belonging;
use crate::project::facts::{FoundPassword, Kept};
use crate::project::step::{Claim, CreateRequest};
use crate::rules::password;

/// How long an accepted refusal keeps further create calls away, unless the spec changes.
const REFUSED_FOR: Duration = Duration::from_secs(600);
/// How long after it was decided a create call may be begun.
const PREPARING: Duration = Duration::from_secs(30);
/// How long a session may hold back a call that has its turn: for a credential.
const QUEUEING: Duration = Duration::from_secs(20);
/// How much of the claim to lead must be left for a create call.
const LEADERSHIP_LEFT: Duration = Duration::from_secs(5);

impl Executor<'_> {
    /// K2, K3, M2, K4 of the create protocol.
    pub(super) async fn create(
        &self,
        reconcile: &mut Reconcile<SupabaseProject>,
        request: CreateRequest,
        mut status: ProjectStatus,
    ) -> Done {
        let (Some(session), Ok(organization)) =
            (self.session(), request.organization.parse::<OrganizationSlug>())
        else {
            return Outcome::failed(reconcile.stored(), Requeue::Backoff);
        };
        // Nothing is recorded or sent by a process that may not lead any more.
        if self.projects.context.leadership.require(LEADERSHIP_LEFT).is_err() {
            return Outcome::failed(reconcile.stored(), Requeue::Backoff);
        }
        let sent = match self.ensure_password(&status).await {
            Ok(password) => password,
            // It was not read, since nothing was ever made for the object: it is now, before anything else.
            Err(kubernetes::Error::Exists) => {
                self.projects.memory.note(&self.uid(), |memo| memo.in_the_way = true);
                return Outcome::failed(reconcile.stored(), Requeue::Now);
            }
            Err(error) => {
                return self.kubernetes(&error, "making the password Secret", reconcile.stored());
            }
        };
        let digest = self.digest(&sent);
        let new = NewProject {
            name: request.name.clone(),
            organization,
            region: match (&self.project.spec.region, &self.project.spec.region_group) {
                (Some(region), _) => Region::Specific(region.clone()),
                (None, group) => Region::Group(group.clone().unwrap_or_default()),
            },
            size: self.project.spec.compute.as_ref().and_then(|compute| compute.size.clone()),
            db_pass: sent,
        };
        let call = management::create_project(&new);
        // Whoever must wait for the platform's rate limit has nothing on record that would have to be looked up.
        let turn = match session.turn(&self.tenant(), &call).await {
            Ok(turn) => turn,
            Err(error) => {
                return self.platform(&error, "creating the project", reconcile.stored());
            }
        };
        let held = self.projects.context.leadership.hold();
        let number = request.number;
        let creation = status.creation.get_or_insert_default();
        creation.attempts.push(self.attempt(&request, &new, &digest, call.deadline()));
        creation.keep_room();
        // From now on an earlier list says nothing about the wanted name to anybody else.
        self.projects.names.take(&request.organization, &self.project.wanted_name(), self.uptime());
        // K3: refused if anybody wrote the object since it was read.
        if let Err(error) = reconcile.write(&status).await {
            // The write may have been applied all the same; the call was certainly not made.
            self.projects.memory.note(&self.uid(), |memo| memo.unsent = Some(number));
            return self.kubernetes(&error, "recording the create call", reconcile.stored());
        }
        // An earlier attempt of this number may not have been stored: it is this one that is sent.
        self.projects.memory.note(&self.uid(), |memo| memo.unsent = None);
        // The password that is sent is the one that is stored now.
        let stored = self.kept_as(&digest).await;
        let leads = self.projects.context.leadership.require(LEADERSHIP_LEFT).is_ok();
        let in_time = self.uptime().saturating_sub(request.decided) < PREPARING;
        let Some(kept) = stored.filter(|_| leads && in_time) else {
            let status = self.close(reconcile, number, AttemptOutcome::NotSent, None).await;
            return Outcome::failed(status, Requeue::Backoff);
        };
        let answer = session.send_in_turn(turn, &call).await;
        let over = self.uptime();
        self.projects.memory.note(&self.uid(), |memo| memo.posted_at = Some(over));
        let done = self.answered(reconcile, &request, answer, kept, status).await;
        drop(held);
        done
    }

    /// The record of a call that is about to be made.
    fn attempt(
        &self,
        request: &CreateRequest,
        new: &NewProject,
        digest: &str,
        deadline: Duration,
    ) -> Attempt {
        Attempt {
            number: request.number,
            organization_slug: request.organization.clone(),
            region: self.project.spec.region.clone(),
            region_group: self.project.spec.region_group.clone(),
            size: new.size.clone(),
            listed_at: Time(request.listed_at),
            // Counted from the list, however old that was, and rounded up.
            deadline_seconds: i64::try_from(
                (request.age + PREPARING + QUEUEING + deadline).as_secs() + 1,
            )
            .unwrap_or(i64::MAX),
            password_digest: digest.to_owned(),
            process: self.projects.process.clone(),
            outcome: AttemptOutcome::Pending,
            http_status: None,
        }
    }

    pub(super) async fn answered(
        &self,
        reconcile: &mut Reconcile<SupabaseProject>,
        request: &CreateRequest,
        answer: Result<management::Answer<management::CreatedProject>, management::Error>,
        kept: Kept,
        mut status: ProjectStatus,
    ) -> Done {
        let key = ObjectKey::of(self.project);
        let number = request.number;
        let error = match answer {
            Ok(answer) => {
                let created = answer.value;
                let reference = created.reference.to_string();
                let asked =
                    created.name == request.name && created.organization == request.organization;
                if asked && self.projects.refs.enter(&reference, &key, &self.uid()) {
                    settle_attempt(&mut status, number, AttemptOutcome::Created, None);
                    let claim = Claim {
                        reference,
                        organization: request.organization.clone(),
                        name: created.name,
                        region: created.region,
                        own: true,
                    };
                    let digest = kept.digest.clone();
                    let stored = self.store(reconcile, &claim, digest.as_deref(), status);
                    let done = stored.await;
                    self.label_password(&kept, &claim).await;
                    return done;
                }
                error!(project = %key, "the answer to the create call speaks of another project; looking it up");
                None
            }
            Err(error) => Some(error),
        };
        let name_taken = matches!(
            &error,
            Some(management::Error::Rejected { because: Rejection::NameTaken, .. })
        );
        match error {
            // Nobody else can own the name: an earlier call of ours worked.
            Some(error) if error.is_definite_refusal() && !name_taken => {
                let http = if let management::Error::Rejected { status, .. } = &error {
                    Some(i64::from(*status))
                } else {
                    None
                };
                let status = self.close(reconcile, number, AttemptOutcome::Refused, http).await;
                let choices = self.choices(&error, &request.organization).await;
                let done =
                    self.refused_with(&error, "creating the project", choices.as_deref(), status);
                if let Some(Requeue::After(wait)) = done.requeue {
                    let until = self.uptime() + wait.min(REFUSED_FOR);
                    let generation = self.project.metadata.generation;
                    self.projects
                        .memory
                        .note(&self.uid(), |memo| memo.refused = Some((generation, until)));
                }
                done
            }
            Some(error) if error.was_not_sent() => {
                let status = self.close(reconcile, number, AttemptOutcome::NotSent, None).await;
                self.platform(&error, "creating the project", status)
            }
            Some(_) | None => self.conclude().confirming(status),
        }
    }

    /// What could be chosen instead of what the platform refused.
    async fn choices(&self, refused: &management::Error, organization: &str) -> Option<String> {
        let (session, now) = (self.session()?, self.uptime());
        let places = &self.projects.places;
        places.choices(self.project, refused, &session, organization, now).await
    }

    /// Stores what became of an attempt, whatever else was written meanwhile; gives the status as it is then.
    async fn close(
        &self,
        reconcile: &mut Reconcile<SupabaseProject>,
        number: i64,
        outcome: AttemptOutcome,
        http: Option<i64>,
    ) -> ProjectStatus {
        let stored = reconcile.insist(&self.projects.context, |mut there| {
            settle_attempt(&mut there, number, outcome, http).then_some(there)
        });
        if let Err(error) = stored.await {
            warn!(error = &error as &dyn std::error::Error, "the object is gone");
        }
        reconcile.stored()
    }

    /// The password to send, stored before it is sent. An open attempt's password is never replaced.
    pub(super) async fn ensure_password(
        &self,
        status: &ProjectStatus,
    ) -> Result<SecretString, kubernetes::Error> {
        let supplied = self.observed.usable_supplied();
        let open = status.creation.iter().any(|creation| !creation.attempts.is_empty());
        if let FoundPassword::There(kept) = &self.observed.password
            && let Some(password) = &kept.password
        {
            let outdated =
                supplied.filter(|supplied| !open && Some(&supplied.digest) != kept.digest.as_ref());
            if let Some(supplied) = outdated {
                self.password_secret().put(&supplied.password, None).await?;
                return Ok(supplied.password.clone());
            }
            return Ok(password.clone());
        }
        let password = supplied.map_or_else(
            || SecretString::from(password::generate(self.projects.context.random.as_ref())),
            |supplied| supplied.password.clone(),
        );
        self.password_secret().make(&password, None).await?;
        Ok(password)
    }

    pub(super) async fn claim(
        &self,
        reconcile: &mut Reconcile<SupabaseProject>,
        claim: Claim,
        mut status: ProjectStatus,
    ) -> Done {
        let key = ObjectKey::of(self.project);
        if !self.projects.refs.enter(&claim.reference, &key, &self.uid()) {
            return Outcome::failed(reconcile.stored(), Requeue::Backoff);
        }
        let attempts = status.creation.iter_mut().flat_map(|creation| &mut creation.attempts);
        let mut digests: Vec<String> = Vec::new();
        for attempt in attempts.filter(|_| claim.own) {
            attempt.outcome = AttemptOutcome::Created;
            digests.push(attempt.password_digest.clone());
        }
        // All attempts sent one password, unless somebody edited the Secret in between: then it is not known which.
        digests.dedup();
        let sent = if digests.len() == 1 { digests.pop() } else { None };
        let done = self.store(reconcile, &claim, sent.as_deref(), status).await;
        if let Some(sent) = sent
            && let Some(kept) = self.kept_as(&sent).await
        {
            self.label_password(&kept, &claim).await;
        }
        done
    }

    /// K4: the ref into the status, whatever else changed, until it is stored.
    pub(super) async fn store(
        &self,
        reconcile: &mut Reconcile<SupabaseProject>,
        claim: &Claim,
        sent: Option<&str>,
        status: ProjectStatus,
    ) -> Done {
        let base = reconcile.stored();
        let stored = reconcile.insist(&self.projects.context, |there| {
            // Whoever else stored a ref for this object has looked it up: it is the same, and newer news.
            if there.reference.is_some() {
                return None;
            }
            let from = if there == base { status.clone() } else { there };
            Some(self.conclude().claimed(from, claim, sent, self.observed))
        });
        if let Err(error) = stored.await {
            warn!(
                project = %ObjectKey::of(self.project), reference = claim.reference, name = claim.name,
                error = &error as &dyn std::error::Error,
                "the object is gone, and its project stays on the platform"
            );
            return Outcome::failed(status, Requeue::Backoff);
        }
        let (done, how) =
            if claim.own { ("created", Reason::Created) } else { ("adopted", Reason::Adopted) };
        let message = format!("project {} was {done}", claim.reference);
        Outcome::go_on(reconcile.stored()).telling(Note::on_the_way(how.as_str(), message))
    }

    /// The password Secret, if it is ours and keeps the password of this digest: looked at now.
    async fn kept_as(&self, digest: &str) -> Option<Kept> {
        match self.password_secret().look().await {
            Ok(FoundPassword::There(kept))
                if kept.belonging == Belonging::Ours && kept.digest.as_deref() == Some(digest) =>
            {
                Some(kept)
            }
            Ok(FoundPassword::There(_) | FoundPassword::Missing) | Err(_) => None,
        }
    }

    /// Notes on the password Secret whose password it keeps. What fails here is done by a later reconcile.
    async fn label_password(&self, kept: &Kept, claim: &Claim) {
        if let Err(error) = self.password_secret().note_reference(kept, &claim.reference).await {
            warn!(
                error = &error as &dyn std::error::Error,
                "the ref could not be noted on the password Secret yet"
            );
        }
    }
}

/// Says what became of an attempt, if that is open; whether it was.
fn settle_attempt(
    status: &mut ProjectStatus,
    number: i64,
    outcome: AttemptOutcome,
    http: Option<i64>,
) -> bool {
    let attempts = status.creation.iter_mut().flat_map(|creation| &mut creation.attempts);
    let open = attempts
        .filter(|attempt| attempt.number == number && attempt.outcome == AttemptOutcome::Pending);
    let mut found = false;
    for attempt in open {
        attempt.outcome = outcome;
        attempt.http_status = http;
        found = true;
    }
    if let Some(creation) = status.creation.as_mut().filter(|_| found) {
        creation.keep_room();
    }
    found
}
