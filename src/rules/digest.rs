//! Keyed digests: how the operator recognizes a secret value without writing it, or anything that could be
//! guessed from it, into a status.
//!
//! Every digest bears the name of its key, `<id>:<hmac>`: what was made with another key can be neither confirmed nor
//! denied, and must not be taken for an edit. What is shown to people is bound to its object as well,
//! `<id>-<object>:<hmac>`: equal values of two objects must not be told to be equal.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::random::Random;

/// Length of a key in bytes.
pub const KEY_LENGTH: usize = 32;

/// Length of the name of a key, in hexadecimal digits.
const ID_LENGTH: usize = 8;

/// Whether a digest is bound to an object: those of earlier releases are not.
pub fn is_bound(digest: &str) -> bool {
    id(digest).is_some_and(|id| id.contains('-'))
}

/// Whether two digests were made with the same key and bound to the same object, so that their difference says
/// something.
pub fn comparable(one: &str, other: &str) -> bool {
    id(one) == id(other)
}

fn id(digest: &str) -> Option<&str> {
    digest.split_once(':').map(|(id, _)| id)
}

/// The key. It lies in a Secret that the operator makes in its own namespace.
#[derive(Clone)]
pub struct DigestKey(Zeroizing<[u8; KEY_LENGTH]>);

impl fmt::Debug for DigestKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DigestKey(…)")
    }
}

impl DigestKey {
    /// A new key.
    pub fn generate(random: &dyn Random) -> Self {
        let mut key = Zeroizing::new([0; KEY_LENGTH]);
        random.fill(key.as_mut_slice());
        Self(key)
    }

    /// The key of these bytes, if there are [`KEY_LENGTH`] of them.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The bytes, for the Secret that keeps them.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// HMAC-SHA-256 over `purpose` and `parts`, as 64 hexadecimal digits after the key's name and a colon. Lengths
    /// are part of the message, so that no two lists of parts give the same.
    pub fn digest<'a>(
        &self,
        purpose: &'static str,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> String {
        format!("{}:{}", self.id(), self.hmac(purpose, parts))
    }

    /// The same, bound to an object, given by its namespace and name: those outlive a restore from a backup. Another
    /// object's digest of the same parts differs, and is not comparable.
    pub fn bound<'a>(
        &self,
        purpose: &'static str,
        object: &'a str,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> String {
        let object = object.as_bytes();
        let mut tag = self.hmac("object", [object]);
        tag.truncate(ID_LENGTH);
        let hmac = self.hmac(purpose, std::iter::once(object).chain(parts));
        format!("{}-{tag}:{hmac}", self.id())
    }

    /// Whether a digest was made with this key, so that it says something.
    pub fn made(&self, digest: &str) -> bool {
        let own = self.id();
        id(digest).is_some_and(|id| id.split('-').next() == Some(own.as_str()))
    }

    /// The key's name: it tells keys apart, and nothing about them.
    fn id(&self) -> String {
        let mut id = self.hmac("id", []);
        id.truncate(ID_LENGTH);
        id
    }

    fn hmac<'a>(&self, purpose: &'static str, parts: impl IntoIterator<Item = &'a [u8]>) -> String {
        hmac_sha256(self.0.as_slice(), |mac| {
            for part in std::iter::once(purpose.as_bytes()).chain(parts) {
                mac.update(&(part.len() as u64).to_be_bytes());
                mac.update(part);
            }
        })
    }
}

/// HMAC-SHA256 (RFC 2104) of what `fill` gives it, in hexadecimal digits.
fn hmac_sha256(key: &[u8], fill: impl FnOnce(&mut Hmac<Sha256>)) -> String {
    // A key of any length is accepted by HMAC, so there is always a Mac.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return String::new();
    };
    fill(&mut mac);
    let bytes = mac.finalize().into_bytes();
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        for half in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(half), 16));
        }
        text
    })
}

/// HMAC-SHA256 (RFC 2104) of a text under a key that others know, in hexadecimal digits.
pub fn plain_hmac(key: &str, text: &str) -> String {
    hmac_sha256(key.as_bytes(), |mac| mac.update(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_depend_on_key_purpose_and_the_cut_of_the_parts() {
        let key = DigestKey::from_bytes(&[7; 32]).unwrap();
        let other = DigestKey::from_bytes(&[8; 32]).unwrap();
        let one = key.digest("password", [b"ab".as_slice(), b"c"]);
        assert_eq!(one.len(), 8 + 1 + 64);
        assert_eq!(one, key.digest("password", [b"ab".as_slice(), b"c"]));
        assert_ne!(one, key.digest("password", [b"a".as_slice(), b"bc"]));
        assert_ne!(one, key.digest("output", [b"ab".as_slice(), b"c"]));
        assert_ne!(one, other.digest("password", [b"ab".as_slice(), b"c"]));
    }

    #[test]
    fn what_is_bound_tells_nothing_about_another_object() {
        let key = DigestKey::from_bytes(&[7; 32]).unwrap();
        let of = |object| key.bound("password", object, [b"secret".as_slice()]);
        assert_eq!(of("a/x"), of("a/x"));
        let tail = |digest: String| digest.split_once(':').unwrap().1.to_owned();
        assert_ne!(tail(of("a/x")), tail(of("b/x")));
        assert!(!comparable(&of("a/x"), &of("b/x")));
        let former = key.digest("password", [b"secret".as_slice()]);
        assert!(is_bound(&of("a/x")) && !is_bound(&former) && !is_bound("d1"));
        assert!(key.made(&of("a/x")) && !comparable(&of("a/x"), &former));
    }

    #[test]
    fn only_digests_of_one_key_are_compared() {
        let key = DigestKey::from_bytes(&[7; 32]).unwrap();
        let other = DigestKey::from_bytes(&[8; 32]).unwrap();
        let one = key.digest("password", [b"ab".as_slice()]);
        let foreign = other.digest("password", [b"ab".as_slice()]);
        assert!(key.made(&one) && other.made(&foreign));
        assert!(!key.made(&foreign) && !key.made("") && !key.made(&one[9..]));
        assert!(comparable(&one, &key.digest("output", [])));
        assert!(!comparable(&one, &foreign) && !comparable(&one, &one[9..]));
    }
}
