//! Labels and annotations that we put on objects beside those of other people and controllers.
//!
//! What others have put there stays. What we put there under an earlier declaration goes: the API server keeps the books
//! of who set what (`metadata.managedFields`).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ObjectMeta};

/// What an object of ours bears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
}

impl Marks {
    /// With these labels too, which win.
    #[must_use]
    pub fn with<'a>(mut self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let labels = labels.into_iter();
        self.labels.extend(labels.map(|(name, value)| (name.to_owned(), value.to_owned())));
        self
    }

    /// Puts them on an object that was read, or is about to be made. `manager` is the name under which we write.
    pub fn put_on(&self, meta: &mut ObjectMeta, manager: &str) {
        let former = [former(meta, manager, "f:labels"), former(meta, manager, "f:annotations")];
        let wanted = [&self.labels, &self.annotations];
        let places = [&mut meta.labels, &mut meta.annotations];
        for ((place, wanted), former) in places.into_iter().zip(wanted).zip(former) {
            let mut marks = place.take().unwrap_or_default();
            marks.retain(|name, _| !former.contains(name));
            marks.extend(wanted.clone());
            *place = Some(marks).filter(|marks| !marks.is_empty());
        }
        // The API server keeps these books.
        meta.managed_fields = None;
    }

    /// Whether an object that was read bears them, and nothing that we put there before and do not want any more.
    pub fn are_on(&self, meta: &ObjectMeta, manager: &str) -> bool {
        let places = [
            (&self.labels, &meta.labels, "f:labels"),
            (&self.annotations, &meta.annotations, "f:annotations"),
        ];
        places.into_iter().all(|(wanted, there, field)| {
            let there = |name: &String| there.as_ref().and_then(|marks| marks.get(name));
            wanted.iter().all(|(name, value)| there(name) == Some(value))
                && former(meta, manager, field)
                    .iter()
                    .all(|name| wanted.contains_key(name) || there(name).is_none())
        })
    }
}

/// The labels or annotations that we set last.
fn former(meta: &ObjectMeta, manager: &str, field: &str) -> BTreeSet<String> {
    let entries = meta.managed_fields.iter().flatten();
    entries
        .filter(|entry| entry.manager.as_deref() == Some(manager))
        .filter_map(|entry| {
            let FieldsV1(fields) = entry.fields_v1.as_ref()?;
            fields.get("f:metadata")?.get(field)?.as_object()
        })
        .flat_map(serde_json::Map::keys)
        .filter_map(|name| name.strip_prefix("f:"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
    use serde_json::json;

    use super::*;

    const US: &str = "us";

    fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn marks(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Marks {
        Marks { labels: texts(labels), annotations: texts(annotations) }
    }

    /// An object on which we set what begins with `our`.
    fn there(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> ObjectMeta {
        let set = |pairs: &[(&str, &str)]| {
            let ours = pairs.iter().filter(|(name, _)| name.starts_with("our"));
            ours.map(|(name, _)| (format!("f:{name}"), json!({})))
                .collect::<serde_json::Map<_, _>>()
        };
        let fields =
            json!({"f:metadata": {"f:labels": set(labels), "f:annotations": set(annotations)}});
        let entry = |manager: &str, fields| ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        };
        let others = json!({"f:metadata": {"f:labels": {"f:their-label": {}}}});
        ObjectMeta {
            labels: Some(texts(labels)),
            annotations: Some(texts(annotations)),
            managed_fields: Some(vec![entry("others", others), entry(US, fields)]),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn what_others_put_there_stays_and_what_we_put_there_before_goes() {
        let mut meta = there(
            &[("our-former", "1"), ("our-kept", "1"), ("their-label", "1")],
            &[("our-former", "1"), ("their-note", "1")],
        );
        let wanted = marks(&[("our-kept", "2"), ("new", "1")], &[]);
        assert!(!wanted.are_on(&meta, US));
        wanted.put_on(&mut meta, US);
        let labels = texts(&[("our-kept", "2"), ("new", "1"), ("their-label", "1")]);
        assert_eq!(meta.labels, Some(labels));
        assert_eq!(meta.annotations, Some(texts(&[("their-note", "1")])));
        assert_eq!(meta.managed_fields, None);
        assert!(wanted.are_on(&meta, US));
    }

    #[test]
    fn what_is_missing_changed_or_too_much_is_not_as_it_should_be() {
        let wanted = marks(&[("our-team", "db")], &[("our-note", "n")]);
        assert!(wanted.are_on(&there(&[("our-team", "db")], &[("our-note", "n"), ("x", "y")]), US));
        for (labels, annotations) in [
            (vec![], vec![("our-note", "n")]),
            (vec![("our-team", "app")], vec![("our-note", "n")]),
            (vec![("our-team", "db")], vec![]),
            (vec![("our-team", "db"), ("our-former", "x")], vec![("our-note", "n")]),
        ] {
            assert!(
                !wanted.are_on(&there(&labels, &annotations), US),
                "{labels:?} {annotations:?}"
            );
        }
        let mut bare = ObjectMeta::default();
        Marks::default().put_on(&mut bare, US);
        assert_eq!((bare.labels, bare.annotations), (None, None));
    }
}
