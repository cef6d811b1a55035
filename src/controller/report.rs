//! Telling: Kubernetes Events on transitions, and metrics. Failing to tell is a log line, never a failed reconcile.
//!
//! Events are created, one each: they tell transitions, which do not repeat, so none is counted up and none is kept in
//! memory.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::{Api, Client};
use tracing::debug;

use super::{HasConditions, Note, ObjectStatus as _};
use crate::api::{ConditionType, FIELD_MANAGER};
use crate::kubernetes::{self, Meta, Stored};
use crate::rules::clock::Clock;
use crate::rules::conditions;
use crate::telemetry::Metrics;

/// The API server's limit of an event's note, in bytes.
const LONGEST_NOTE: usize = 1000;

/// The longest name of an object.
const LONGEST_NAME: usize = 253;
/// What was done when nothing more is said of it.
const ACTION: &str = "Reconcile";

/// Publishes events and counts. Cheap to clone.
#[derive(Clone)]
pub struct Reporter {
    client: Client,
    clock: Arc<dyn Clock>,
    identity: String,
    metrics: Metrics,
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reporter").finish_non_exhaustive()
    }
}

impl Reporter {
    /// A reporter that signs events with this process's identity.
    pub fn new(client: Client, clock: Arc<dyn Clock>, identity: &str, metrics: Metrics) -> Self {
        Self { client, clock, identity: identity.to_owned(), metrics }
    }

    pub(super) fn reconciled(&self, kind: &'static str, outcome: &'static str, took: Duration) {
        self.metrics.reconciled(kind, outcome, took);
    }

    pub(super) fn performed(&self, kind: &'static str, step: &'static str, worked: bool) {
        self.metrics.performed(kind, step, worked);
    }

    /// An object holds something that is not understood.
    pub(super) fn unreadable(&self, kind: &'static str) {
        self.metrics.unreadable(kind);
    }

    /// Something about an object could not be stored. Where no status fits, an event says so.
    pub(super) async fn not_stored<O: HasConditions>(&self, object: &O, error: &kubernetes::Error) {
        self.metrics.not_stored(O::NAME);
        if matches!(error, kubernetes::Error::TooLarge) {
            let message = "the object is so large that the API server takes no status for it; take away annotations and \
                           managed fields that nobody needs";
            self.tell(object, &Note::warning("ObjectTooLarge", message)).await;
        }
    }

    /// Publishes an event about an object.
    pub async fn tell<O: HasConditions>(&self, object: &O, note: &Note) {
        self.publish(note.warning, note.reason, &note.message, ACTION, object.object_ref(&()))
            .await;
    }

    /// The same for an object that is not read whole.
    pub(super) async fn tell_of<O: Stored>(&self, meta: &Meta, note: &Note) {
        let key = meta.key();
        let object = ObjectReference {
            api_version: Some(O::api_version(&()).into_owned()),
            kind: Some(O::kind(&()).into_owned()),
            name: Some(key.name().to_owned()),
            namespace: key.namespace().map(str::to_owned),
            uid: Some(meta.uid().to_owned()),
            ..ObjectReference::default()
        };
        self.publish(note.warning, note.reason, &note.message, ACTION, object).await;
    }

    async fn publish(
        &self,
        warning: bool,
        reason: &str,
        message: &str,
        action: &str,
        object: ObjectReference,
    ) {
        let now = self.clock.now();
        let namespace = object.namespace.clone();
        // Cluster-wide objects have their events in the namespace that is always there.
        let namespace = namespace.unwrap_or_else(|| "default".to_owned());
        let moment = format!(".{:x}", now.as_nanosecond());
        let name = object.name.clone().unwrap_or_default();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(cut(&name, LONGEST_NAME - moment.len()) + &moment),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            type_: Some(if warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(reason.to_owned()),
            note: Some(cut(message, LONGEST_NOTE)).filter(|text| !text.is_empty()),
            action: Some(action.to_owned()),
            reporting_controller: Some(FIELD_MANAGER.to_owned()),
            reporting_instance: Some(self.identity.clone()),
            regarding: Some(object),
            ..Event::default()
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        if let Err(error) = kubernetes::create(&api, &event).await {
            // A namespace that is being deleted takes no events; neither does a cluster in trouble.
            debug!(error = &error as &dyn std::error::Error, "event not published");
        }
    }

    /// What a reconcile has to tell: the notes of its steps, and an event where `Ready` or `DeletionBlocked` changed status or
    /// reason. One transition is one event: news of a step on the way is told with a `Ready` that comes at once, and
    /// stands for one that says no more.
    pub(super) async fn tell_all<O: HasConditions>(
        &self,
        object: &O,
        notes: &[Note],
        before: &O::Status,
        after: &O::Status,
    ) {
        let (before, after) = (before.conditions(), after.conditions());
        let stalled = conditions::is_true(after, ConditionType::Stalled.as_str());
        let ready = conditions::is_true(after, ConditionType::Ready.as_str());
        let (mut news, others): (Vec<_>, Vec<_>) = notes.iter().partition(|note| note.on_the_way);
        for note in others {
            self.tell(object, note).await;
        }
        for kind in [ConditionType::Ready, ConditionType::DeletionBlocked] {
            let kind = kind.as_str();
            let Some(now) = conditions::find(after, kind) else {
                continue;
            };
            let same = conditions::find(before, kind)
                .is_some_and(|was| was.status == now.status && was.reason == now.reason);
            if same {
                continue;
            }
            let blocked = kind == ConditionType::DeletionBlocked.as_str();
            let mut message = now.message.clone();
            if !blocked && ready {
                let told = news.drain(..).map(|note| note.message.clone());
                message = told.chain([message]).collect::<Vec<_>>().join("; ");
            } else if !blocked && !stalled && !news.is_empty() {
                continue;
            }
            let object = object.object_ref(&());
            self.publish(blocked || stalled, &now.reason, &message, kind, object).await;
        }
        for note in news {
            self.tell(object, note).await;
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}
