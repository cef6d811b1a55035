//! What one flow leaves in the browser: the sealed `state`, which travels through the platform and back, and the sealed
//! cookie, which stays and holds the PKCE verifier. Neither is worth anything without the other. No effects.
//!
//! The cookie is sealed for its flow and its connection, so the state of one browser does not open the cookie of
//! another (RFC 9700 §4.7): a stranger cannot put his own authorization into somebody's browser.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::seal::SealKey;
use crate::consent::pkce::{self, Verifier};
use crate::rules::random::Random;

/// How long a person may take, and how long a state is good.
pub const LIFE: Duration = Duration::from_secs(600);
/// The longest address that somebody may be sent on to. Sealed in a state it leaves room for the redirect URI: the
/// platform takes both together up to 4 kB (platform.md §2.1).
pub const RETURN_ADDRESS: usize = 1024;
/// How cookies begin. `__Host-`: only from this host, only over TLS, for no other host (RFC 6265bis §4.1.3.2).
const COOKIE: &str = "__Host-supabase-consent-";
/// How much of a flow's name is in its cookie's.
const COOKIE_NAME: usize = 10;
/// For what a state is sealed.
pub const STATE: &str = "state";

/// One flow, as its state tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The flow's name, which goes on record.
    pub flow: String,
    /// The connection's UID.
    pub uid: String,
    /// When it ends.
    pub ends_at: Timestamp,
    /// Where the browser is sent on to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_to: Option<String>,
}

/// A flow that begins.
#[derive(Debug)]
pub struct Begun {
    /// Travels through the platform.
    pub state: String,
    /// Shown to the platform now; the verifier follows with the code.
    pub challenge: String,
    /// The `Set-Cookie` header.
    pub set_cookie: String,
}

impl Ticket {
    /// A ticket for a new flow.
    pub fn draw(
        random: &dyn Random,
        uid: String,
        return_to: Option<String>,
        now: Timestamp,
    ) -> Option<Self> {
        let ends_at = now.checked_add(SignedDuration::try_from(LIFE).ok()?).ok()?;
        Some(Self {
            flow: pkce::name(random),
            uid,
            ends_at: Timestamp::from_second(ends_at.as_second()).ok()?,
            return_to,
        })
    }

    /// Draws a verifier and seals both halves.
    pub fn begin(&self, key: &SealKey, random: &dyn Random) -> Option<Begun> {
        let verifier = Verifier::draw(random);
        let secret = verifier.secret().expose_secret().as_bytes();
        let cookie = key.seal(random, &self.cookie_purpose(), secret)?;
        let ticket = serde_json::to_vec(self).ok()?;
        Some(Begun {
            state: key.seal(random, STATE, &ticket)?,
            challenge: verifier.challenge(),
            set_cookie: self.set_cookie(&cookie, LIFE.as_secs()),
        })
    }

    /// The ticket that was sealed.
    pub fn read(content: &[u8]) -> Option<Self> {
        serde_json::from_slice(content).ok()
    }

    /// For what the cookie is sealed: this flow of this connection.
    pub fn cookie_purpose(&self) -> String {
        format!("cookie {} {}", self.flow, self.uid)
    }

    /// The verifier of an opened cookie.
    pub fn verifier(content: &[u8]) -> Option<Verifier> {
        let text = std::str::from_utf8(content).ok()?;
        Some(Verifier::kept(SecretString::from(text)))
    }

    /// This flow's cookie among those that the browser sent.
    pub fn cookie<'a>(&self, headers: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        let name = self.cookie_name();
        headers
            .into_iter()
            .flat_map(|header| header.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }

    /// The header that takes this flow's cookie out of the browser.
    pub fn forget_cookie(&self) -> String {
        self.set_cookie("", 0)
    }

    fn cookie_name(&self) -> String {
        let part = self.flow.get(..COOKIE_NAME).unwrap_or(&self.flow);
        format!("{COOKIE}{part}")
    }

