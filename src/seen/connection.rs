//! A connection of either kind as the cache holds it.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::wire::{Condition, Named};
use crate::api::SecretTemplate;
use crate::kubernetes::{Lean, Many, Maybe, Meta, Text};

/// What others must know of a connection, of a namespace or of the cluster.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(from = "Wire")]
pub struct SeenConnection {
    meta: Meta,
    installation: Option<NonZeroU64>,
    /// Whether it has OAuth credentials.
    pub is_oauth: bool,
    /// The Secret with client ID and client secret, by name.
    pub app_secret: Option<String>,
    /// The Secret with the tokens to begin with, by name.
    pub seed_secret: Option<String>,
    /// The Secret of its personal access token.
    pub token_secret: Option<String>,
    /// The organization that it is pinned to.
    pub organization: Option<String>,
    /// Whether its status offers consent.
    pub offers_consent: bool,
    /// What its Secrets bear.
    pub secret_template: Option<Box<SecretTemplate>>,
    /// Status and reason of `Ready`.
    pub ready: Option<(String, String)>,
}

impl Lean for SeenConnection {
    fn meta(&self) -> &Meta {
        &self.meta
    }
    fn installation(&self) -> Option<NonZeroU64> {
        self.installation
    }
}

impl SeenConnection {
    /// Whether it reads a Secret of this name.
    pub fn reads(&self, name: &str) -> bool {
        [&self.app_secret, &self.seed_secret, &self.token_secret]
            .into_iter()
            .any(|known| known.as_deref() == Some(name))
    }

    /// Whether its status says `Ready`, for whatever generation.
    pub fn is_ready(&self) -> bool {
        self.ready.as_ref().is_some_and(|(status, _)| status == "True")
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    metadata: Maybe<Meta>,
    spec: Maybe<Spec>,
    status: Maybe<Status>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    auth: Maybe<Auth>,
    organization_slug: Text,
    secret_template: Option<Maybe<Template>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Template {
    labels: Maybe<BTreeMap<String, Text>>,
    annotations: Maybe<BTreeMap<String, Text>>,
}

fn texts(Maybe(texts): Maybe<BTreeMap<String, Text>>) -> BTreeMap<String, String> {
    texts.into_iter().filter_map(|(name, Text(value))| Some((name, value?))).collect()
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Auth {
    oauth: Option<Maybe<OAuth>>,
    personal_access_token: Maybe<Token>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OAuth {
    app_secret_ref: Maybe<Named>,
    token_secret_ref: Maybe<Named>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Token {
    secret_key_ref: Maybe<Named>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    #[serde(rename = "consentURL")]
    consent_url: Option<IgnoredAny>,
    installation: Maybe<Named>,
    conditions: Many<Maybe<Condition>>,
}

impl From<Wire> for SeenConnection {
    fn from(wire: Wire) -> Self {
        let Wire { metadata: Maybe(metadata), spec: Maybe(spec), status: Maybe(status) } = wire;
        let Maybe(Auth { oauth, personal_access_token: Maybe(token) }) = spec.auth;
        let is_oauth = oauth.is_some();
        let Maybe(oauth) = oauth.unwrap_or_default();
        let mut conditions = status.conditions.0.into_iter().map(|Maybe(one)| one);
        let ready = conditions.find(|one| one.r#type.0.as_deref() == Some("Ready"));
        Self {
            is_oauth,
            app_secret: oauth.app_secret_ref.0.name.0,
            seed_secret: oauth.token_secret_ref.0.name.0,
            token_secret: token.secret_key_ref.0.name.0,
            organization: spec.organization_slug.0,
            secret_template: spec.secret_template.map(|Maybe(Template { labels, annotations })| {
                Box::new(SecretTemplate { labels: texts(labels), annotations: texts(annotations) })
            }),
            installation: status.installation.mark(),
            offers_consent: status.consent_url.is_some(),
            ready: ready
                .map(|one| (one.status.0.unwrap_or_default(), one.reason.0.unwrap_or_default())),
            meta: metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_connection_of_any_version_is_seen() {
        let seen: SeenConnection = serde_json::from_value(json!({
            "metadata": {"name": "acme", "namespace": "team", "uid": "u"},
            "spec": {
                "auth": {"oauth": {"appSecretRef": {"name": "app"}, "tokenSecretRef": {"name": "seed"}, "flow": "New"}},
                "adoption": "Sometimes", "organizationSlug": "acme",
                "secretTemplate": {"labels": {"team": "db", "odd": 7}, "annotations": [], "newer": {}},
            },
            "status": {"consentURL": "https://c", "conditions": [
                {"type": "Stalled", "status": "True"}, {"type": "Ready", "status": "False", "reason": "Retrying"},
            ]},
        }))
        .unwrap();
        assert!(seen.is_oauth && seen.reads("app") && seen.reads("seed") && !seen.reads("acme"));
        assert!(seen.offers_consent && !seen.is_ready());
        let labels = seen.secret_template.unwrap().labels;
        assert_eq!(labels, [("team".to_owned(), "db".to_owned())].into());
        assert_eq!(seen.ready, Some(("False".to_owned(), "Retrying".to_owned())));
        let seen: SeenConnection = serde_json::from_value(json!({
            "spec": {"auth": {"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "t"}}}},
        }))
        .unwrap();
        assert!(
            !seen.is_oauth && seen.reads("pat") && !seen.offers_consent && seen.ready.is_none()
        );
    }
}
