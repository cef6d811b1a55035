//! The OAuth server's token endpoint: clients, rotation in four modes, revocation.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use serde_json::json;
use simulated_platform::{ALL_SCOPES, App, Config, Effect, Identity, TokenMode, TokenPair};

use crate::stage::{Seen, Stage, calm};

pub const CALLBACK: &str = "http://127.0.0.1:8976/callback";

/// A world with an app, authorized for `acme`.
pub struct Scene {
    pub stage: Stage,
    pub app: App,
    pub pair: TokenPair,
}

pub fn scene(mode: TokenMode) -> Scene {
    let mut stage = Stage::new(Config { token_mode: mode, ..calm() });
    let app = stage.world.register_app(&[CALLBACK], ALL_SCOPES);
    let pair = stage.world.authorize(&app, "acme", stage.now).unwrap();
    Scene { stage, app, pair }
}

pub fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

pub fn token_request(basic: Option<(&str, &str)>, fields: &[(&str, &str)]) -> Request<Bytes> {
    let mut request = Request::post("/v1/oauth/token")
        .header("content-type", "application/x-www-form-urlencoded");
    if let Some((id, secret)) = basic {
        let value = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        request = request.header("authorization", value);
    }
    request.body(Bytes::from(form(fields))).unwrap()
}

impl Scene {
    /// Exchanges a refresh token with Basic credentials.
    fn refresh(&mut self, token: &str) -> Seen {
        let request = token_request(
            Some((&self.app.client_id, &self.app.client_secret)),
            &[("grant_type", "refresh_token"), ("refresh_token", token)],
        );
        self.stage.send(&request)
    }

    fn works(&mut self, access_token: &str) -> bool {
        let answer = self.stage.ask_as(access_token, "GET", "/v1/organizations", None);
        assert!(matches!(answer.status, 200 | 401), "{answer:?}");
        answer.status == 200
    }

    /// The token answer's access and refresh tokens.
    pub fn pair(seen: &Seen) -> (String, String) {
        assert_eq!(seen.status, 201, "{seen:?}");
        let text = |name: &str| seen.body[name].as_str().unwrap().to_owned();
        (text("access_token"), text("refresh_token"))
    }
}

#[test]
fn basic_credentials_are_decoded_as_forms_are() {
    let mut scene = scene(TokenMode::Strict);
    let encoded = |text: &str| {
        let bytes = text.bytes().map(|byte| format!("%{byte:02X}"));
        bytes.collect::<Vec<_>>().concat()
    };
    let (id, secret) = (encoded(&scene.app.client_id), encoded(&scene.app.client_secret));
    let token = scene.pair.refresh_token.clone();
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    let broken = scene.stage.send(&token_request(Some((&id, "%4")), &fields));
    assert_eq!(broken.status, 401);
    let request = token_request(Some((&id, &secret)), &fields);
    assert_eq!(scene.stage.send(&request).status, 201);
}

#[test]
fn the_client_may_prove_itself_by_basic_credentials_or_in_the_form() {
    for basic in [true, false] {
        let mut scene = scene(TokenMode::Strict);
        let (id, secret) = (scene.app.client_id.clone(), scene.app.client_secret.clone());
        let refresh = scene.pair.refresh_token.clone();
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
        if !basic {
            fields.extend([("client_id", id.as_str()), ("client_secret", secret.as_str())]);
        }
        let request = token_request(basic.then_some((id.as_str(), secret.as_str())), &fields);
        let answer = scene.stage.send(&request);
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.body["token_type"], "Bearer");
        assert_eq!(answer.body["expires_in"], 86_400);
        assert_eq!(answer.body["project_refs"], json!(null));
        let (access, _) = Scene::pair(&answer);
        let rest = access.strip_prefix("sbp_oauth_").unwrap();
        assert!(rest.len() == 40 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(scene.works(&access));
    }
}

