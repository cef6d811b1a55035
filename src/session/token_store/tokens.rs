//! What the state Secret of a connection holds: the current pair of tokens, what was consumed, and the marker of a
//! refresh under way.
//!
//! PURE: from the data of a Secret to values and back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::management::OAuthApp;
use crate::rules::digest::DigestKey;

/// Digests of refresh tokens that a chain has left behind; those of seeds that were spent are kept for ever.
pub(super) const CHAIN: usize = 64;
/// Digests of seeds that the platform refused: an older one that comes back is refused once more, and nothing is lost.
const REFUSED: usize = 256;

/// A token and how it is recognized without being shown.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token.
    pub value: SecretString,
    /// Its keyed digest.
    pub digest: String,
}

impl Token {
    /// An access token.
    pub fn access(key: &DigestKey, value: SecretString) -> Self {
        let digest = key.digest("access-token", [value.expose_secret().as_bytes()]);
        Self { value, digest }
    }

    /// A refresh token.
    pub fn refresh(key: &DigestKey, value: SecretString) -> Self {
        let digest = key.digest("refresh-token", [value.expose_secret().as_bytes()]);
        Self { value, digest }
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

/// The OAuth app and how it is recognized.
#[derive(Clone, Debug)]
pub struct App {
    /// Client ID and client secret.
    pub app: OAuthApp,
    /// Its keyed digest.
    pub digest: String,
}

/// A refresh token that must not be sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumed {
    /// The token's digest.
    pub digest: String,
    /// Whether it came from a seed Secret.
    #[serde(default)]
    pub seed: bool,
    /// Digest of the app that presented it when it was refused; absent where it was spent. Another app may still
    /// be the right one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Consumed {
    fn digests(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.digest.as_str()).chain(self.refused.as_deref())
    }
}

/// Written before a refresh token is sent: who sends which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The random name of the process that sends it.
    pub process: String,
    /// When, by that process's wall clock. For people.
    pub at: Timestamp,
    /// Digest of the refresh token.
    pub token: String,
}

/// All that the state Secret holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenState {
    /// For calls.
    pub access: Option<Token>,
    /// For the next pair.
    pub refresh: Option<Token>,
    /// When the pair came into the token store. For people and metrics.
    pub granted_at: Option<Timestamp>,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
    /// When the pair shall be replaced.
    pub refresh_at: Option<Timestamp>,
    /// Digest of the seed's token that this chain began with.
    pub seed: Option<String>,
    /// Whether the tokens reach only some projects of the organization.
    pub limited: bool,
    /// Proof that the platform gave the access token to an app: see [`TokenState::is_of`].
    pub granted_by: Option<String>,
    /// What must not be sent again, oldest first.
    pub consumed: Vec<Consumed>,
    /// The refresh under way, or one whose end is not known.
    pub marker: Option<Marker>,
}

/// The data of a state Secret was damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

const ACCESS: &str = "access_token";
const REFRESH: &str = "refresh_token";
const GRANTED: &str = "granted_at";
const EXPIRES: &str = "expires_at";
const REFRESH_AT: &str = "refresh_at";
const SEED: &str = "seed";
const LIMITED: &str = "limited_to_projects";
const GRANTED_BY: &str = "granted_by";
const CONSUMED: &str = "consumed";
const MARKER: &str = "marker";

impl TokenState {
    /// Reads the data of a state Secret.
    ///
    /// # Errors
    /// Where what protects tokens from being sent twice cannot be read.
    pub fn read(key: &DigestKey, data: &BTreeMap<String, ByteString>) -> Result<Self, Damaged> {
        let text = |name: &str| {
            let bytes = &data.get(name)?.0;
            std::str::from_utf8(bytes).ok().map(str::trim).filter(|text| !text.is_empty())
        };
        let token = |name: &str| text(name).and_then(credential);
        let json_or = |name: &str| -> Result<Option<&[u8]>, Damaged> {
            match data.get(name) {
                None => Ok(None),
                Some(bytes) if bytes.0.is_empty() => Err(Damaged),
                Some(bytes) => Ok(Some(&bytes.0)),
            }
        };
        let consumed = json_or(CONSUMED)?
            .map(|bytes| serde_json::from_slice(bytes).map_err(|_| Damaged))
            .transpose()?
            .unwrap_or_default();
        let marker = json_or(MARKER)?
            .map(|bytes| serde_json::from_slice(bytes).map_err(|_| Damaged))
            .transpose()?;
        Ok(Self {
            access: token(ACCESS).map(|value| Token::access(key, value)),
            refresh: token(REFRESH).map(|value| Token::refresh(key, value)),
            granted_at: text(GRANTED).and_then(|text| text.parse().ok()),
            expires_at: text(EXPIRES).and_then(|text| text.parse().ok()),
            refresh_at: text(REFRESH_AT).and_then(|text| text.parse().ok()),
            seed: text(SEED).map(str::to_owned),
            limited: text(LIMITED) == Some("true"),
            granted_by: text(GRANTED_BY).map(str::to_owned),
            consumed,
            marker,
        })
    }

