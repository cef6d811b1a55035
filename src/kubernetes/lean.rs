//! What is kept of an object that may hold anything: its metadata without what other managers put there.
//!
//! Everything here can be read from every object of every version, however deep or odd its other fields are: what is
//! not known is skipped in a loop (serde_json does that for ignored values), and a text that is none counts as absent.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::api::{FINALIZER, ObjectKey, annotations, labels};

/// The longest text that is kept. Names and refs are shorter.
const LONGEST: usize = 512;

/// Something that is listed and watched.
pub trait Lean: for<'de> Deserialize<'de> + Send + Sync + 'static {
    /// Its metadata.
    fn meta(&self) -> &Meta;
}

/// Metadata that the operator needs of objects that it does not read whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Meta {
    /// Its name.
    pub name: Text,
    /// Its namespace; absent for cluster-wide kinds.
    pub namespace: Text,
    /// Its UID.
    pub uid: Text,
    /// The version that was seen.
    pub resource_version: Text,
    /// Counts changes of the spec.
    pub generation: Option<i64>,
    creation_timestamp: Text,
    deletion_timestamp: Text,
    finalizers: Option<Vec<Text>>,
    annotations: Requests,
    labels: Labels,
}

impl Meta {
    /// Namespace and name.
    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            namespace: self.namespace.0.clone(),
            name: self.name.0.clone().unwrap_or_default(),
        }
    }

    /// Its UID; empty if it has none, as no stored object.
    pub fn uid(&self) -> &str {
        self.uid.0.as_deref().unwrap_or_default()
    }

    /// The version that was seen.
    pub fn version(&self) -> &str {
        self.resource_version.0.as_deref().unwrap_or_default()
    }

    /// When it was created.
    pub fn created(&self) -> Option<Timestamp> {
        self.creation_timestamp.0.as_deref()?.parse().ok()
    }

    /// Whether its deletion was asked for.
    pub const fn is_leaving(&self) -> bool {
        self.deletion_timestamp.0.is_some()
    }

    /// Its finalizers.
    pub fn finalizers(&self) -> impl Iterator<Item = &str> {
        let all = self.finalizers.iter().flatten();
        all.filter_map(|Text(finalizer)| finalizer.as_deref())
    }

    /// Whether our finalizer holds it.
    pub fn is_held(&self) -> bool {
        self.finalizers().any(|finalizer| finalizer == FINALIZER)
    }

    /// The value of an annotation under our prefix.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.0.get(name).map(String::as_str)
    }

    /// Every annotation under our prefix.
    pub const fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations.0
    }

    /// The UID that our label names as owner.
    pub fn owner(&self) -> Option<&str> {
        self.labels.0.as_deref()
    }
}

/// A text, or nothing: what is no text, or too long to be one of ours, counts as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(pub Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("anything")
            }
            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text((text.len() <= LONGEST).then(|| text.to_owned())))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
                Ok(Text(None))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
                Ok(Text(None))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
                Ok(Text(None))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
                Ok(Text(None))
            }
            fn visit_unit<E>(self) -> Result<Text, E> {
                Ok(Text(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The annotations under our prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Requests(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Requests {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kept = entries(deserializer, |key| key.starts_with(annotations::PREFIX))?;
        Ok(Self(kept.into_iter().collect()))
    }
}

/// The one label that is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Labels(Option<String>);

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kept = entries(deserializer, |key| key == labels::OWNER_UID)?;
        Ok(Self(kept.into_iter().next().map(|(_, value)| value)))
    }
}

/// The entries of a map of texts whose keys are wanted.
fn entries<'de, D: Deserializer<'de>>(
    deserializer: D,
    wanted: fn(&str) -> bool,
) -> Result<Vec<(String, String)>, D::Error> {
    struct Some(fn(&str) -> bool);
    impl<'de> Visitor<'de> for Some {
        type Value = Vec<(String, String)>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a map of texts")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut kept = Vec::new();
            while let Option::Some(key) = map.next_key::<String>()? {
                if self.0(&key) && key.len() <= LONGEST {
                    let Text(value) = map.next_value()?;
                    kept.extend(value.map(|value| (key, value)));
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(kept)
        }
    }
    deserializer.deserialize_any(Some(wanted))
}

/// The metadata of an object, and nothing else of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Bare {
    metadata: Meta,
}

impl Lean for Bare {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_of_any_object_is_read() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let text = format!(
            r#"{{"spec":{deep},"metadata":{{"managedFields":{deep},"name":"n","namespace":"a","uid":"u",
            "resourceVersion":"7","generation":3,"creationTimestamp":"2026-01-01T00:00:00Z",
            "deletionTimestamp":"2026-01-02T00:00:00Z","finalizers":["x","supabase-operator.dev/finalizer"],
            "annotations":{{"other":"{}","supabase-operator.dev/force-orphan":"r","supabase-operator.dev/odd":{deep}}},
            "labels":{{"supabase-operator.dev/owner-uid":"o"}}}}}}"#,
            "x".repeat(100_000)
        );
        let Bare { metadata } = serde_json::from_str(&text).unwrap();
        assert_eq!(metadata.key().to_string(), "a/n");
        assert_eq!(
            (metadata.uid(), metadata.version(), metadata.generation),
            ("u", "7", Some(3))
        );
        assert!(metadata.is_leaving() && metadata.is_held() && metadata.created().is_some());
        assert_eq!(metadata.annotations().len(), 1);
        assert_eq!(metadata.annotation(annotations::FORCE_ORPHAN), Some("r"));
        assert_eq!(metadata.owner(), Some("o"));
    }

    #[test]
    fn what_is_absent_or_null_is_absent() {
        for text in [
            "{}",
            r#"{"metadata":{}}"#,
            r#"{"metadata":{"name":null,"finalizers":null,"annotations":null,"labels":null,"generation":null}}"#,
        ] {
            let Bare { metadata } = serde_json::from_str(text).unwrap();
            assert_eq!(metadata, Meta::default(), "{text}");
            assert!(!metadata.is_held() && !metadata.is_leaving());
        }
    }
}
