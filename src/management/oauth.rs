//! OAuth: where consent is asked for, and the token endpoint.
//!
//! A refresh token is single use: whoever makes this call must have written down that it is being made,
//! and must store the answer before using it. That is the session's; here is only the wire.

use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::base::BaseUrl;
use super::call::{Body, Call, ClientProof};
use super::endpoint::Endpoint;
use super::endpoints::json;
use super::transport::Limits;
use super::wire::{self, Clear, Undecodable, word};

/// A registered OAuth app: who asks for tokens.
#[derive(Clone)]
pub struct OAuthApp {
    /// Public identifier.
    pub client_id: String,
    /// Proof.
    pub client_secret: SecretString,
}

impl fmt::Debug for OAuthApp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OAuthApp")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// What the token endpoint granted.
#[derive(Clone, Debug)]
pub struct TokenGrant {
    /// For calls.
    pub access_token: SecretString,
    /// For the next grant. Absent where the old one stays valid.
    pub refresh_token: Option<SecretString>,
    /// Life of the access token. Absent where the answer says nothing sensible.
    pub expires_in: Option<Duration>,
    /// The scopes granted, as far as the answer names them.
    pub scopes: Vec<String>,
    /// Whether the tokens reach only some projects of the organization.
    pub limited_to_projects: bool,
}

/// Spends a refresh token for a new pair; the old access token is dead from then on.
pub fn refresh_token(app: &OAuthApp, refresh_token: &SecretString) -> Call<TokenGrant> {
    let token = refresh_token.expose_secret().trim();
    let mut form = String::with_capacity(64 + 3 * token.len());
    form.push_str("grant_type=refresh_token&refresh_token=");
    form.extend(form_urlencoded::byte_serialize(token.as_bytes()));
    token_call(app, form)
}

/// Where the consent page is, to which the authorize page sends browsers on (platform.md §2.1).
pub const DASHBOARD_ORIGIN: &str = "https://supabase.com";

/// What a browser is sent to the platform's authorize page with (platform.md §2.1).
#[derive(Clone, Copy, Debug)]
pub struct Authorization<'a> {
    /// The app's public identifier.
    pub client_id: &'a str,
    /// Where the browser is sent back to: byte for byte as registered.
    pub redirect_uri: &'a str,
    /// Comes back unchanged.
    pub state: &'a str,
    /// PKCE, `S256`.
    pub code_challenge: &'a str,
    /// Chosen on the page beforehand.
    pub organization_slug: Option<&'a str>,
}

impl Authorization<'_> {
    /// The address of the authorize page.
    pub fn url(&self, base: &BaseUrl) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", self.client_id)
            .append_pair("redirect_uri", self.redirect_uri)
            .append_pair("state", self.state)
            .append_pair("code_challenge", self.code_challenge)
            .append_pair("code_challenge_method", "S256");
        if let Some(slug) = self.organization_slug {
            query.append_pair("organization_slug", slug);
        }
        base.below(&format!("/v1/oauth/authorize?{}", query.finish()))
    }
}

/// Exchanges an authorization code for the first pair of tokens (platform.md §2.2). A code is single use:
/// whoever makes this call must have written down that it is being made.
pub fn exchange_code(
    app: &OAuthApp,
    code: &SecretString,
    redirect_uri: &str,
    verifier: &SecretString,
) -> Call<TokenGrant> {
    let mut form = form_urlencoded::Serializer::new(String::with_capacity(512));
    form.append_pair("grant_type", "authorization_code")
        .append_pair("code", code.expose_secret())
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("code_verifier", verifier.expose_secret());
    token_call(app, form.finish())
}

/// Ends everything that an app may do in the organization of a refresh token (platform.md §2.3).
pub fn revoke(app: &OAuthApp, refresh_token: &SecretString) -> Call<()> {
    #[derive(Serialize)]
    struct Revocation<'a> {
        client_id: &'a str,
        client_secret: &'a str,
        refresh_token: &'a str,
    }
    Call::new(Endpoint::Revoke, String::new(), "/v1/oauth/revoke".to_owned(), wire::anything)
        .with_body(json(&Revocation {
            client_id: &app.client_id,
            client_secret: app.client_secret.expose_secret(),
            refresh_token: refresh_token.expose_secret().trim(),
        }))
        .with_limits(Limits::ONCE)
}

fn token_call(app: &OAuthApp, form: String) -> Call<TokenGrant> {
    let mut call =
        Call::new(Endpoint::Token, String::new(), "/v1/oauth/token".to_owned(), token_grant)
            .with_body(Body::Form(Zeroizing::new(form.into_bytes())))
            .with_limits(Limits::ONCE);
    call.client = Some(ClientProof {
        client_id: app.client_id.clone(),
        client_secret: app.client_secret.clone(),
    });
    call
}

/// Reads a grant. Lenient in all but the tokens: what was granted must not be lost for a comma.
fn token_grant(_: &str, body: &[u8]) -> Result<TokenGrant, Undecodable> {
    #[derive(Deserialize)]
    struct Raw {
        access_token: Clear,
        #[serde(default)]
        refresh_token: Option<Clear>,
        #[serde(default)]
        expires_in: Value,
        #[serde(default)]
        scope: Value,
        #[serde(default)]
        project_refs: Value,
    }
    let raw: Raw = serde_json::from_slice(body).map_err(|_| Undecodable)?;
    let secret = |text: &Clear| {
        let text = text.trim();
        let sound = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        sound.then(|| SecretString::from(text)).ok_or(Undecodable)
    };
    let scopes = raw.scope.as_str().unwrap_or_default();
    Ok(TokenGrant {
        access_token: secret(&raw.access_token)?,
        refresh_token: raw.refresh_token.as_ref().map(secret).transpose()?,
        expires_in: lifetime(&raw.expires_in),
        scopes: scopes.split_ascii_whitespace().take(64).filter_map(word).collect(),
        limited_to_projects: !raw.project_refs.is_null(),
    })
}

