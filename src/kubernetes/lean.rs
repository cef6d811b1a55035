//! What is kept of an object that may hold anything: its metadata without what other managers put there.
//!
//! Everything here can be read from every object of every version, however deep or odd its other fields are: what is
//! not known is skipped in a loop (`serde_json` does that for ignored values), and a text that is none counts as absent.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::marker::PhantomData;
use std::num::NonZeroU64;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::api::{FINALIZER, ObjectKey, annotations, labels};

/// The longest text that is kept. Names and refs are shorter.
const LONGEST: usize = 512;

/// Something that is listed and watched.
pub trait Lean: for<'de> Deserialize<'de> + Send + Sync + 'static {
    /// Its metadata.
    fn meta(&self) -> &Meta;
    /// Which installation of the operator looks after it, as [`mark`] of its name; none where that is not said.
    fn installation(&self) -> Option<NonZeroU64> {
        None
    }
}

/// What stands for the name of an installation in what is kept of every object.
pub fn mark(name: &str) -> NonZeroU64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    NonZeroU64::MIN.saturating_add(hasher.finish())
}

/// Metadata that the operator needs of objects that it does not read whole. There is one for each object, so it is small.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct Meta {
    key: ObjectKey,
    uid: Box<str>,
    version: Box<str>,
    generation: Option<i64>,
    created: Option<Timestamp>,
    leaving: bool,
    finalizers: Box<[Box<str>]>,
    annotations: BTreeMap<String, String>,
    owner: Option<Box<str>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Wire {
    name: Text,
    namespace: Text,
    uid: Text,
    resource_version: Text,
    generation: Number,
    creation_timestamp: Text,
    deletion_timestamp: Text,
    finalizers: Many<Text>,
    annotations: Entries<Requests>,
    labels: Entries<Owner>,
}

impl From<Wire> for Meta {
    fn from(wire: Wire) -> Self {
        let name = wire.name.0.as_deref().unwrap_or_default();
        Self {
            key: ObjectKey::new(wire.namespace.0.as_deref(), name),
            uid: wire.uid.boxed().unwrap_or_default(),
            version: wire.resource_version.boxed().unwrap_or_default(),
            generation: wire.generation.0,
            created: wire.creation_timestamp.0.and_then(|text| text.parse().ok()),
            leaving: wire.deletion_timestamp.0.is_some(),
            finalizers: wire.finalizers.0.into_iter().filter_map(Text::boxed).collect(),
            annotations: wire.annotations.0,
            owner: wire.labels.0.into_values().next().map(String::into_boxed_str),
        }
    }
}

impl Default for Meta {
    fn default() -> Self {
        Self::from(Wire::default())
    }
}

impl Meta {
    /// Namespace and name.
    pub fn key(&self) -> ObjectKey {
        self.key.clone()
    }

    /// Its UID; empty if it has none, as no stored object.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The version that was seen.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Counts changes of the spec.
    pub const fn generation(&self) -> Option<i64> {
        self.generation
    }

    /// When it was created.
    pub const fn created(&self) -> Option<Timestamp> {
        self.created
    }

    /// Whether its deletion was asked for.
    pub const fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Those that can be read as texts.
    pub fn finalizers(&self) -> impl Iterator<Item = &str> {
        self.finalizers.iter().map(|finalizer| &**finalizer)
    }

    /// Whether our finalizer holds it.
    pub fn is_held(&self) -> bool {
        self.finalizers().any(|finalizer| finalizer == FINALIZER)
    }

    /// The value of an annotation under our prefix.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }

    /// Every annotation under our prefix.
    pub const fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// The UID that our label names as owner.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }
}

/// A text, or nothing: what is no text, or too long to be one of ours, counts as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(pub Option<String>);

impl Text {
    /// Without the room to grow, for what is kept of each object.
    pub fn boxed(self) -> Option<Box<str>> {
        self.0.map(String::into_boxed_str)
    }
}

/// A number, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Number(pub Option<i64>);

/// Yes or no, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flag(pub Option<bool>);

/// An object with some fields, or its default: what is no object counts as empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maybe<T>(pub T);

