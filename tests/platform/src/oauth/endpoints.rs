//! `/v1/oauth/*`: authorize, token and revoke.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use super::{ConsentRequest, TokenPair};
use crate::access::Identity;
use crate::answer::{Outcome, Reply};
use crate::world::{Call, World};

const TOKEN_FIELDS: &[&str] = &[
    "grant_type",
    "client_id",
    "client_secret",
    "code",
    "code_verifier",
    "redirect_uri",
    "refresh_token",
    "assertion",
    "resource",
    "scope",
];

impl World {
    /// `GET /v1/oauth/authorize`: sends the browser to the consent page.
    pub(crate) fn authorize_page(&mut self, call: &Call<'_>) -> Outcome {
        let asked = |name| call.query(name).filter(|value| !value.is_empty());
        let client_id =
            asked("client_id").ok_or_else(|| call.invalid(&["client_id is required"]))?;
        let app = self
            .oauth
            .apps
            .get(&client_id)
            .ok_or_else(|| Reply::error(422, "Unrecognized client_id"))?;
        if asked("response_type").as_deref() != Some("code") {
            return Err(call.invalid(&["response_type must be one of the following values: code"]));
        }
        let redirect_uri =
            asked("redirect_uri").filter(|uri| app.redirect_uris.contains(uri)).ok_or_else(
                || Reply::error(422, "redirect_uri is not one of the registered redirect URIs"),
            )?;
        let state = asked("state");
        if redirect_uri.len() + state.as_ref().map_or(0, String::len) > 4096 {
            return Err(call.invalid(&["redirect_uri and state are too long"]));
        }
        let plain = asked("code_challenge_method").as_deref() == Some("plain");
        let challenge = asked("code_challenge").map(|challenge| (challenge, plain));
        let id = self.random.uuid();
        let mut location = format!("{}/authorize?auth_id={id}", self.config.dashboard_url);
        if let Some(slug) = asked("organization_slug") {
            location.push_str("&organization_slug=");
            location.extend(form_urlencoded::byte_serialize(slug.as_bytes()));
        }
        let request = ConsentRequest { client_id, redirect_uri, state, challenge };
        self.oauth.consents.insert(id, request);
        Ok(Reply::empty(303).with_header("location", location))
    }

    /// `POST /v1/oauth/token`.
    pub(crate) fn token(&mut self, call: &Call<'_>) -> Outcome {
        let form: BTreeMap<String, String> =
            form_urlencoded::parse(call.body).into_owned().collect();
        if let Some(unknown) = form.keys().find(|key| !TOKEN_FIELDS.contains(&key.as_str())) {
            return Err(call.invalid(&[&format!("property {unknown} should not exist")]));
        }
        for secret in ["client_secret", "refresh_token", "code", "code_verifier", "assertion"] {
            if let Some(value) = form.get(secret) {
                self.ledger.remember(value);
            }
        }
        let client_id = self.client(call, &form)?;
        let (index, pair) = match form.get("grant_type").map(String::as_str) {
            Some("refresh_token") => {
                let token = form
                    .get("refresh_token")
                    .ok_or_else(|| call.invalid(&["refresh_token is required"]))?;
                self.rotate(&client_id, token)?
            }
            Some("authorization_code") => self.redeem(call, &client_id, &form)?,
            _ => return Err(call.invalid(&["grant_type is not supported"])),
        };
        Ok(Reply::json(self.config.token_status, self.token_body(index, &pair)))
    }

    fn token_body(&self, index: usize, pair: &TokenPair) -> Value {
        let authorization = self.oauth.authorizations.get(index);
        let scopes: Vec<&str> = authorization
            .map(|granted| granted.scopes.iter().map(String::as_str).collect())
            .unwrap_or_default();
        json!({
            "access_token": pair.access_token,
            "refresh_token": pair.refresh_token,
            "expires_in": pair.expires_in,
            "token_type": "Bearer",
            "scope": scopes.join(" "),
            "project_refs": authorization.and_then(|granted| granted.projects.clone()),
        })
    }

