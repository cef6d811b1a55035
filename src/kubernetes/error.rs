//! Why a call to the API server did not work, named by what the caller must do.
//!
//! Holds no text of the API server but what was found to quote nothing (`words`): a webhook, or a validation, may quote a
//! secret. Kept apart so that no other
//! room matches on status codes of Kubernetes.

use kube::core::Status;

/// Why a call to the API server did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object changed since it was read: look again.
    #[error("the object changed meanwhile")]
    Conflict,
    /// An object of that name is there already.
    #[error("an object of that name exists already")]
    Exists,
    /// The object is not there (any more).
    #[error("the object is not there")]
    NotFound,
    /// The namespace is being deleted and takes nothing new.
    #[error("the namespace is being deleted")]
    Terminating,
    /// The operator lacks a right, or an admission policy or quota refused.
    #[error("the API server refused: {0}")]
    Forbidden(Refusal),
    /// The API server takes the object for invalid. Its message is left out: it may quote values.
    #[error("the API server takes the object for invalid")]
    Invalid,
    /// The object would be larger than what the API server can store.
    #[error(
        "the object is too large to be written; take away annotations and managed fields that nobody needs"
    )]
    TooLarge,
    /// The object is there, and these of its fields mean nothing to this version of the operator.
    #[error("it was made for a newer version of the operator: {0} cannot be read")]
    Unreadable(String),
    /// No answer, or one that means "later".
    #[error("the API server cannot be reached or is overloaded")]
    Unavailable(#[source] Box<kube::Error>),
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        if let kube::Error::Api(status) = error {
            return Self::from(*status);
        }
        // What cannot be decoded is quoted in its error.
        if matches!(error, kube::Error::SerdeError(_)) {
            return Self::broken();
        }
        Self::Unavailable(Box::new(error))
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let terminating = status.details.as_ref().is_some_and(|details| {
            details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating")
        });
        if status.is_conflict() {
            Self::Conflict
        } else if status.is_already_exists() {
            Self::Exists
        } else if status.is_not_found() {
            Self::NotFound
        } else if terminating {
            Self::Terminating
        } else if status.is_forbidden() || is_of_a_policy(&status) {
            Self::Forbidden(Refusal::of(&status.message))
        } else if is_too_large(&status) {
            Self::TooLarge
        } else if status.is_invalid() || status.code == 400 {
            Self::Invalid
        } else {
            // Without its message, which may be anybody's: an error is logged with all that it holds.
            let bare = Status { code: status.code, reason: status.reason, ..Status::default() };
            Self::Unavailable(Box::new(kube::Error::Api(Box::new(bare))))
        }
    }
}

impl Error {
    /// Whether the version that was asked for is too old (410): everything must be listed anew.
    pub fn is_expired(&self) -> bool {
        matches!(self, Self::Unavailable(error) if matches!(&**error, kube::Error::Api(status) if status.code == 410))
    }

    /// The same with the API server's own words, where they help and may be shown.
    pub(super) fn saying(self, words: Option<String>) -> Self {
        match (self, words) {
            (Self::Forbidden(Refusal::OrganizationPolicy(by, _)), words) => {
                Self::Forbidden(Refusal::OrganizationPolicy(by, words))
            }
            (Self::Invalid, Some(words)) => Self::Forbidden(Refusal::Invalid(words)),
            (error, _) => error,
        }
    }

    /// Whether the API server does not know the kind, nor any of its group: then it has no words of its own.
    pub fn is_unknown_kind(&self) -> bool {
        matches!(self, Self::Unavailable(error) if matches!(&**error, kube::Error::Api(status) if status.code == 404))
    }

    /// The answer came, and cannot be read.
    pub(super) fn broken() -> Self {
        let broken = std::io::Error::from(std::io::ErrorKind::InvalidData);
        Self::Unavailable(Box::new(kube::Error::Service(Box::new(broken))))
    }

    /// The answer did not come, or not to its end.
    pub(super) fn late() -> Self {
        let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
        Self::Unavailable(Box::new(kube::Error::Service(Box::new(late))))
    }
}

/// Whether a policy refused. It chooses its status: without a choice, 422.
fn is_of_a_policy(status: &Status) -> bool {
    matches!(status.code, 400 | 413 | 422) && status.message.contains("ValidatingAdmissionPolicy '")
}

/// Whether the object is too large: for the API server (413), or for etcd, whose refusal comes as an internal error
/// with these words (`ErrRequestTooLarge` of etcd, and the limit of gRPC messages).
fn is_too_large(status: &Status) -> bool {
    status.code == 413
        || status.message.contains("request is too large")
        || status.message.contains("trying to send message larger than max")
}

/// Who refused, and why, as far as that may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A quota of the namespace.
    Quota,
    /// An admission webhook or policy, by name where it is known, with its words where they may be shown.
    OrganizationPolicy(Option<String>, Option<String>),
    /// The API server itself takes the object for invalid, in these words.
    Invalid(String),
    /// The authorizer, or nobody that we know.
    Rights,
}

