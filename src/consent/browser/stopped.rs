//! Why a flow stopped, in words for the person in front of the browser, and in a word for metrics.
//!
//! No text of a query or of the platform is in them.

use axum::http::StatusCode;

use crate::consent::app::NoApp;
use crate::consent::redeem::Refused;
use crate::kubernetes;
use crate::session::token_store::NotOpened;

/// Why nothing came of a request.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// No connection has this link.
    #[error(
        "there is no connection with this address, or consent cannot be given for it; look for the address in the \
         connection's status"
    )]
    UnknownLink,
    /// The form was not sent from our page.
    #[error(
        "this request did not come from the page with the button; open that page and press the button there"
    )]
    Forged,
    /// The connection needs nothing.
    #[error("the connection is working; nothing needs to be done")]
    NotNeeded,
    /// The app cannot be asked for.
    #[error(
        "the OAuth app of this connection is not set up; whoever looks after the connection can see why in its status"
    )]
    NoApp(#[source] Option<NoApp>),
    /// The API server cannot be asked.
    #[error("the cluster does not answer at the moment; try again in a minute")]
    Cluster(#[source] kubernetes::Error),
    /// The state was not made here, or was changed.
    #[error(
        "this address was not made by this operator, or was changed on its way; begin again at the address in the \
         connection's status"
    )]
    Tampered,
    /// The flow took too long.
    #[error("more than ten minutes have passed since the button was pressed; begin again")]
    Expired,
    /// Another browser began this flow.
    #[error(
        "this authorization was begun in another browser; begin again here. If somebody sent you this address, do not \
         go on"
    )]
    OtherBrowser,
    /// Another authorization server answered.
    #[error("the answer does not come from the authorization server that was asked; begin again")]
    OtherIssuer,
    /// The person refused.
    #[error("nothing has changed; begin again if that was not meant")]
    Denied,
    /// The server does not like what the app asks for.
    #[error(
        "Supabase does not accept how the OAuth app asks for access; whoever registered the app should compare its \
         redirect addresses with the documentation"
    )]
    AppMisconfigured,
    /// The server has a problem.
    #[error("Supabase could not give access at the moment; try again in a minute")]
    ServerError,
    /// Neither a code nor a known error.
    #[error("Supabase sent neither access nor a reason; begin again")]
    NoCode,
    /// The connection went meanwhile.
    #[error("the connection was deleted or changed meanwhile; look at it before you begin again")]
    Gone,
    /// The code could not be redeemed.
    #[error("{0}")]
    Refused(Refused),
    /// The process ended before it was done.
    #[error("the operator was interrupted; begin again")]
    Interrupted,
}

impl From<Refused> for Why {
    fn from(refused: Refused) -> Self {
        if let Refused::NotOpened(NotOpened::Kubernetes(error)) = refused {
            Self::Cluster(error)
        } else {
            Self::Refused(refused)
        }
    }
}

impl Why {
    /// The word for metrics, from a closed list.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::UnknownLink => "unknown_link",
            Self::Forged => "forged",
            Self::NotNeeded => "not_needed",
            Self::NoApp(_) => "no_app",
            Self::Cluster(_) => "cluster_unavailable",
            Self::Tampered => "tampered",
            Self::Expired => "expired",
            Self::OtherBrowser => "other_browser",
            Self::OtherIssuer => "other_issuer",
            Self::Denied => "denied",
            Self::AppMisconfigured => "app_misconfigured",
            Self::ServerError => "server_error",
            Self::NoCode => "no_code",
            Self::Gone => "gone",
            Self::Interrupted => "interrupted",
            Self::Refused(refused) => match refused {
                Refused::NotOpened(NotOpened::Replayed) => "replayed",
                Refused::NotOpened(NotOpened::TooMany) => "too_many",
                Refused::NotOpened(NotOpened::Foreign(_) | NotOpened::Kubernetes(_)) => {
                    "not_recorded"
                }
                Refused::Code => "code_refused",
                Refused::App => "app_refused",
                Refused::Platform(_) => "platform_unavailable",
                Refused::NoRefreshToken => "no_refresh_token",
                Refused::NotStored(_) => "not_stored",
                Refused::Organization { .. } => "wrong_organization",
            },
        }
    }

    /// Whether the same request may work in a minute: nothing has been recorded or exchanged.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// The heading of the page.
    pub const fn title(&self) -> &'static str {
        match self {
            Self::UnknownLink => "Not found",
            Self::NotNeeded => "Already connected",
            Self::Denied => "Access was not given",
            Self::Expired => "Too late",
            Self::Refused(Refused::NotOpened(NotOpened::Replayed)) => "Used before",
            Self::Refused(Refused::Organization { .. }) => "Another organization",
            Self::Forged
            | Self::NoApp(_)
            | Self::Cluster(_)
            | Self::Tampered
            | Self::OtherBrowser
            | Self::OtherIssuer
            | Self::AppMisconfigured
            | Self::ServerError
            | Self::NoCode
            | Self::Gone
            | Self::Interrupted
            | Self::Refused(_) => "Not connected",
        }
    }

    /// The status of the answer.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::UnknownLink => StatusCode::NOT_FOUND,
            Self::Forged => StatusCode::FORBIDDEN,
            Self::NotNeeded => StatusCode::OK,
            Self::NoApp(_) | Self::Gone => StatusCode::CONFLICT,
            Self::Cluster(_)
            | Self::ServerError
            | Self::Interrupted
            | Self::Refused(Refused::NotStored(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Refused(Refused::Platform(_)) => StatusCode::BAD_GATEWAY,
            Self::Tampered
            | Self::Expired
            | Self::OtherBrowser
            | Self::OtherIssuer
            | Self::Denied
            | Self::AppMisconfigured
            | Self::NoCode
            | Self::Refused(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// What an `error` of the authorization server means (RFC 6749 §4.1.2.1).
    pub fn of_error(error: &str) -> Self {
        match error {
            "access_denied" => Self::Denied,
            "server_error" | "temporarily_unavailable" => Self::ServerError,
            "invalid_request"
            | "unauthorized_client"
            | "unsupported_response_type"
            | "invalid_scope" => Self::AppMisconfigured,
            _ => Self::NoCode,
        }
    }
}