/// A list, or an empty one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Many<T>(pub Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Takes anything; what is not wanted of it is the default.
trait Lenient<'de>: Default {
    fn text(_: &str) -> Self {
        Self::default()
    }
    fn number(_: Option<i64>) -> Self {
        Self::default()
    }
    fn flag(_: bool) -> Self {
        Self::default()
    }
    fn map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
    fn seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

struct Anything<T>(PhantomData<T>);

impl<'de, T: Lenient<'de>> Visitor<'de> for Anything<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("anything")
    }
    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::text(text))
    }
    fn visit_bool<E>(self, flag: bool) -> Result<T, E> {
        Ok(T::flag(flag))
    }
    fn visit_i64<E>(self, number: i64) -> Result<T, E> {
        Ok(T::number(Some(number)))
    }
    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(T::number(i64::try_from(number).ok()))
    }
    fn visit_f64<E>(self, _: f64) -> Result<T, E> {
        Ok(T::default())
    }
    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::map(map)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<T, A::Error> {
        T::seq(seq)
    }
}

fn leniently<'de, T: Lenient<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Anything(PhantomData))
}

impl Lenient<'_> for Text {
    fn text(text: &str) -> Self {
        Self((text.len() <= LONGEST).then(|| text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        leniently(deserializer)
    }
}

impl Lenient<'_> for Number {
    fn number(number: Option<i64>) -> Self {
        Self(number)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        leniently(deserializer)
    }
}

impl Lenient<'_> for Flag {
    fn flag(flag: bool) -> Self {
        Self(Some(flag))
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        leniently(deserializer)
    }
}

impl<'de, T: Default + Deserialize<'de>> Lenient<'de> for Maybe<T> {
    fn map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Self)
    }
}

impl<'de, T: Default + Deserialize<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        leniently(deserializer)
    }
}

impl<'de, T: Deserialize<'de>> Lenient<'de> for Many<T> {
    fn seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = seq.next_element()? {
            if all.len() < LONGEST {
                all.push(one);
            }
        }
        Ok(Self(all))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        leniently(deserializer)
    }
}

/// Entries of a map of texts that are wanted.
trait Wanted {
    fn wants(key: &str) -> bool;
}

/// The wanted entries of a map of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entries<W>(BTreeMap<String, String>, PhantomData<W>);

impl<W> Default for Entries<W> {
    fn default() -> Self {
        Self(BTreeMap::new(), PhantomData)
    }
}

impl<'de, W: Wanted> Lenient<'de> for Entries<W> {
    fn map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut kept = Self::default();
        while let Some(key) = map.next_key::<String>()? {
            if W::wants(&key) && key.len() <= LONGEST {
                let Text(value) = map.next_value()?;
                kept.0.extend(value.map(|value| (key, value)));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(kept)
    }
}

impl<'de, W: Wanted> Deserialize<'de> for Entries<W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        leniently(deserializer)
    }
}

/// Annotations under our prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Requests;

impl Wanted for Requests {
    fn wants(key: &str) -> bool {
        key.starts_with(annotations::PREFIX)
    }
}

/// The one label that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner;

impl Wanted for Owner {
    fn wants(key: &str) -> bool {
        key == labels::OWNER_UID
    }
}

/// The metadata of an object, and nothing else of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Bare {
    metadata: Maybe<Meta>,
}

impl Lean for Bare {
    fn meta(&self) -> &Meta {
        &self.metadata.0
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
        let Bare { metadata: Maybe(metadata) } = serde_json::from_str(&text).unwrap();
        assert_eq!(metadata.key().to_string(), "a/n");
        assert_eq!(
            (metadata.uid(), metadata.version(), metadata.generation()),
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
            r#"{"metadata":7}"#,
            r#"{"metadata":{"name":[1],"finalizers":"x","annotations":[{}],"labels":1.5,"generation":true}}"#,
            r#"{"metadata":{"name":null,"finalizers":null,"annotations":null,"labels":null,"generation":null}}"#,
        ] {
            let Bare { metadata: Maybe(metadata) } = serde_json::from_str(text).unwrap();
            assert_eq!(metadata, Meta::default(), "{text}");
            assert!(!metadata.is_held() && !metadata.is_leaving());
        }
    }
}