#[test]
fn wrong_clients_and_grants_are_refused_and_consume_nothing() {
    let mut scene = scene(TokenMode::Strict);
    let (id, secret) = (scene.app.client_id.clone(), scene.app.client_secret.clone());
    let refresh = scene.pair.refresh_token.clone();
    let other = scene.stage.world.register_app(&[], ALL_SCOPES);
    let grant = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    let basic = Some((id.as_str(), secret.as_str()));
    let cases = [
        (token_request(None, &grant), 401),
        (token_request(Some((&id, "wrong")), &grant), 401),
        (token_request(Some(("nobody", &secret)), &grant), 422),
        (token_request(Some((&other.client_id, &other.client_secret)), &grant), 404),
        (token_request(basic, &[("grant_type", "password")]), 400),
        (token_request(basic, &[("grant_type", "refresh_token")]), 400),
        (token_request(basic, &[("refresh_token", &refresh)]), 400),
        (token_request(basic, &[("grant_type", "refresh_token"), ("username", "x")]), 400),
    ];
    for (request, status) in cases {
        assert_eq!(scene.stage.send(&request).status, status, "{request:?}");
    }
    assert_eq!(scene.stage.world.acceptable_refresh_tokens(), std::slice::from_ref(&refresh));
    assert_eq!(scene.refresh(&refresh).status, 201);
}

#[test]
fn the_status_of_a_token_answer_is_200_or_201() {
    let mut scene = scene(TokenMode::Strict);
    scene.stage.world.config_mut().token_status = 200;
    let refresh = scene.pair.refresh_token.clone();
    assert_eq!(scene.refresh(&refresh).status, 200);
}

#[test]
fn access_tokens_expire() {
    let mut scene = scene(TokenMode::Strict);
    let access = scene.pair.access_token.clone();
    scene.stage.pass_seconds(86_399);
    assert!(scene.works(&access));
    scene.stage.pass_seconds(1);
    assert!(!scene.works(&access));
    // Its refresh token does not.
    scene.stage.pass_seconds(86_400 * 365);
    let refresh = scene.pair.refresh_token.clone();
    assert_eq!(scene.refresh(&refresh).status, 201);
}

#[test]
fn strict_a_refresh_kills_both_old_tokens_at_once() {
    let mut scene = scene(TokenMode::Strict);
    let (old_access, old_refresh) =
        (scene.pair.access_token.clone(), scene.pair.refresh_token.clone());
    let (access, refresh) = Scene::pair(&scene.refresh(&old_refresh));
    assert_ne!((&access, &refresh), (&old_access, &old_refresh));
    assert!(!scene.works(&old_access));
    let replayed = scene.refresh(&old_refresh);
    assert_eq!(replayed.status, 404);
    // A replay does no harm.
    assert!(scene.works(&access));
    assert_eq!(scene.stage.world.acceptable_refresh_tokens(), std::slice::from_ref(&refresh));
    assert_eq!(scene.refresh(&refresh).status, 201);
}

#[test]
fn with_grace_a_used_token_gives_the_current_pair_again_for_a_while() {
    let mut scene = scene(TokenMode::Grace(Duration::from_secs(30)));
    let (old_access, old_refresh) =
        (scene.pair.access_token.clone(), scene.pair.refresh_token.clone());
    let current = Scene::pair(&scene.refresh(&old_refresh));
    scene.stage.pass_seconds(29);
    assert!(scene.works(&old_access));
    assert_eq!(Scene::pair(&scene.refresh(&old_refresh)), current);
    scene.stage.pass_seconds(1);
    assert!(!scene.works(&old_access));
    assert_eq!(scene.refresh(&old_refresh).status, 404);
    assert!(scene.works(&current.0));
}

#[test]
fn with_family_revocation_a_replay_ends_everything() {
    let mut scene = scene(TokenMode::FamilyRevocation);
    let old_refresh = scene.pair.refresh_token.clone();
    let (access, refresh) = Scene::pair(&scene.refresh(&old_refresh));
    assert!(scene.works(&access));
    assert_eq!(scene.refresh(&old_refresh).status, 404);
    assert!(!scene.works(&access));
    assert_eq!(scene.refresh(&refresh).status, 404);
    assert!(scene.stage.world.acceptable_refresh_tokens().is_empty());
    let effects = scene.stage.world.ledger().accepted();
    assert!(matches!(effects.last().unwrap().effect, Effect::Revoked { .. }));
}

