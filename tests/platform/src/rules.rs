//! What a settings endpoint demands of each field, and the platform's words for what does not fit.
//!
//! Tables of fields live beside their endpoints; this is what all of them share. Written by hand from the API's
//! description, which stays the judge: a test holds every field against it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::answer::Reply;
use crate::world::Call;

/// What a value must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    Flag,
    Text,
    /// A whole number within these bounds.
    Whole(i64, i64),
    /// Any number within these bounds.
    Real(f64, f64),
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A text that passes the check; the words are the platform's.
    Shape(fn(&str) -> bool, &'static str),
    /// An object whose fields are all required and all known.
    Object(&'static [Field]),
    /// An object of optional fields, all known.
    Optional(&'static [Field]),
}

/// One field of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) rule: Rule,
    pub(crate) nullable: bool,
}

/// The value on an untouched project.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Usual {
    Null,
    Is(bool),
    Number(i64),
    Text(&'static str),
}

impl Usual {
    pub(crate) fn value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Is(flag) => flag.into(),
            Self::Number(number) => number.into(),
            Self::Text(text) => text.into(),
        }
    }
}

/// A field that is held, and its value where nobody set it.
pub(crate) type Row = (Field, Usual);

/// The values of some rows, where somebody set them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sheet(BTreeMap<&'static str, Value>);

impl Sheet {
    /// All rows as they are.
    pub(crate) fn shown(&self, rows: &[Row]) -> Map<String, Value> {
        let value = |(field, usual): &Row| {
            let set = self.0.get(field.key).cloned();
            (field.key.to_owned(), set.unwrap_or_else(|| usual.value()))
        };
        rows.iter().map(value).collect()
    }

    /// Merges the known fields of a body; null makes a field usual again.
    pub(crate) fn merge(&mut self, rows: &[Row], body: &Map<String, Value>) {
        for (field, _) in rows {
            match body.get(field.key) {
                None => {}
                Some(Value::Null) => drop(self.0.remove(field.key)),
                Some(value) => drop(self.0.insert(field.key, value.clone())),
            }
        }
    }
}

/// The fields of rows.
pub(crate) fn fields(rows: &[Row]) -> Vec<Field> {
    rows.iter().map(|(field, _)| *field).collect()
}

/// What becomes of fields that no table knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// They are accepted and have no effect.
    Ignored,
    /// They are refused.
    Refused,
}

/// A field that must not be null.
pub(crate) const fn field(key: &'static str, rule: Rule) -> Field {
    Field { key, rule, nullable: false }
}

/// A field that may be null.
pub(crate) const fn nullable(key: &'static str, rule: Rule) -> Field {
    Field { key, rule, nullable: true }
}

/// Refuses a body that breaks a rule; everything that is wrong is named at once.
pub(crate) fn check(
    call: &Call<'_>,
    body: &Map<String, Value>,
    fields: &[Field],
    unknown: Unknown,
) -> Result<(), Reply> {
    let mut faults = Vec::new();
    object_faults("", body, fields, unknown, &mut faults);
    refuse(call, &faults)
}

/// Refuses with these words, if there are any.
pub(crate) fn refuse(call: &Call<'_>, faults: &[String]) -> Result<(), Reply> {
    if faults.is_empty() {
        return Ok(());
    }
    let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
    Err(call.invalid(&faults))
}

fn object_faults(
    path: &str,
    body: &Map<String, Value>,
    fields: &[Field],
    unknown: Unknown,
    faults: &mut Vec<String>,
) {
    for (key, value) in body {
        match fields.iter().find(|field| field.key == key) {
            Some(field) => faults.extend(field.faults(path, value)),
            None if unknown == Unknown::Refused => {
                faults.push(said(path, &format!("Unrecognized key: \"{key}\"")));
            }
            None => {}
        }
    }
}

fn said(path: &str, what: &str) -> String {
    if path.is_empty() { what.to_owned() } else { format!("{path}: {what}") }
}