    /// The data of the state Secret.
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let mut data = BTreeMap::new();
        let mut put = |name: &str, text: Option<String>| {
            if let Some(text) = text {
                data.insert(name.to_owned(), ByteString(text.into_bytes()));
            }
        };
        let clear = |token: &Option<Token>| {
            token.as_ref().map(|token| token.value.expose_secret().to_owned())
        };
        put(ACCESS, clear(&self.access));
        put(REFRESH, clear(&self.refresh));
        put(GRANTED, self.granted_at.map(|at| at.to_string()));
        put(EXPIRES, self.expires_at.map(|at| at.to_string()));
        put(REFRESH_AT, self.refresh_at.map(|at| at.to_string()));
        put(SEED, self.seed.clone());
        put(LIMITED, self.limited.then(|| "true".to_owned()));
        put(GRANTED_BY, self.granted_by.clone());
        put(CONSUMED, serde_json::to_string(&self.consumed).ok());
        put(MARKER, self.marker.as_ref().and_then(|marker| serde_json::to_string(marker).ok()));
        data
    }

    /// Whether the platform gave the access token to this app: it answered a refresh that presented both its halves.
    /// What a Secret claims proves nothing, and neither does this Secret alone: the proof is made with the operator's
    /// key, for this token and this app.
    pub fn is_of(&self, key: &DigestKey, app: &App) -> bool {
        let proof = self.access.as_ref().map(|token| proof(key, token, app));
        proof.is_some() && proof == self.granted_by
    }

    /// Whether a refresh token must not be sent with this app.
    pub fn is_consumed(&self, digest: &str, app: Option<&str>) -> bool {
        self.consumed.iter().any(|consumed| {
            consumed.digest == digest
                && consumed.refused.as_deref().is_none_or(|refused| Some(refused) == app)
        })
    }

    /// Whether a refresh token was spent for a pair.
    pub fn was_spent(&self, digest: &str) -> bool {
        self.consumed.iter().any(|consumed| consumed.digest == digest && consumed.refused.is_none())
    }

    /// Records that a refresh token must not be sent again.
    pub fn consume(&mut self, consumed: Consumed) {
        let seed = consumed.seed || self.seed.as_ref() == Some(&consumed.digest);
        // Having been spent says more than having been refused.
        if self.was_spent(&consumed.digest) {
            return;
        }
        let known = |other: &Consumed| {
            other.digest == consumed.digest
                && (consumed.refused.is_none() || other.refused == consumed.refused)
        };
        self.consumed.retain(|other| !known(other));
        self.consumed.push(Consumed { seed, ..consumed });
        self.keep_last(CHAIN, |consumed| !consumed.seed);
        self.keep_last(REFUSED, |consumed| consumed.seed && consumed.refused.is_some());
    }

    fn keep_last(&mut self, most: usize, of: impl Fn(&Consumed) -> bool) {
        let there = self.consumed.iter().filter(|consumed| of(consumed)).count();
        let mut surplus = there.saturating_sub(most);
        self.consumed.retain(|consumed| {
            let drop = surplus > 0 && of(consumed);
            surplus -= usize::from(drop);
            !drop
        });
    }

    /// Whether it remembers tokens by digests of another key than the operator has now: then nobody knows any more
    /// which tokens were sent.
    pub fn is_of_another_key(&self, key: &DigestKey) -> bool {
        let consumed = self.consumed.iter().flat_map(Consumed::digests);
        let seed = self.seed.as_deref();
        let sent = self.marker.as_ref().map(|marker| marker.token.as_str());
        consumed.chain(seed).chain(sent).any(|digest| !key.made(digest))
    }

    /// Whether there is a pair, or half of one.
    pub const fn has_tokens(&self) -> bool {
        self.access.is_some() || self.refresh.is_some()
    }

    /// The same state, remembered by digests of the key that the operator has now. `seed` is what the seed Secret
    /// holds.
    ///
    /// Digests of another key cannot be translated. What is safe: while there is a pair, the seed that lies there is
    /// taken for the one that the pair was made of, and never sent; sending a spent token again could end the chain
    /// that works. If it was a new one, authorizing once more helps. Where there is no pair, nothing can be ended by
    /// trying the seed once more: the platform refuses it if it was spent, and that is remembered. A call whose end
    /// is not known was for the pair's own token, or for the seed where there is no pair.
    #[must_use]
    pub fn rekeyed(&self, key: &DigestKey, seed: Option<&Token>) -> Self {
        let mut next = self.clone();
        next.consumed.retain(|consumed| consumed.digests().all(|digest| key.made(digest)));
        let source = seed.filter(|_| self.has_tokens());
        if self.seed.as_deref().is_some_and(|seed| !key.made(seed)) {
            next.seed = source.map(|token| token.digest.clone());
        }
        if let Some(token) = source
            && self.refresh.as_ref() != Some(token)
        {
            next.consume(Consumed { digest: token.digest.clone(), seed: true, refused: None });
        }
        let sent = self.refresh.as_ref().or_else(|| seed.filter(|_| !self.has_tokens()));
        next.marker = next.marker.and_then(|marker| {
            if key.made(&marker.token) {
                return Some(marker);
            }
            let token = sent?.digest.clone();
            Some(Marker { token, ..marker })
        });
        next
    }

    /// The digests of every refresh token that this state holds or remembers.
    pub fn digests(&self) -> impl Iterator<Item = &str> {
        let consumed = self.consumed.iter().map(|consumed| consumed.digest.as_str());
        let current = self.refresh.iter().map(|token| token.digest.as_str());
        let sent = self.marker.iter().map(|marker| marker.token.as_str());
        consumed.chain(current).chain(sent)
    }
}

