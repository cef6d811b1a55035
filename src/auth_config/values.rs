//! One value of each kind of field: as declared, as read, as sent.
//!
//! PURE.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value as Json;

use super::fields::Kind;
use crate::management::{Given, ProjectRef, Setting};
use crate::rules::digest;
use crate::settings::Value;

/// Seconds of an hour.
const HOUR: f64 = 3600.0;

/// What the platform shows of a secret of a project's Auth settings: a digest that is keyed by the ref.
pub(super) fn shown_digest(reference: &ProjectRef, secret: &SecretString) -> String {
    digest::plain_hmac(reference.as_str(), secret.expose_secret())
}

/// A declared value; none where the spec has nothing of this kind there. Secrets are not read from the spec.
pub(super) fn declared(kind: Kind, spec: &Json) -> Option<Value> {
    match kind {
        Kind::Plain | Kind::Not => plain(spec),
        Kind::Digits | Kind::Hours => spec.as_i64().map(Value::Number),
        // Without what stands around an entry, as the platform's answer is read.
        Kind::Set => Some(Value::Set(texts(spec)?.iter().flat_map(|text| split(text)).collect())),
        Kind::List => Some(Value::List(texts(spec)?.iter().flat_map(|text| split(text)).collect())),
        Kind::Enum(words) => {
            let word = spec.as_str()?;
            let (_, text) = words.iter().find(|(known, _)| *known == word)?;
            Some(Value::Measure { shown: word.to_owned(), same: (*text).to_owned() })
        }
        Kind::Secret => None,
    }
}

