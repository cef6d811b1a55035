//! From the status, headers and body of a refusal to what it means.
//!
//! Pure, and the only place that knows status codes and the texts of the API. The statuses of several
//! refusals are not documented, so a text counts under any of them.

use http::HeaderMap;

use super::endpoint::Endpoint;
use super::error::{Error, Field, Forbidden, Rejection};
use super::headers::retry_after;
use super::remote::Remote;

const FREE_LIMIT: &str = "reached their maximum limits for the number of active free projects";

/// What an answer that is no success means.
pub(super) fn refusal(endpoint: Endpoint, status: u16, headers: &HeaderMap, body: &[u8]) -> Error {
    let remote = Remote::read(headers, body);
    match status {
        429 => Error::Throttled { retry_after: retry_after(headers, remote.moment()) },
        // A gateway's page is not the platform's word, whatever status it wears.
        _ if remote.is_page => Error::Unavailable { status },
        _ if endpoint == Endpoint::Token => of_oauth(status, &remote),
        // Not the token (platform.md §7.1, §7.2): a new one would change nothing.
        401 | 403 if remote.says("does not support oauth access") => {
            Error::Forbidden { missing: Vec::new(), reason: Forbidden::NotForOAuth }
        }
        400..=499 if endpoint.changes_settings() && of_a_plan(&remote) => {
            Error::Rejected { status, because: Rejection::PaymentRequired }
        }
        401 if remote.says("custom smtp required")
            || (endpoint == Endpoint::ChangeAuthConfig && remote.says("required to configure")) =>
        {
            Error::Rejected { status, because: Rejection::SmtpRequired }
        }
        400..=499 if remote.says("failed to retrieve scopes") => {
            Error::Rejected { status, because: Rejection::ScopesLost }
        }
        401 => Error::Unauthorized,
        403 if remote.says(FREE_LIMIT) => {
            Error::Forbidden { missing: Vec::new(), reason: Forbidden::FreeProjectLimit }
        }
        403 => Error::Forbidden { missing: remote.missing, reason: Forbidden::Privileges },
        400 | 404 | 410 if remote.says("has been removed") => Error::Removed,
        404 => Error::NotFound,
        408 => Error::Unavailable { status },
        400..=499 => Error::Rejected { status, because: rejection(endpoint, status, &remote) },
        _ => Error::Unavailable { status },
    }
}

/// The token endpoint speaks of two things: the client, and its refresh token. A used token answers 404.
fn of_oauth(status: u16, remote: &Remote) -> Error {
    let because = match status {
        401 => Rejection::InvalidClient,
        400..=499 if remote.says("invalid_client") || remote.says("unrecognized client_id") => {
            Rejection::InvalidClient
        }
        404 => Rejection::InvalidGrant,
        400..=499 if remote.says("invalid_grant") => Rejection::InvalidGrant,
        400 | 402 | 403 | 409 | 422 => Rejection::Unknown,
        _ => return Error::Unavailable { status },
    };
    Error::Rejected { status, because }
}

fn rejection(endpoint: Endpoint, status: u16, remote: &Remote) -> Rejection {
    let naming = matches!(endpoint, Endpoint::CreateProject | Endpoint::RenameProject);
    if naming && (status == 409 || remote.says("already exists in your organization")) {
        Rejection::NameTaken
    } else if remote.says(FREE_LIMIT) {
        Rejection::QuotaReached
    } else if status == 402 || remote.says("overdue") || remote.says("unpaid invoice") {
        Rejection::PaymentRequired
    } else if weak_password(endpoint, remote) {
        Rejection::WeakPassword
    } else if endpoint == Endpoint::PauseProject && remote.says("cannot be paused") {
        Rejection::CannotPause
    } else if endpoint == Endpoint::RestoreProject && remote.says("paused state") {
        Rejection::NotPaused
    } else if too_early(endpoint, remote) {
        Rejection::NotReady
    } else if endpoint == Endpoint::CreateProject || endpoint == Endpoint::RenameProject {
        invalid_field(remote)
    } else if endpoint.changes_settings() && matches!(status, 400 | 422) {
        Rejection::InvalidField(None)
    } else {
        Rejection::Unknown
    }
}

/// What a plan does not include is told with several statuses.
fn of_a_plan(remote: &Remote) -> bool {
    remote.says("pro plan")
        || remote.says("enterprise plan")
        || remote.says("free tier")
        || remote.says("free plan")
        || remote.says("upgrade your plan")
}

fn weak_password(endpoint: Endpoint, remote: &Remote) -> bool {
    matches!(endpoint, Endpoint::CreateProject | Endpoint::ChangePassword)
        && (remote.says("known to be weak")
            || remote.says("weak password")
            || remote.begins("db_pass ")
            || remote.begins("password "))
}