/// What only the operator can write beside a token that was granted to an app.
pub(super) fn proof(key: &DigestKey, access: &Token, app: &App) -> String {
    key.digest("granted-by", [access.digest.as_bytes(), app.digest.as_bytes()])
}

/// A credential without surrounding white space, if the text can be one: visible ASCII, at most 4 KiB.
pub fn credential(text: &str) -> Option<SecretString> {
    let text = text.trim();
    let sound =
        (1..=4096).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    sound.then(|| SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> DigestKey {
        DigestKey::from_bytes(&[7; 32]).unwrap()
    }

    #[test]
    fn seeds_that_were_refused_are_bounded_and_those_that_were_spent_stay() {
        let mut state = TokenState::default();
        state.consume(consumed("spent", true, None));
        for number in 0..1000 {
            state.consume(consumed(&number.to_string(), true, Some("app")));
        }
        assert_eq!(state.consumed.len(), REFUSED + 1);
        assert!(state.is_consumed("spent", None) && state.is_consumed("999", Some("app")));
        assert!(!state.is_consumed("0", Some("app")));
    }

    #[test]
    fn only_the_operator_can_say_that_a_token_is_of_an_app() {
        let app = |secret: &str| App {
            app: crate::management::OAuthApp {
                client_id: "id".to_owned(),
                client_secret: secret.into(),
            },
            digest: key().digest("oauth-app", [b"id".as_slice(), secret.as_bytes()]),
        };
        let token = |text: &str| Token::access(&key(), text.into());
        let state = |access: &str, granted_by: Option<String>| TokenState {
            access: Some(token(access)),
            granted_by,
            ..TokenState::default()
        };
        let proven = proof(&key(), &token("a"), &app("s"));
        assert!(state("a", Some(proven.clone())).is_of(&key(), &app("s")));
        // Whoever copies it beside another token, or names the app without its secret, has nothing.
        assert!(!state("b", Some(proven.clone())).is_of(&key(), &app("s")));
        assert!(!state("a", Some(proven.clone())).is_of(&key(), &app("guessed")));
        assert!(!state("a", Some(app("s").digest)).is_of(&key(), &app("s")));
        assert!(!state("a", None).is_of(&key(), &app("s")));
        let other = DigestKey::from_bytes(&[8; 32]).unwrap();
        assert!(!state("a", Some(proven)).is_of(&other, &app("s")));
    }

    fn consumed(digest: &str, seed: bool, refused: Option<&str>) -> Consumed {
        Consumed { digest: digest.to_owned(), seed, refused: refused.map(str::to_owned) }
    }

    #[test]
    fn a_state_survives_the_secret() {
        let full = TokenState {
            access: Some(Token::access(&key(), "access".into())),
            refresh: Some(Token::refresh(&key(), "refresh".into())),
            granted_at: "2025-12-31T00:00:00Z".parse().ok(),
            expires_at: "2026-01-01T00:00:00Z".parse().ok(),
            refresh_at: "2025-12-31T18:00:00Z".parse().ok(),
            seed: Some("d1".to_owned()),
            granted_by: Some("proof".to_owned()),
            limited: true,
            consumed: vec![consumed("d1", true, None), consumed("d2", false, Some("app"))],
            marker: Some(Marker {
                process: "p".to_owned(),
                at: "2025-12-31T18:00:00Z".parse().unwrap(),
                token: "d3".to_owned(),
            }),
        };
        for state in [full, TokenState::default()] {
            assert_eq!(TokenState::read(&key(), &state.data()), Ok(state.clone()));
            assert!(!format!("{state:?}").contains("refresh\""), "{state:?}");
        }
    }

    #[test]
    fn damage_to_what_protects_tokens_is_noticed() {
        for (name, text) in [
            ("consumed", "nonsense"),
            ("consumed", ""),
            ("consumed", "{}"),
            ("marker", "nonsense"),
            ("marker", ""),
            ("marker", "{}"),
        ] {
            let data = BTreeMap::from([(name.to_owned(), ByteString(text.into()))]);
            assert_eq!(TokenState::read(&key(), &data), Err(Damaged), "{name}: {text}");
        }
        let odd = BTreeMap::from([
            ("access_token".to_owned(), ByteString(vec![0xff])),
            ("refresh_token".to_owned(), ByteString("a b".into())),
            ("expires_at".to_owned(), ByteString("soon".into())),
        ]);
        assert_eq!(TokenState::read(&key(), &odd), Ok(TokenState::default()));
    }

    #[test]
    fn a_spent_token_is_consumed_for_every_app_and_a_refused_one_for_its_own() {
        let mut state = TokenState::default();
        state.consume(consumed("d", false, Some("app-1")));
        assert!(state.is_consumed("d", Some("app-1")));
        assert!(!state.is_consumed("d", Some("app-2")));
        assert!(!state.is_consumed("d", None));
        state.consume(consumed("d", false, Some("app-2")));
        assert!(state.is_consumed("d", Some("app-2")) && !state.was_spent("d"));
        state.consume(consumed("d", false, None));
        assert!(state.is_consumed("d", Some("app-3")) && state.was_spent("d"));
        assert_eq!(state.consumed.len(), 1);
        state.consume(consumed("d", false, Some("app-1")));
        assert_eq!(state.consumed.len(), 1);
    }

    #[test]
    fn seeds_are_remembered_for_ever_and_the_chain_for_a_while() {
        let mut state = TokenState { seed: Some("first".to_owned()), ..TokenState::default() };
        state.consume(consumed("first", false, None));
        for number in 0..200 {
            state.consume(consumed(&format!("c{number}"), false, None));
            state.consume(consumed(&format!("s{number}"), number % 50 == 0, None));
        }
        assert!(state.is_consumed("first", None));
        for seed in ["s0", "s50", "s100", "s150"] {
            assert!(state.is_consumed(seed, None), "{seed}");
        }
        assert!(state.is_consumed("c199", None) && !state.is_consumed("c0", None));
        assert_eq!(state.consumed.len(), CHAIN + 5);
    }

    #[test]
    fn with_another_key_the_seed_of_a_pair_is_spent_and_a_lone_seed_is_tried() {
        let new = DigestKey::from_bytes(&[8; 32]).unwrap();
        let old = |value: &str| Token::refresh(&key(), value.into()).digest;
        let seed = Token::refresh(&new, "seed".into());
        let marker =
            |token: String| Marker { process: "p".to_owned(), at: Timestamp::UNIX_EPOCH, token };
        let mut state = TokenState {
            access: Some(Token::access(&new, "access".into())),
            refresh: Some(Token::refresh(&new, "refresh".into())),
            seed: Some(old("seed")),
            marker: Some(marker(old("refresh"))),
            ..TokenState::default()
        };
        state.consume(consumed(&old("seed"), true, None));
        assert!(state.is_of_another_key(&new) && !state.is_of_another_key(&key()));
        let next = state.rekeyed(&new, Some(&seed));
        assert!(!next.is_of_another_key(&new));
        assert!(next.was_spent(&seed.digest));
        assert_eq!(next.seed.as_ref(), Some(&seed.digest));
        assert_eq!(
            next.marker.map(|marker| marker.token),
            state.refresh.as_ref().map(|token| token.digest.clone())
        );
        // The platform does not rotate: the seed is the current token, and goes on.
        let current = state.refresh.clone();
        let next = state.rekeyed(&new, current.as_ref());
        assert!(next.consumed.is_empty() && !next.is_of_another_key(&new));
        // Nothing is there that a second try could end.
        let lone = TokenState {
            consumed: vec![consumed(&old("seed"), true, Some("app"))],
            marker: Some(marker(old("seed"))),
            ..TokenState::default()
        };
        let next = lone.rekeyed(&new, Some(&seed));
        assert!(next.consumed.is_empty());
        assert_eq!(next.marker.map(|marker| marker.token), Some(seed.digest));
        assert_eq!(lone.rekeyed(&new, None).marker, None);
    }

    #[test]
    fn credentials_are_trimmed_and_checked() {
        assert_eq!(credential(" sbp_x\r\n").unwrap().expose_secret(), "sbp_x");
        for bad in ["", " \n", "a b", "a\nb", "é", &"a".repeat(4097)] {
            assert!(credential(bad).is_none(), "{bad}");
        }
    }
}
