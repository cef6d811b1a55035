//! One reconcile of one object: read it fresh, hold it by the finalizer, then observe, decide and perform, step after step
//! until it must wait; write the status, tell, and say when to look again.
//!
//! Steps that follow each other follow in one go. Between them the status is stored only where a step asks for it.

use std::time::Duration;

use kube::{Api, Resource as _, ResourceExt as _};
use tracing::{info, warn};

use super::rival;
use super::status::{say_when, unread};
use super::unreadable::{self, Handled};
use super::{
    Context, Decision, HasConditions, Note, ObjectStatus, Reconciler, Requeue, StepName as _,
};
use crate::api::{FINALIZER, Installation, ObjectKey};
use crate::ending;
use crate::kubernetes::{self, Bare, Lean as _, Read};
use crate::rules::conditions;
use crate::slots;

/// Between two tries to store what must not be lost: at first, and at most.
const INSIST_EVERY: Duration = Duration::from_millis(500);
const INSIST_MOST: Duration = Duration::from_secs(5);

/// Steps of one reconcile; what would take more is gone about again after a pause.
const STEPS: usize = 12;

/// The object of a reconcile.
#[derive(Debug)]
pub struct Reconcile<O: HasConditions> {
    api: Api<O>,
    /// As it was last read or written, with the status that was decided since.
    object: O,
    /// The status as it is stored.
    stored: Option<O::Status>,
    /// The mark that is put on it.
    mark: Installation,
}

impl<O: HasConditions> Reconcile<O> {
    fn new(api: Api<O>, object: O, mark: Installation) -> Self {
        let stored = object.status().cloned();
        Self { api, object, stored, mark }
    }

    /// The object as it was last read or written, with the status that was decided since.
    pub const fn object(&self) -> &O {
        &self.object
    }

    /// The status as it is stored.
    pub fn stored(&self) -> O::Status {
        self.stored.clone().unwrap_or_default()
    }

    /// Whether nobody has written the object since it was read.
    pub async fn is_current(&self) -> Result<bool, kubernetes::Error> {
        let there = kubernetes::see::<O, Bare>(&self.api, &self.object.name_any()).await?;
        Ok(there.is_some_and(|there| {
            Some(there.meta().uid()) == self.object.uid().as_deref()
                && Some(there.meta().version()) == self.object.resource_version().as_deref()
        }))
    }

    /// Writes a status if it differs, with our mark, and only if nobody wrote the object since it was read.
    pub async fn write(&mut self, status: &O::Status) -> Result<(), kubernetes::Error> {
        let mut status = status.clone();
        let nothing = self.stored.is_none() && status == O::Status::default();
        if !nothing {
            status.set_installation(Some(self.mark.clone()));
        }
        if !nothing && self.stored.as_ref() != Some(&status) {
            let name = self.object.name_any();
            let version = self.object.resource_version().unwrap_or_default();
            let old = self.stored.as_ref();
            let written =
                kubernetes::write_status(&self.api, &name, &version, old, &status).await?;
            self.object.meta_mut().resource_version = Some(written.version().to_owned());
            // Defaults and rounding of the API server must not look like a difference the next time.
            self.stored = Some(status.clone());
        }
        self.object.set_status(status);
        Ok(())
    }

    /// Replaces the finalizers, and only if nobody wrote the object since it was read.
    async fn set_finalizers(&mut self, finalizers: Vec<String>) -> Result<(), kubernetes::Error> {
        let written = kubernetes::set_finalizers(&self.api, &self.object, &finalizers).await?;
        let meta = self.object.meta_mut();
        meta.resource_version = Some(written.version().to_owned());
        meta.finalizers = Some(finalizers);
        Ok(())
    }

    /// Stores what must not be lost: `change` is applied to the status as it is, whoever wrote it, and again until it
    /// is stored. It gives none where nothing is left to store. Gives up only when the object is gone. The slot is
    /// others' meanwhile, the claim to lead is not.
    pub async fn insist(
        &mut self,
        context: &Context,
        change: impl Fn(O::Status) -> Option<O::Status> + Send,
    ) -> Result<(), kubernetes::Error> {
        let _held = context.leadership.hold();
        slots::waiting(Box::pin(self.insist_in_turn(context, change))).await
    }

    async fn insist_in_turn(
        &mut self,
        context: &Context,
        change: impl Fn(O::Status) -> Option<O::Status> + Send,
    ) -> Result<(), kubernetes::Error> {
        let mut pause = INSIST_EVERY;
        loop {
            let Some(changed) = change(self.stored()) else {
                return Ok(());
            };
            let error = match self.write(&changed).await {
                Ok(()) => return Ok(()),
                Err(error @ kubernetes::Error::NotFound) => return Err(error),
                Err(error) => error,
            };
            warn!(
                object = %ObjectKey::of(&self.object),
                error = &error as &dyn std::error::Error,
                "status could not be stored yet"
            );
            context.reporter.not_stored(&self.object, &error).await;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(INSIST_MOST);
            let there = kubernetes::read(&self.api, &self.object.name_any()).await;
            // What is not understood of it is not written over: a status is merged into what is there.
            match there.map(|there| there.and_then(Read::understood)) {
                Ok(Some(there)) if there.uid() == self.object.uid() => {
                    self.stored = there.status().cloned();
                    self.object = there;
                }
                Ok(_) => return Err(kubernetes::Error::NotFound),
                Err(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "the object cannot be read yet"
                    );
                }
            }
        }
    }
}

