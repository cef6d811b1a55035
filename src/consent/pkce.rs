//! What is drawn for one flow: the PKCE verifier (RFC 7636) and names that cannot be guessed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::rules::random::Random;

/// 256 bits: 43 characters as base64url.
const VERIFIER: usize = 32;
/// 128 bits: 22 characters.
const NAME: usize = 16;

/// Proof that whoever exchanges a code is the one who asked for it.
#[derive(Clone, Debug)]
pub struct Verifier(SecretString);

impl Verifier {
    /// A new one.
    pub fn draw(random: &dyn Random) -> Self {
        Self(SecretString::from(text::<VERIFIER>(random)))
    }

    /// One that was drawn before.
    pub const fn kept(secret: SecretString) -> Self {
        Self(secret)
    }

    /// What is sent with the code.
    pub const fn secret(&self) -> &SecretString {
        &self.0
    }

    /// What is shown beforehand: `S256`.
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.0.expose_secret()))
    }
}

/// A name that nobody can guess. It can be a key in a Secret.
pub fn name(random: &dyn Random) -> String {
    text::<NAME>(random)
}

fn text<const LENGTH: usize>(random: &dyn Random) -> String {
    let mut bytes = zeroize::Zeroizing::new([0; LENGTH]);
    random.fill(bytes.as_mut_slice());
    URL_SAFE_NO_PAD.encode(bytes.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Same;

    impl Random for Same {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    #[test]
    fn the_challenge_of_the_rfc_comes_out() {
        // RFC 7636, appendix B.
        let verifier = Verifier("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into());
        assert_eq!(verifier.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn what_is_drawn_is_long_enough_and_of_the_right_letters() {
        let verifier = Verifier::draw(&Same);
        let shown = verifier.secret().expose_secret();
        assert_eq!(shown.len(), 43);
        assert_eq!(name(&Same).len(), 22);
        let fine = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        assert!(shown.chars().all(fine));
        assert!(!format!("{verifier:?}").contains(shown));
    }
}