fn plain(spec: &Json) -> Option<Value> {
    match spec {
        Json::Bool(flag) => Some(Value::Flag(*flag)),
        Json::Number(number) => number.as_i64().map(Value::Number),
        Json::String(text) => Some(Value::Text(text.clone())),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

fn texts(spec: &Json) -> Option<Vec<String>> {
    let texts = spec.as_array()?.iter();
    texts.map(|text| text.as_str().map(str::to_owned)).collect()
}

/// A value that was read. What is not of the kind is shown as it is, and differs.
pub(super) fn observed(kind: Kind, setting: Option<&Setting>) -> Value {
    let setting = match setting {
        Some(Setting::Nothing) | None => {
            // Nothing is the empty text, which may have a word.
            return match kind {
                Kind::Enum(words) => word_of(words, ""),
                Kind::Not => Value::Flag(true),
                Kind::Plain
                | Kind::Digits
                | Kind::Set
                | Kind::List
                | Kind::Hours
                | Kind::Secret => Value::Unset,
            };
        }
        Some(setting) => setting,
    };
    match (kind, setting) {
        (Kind::Not, Setting::Flag(flag)) => Value::Flag(!flag),
        (Kind::Digits, Setting::Text(text)) => match text.trim().parse() {
            Ok(number) => Value::Number(number),
            Err(_) if text.is_empty() => Value::Unset,
            Err(_) => Value::Text(text.clone()),
        },
        (Kind::Set, Setting::Text(text)) => Value::Set(split(text).collect::<BTreeSet<_>>()),
        (Kind::List, Setting::Text(text)) => Value::List(split(text).collect()),
        (Kind::Hours, Setting::Fraction(hours)) => seconds(*hours),
        (Kind::Hours, Setting::Number(hours)) => {
            hours.checked_mul(3600).map_or(Value::Unset, Value::Number)
        }
        (Kind::Enum(words), Setting::Text(text)) => word_of(words, text),
        (_, Setting::Flag(flag)) => Value::Flag(*flag),
        (_, Setting::Number(number)) => Value::Number(*number),
        (_, Setting::Fraction(number)) => Value::Text(number.to_string()),
        (_, Setting::Text(text)) => Value::Text(text.clone()),
        (_, Setting::Hidden(secret)) => hidden(secret.expose_secret()),
        (_, Setting::Nothing) => Value::Unset,
        (_, Setting::Other) => Value::Text("(not understood)".to_owned()),
    }
}

/// A digest is told from a mask by its form; nothing else of it is kept.
fn hidden(text: &str) -> Value {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.is_empty() {
        Value::Unset
    } else if text.len() == 64 && text.bytes().all(digit) {
        Value::Secret(text.to_owned())
    } else {
        Value::Masked
    }
}

fn word_of(words: &[(&str, &str)], text: &str) -> Value {
    let known = words.iter().find(|(_, known)| *known == text);
    Value::Measure { shown: known.map_or(text, |(word, _)| word).to_owned(), same: text.to_owned() }
}

/// The nearest second: fractions of hours do not give whole ones.
#[expect(clippy::cast_possible_truncation, reason = "limited to what a year has, just before")]
fn seconds(hours: f64) -> Value {
    let seconds = (hours * HOUR).round();
    if (0.0..=1e9).contains(&seconds) {
        Value::Number(seconds as i64)
    } else {
        Value::Text(hours.to_string())
    }
}

fn split(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(|entry| entry.trim().to_owned()).filter(|entry| !entry.is_empty())
}

/// A declared value as it is sent.
pub(super) fn given(kind: Kind, value: &Value) -> Option<Given> {
    match (kind, value) {
        // Exact for every number of seconds that the schema allows.
        #[expect(clippy::cast_precision_loss, reason = "a year has few seconds")]
        (Kind::Hours, Value::Number(seconds)) => Some(Given::Fraction(*seconds as f64 / HOUR)),
        (Kind::Not, Value::Flag(flag)) => Some(Given::Flag(!flag)),
        (Kind::Digits, Value::Number(number)) => Some(Given::Text(number.to_string())),
        (_, Value::Flag(flag)) => Some(Given::Flag(*flag)),
        (_, Value::Number(number)) => Some(Given::Number(*number)),
        (_, Value::Text(text) | Value::Measure { same: text, .. }) => {
            Some(Given::Text(text.clone()))
        }
        (_, Value::List(list)) => Some(Given::Text(list.join(","))),
        (_, Value::Set(set)) => {
            let list: Vec<_> = set.iter().map(String::as_str).collect();
            Some(Given::Text(list.join(",")))
        }
        // What was read is never written back, and a secret has no other way in than its own.
        (_, Value::Unset | Value::Secret(_) | Value::Masked) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WORDS: Kind = Kind::Enum(&[("None", ""), ("LettersDigits", "abc:123")]);

    fn text(text: &str) -> Setting {
        Setting::Text(text.to_owned())
    }

    /// Kind, as declared, as the platform has it.
    fn pairs() -> Vec<(Kind, Json, Option<Setting>)> {
        vec![
            (Kind::Plain, json!("https://a"), Some(text("https://a"))),
            (Kind::Plain, json!(60), Some(Setting::Number(60))),
            (Kind::Plain, json!(false), Some(Setting::Nothing)),
            (Kind::Not, json!(true), Some(Setting::Flag(false))),
            (Kind::Not, json!(false), Some(Setting::Flag(true))),
            (Kind::Digits, json!(587), Some(text("587"))),
            (Kind::Set, json!(["b", "a"]), Some(text("a, b"))),
            (Kind::Set, json!([" a\n", "b"]), Some(text("a,b"))),
            (Kind::Set, json!([]), Some(text(""))),
            (Kind::Set, json!([]), None),
            (Kind::List, json!(["b", "a"]), Some(text("b,a"))),
            (Kind::Hours, json!(1), Some(Setting::Fraction(1.0 / 3600.0))),
            (Kind::Hours, json!(7200), Some(Setting::Number(2))),
            (Kind::Hours, json!(31_536_000), Some(Setting::Fraction(8760.0))),
            (WORDS, json!("None"), Some(Setting::Nothing)),
            (WORDS, json!("None"), Some(text(""))),
            (WORDS, json!("LettersDigits"), Some(text("abc:123"))),
        ]
    }

    #[test]
    fn what_was_declared_is_recognized_when_it_is_read() {
        for (kind, spec, setting) in pairs() {
            let wanted = declared_for_tests(kind, &spec);
            let seen = observed(kind, setting.as_ref());
            assert!(wanted.is_met_by(&seen, true), "{spec}: {wanted:?}, {seen:?}");
        }
        for (kind, spec, setting) in [
            (Kind::Plain, json!(0), None),
            (Kind::Not, json!(true), Some(Setting::Flag(true))),
            (Kind::Digits, json!(587), Some(text("x"))),
            (Kind::List, json!(["a", "b"]), Some(text("b,a"))),
            (Kind::Plain, json!("a"), Some(Setting::Other)),
            (WORDS, json!("None"), Some(text("new"))),
        ] {
            let wanted = declared_for_tests(kind, &spec);
            assert!(!wanted.is_met_by(&observed(kind, setting.as_ref()), true), "{spec}");
        }
    }

    fn declared_for_tests(kind: Kind, spec: &Json) -> Value {
        declared(kind, spec).unwrap()
    }

    #[test]
    fn what_is_sent_reads_back_as_declared() {
        for (kind, spec, _) in pairs() {
            let wanted = declared_for_tests(kind, &spec);
            let setting = match given(kind, &wanted).unwrap() {
                Given::Flag(flag) => Setting::Flag(flag),
                Given::Number(number) => Setting::Number(number),
                Given::Fraction(number) => Setting::Fraction(number),
                Given::Text(text) => Setting::Text(text),
                Given::Secret(_) => panic!("no secret is declared"),
            };
            assert!(wanted.is_met_by(&observed(kind, Some(&setting)), true), "{spec}");
        }
    }

    #[test]
    fn a_digest_is_told_from_a_mask_and_neither_is_ever_sent() {
        let hidden = |text: &str| observed(Kind::Secret, Some(&Setting::Hidden(text.into())));
        let digest = "0123456789abcdef".repeat(4);
        assert_eq!(hidden(&digest), Value::Secret(digest.clone()));
        assert_eq!(hidden(&digest.to_uppercase()), Value::Masked);
        assert_eq!(hidden("*****"), Value::Masked);
        assert_eq!(hidden(""), Value::Unset);
        for value in [Value::Secret(digest), Value::Masked] {
            assert!(given(Kind::Secret, &value).is_none() && given(Kind::Plain, &value).is_none());
        }
    }
}