/// How soon a reconcile is tried again that came without a claim to lead: one that is late to be renewed comes back soon.
const CLAIMED_AGAIN: Duration = Duration::from_secs(2);

/// Why a reconcile came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Kubernetes(#[from] kubernetes::Error),
    #[error("the object is gone")]
    Gone,
    #[error("reading what the reconcile needs took too long")]
    TookTooLong(#[from] tokio::time::error::Elapsed),
}

/// Runs one reconcile and says when the next is due; none when the object is gone.
pub async fn reconcile<K: Reconciler>(
    kind: &K,
    context: &Context,
    key: &ObjectKey,
) -> Option<Duration> {
    if context.leadership.remaining().is_zero() {
        // Somebody else leads, or soon will: nothing new is started.
        return Some(CLAIMED_AGAIN);
    }
    let begun = context.clock.uptime();
    let result = run(kind, context, key).await;
    let took = context.clock.uptime().saturating_sub(begun);
    match result {
        Ok(Some((uid, requeue))) => {
            let next = context.next(K::NAME, key, &uid, requeue);
            context.reporter.reconciled(
                K::NAME,
                if requeue == Requeue::Backoff { "failed" } else { "done" },
                took,
            );
            Some(next)
        }
        Ok(None) => {
            context.forget(K::NAME, key);
            kind.forget(key);
            context.reporter.reconciled(K::NAME, "gone", took);
            None
        }
        // Somebody else wrote the object: look again at once.
        Err(Failure::Kubernetes(kubernetes::Error::Conflict)) => {
            context.reporter.reconciled(K::NAME, "conflict", took);
            Some(context.next(K::NAME, key, &key.to_string(), Requeue::Backoff))
        }
        Err(error) => {
            warn!(object = %key, error = &error as &dyn std::error::Error, "reconcile failed");
            if let Failure::Kubernetes(error) = &error {
                // Says what to do where a namespace took the operator's rights with it.
                ending::took_rights(&context.client, key.namespace(), error).await;
            }
            context.reporter.reconciled(K::NAME, "failed", took);
            Some(context.next(K::NAME, key, &key.to_string(), Requeue::Backoff))
        }
    }
}

