//! From the bytes of an answer to an object.
//!
//! `metadata.managedFields` is left out before anything else: anybody may nest it deeper than a parser goes, and
//! nothing here needs it. What is not understood of an object is named by its path, never by its value.

use std::fmt::{self, Write as _};

use serde::Deserialize;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

/// How many fields are taken away before an object counts as not understood at all.
const FIELDS: usize = 32;
/// Levels that are read: no object of ours has a tenth of them, and the parser goes a little deeper.
const DEEPEST: usize = 100;

/// An object as it was read.
#[derive(Debug)]
pub enum Read<K> {
    /// Every field could be read.
    Whole(K),
    /// As far as it is understood.
    Partly(Partly<K>),
}

/// An object of which something is not understood.
#[derive(Debug)]
pub struct Partly<K> {
    /// What is left without the fields that are not understood; none if that makes no object.
    pub rest: Option<K>,
    /// Paths of those fields, such as `spec.powerState`.
    pub fields: Vec<String>,
}

impl<K> Read<K> {
    /// What is understood of it, if that makes an object.
    pub fn understood(self) -> Option<K> {
        match self {
            Self::Whole(object) => Some(object),
            Self::Partly(partly) => partly.rest,
        }
    }
}

impl<K> Partly<K> {
    /// The fields, in words.
    pub fn named(&self) -> String {
        self.fields.join(", ")
    }
}

/// Reads an object without managed fields. None if the bytes are no object at all.
pub(super) fn object<K: DeserializeOwned>(body: &[u8]) -> Option<Read<K>> {
    let Stripped(value) = serde_json::from_slice(body).ok()?;
    understood(value)
}

/// The same with managed fields, as deep as anything is read.
pub(super) fn managed<K: DeserializeOwned>(body: &[u8]) -> Option<Read<K>> {
    let mut parser = serde_json::Deserializer::from_slice(body);
    let all = Shallow { without: &[], depth: DEEPEST };
    let value = all.deserialize(&mut parser).ok()?;
    parser.end().ok()?;
    understood(value)
}

fn understood<K: DeserializeOwned>(value: Value) -> Option<Read<K>> {
    if !value.is_object() {
        return None;
    }
    // Most are whole: only what is not pays for the search.
    match K::deserialize(&value) {
        Ok(whole) => Some(Read::Whole(whole)),
        Err(_) => Some(Read::Partly(partly(value))),
    }
}

/// Takes away what is not understood, field by field, until the rest is.
fn partly<K: DeserializeOwned>(mut value: Value) -> Partly<K> {
    let mut fields = Vec::new();
    while fields.len() < FIELDS {
        let failed = match serde_path_to_error::deserialize::<_, K>(&value) {
            Ok(rest) => {
                return Partly { rest: Some(rest), fields };
            }
            Err(error) => error.into_path_parts(),
        };
        match remove(&mut value, &failed) {
            Some(path) => fields.push(path),
            None => break,
        }
    }
    if fields.is_empty() {
        fields.push("the object".to_owned());
    }
    Partly { rest: None, fields }
}

/// Takes the field at a path away; none if there is no such field.
fn remove(value: &mut Value, path: &[Step]) -> Option<String> {
    let (last, parents) = path.split_last()?;
    let mut parent = value;
    for step in parents {
        parent = match step {
            Step::Key(key) => parent.get_mut(key)?,
            Step::Index(index) => parent.get_mut(index)?,
        };
    }
    match (last, parent) {
        (Step::Key(key), Value::Object(parent)) => drop(parent.remove(key)?),
        (Step::Index(index), Value::Array(parent)) if *index < parent.len() => {
            drop(parent.remove(*index));
        }
        _ => return None,
    }
    Some(shown(path))
}

enum Step {
    Key(String),
    Index(usize),
}

trait PathParts {
    fn into_path_parts(self) -> Vec<Step>;
}

impl<E> PathParts for serde_path_to_error::Error<E> {
    fn into_path_parts(self) -> Vec<Step> {
        let steps = self.path().iter().filter_map(|segment| match segment {
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        steps.collect()
    }
}

fn shown(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.extend(key.chars().take(63));
            }
            // Writing to a text does not fail.
            Step::Index(index) => drop(write!(text, "[{index}]")),
        }
    }
    text
}

/// An object without managed fields.
struct Stripped(Value);

impl<'de> Deserialize<'de> for Stripped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = Shallow { without: &["metadata", "managedFields"], depth: DEEPEST };
        all.deserialize(deserializer).map(Self)
    }
}

