//! Database passwords: making them, checking supplied ones, and encoding them for URIs.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::random::{self, Random};

/// Characters of a generated password: 62^40 is about 238 bits.
const LENGTH: usize = 40;
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Fewest characters that the platform takes (platform.md §4.1).
const FEWEST: usize = 4;
/// Most characters of a supplied password: more than anybody needs, and safe within every URI.
const MOST: usize = 256;

/// Everything but RFC 3986's unreserved characters is encoded in user information.
const USERINFO: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A new password: letters and digits, so that it needs no quoting anywhere.
pub fn generate(random: &dyn Random) -> String {
    random::draw(random, ALPHABET, LENGTH)
}

/// Why a supplied password cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Bytes that are no text.
    #[error("it is not valid UTF-8")]
    NotText,
    /// Fewer than the platform takes.
    #[error("it has fewer than {FEWEST} characters")]
    TooShort,
    /// More than any connection string bears.
    #[error("it has more than {MOST} characters")]
    TooLong,
    /// A line break at the end, as `echo` and editors leave it.
    #[error(
        "it ends with a line break; write the Secret without one, for example with --from-literal"
    )]
    TrailingLineBreak,
    /// Tabulators, line breaks and other invisible characters.
    #[error("it contains a control character")]
    ControlCharacter,
}

/// The password in the bytes of a Secret, taken as it is: nothing is trimmed.
pub fn check(bytes: &[u8]) -> Result<&str, Unusable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unusable::NotText)?;
    if text.ends_with('\n') {
        return Err(Unusable::TrailingLineBreak);
    }
    if text.chars().any(char::is_control) {
        return Err(Unusable::ControlCharacter);
    }
    match text.chars().count() {
        0..FEWEST => Err(Unusable::TooShort),
        FEWEST..=MOST => Ok(text),
        _ => Err(Unusable::TooLong),
    }
}

/// The text that [`encode`] was given, if it is text.
pub fn decode(encoded: &str) -> Option<String> {
    percent_decode_str(encoded).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// `text` as it may stand in the user information of a URI.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, USERINFO).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Sevens;

    impl Random for Sevens {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    #[test]
    fn a_generated_password_passes_the_check_and_needs_no_encoding() {
        let password = generate(&Sevens);
        assert!(password.len() >= 32);
        assert_eq!(check(password.as_bytes()), Ok(password.as_str()));
        assert_eq!(encode(&password), password);
    }

    #[test]
    fn supplied_passwords_are_refused_for_a_named_reason() {
        assert_eq!(check(b"\xff\xfe\xfd\xfc"), Err(Unusable::NotText));
        assert_eq!(check(b"abc"), Err(Unusable::TooShort));
        assert_eq!(check("é".repeat(257).as_bytes()), Err(Unusable::TooLong));
        assert_eq!(check(b"secret-word\n"), Err(Unusable::TrailingLineBreak));
        assert_eq!(check(b"secret\tword"), Err(Unusable::ControlCharacter));
        assert_eq!(check("p@ss:w/ö rd%".as_bytes()), Ok("p@ss:w/ö rd%"));
    }

    #[test]
    fn reserved_characters_are_encoded() {
        assert_eq!(encode("p@ss:w/ö rd%#?"), "p%40ss%3Aw%2F%C3%B6%20rd%25%23%3F");
    }
}