async fn run<K: Reconciler>(
    kind: &K,
    context: &Context,
    key: &ObjectKey,
) -> Result<Option<(String, Requeue)>, Failure> {
    let api = kind.api(key.namespace());
    // Refused if it was written since it was seen: then it is read like any other.
    let held = match kind.new_object(key) {
        Some(seen) => kubernetes::hold(&api, seen.meta()).await.ok(),
        None => None,
    };
    let read = match held {
        Some(held) => Some(held),
        None => kubernetes::read(&api, key.name()).await?,
    };
    let object = match read {
        None => return Ok(None),
        Some(Read::Whole(object)) => object,
        Some(Read::Partly(partly)) => {
            match unreadable::handle(kind, context, &api, key, partly).await? {
                Handled::Proceed(rest) => *rest,
                Handled::Told(uid) => return Ok(Some((uid, Requeue::OnChange))),
                Handled::Gone => return Ok(None),
            }
        }
    };
    let Some(mark) = rival::claim::<K>(context, key, &object).await else {
        return Ok(Some((object.uid().unwrap_or_default(), Requeue::OnChange)));
    };
    let mut reconcile = Reconcile::new(api, object, mark);
    let uid = reconcile.object.uid().unwrap_or_default();
    if !hold(kind, context, &mut reconcile).await? {
        return Ok(Some((uid, Requeue::OnChange)));
    }
    let object = &reconcile.object;
    if let Some(named) = context.misspelt(K::NAME, key, object) {
        let message = format!("no annotation of this operator is named {named}; it has no effect");
        context.reporter.tell(object, &Note::warning("UnknownAnnotation", message)).await;
    }
    let before = reconcile.stored();
    let mut notes = Vec::new();
    let ended = steps(kind, context, key, &mut reconcile, &mut notes).await;
    let ended = ended.inspect_err(|_| kind.unsaid(key));
    // Told also when the status could not be written: the steps were done.
    let after = match &ended {
        Ok(_) => reconcile.object.status().cloned().unwrap_or_default(),
        Err(_) => before.clone(),
    };
    context.reporter.tell_all(&reconcile.object, &notes, &before, &after).await;
    let Ended { requeue, release } = match ended {
        Ok(ended) => ended,
        Err(Failure::Gone) => return Ok(None),
        Err(error) => return Err(error),
    };
    if release {
        let mut finalizers = reconcile.object.finalizers().to_vec();
        finalizers.retain(|finalizer| finalizer != FINALIZER);
        return match reconcile.set_finalizers(finalizers).await {
            Ok(()) | Err(kubernetes::Error::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        };
    }
    Ok(Some((uid, requeue)))
}

/// How the steps of a reconcile ended.
struct Ended {
    requeue: Requeue,
    /// Whether the object may go.
    release: bool,
}

/// Observes, decides and performs until the object must wait for something, and stores the status.
async fn steps<K: Reconciler>(
    kind: &K,
    context: &Context,
    key: &ObjectKey,
    reconcile: &mut Reconcile<K::Object>,
    notes: &mut Vec<Note>,
) -> Result<Ended, Failure> {
    let mut number = 0;
    loop {
        number += 1;
        let object = &reconcile.object;
        // Only the reads are cut short: what a step began must be recorded, however long that takes.
        let observing = tokio::time::timeout(context.reconcile_deadline, kind.observe(object));
        let mut observed = match observing.await? {
            Ok(observed) => observed,
            Err(error) => {
                let said = unread(object, reconcile.stored(), &error, context.clock.now());
                if let Some(status) = said {
                    store(context, reconcile, status, Requeue::Backoff, false).await?;
                }
                return Err(error.into());
            }
        };
        kind.remember(object, &mut observed);
        let inputs = context.inputs(K::NAME, key);
        let Decision { step, status, requeue, notes: said, release } =
            kind.decide(object, &observed, &inputs);
        notes.extend(said);
        let Some(step) = step else {
            store(context, reconcile, status, requeue, release).await?;
            return Ok(Ended { requeue, release });
        };
        let name = step.name();
        let outcome = kind.perform(reconcile, step, observed, status).await;
        context.reporter.performed(K::NAME, name, outcome.worked);
        let reason = news(&reconcile.stored(), &outcome.status);
        if outcome.worked || reason.is_empty() {
            info!(object = %key, step = name, worked = outcome.worked, "step performed");
        } else {
            warn!(object = %key, step = name, reason, "step failed");
        }
        notes.extend(outcome.notes);
        let requeue = outcome.requeue.unwrap_or(requeue);
        let release = release && outcome.worked;
        let leads = !context.leadership.remaining().is_zero();
        // What takes more steps than anything does may be undone by somebody as often as it is done.
        let undone = requeue == Requeue::Now && number >= STEPS;
        let requeue = if undone { Requeue::Backoff } else { requeue };
        let goes_on = requeue == Requeue::Now && !release && leads;
        if goes_on && outcome.carried {
            reconcile.object.set_status(outcome.status);
            continue;
        }
        store(context, reconcile, outcome.status, requeue, release).await?;
        if !goes_on {
            return Ok(Ended { requeue, release });
        }
    }
}

/// What a step that failed has made of the conditions, for its line in the log.
fn news<S: ObjectStatus>(before: &S, after: &S) -> String {
    let before = before.conditions();
    let changed = after.conditions().iter().filter(|now| {
        let was = conditions::find(before, &now.type_);
        was.is_none_or(|was| (&was.reason, &was.message) != (&now.reason, &now.message))
    });
    let mut said: Vec<String> =
        changed.map(|now| format!("{}: {}", now.reason, now.message)).collect();
    said.sort();
    said.dedup();
    said.join("; ")
}

/// Stores the status of a reconcile. An object that is about to go has nothing more to say.
async fn store<O: HasConditions>(
    context: &Context,
    reconcile: &mut Reconcile<O>,
    mut status: O::Status,
    requeue: Requeue,
    release: bool,
) -> Result<(), Failure> {
    say_when(&mut status, requeue);
    match reconcile.write(&status).await {
        Ok(()) => Ok(()),
        Err(kubernetes::Error::TooLarge) if release => Ok(()),
        Err(kubernetes::Error::NotFound) => Err(Failure::Gone),
        Err(error) => {
            context.reporter.not_stored(&reconcile.object, &error).await;
            Err(error.into())
        }
    }
}

/// Holds the object by the finalizer, if its kind needs that. False where it is on its way out and not held by us: then
/// nothing is left to do.
async fn hold<K: Reconciler>(
    kind: &K,
    context: &Context,
    reconcile: &mut Reconcile<K::Object>,
) -> Result<bool, Failure> {
    let object = &reconcile.object;
    let held = object.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
    if object.meta().deletion_timestamp.is_some() {
        return Ok(held);
    }
    if !held && kind.needs_finalizer(object).await? {
        let mut finalizers = object.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        let held = reconcile.set_finalizers(finalizers).await;
        if let Err(error) = &held {
            context.reporter.not_stored(&reconcile.object, error).await;
        }
        held?;
    }
    Ok(true)
}
