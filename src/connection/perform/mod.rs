//! One step of a connection's tokens: one call to the platform at most, with the writes that make it safe.

mod spending;
mod sweeping;

use std::time::Duration;

use kube::ResourceExt as _;
use tracing::warn;

use spending::THROTTLED;

use super::decide::{self, At, OrganizationPolicy};
use super::facts::{Credentials, Observed, Origin, Read, Step};
use super::report::{Health, Report, Source};
use super::{Connections, Room};
use crate::api::connection::Connection;
use crate::api::{ConnectionStatus, ObjectKey, Reason};
use crate::controller::{
    Note, Outcome, Problem, Reconcile, StepName as _, translate_of_credential,
};
use crate::kubernetes;
use crate::management::{Error, Remedy, organizations};
use crate::rules::backoff;
use crate::session::token_store::{
    App, Consumed, Failure, StateRead, Token, TokenState, Verdict, adopted,
};
use crate::session::{ConnectionId, Credential, Identity, Session};

/// After a call that was held back.
const WITHHELD: Duration = Duration::from_secs(60);

/// What came of a step.
enum Done {
    /// It worked, or taught something: decide anew.
    Learned,
    /// It failed. It is tried again at a growing distance, or as told.
    Failed(Problem, Pause),
}

/// When a step that failed is tried again.
#[derive(Clone, Copy, Debug)]
enum Pause {
    /// What follows is found out at once.
    None,
    /// Later and later.
    Growing,
    /// As the platform says.
    Told(Duration),
}

/// Does a step.
pub async fn perform<C: Room>(
    room: &Connections<C>,
    reconcile: &mut Reconcile<C>,
    step: Step,
    mut observed: Observed,
    stored: ConnectionStatus,
) -> Outcome<ConnectionStatus> {
    let object = reconcile.object().clone();
    let id = ConnectionId::new(<C as Connection>::KIND, &ObjectKey::of(&object));
    let mut executor =
        Executor { room, object: &object, session: room.sessions.open(&id), id, notes: Vec::new() };
    let (name, token) = (step.name(), decide::subject(&observed, &step));
    let done = executor.act(step, &mut observed).await;
    let worked = matches!(done, Done::Learned);
    executor.note(done, name, token);
    observed.memory = executor.session.memory();
    observed.replaced = executor.session.was_replaced();
    observed.capabilities = executor.session.capabilities();
    executor.measure(&observed);
    let notes = std::mem::take(&mut executor.notes);
    // Decided once more, for the status only: the step that is named now follows from a look of its own.
    let at = At { now: room.clock.now(), uptime: room.clock.uptime() };
    let plan = decide::plan(&OrganizationPolicy::of(&object), &observed, at);
    if plan.step.is_some() {
        // Nothing is said of it in the status, so its line in the log is written here.
        if let Some(failure) = observed.memory.last_failure().filter(|_| !worked) {
            let reason = format!("{}: {}", failure.reason.as_str(), failure.message);
            warn!(object = %executor.id, step = name, reason, "step failed");
        }
        return Outcome { notes, worked, ..Outcome::go_on(stored) };
    }
    if !worked && !plan.report.kept {
        executor.session.looked_in_vain();
    }
    let status = decide::status(&object, &observed, &plan.report, at.now);
    Outcome { requeue: Some(plan.requeue), notes, worked, ..Outcome::done(status) }
}

struct Executor<'a, C: Connection> {
    room: &'a Connections<C>,
    object: &'a C,
    id: ConnectionId,
    session: Session,
    /// What is worth an event.
    notes: Vec<Note>,
}