fn too_early(endpoint: Endpoint, remote: &Remote) -> bool {
    // Keys and pooler entries come some time after the project; until then reading them is refused with
    // texts that are not known.
    matches!(endpoint, Endpoint::ApiKeys | Endpoint::Pooler | Endpoint::Health)
        || remote.says("not ready")
        || remote.says("not available yet")
        || remote.says("must be active")
        || remote.says("coming_up")
}

fn invalid_field(remote: &Remote) -> Rejection {
    const FIELDS: [(&str, Field); 6] = [
        ("name ", Field::Name),
        ("region", Field::Region),
        ("one of region", Field::Region),
        ("only one of region", Field::Region),
        ("organization", Field::Organization),
        ("desired_instance_size ", Field::Size),
    ];
    if let Some((_, field)) = FIELDS.iter().find(|(text, _)| remote.begins(text)) {
        Rejection::InvalidField(Some(*field))
    } else if remote.says("instance size") {
        Rejection::InvalidField(Some(Field::Size))
    } else if remote.says("must be") || remote.says("should ") || remote.says("is invalid") {
        Rejection::InvalidField(None)
    } else {
        Rejection::Unknown
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn meaning(endpoint: Endpoint, status: u16, message: &str) -> Error {
        let body = json!({ "message": message }).to_string();
        refusal(endpoint, status, &HeaderMap::new(), body.as_bytes())
    }

    fn rejected(status: u16, because: Rejection) -> Error {
        Error::Rejected { status, because }
    }

    #[test]
    fn statuses_mean_the_same_everywhere() {
        for endpoint in Endpoint::ALL.iter().copied() {
            if endpoint == Endpoint::Token {
                continue;
            }
            let privileges = Error::Forbidden { missing: vec![], reason: Forbidden::Privileges };
            assert_eq!(meaning(endpoint, 401, "Unauthorized"), Error::Unauthorized);
            assert_eq!(meaning(endpoint, 403, "Forbidden resource"), privileges);
            assert_eq!(meaning(endpoint, 404, "Project not found"), Error::NotFound);
            for status in [400, 404] {
                let gone = meaning(endpoint, status, "Resource has been removed");
                assert_eq!(gone, Error::Removed, "{status}");
            }
        }
    }

    const NO_OAUTH: &str = "This endpoint does not support oauth access yet";
    const SMTP: &str = "Custom SMTP required to configure SMTP_SENDER_NAME or RATE_LIMIT_EMAIL_SENT. Missing \
        SMTP_ADMIN_EMAIL, SMTP_HOST, SMTP_PORT, SMTP_USER, SMTP_PASS fields.";

    #[test]
    fn a_401_that_is_not_about_the_token_is_not_laid_at_it() {
        for endpoint in Endpoint::ALL.iter().copied() {
            if endpoint == Endpoint::Token {
                continue;
            }
            let lacking = meaning(endpoint, 401, NO_OAUTH);
            let expected = Error::Forbidden { missing: vec![], reason: Forbidden::NotForOAuth };
            assert_eq!(lacking, expected);
            assert!(!lacking.to_string().contains("give a new one"), "{lacking}");
            let refused = meaning(endpoint, 401, SMTP);
            assert_eq!(refused, rejected(401, Rejection::SmtpRequired));
            assert!(refused.is_definite_refusal());
            assert!(!refused.to_string().contains("token"), "{refused}");
        }
    }

    #[test]
    fn a_406_is_never_absence() {
        for endpoint in Endpoint::ALL.iter().copied() {
            if endpoint == Endpoint::Token {
                continue;
            }
            for text in ["Failed to retrieve scopes", "Not Acceptable"] {
                let seen = meaning(endpoint, 406, text);
                assert!(!matches!(seen, Error::NotFound | Error::Removed), "{seen}");
            }
            let lost = meaning(endpoint, 406, "Failed to retrieve scopes");
            assert!(lost.is_scopes_lost() && !lost.is_definite_refusal(), "{lost}");
        }
    }

    #[test]
    fn a_time_that_only_the_text_names_is_waited_for() {
        let headers = HeaderMap::from_iter([
            (http::header::DATE, "Wed, 15 Apr 2026 10:46:16 GMT".parse().unwrap()),
            (http::HeaderName::from_static("x-ratelimit-reset"), "3".parse().unwrap()),
        ]);
        let text =
            "Please wait until 2026-04-15T10:50:16.000Z before attempting this request again.";
        let body = json!({ "message": text }).to_string();
        let seen = refusal(Endpoint::ApiKeys, 429, &headers, body.as_bytes());
        let expected = Error::Throttled { retry_after: Some(Duration::from_secs(240)) };
        assert_eq!(seen, expected);
        // Without the server's clock it is not known how far off that is.
        let seen = refusal(Endpoint::ApiKeys, 429, &HeaderMap::new(), body.as_bytes());
        assert_eq!(seen, Error::Throttled { retry_after: None });
    }

    #[test]
    fn refused_settings_are_told_apart_and_never_laid_at_the_token() {
        let hibp = "Configuring leaked password protection via HaveIBeenPwned.org is available on Pro Plans and up.";
        let templates = "Email template modification is not available for free tier projects using the default email \
            provider. Please upgrade your plan or configure a custom SMTP provider.";
        let hooks = "Auth Hooks can only be configured on Team or Enterprise Plans";
        for (endpoint, status, message, because) in [
            (Endpoint::ChangeAuthConfig, 402, hibp, Rejection::PaymentRequired),
            (Endpoint::ChangeAuthConfig, 400, templates, Rejection::PaymentRequired),
            (Endpoint::ChangeAuthConfig, 401, hooks, Rejection::PaymentRequired),
            (Endpoint::ChangeAuthConfig, 403, hooks, Rejection::PaymentRequired),
            (Endpoint::ChangeAuthConfig, 401, SMTP, Rejection::SmtpRequired),
            (
                Endpoint::ChangeAuthConfig,
                401,
                "SMTP_HOST is required to configure SMTP_USER",
                Rejection::SmtpRequired,
            ),
            (
                Endpoint::ChangeAuthConfig,
                400,
                "smtp_port: Invalid input: expected string, received number",
                Rejection::InvalidField(None),
            ),
            (
                Endpoint::ReplaceParameters,
                422,
                "max_connections: Too big",
                Rejection::InvalidField(None),
            ),
            (
                Endpoint::SetSslEnforcement,
                400,
                "Project must be active and healthy.",
                Rejection::NotReady,
            ),
        ] {
            let seen = meaning(endpoint, status, message);
            assert_eq!(seen, rejected(status, because), "{message}");
        }
        let dead = meaning(Endpoint::ChangeAuthConfig, 401, "Unauthorized");
        assert_eq!(dead, Error::Unauthorized);
    }

    #[test]
    fn what_may_pass_by_itself_is_unavailable() {
        for endpoint in Endpoint::ALL.iter().copied() {
            for status in [301, 302, 307, 308, 408, 500, 502, 503, 504, 520, 524, 544, 599, 304] {
                assert_eq!(meaning(endpoint, status, "x"), Error::Unavailable { status });
            }
            for status in [400, 401, 403, 404, 409, 422, 500, 503] {
                let page = b"<!DOCTYPE html><html>already exists in your organization</html>";
                let seen = refusal(endpoint, status, &HeaderMap::new(), page);
                assert_eq!(seen, Error::Unavailable { status }, "a page with {status}");
            }
        }
    }

    #[test]
    fn throttling_is_recognized_even_from_a_gateway() {
        let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, "7".parse().unwrap())]);
        let expected = Error::Throttled { retry_after: Some(Duration::from_secs(7)) };
        assert_eq!(refusal(Endpoint::Token, 429, &headers, b"<html>"), expected);
        assert_eq!(refusal(Endpoint::Project, 429, &headers, b"{}"), expected);
    }

    #[test]
    fn missing_permissions_are_named() {
        let body = br#"{"message":"no","missing_permissions":["secrets_read"]}"#;
        let seen = refusal(Endpoint::ApiKeys, 403, &HeaderMap::new(), body);
        assert!(seen.to_string().contains("secrets_read"), "{seen}");
    }

    const LIMIT: &str = "The following organization members have reached their maximum limits for the \
        number of active free projects within organizations where they are an administrator or owner: \
        JANE (2 project limit).";

    #[test]
    fn refused_creates_are_told_apart() {
        for (status, message, because) in [
            (400, "Project x already exists in your organization.", Rejection::NameTaken),
            (422, "x already exists in your organization.", Rejection::NameTaken),
            (409, "Conflict", Rejection::NameTaken),
            (400, LIMIT, Rejection::QuotaReached),
            (402, LIMIT, Rejection::QuotaReached),
            (402, "Instance size is not available on the free plan", Rejection::PaymentRequired),
            (400, "Your organization has overdue invoices", Rejection::PaymentRequired),
            (400, "db_pass must be longer than or equal to 4 characters", Rejection::WeakPassword),
            (
                400,
                "Password is known to be weak and easy to guess, please choose a different one",
                Rejection::WeakPassword,
            ),
        ] {
            let seen = meaning(Endpoint::CreateProject, status, message);
            assert_eq!(seen, rejected(status, because), "{message}");
        }
        let limit = meaning(Endpoint::CreateProject, 403, LIMIT);
        assert!(limit.is_quota() && !limit.to_string().contains("JANE"), "{limit}");
    }

    #[test]
    fn a_refused_value_is_laid_at_its_field() {
        let field = |field| Rejection::InvalidField(Some(field));
        for (status, message, because) in [
            (400, "name should not contain a . string", field(Field::Name)),
            (400, "region must be one of the available regions", field(Field::Region)),
            (400, "region_selection is invalid", field(Field::Region)),
            (400, "One of region or region_selection must be specified", field(Field::Region)),
            (
                400,
                "desired_instance_size must be one of the following values: nano",
                field(Field::Size),
            ),
            (400, "Instance size nano is not available on paid plans", field(Field::Size)),
            (400, "organization_slug must match the pattern ^[\\w-]+$", field(Field::Organization)),
            (400, "property x should not exist", Rejection::InvalidField(None)),
            (400, "Something else", Rejection::Unknown),
            (410, "Gone", Rejection::Unknown),
            (406, "Not acceptable", Rejection::Unknown),
        ] {
            let seen = meaning(Endpoint::CreateProject, status, message);
            assert_eq!(seen, rejected(status, because), "{message}");
        }
    }

    #[test]
    fn refused_changes_of_state_are_told_apart() {
        for (endpoint, message, because) in [
            (Endpoint::DeleteProject, "Project not ready for deletion.", Rejection::NotReady),
            (Endpoint::PauseProject, "Project must be active to be paused", Rejection::NotReady),
            (
                Endpoint::PauseProject,
                "Projects of a paid organization cannot be paused",
                Rejection::CannotPause,
            ),
            (
                Endpoint::RestoreProject,
                "Project is no longer in a paused state. Its current status is COMING_UP.",
                Rejection::NotPaused,
            ),
            (Endpoint::ChangePassword, "Project must be active and healthy.", Rejection::NotReady),
            (
                Endpoint::ChangePassword,
                "password must be longer than or equal to 4 characters",
                Rejection::WeakPassword,
            ),
            (Endpoint::ApiKeys, "Whatever", Rejection::NotReady),
            (Endpoint::Pooler, "Whatever", Rejection::NotReady),
            (
                Endpoint::RenameProject,
                "x already exists in your organization.",
                Rejection::NameTaken,
            ),
            (Endpoint::DeleteProject, "Whatever", Rejection::Unknown),
        ] {
            assert_eq!(meaning(endpoint, 400, message), rejected(400, because), "{message}");
        }
    }

    #[test]
    fn a_dead_refresh_token_and_a_wrong_client_are_told_apart() {
        for (status, body, because) in [
            (404, "", Rejection::InvalidGrant),
            (404, r#"{"message":"Not Found"}"#, Rejection::InvalidGrant),
            (400, r#"{"error":"invalid_grant"}"#, Rejection::InvalidGrant),
            (401, r#"{"message":"Invalid client credentials"}"#, Rejection::InvalidClient),
            (400, r#"{"error":"invalid_client"}"#, Rejection::InvalidClient),
            (422, r#"{"message":"Unrecognized client_id"}"#, Rejection::InvalidClient),
            (404, r#"{"message":"Unrecognized client_id"}"#, Rejection::InvalidClient),
            (400, r#"{"message":"refresh_token is required"}"#, Rejection::Unknown),
            (403, "{}", Rejection::Unknown),
        ] {
            let seen = refusal(Endpoint::Token, status, &HeaderMap::new(), body.as_bytes());
            assert_eq!(seen, rejected(status, because), "{status} {body}");
        }
        for status in [405, 406, 410, 413, 451] {
            let seen = refusal(Endpoint::Token, status, &HeaderMap::new(), b"{}");
            assert_eq!(seen, Error::Unavailable { status });
        }
    }

    #[test]
    fn only_known_statuses_are_definite() {
        for status in 300..600 {
            let seen = meaning(Endpoint::CreateProject, status, "Something");
            let definite = [400, 401, 402, 403, 409, 422, 429].contains(&status);
            assert_eq!(seen.is_definite_refusal(), definite, "{status}");
            assert_eq!(seen.was_perhaps_done(), !definite, "{status}");
        }
    }

    #[test]
    fn no_text_of_the_other_side_gets_into_an_error() {
        let canary = "zq9canary";
        for endpoint in Endpoint::ALL.iter().copied() {
            for status in 300..600 {
                let seen = meaning(endpoint, status, canary);
                assert!(!format!("{seen:?} {seen}").contains(canary));
            }
        }
    }
}
