//! What may come instead of an answer, named by what to do next.
//!
//! Holds no text of the other side but names from a closed alphabet, so that an error may be shown
//! anywhere. The messages are for users.

use std::time::Duration;

use super::transport::Sent;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection, or one that broke.
    #[error("{}", unreachable(*sent))]
    Unreachable {
        /// Whether the other side may have got the request.
        sent: Sent,
    },
    /// No whole answer in time.
    #[error("the Management API did not answer in time; check the network if this lasts")]
    TimedOut {
        /// Whether the other side may have got the request.
        sent: Sent,
    },
    /// 429.
    #[error("the rate limit of the Management API is reached; the call is repeated when it allows")]
    Throttled {
        /// How long to wait, as far as the answer says; never more than ten minutes.
        retry_after: Option<Duration>,
    },
    /// 401 that is about the token: missing, expired, revoked or rotated away. Other 401s are told by their text.
    #[error("the Management API does not accept the token; give a new one")]
    Unauthorized,
    /// 403.
    #[error("{}", forbidden(missing, *reason))]
    Forbidden {
        /// The permissions that a scoped token lacks, as far as the answer names them.
        missing: Vec<String>,
        /// What it means.
        reason: Forbidden,
    },
    /// 404.
    #[error("the Management API does not know what was asked for, or hides it from this token")]
    NotFound,
    /// 400 or 404 that says that the resource has been removed.
    #[error("the project has been removed on the platform")]
    Removed,
    /// Another 4xx.
    #[error("the Management API refused the request with status {status}: {because}")]
    Rejected {
        /// HTTP, 400 to 499.
        status: u16,
        /// Why, as far as the text is known.
        because: Rejection,
    },
    /// A redirect, 408, 5xx, or a gateway's page instead of an answer.
    #[error("the Management API is not available (status {status}); the call is repeated")]
    Unavailable {
        /// HTTP, of the platform or of a gateway before it.
        status: u16,
    },
    /// A success whose body is not what it must be, or speaks of something else than asked.
    #[error(
        "the answer of the Management API (status {status}) cannot be understood; look for a newer version of the operator"
    )]
    Undecodable {
        /// HTTP, 200 to 299.
        status: u16,
    },
    /// Nothing was sent, since the credential cannot be put into a header.
    #[error("{0} holds characters that no credential has; check the Secret, and how it was made")]
    MalformedCredential(Credential),
    /// Nothing was sent: this process held the call back.
    #[error("{0}")]
    Withheld(Withheld),
}

/// Why a call was held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Withheld {
    /// Another process may lead.
    #[error("this process does not lead for long enough to begin the call")]
    NotLeading,
    /// There is no credential that the platform accepts.
    #[error("there is no credential that the Management API accepts")]
    NoCredential,
    /// The endpoint failed several times in a row and is left alone for a while.
    #[error(
        "the Management API failed repeatedly; it is left alone for a while and then tried again"
    )]
    Resting,
}

/// What a 403 means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// The token may not do this, or not there.
    Privileges,
    /// A member of the organization has no place left for an active free project.
    FreeProjectLimit,
    /// The endpoint takes no OAuth token at all (platform.md §7.1): neither a scope nor a new token helps.
    NotForOAuth,
}

/// Which credential is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The access token.
    Token,
    /// The identifier or the secret of the OAuth app.
    App,
}

impl std::fmt::Display for Credential {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Token => "the token",
            Self::App => "the client_id or client_secret of the OAuth app",
        })
    }
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Another project of the organization has the name.
    #[error("another project of the organization has this name")]
    NameTaken,
    /// A member of the organization has no place left for an active free project.
    #[error("a member of the organization has reached the limit of active free projects")]
    QuotaReached,
    /// The plan does not include it, or an invoice is overdue.
    #[error("the organization's plan or its invoices do not allow it")]
    PaymentRequired,
    /// The database password is too short or too easy to guess.
    #[error("the database password is too weak")]
    WeakPassword,
    /// Too early: the project is on its way to another state.
    #[error("the project is not ready for this yet")]
    NotReady,
    /// A restore of a project that is not paused (any more).
    #[error("the project is not paused")]
    NotPaused,
    /// The project cannot be paused: it belongs to a paid organization.
    #[error("projects of a paid organization cannot be paused")]
    CannotPause,
    /// A refresh token that is unknown, used or revoked.
    #[error("the refresh token is used, revoked or unknown; authorize the operator again")]
    InvalidGrant,
    /// The OAuth app is unknown, or its secret is wrong.
    #[error("the OAuth app is unknown or its secret is wrong; check client_id and client_secret")]
    InvalidClient,
    /// The OAuth authorization has lost its scopes (platform.md §7.2): the token is taken, and good for nothing.
    #[error("the authorization has lost its scopes; authorize the operator again if this lasts")]
    ScopesLost,
    /// The setting needs a custom SMTP server (platform.md §7.2: told by a 401).
    #[error("the setting needs a custom SMTP server; configure one first")]
    SmtpRequired,
    /// A field has a value that the platform does not take.
    #[error("{}", invalid_field(*.0))]
    InvalidField(Option<Field>),
    /// Some other reason.
    #[error("for a reason that the operator does not know")]
    Unknown,
}

