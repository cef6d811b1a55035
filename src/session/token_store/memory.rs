//! What this process remembers of a connection's tokens besides what is stored: which were tried, and how calls
//! ended. A crash forgets it; every decision is sound without it, only slower.
//!
//! PURE.

use std::time::Duration;

use super::tokens::Marker;
use crate::api::Reason;
use crate::management::Organization;

/// Verdicts kept per connection.
const VERDICTS: usize = 8;
/// Failures kept per connection.
const FAILURES: usize = 4;

/// What the platform said to an access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was accepted.
    Works {
        /// Uptime of the answer.
        at: Duration,
        /// The organizations it sees; none where it may not list them.
        organizations: Option<Vec<Organization>>,
    },
    /// 401.
    Rejected {
        /// Whether it had worked before.
        worked: bool,
        /// Uptime of the answer.
        at: Duration,
    },
}

/// How a token call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// The platform certainly did not spend the token.
    Harmless,
    /// The token may be spent, and the answer is lost.
    Lost {
        /// Uptime at which the call was begun.
        begun: Duration,
    },
}

/// What last went wrong, for the status, and when it is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// What to do.
    pub message: String,
    /// The step that failed.
    pub step: &'static str,
    /// Digest of the token that it was about: another one is tried at once.
    pub token: String,
    /// How often in a row.
    pub times: u32,
    /// Uptime before which it is not tried again.
    pub next: Duration,
}

/// What a session was told last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Digest of the access token in use.
    pub token: Option<String>,
    /// Why it is not usable, if it is not.
    pub unusable: Option<Reason>,
    /// The slugs of the organizations.
    pub organizations: Vec<String>,
    /// Whether what was said before goes on for now.
    pub kept: bool,
}

/// What is remembered of one connection; bounded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    verdicts: Vec<(String, Verdict)>,
    /// The marker that was read last, and the uptime at which it was seen first.
    pub marker: Option<(Marker, Duration)>,
    /// How the last token call of this process ended, and its marker.
    pub ended: Option<(Marker, CallEnd)>,
    /// Token calls in a row whose answer was lost.
    pub lost: u32,
    /// Uptime of the last token call.
    pub refreshed: Option<Duration>,
    /// Digest of the access token that the last refresh of this process gave.
    pub granted: Option<String>,
    /// Digest of the refresh token that it gave.
    pub granted_refresh: Option<String>,
    /// The verdict on its predecessor, which counts until it was tried itself.
    inherited: Option<Verdict>,
    /// Digest of the app that the platform does not know, and the uptime until which it is not tried again.
    pub refused_app: Option<(String, Duration)>,
    /// Uptime before which the token endpoint is left alone.
    pub not_before: Option<Duration>,
    /// What goes wrong, newest last.
    failures: Vec<Failure>,
    /// What the session was told last.
    pub applied: Option<Applied>,
    /// Uptime since when something that may pass has stood in the way.
    pub waiting_since: Option<Duration>,
    /// Uptime since when a credential Secret has been missing or unusable.
    pub missing_since: Option<Duration>,
    /// Whether it was looked up who uses the connection.
    pub users_read: bool,
    /// Whether revoking the authorization was tried.
    pub revoked: bool,
    /// Whether the grants Secret was there at the last look.
    pub has_grants: bool,
    /// The annotation by which a person last asked for a look.
    pub requested: Option<String>,
}

impl Memory {
    /// What the platform said to a token last.
    pub fn verdict(&self, digest: &str) -> Option<&Verdict> {
        self.verdicts.iter().find(|(known, _)| known == digest).map(|(_, verdict)| verdict)
    }

    /// The verdict on the predecessor of a token that was granted lately.
    pub fn inherited(&self, digest: &str) -> Option<&Verdict> {
        self.inherited.as_ref().filter(|_| self.granted.as_deref() == Some(digest))
    }

    /// A refresh gave a token, in the place of one of the same chain, if there was one.
    pub fn grant(&mut self, digest: Option<String>, predecessor: Option<&str>) {
        let known =
            predecessor.and_then(|before| self.verdict(before).or_else(|| self.inherited(before)));
        self.inherited = known.cloned();
        self.granted = digest;
    }