impl Refusal {
    fn of(message: &str) -> Self {
        if message.contains("exceeded quota") {
            return Self::Quota;
        }
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
        let named = |after: &str, quote: char| {
            let rest = message.split(after).nth(1)?;
            let name = rest.trim_start_matches(quote).split(quote).next()?;
            let sound = !name.is_empty() && name.len() <= 253 && name.chars().all(is_name);
            sound.then(|| name.to_owned())
        };
        if message.starts_with("admission webhook ") {
            Self::OrganizationPolicy(named("admission webhook ", '"'), None)
        } else if message.contains("ValidatingAdmissionPolicy ") {
            Self::OrganizationPolicy(named("ValidatingAdmissionPolicy ", '\''), None)
        } else {
            Self::Rights
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Quota => formatter.write_str("a quota of the namespace is used up"),
            Self::OrganizationPolicy(name, words) => {
                if let Some(name) = name {
                    write!(formatter, "the admission policy {name} does not allow it")?;
                } else {
                    formatter.write_str("an admission policy does not allow it")?;
                }
                match words {
                    Some(words) => write!(formatter, ": {words}"),
                    None => Ok(()),
                }
            }
            Self::Invalid(words) => write!(formatter, "it takes the object for invalid: {words}"),
            Self::Rights => formatter
                .write_str("the operator lacks the right; compare its roles with the chart's"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, reason: &str, message: &str) -> Status {
        Status { code, reason: reason.to_owned(), message: message.to_owned(), ..Status::default() }
    }

    #[test]
    fn what_is_too_large_is_told_from_what_may_work_later() {
        let internal = |message| Error::from(status(500, "InternalError", message));
        for large in [
            internal("etcdserver: request is too large"),
            internal(
                "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2 vs. 1)",
            ),
            Error::from(status(413, "RequestEntityTooLarge", "limit is 3145728")),
        ] {
            assert!(matches!(large, Error::TooLarge), "{large:?}");
        }
        assert!(matches!(internal("etcdserver: leader changed"), Error::Unavailable(_)));
    }

    /// A policy answers 422 unless it says otherwise, as the server does for what it takes for invalid itself.
    #[test]
    fn a_policys_name_and_words_are_told_whatever_its_status() {
        let message = "secrets \"x\" is forbidden: ValidatingAdmissionPolicy 'labels' with binding 'b' denied request: label team";
        for (code, reason) in
            [(403, "Forbidden"), (422, "Invalid"), (413, "RequestEntityTooLarge"), (400, "")]
        {
            let error = Error::from(status(code, reason, message));
            let bare = error.to_string();
            assert!(bare.contains("the admission policy labels does not allow it"), "{bare}");
            let told = error.saying(Some("label team".to_owned())).to_string();
            assert!(told.ends_with("labels does not allow it: label team"), "{told}");
        }
        let invalid = Error::from(status(422, "Invalid", "metadata.labels: bad"));
        let told = invalid.saying(Some("metadata.labels: bad".to_owned())).to_string();
        assert!(told.ends_with("invalid: metadata.labels: bad"), "{told}");
        let rights = Error::from(status(403, "Forbidden", "User \"y\" cannot get"));
        let told = rights.saying(Some("words".to_owned())).to_string();
        assert!(told.contains("lacks the right") && !told.contains("words"), "{told}");
    }

    #[test]
    fn no_words_of_the_server_get_into_an_error() {
        for code in [400, 403, 404, 409, 413, 422, 429, 500, 503] {
            for reason in ["", "Forbidden", "Invalid", "InternalError", "Conflict"] {
                let error = Error::from(status(code, reason, "zq9canary"));
                assert!(!format!("{error} {error:?}").contains("zq9canary"), "{code} {reason}");
            }
        }
    }

    #[test]
    fn a_refusal_is_named_without_the_words_of_the_server() {
        let webhook =
            "admission webhook \"policy.example.com\" denied the request: password hunter2";
        for (message, refusal) in [
            ("pods \"x\" is forbidden: exceeded quota: q, requested: 1", Refusal::Quota),
            (webhook, Refusal::OrganizationPolicy(Some("policy.example.com".into()), None)),
            ("admission webhook \"a b\" denied", Refusal::OrganizationPolicy(None, None)),
            (
                "secrets \"x\" is forbidden: ValidatingAdmissionPolicy 'no-secrets' with binding 'b' denied",
                Refusal::OrganizationPolicy(Some("no-secrets".into()), None),
            ),
            ("secrets \"x\" is forbidden: User \"y\" cannot get resource", Refusal::Rights),
        ] {
            assert_eq!(Refusal::of(message), refusal, "{message}");
        }
        assert!(!Refusal::of(webhook).to_string().contains("hunter2"));
    }
}