/// A field of a create or an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The project's name.
    Name,
    /// The slug of the organization.
    Organization,
    /// The region or region group.
    Region,
    /// The size of the instance.
    Size,
}

impl Field {
    /// What users call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Organization => "organization",
            Self::Region => "region",
            Self::Size => "compute size",
        }
    }
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Soon, with backoff.
    Again,
    /// Not before so long, if it is known.
    AgainAfter(Option<Duration>),
    /// Rarely: somebody must act on the platform, or the other side must come to its senses.
    Slowly,
    /// When the object or its Secrets change; rarely besides.
    OnChange,
}

impl Error {
    /// Whether the platform certainly did nothing because it said no: 400, 401, 402, 403, 409, 422, 429.
    pub const fn is_definite_refusal(&self) -> bool {
        match self {
            Self::Throttled { .. }
            | Self::Unauthorized
            | Self::Forbidden { .. }
            | Self::Removed => true,
            Self::Rejected { status, .. } => matches!(*status, 400 | 401 | 402 | 409 | 422),
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::NotFound
            | Self::Unavailable { .. }
            | Self::Undecodable { .. }
            | Self::MalformedCredential(_)
            | Self::Withheld(_) => false,
        }
    }

    /// Whether nothing left this process.
    pub const fn was_not_sent(&self) -> bool {
        match self {
            Self::Unreachable { sent } | Self::TimedOut { sent } => {
                matches!(sent, Sent::No | Sent::Untrusted)
            }
            Self::MalformedCredential(_) | Self::Withheld(_) => true,
            Self::Throttled { .. }
            | Self::Unauthorized
            | Self::Forbidden { .. }
            | Self::NotFound
            | Self::Removed
            | Self::Rejected { .. }
            | Self::Unavailable { .. }
            | Self::Undecodable { .. } => false,
        }
    }

    /// Whether the platform may have done what it was asked: neither refused nor unsent.
    pub const fn was_perhaps_done(&self) -> bool {
        !self.is_definite_refusal() && !self.was_not_sent()
    }

    /// Whether a limit of free projects is in the way, whatever the status.
    pub const fn is_quota(&self) -> bool {
        matches!(
            self,
            Self::Forbidden { reason: Forbidden::FreeProjectLimit, .. }
                | Self::Rejected { because: Rejection::QuotaReached, .. }
        )
    }

    /// When to try again.
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Unavailable { .. } => {
                Remedy::Again
            }
            Self::Throttled { retry_after } => Remedy::AgainAfter(*retry_after),
            Self::Unauthorized
            | Self::Forbidden { .. }
            | Self::NotFound
            | Self::Removed
            | Self::Undecodable { .. } => Remedy::Slowly,
            Self::Rejected { because, .. } => match because {
                Rejection::NotReady => Remedy::Again,
                Rejection::QuotaReached
                | Rejection::PaymentRequired
                | Rejection::NotPaused
                | Rejection::CannotPause
                | Rejection::ScopesLost
                | Rejection::Unknown => Remedy::Slowly,
                Rejection::NameTaken
                | Rejection::WeakPassword
                | Rejection::InvalidGrant
                | Rejection::InvalidClient
                | Rejection::SmtpRequired
                | Rejection::InvalidField(_) => Remedy::OnChange,
            },
            Self::MalformedCredential(_) => Remedy::OnChange,
            Self::Withheld(_) => Remedy::Again,
        }
    }

    /// Whether the authorization has lost its scopes.
    pub const fn is_scopes_lost(&self) -> bool {
        matches!(self, Self::Rejected { because: Rejection::ScopesLost, .. })
    }

    /// A short name for metrics and logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timed_out",
            Self::Throttled { .. } => "throttled",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::NotFound => "not_found",
            Self::Removed => "removed",
            Self::Rejected { .. } => "rejected",
            Self::Unavailable { .. } => "unavailable",
            Self::Undecodable { .. } => "undecodable",
            Self::MalformedCredential(_) => "malformed_credential",
            Self::Withheld(_) => "withheld",
        }
    }
}

fn forbidden(missing: &[String], reason: Forbidden) -> String {
    match reason {
        Forbidden::FreeProjectLimit => {
            "a member of the organization has reached the limit of active \
            free projects; pause or delete one, or change the organization's plan"
                .to_owned()
        }
        Forbidden::NotForOAuth => {
            "the Management API takes no OAuth token for this yet; neither a scope nor a new token helps, a \
            personal access token does"
                .to_owned()
        }
        Forbidden::Privileges if missing.is_empty() => {
            "the token does not have the privileges for this; give one with more rights or scopes"
                .to_owned()
        }
        Forbidden::Privileges => format!("the token lacks the permissions {}", missing.join(", ")),
    }
}

const fn unreachable(sent: Sent) -> &'static str {
    match sent {
        Sent::Untrusted => {
            "the certificate of the Management API is not trusted; where a proxy or firewall inspects TLS, give its \
            certificate authority with --management-api-ca-bundle (chart: managementAPI.caBundle)"
        }
        Sent::No | Sent::Perhaps => {
            "the Management API cannot be reached; check DNS, proxy and network policies if this lasts"
        }
    }
}

fn invalid_field(field: Option<Field>) -> String {
    field.map_or_else(
        || "a field has a value that the platform does not take".to_owned(),
        |field| format!("the platform does not take the value of the {}", field.as_str()),
    )
}
