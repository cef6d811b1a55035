//! Values of settings in one form, whoever says them: compared, and shown within bounds.

use std::collections::BTreeSet;

use crate::api::settings::LONGEST_SHOWN;

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// None: the platform's default.
    Unset,
    /// A truth value.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
    /// Texts in an order that matters.
    List(Vec<String>),
    /// Texts in any order.
    Set(BTreeSet<String>),
    /// Something that can be written in several ways.
    Measure {
        /// As it was written.
        shown: String,
        /// The same for all ways to write it.
        same: String,
    },
    /// A secret, by what the platform shows of it.
    Secret(String),
    /// A secret that the platform has and shows nothing of.
    Masked,
}

impl Value {
    /// Whether the platform has what is wanted. `changed` decides where it does not show what it has.
    pub fn is_met_by(&self, seen: &Self, changed: bool) -> bool {
        match (self, seen) {
            (Self::Measure { same: one, .. }, Self::Measure { same: other, .. }) => one == other,
            (Self::Secret(_), Self::Masked) => !changed,
            // The platform does not tell nothing from empty.
            (wanted, Self::Unset) => wanted.is_empty(),
            (Self::Unset, seen) => seen.is_empty(),
            (wanted, seen) => wanted == seen,
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Unset | Self::Flag(false) => true,
            Self::Text(text) => text.is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Set(set) => set.is_empty(),
            Self::Flag(true)
            | Self::Number(_)
            | Self::Measure { .. }
            | Self::Secret(_)
            | Self::Masked => false,
        }
    }

    /// What a digest is made of: equal for equal values.
    pub(super) fn canonical(&self) -> String {
        // Lengths, so that no two lists give the same.
        let joined = |texts: &mut dyn Iterator<Item = &String>| -> String {
            texts.fold(String::new(), |all, text| format!("{all}{}:{text}", text.len()))
        };
        match self {
            Self::Unset | Self::Masked => "-".to_owned(),
            Self::Flag(flag) => format!("f{flag}"),
            Self::Number(number) => format!("n{number}"),
            Self::Text(text) => format!("t{text}"),
            Self::List(list) => format!("l{}", joined(&mut list.iter())),
            Self::Set(set) => format!("s{}", joined(&mut set.iter())),
            Self::Measure { same, .. } => format!("m{same}"),
            Self::Secret(digest) => format!("d{digest}"),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Unset => "(default)".to_owned(),
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) | Self::Measure { shown: text, .. } => text.clone(),
            Self::List(list) => list.join(","),
            Self::Set(set) => set.iter().map(String::as_str).collect::<Vec<_>>().join(","),
            Self::Secret(_) | Self::Masked => "(set)".to_owned(),
        }
    }
}

/// How a difference is shown: what is wanted, and what is there. Of sets what is missing and what is too much; of secrets
/// nothing.
pub fn difference(wanted: &Value, seen: &Value) -> (String, String) {
    let signed = |sign: char, from: &BTreeSet<String>, without: &BTreeSet<String>| {
        let list: Vec<_> = from.difference(without).map(|text| format!("{sign}{text}")).collect();
        list.join(" ")
    };
    let (wanted, seen) = match (wanted, seen) {
        (Value::Set(wanted), Value::Set(seen)) => {
            (signed('+', wanted, seen), signed('−', seen, wanted))
        }
        (Value::Secret(_), Value::Unset) => ("(set)".to_owned(), "(not set)".to_owned()),
        (Value::Secret(_), _) => ("(set)".to_owned(), "(another value)".to_owned()),
        (wanted, seen) => (wanted.shown(), seen.shown()),
    };
    (cut(&wanted, LONGEST_SHOWN), cut(&seen, LONGEST_SHOWN))
}

/// The beginning of a text, in bytes, without what is not to be shown.
pub fn cut(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for letter in text.chars().filter(|letter| !letter.is_control()) {
        if shown.len() + letter.len_utf8() > most {
            break;
        }
        shown.push(letter);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> Value {
        Value::Set(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn nothing_and_empty_are_the_same_and_zero_is_not() {
        for empty in [Value::Unset, Value::Flag(false), Value::Text(String::new()), set(&[])] {
            assert!(empty.is_met_by(&Value::Unset, true), "{empty:?}");
            assert!(Value::Unset.is_met_by(&empty, true), "{empty:?}");
        }
        assert!(!Value::Number(0).is_met_by(&Value::Unset, false));
        assert!(!Value::Flag(true).is_met_by(&Value::Unset, false));
    }

    #[test]
    fn a_secret_is_judged_by_its_digest_or_else_by_whether_it_changed() {
        let wanted = Value::Secret("a".to_owned());
        assert!(wanted.is_met_by(&Value::Secret("a".to_owned()), true));
        assert!(!wanted.is_met_by(&Value::Secret("b".to_owned()), false));
        assert!(wanted.is_met_by(&Value::Masked, false) && !wanted.is_met_by(&Value::Masked, true));
        assert!(!wanted.is_met_by(&Value::Unset, false));
        let (shown, seen) = difference(&wanted, &Value::Secret("b".to_owned()));
        assert_eq!((shown.as_str(), seen.as_str()), ("(set)", "(another value)"));
    }

    #[test]
    fn sets_show_what_is_missing_and_what_is_too_much() {
        let (wanted, seen) = difference(&set(&["a", "b"]), &set(&["b", "c"]));
        assert_eq!((wanted.as_str(), seen.as_str()), ("+a", "−c"));
    }

    #[test]
    fn what_is_shown_is_bounded_in_bytes_and_has_no_control_characters() {
        let long = Value::Text("é".repeat(1000));
        let (wanted, seen) = difference(&long, &Value::Text("a\u{1b}[1m\nb".to_owned()));
        assert!(wanted.len() <= LONGEST_SHOWN && wanted.ends_with('é'));
        assert_eq!(seen, "a[1mb");
    }

    #[test]
    fn equal_values_and_no_others_have_one_canonical_form() {
        let list =
            |texts: &[&str]| Value::List(texts.iter().map(|text| (*text).to_owned()).collect());
        assert_ne!(list(&["ab", "c"]).canonical(), list(&["a", "bc"]).canonical());
        assert_ne!(Value::Text("1".to_owned()).canonical(), Value::Number(1).canonical());
        assert_eq!(set(&["b", "a"]).canonical(), set(&["a", "b"]).canonical());
    }
}
