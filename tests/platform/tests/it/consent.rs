//! The OAuth server's browser flow: authorize, consent, and redeeming the code.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Request;
use serde_json::json;
use sha2::{Digest, Sha256};
use simulated_platform::{Consent, SecondConsent, TokenMode};
use url::Url;

use crate::oauth::{CALLBACK, Scene, form, scene, token_request};
use crate::stage::Seen;

/// The query of a redirection.
fn query(location: &str, name: &str) -> Option<String> {
    let url = Url::parse(location).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

impl Scene {
    fn authorize(&mut self, fields: &[(&str, &str)]) -> Seen {
        let path = format!("/v1/oauth/authorize?{}", form(fields));
        self.stage.send(&Request::get(path).body(Bytes::new()).unwrap())
    }

    /// Asks for consent and gives it; the address that the browser goes to next.
    fn consent(&mut self, extra: &[(&str, &str)], consent: Consent) -> String {
        let id = self.app.client_id.clone();
        let mut fields = vec![
            ("client_id", id.as_str()),
            ("response_type", "code"),
            ("redirect_uri", CALLBACK),
            ("state", "opaque"),
        ];
        fields.extend(extra);
        let sent = self.authorize(&fields);
        assert_eq!(sent.status, 303, "{sent:?}");
        let auth_id = query(sent.header("location"), "auth_id").unwrap();
        let next = self.stage.world.consent(&auth_id, consent, self.stage.now).unwrap();
        next.to_string()
    }

    fn redeem(&mut self, code: &str, verifier: Option<&str>, redirect_uri: &str) -> Seen {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
        ];
        fields.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        let request = token_request(Some((&self.app.client_id, &self.app.client_secret)), &fields);
        self.stage.send(&request)
    }
}

fn granted() -> Consent {
    Consent::Grant { organization: "free".to_owned(), projects: None }
}

