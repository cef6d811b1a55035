//! Where these stories play: two replicas, what stands before them, and a connection that waits for consent.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde_json::{Value, json};
use simulated_platform::{ALL_SCOPES, Config, Plan};

use super::super::short_lease;
use crate::support::browser::Browser;
use crate::support::cluster::kinds::{CLUSTER_CONNECTION, CONNECTION, Kind, SECRET};
use crate::support::cluster::{Cluster, condition};
use crate::support::front::Front;
use crate::support::leaks::{Text, assert_no_leaks};
use crate::support::operator::Operator;
use crate::support::platform::ORGANIZATION;
use crate::support::samples::{cluster_oauth_connection, oauth_connection, secret};
use crate::support::stage::{Reach, Stage};

/// Long enough for another replica to take over.
const TAKEOVER: Duration = Duration::from_secs(60);
/// The button of our page, and those of the platform's.
pub const CONNECT: &str = "button[type=submit]";
pub const APPROVE: &str = "button[value=approve]";
pub const DENY: &str = "button[value=deny]";

/// The parts of a story, with two replicas behind the front: the first leads.
pub struct Scene {
    pub stage: Stage,
    pub front: Front,
    pub operators: Vec<Operator>,
    reach: Reach,
    pages: Vec<Text>,
}

impl Scene {
    /// In an install that serves the cluster, the connection is one of the cluster's, too.
    pub async fn new(reach: Reach) -> Self {
        let front = Front::start().await;
        let mut all = short_lease();
        all["consent"] = json!({
            "enabled": true,
            "url": front.url(),
            "displayName": "staging (eu-1)",
            "returnAddresses": [format!("{}/portal", front.url())],
            "ingress": {"enabled": true, "tlsSecretName": "connect-tls"},
        });
        all["oauthApp"] = json!({"secretName": "operators-app"});
        let mut stage = Stage::with(reach, Config::fast(), &all).await;
        front.admits(stage.release.ingress(&stage.system).await);
        stage.platform.serve_dashboard();
        stage.platform.world().add_organization("other", "Other", Plan::Pro);
        let app = stage.platform.world().register_app(&[&front.callback()], ALL_SCOPES);
        let entries =
            [("client_id", app.client_id.as_str()), ("client_secret", app.client_secret.as_str())];
        stage.system.apply(secret("operators-app", &entries)).await;
        let tenant = if reach == Reach::Namespace { &stage.cluster } else { &stage.system };
        tenant.apply(secret("tenants-app", &entries)).await;
        let operators = vec![stage.operator().await, stage.operator().await];
        front.serves(&[&operators[0], &operators[1]]);
        Self { stage, front, operators, reach, pages: Vec::new() }
    }

    pub fn cluster(&self) -> &Cluster {
        &self.stage.cluster
    }

    /// A connection without tokens; gives the address where consent can be given.
    pub async fn connection(&self, oauth: Value) -> String {
        let connection = if self.reach == Reach::Namespace {
            oauth_connection("acme")
        } else {
            let admitted = json!({"names": [self.cluster().namespace]});
            cluster_oauth_connection("acme").with("allowedNamespaces", admitted)
        };
        let connection =
            connection.with("auth/oauth", oauth).with("organizationSlug", ORGANIZATION);
        self.cluster().apply(connection).await;
        let told = self
            .cluster()
            .wait_condition(self.kind(), "acme", "Ready", "False/ReauthorizationRequired")
            .await;
        let url = told["status"]["consentURL"].as_str().unwrap().to_owned();
        let message = condition(&told, "Ready").unwrap()["message"].to_string();
        assert!(message.contains(&url), "{message}");
        assert!(url.starts_with(&self.front.url()), "{url}");
        url
    }

    fn kind(&self) -> Kind {
        if self.reach == Reach::Namespace { CONNECTION } else { CLUSTER_CONNECTION }
    }

    /// Opens the page, presses the button, and one of the platform's buttons.
    pub async fn consents(&self, browser: &Browser, url: &str, button: &str) {
        browser.open(url).await;
        browser.press(CONNECT).await;
        browser.press(button).await;
    }

    /// A connection that has the operator's own app.
    pub async fn plain_connection(&self) -> String {
        self.connection(json!({})).await
    }

    pub async fn keep(&mut self, browser: &Browser, name: &str) {
        let page = browser.source().await;
        self.pages.push(Text::new(format!("page {name}"), page));
    }

    /// What must hold at the end of every story in a browser.
    pub async fn finish(self) {
        assert_no_leaks(&self.stage.platform.canaries(), &self.pages);
        self.stage.finish(self.operators).await;
    }

    pub async fn becomes_ready(&self) {
        let ready = self
            .cluster()
            .wait_for(self.kind(), "acme", "Ready", TAKEOVER, |object| {
                let ready = condition(object, "Ready")?;
                (ready["status"] == "True").then(|| object.clone())
            })
            .await;
        assert_eq!(ready["status"]["consentURL"], Value::Null);
    }

    pub async fn stays_unconnected(&self) {
        let object = self.cluster().get(self.kind(), "acme").await.unwrap();
        assert_eq!(condition(&object, "Ready").unwrap()["status"], "False");
        let revoked = self.stage.platform.calls_since(0).contains_key("POST /v1/oauth/revoke");
        assert!(!revoked, "what belongs to others is left alone");
    }

    /// How often codes were exchanged.
    pub fn exchanges(&self) -> usize {
        let calls = self.stage.platform.calls_since(0);
        calls.get("POST /v1/oauth/token").copied().unwrap_or(0)
    }

    /// The callback that the browser came by last, at the front.
    pub fn last_callback(&self) -> String {
        let path = self.front.callbacks().pop().expect("a callback");
        let origin = self.front.url().replace("/supabase", "");
        format!("{origin}{path}")
    }

    /// The keys that the replicas seal with.
    pub async fn sealing_keys(&self) -> Vec<(String, Vec<u8>)> {
        let system = &self.stage.system;
        let found = system.get(SECRET, "supabase-operator-consent-keys").await;
        let data = found.unwrap()["data"].as_object().unwrap().clone();
        let decode = |value: Value| {
            let text = value.as_str().unwrap().to_owned();
            STANDARD.decode(text).unwrap()
        };
        data.into_iter().map(|(name, value)| (name, decode(value))).collect()
    }
}

/// The same state with another end, sealed with the operator's own key.
pub fn ended(state: &str, keys: &[(String, Vec<u8>)]) -> String {
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
    key.seal_in_place_append_tag(nonce(), aad(), &mut changed).unwrap();
    whole.truncate(NONCE_LEN);
    whole.extend(changed);
    format!("{name}.{}", URL_SAFE_NO_PAD.encode(whole))
}

/// The state in an address.
pub fn state_of(address: &str) -> String {
    let url = url::Url::parse(address).unwrap();
    let mut pairs = url.query_pairs();
    pairs.find(|(name, _)| name == "state").unwrap().1.into_owned()
}
