//! A project that is being deleted, and of which something is not understood: made for a newer version of the operator.
//!
//! | what is understood                                        | what is done                              |
//! |-----------------------------------------------------------|-------------------------------------------|
//! | all that its deletion needs                               | what is always done                       |
//! | `force-orphan` names its ref or create name               | let go                                    |
//! | no ref and no attempt                                     | let go                                    |
//! | the policy: Retain, or none                               | let go; the project stays                 |
//! | anything else                                             | held, and told how to get out             |
//!
//! Letting go is a write of metadata alone: nothing that is not understood is written over.

use super::release::wrong_orphan;
use crate::api::{SupabaseProject, annotations};
use crate::controller::{Note, ReleaseDecision};
use crate::kubernetes::{Lean as _, Partly};
use crate::seen::SeenProject;

/// What a deletion cannot do without.
const NEEDED: [&str; 5] =
    ["metadata", "spec.connectionRef", "spec.deletionPolicy", "spec.suspend", "status"];

pub(in crate::project) fn release(
    seen: &SeenProject,
    partly: &Partly<SupabaseProject>,
) -> ReleaseDecision {
    let needed = |field: &String| NEEDED.iter().any(|needed| field.starts_with(needed));
    if partly.rest.is_some() && !partly.fields.iter().any(needed) {
        return ReleaseDecision::Proceed;
    }
    let known_as = seen.reference.as_deref().or(seen.create_name.as_deref());
    let asked = seen.meta().annotation(annotations::FORCE_ORPHAN);
    if asked.is_some() && asked == known_as {
        let message = format!("left behind, as asked for: {}", asked.unwrap_or_default());
        return ReleaseDecision::Release(Some(Note::warning("Orphaned", message)));
    }
    if !seen.is_bound() {
        return ReleaseDecision::Release(None);
    }
    if seen.deletion_policy.as_deref().is_none_or(|policy| policy == "Retain") {
        let message = format!(
            "project {} stays on the platform, and so does the Secret with its database password",
            known_as.unwrap_or_default()
        );
        return ReleaseDecision::Release(Some(Note::normal("Retained", message)));
    }
    let known_as = known_as.unwrap_or_default();
    let out = format!(
        "update the operator, or set the annotation {}: {known_as:?} to leave the project behind",
        annotations::FORCE_ORPHAN,
    );
    let wrong = wrong_orphan(asked, known_as);
    ReleaseDecision::Block(wrong.map_or_else(|| out.clone(), |wrong| format!("{out}; {wrong}")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(policy: &str, status: &Value, annotation: Option<&str>) -> SeenProject {
        let mut object = json!({
            "metadata": {"name": "orders", "namespace": "team"},
            "spec": {"connectionRef": {"name": "acme"}, "deletionPolicy": policy},
            "status": status,
        });
        if let Some(annotation) = annotation {
            object["metadata"]["annotations"] = json!({annotations::FORCE_ORPHAN: annotation});
        }
        serde_json::from_value(object).unwrap()
    }

    fn rest() -> SupabaseProject {
        serde_json::from_value(json!({
            "apiVersion": "supabase-operator.dev/v1alpha1", "kind": "SupabaseProject",
            "metadata": {}, "spec": {"connectionRef": {"name": "acme"}},
        }))
        .unwrap()
    }

    fn partly(fields: &[&str], understood: bool) -> Partly<SupabaseProject> {
        Partly {
            rest: understood.then(rest),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        }
    }

    #[test]
    fn what_its_deletion_does_not_need_holds_nobody() {
        let bound = seen("Delete", &json!({"ref": "r"}), None);
        let decided = release(&bound, &partly(&["spec.powerState", "spec.outputs[0].kind"], true));
        assert_eq!(decided, ReleaseDecision::Proceed);
    }

    #[test]
    fn what_has_nothing_on_the_platform_or_leaves_it_there_goes() {
        let unknown = partly(&["status.creation.attempts[0].outcome"], true);
        let free = seen("Delete", &json!({"conditions": []}), None);
        assert_eq!(release(&free, &unknown), ReleaseDecision::Release(None));
        let attempt = json!({"creation": {"name": "n", "attempts": [{}]}});
        let retained = release(&seen("Retain", &attempt, None), &unknown);
        assert!(
            matches!(retained, ReleaseDecision::Release(Some(note)) if note.reason == "Retained")
        );
        let told = release(&seen("Delete", &attempt, Some("n")), &unknown);
        assert!(matches!(told, ReleaseDecision::Release(Some(note)) if note.reason == "Orphaned"));
    }

    #[test]
    fn what_may_have_to_be_deleted_is_held_and_told_the_way_out() {
        for (policy, fields, understood) in [
            ("Archive", ["spec.deletionPolicy"], true),
            ("Delete", ["spec.connectionRef.kind"], true),
            ("Delete", ["status.creation.attempts[0].outcome"], true),
            ("Delete", ["spec.powerState"], false),
        ] {
            let bound = seen(policy, &json!({"ref": "aaaa"}), Some("other"));
            let decided = release(&bound, &partly(&fields, understood));
            let ReleaseDecision::Block(message) = decided else {
                panic!("{policy} {fields:?}: {decided:?}");
            };
            assert!(message.contains("aaaa"), "{message}");
            assert!(
                message.contains("exactly \"aaaa\"") && !message.contains("other"),
                "{message}"
            );
        }
    }
}
