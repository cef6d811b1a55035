//! Consent in a browser: Chromium over TLS, two replicas behind one address, the simulated consent page in between.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde_json::{Value, json};
use simulated_platform::{ALL_SCOPES, Config, Plan};

use super::short_lease;
use crate::support::browser::Browser;
use crate::support::cluster::kinds::{CONNECTION, PROJECT, SECRET};
use crate::support::cluster::{Cluster, condition};
use crate::support::front::Front;
use crate::support::leaks::{Text, assert_no_leaks};
use crate::support::operator::Operator;
use crate::support::platform::ORGANIZATION;
use crate::support::samples::{oauth_connection, project, secret};
use crate::support::stage::{Reach, Stage};

/// Long enough for another replica to take over.
const TAKEOVER: Duration = Duration::from_secs(60);
/// The button of our page, and those of the platform's.
const CONNECT: &str = "button[type=submit]";
const APPROVE: &str = "button[value=approve]";
const DENY: &str = "button[value=deny]";

/// The parts of a story, with two replicas behind the front: the first leads.
struct Scene {
    stage: Stage,
    front: Front,
    operators: Vec<Operator>,
    pages: Vec<Text>,
}

impl Scene {
    async fn new(values: Value) -> Self {
        let front = Front::start().await;
        let mut all = short_lease();
        all["consent"] = json!({
            "enabled": true,
            "url": front.url(),
            "displayName": "staging (eu-1)",
            "returnAddresses": [format!("{}/portal", front.url())],
        });
        all["oauthApp"] = json!({"secretName": "operators-app"});
        for (name, value) in values.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        let mut stage = Stage::with(Reach::Namespace, Config::fast(), &all).await;
        stage.platform.serve_dashboard();
        stage
            .platform
            .world()
            .add_organization("other", "Other", Plan::Pro);
        let app = stage
            .platform
            .world()
            .register_app(&[&front.callback()], ALL_SCOPES);
        let entries = [
            ("client_id", app.client_id.as_str()),
            ("client_secret", app.client_secret.as_str()),
        ];
        stage.system.apply(secret("operators-app", &entries)).await;
        stage.cluster.apply(secret("tenants-app", &entries)).await;
        let operators = vec![stage.operator().await, stage.operator().await];
        front.serves(&[&operators[0], &operators[1]]);
        Self {
            stage,
            front,
            operators,
            pages: Vec::new(),
        }
    }

    fn cluster(&self) -> &Cluster {
        &self.stage.cluster
    }

    /// A connection without tokens; gives the address where consent can be given.
    async fn connection(&self, oauth: Value) -> String {
        let connection = oauth_connection("acme")
            .with("auth/oauth", oauth)
            .with("organizationSlug", ORGANIZATION);
        self.cluster().apply(connection).await;
        let told = self
            .cluster()
            .wait_condition(CONNECTION, "acme", "Ready", "False/ReauthorizationRequired")
            .await;
        let url = told["status"]["consentURL"].as_str().unwrap().to_owned();
        let message = condition(&told, "Ready").unwrap()["message"].to_string();
        assert!(message.contains(&url), "{message}");
        assert!(url.starts_with(&self.front.url()), "{url}");
        url
    }

    /// A connection that has the operator's own app.
    async fn plain_connection(&self) -> String {
        self.connection(json!({})).await
    }

    async fn keep(&mut self, browser: &Browser, name: &str) {
        let page = browser.source().await;
        self.pages.push(Text::new(format!("page {name}"), page));
    }

    /// What must hold at the end of every story in a browser.
    async fn finish(self) {
        assert_no_leaks(&self.stage.platform.canaries(), &self.pages);
        self.stage.finish(self.operators).await;
    }

    async fn becomes_ready(&self) {
        let ready = self
            .cluster()
            .wait_for(CONNECTION, "acme", "Ready", TAKEOVER, |object| {
                let ready = condition(object, "Ready")?;
                (ready["status"] == "True").then(|| object.clone())
            })
            .await;
        assert_eq!(ready["status"]["consentURL"], Value::Null);
    }

    async fn stays_unconnected(&self) {
        let object = self.cluster().get(CONNECTION, "acme").await.unwrap();
        assert_eq!(condition(&object, "Ready").unwrap()["status"], "False");
        let revoked = self
            .stage
            .platform
            .calls_since(0)
            .contains_key("POST /v1/oauth/revoke");
        assert!(!revoked, "what belongs to others is left alone");
    }

    /// How often codes were exchanged.
    fn exchanges(&self) -> usize {
        let calls = self.stage.platform.calls_since(0);
        calls.get("POST /v1/oauth/token").copied().unwrap_or(0)
    }

    /// The callback that the browser came by last, at the front.
    fn last_callback(&self) -> String {
        let path = self.front.callbacks().pop().expect("a callback");
        let origin = self.front.url().replace("/supabase", "");
        format!("{origin}{path}")
    }

