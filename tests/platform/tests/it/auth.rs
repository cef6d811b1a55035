//! The settings of Auth: every field, groups, plans, secrets, late fields, and what a refusal leaves.

use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use simulated_platform::{AfterRefusal, Config, Plan, SecretsShown};

use crate::stage::{CONTRACT, Stage, calm, request};

/// A project in an organization of this plan, and the path of its Auth settings.
fn project_on(plan: Plan, config: Config) -> (Stage, String) {
    let mut stage = Stage::new(config);
    stage.world.set_plan("acme", plan);
    let reference = stage.create("orders");
    (stage, format!("/v1/projects/{reference}/config/auth"))
}

fn project() -> (Stage, String) {
    project_on(Plan::Pro, calm())
}

fn mail_server(password: &str) -> Value {
    json!({ "smtp_host": "smtp.example", "smtp_port": "587", "smtp_user": "apikey", "smtp_pass": password,
        "smtp_admin_email": "no-reply@shop.example", "smtp_sender_name": "Shop" })
}

fn digest(path: &str, secret: &str) -> String {
    let reference = path.split('/').nth(3).unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(reference.as_bytes()).unwrap();
    let digest = mac.chain_update(secret).finalize().into_bytes();
    let digits: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

#[test]
fn an_untouched_project_shows_what_is_usual() {
    let (mut stage, path) = project();
    let shown = stage.get(&path).body;
    for (key, value) in [
        ("site_url", json!("http://localhost:3000")),
        ("uri_allow_list", json!("")),
        ("smtp_host", Value::Null),
        ("mailer_otp_length", json!(8)),
        ("rate_limit_email_sent", json!(2)),
        ("sms_provider", json!("twilio")),
        ("external_email_enabled", json!(true)),
        ("password_required_characters", Value::Null),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
}

#[test]
fn fields_are_merged_and_unknown_ones_ignored() {
    let (mut stage, path) = project();
    stage.patch(&path, json!({ "site_url": "https://shop.example" }));
    let answer = stage.patch(&path, json!({ "jwt_exp": 60, "site_ur": "typo" }));
    assert_eq!(answer.status, 200);
    // As recorded: what was not set does not show in the answer, but in the next read.
    assert_eq!(answer.body["sms_provider"], Value::Null);
    let shown = stage.get(&path).body;
    assert_eq!(
        (&shown["site_url"], &shown["jwt_exp"], &shown["sms_provider"]),
        (&json!("https://shop.example"), &json!(60), &json!("twilio"))
    );
    assert_eq!(shown.get("site_ur"), None);
    stage.patch(&path, json!({ "jwt_exp": null }));
    assert_eq!(stage.get(&path).body["jwt_exp"], 3600);
}

/// Values of every kind that some field takes.
fn samples() -> Vec<Value> {
    let mut samples = vec![Value::Null, json!(true), json!([]), json!({}), json!(1.5)];
    samples.extend(
        [-1, 0, 1, 6, 11, 301, 9000, 32_768, 604_801, 2_147_483_648_i64]
            .map(|number| json!(number)),
    );
    let texts = [
        "",
        "word",
        "two words",
        "a,b",
        "587",
        "https://shop.example",
        "a@b.example",
        "a@b",
        "2026-01-01T00:00:00Z",
        "15551234=123456",
        "turnstile",
        "percent",
        "twilio_verify",
    ];
    samples.extend(texts.map(|text| json!(text)));
    samples
}

/// Bounds that only the words of the document, or reports, tell.
fn is_stricter_than_the_document(key: &str, value: &Value) -> bool {
    match key {
        "security_refresh_token_reuse_interval" => value.as_f64() > Some(300.0),
        "sessions_timebox" | "sessions_inactivity_timeout" => value.as_f64() > Some(8760.0),
        "smtp_port" => value.as_str().is_some_and(|port| port.parse::<u16>().is_err()),
        "smtp_admin_email" => value == "a@b",
        _ => false,
    }
}

#[test]
fn every_field_takes_what_the_document_says_and_nothing_else() {
    let Some(contract) = CONTRACT.as_ref() else {
        return;
    };
    let (mut stage, path) = project_on(Plan::Enterprise, calm());
    let shown = stage.get(&path).body;
    let declared = contract.body_fields(&format!("PATCH {}", "/v1/projects/{ref}/config/auth"));
    assert!(declared.len() > 200, "{}", declared.len());
    let mut wrong = Vec::new();
    for key in &declared {
        assert!(shown.get(key.as_str()).is_some(), "{key} does not show");
        for value in samples() {
            let body = json!({ key.as_str(): value });
            let fits = contract
                .judge_request(&request("PATCH", &path, "none", Some(body.clone())))
                .is_empty();
            let answer = stage.patch(&path, body);
            let malformed =
                answer.status == 400 && answer.message().starts_with(&format!("{key}: "));
            if malformed == fits && !is_stricter_than_the_document(key, &value) {
                wrong.push(format!("{key}: {value}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn secrets_read_back_as_digests_and_a_digest_written_back_is_another_secret() {
    let (mut stage, path) = project();
    assert_eq!(stage.patch(&path, mail_server("canary-one")).status, 200);
    let shown = stage.get(&path).body["smtp_pass"].clone();
    assert_eq!(shown, digest(&path, "canary-one"));
    assert!(stage.world.canaries().contains(&"canary-one".to_owned()));
    stage.patch(&path, json!({ "smtp_pass": shown }));
    let again = digest(&path, shown.as_str().unwrap());
    assert_eq!(stage.get(&path).body["smtp_pass"], again);
    stage.world.config_mut().auth_secrets = SecretsShown::Masked;
    let masked = stage.get(&path).body["smtp_pass"].clone();
    assert!(masked.as_str().unwrap().bytes().all(|byte| byte == b'*'));
}

#[test]
fn some_settings_need_a_mail_server_and_the_refusal_is_a_401() {
    let (mut stage, path) = project();
    let refused = stage.patch(&path, json!({ "rate_limit_email_sent": 100 }));
    assert_eq!(
        (refused.status, refused.message()),
        (
            401,
            "Custom SMTP required to configure SMTP_SENDER_NAME or RATE_LIMIT_EMAIL_SENT. Missing SMTP_ADMIN_EMAIL, \
             SMTP_HOST, SMTP_PORT, SMTP_USER, SMTP_PASS fields."
        )
    );
    let mut partly = mail_server("canary-two");
    partly.as_object_mut().unwrap().remove("smtp_user");
    let refused = stage.patch(&path, partly);
    assert!(refused.message().ends_with("Missing SMTP_USER fields."));
    assert_eq!(stage.get(&path).body["smtp_host"], Value::Null);
    stage.patch(&path, mail_server("canary-two"));
    // A mail server raises the limit by itself.
    assert_eq!(stage.get(&path).body["rate_limit_email_sent"], 30);
    stage.patch(&path, json!({ "rate_limit_email_sent": 100 }));
    assert_eq!(stage.get(&path).body["rate_limit_email_sent"], 100);
    assert_eq!(stage.patch(&path, json!({ "smtp_host": "" })).status, 200);
    let shown = stage.get(&path).body;
    for key in ["smtp_host", "smtp_port", "smtp_user", "smtp_pass", "smtp_sender_name"] {
        assert_eq!(shown[key], Value::Null, "{key}");
    }
    assert_eq!(shown["rate_limit_email_sent"], 2);
    let number = stage.patch(&path, json!({ "smtp_port": 587 }));
    assert_eq!(number.message(), "smtp_port: Invalid input: expected string, received number");
}

#[test]
fn plans_close_some_settings() {
    let subject = json!({ "mailer_subjects_invite": "Hello" });
    let hibp = json!({ "password_hibp_enabled": true });
    let hook = json!({ "hook_password_verification_attempt_enabled": true,
        "hook_password_verification_attempt_uri": "pg-functions://postgres/public/check" });
    let sessions = json!({ "sessions_timebox": 1.5 });
    let factor = json!({ "mfa_phone_verify_enabled": true });
    for (plan, body, status) in [
        (Plan::Free, &subject, 400),
        (Plan::Pro, &subject, 200),
        (Plan::Free, &hibp, 402),
        (Plan::Pro, &hibp, 200),
        (Plan::Pro, &hook, 402),
        (Plan::Team, &hook, 200),
        (Plan::Free, &sessions, 402),
        (Plan::Pro, &sessions, 200),
        (Plan::Free, &factor, 402),
        (Plan::Pro, &factor, 200),
    ] {
        let (mut stage, path) = project_on(plan, calm());
        let answer = stage.patch(&path, body.clone());
        assert_eq!(answer.status, status, "{plan:?} {body}: {answer:?}");
    }
    let (mut stage, path) = project_on(Plan::Free, calm());
    stage.patch(&path, mail_server("canary-three"));
    assert_eq!(stage.patch(&path, subject).status, 200);
}

#[test]
fn groups_are_taken_whole() {
    let (mut stage, path) = project_on(Plan::Team, calm());
    for bad in [
        json!({ "oauth_server_enabled": true }),
        json!({ "security_captcha_enabled": true }),
        json!({ "external_google_enabled": true }),
        json!({ "external_keycloak_enabled": true, "external_keycloak_client_id": "id" }),
        json!({ "hook_send_email_enabled": true }),
        json!({ "hook_send_email_enabled": true, "hook_send_email_uri": "https://hook.example" }),
        json!({ "mfa_phone_enroll_enabled": true }),
    ] {
        assert_eq!(stage.patch(&path, bad.clone()).status, 400, "{bad}");
    }
    for good in [
        json!({ "oauth_server_enabled": true, "oauth_server_authorization_path": "/oauth" }),
        json!({ "security_captcha_enabled": true, "security_captcha_secret": "canary-captcha" }),
        json!({ "external_google_enabled": true, "external_google_client_id": "id",
            "external_google_additional_client_ids": "more" }),
        json!({ "hook_send_email_enabled": true, "hook_send_email_uri": "https://hook.example",
            "hook_send_email_secrets": "v1,whsec_canary" }),
        json!({ "mfa_phone_enroll_enabled": true, "mfa_phone_verify_enabled": true }),
    ] {
        assert_eq!(stage.patch(&path, good.clone()).status, 200, "{good}");
    }
    assert_eq!(stage.get(&path).body["external_google_client_id"], "id,more");
}

#[test]
fn a_hook_that_is_sent_again_unchanged_meets_the_gate() {
    let (mut stage, path) = project();
    let hook = json!({ "hook_send_email_enabled": true, "hook_send_email_uri": "https://hook.example",
        "hook_send_email_secrets": "v1,whsec_canary" });
    assert_eq!(stage.patch(&path, hook.clone()).status, 200);
    let repeated = stage.patch(&path, hook);
    assert_eq!(
        (repeated.status, repeated.message()),
        (402, "Auth Hooks can only be configured on Team or Enterprise Plans")
    );
}

#[test]
fn a_refusal_leaves_the_rest_or_nothing() {
    for (after, site) in [
        (AfterRefusal::TheRest, "https://shop.example"),
        (AfterRefusal::Nothing, "http://localhost:3000"),
    ] {
        let config = Config { auth_after_refusal: after, ..calm() };
        let (mut stage, path) = project_on(Plan::Free, config);
        let mixed =
            json!({ "site_url": "https://shop.example", "mailer_subjects_invite": "Hello" });
        assert_eq!(stage.patch(&path, mixed).status, 400);
        let shown = stage.get(&path).body;
        assert_eq!(shown["site_url"], site);
        assert_ne!(shown["mailer_subjects_invite"], "Hello");
    }
    // What is malformed is refused before anything is done.
    let (mut stage, path) = project();
    stage.patch(&path, json!({ "site_url": "https://shop.example", "jwt_exp": -1 }));
    assert_eq!(stage.get(&path).body["site_url"], "http://localhost:3000");
}

#[test]
fn some_fields_come_late() {
    let (mut stage, path) = project_on(Plan::Pro, crate::stage::slow());
    stage.pass_seconds(200);
    let body = json!({ "oauth_server_enabled": true, "oauth_server_authorization_path": "/oauth", "jwt_exp": 60 });
    assert_eq!(stage.patch(&path, body).status, 200);
    let enabled = |stage: &mut Stage| stage.get(&path).body["oauth_server_enabled"].clone();
    assert_eq!(enabled(&mut stage), false);
    assert_eq!(stage.get(&path).body["jwt_exp"], 60);
    stage.pass_seconds(60);
    assert_eq!(enabled(&mut stage), true);
}

#[test]
fn the_ledger_names_the_fields_of_every_write_and_no_value() {
    let (mut stage, path) = project();
    stage.patch(&path, mail_server("canary-four"));
    stage.patch(&path, json!({ "jwt_exp": 60, "rate_limit_email_sent": null }));
    let reference = path.split('/').nth(3).unwrap();
    let ledger = stage.world.ledger();
    let writes: Vec<_> = ledger.writes(reference, "config/auth").collect();
    assert_eq!(writes.len(), 2);
    assert_eq!(writes[1], ["jwt_exp", "rate_limit_email_sent"]);
    assert_eq!(ledger.count(&Method::PATCH, "/v1/projects/{ref}/config/auth"), 2);
    assert!(!format!("{ledger:?}{:?}", stage.world).contains("canary-four"));
}
