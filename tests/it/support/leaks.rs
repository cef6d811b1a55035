//! Looking for secrets in what a whole test made visible: in clear, and in the forms that a secret takes
//! when it is put into something else. Touches nothing; what it reports never holds the secret itself.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Shorter secrets would be found where they are not.
const SHORTEST: usize = 8;
/// A piece of a secret as long as this is a leak too.
const PIECE: usize = 12;
/// What `encodeURIComponent` and most URL libraries leave alone.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A text to look through, and what to call it.
#[derive(Clone, Debug)]
pub struct Text {
    /// Such as `log of the operator`.
    pub name: String,
    /// All of it.
    pub content: String,
}

impl Text {
    /// A text.
    pub fn new(name: impl Into<String>, content: impl Into<String>) -> Self {
        Self { name: name.into(), content: content.into() }
    }
}

/// Every place where one of the secrets shows, without the secret.
///
/// # Panics
/// When a secret is too short to be told from chance.
pub fn leaks(canaries: &[String], texts: &[Text]) -> Vec<String> {
    let mut patterns = BTreeSet::new();
    for (number, canary) in canaries.iter().enumerate() {
        assert!(canary.len() >= SHORTEST, "secret {number} is too short to look for");
        for (form, pattern) in forms(canary) {
            patterns.insert((pattern, form, number));
        }
    }
    let patterns: Vec<_> = patterns.into_iter().collect();
    let searched = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(patterns.iter().map(|(pattern, ..)| pattern))
        .unwrap();
    let mut found = Vec::new();
    for text in texts {
        for hit in searched.find_iter(&text.content) {
            let (_, form, number) = &patterns[hit.pattern().as_usize()];
            let line_start = text.content[..hit.start()].rfind('\n').map_or(0, |end| end + 1);
            let before = line_start.max(hit.start().saturating_sub(80))..hit.start();
            let before = String::from_utf8_lossy(&text.content.as_bytes()[before]);
            let line = text.content[..line_start].matches('\n').count() + 1;
            found.push(format!("{}:{line}: secret {number}, {form}, after {before:?}", text.name));
        }
    }
    found
}

/// # Panics
/// When there is a leak, with all places.
pub fn assert_no_leaks(canaries: &[String], texts: &[Text]) {
    assert!(!canaries.is_empty(), "there is no secret to look for");
    assert!(texts.iter().any(|text| !text.content.is_empty()), "there is nothing to look through");
    let found = leaks(canaries, texts);
    assert!(found.is_empty(), "secrets leaked:\n{}", found.join("\n"));
}

/// The forms of a secret, with their names.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let json = |text: &str| serde_json::to_string(text).unwrap().trim_matches('"').to_owned();
    let url = utf8_percent_encode(secret, COMPONENT).to_string();
    let fully = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let hex = hex(secret);
    let mut forms = vec![
        ("in clear", secret.to_owned()),
        ("JSON-escaped", json(secret)),
        ("JSON-escaped twice", json(&json(secret))),
        ("URL-encoded", lower_escapes(&url)),
        ("URL-encoded", url),
        ("URL-encoded", fully),
        ("in hex", hex.to_uppercase()),
        ("in hex", hex),
    ];
    forms.extend(base64_forms(secret.as_bytes()).map(|form| ("in base64", form)));
    forms.extend(pieces(secret).map(|piece| ("in part", piece)));
    forms
}

fn hex(text: &str) -> String {
    text.bytes()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// `%2F` as `%2f`, which some encoders write.
fn lower_escapes(url: &str) -> String {
    let mut parts = url.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| format!("{text}%{}{}", part[..2].to_lowercase(), &part[2..]))
}

/// Base64 of the secret as part of something longer: three alignments in two alphabets, without the
/// characters at both ends that depend on the neighbours.
fn base64_forms(secret: &[u8]) -> impl Iterator<Item = String> + '_ {
    (0..3).flat_map(move |offset| {
        let padded = [vec![0; offset], secret.to_vec()].concat();
        [STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|alphabet| {
            let text = alphabet.encode(&padded);
            let start = (offset * 8).div_ceil(6);
            let end = padded.len() * 8 / 6;
            text[start..end].to_owned()
        })
    })
}

/// Pieces of the random parts of a secret. Prefixes such as `sb_secret_` and the header and claims of a
/// JWT are no secret.
fn pieces(secret: &str) -> impl Iterator<Item = String> + '_ {
    secret
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|part| part.len() > PIECE && !part.starts_with("eyJ"))
        .flat_map(|part| part.as_bytes().windows(PIECE))
        .map(|piece| String::from_utf8_lossy(piece).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "tok_9f8e7d6c5b4a3f2e1d0c/+\"ü";

    fn found_in(content: &str) -> Vec<String> {
        leaks(&[SECRET.to_owned()], &[Text::new("log", content)])
    }

    #[test]
    fn a_secret_is_found_in_every_form() {
        let nested = serde_json::json!({"message": serde_json::json!({"t": SECRET}).to_string()});
        let url = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect::<String>();
        let component = utf8_percent_encode(SECRET, COMPONENT).to_string();
        let hex = hex(SECRET).to_uppercase();
        for (form, text) in [
            ("clear", SECRET.to_owned()),
            ("JSON", serde_json::json!({ "t": SECRET }).to_string()),
            ("JSON in JSON", nested.to_string()),
            ("form", url),
            ("lower component", lower_escapes(&component)),
            ("component", component),
            ("hex", hex),
        ] {
            assert_eq!(found_in(&format!("before {text} after")).len(), 1, "{form}: {text}");
        }
    }

    #[test]
    fn a_secret_is_found_in_base64_whatever_stands_before_and_after_it() {
        for before in ["", "a", "ab", "abc", "user:"] {
            for after in ["", "x", "xy", "xyz"] {
                let text = format!("{before}{SECRET}{after}");
                for alphabet in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                    let encoded = alphabet.encode(&text);
                    assert_eq!(found_in(&encoded).len(), 1, "{before:?} {after:?}");
                }
            }
        }
    }

    #[test]
    fn a_secret_that_was_cut_short_is_found() {
        assert_eq!(found_in("token tok_9f8e7d6c5b4a3f").len(), 1);
        assert_eq!(found_in("token …4a3f2e1d0c").len(), 0, "ten characters are no leak");
    }

    #[test]
    fn what_all_keys_have_in_common_is_no_leak() {
        let keys = [
            "sb_secret_0123456789abcdefghijkl_01234567",
            "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJzdXBhYmFzZSJ9.Zm9vYmFyYmF6cXV4",
        ];
        let keys = keys.map(str::to_owned);
        let harmless = "sb_secret_… eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJzdXBhYmFzZSJ9.…";
        assert!(leaks(&keys, &[Text::new("log", harmless)]).is_empty());
        let signature = "Zm9vYmFyYmF6cXV4";
        assert_eq!(leaks(&keys, &[Text::new("log", signature)]).len(), 1);
    }

    #[test]
    fn a_report_tells_the_place_and_not_the_secret() {
        let report = found_in(&format!("first\nAuthorization: Bearer {SECRET}\n")).join("");
        assert_eq!(report, r#"log:2: secret 0, in clear, after "Authorization: Bearer ""#);
    }

    #[test]
    #[should_panic(expected = "too short")]
    fn a_secret_that_cannot_be_looked_for_is_an_error() {
        leaks(&["short".to_owned()], &[]);
    }
}