    /// The client, proven by Basic credentials or by form fields.
    fn client(&self, call: &Call<'_>, form: &BTreeMap<String, String>) -> Result<String, Reply> {
        let (id, secret) = basic(call)
            .or_else(|| Some((form.get("client_id")?.clone(), form.get("client_secret")?.clone())))
            .ok_or_else(|| Reply::error(401, "Client credentials are missing"))?;
        self.prove(&id, &secret)?;
        Ok(id)
    }

    fn prove(&self, id: &str, secret: &str) -> Result<(), Reply> {
        let app =
            self.oauth.apps.get(id).ok_or_else(|| Reply::error(422, "Unrecognized client_id"))?;
        if app.client_secret == secret {
            Ok(())
        } else {
            Err(Reply::error(401, "Invalid client credentials"))
        }
    }

    fn redeem(
        &mut self,
        call: &Call<'_>,
        client_id: &str,
        form: &BTreeMap<String, String>,
    ) -> Result<(usize, TokenPair), Reply> {
        let field = |name| form.get(name).map(String::as_str);
        let code = field("code").ok_or_else(|| call.invalid(&["code is required"]))?;
        let invalid = || Reply::error(404, "Not Found");
        // Single use: gone whatever comes of it.
        let code = self.oauth.codes.remove(code).ok_or_else(invalid)?;
        let challenge_met = code.request.challenge.as_ref().is_none_or(|(challenge, plain)| {
            field("code_verifier").is_some_and(|verifier| {
                if *plain {
                    verifier == challenge
                } else {
                    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == *challenge
                }
            })
        });
        if code.request.client_id != client_id
            || code.expires_at <= self.now
            || field("redirect_uri") != Some(&code.request.redirect_uri)
            || !challenge_met
        {
            return Err(invalid());
        }
        let index =
            self.consent_to(client_id, &code.organization, code.projects).ok_or_else(invalid)?;
        self.issue(index, None).map(|pair| (index, pair)).ok_or_else(invalid)
    }

    /// `POST /v1/oauth/revoke`.
    pub(crate) fn revoke_endpoint(&mut self, call: &Call<'_>) -> Outcome {
        let body = call.json()?;
        let field = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let missing = ["client_id", "client_secret", "refresh_token"]
            .into_iter()
            .find(|name| field(name).is_empty());
        if let Some(name) = missing {
            return Err(call.invalid(&[&format!("{name} should not be empty")]));
        }
        self.ledger.remember(field("client_secret"));
        self.ledger.remember(field("refresh_token"));
        let client_id = field("client_id");
        self.prove(client_id, field("client_secret"))?;
        let refresh = self.oauth.refreshes.get(field("refresh_token")).copied();
        let refresh = refresh.ok_or_else(|| Reply::error(404, "Not Found"))?;
        let authorization = self.oauth.authorizations.get(refresh.authorization);
        let organization = authorization
            .filter(|granted| granted.client_id == client_id && !granted.revoked)
            .map(|granted| granted.organization.clone())
            .ok_or_else(|| Reply::error(404, "Not Found"))?;
        let by = Identity::App { client_id: client_id.to_owned(), organization };
        self.revoke(refresh.authorization, by);
        Ok(Reply::empty(204))
    }

    /// The app that a call to the OAuth endpoints claims to be: the limiter's identity there.
    pub(crate) fn claimed_client(&self, call: &Call<'_>) -> Option<String> {
        let form = || {
            form_urlencoded::parse(call.body)
                .find(|(key, _)| key == "client_id")
                .map(|(_, value)| value.into_owned())
        };
        let id = basic(call).map(|(id, _)| id).or_else(form)?;
        self.oauth.apps.contains_key(&id).then_some(id)
    }
}

/// The credentials of an `Authorization: Basic` header.
fn basic(call: &Call<'_>) -> Option<(String, String)> {
    let value = call.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (kind, encoded) = value.split_once(' ')?;
    if !kind.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    // Both parts are encoded as forms are (RFC 6749 §2.3.1).
    let plain = |part: &str| {
        let part = part.replace('+', " ");
        percent_decode(part.as_bytes())
    };
    Some((plain(id)?, plain(secret)?))
}

/// What a percent-encoded text stands for; nothing if it is none.
fn percent_decode(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}