    fn set_cookie(&self, value: &str, life: u64) -> String {
        let name = self.cookie_name();
        format!("{name}={value}; Path=/; Max-Age={life}; Secure; HttpOnly; SameSite=Lax")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;
    use crate::consent::browser::seal::KEY_LENGTH;

    #[derive(Debug, Default)]
    struct Counting(AtomicU8);

    impl Random for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    fn key() -> SealKey {
        SealKey::new("flow-1795668000".to_owned(), &[5; KEY_LENGTH]).unwrap()
    }

    fn ticket(random: &Counting, return_to: Option<String>) -> Ticket {
        let uid = "3f2d6c1e-9b57-4a52-8e0e-5c1f4f6a7b8c".to_owned();
        Ticket::draw(random, uid, return_to, "2026-01-01T00:00:00Z".parse().unwrap()).unwrap()
    }

    fn value(set_cookie: &str) -> (&str, &str) {
        set_cookie.split(';').next().unwrap().split_once('=').unwrap()
    }

    #[test]
    fn state_and_cookie_of_one_flow_belong_together_and_to_no_other() {
        let random = Counting::default();
        let (one, other) = (ticket(&random, None), ticket(&random, None));
        let (begun, foreign) =
            (one.begin(&key(), &random).unwrap(), other.begin(&key(), &random).unwrap());
        let back = Ticket::read(&key().open(STATE, &begun.state).unwrap()).unwrap();
        assert_eq!(back, one);
        assert_eq!(back.ends_at, "2026-01-01T00:10:00Z".parse().unwrap());
        let jar = format!(
            "theme=dark; {}={}; {}={}",
            value(&foreign.set_cookie).0,
            value(&foreign.set_cookie).1,
            value(&begun.set_cookie).0,
            value(&begun.set_cookie).1,
        );
        let kept = back.cookie([jar.as_str()]).unwrap();
        let opened = key().open(&back.cookie_purpose(), kept).unwrap();
        assert_eq!(Ticket::verifier(&opened).unwrap().challenge(), begun.challenge);
        // The other flow's cookie, under this one's name.
        let planted = format!("{}={}", value(&begun.set_cookie).0, value(&foreign.set_cookie).1);
        let planted = back.cookie([planted.as_str()]).unwrap();
        assert!(key().open(&back.cookie_purpose(), planted).is_none());
        // Nor is a cookie a state, or a state a cookie.
        assert!(key().open(STATE, kept).is_none());
        assert!(key().open(&back.cookie_purpose(), &begun.state).is_none());
    }

    #[test]
    fn the_cookie_is_for_this_host_over_tls_and_no_script() {
        let random = Counting::default();
        let begun = ticket(&random, None).begin(&key(), &random).unwrap();
        assert!(begun.set_cookie.starts_with("__Host-"));
        for attribute in
            ["; Path=/;", "; Secure;", "; HttpOnly;", "; SameSite=Lax", "; Max-Age=600;"]
        {
            assert!(begun.set_cookie.contains(attribute), "{}", begun.set_cookie);
        }
        assert!(!begun.set_cookie.contains("Domain"));
    }

    #[test]
    fn the_verifier_is_in_neither_half_to_be_read() {
        let random = Counting::default();
        let ticket = ticket(&random, None);
        let begun = ticket.begin(&key(), &random).unwrap();
        let kept = ticket.cookie([begun.set_cookie.split(';').next().unwrap()]).unwrap();
        let opened = key().open(&ticket.cookie_purpose(), kept).unwrap();
        let verifier = std::str::from_utf8(&opened).unwrap();
        assert_eq!(verifier.len(), 43, "256 bits");
        assert!(!begun.state.contains(verifier) && !begun.set_cookie.contains(verifier));
    }

    #[test]
    fn the_longest_state_fits() {
        let random = Counting::default();
        let long = format!("https://portal.example/{}", "a".repeat(RETURN_ADDRESS - 23));
        assert_eq!(long.len(), RETURN_ADDRESS);
        let begun = ticket(&random, Some(long)).begin(&key(), &random).unwrap();
        // The redirect URI is the operator's external address, of which 1 kB is admitted.
        assert!(begun.state.len() + 1024 <= 4096, "{}", begun.state.len());
        let encoded = url::form_urlencoded::byte_serialize(begun.state.as_bytes());
        assert_eq!(encoded.collect::<String>(), begun.state, "no letter grows in a query");
        // Browsers keep 4 kB a cookie.
        assert!(begun.set_cookie.len() < 4096);
    }
}
