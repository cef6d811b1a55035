//! From a spec and what was read to groups of the settings engine, and from a planned write to what is sent.
//!
//! PURE: the spec is walked by the table. Secrets come in resolved, and leave only in a request.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::Value as Json;

use super::fields::{FIELDS, Field, Gate, Kind, WHOLES, Whole};
use super::values::{declared, given, observed, shown_digest};
use crate::api::Reason;
use crate::api::auth_config::{SecretSource, SupabaseAuthConfigSpec};
use crate::api::reference::SecretKeyRef;
use crate::management::{Change, Given, ProjectRef, Settings};
use crate::settings::{Declared, Digester, Group, Reading, Unusable, Value, Write};

/// The secrets that a spec names, by their place in it: the value, or why there is none.
pub type Resolved = BTreeMap<&'static str, Result<SecretString, String>>;

/// The spec as the table walks it.
struct Spec(Json);

impl Spec {
    fn of(spec: &SupabaseAuthConfigSpec) -> Self {
        // Types of ours that can only become JSON.
        Self(serde_json::to_value(spec).unwrap_or_default())
    }

    fn at(&self, path: &str) -> Option<&Json> {
        path.split('.').try_fold(&self.0, |value, part| value.get(part))
    }

    /// Whether a group is switched off by what is declared.
    fn is_off(&self, whole: &Whole) -> bool {
        self.at(whole.switch) == Some(&Json::Bool(false))
    }
}

/// The Secrets to read, by their place in the spec. Those of a group that is switched off are not needed.
pub fn secret_refs(spec: &SupabaseAuthConfigSpec) -> Vec<(&'static str, SecretKeyRef)> {
    let spec = Spec::of(spec);
    let secret = |field: &&Field| matches!(field.kind, Kind::Secret);
    let needed = |field: &&Field| !whole_of(field.path).is_some_and(|whole| spec.is_off(whole));
    let named = |field: &Field| {
        let source = spec.at(field.path)?.clone();
        let source: SecretSource = serde_json::from_value(source).ok()?;
        Some((field.path, source.secret_key_ref))
    };
    let fields = FIELDS.iter().filter(secret).filter(needed);
    fields.filter_map(named).collect()
}

fn whole_of(path: &str) -> Option<&'static Whole> {
    let within = |whole: &&Whole| {
        let rest = path.strip_prefix(whole.path);
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    WHOLES.iter().find(within)
}

/// The groups that a spec declares, with what was read of each.
pub fn groups(
    spec: &SupabaseAuthConfigSpec,
    secrets: &Resolved,
    read: Result<&Settings, &Reading>,
    reference: &ProjectRef,
    digester: Digester<'_>,
) -> Vec<Group> {
    let spec = Spec::of(spec);
    let wholes = WHOLES.iter().filter(|whole| spec.at(whole.path).is_some());
    let wholes = wholes.map(|whole| {
        if spec.is_off(whole) {
            off(whole, read, digester)
        } else {
            let fields = FIELDS.iter().filter(|field| is_within(field, whole));
            group(whole.path, whole.group as u8, fields, &spec, secrets, read, reference, digester)
        }
    });
    let singles = FIELDS
        .iter()
        .filter(|field| whole_of(field.path).is_none() && spec.at(field.path).is_some());
    let singles = singles.map(|field| {
        let one = std::iter::once(field);
        group(field.path, field.group as u8, one, &spec, secrets, read, reference, digester)
    });
    wholes.chain(singles).collect()
}

fn is_within(field: &Field, whole: &Whole) -> bool {
    whole_of(field.path).is_some_and(|own| own.path == whole.path)
}

#[expect(clippy::too_many_arguments, reason = "all of them, for each group")]
fn group<'a>(
    path: &str,
    order: u8,
    fields: impl Iterator<Item = &'a Field>,
    spec: &Spec,
    secrets: &Resolved,
    read: Result<&Settings, &Reading>,
    reference: &ProjectRef,
    digester: Digester<'_>,
) -> Group {
    let mut values = Vec::new();
    let mut seen = BTreeMap::new();
    let mut gate = Gate::None;
    for field in fields {
        gate = field.gate;
        let value = if matches!(field.kind, Kind::Secret) {
            match secrets.get(field.path) {
                Some(Ok(secret)) => {
                    let shown = shown_digest(reference, secret);
                    Some(Declared::Secret(secret.clone(), shown))
                }
                Some(Err(words)) => return missing(path, order, field, words),
                None if spec.at(field.path).is_some() => {
                    return missing(path, order, field, "the Secret was not read yet");
                }
                None => None,
            }
        } else {
            let value = spec.at(field.path).and_then(|value| declared(field.kind, value));
            value.map(Declared::Plain)
        };
        let Some(value) = value else { continue };
        values.push((field.path.to_owned(), value));
        if let Ok(settings) = read {
            let value = observed(field.kind, settings.get(field.key));
            seen.insert(field.path.to_owned(), value);
        }
    }
    let group = digester.group(path, order, values, reading(read, seen));
    match gate {
        Gate::None => group,
        Gate::After(other) => group.after(other),
    }
}

fn missing(path: &str, order: u8, field: &Field, words: &str) -> Group {
    let unusable = Unusable {
        reason: Reason::SecretMissing,
        path: field.path.to_owned(),
        words: words.to_owned(),
    };
    Group::unusable(path, order, unusable)
}

/// A group that is switched off: whether it is on is all that counts.
fn off(whole: &Whole, read: Result<&Settings, &Reading>, digester: Digester<'_>) -> Group {
    let mut seen = BTreeMap::new();
    if let Ok(settings) = read {
        let value = observed(Kind::Plain, settings.get(whole.off));
        let on = !Value::Unset.is_met_by(&value, false);
        seen.insert(whole.switch.to_owned(), Value::Flag(on));
    }
    let value = Declared::Plain(Value::Flag(false));
    let fields = vec![(whole.switch.to_owned(), value)];
    digester.group(whole.path, whole.group as u8, fields, reading(read, seen))
}

fn reading(read: Result<&Settings, &Reading>, values: BTreeMap<String, Value>) -> Reading {
    match read {
        // Auth settings say nothing about whether they are in force.
        Ok(_) => Reading::Seen { values, settled: true },
        Err(reading) => reading.clone(),
    }
}

/// What a planned write sends. A group goes whole; a secret only where the plan says so; nothing that was read goes back.
pub fn change(spec: &SupabaseAuthConfigSpec, secrets: &Resolved, write: &Write) -> Change {
    let spec = Spec::of(spec);
    let mut change = Change::new();
    for whole in WHOLES {
        if spec.is_off(whole) && write.sets(whole.path) {
            change.insert(whole.off.to_owned(), Given::Text(String::new()));
        }
    }
    for field in FIELDS {
        let whole = whole_of(field.path);
        let path = whole.map_or(field.path, |whole| whole.path);
        if !write.sets(path) || whole.is_some_and(|whole| spec.is_off(whole)) {
            continue;
        }
        let value = if matches!(field.kind, Kind::Secret) {
            let secret = secrets.get(field.path).filter(|_| write.sends(field.path));
            secret.and_then(|secret| secret.as_ref().ok().cloned().map(Given::Secret))
        } else {
            let value = spec.at(field.path).and_then(|value| declared(field.kind, value));
            value.and_then(|value| given(field.kind, &value))
        };
        if let Some(value) = value {
            change.insert(field.key.to_owned(), value);
        }
    }
    change
}