    /// The keys that the replicas seal with.
    async fn sealing_keys(&self) -> Vec<(String, Vec<u8>)> {
        let system = &self.stage.system;
        let found = system.get(SECRET, "supabase-operator-consent-keys").await;
        let data = found.unwrap()["data"].as_object().unwrap().clone();
        let decode = |value: Value| {
            let text = value.as_str().unwrap().to_owned();
            base64::engine::general_purpose::STANDARD
                .decode(text)
                .unwrap()
        };
        data.into_iter()
            .map(|(name, value)| (name, decode(value)))
            .collect()
    }
}

/// The same state with another end, sealed with the operator's own key.
fn ended(state: &str, keys: &[(String, Vec<u8>)]) -> String {
    let (name, sealed) = state.split_once('.').unwrap();
    let (_, key) = keys.iter().find(|(known, _)| known == name).unwrap();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let mut whole = URL_SAFE_NO_PAD.decode(sealed).unwrap();
    let nonce = || Nonce::try_assume_unique_for_key(&whole[..NONCE_LEN]).unwrap();
    let aad = || Aad::from("state".as_bytes());
    let mut content = whole[NONCE_LEN..].to_vec();
    let ticket = key.open_in_place(nonce(), aad(), &mut content).unwrap();
    let mut ticket: Value = serde_json::from_slice(ticket).unwrap();
    ticket["ends_at"] = json!("2026-01-01T00:00:00Z");
    let mut changed = ticket.to_string().into_bytes();
    key.seal_in_place_append_tag(nonce(), aad(), &mut changed)
        .unwrap();
    whole.truncate(NONCE_LEN);
    whole.extend(changed);
    format!("{name}.{}", URL_SAFE_NO_PAD.encode(whole))
}

fn state_of(address: &str) -> String {
    let url = url::Url::parse(address).unwrap();
    let mut pairs = url.query_pairs();
    pairs
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned()
}

