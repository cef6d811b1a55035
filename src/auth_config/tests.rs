//! From a spec and an answer to what is sent.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::{Value as Json, json};

use super::facts::{Observed, Parent};
use super::memory::Memo;
use super::values::shown_digest;
use super::{Resolved, change, groups, secret_refs};
use crate::api::{Reason, SupabaseAuthConfigSpec, SupabaseProject};
use crate::controller::Problem;
use crate::management::{Change, Given, ProjectRef, Setting, Settings};
use crate::rules::digest::DigestKey;
use crate::settings::{Digester, Input, Memory, Plan, Policy, Reading, plan};

const PASSWORD: &str = "canary-password";

fn spec(fields: impl Into<Json>) -> SupabaseAuthConfigSpec {
    let fields = fields.into();
    let mut spec = json!({"projectRef": {"name": "orders"}});
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn smtp() -> Json {
    json!({
        "host": "smtp.example", "port": 587, "username": "apikey", "senderEmail": "no-reply@shop.example",
        "senderName": "Shop", "password": {"secretKeyRef": {"name": "smtp", "key": "password"}},
    })
}

/// Nothing is known yet.
pub(super) fn observed() -> Observed {
    Observed {
        done: Vec::new(),
        memo: Memo::default(),
        holder: None,
        project: None,
        parent: Parent::NotReady(Problem::new(Reason::ProjectNotReady, "")),
        unsettled: false,
        policy: Policy::Correct,
        secrets: Resolved::new(),
        versions: Vec::new(),
        settings: None,
        again: Duration::ZERO,
        requested: None,
    }
}

/// A project that settings can be read of.
pub(super) fn active() -> SupabaseProject {
    serde_json::from_value(json!({
        "apiVersion": "supabase-operator.dev/v1alpha1", "kind": "SupabaseProject", "metadata": {"name": "orders"},
        "spec": {"connectionRef": {"name": "acme"}, "region": "eu-central-1"},
    }))
    .unwrap()
}

fn reference() -> ProjectRef {
    "abcdefghijklmnopqrst".parse().unwrap()
}

fn resolved() -> Resolved {
    Resolved::from([("smtp.password", Ok(PASSWORD.into()))])
}

/// The answer of a known program: `printf %s password | openssl dgst -sha256 -hmac abcdefghijklmnopqrst`.
#[test]
fn the_platforms_digest_is_keyed_by_the_ref() {
    let one = shown_digest(&reference(), &"password".into());
    assert_eq!(one, "7e59c81a2ea6c017eb93831362e3339e1618a0d213333a7cea50b9335e5299a6");
    let other = "bbbbbbbbbbbbbbbbbbbb".parse().unwrap();
    assert_ne!(one, shown_digest(&other, &"password".into()));
}

/// The settings of an untouched project.
fn untouched() -> Settings {
    let text = |text: &str| Setting::Text(text.to_owned());
    [
        ("site_url", text("http://localhost:3000")),
        ("uri_allow_list", text("")),
        ("smtp_max_frequency", Setting::Number(60)),
        ("smtp_host", Setting::Nothing),
        ("rate_limit_email_sent", Setting::Number(2)),
    ]
    .map(|(name, setting)| (name.to_owned(), setting))
    .into()
}

fn planned(spec: &SupabaseAuthConfigSpec, secrets: &Resolved, read: &Settings) -> Plan {
    let key = DigestKey::from_bytes(&[7; 32]).unwrap();
    let digester = Digester { key: &key, uid: "uid", reference: None };
    let groups = groups(spec, secrets, Ok(read), &reference(), digester);
    let input = Input {
        groups: &groups,
        policy: Policy::Correct,
        applied: &[],
        drift: &[],
        was_settled: false,
        asked: false,
        uid: "uid",
        interval: Duration::from_secs(600),
        now: "2026-01-01T00:00:00Z".parse().unwrap(),
    };
    plan(&input, &mut Memory::default())
}

/// As the platform takes it: by key, secrets as their digest.
fn take(settings: &mut Settings, change: &Change) {
    for (name, given) in change {
        let setting = match given {
            Given::Flag(flag) => Setting::Flag(*flag),
            Given::Number(number) => Setting::Number(*number),
            Given::Fraction(number) => Setting::Fraction(*number),
            Given::Text(text) => Setting::Text(text.clone()),
            Given::Secret(secret) => Setting::Hidden(shown_digest(&reference(), secret).into()),
        };
        settings.insert(name.clone(), setting);
    }
}

/// What is sent, request by request, until all is as declared.
fn requests(spec: &SupabaseAuthConfigSpec, settings: &mut Settings) -> Vec<Vec<String>> {
    let mut requests = Vec::new();
    while let Some(write) = planned(spec, &resolved(), settings).write {
        let change = change(spec, &resolved(), &write);
        assert!(!change.is_empty() && requests.len() < 10, "{write:?}");
        requests.push(change.keys().cloned().collect());
        take(settings, &change);
    }
    requests
}

#[test]
fn each_kind_of_field_goes_in_a_request_of_its_own_and_in_order() {
    let spec = spec(json!({
        "siteURL": "https://shop.example", "redirectURLs": ["https://shop.example/**"],
        "email": {"minIntervalSeconds": 1}, "rateLimits": {"emailSent": 100}, "smtp": smtp(),
    }));
    let mut settings = untouched();
    let sent = requests(&spec, &mut settings);
    let whole = [
        "smtp_admin_email",
        "smtp_host",
        "smtp_pass",
        "smtp_port",
        "smtp_sender_name",
        "smtp_user",
    ];
    assert_eq!(sent.len(), 3);
    assert_eq!(sent[0], ["site_url", "smtp_max_frequency", "uri_allow_list"]);
    assert_eq!(sent[1], whole);
    assert_eq!(sent[2], ["rate_limit_email_sent"]);
    // A port is a text there.
    assert!(matches!(&settings["smtp_port"], Setting::Text(port) if port == "587"));
    // A change of the host sends all but the password, which the platform has.
    settings.insert("smtp_host".to_owned(), Setting::Text("other".to_owned()));
    let again = requests(&spec, &mut settings);
    assert_eq!(again.len(), 1);
    assert!(again[0].len() == 5 && !again[0].contains(&"smtp_pass".to_owned()));
}

#[test]
fn mail_is_switched_off_by_its_host_alone() {
    let mut off = smtp();
    off["enabled"] = json!(false);
    let spec = spec(json!({"smtp": off}));
    assert!(secret_refs(&spec).is_empty());
    let mut settings = untouched();
    assert!(requests(&spec, &mut settings).is_empty());
    settings.insert("smtp_host".to_owned(), Setting::Text("smtp.example".to_owned()));
    assert_eq!(requests(&spec, &mut settings), [["smtp_host"]]);
    assert!(matches!(&settings["smtp_host"], Setting::Text(host) if host.is_empty()));
}

#[test]
fn the_password_goes_only_when_the_platform_has_another() {
    let spec = spec(json!({"smtp": smtp()}));
    let mut settings = untouched();
    requests(&spec, &mut settings);
    assert!(planned(&spec, &resolved(), &settings).write.is_none());
    let rotated = Resolved::from([("smtp.password", Ok("canary-rotated".into()))]);
    let write = planned(&spec, &rotated, &settings).write.unwrap();
    let sent = change(&spec, &rotated, &write);
    assert!(
        matches!(&sent["smtp_pass"], Given::Secret(secret) if secret.expose_secret() == "canary-rotated")
    );
    let said = format!("{write:?}{sent:?}{:?}", planned(&spec, &rotated, &settings));
    assert!(!said.contains("canary"), "{said}");
}

#[test]
fn what_is_not_declared_is_neither_compared_nor_sent() {
    let spec = spec(json!({}));
    let plan = planned(&spec, &resolved(), &untouched());
    assert!(plan.write.is_none() && plan.drift.is_empty());
    let empty = spec_with_empty_list();
    assert!(planned(&empty, &resolved(), &untouched()).write.is_none());
}

fn spec_with_empty_list() -> SupabaseAuthConfigSpec {
    spec(json!({"redirectURLs": [], "email": {}, "rateLimits": {}}))
}

#[test]
fn a_missing_secret_holds_back_its_own_group_only() {
    let spec = spec(json!({"siteURL": "https://shop.example", "smtp": smtp()}));
    let named = secret_refs(&spec);
    assert_eq!((named.len(), named[0].0, named[0].1.name.as_str()), (1, "smtp.password", "smtp"));
    let missing = Resolved::from([("smtp.password", Err("there is no Secret smtp".to_owned()))]);
    let plan = planned(&spec, &missing, &untouched());
    let write = plan.write.unwrap();
    assert!(write.sets("siteURL") && !write.sets("smtp"));
    assert_eq!(plan.synced.reason, crate::api::Reason::SecretMissing);
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let key = DigestKey::from_bytes(&[7; 32]).unwrap();
    let digester = Digester { key: &key, uid: "uid", reference: None };
    let spec = spec(json!({"siteURL": "https://shop.example"}));
    let groups = groups(&spec, &resolved(), Err(&Reading::Failed), &reference(), digester);
    assert!(matches!(groups[0].reading, Reading::Failed));
}