#[test]
fn without_rotation_the_refresh_token_stays_and_access_tokens_live_on() {
    let mut scene = scene(TokenMode::NoRotation);
    let (old_access, old_refresh) =
        (scene.pair.access_token.clone(), scene.pair.refresh_token.clone());
    let (access, refresh) = Scene::pair(&scene.refresh(&old_refresh));
    assert_eq!(refresh, old_refresh);
    assert_ne!(access, old_access);
    assert!(scene.works(&old_access) && scene.works(&access));
    assert_eq!(scene.refresh(&old_refresh).status, 201);
}

#[test]
fn a_lost_token_answer_took_effect() {
    let mut scene = scene(TokenMode::Strict);
    let (old_access, old_refresh) =
        (scene.pair.access_token.clone(), scene.pair.refresh_token.clone());
    let fault = simulated_platform::Fault::on(
        "POST",
        "/v1/oauth/token",
        simulated_platform::FaultKind::DropAfter,
    );
    scene.stage.world.script(fault);
    assert!(!scene.refresh(&old_refresh).delivery.arrives());
    assert!(!scene.works(&old_access));
    assert_eq!(scene.refresh(&old_refresh).status, 404);
}

#[test]
fn revoking_ends_the_whole_authorization_of_that_organization() {
    let mut scene = scene(TokenMode::Strict);
    let other = scene.stage.world.authorize(&scene.app, "free", scene.stage.now).unwrap();
    let (id, secret) = (scene.app.client_id.clone(), scene.app.client_secret.clone());
    let refresh = scene.pair.refresh_token.clone();
    let body = |secret: &str, token: &str| json!({ "client_id": id, "client_secret": secret, "refresh_token": token });
    let post = |stage: &mut Stage, body| {
        let request = Request::post("/v1/oauth/revoke")
            .header("content-type", "application/json")
            .body(Bytes::from(serde_json::Value::to_string(&body)))
            .unwrap();
        stage.send(&request).status
    };
    assert_eq!(post(&mut scene.stage, body("wrong", &refresh)), 401);
    assert_eq!(post(&mut scene.stage, body(&secret, "unknown")), 404);
    assert_eq!(post(&mut scene.stage, json!({ "client_id": id })), 400);
    assert_eq!(post(&mut scene.stage, body(&secret, &refresh)), 204);
    assert_eq!(post(&mut scene.stage, body(&secret, &refresh)), 404);
    let access = scene.pair.access_token.clone();
    assert!(!scene.works(&access));
    assert_eq!(scene.refresh(&refresh).status, 404);
    assert!(scene.works(&other.access_token));
}

#[test]
fn a_hand_in_the_dashboard_can_revoke_too_and_once() {
    let mut scene = scene(TokenMode::Strict);
    for _ in 0..2 {
        scene.stage.world.revoke_authorization(&scene.app, "acme");
    }
    let access = scene.pair.access_token.clone();
    assert!(!scene.works(&access));
    let revoked: Vec<_> = scene
        .stage
        .world
        .ledger()
        .accepted()
        .iter()
        .filter(|accepted| matches!(accepted.effect, Effect::Revoked { .. }))
        .map(|accepted| accepted.by.clone())
        .collect();
    assert_eq!(revoked, [Identity::Dashboard]);
}

#[test]
fn every_secret_of_the_flow_is_a_canary() {
    let mut scene = scene(TokenMode::Strict);
    let old = scene.pair.clone();
    let (access, refresh) = Scene::pair(&scene.refresh(&old.refresh_token));
    let canaries = scene.stage.world.canaries();
    for secret in [
        &scene.app.client_secret,
        &old.access_token,
        &old.refresh_token,
        &access,
        &refresh,
        &scene.stage.token,
    ] {
        assert!(canaries.contains(secret));
    }
    assert!(!canaries.contains(&scene.app.client_id));
}
