//! PURE. The one translator from an error of the platform to a condition, for every kind: which reason, which words, and
//! when to look again.
//!
//! | error                       | about a project, or a setting of one   | about a credential                |
//! |-----------------------------|----------------------------------------|-----------------------------------|
//! | `Throttled`                 | `RateLimited`, when the platform says  | the same                          |
//! | `Unauthorized`              | `Unauthorized`, somebody must act      | the same                          |
//! | `MalformedCredential`       | `SecretInvalid`, somebody must act     | the same                          |
//! | `Forbidden`, of a quota     | `QuotaExceeded`, somebody must act     | `MissingScope`                    |
//! | `Forbidden`                 | `MissingScope`, somebody must act      | the same                          |
//! | `NotFound`, `Removed`       | `RemoteNotVisible`, somebody must act  | `PlatformUnavailable`             |
//! | `Rejected`                  | by what was refused                    | `ReauthorizationRequired` without scopes, else `PlatformUnavailable` |
//! | `Withheld(Resting)`         | `PlatformUnavailable`                  | the same                          |
//! | `Withheld`, else            | `Retrying`                             | the same                          |
//! | anything else               | `PlatformUnavailable`                  | the same                          |

use std::time::Duration;

use super::{Problem, Requeue, SLOW};
use crate::api::Reason;
use crate::management::{Error, Rejection, Withheld};

/// A minute: what the platform's rate limits count in.
const WINDOW: Duration = Duration::from_secs(60);

/// What an error means for an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The condition.
    pub problem: Problem,
    /// When to try again.
    pub requeue: Requeue,
    /// Whether somebody must act.
    pub stalled: bool,
}

/// What an error means for a project, or for a setting of one. `doing` says what was tried.
pub fn translate(error: &Error, doing: &str) -> Trouble {
    let (reason, requeue, stalled) = of_project(error);
    let problem = Problem::new(reason, format!("{doing}: {error}; {}", when(requeue)));
    Trouble { problem, requeue, stalled }
}

/// What an error means for a credential that was tried.
pub fn translate_of_credential(error: &Error) -> Problem {
    let reason = match error {
        Error::Forbidden { .. } => Reason::MissingScope,
        Error::Rejected { because: Rejection::ScopesLost, .. } => Reason::ReauthorizationRequired,
        Error::NotFound | Error::Removed | Error::Rejected { .. } => Reason::PlatformUnavailable,
        Error::Throttled { .. }
        | Error::Unauthorized
        | Error::MalformedCredential(_)
        | Error::Unreachable { .. }
        | Error::TimedOut { .. }
        | Error::Unavailable { .. }
        | Error::Undecodable { .. }
        | Error::Withheld(_) => of_project(error).0,
    };
    Problem::new(reason, error.to_string())
}

/// How long it takes at most until it is tried again. In words that stay the same while it is: a status that ticks would be
/// written for ever.
fn when(requeue: Requeue) -> &'static str {
    match requeue {
        Requeue::After(wait) if wait <= WINDOW => "it is tried again within a minute",
        Requeue::After(_) => "it is tried again within ten minutes, and when the spec changes",
        Requeue::Now | Requeue::Backoff => {
            "it is tried again, within fifteen minutes at the longest"
        }
        Requeue::OnChange => "it is tried again when the spec changes",
    }
}

fn of_project(error: &Error) -> (Reason, Requeue, bool) {
    match error {
        Error::Throttled { retry_after } => {
            let wait = retry_after.unwrap_or(WINDOW).max(Duration::from_secs(1));
            (Reason::RateLimited, Requeue::After(wait), false)
        }
        Error::Unauthorized => (Reason::Unauthorized, Requeue::After(WINDOW), true),
        Error::MalformedCredential(_) => (Reason::SecretInvalid, Requeue::After(WINDOW), true),
        Error::Forbidden { .. } if error.is_quota() => {
            (Reason::QuotaExceeded, Requeue::After(SLOW), true)
        }
        Error::Forbidden { .. } => (Reason::MissingScope, Requeue::After(SLOW), true),
        Error::NotFound | Error::Removed => (Reason::RemoteNotVisible, Requeue::After(SLOW), true),
        Error::Rejected { because, .. } => of_rejection(*because),
        Error::Withheld(Withheld::NoCredential | Withheld::NotLeading) => {
            (Reason::Retrying, Requeue::Backoff, false)
        }
        Error::Withheld(Withheld::Resting)
        | Error::Unreachable { .. }
        | Error::TimedOut { .. }
        | Error::Unavailable { .. }
        | Error::Undecodable { .. } => (Reason::PlatformUnavailable, Requeue::Backoff, false),
    }
}

fn of_rejection(because: Rejection) -> (Reason, Requeue, bool) {
    let reason = match because {
        Rejection::NotReady | Rejection::NotPaused => {
            return (Reason::RemoteRefused, Requeue::Backoff, false);
        }
        Rejection::QuotaReached => Reason::QuotaExceeded,
        Rejection::PaymentRequired => Reason::PaymentRequired,
        Rejection::ScopesLost => Reason::ReauthorizationRequired,
        Rejection::NameTaken => Reason::NameConflict,
        Rejection::WeakPassword => Reason::PasswordInvalid,
        Rejection::CannotPause
        | Rejection::SmtpRequired
        | Rejection::InvalidField(_)
        | Rejection::InvalidGrant
        | Rejection::InvalidClient
        | Rejection::Unknown => Reason::InvalidSpec,
    };
    (reason, Requeue::After(SLOW), true)
}