    /// Remembers what the platform said to a token.
    pub fn judge(&mut self, digest: &str, verdict: Verdict) {
        let worked = match self.verdict(digest) {
            Some(Verdict::Works { .. } | Verdict::Rejected { worked: true, .. }) => true,
            Some(Verdict::Rejected { worked: false, .. }) | None => false,
        };
        let verdict = match verdict {
            Verdict::Rejected { at, .. } => Verdict::Rejected { worked, at },
            works @ Verdict::Works { .. } => works,
        };
        self.verdicts.retain(|(known, _)| known != digest);
        self.verdicts.push((digest.to_owned(), verdict));
        if self.verdicts.len() > VERDICTS {
            self.verdicts.remove(0);
        }
    }

    /// When the platform refused a token last, by uptime; none where it did not.
    pub fn rejected_at(&self, digest: &str) -> Option<Duration> {
        match self.verdict(digest) {
            Some(Verdict::Rejected { at, .. }) => Some(*at),
            Some(Verdict::Works { .. }) | None => None,
        }
    }

    /// How a step about a token failed last, if it did.
    pub fn failure(&self, step: &str, token: &str) -> Option<&Failure> {
        let mut known = self.failures.iter();
        known.find(|failure| failure.step == step && failure.token == token)
    }

    /// What failed last.
    pub fn last_failure(&self) -> Option<&Failure> {
        self.failures.last()
    }

    /// A step about a token worked.
    pub fn succeed(&mut self, step: &str, token: &str) {
        self.failures.retain(|failure| failure.step != step || failure.token != token);
    }

    /// A step about a token failed.
    pub fn fail(&mut self, failure: Failure) {
        self.succeed(failure.step, &failure.token);
        self.failures.push(failure);
        if self.failures.len() > FAILURES {
            self.failures.remove(0);
        }
    }

    /// Whether the platform itself has vouched for a token in this process: it has accepted the access token, or given
    /// the token to us. Any other one may be anything that somebody wrote into a Secret.
    pub fn vouches_for(&self, digest: &str) -> bool {
        let granted = [&self.granted, &self.granted_refresh];
        matches!(self.verdict(digest), Some(Verdict::Works { .. }))
            || granted.into_iter().any(|granted| granted.as_deref() == Some(digest))
    }

    /// Forgets what was said, so that every token is tried anew.
    pub fn doubt(&mut self) {
        self.verdicts.clear();
        self.failures.clear();
        self.refused_app = None;
    }

    /// Forgets what was said to one token, so that it is tried anew.
    pub fn doubt_one(&mut self, digest: &str) {
        self.verdicts.retain(|(known, verdict)| {
            known != digest || matches!(verdict, Verdict::Rejected { .. })
        });
    }

    /// Notes the marker that was read, and since when it has been seen.
    pub fn saw_marker(&mut self, marker: Option<&Marker>, now: Duration) {
        let same = match (&self.marker, marker) {
            (Some((before, _)), Some(read)) => before == read,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same {
            self.marker = marker.map(|marker| (marker.clone(), now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn works() -> Verdict {
        Verdict::Works { at: Duration::ZERO, organizations: None }
    }

    #[test]
    fn a_rejection_remembers_whether_the_token_had_worked() {
        let mut memory = Memory::default();
        let rejected = |worked| Verdict::Rejected { worked, at: Duration::ZERO };
        memory.judge("a", rejected(true));
        assert_eq!(memory.verdict("a"), Some(&rejected(false)));
        memory.judge("b", works());
        memory.judge("b", rejected(false));
        memory.judge("b", rejected(false));
        assert_eq!(memory.verdict("b"), Some(&rejected(true)));
        for number in 0..100 {
            memory.judge(&number.to_string(), works());
        }
        assert_eq!(memory.verdicts.len(), VERDICTS);
        memory.doubt();
        assert_eq!(memory.verdict("99"), None);
    }

    #[test]
    fn a_marker_is_dated_from_its_first_sight() {
        let marker = |process: &str| Marker {
            process: process.to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
            token: "d".to_owned(),
        };
        let at = Duration::from_secs;
        let mut memory = Memory::default();
        memory.saw_marker(Some(&marker("p")), at(1));
        memory.saw_marker(Some(&marker("p")), at(5));
        assert_eq!(memory.marker, Some((marker("p"), at(1))));
        memory.saw_marker(Some(&marker("q")), at(7));
        assert_eq!(memory.marker, Some((marker("q"), at(7))));
        memory.saw_marker(None, at(8));
        assert_eq!(memory.marker, None);
    }
}
