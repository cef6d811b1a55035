//! The address under which consent can be given for a connection: stable, and not to be guessed.
//!
//! Whoever knows it can begin consent flows, as many as the bound on open ones, and do nothing else. It hangs on the object's UID, so that another object
//! of the same name has another address.

use super::digest::DigestKey;

/// The path of consent pages, before a link's name.
pub const PAGES: &str = "/connect/";
/// How much of the digest names a link: 128 bits, in hexadecimal digits.
const LENGTH: usize = 32;

/// Makes addresses of consent pages.
#[derive(Clone, Debug)]
pub struct ConsentLinks {
    base: String,
    key: DigestKey,
}

impl ConsentLinks {
    /// Addresses below `base`, which has no slash at its end.
    pub fn new(base: String, key: DigestKey) -> Self {
        Self { base, key }
    }

    /// The address for the connection with this UID.
    pub fn url(&self, uid: &str) -> String {
        format!("{}{PAGES}{}", self.base, self.name(uid))
    }

    /// The last part of that address.
    pub fn name(&self, uid: &str) -> String {
        let digest = self.key.digest("consent-link", [uid.as_bytes()]);
        // What is before the colon names the key.
        let mut name = digest.rsplit(':').next().map(str::to_owned).unwrap_or_default();
        name.truncate(LENGTH);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(key: u8) -> ConsentLinks {
        let key = DigestKey::from_bytes(&[key; 32]).unwrap();
        ConsentLinks::new("https://connect.example".to_owned(), key)
    }

    #[test]
    fn a_link_is_stable_and_says_nothing_of_its_object() {
        let url = links(7).url("uid-1");
        assert_eq!(url, links(7).url("uid-1"));
        assert_ne!(url, links(7).url("uid-2"));
        assert_ne!(url, links(8).url("uid-1"));
        let name = url.strip_prefix("https://connect.example/connect/").unwrap();
        assert_eq!(name.len(), LENGTH);
        assert!(name.chars().all(|digit| digit.is_ascii_hexdigit()), "{name}");
    }
}
