//! Keeping a list of `metav1.Condition`s: set and remove, with transition times that move only when the status
//! flips. Types and reasons come in as text; their closed lists are in `api`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// The longest message that is written; the API server refuses more than 32768.
const LONGEST_MESSAGE: usize = 1024;

/// The three values of a condition's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// `True`.
    Yes,
    /// `False`.
    No,
    /// `Unknown`.
    Unknown,
}

impl Truth {
    /// The text in the `status` field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "True",
            Self::No => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::Yes } else { Self::No }
    }
}

/// The condition of a type, if there is one.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether the condition of a type is there and `True`.
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status == Truth::Yes.as_str())
}

/// Sets the condition of a type.
pub fn set(
    conditions: &mut Vec<Condition>,
    kind: &str,
    truth: Truth,
    reason: &str,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) {
    let before = conditions.iter().position(|condition| condition.type_ == kind);
    let since = before
        .and_then(|index| conditions.get(index))
        .filter(|condition| condition.status == truth.as_str())
        .map(|condition| condition.last_transition_time.clone());
    let condition = Condition {
        type_: kind.to_owned(),
        status: truth.as_str().to_owned(),
        reason: reason.to_owned(),
        message: cut(message).to_owned(),
        observed_generation: generation,
        last_transition_time: since.unwrap_or_else(|| Time(whole_seconds(now))),
    };
    match before.and_then(|index| conditions.get_mut(index)) {
        Some(place) => *place = condition,
        None => conditions.push(condition),
    }
}

/// Removes the condition of a type: abnormal conditions are absent when all is well.
pub fn remove(conditions: &mut Vec<Condition>, kind: &str) {
    conditions.retain(|condition| condition.type_ != kind);
}

/// Kubernetes keeps whole seconds: more would differ from what comes back, and be written again.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn cut(message: &str) -> &str {
    message
        .char_indices()
        .nth(LONGEST_MESSAGE)
        .and_then(|(end, _)| message.get(..end))
        .unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_moves_only_when_the_status_flips() {
        let mut list = Vec::new();
        set(&mut list, "Ready", Truth::No, "Creating", "a", Some(1), at(1));
        set(&mut list, "Ready", Truth::No, "Provisioning", "b", Some(2), at(2));
        assert_eq!(list[0].last_transition_time, Time(at(1)));
        assert_eq!(
            (list[0].reason.as_str(), list[0].observed_generation),
            ("Provisioning", Some(2))
        );
        set(&mut list, "Ready", Truth::Yes, "Available", "", Some(2), at(3));
        assert_eq!(list[0].last_transition_time, Time(at(3)));
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn fractions_of_seconds_are_not_kept() {
        let mut list = Vec::new();
        set(
            &mut list,
            "Ready",
            Truth::Yes,
            "A",
            "",
            None,
            "2026-01-01T00:00:00.5Z".parse().unwrap(),
        );
        assert_eq!(list[0].last_transition_time.0, "2026-01-01T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn an_endless_message_is_cut() {
        let mut list = Vec::new();
        set(&mut list, "Ready", Truth::No, "A", &"é".repeat(5000), None, at(0));
        assert_eq!(list[0].message.chars().count(), 1024);
    }
}