impl Field {
    /// What is wrong with a value, in the platform's words and without the value.
    pub(crate) fn faults(&self, parent: &str, value: &Value) -> Vec<String> {
        let path =
            if parent.is_empty() { self.key.to_owned() } else { format!("{parent}.{}", self.key) };
        if value.is_null() && self.nullable {
            return Vec::new();
        }
        let one = |what: Option<String>| what.into_iter().map(|what| said(&path, &what)).collect();
        match self.rule {
            Rule::Flag => one(wrong_type(value.is_boolean(), "boolean", value)),
            Rule::Text => one(wrong_type(value.is_string(), "string", value)),
            Rule::Whole(least, most) => one(whole(value, least, most)),
            Rule::Real(least, most) => one(real(value, least, most)),
            Rule::Choice(words) => one((!value.as_str().is_some_and(|word| words.contains(&word)))
                .then(|| format!("Invalid option: expected one of {}", quoted(words)))),
            Rule::Shape(fits, words) => one(match value.as_str() {
                None => wrong_type(false, "string", value),
                Some(text) => (!fits(text)).then(|| words.to_owned()),
            }),
            Rule::Object(fields) => {
                let mut faults = optional(&path, value, fields);
                for field in fields {
                    if value.is_object() && value.get(field.key).is_none() {
                        let missing = wrong_type(false, field.rule.kind(), &Value::Null);
                        let missing = missing.unwrap_or_default().replace("null", "undefined");
                        faults.push(said(&format!("{path}.{}", field.key), &missing));
                    }
                }
                faults
            }
            Rule::Optional(fields) => optional(&path, value, fields),
        }
    }
}

fn optional(path: &str, value: &Value, fields: &[Field]) -> Vec<String> {
    let Some(object) = value.as_object() else {
        return wrong_type(false, "object", value)
            .map(|what| said(path, &what))
            .into_iter()
            .collect();
    };
    let mut faults = Vec::new();
    object_faults(path, object, fields, Unknown::Ignored, &mut faults);
    faults
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    words.join("|")
}

fn wrong_type(fits: bool, expected: &str, value: &Value) -> Option<String> {
    let received = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    (!fits).then(|| format!("Invalid input: expected {expected}, received {received}"))
}

fn whole(value: &Value, least: i64, most: i64) -> Option<String> {
    match value.as_i64() {
        Some(number) if number < least => Some(too_small(&least)),
        Some(number) if number > most => Some(too_big(&most)),
        Some(_) => None,
        None if value.is_number() => {
            Some("Invalid input: expected int, received number".to_owned())
        }
        None => wrong_type(false, "number", value),
    }
}

fn real(value: &Value, least: f64, most: f64) -> Option<String> {
    match value.as_f64() {
        Some(number) if number < least => Some(too_small(&least)),
        Some(number) if number > most => Some(too_big(&most)),
        Some(_) => None,
        None => wrong_type(false, "number", value),
    }
}

fn too_small(least: &dyn std::fmt::Display) -> String {
    format!("Too small: expected number to be >={least}")
}

fn too_big(most: &dyn std::fmt::Display) -> String {
    format!("Too big: expected number to be <={most}")
}

impl Rule {
    /// The word for the type.
    const fn kind(self) -> &'static str {
        match self {
            Self::Flag => "boolean",
            Self::Text | Self::Choice(_) | Self::Shape(..) => "string",
            Self::Whole(..) | Self::Real(..) => "number",
            Self::Object(_) | Self::Optional(_) => "object",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PARTS: &[Field] = &[field("enabled", Rule::Flag)];

    fn faults(rule: Rule, value: &Value) -> String {
        field("size", rule).faults("", value).join(",")
    }

    #[test]
    fn faults_are_told_in_the_words_of_the_platform() {
        assert_eq!(
            faults(Rule::Text, &json!(587)),
            "size: Invalid input: expected string, received number"
        );
        assert_eq!(
            faults(Rule::Whole(6, 10), &json!(11)),
            "size: Too big: expected number to be <=10"
        );
        assert_eq!(
            faults(Rule::Object(PARTS), &json!({})),
            "size.enabled: Invalid input: expected boolean, received undefined"
        );
        assert_eq!(faults(Rule::Object(PARTS), &json!({ "enabled": true })), "");
    }

    #[test]
    fn null_is_for_nullable_fields() {
        assert!(nullable("size", Rule::Text).faults("", &Value::Null).is_empty());
        assert_eq!(
            faults(Rule::Text, &Value::Null),
            "size: Invalid input: expected string, received null"
        );
    }
}
