//! From the answer to a write of settings to what it means for them. None of it is ever laid at the connection: a field that is
//! refused is a matter of that field.

use crate::api::settings::DriftReason;
use crate::management::{Error, Rejection};

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The platform took it.
    Accepted,
    /// The platform refused it.
    Refused {
        /// Why.
        reason: DriftReason,
        /// Why, in words of ours.
        words: String,
    },
    /// Nothing is known of it: it is read again, and the error's own remedy says when.
    Unclear,
}

impl Outcome {
    /// What the answer to a call means.
    pub fn of<T>(answer: &Result<T, Error>) -> Self {
        match answer {
            Ok(_) => Self::Accepted,
            Err(error) => refusal(error)
                .map_or(Self::Unclear, |reason| Self::Refused { reason, words: error.to_string() }),
        }
    }
}

/// The refusal that an error is; none where it says nothing about the setting.
pub fn refusal(error: &Error) -> Option<DriftReason> {
    match error {
        Error::Forbidden { .. } => Some(DriftReason::CapabilityUnavailable),
        Error::Rejected { because, .. } => match because {
            Rejection::PaymentRequired | Rejection::QuotaReached => {
                Some(DriftReason::PaymentRequired)
            }
            Rejection::NotReady | Rejection::ScopesLost => None,
            Rejection::NameTaken
            | Rejection::WeakPassword
            | Rejection::NotPaused
            | Rejection::CannotPause
            | Rejection::InvalidGrant
            | Rejection::InvalidClient
            | Rejection::SmtpRequired
            | Rejection::InvalidField(_)
            | Rejection::Unknown => Some(DriftReason::Refused),
        },
        Error::Unreachable { .. }
        | Error::TimedOut { .. }
        | Error::Throttled { .. }
        | Error::Unauthorized
        | Error::NotFound
        | Error::Removed
        | Error::Unavailable { .. }
        | Error::Undecodable { .. }
        | Error::MalformedCredential(_)
        | Error::Withheld(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::Forbidden;

    #[test]
    fn only_what_the_platform_says_of_the_setting_is_a_refusal() {
        let rejected = |status, because| Error::Rejected { status, because };
        for (error, reason) in [
            (rejected(401, Rejection::SmtpRequired), Some(DriftReason::Refused)),
            (rejected(400, Rejection::InvalidField(None)), Some(DriftReason::Refused)),
            (rejected(402, Rejection::PaymentRequired), Some(DriftReason::PaymentRequired)),
            (rejected(400, Rejection::NotReady), None),
            (
                Error::Forbidden { missing: Vec::new(), reason: Forbidden::NotForOAuth },
                Some(DriftReason::CapabilityUnavailable),
            ),
            (Error::Unauthorized, None),
            (Error::Unavailable { status: 500 }, None),
            (Error::Throttled { retry_after: None }, None),
        ] {
            assert_eq!(refusal(&error), reason, "{error:?}");
        }
    }
}