#[tokio::test]
async fn consent_in_a_browser_connects_whichever_replica_serves_it() {
    let mut scene = Scene::new(json!({})).await;
    let url = scene
        .connection(json!({"appSecretRef": {"name": "tenants-app"}}))
        .await;
    scene.cluster().apply(project("orders")).await;
    let browser = Browser::start().await;

    // Looking changes nothing, however often: previews of links do no more.
    let before = scene.cluster().list(SECRET).await.len();
    browser.open(&url).await;
    browser.open(&url).await;
    assert_eq!(browser.heading().await, "Connect Supabase");
    let text = browser.text().await;
    let connection = format!("{}/acme", scene.cluster().namespace);
    for told in [
        "staging (eu-1)",
        connection.as_str(),
        ORGANIZATION,
        "may end the access",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(browser.cookies().await.is_empty());
    assert_eq!(scene.cluster().list(SECRET).await.len(), before);
    browser.inspect("connect").await;
    scene.keep(&browser, "connect").await;

    browser.press(CONNECT).await;
    let chosen = browser
        .evaluate("return document.querySelector('select').value", Vec::new())
        .await;
    assert_eq!(chosen, ORGANIZATION, "preselected");
    browser.press(APPROVE).await;
    assert_eq!(
        browser.heading().await,
        "Connected",
        "{}",
        browser.text().await
    );
    let text = browser.text().await;
    assert!(
        text.contains(ORGANIZATION) && text.contains(&connection),
        "{text}"
    );
    browser.inspect("connected").await;
    scene.keep(&browser, "connected").await;
    assert!(browser.cookies().await.is_empty(), "its work is done");

    scene.becomes_ready().await;
    scene
        .cluster()
        .wait_condition(PROJECT, "orders", "Ready", "True")
        .await;
    let events = scene.cluster().event_reasons("acme").await;
    assert!(
        events.iter().any(|reason| reason == "Authorized"),
        "{events:?}"
    );
    let counted = scene.operators[1].metrics().await;
    assert!(
        counted.contains(r#"consent_flows_total{outcome="connected"} 1"#),
        "{counted}"
    );
    let age = scene.operators[0].metrics().await;
    assert!(age.contains("token_expiry_timestamp_seconds{"), "{age}");

    // Nothing is left to be done there.
    browser.open(&url).await;
    assert_eq!(browser.heading().await, "Already connected");
    browser.inspect("already-connected").await;
    browser.close().await;
    scene.finish().await;
}

#[tokio::test]
async fn a_browser_that_comes_back_with_anything_else_connects_nothing() {
    let mut scene = Scene::new(json!({})).await;
    let url = scene.plain_connection().await;
    let (browser, stranger) = tokio::join!(Browser::start(), Browser::start());

    // Refused.
    browser.open(&url).await;
    browser.press(CONNECT).await;
    browser.press(DENY).await;
    assert_eq!(browser.heading().await, "Access was not given");
    browser.inspect("denied").await;
    scene.keep(&browser, "denied").await;
    assert_eq!(scene.exchanges(), 0);

    // Given for another organization; the way to try again leads to the page.
    browser.press("a.action").await;
    browser.press(CONNECT).await;
    browser.choose("select", "other").await;
    browser.press(APPROVE).await;
    assert_eq!(browser.heading().await, "Another organization");
    let text = browser.text().await;
    assert!(
        text.contains("other") && text.contains(ORGANIZATION),
        "{text}"
    );
    browser.inspect("another-organization").await;
    scene.keep(&browser, "another organization").await;
    assert_eq!(scene.exchanges(), 1);
    scene.stays_unconnected().await;

    // Begun here, brought back by a stranger, changed on its way, and too late: no code is exchanged.
    browser.open(&url).await;
    browser.press(CONNECT).await;
    let page = browser.address().await;
    stranger.open(&page).await;
    stranger.press(APPROVE).await;
    let text = stranger.text().await;
    assert!(text.contains("begun in another browser"), "{text}");
    stranger.inspect("other-browser").await;
    scene.keep(&stranger, "other browser").await;
    let genuine = scene.last_callback();
    let state = state_of(&genuine);
    let mut changed = state.clone();
    let last = if changed.pop() == Some('A') { 'B' } else { 'A' };
    changed.insert(changed.len() - 20, last);
    browser.open(&genuine.replace(&state, &changed)).await;
    assert!(browser.text().await.contains("changed on its way"));
    browser.inspect("tampered").await;
    let late = ended(&state, &scene.sealing_keys().await);
    browser.open(&genuine.replace(&state, &late)).await;
    assert_eq!(browser.heading().await, "Too late");
    browser.inspect("expired").await;
    scene.keep(&browser, "expired").await;
    assert_eq!(scene.exchanges(), 1);
    scene.stays_unconnected().await;

    // The browser that began it may still end it, once.
    browser.open(&url).await;
    browser.press(CONNECT).await;
    browser.press(APPROVE).await;
    assert_eq!(
        browser.heading().await,
        "Connected",
        "{}",
        browser.text().await
    );
    let exchanges = scene.exchanges();
    let cookie_is_gone = scene.last_callback();
    browser.open(&cookie_is_gone).await;
    assert_ne!(browser.heading().await, "Connected");
    assert_eq!(scene.exchanges(), exchanges, "a code is exchanged once");
    scene.becomes_ready().await;
    tokio::join!(browser.close(), stranger.close());
    scene.finish().await;
}

#[tokio::test]
async fn what_was_consented_to_while_nobody_leads_is_taken_over_by_the_next_leader() {
    let mut scene = Scene::new(json!({})).await;
    let url = scene.plain_connection().await;
    let browser = Browser::start().await;
    browser.open(&url).await;
    browser.press(CONNECT).await;
    // The leader dies with the flow under way; the other replica redeems the code long before it leads.
    scene.operators.remove(0).kill().await;
    browser.press(APPROVE).await;
    assert_eq!(
        browser.heading().await,
        "Connected",
        "{}",
        browser.text().await
    );
    scene.keep(&browser, "connected").await;
    let grants = scene
        .cluster()
        .data(SECRET, "acme-oauth-grants")
        .await
        .unwrap();
    assert!(
        grants.values().any(|entry| entry.contains("refresh_token")),
        "it waits in the grants Secret"
    );
    scene.becomes_ready().await;
    let grants = scene.cluster().data(SECRET, "acme-oauth-grants").await;
    assert!(
        !format!("{grants:?}").contains("refresh_token"),
        "{grants:?}"
    );
    browser.close().await;
    scene.finish().await;
}

#[tokio::test]
async fn people_are_sent_on_to_addresses_that_are_allowed_and_to_no_other() {
    let mut scene = Scene::new(json!({})).await;
    let url = scene.plain_connection().await;
    let browser = Browser::start().await;
    for refused in [
        "https://evil.example/",
        "//evil.example/",
        "javascript:alert(1)",
    ] {
        let mut address = url::Url::parse(&url).unwrap();
        address.query_pairs_mut().append_pair("return_to", refused);
        browser.open(address.as_str()).await;
        let source = browser.source().await;
        assert!(
            !source.contains("evil") && !source.contains("alert"),
            "{source}"
        );
    }
    // Given to the form by somebody's hand, it is refused all the same, and the person stays here.
    let plant = "const field = document.createElement('input'); field.name = 'return_to'; \
                 field.value = 'https://evil.example/'; document.querySelector('form').append(field)";
    browser.evaluate(plant, Vec::new()).await;
    browser.press(CONNECT).await;
    browser.press(DENY).await;
    assert!(browser.address().await.starts_with(&scene.front.url()));
    let again = browser.source().await;
    assert!(!again.contains("evil"), "{again}");

    let allowed = format!("{}/portal/team?from=consent", scene.front.url());
    let mut address = url::Url::parse(&url).unwrap();
    address.query_pairs_mut().append_pair("return_to", &allowed);
    browser.open(address.as_str()).await;
    assert!(browser.text().await.contains(&allowed));
    browser.inspect("connect-and-return").await;
    scene.keep(&browser, "connect and return").await;
    browser.press_by_keyboard(CONNECT).await;
    browser.press(APPROVE).await;
    assert_eq!(browser.address().await, allowed);
    scene.becomes_ready().await;
    browser.close().await;
    scene.finish().await;
}