/// A positive number of seconds, perhaps written as text, up to a year.
fn lifetime(value: &Value) -> Option<Duration> {
    const YEAR: u64 = 366 * 86_400;
    let seconds = match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64()?;
            Duration::try_from_secs_f64(float).ok().map(|duration| duration.as_secs())
        }),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    seconds.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.min(YEAR)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn app() -> OAuthApp {
        OAuthApp { client_id: "the-app".to_owned(), client_secret: "app-secret".into() }
    }

    fn decode(body: &Value) -> Result<TokenGrant, Undecodable> {
        token_grant("", body.to_string().as_bytes())
    }

    #[test]
    fn a_refresh_is_a_form_with_nothing_else_in_it() {
        let call = refresh_token(&app(), &" to+ken&/= \n".into());
        let Some(Body::Form(form)) = &call.body else { panic!("no form") };
        let pairs: Vec<_> = form_urlencoded::parse(form).into_owned().collect();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            pairs,
            [pair("grant_type", "refresh_token"), pair("refresh_token", "to+ken&/=")]
        );
        assert_eq!(call.limits.connection, super::super::Connection::Own);
    }

    #[test]
    fn consent_is_asked_for_with_everything_encoded() {
        let asked = Authorization {
            client_id: "the-app",
            redirect_uri: "http://127.0.0.1:8976/callback",
            state: "a b&c",
            code_challenge: "xyz",
            organization_slug: Some("acme"),
        };
        let url = asked.url(&"https://api.supabase.com/".parse().unwrap());
        assert_eq!(
            url,
            "https://api.supabase.com/v1/oauth/authorize?response_type=code&client_id=the-app\
             &redirect_uri=http%3A%2F%2F127.0.0.1%3A8976%2Fcallback&state=a+b%26c&code_challenge=xyz\
             &code_challenge_method=S256&organization_slug=acme"
        );
    }

    #[test]
    fn a_code_is_exchanged_with_its_verifier() {
        let call = exchange_code(&app(), &"the+code".into(), "https://x/y", &"v".into());
        let Some(Body::Form(form)) = &call.body else { panic!("no form") };
        let pairs: BTreeMap<_, _> = form_urlencoded::parse(form).into_owned().collect();
        assert_eq!(pairs["grant_type"], "authorization_code");
        assert_eq!(pairs["code"], "the+code");
        assert_eq!(pairs["redirect_uri"], "https://x/y");
        assert_eq!(pairs["code_verifier"], "v");
        assert_eq!(pairs.len(), 4);
        assert!(!format!("{call:?}").contains("the+code"));
    }

    #[test]
    fn no_secret_shows_in_debug_output() {
        let call = refresh_token(&app(), &"refresh-canary".into());
        let grant =
            decode(&json!({ "access_token": "access-canary", "refresh_token": "refresh-canary" }));
        let shown = format!("{call:?} {:?} {grant:?}", app());
        for canary in ["app-secret", "refresh-canary", "access-canary"] {
            assert!(!shown.contains(canary), "{shown}");
        }
    }

    #[test]
    fn a_grant_is_read_as_documented() {
        let grant = decode(&json!({
            "access_token": "a", "refresh_token": "r", "expires_in": 86400, "token_type": "Bearer",
            "scope": "projects:read secrets:read", "project_refs": null, "new": [1],
        }))
        .unwrap();
        assert_eq!(grant.access_token.expose_secret(), "a");
        assert_eq!(grant.refresh_token.unwrap().expose_secret(), "r");
        assert_eq!(grant.expires_in, Some(Duration::from_secs(86_400)));
        assert_eq!(grant.scopes, ["projects:read", "secrets:read"]);
        assert!(!grant.limited_to_projects);
    }

    #[test]
    fn tokens_are_kept_whatever_else_is_wrong_with_the_grant() {
        for odd in [
            json!({ "access_token": "a" }),
            json!({ "access_token": "a", "refresh_token": null, "expires_in": null, "scope": null }),
            json!({ "access_token": "a", "expires_in": -1, "scope": 7 }),
            json!({ "access_token": "a", "expires_in": "soon", "scope": ["x"] }),
            json!({ "access_token": "a", "expires_in": {}, "scope": "bad\u{7}scope" }),
        ] {
            let grant = decode(&odd).unwrap();
            assert_eq!((grant.expires_in, grant.scopes.len()), (None, 0), "{odd}");
        }
        let limited = decode(&json!({ "access_token": "a", "project_refs": [] })).unwrap();
        assert!(limited.limited_to_projects);
    }

    #[test]
    fn a_grant_without_a_usable_token_is_none() {
        for body in [
            json!({}),
            json!([]),
            json!({ "access_token": "" }),
            json!({ "access_token": "a\r\nb" }),
            json!({ "access_token": 7 }),
            json!({ "access_token": "a", "refresh_token": "" }),
        ] {
            assert!(decode(&body).is_err(), "{body}");
        }
    }

    #[test]
    fn lifetimes_are_bounded() {
        let read = |value: Value| lifetime(&value).map(|duration| duration.as_secs());
        assert_eq!(read(json!(3600)), Some(3600));
        assert_eq!(read(json!(3600.7)), Some(3600));
        assert_eq!(read(json!("3600")), Some(3600));
        assert_eq!(read(json!(u64::MAX)), Some(366 * 86_400));
        assert_eq!(read(json!(1e300)), None);
        assert_eq!(read(json!(0)), None);
    }
}
