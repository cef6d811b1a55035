//! Whether an object is this installation's to look after: the rules are in [`crate::rules::rival`], here is what they look
//! at and what is told.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::ResourceExt as _;
use tracing::warn;

use super::{Context, HasConditions, Note, ObjectStatus, Reconciler};
use crate::api::{Installation, ObjectKey};
use crate::rules::rival::{Claim, Mark, judge};

/// The mark of this installation on an object; none where a living rival looks after it, which is told once.
pub(super) async fn claim<K: Reconciler>(
    context: &Context,
    key: &ObjectKey,
    object: &K::Object,
) -> Option<Installation> {
    let found = object.status().and_then(ObjectStatus::installation);
    let (ours, term) = &context.installation;
    let now = context.clock.now();
    let mark =
        found.map(|found| Mark { name: &found.name, term: found.term.0, since: found.since.0 });
    match judge((ours, *term), mark, now, context.resync) {
        Claim::Keep => found.cloned(),
        Claim::Take => {
            Some(Installation { name: ours.clone(), term: MicroTime(*term), since: MicroTime(now) })
        }
        Claim::Yield => {
            let rival = found.map(|found| found.name.as_str()).unwrap_or_default();
            if context.is_news(K::NAME, key, (object.uid(), "rival", rival)) {
                warn!(object = %key, kind = K::NAME, rival, "another installation looks after an object; it is left alone");
                let message = format!(
                    "another installation of the operator, with the Lease {rival}, looks after this object and has done so \
                     for longer: this one, with the Lease {ours}, leaves it alone; uninstall one of the two, or let them \
                     serve different namespaces. Where the other one is gone, restart this one"
                );
                context.reporter.tell(object, &Note::warning("AnotherOperator", message)).await;
            }
            None
        }
    }
}
