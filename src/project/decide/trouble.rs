//! From an error of the platform to a condition: which reason, which words, and when to look again.

use std::time::Duration;

use super::SLOW;
use crate::api::Reason;
use crate::controller::Requeue;
use crate::management::{Error, Rejection};
use crate::project::facts::Problem;

/// A minute: what the platform's rate limits count in.
const WINDOW: Duration = Duration::from_secs(60);

/// What an error means for the object. The flag says whether somebody must act.
pub fn trouble(error: &Error, doing: &str) -> (Problem, Requeue, bool) {
    let problem = |reason| Problem::new(reason, format!("{doing}: {error}"));
    match error {
        Error::Throttled { retry_after } => {
            let wait = retry_after.unwrap_or(WINDOW).max(Duration::from_secs(1));
            (problem(Reason::RateLimited), Requeue::After(wait), false)
        }
        Error::Unauthorized | Error::MalformedCredential(_) => {
            (problem(Reason::Unauthorized), Requeue::After(WINDOW), true)
        }
        Error::Forbidden { .. } if error.is_quota() => {
            (problem(Reason::QuotaExceeded), Requeue::After(SLOW), true)
        }
        Error::Forbidden { .. } => (problem(Reason::MissingScope), Requeue::After(SLOW), true),
        Error::NotFound | Error::Removed => {
            (problem(Reason::RemoteNotVisible), Requeue::After(SLOW), true)
        }
        Error::Rejected { because, .. } => match because {
            Rejection::QuotaReached => (problem(Reason::QuotaExceeded), Requeue::After(SLOW), true),
            Rejection::PaymentRequired => {
                (problem(Reason::PaymentRequired), Requeue::After(SLOW), true)
            }
            Rejection::NotReady | Rejection::NotPaused => {
                (problem(Reason::RemoteRefused), Requeue::Backoff, false)
            }
            Rejection::ScopesLost => {
                (problem(Reason::ReauthorizationRequired), Requeue::After(SLOW), true)
            }
            Rejection::NameTaken => (problem(Reason::NameConflict), Requeue::After(SLOW), true),
            Rejection::WeakPassword => {
                (problem(Reason::PasswordInvalid), Requeue::After(SLOW), true)
            }
            Rejection::CannotPause
            | Rejection::SmtpRequired
            | Rejection::InvalidField(_)
            | Rejection::InvalidGrant
            | Rejection::InvalidClient
            | Rejection::Unknown => (problem(Reason::InvalidSpec), Requeue::After(SLOW), true),
        },
        Error::Unreachable { .. }
        | Error::TimedOut { .. }
        | Error::Unavailable { .. }
        | Error::Undecodable { .. }
        | Error::Withheld(_) => (problem(Reason::PlatformUnavailable), Requeue::Backoff, false),
    }
}