/// Reads a value without one field, given by its path, and no deeper than so many levels: below is null.
#[derive(Clone, Copy)]
struct Shallow {
    without: &'static [&'static str],
    depth: usize,
}

impl Shallow {
    /// How to read the field of this name; none if it is left out.
    fn within(self, key: &str) -> Option<Self> {
        let depth = self.depth - 1;
        match self.without {
            [last] if key == *last => None,
            [first, rest @ ..] if key == *first => Some(Self { without: rest, depth }),
            _ => Some(Self { without: &[], depth }),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Shallow {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth == 0 {
            // Skipped in a loop, at any depth.
            deserializer.deserialize_ignored_any(IgnoredAny)?;
            return Ok(Value::Null);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shallow {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        let item = Self { without: &[], depth: self.depth - 1 };
        while let Some(value) = items.next_element_seed(item)? {
            all.push(value);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if let Some(within) = self.within(&key) {
                map.insert(key, entries.next_value_seed(within)?);
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{DeletionPolicy, SupabaseProject};

    fn project() -> Value {
        json!({
            "apiVersion": "supabase-operator.dev/v1alpha1", "kind": "SupabaseProject",
            "metadata": {"name": "orders", "namespace": "team", "uid": "u"},
            "spec": {"connectionRef": {"name": "acme"}, "region": "eu-central-1", "deletionPolicy": "Delete"},
            "status": {"ref": "aaaaaaaaaaaaaaaaaaaa"},
        })
    }

    #[test]
    fn managed_fields_of_any_depth_are_passed_over() {
        let deep = format!("{}{}", "{\"a\":".repeat(100_000), "{}") + &"}".repeat(100_000);
        let text = project().to_string().replacen(
            "\"name\":\"orders\"",
            &format!("\"name\":\"orders\",\"managedFields\":[{{\"fieldsV1\":{deep}}}]"),
            1,
        );
        let Some(Read::Whole(read)) = object::<SupabaseProject>(text.as_bytes()) else {
            panic!("not whole");
        };
        assert_eq!(read.metadata.name.as_deref(), Some("orders"));
        assert_eq!(read.metadata.managed_fields, None);
        let Some(Read::Whole(read)) = managed::<SupabaseProject>(text.as_bytes()) else {
            panic!("not whole");
        };
        assert_eq!(read.metadata.managed_fields.map(|fields| fields.len()), Some(1));
    }

    #[test]
    fn what_is_nested_too_deep_elsewhere_is_named_like_anything_that_is_not_understood() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let spec = "\"spec\":{";
        let text = project().to_string();
        let unknown = text.replacen(spec, &format!("{spec}\"new\":{deep},"), 1);
        assert!(matches!(object::<SupabaseProject>(unknown.as_bytes()), Some(Read::Whole(_))));
        let known = text.replacen(spec, &format!("{spec}\"powerState\":{deep},"), 1);
        let Some(Read::Partly(read)) = object::<SupabaseProject>(known.as_bytes()) else {
            panic!("not partly");
        };
        assert_eq!(read.fields, ["spec.powerState"]);
    }

    #[test]
    fn what_a_newer_release_has_added_is_named_and_the_rest_is_read() {
        let mut newer = project();
        newer["spec"]["powerState"] = json!("Hibernated");
        newer["spec"]["outputs"] = json!([{"name": "a"}, {"name": "b", "preset": "Quantum"}]);
        let Some(Read::Partly(read)) = object::<SupabaseProject>(newer.to_string().as_bytes())
        else {
            panic!("not partly");
        };
        let mut fields = read.fields.clone();
        fields.sort();
        assert_eq!(fields, ["spec.outputs[1].preset", "spec.powerState"]);
        let rest = read.rest.unwrap();
        assert_eq!(rest.spec.deletion_policy, DeletionPolicy::Delete);
        assert_eq!(rest.status.unwrap().reference.as_deref(), Some("aaaaaaaaaaaaaaaaaaaa"));
    }

    #[test]
    fn what_makes_no_object_is_named_too_and_no_value_is_shown() {
        let canary = "zq9canary";
        let mut odd = project();
        odd["spec"] = json!({"connectionRef": [canary]});
        let Some(Read::Partly(read)) = object::<SupabaseProject>(odd.to_string().as_bytes()) else {
            panic!("not partly");
        };
        assert!(read.rest.is_none() && !read.fields.is_empty());
        assert!(!read.named().contains(canary), "{}", read.named());
        for none in ["", "[]", "{", "null", "\"x\""] {
            assert!(object::<SupabaseProject>(none.as_bytes()).is_none(), "{none}");
        }
    }
}