#[test]
fn consent_leads_to_a_code_and_the_code_to_tokens_of_that_organization() {
    let mut scene = scene(TokenMode::Strict);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest("a-long-verifier"));
    let extra = [("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
    let next = scene.consent(&extra, granted());
    assert!(next.starts_with(CALLBACK));
    assert_eq!(query(&next, "state").as_deref(), Some("opaque"));
    let code = query(&next, "code").unwrap();
    assert!(scene.stage.world.canaries().contains(&code));
    let (access, _) = Scene::pair(&scene.redeem(&code, Some("a-long-verifier"), CALLBACK));
    let listed = scene.stage.ask_as(&access, "GET", "/v1/organizations", None);
    assert_eq!(listed.body.as_array().unwrap().len(), 1);
    assert_eq!(listed.body[0]["slug"], "free");
    // A code works once.
    assert_eq!(scene.redeem(&code, Some("a-long-verifier"), CALLBACK).status, 404);
}

#[test]
fn a_code_needs_its_verifier_its_address_and_its_ten_minutes() {
    let mut scene = scene(TokenMode::Strict);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest("right"));
    let extra = [("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
    let code = |scene: &mut Scene| query(&scene.consent(&extra, granted()), "code").unwrap();
    let first = code(&mut scene);
    assert_eq!(scene.redeem(&first, Some("wrong"), CALLBACK).status, 404);
    let second = code(&mut scene);
    assert_eq!(scene.redeem(&second, None, CALLBACK).status, 404);
    let third = code(&mut scene);
    assert_eq!(scene.redeem(&third, Some("right"), "http://127.0.0.1:1/").status, 404);
    let fourth = code(&mut scene);
    scene.stage.pass_seconds(600);
    assert_eq!(scene.redeem(&fourth, Some("right"), CALLBACK).status, 404);
}

#[test]
fn a_refused_consent_comes_back_as_an_error() {
    let mut scene = scene(TokenMode::Strict);
    let next = scene.consent(&[], Consent::Deny);
    assert_eq!(query(&next, "error").as_deref(), Some("access_denied"));
    assert_eq!(query(&next, "state").as_deref(), Some("opaque"));
    assert!(query(&next, "code").is_none());
}

#[test]
fn only_registered_clients_and_addresses_get_to_the_consent_page() {
    let mut scene = scene(TokenMode::Strict);
    let id = scene.app.client_id.clone();
    let long = "s".repeat(4096);
    let good = |extra: (&'static str, String)| {
        let mut fields = vec![
            ("client_id", id.clone()),
            ("response_type", "code".to_owned()),
            ("redirect_uri", CALLBACK.to_owned()),
        ];
        fields.retain(|(name, _)| *name != extra.0);
        fields.push(extra);
        fields
    };
    for (fields, status) in [
        (good(("organization_slug", "free".to_owned())), 303),
        (good(("client_id", "nobody".to_owned())), 422),
        (good(("redirect_uri", format!("{CALLBACK}/x"))), 422),
        (good(("response_type", "token".to_owned())), 400),
        (good(("state", long)), 400),
    ] {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(scene.authorize(&fields).status, status, "{fields:?}");
    }
}

#[test]
fn an_authorization_may_be_limited_to_projects_and_says_so() {
    let mut scene = scene(TokenMode::Strict);
    let (mine, other) = (scene.stage.create("mine"), scene.stage.create("other"));
    let consent =
        Consent::Grant { organization: "acme".to_owned(), projects: Some([mine.clone()].into()) };
    let code = query(&scene.consent(&[], consent), "code").unwrap();
    let answer = scene.redeem(&code, None, CALLBACK);
    assert_eq!(answer.body["project_refs"], json!([mine]));
    let (access, _) = Scene::pair(&answer);
    let listed = scene.stage.ask_as(&access, "GET", "/v1/organizations/acme/projects", None);
    assert_eq!(listed.body["pagination"]["count"], 1);
    let path = format!("/v1/projects/{other}");
    assert_eq!(scene.stage.ask_as(&access, "GET", &path, None).status, 403);
    let body = crate::stage::order("acme", "third");
    assert_eq!(scene.stage.ask_as(&access, "POST", "/v1/projects", Some(body)).status, 403);
}

impl Scene {
    /// A browser at the dashboard.
    fn browse(&mut self, request: http::request::Builder, body: String) -> Seen {
        self.stage.send(&request.body(Bytes::from(body)).unwrap())
    }

    /// Where a browser is sent for consent: path and query.
    fn asked(&mut self) -> String {
        let id = self.app.client_id.clone();
        let fields = [
            ("client_id", id.as_str()),
            ("response_type", "code"),
            ("redirect_uri", CALLBACK),
            ("state", "opaque"),
            ("organization_slug", "acme"),
        ];
        let sent = self.authorize(&fields);
        let url = Url::parse(sent.header("location")).unwrap();
        format!("{}?{}", url.path(), url.query().unwrap())
    }
}

#[test]
fn the_consent_page_offers_the_users_organizations_and_takes_a_decision() {
    for (decision, comes_back_with) in [("approve", "code"), ("deny", "error")] {
        let mut scene = scene(TokenMode::Strict);
        let page = scene.asked();
        let shown = scene.browse(Request::get(&page), String::new());
        let html = shown.text.clone();
        assert_eq!(shown.status, 200, "{html}");
        assert!(html.contains("<option value=\"acme\" selected>"), "{html}");
        assert!(html.contains("<option value=\"free\">"), "{html}");
        let id = page.split("auth_id=").nth(1).unwrap().split('&').next().unwrap();
        let fields = [("auth_id", id), ("organization", "acme"), ("decision", decision)];
        let sent = scene.browse(Request::post("/dashboard/authorize"), form(&fields));
        assert_eq!(sent.status, 303);
        let location = sent.header("location").to_owned();
        assert!(location.starts_with(CALLBACK), "{location}");
        assert!(query(&location, comes_back_with).is_some(), "{location}");
        assert_eq!(query(&location, "state").as_deref(), Some("opaque"));
        let again = scene.browse(Request::post("/dashboard/authorize"), form(&fields));
        assert_eq!(again.status, 404, "decided once");
    }
}

#[test]
fn a_second_consent_keeps_or_ends_the_first_as_configured() {
    for (second, first_lives) in
        [(SecondConsent::KeepsTheFirst, true), (SecondConsent::EndsTheFirst, false)]
    {
        let mut scene = scene(TokenMode::Strict);
        scene.stage.world.config_mut().second_consent = second;
        let first = scene.pair.refresh_token.clone();
        let now = scene.stage.now;
        let app = scene.app.clone();
        scene.stage.world.authorize(&app, "acme", now).unwrap();
        let acceptable = scene.stage.world.acceptable_refresh_tokens();
        assert_eq!(acceptable.contains(&first), first_lives, "{second:?}");
    }
}
