//! The API server's own words about a write that it refused, where they hold nothing of what the write held.
//!
//! A policy, a webhook or the validation itself says what is wrong in words that only it knows, and may quote the object
//! in them. So the words are compared with every value of the Secret that was sent, and left out if any part of one is
//! there. Separate because everything else in this room keeps the server's texts out altogether.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::core::Status;
use serde_json::Value;
use zeroize::Zeroizing;

/// The most characters of the server's words that are passed on.
const LONGEST: usize = 512;
/// So many characters of a value in a row are a part of it.
const PART: usize = 8;
/// What is in the values of many Secrets and is no secret.
const PUBLIC: &str =
    "https://http://postgresql://postgres.supabase.co.pooler.supabase.com sslmode=require";

/// What a refusal says, if that may be shown. `sent` is the body of the refused request.
pub(super) fn of(status: &Status, sent: &[u8]) -> Option<String> {
    let said = status.message.trim();
    // A policy's or a webhook's own text is after these words; in front of them is who and what.
    let after = |words: &str| said.split_once(words).map(|(_, rest)| rest);
    let own = after("denied request: ").or_else(|| after("denied the request: "));
    let own = own.unwrap_or(said).trim();
    let shown: String = own
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(LONGEST)
        .collect();
    (!shown.is_empty() && !quotes(&status.message, sent)).then_some(shown)
}

/// Whether a text holds a part of any value of the object, in clear or as it travels.
fn quotes(text: &str, sent: &[u8]) -> bool {
    // What cannot be read might hold anything.
    let Ok(object) = serde_json::from_slice::<Value>(sent) else {
        return true;
    };
    let Value::Object(mut fields) = object else {
        return true;
    };
    let values: Vec<Zeroizing<String>> = ["data", "stringData"]
        .iter()
        .filter_map(|field| fields.remove(*field))
        .filter_map(|values| values.as_object().cloned())
        .flatten()
        .filter_map(|(_, value)| value.as_str().map(str::to_owned))
        .flat_map(|value| {
            let decoded = STANDARD.decode(&value).unwrap_or_default();
            let decoded = String::from_utf8_lossy(&decoded).into_owned();
            [Zeroizing::new(value), Zeroizing::new(decoded)]
        })
        .collect();
    let public = format!("{}{PUBLIC}", Value::Object(fields));
    values.iter().any(|value| {
        let letters: Vec<char> = value.chars().collect();
        let mut parts = letters.windows(PART.min(letters.len().max(1)));
        parts.any(|part| {
            let part: Zeroizing<String> = Zeroizing::new(part.iter().collect());
            text.contains(part.as_str()) && !public.contains(part.as_str())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "zq9canary-that-nobody-guesses";

    fn sent() -> Vec<u8> {
        let data = serde_json::json!({"SUPABASE_DB_PASSWORD": STANDARD.encode(SECRET),
            "SUPABASE_URL": STANDARD.encode("https://abcdefghijklmnopqrst.supabase.co"), "SUPABASE_DB_PORT": STANDARD.encode("5432"),
            "EMPTY": ""});
        let object = serde_json::json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "orders-supabase", "labels": {"team": "a b"}}, "data": data});
        serde_json::to_vec(&object).unwrap()
    }

    fn said(message: &str) -> Option<String> {
        let status = Status { message: message.to_owned(), ..Status::default() };
        of(&status, &sent())
    }

    #[test]
    fn words_that_quote_nothing_are_passed_on() {
        for (message, words) in [
            (
                "secrets \"orders-supabase\" is forbidden: ValidatingAdmissionPolicy 'labels' with binding 'all' denied request: every Secret carries the label team, see https://wiki.example",
                "every Secret carries the label team, see https://wiki.example",
            ),
            (
                "admission webhook \"policy.example.com\" denied the request: no Secrets\non Fridays",
                "no Secrets on Fridays",
            ),
            (
                "Secret \"orders-supabase\" is invalid: metadata.labels: Invalid value: \"a b\": a valid label must be …",
                "Secret \"orders-supabase\" is invalid: metadata.labels: Invalid value: \"a b\": a valid label must be …",
            ),
        ] {
            assert_eq!(said(message).as_deref(), Some(words));
        }
        assert_eq!(said(""), None);
        assert_eq!(said(&"long ".repeat(1000)).unwrap().chars().count(), LONGEST);
    }

    #[test]
    fn words_that_quote_any_part_of_a_value_are_left_out() {
        let encoded = STANDARD.encode(SECRET);
        for quoted in [SECRET, &encoded, &SECRET[3..11], &encoded[10..18], "abcdefghijkl", "5432"] {
            let message =
                format!("admission webhook \"w\" denied the request: value {quoted} is weak");
            assert_eq!(said(&message), None, "{quoted}");
        }
        let status = Status { message: "anything".to_owned(), ..Status::default() };
        assert_eq!(of(&status, b"no json"), None);
    }
}
