//! The error bodies of the API, in all their shapes, made searchable.
//!
//! What comes out stays in this room: it is matched on and then forgotten.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde_json::Value;

/// What an error body says.
#[derive(Default)]
pub(super) struct Remote {
    /// Its messages, in lower case.
    messages: Vec<String>,
    /// The permissions that it calls missing.
    pub(super) missing: Vec<String>,
    /// Whether it is a page of a gateway, not an answer of the API.
    pub(super) is_page: bool,
}

impl Remote {
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let html = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.trim_start().starts_with("text/html"));
        if html || body.trim_ascii_start().starts_with(b"<") {
            return Self { is_page: true, ..Self::default() };
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => {
                let mut messages = Vec::new();
                for field in ["message", "error", "error_description", "error_code"] {
                    collect(value.get(field), &mut messages, 0);
                }
                Self { messages, missing: missing(&value), is_page: false }
            }
            Err(_) => Self {
                messages: vec![String::from_utf8_lossy(body).to_lowercase()],
                ..Self::default()
            },
        }
    }

    /// Whether a message contains `text`, which must be in lower case.
    pub(super) fn says(&self, text: &str) -> bool {
        self.messages.iter().any(|message| message.contains(text))
    }

    /// The first moment that a message names, as ISO 8601.
    pub(super) fn moment(&self) -> Option<Timestamp> {
        let words = self.messages.iter().flat_map(|text| text.split_whitespace());
        let mut moments = words.filter_map(|word| {
            let word = word.trim_matches(|edge: char| !edge.is_ascii_alphanumeric());
            word.to_uppercase().parse().ok()
        });
        moments.next()
    }

    /// Whether a message, or a part of one that lists several faults, starts with `text`.
    pub(super) fn begins(&self, text: &str) -> bool {
        let parts = |message: &String| message.split(", ").any(|part| part.starts_with(text));
        self.messages.iter().any(parts)
    }
}

/// Texts at `value`: itself, the elements of a list, or the message of an object.
fn collect(value: Option<&Value>, messages: &mut Vec<String>, depth: u8) {
    match value {
        Some(Value::String(text)) => messages.push(text.to_lowercase()),
        Some(Value::Array(items)) if depth < 2 => {
            items.iter().take(64).for_each(|item| collect(Some(item), messages, depth + 1));
        }
        Some(Value::Object(object)) if depth < 2 => {
            collect(object.get("message"), messages, depth + 1);
        }
        Some(
            Value::Array(_) | Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_),
        )
        | None => {}
    }
}

/// Names of permissions: nothing that is not one can get from here into a message.
fn missing(value: &Value) -> Vec<String> {
    let is_name = |text: &&str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let list = value.get("missing_permissions").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(is_name)
        .take(16)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Remote {
        Remote::read(&HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn every_shape_of_a_message_is_found() {
        for body in [
            r#"{"message":"The Words here"}"#,
            r#"{"message":["other","The Words here"]}"#,
            r#"{"error":{"name":"BadRequestException","message":"The Words here"}}"#,
            r#"{"error":"The words here"}"#,
            r#"{"error":"x","error_description":"The words here"}"#,
            "The words here",
        ] {
            assert!(read(body).says("the words"), "{body}");
        }
        for body in ["", "{}", "[]", "null", "7", r#"{"other":"the words"}"#] {
            assert!(!read(body).says("the words"), "{body}");
        }
    }

    #[test]
    fn each_of_several_faults_is_found_at_its_beginning() {
        let both = read(r#"{"message":"name should not be empty, region must be one of"}"#);
        assert!(both.begins("name ") && both.begins("region"));
        assert!(!both.begins("should"));
    }

    #[test]
    fn a_page_of_a_gateway_is_known_by_type_or_look() {
        assert!(read("  <!DOCTYPE html><p>{}").is_page);
        let headers =
            HeaderMap::from_iter([(CONTENT_TYPE, "text/html; charset=utf-8".parse().unwrap())]);
        assert!(Remote::read(&headers, b"{}").is_page);
        assert!(!read("{}").is_page);
    }

    #[test]
    fn only_names_of_permissions_come_through() {
        let body = r#"{"missing_permissions":["secrets_read","sbp_secret1","a b","",7,"<x>"]}"#;
        assert_eq!(read(body).missing, ["secrets_read"]);
        let many = serde_json::json!({ "missing_permissions": vec!["a"; 100] }).to_string();
        assert_eq!(read(&many).missing.len(), 16);
    }
}
