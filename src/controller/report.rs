//! Telling: Kubernetes Events on transitions, and metrics. Failing to tell is a log line, never a failed pass.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, Recorder, Reporter as EventReporter};
use tracing::debug;

use super::unreadable::event_type;
use super::{Managed, Note};
use crate::api::{ConditionType, FIELD_MANAGER};
use crate::kubernetes::{self, Meta, Stored};
use crate::rules::conditions;
use crate::telemetry::Metrics;

/// The API server's limit of an event's note, in bytes.
const LONGEST_NOTE: usize = 1000;

/// Publishes events and counts. Cheap to clone.
#[derive(Clone)]
pub struct Reporter {
    recorder: Recorder,
    metrics: Metrics,
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reporter").finish_non_exhaustive()
    }
}

impl Reporter {
    /// A reporter that signs events with this process's identity.
    pub fn new(client: Client, identity: &str, metrics: Metrics) -> Self {
        let reporter = EventReporter {
            controller: FIELD_MANAGER.to_owned(),
            instance: Some(identity.to_owned()),
        };
        Self {
            recorder: Recorder::new(client, reporter),
            metrics,
        }
    }

    pub(super) fn passed(&self, kind: &'static str, outcome: &'static str, took: Duration) {
        self.metrics.passed(kind, outcome, took);
    }

    pub(super) fn performed(&self, kind: &'static str, step: &'static str, worked: bool) {
        self.metrics.performed(kind, step, worked);
    }

    /// An object holds something that is not understood.
    pub(super) fn unreadable(&self, kind: &'static str) {
        self.metrics.unreadable(kind);
    }

    /// Something about an object could not be stored. Where no status fits, an event says so.
    pub(super) async fn not_stored<O: Managed>(&self, object: &O, error: &kubernetes::Error) {
        self.metrics.not_stored(O::NAME);
        if matches!(error, kubernetes::Error::TooLarge) {
            let message = "the object is so large that the API server takes no status for it; take away annotations and \
                           managed fields that nobody needs";
            self.tell(object, &Note::warning("ObjectTooLarge", message))
                .await;
        }
    }

    pub(super) async fn tell<O: Managed>(&self, object: &O, note: &Note) {
        self.publish(note, object.object_ref(&())).await;
    }

    /// The same for an object that is not read whole.
    pub(super) async fn tell_of<O: Stored>(&self, meta: &Meta, note: &Note) {
        let key = meta.key();
        let object = ObjectReference {
            api_version: Some(O::api_version(&()).into_owned()),
            kind: Some(O::kind(&()).into_owned()),
            name: Some(key.name),
            namespace: key.namespace,
            uid: Some(meta.uid().to_owned()),
            ..ObjectReference::default()
        };
        self.publish(note, object).await;
    }

    async fn publish(&self, note: &Note, object: ObjectReference) {
        let event = Event {
            type_: event_type(note.warning),
            reason: note.reason.to_owned(),
            note: Some(cut(&note.message)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &object).await {
            // A namespace that is being deleted takes no events; neither does a cluster in trouble.
            debug!(
                error = &kubernetes::Error::from(error) as &dyn std::error::Error,
                "event not published"
            );
        }
    }

    /// An event when `Ready` or `DeletionBlocked` changed status or reason.
    pub(super) async fn tell_transition<O: Managed>(
        &self,
        object: &O,
        before: &O::Status,
        after: &O::Status,
    ) {
        let (before, after) = (O::conditions(before), O::conditions(after));
        let stalled = conditions::is_true(after, ConditionType::Stalled.as_str());
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
            let event = Event {
                type_: event_type(blocked || stalled),
                reason: now.reason.clone(),
                note: Some(cut(&now.message)).filter(|text| !text.is_empty()),
                action: kind.to_owned(),
                secondary: None,
            };
            if let Err(error) = self.recorder.publish(&event, &object.object_ref(&())).await {
                debug!(
                    error = &kubernetes::Error::from(error) as &dyn std::error::Error,
                    "event not published"
                );
            }
        }
    }
}

fn cut(message: &str) -> String {
    let mut end = message.len().min(LONGEST_NOTE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.get(..end).unwrap_or_default().to_owned()
}
