//! An object of which something is not understood: made by or for a newer version of the operator.
//!
//! Nothing is decided about it, so that nothing unknown ever leads to a create call; it is told so, once. One that is
//! being deleted is let go where that needs no understanding, or goes its usual way where all that this needs is
//! understood.

use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::json;
use tracing::warn;

use super::{Context, Note, ObjectStatus as _, Reconciler, StatusBuilder};
use crate::api::{ConditionType, ObjectKey, Reason};
use crate::kubernetes::{self, Error, Lean as _, Partly};
use crate::rules::conditions::Truth;

/// What becomes of an object that is being deleted and not wholly understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseDecision {
    /// All that its deletion needs is understood.
    Proceed,
    /// It has nothing on the platform, or leaves it there.
    Release(Option<Note>),
    /// It cannot be told what to do. The message says how to get out.
    Block(String),
}

/// What to do with the object.
pub(super) enum Handled<O> {
    /// Go on with what is understood of it.
    Proceed(Box<O>),
    /// Nothing more can be done for the object of this UID.
    Told(String),
    /// It was not found, or was let go.
    Gone,
}

pub(super) async fn handle<K: Reconciler>(
    kind: &K,
    context: &Context,
    api: &Api<K::Object>,
    key: &ObjectKey,
    partly: Partly<K::Object>,
) -> Result<Handled<K::Object>, Error> {
    let Some(seen) = kubernetes::see::<K::Object, K::Seen>(api, key.name()).await? else {
        return Ok(Handled::Gone);
    };
    let meta = seen.meta();
    let uid = meta.uid().to_owned();
    if meta.is_leaving() {
        if !meta.is_held() {
            return Ok(Handled::Told(uid));
        }
        match kind.release(&seen, &partly) {
            ReleaseDecision::Proceed => {
                if let Some(rest) = partly.rest {
                    return Ok(Handled::Proceed(Box::new(rest)));
                }
            }
            ReleaseDecision::Release(note) => {
                let note =
                    note.unwrap_or_else(|| Note::normal("Released", "nothing is left to do"));
                kubernetes::release(api, meta).await?;
                context.reporter.tell_of::<K::Object>(meta, &note).await;
                return Ok(Handled::Gone);
            }
            ReleaseDecision::Block(message) => {
                let told = Told {
                    condition: ConditionType::DeletionBlocked,
                    event: "DeletionBlocked",
                    message: format!("{}; {message}", made_for_newer(&partly)),
                };
                tell::<K>(context, api, key, (&seen, &partly), told).await;
                return Ok(Handled::Told(uid));
            }
        }
    }
    let told = Told {
        condition: ConditionType::Stalled,
        event: Reason::NewerVersion.as_str(),
        message: made_for_newer(&partly),
    };
    tell::<K>(context, api, key, (&seen, &partly), told).await;
    Ok(Handled::Told(uid))
}

fn made_for_newer<O>(partly: &Partly<O>) -> String {
    format!(
        "made for a newer version of the operator, which knows {}; nothing is done until the operator is updated or \
         the field is changed",
        partly.named()
    )
}

struct Told {
    condition: ConditionType,
    event: &'static str,
    message: String,
}

/// Says it in the log, as an event, as a metric, and in the conditions as far as those are understood. Once, until what
/// is not understood changes.
async fn tell<K: Reconciler>(
    context: &Context,
    api: &Api<K::Object>,
    key: &ObjectKey,
    (seen, partly): (&K::Seen, &Partly<K::Object>),
    told: Told,
) {
    let meta = seen.meta();
    context.reporter.unreadable(K::NAME);
    if !context.is_news(K::NAME, key, (meta.uid(), &told.message)) {
        return;
    }
    warn!(object = %key, kind = K::NAME, fields = partly.named(), "an object is not understood; it is left alone");
    let note = Note::warning(told.event, told.message.clone());
    context.reporter.tell_of::<K::Object>(meta, &note).await;
    let about_status = |field: &String| field.starts_with("status");
    let Some(rest) = partly.rest.as_ref() else {
        return;
    };
    if partly.fields.iter().any(about_status) {
        // Conditions are a list: writing it anew would drop what a newer release has put there.
        return;
    }
    // All of it is from one read: what has changed since then is told by the reconcile that the change brings.
    let (generation, version) = (rest.meta().generation, rest.resource_version());
    let mut builder = StatusBuilder::of(rest, context.clock.now());
    // What is there goes on working: whoever was ready stays so, as with `spec.suspend`.
    let was_ready = Truth::from(builder.is_true(ConditionType::Ready));
    let mut set = |kind: ConditionType, truth| {
        builder.set(kind, truth, Reason::NewerVersion, &told.message);
    };
    set(ConditionType::Ready, was_ready);
    set(ConditionType::Stalled, Truth::Yes);
    if told.condition == ConditionType::DeletionBlocked {
        set(told.condition, Truth::Yes);
    }
    builder.remove(ConditionType::Reconciling);
    let conditions = builder.status.conditions();
    let status = json!({"observedGeneration": generation, "conditions": conditions});
    let version = version.unwrap_or_default();
    let written = kubernetes::write_status(api, key.name(), &version, None, &status).await;
    if let Err(error) = written {
        // The event has said it; the next change or resync says it once more.
        context.forget_news(K::NAME, key);
        warn!(object = %key, error = &error as &dyn std::error::Error, "the status was not written");
    }
}
