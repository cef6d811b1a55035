//! Sealing what travels through a browser: encrypted and authenticated (AES-256-GCM), for one purpose only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::rules::random::Random;

/// Length of a key in bytes.
pub const KEY_LENGTH: usize = 32;

/// A key and its name, which travels with what it sealed.
#[derive(Clone, Debug)]
pub struct SealKey {
    name: String,
    key: LessSafeKey,
}

impl SealKey {
    /// The key of these bytes, if there are [`KEY_LENGTH`] of them.
    pub fn new(name: String, bytes: &[u8]) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, bytes).ok()?;
        Some(Self { name, key: LessSafeKey::new(key) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Seals `content` for a purpose: `<name>.<sealed>`, of letters that fit into a query and a cookie.
    pub fn seal(&self, random: &dyn Random, purpose: &str, content: &[u8]) -> Option<String> {
        // Random nonces are fine for the few thousand messages of a key's day.
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce);
        let mut sealed = Zeroizing::new(Vec::with_capacity(content.len() + MAX_TAG_LEN));
        sealed.extend_from_slice(content);
        let aad = Aad::from(purpose.as_bytes());
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut *sealed)
            .ok()?;
        let mut whole = nonce.to_vec();
        whole.extend_from_slice(&sealed);
        Some(format!("{}.{}", self.name, URL_SAFE_NO_PAD.encode(whole)))
    }

    /// What was sealed with this key for this purpose; nothing if anything is amiss.
    pub fn open(&self, purpose: &str, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let (name, text) = sealed.split_once('.')?;
        if name != self.name {
            return None;
        }
        let whole = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, rest) = whole.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut content = Zeroizing::new(rest.to_vec());
        let length =
            self.key.open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut content).ok()?.len();
        content.truncate(length);
        Some(content)
    }
}

/// The name of the key that sealed a text.
pub fn key_name(sealed: &str) -> Option<&str> {
    sealed.split_once('.').map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug)]
    struct Same(u8);

    impl Random for Same {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn key(name: &str, byte: u8) -> SealKey {
        SealKey::new(name.to_owned(), &[byte; KEY_LENGTH]).unwrap()
    }

    #[test]
    fn only_the_same_key_opens_it_and_only_for_the_same_purpose() {
        let sealed = key("k1", 1).seal(&Same(9), "state", b"content").unwrap();
        assert_eq!(key("k1", 1).open("state", &sealed).unwrap().as_slice(), b"content");
        assert!(key("k1", 2).open("state", &sealed).is_none());
        assert!(key("k2", 1).open("state", &sealed).is_none());
        assert!(key("k1", 1).open("cookie", &sealed).is_none());
        assert_eq!(key_name(&sealed), Some("k1"));
    }

    #[test]
    fn a_key_has_one_length() {
        assert!(SealKey::new("k".to_owned(), &[1; 31]).is_none());
        assert!(SealKey::new("k".to_owned(), &[1; 33]).is_none());
    }

    proptest! {
        #[test]
        fn what_is_changed_anywhere_does_not_open(
            content in prop::collection::vec(any::<u8>(), 0..200),
            place in any::<prop::sample::Index>(),
            letter in "[A-Za-z0-9_.-]",
        ) {
            let key = key("k1", 1);
            let sealed = key.seal(&Same(3), "state", &content).unwrap();
            let opened = key.open("state", &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), content.as_slice());
            let at = place.index(sealed.len());
            let mut changed = sealed.clone();
            changed.replace_range(at..=at, &letter);
            prop_assert!(changed == sealed || key.open("state", &changed).is_none());
        }

        #[test]
        fn whatever_comes_is_no_reason_to_panic(text in ".{0,200}") {
            let opened = key("k1", 1).open("state", &text);
            prop_assert!(opened.is_none());
        }
    }
}