impl<C: Connection> Executor<'_, C> {
    /// Remembers a failure, or that there is none any more.
    fn note(&self, done: Done, step: &'static str, token: String) {
        let now = self.room.clock.uptime();
        let uid = self.object.uid().unwrap_or_default();
        self.session.remember(|memory| {
            let Done::Failed(problem, pause) = done else {
                memory.succeed(step, &token);
                return;
            };
            let before = memory.failure(step, &token);
            let times = before.map_or(1, |before| before.times.saturating_add(1));
            let wait = match pause {
                Pause::None => Duration::ZERO,
                Pause::Growing => backoff::delay(times, &uid),
                Pause::Told(wait) => wait,
            };
            memory.fail(Failure {
                reason: problem.reason,
                message: problem.message,
                step,
                token,
                times,
                next: now + wait,
            });
        });
    }

    /// Tells how old the tokens are, and when they end.
    fn measure(&self, observed: &Observed) {
        let pair = match &observed.state {
            StateRead::Ours(state, _) => state.granted_at.zip(state.expires_at),
            StateRead::Absent | StateRead::Foreign | StateRead::Damaged(_) => None,
        };
        self.room.sessions.gateway().holds(&self.id, pair);
    }

    async fn act(&mut self, step: Step, observed: &mut Observed) -> Done {
        match step {
            Step::Probe(source) => self.probe(source, observed).await,
            Step::Refresh(source) => self.refresh(source, observed).await,
            Step::Adopt => self.adopt(observed).await,
            Step::Discard => self.discard(observed).await,
            Step::Sweep => self.sweep(observed).await,
            Step::Rekey => self.rekey(observed).await,
            Step::Label => {
                let next = state(observed);
                self.write(observed, next).await
            }
            Step::CloseMarker => self.close_marker(observed).await,
            Step::Install(report) => {
                self.install(observed, &report);
                Done::Learned
            }
            Step::Revoke => self.revoke(observed).await,
            Step::Clean => self.clean(observed).await,
        }
    }

    async fn probe(&self, source: Source, observed: &Observed) -> Done {
        let Some(token) = decide::access_of(observed, source) else {
            return Done::Learned;
        };
        if let Some(done) = self.held_up(token) {
            return done;
        }
        let gateway = self.room.sessions.gateway();
        let identity = self.identity(source, observed, token);
        let call = organizations();
        let tenant = self.id.namespace.as_deref().unwrap_or_default();
        let outcome = match gateway.admit(&identity, tenant, call.scope(), call.endpoint()).await {
            Ok(permit) => gateway.exchange(permit, &call, Some(&token.value)).await.outcome,
            Err(error) => Err(error),
        };
        let at = gateway.uptime();
        let verdict = match outcome {
            Ok(answer) => Verdict::Works { at, organizations: Some(answer.value) },
            Err(Error::Forbidden { .. }) => Verdict::Works { at, organizations: None },
            Err(Error::Unauthorized) => {
                // Who guesses tries other tokens.
                if self.session.memory().rejected_at(&token.digest).is_none() {
                    gateway.refused(&self.id);
                }
                Verdict::Rejected { worked: false, at }
            }
            Err(error) => return failed(&error),
        };
        self.session.remember(|memory| memory.judge(&token.digest, verdict));
        Done::Learned
    }

    /// Why a token is not shown to the platform now: too many were refused lately, and nothing vouches for this one.
    fn held_up(&self, token: &Token) -> Option<Done> {
        let gateway = self.room.sessions.gateway();
        let until = gateway.refused_until(&self.id)?;
        if self.session.memory().vouches_for(&token.digest) {
            return None;
        }
        let message = "the platform refused several credentials in a row, of this connection or of others in its \
                       namespace; the next one is tried after a pause, which grows with every refusal";
        Some(Done::Failed(
            Problem::new(Reason::Unauthorized, message),
            Pause::Told(until.saturating_sub(gateway.uptime())),
        ))
    }

    /// Who a call with a token is counted for.
    fn identity(&self, source: Source, observed: &Observed, token: &Token) -> Identity {
        let credential = match source {
            Source::State => {
                let key = self.room.sessions.digest_key();
                Credential::of_state(&state(observed), app(observed), key, &self.id)
            }
            Source::Pat | Source::Seed => None,
        };
        credential
            .map_or_else(|| Identity::of_token(token, &self.id), |credential| credential.identity)
    }

    /// The credential that a report says is in use.
    fn in_use(&self, observed: &Observed, report: &Report) -> Option<Credential> {
        let token = decide::token_in_use(observed, report)?;
        match (report.in_use?, &observed.credentials) {
            (Source::Pat, Credentials::Pat(Read::There((token, scoped)))) => {
                Some(Credential::alone(token.clone(), *scoped, &self.id))
            }
            (Source::State, _) => {
                let key = self.room.sessions.digest_key();
                Credential::of_state(&state(observed), app(observed), key, &self.id)
            }
            (Source::Pat | Source::Seed, _) => {
                Some(Credential::alone(token.clone(), false, &self.id))
            }
        }
    }

    async fn adopt(&mut self, observed: &mut Observed) -> Done {
        let Credentials::OAuth { seed: Read::There(seed), .. } = &observed.credentials else {
            return Done::Learned;
        };
        let Some(refresh) = seed.refresh.clone() else {
            return Done::Learned;
        };
        if !self.room.sessions.index().claim(&self.id, &refresh.digest) {
            observed.shared = true;
            return Done::Learned;
        }
        let now = self.room.clock.now();
        let uid = self.object.uid().unwrap_or_default();
        let next = adopted(
            &state(observed),
            seed.access.clone(),
            &refresh,
            (seed.expires_at, matches!(seed.origin, Origin::Consent { limited: true, .. })),
            now,
            &uid,
        );
        let note =
            Note::normal("Authorized", format!("tokens from the Secret {} are in use", seed.name));
        let done = self.write(observed, next).await;
        if matches!(done, Done::Learned) {
            self.notes.push(note);
        }
        done
    }

    async fn rekey(&self, observed: &mut Observed) -> Done {
        let seed = match &observed.credentials {
            Credentials::OAuth { seed: Read::There(seed), .. } => seed.refresh.clone(),
            Credentials::OAuth { .. } | Credentials::Pat(_) => None,
        };
        let next = state(observed).rekeyed(self.room.sessions.digest_key(), seed.as_ref());
        let done = self.write(observed, next).await;
        if matches!(done, Done::Learned) {
            observed.of_another_key = false;
        }
        done
    }

    async fn close_marker(&self, observed: &mut Observed) -> Done {
        let mut next = state(observed);
        if let Some(marker) = next.marker.take() {
            // It may have been spent, and nobody has its answer.
            next.consume(Consumed { digest: marker.token, seed: true, refused: None });
        }
        self.write(observed, next).await
    }

    async fn write(&self, observed: &mut Observed, next: TokenState) -> Done {
        let store = self.room.store(self.object);
        match store.write(observed.state_secret(), &next).await {
            Ok(secret) => {
                observed.state = StateRead::Ours(Box::new(next), Box::new(secret));
                observed.marked = true;
                Done::Learned
            }
            Err(error) => self.not_written(&error),
        }
    }

    /// Reads what is stored after a refresh; nothing if that worked.
    async fn reread(&self, observed: &mut Observed) -> Option<Done> {
        let store = self.room.store(self.object);
        match store.read(&|uid: &str| self.room.sessions.index().lives(uid)).await {
            Ok(read) => {
                let marker = match &read {
                    StateRead::Ours(state, _) => state.marker.clone(),
                    StateRead::Absent | StateRead::Foreign | StateRead::Damaged(_) => None,
                };
                let now = self.room.clock.uptime();
                self.session.remember(|memory| memory.saw_marker(marker.as_ref(), now));
                observed.state = read;
                None
            }
            Err(error) => Some(self.not_written(&error)),
        }
    }

    fn install(&self, observed: &Observed, report: &Report) {
        if let (true, Health::Waiting(problem) | Health::Stalled(problem)) =
            (report.kept, &report.health)
        {
            return self.session.keep(problem.reason);
        }
        let credential = match &report.health {
            Health::Usable(_) => self.in_use(observed, report),
            Health::Waiting(_) | Health::Stalled(_) => None,
        };
        let outcome = match &report.health {
            Health::Usable(organizations) => Ok(organizations.clone()),
            Health::Waiting(problem) | Health::Stalled(problem) => Err(problem.reason),
        };
        self.session.install(credential, outcome);
    }

    fn not_written(&self, error: &kubernetes::Error) -> Done {
        warn!(
            connection = %self.id,
            error = error as &dyn std::error::Error,
            "the state Secret could not be written"
        );
        let name = self.object.state_secret_name();
        let what =
            format!("the Secret {name}, in which the operator keeps tokens, could not be written");
        // Where somebody must do something, in the API server's own words.
        let problem = if let kubernetes::Error::Forbidden(refusal) = error {
            Problem::new(Reason::Conflict, format!("{what}: {refusal}; it is tried again"))
        } else {
            Problem::new(Reason::Retrying, format!("{what}; it is tried again"))
        };
        Done::Failed(problem, Pause::Growing)
    }
}

/// The state as it was read.
fn state(observed: &Observed) -> TokenState {
    match &observed.state {
        StateRead::Ours(state, _) => TokenState::clone(state),
        StateRead::Absent | StateRead::Foreign | StateRead::Damaged(_) => TokenState::default(),
    }
}

fn app(observed: &Observed) -> Option<&App> {
    match &observed.credentials {
        Credentials::OAuth { app: Read::There(app), .. } => Some(app),
        Credentials::OAuth { .. } | Credentials::Pat(_) => None,
    }
}

/// A call that came to nothing.
fn failed(error: &Error) -> Done {
    let pause = match error.remedy() {
        // Nothing was sent, so trying costs nothing.
        _ if matches!(error, Error::Withheld(_)) => Pause::Told(WITHHELD),
        Remedy::AgainAfter(wait) => Pause::Told(wait.unwrap_or(THROTTLED)),
        Remedy::Again | Remedy::Slowly | Remedy::OnChange => Pause::Growing,
    };
    Done::Failed(translate_of_credential(error), pause)
}
