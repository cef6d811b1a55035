//! A mail really arrives: a project's Auth writes to a real mail server, with the settings that the operator has put there.

use std::time::Duration;

use serde_json::{Value, json};
use simulated_platform::{Config, Sent};

use super::{connected, ready_project};
use crate::support::cluster::kinds::{AUTH_CONFIG, SECRET};
use crate::support::eventually::eventually;
use crate::support::mail::MailServer;
use crate::support::programs::repository;
use crate::support::stage::{Reach, Stage};

const USER: &str = "apikey";

fn canary() -> String {
    format!("smtp-{:016x}", getrandom::u64().unwrap())
}

fn secret(password: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "smtp"}, "stringData": {"password": password},
    })
}

fn auth(port: u16, smtp: bool) -> Value {
    json!({
        "apiVersion": "supabase-operator.dev/v1alpha1", "kind": "SupabaseAuthConfig", "metadata": {"name": "orders"},
        "spec": {
            "projectRef": {"name": "orders"},
            "siteURL": "https://shop.example",
            "smtp": {
                "enabled": smtp, "host": "127.0.0.1", "port": port, "username": USER,
                "password": {"secretKeyRef": {"name": "smtp", "key": "password"}},
                "senderEmail": "no-reply@shop.example", "senderName": "Shop",
            },
        },
    })
}

/// Sends one letter with the settings in force.
fn send(stage: &Stage, reference: &str) -> Sent {
    stage.platform.send_mail(reference, "somebody@example.com")
}

fn outcome(sent: &Sent, wanted: &Sent) -> Result<(), String> {
    if sent == wanted { Ok(()) } else { Err(format!("{sent:?}")) }
}

#[tokio::test]
async fn a_mail_really_arrives_with_the_declared_settings() {
    let (password, other) = (canary(), canary());
    let starting = {
        let password = password.clone();
        let ensure = repository().join("tests/tools/ensure");
        move || MailServer::start(&ensure, USER, &password)
    };
    let Some(server) = tokio::task::spawn_blocking(starting).await.unwrap() else { return };
    let mut stage = Stage::with_platform(Reach::Cluster, Config::fast()).await;
    stage.platform.trust_mail_servers(server.certificate());
    let operator = stage.operator().await;
    connected(&stage).await;
    let ready = ready_project(&stage, "orders").await;
    let reference = ready["status"]["ref"].as_str().unwrap().to_owned();

    // The application is there before its Secret.
    stage.cluster.apply(auth(server.port(), true)).await;
    stage.cluster.wait_condition(AUTH_CONFIG, "orders", "Synced", "False/SecretMissing").await;
    assert!(matches!(send(&stage, &reference), Sent::Off));
    stage.cluster.apply(secret(&password)).await;
    stage.cluster.wait_condition(AUTH_CONFIG, "orders", "Ready", "True/Available").await;
    assert!(matches!(send(&stage, &reference), Sent::Sent));
    let arrived = server.arrived();
    assert_eq!(arrived.len(), 1, "{arrived:?}");
    assert_eq!(
        (arrived[0].from.as_str(), arrived[0].to.as_str(), arrived[0].user.as_str()),
        ("no-reply@shop.example", "somebody@example.com", USER)
    );

    // Another password in the Secret goes to the platform by itself; the server knows it not.
    stage.cluster.apply(secret(&other)).await;
    eventually("the rotated password is in force", Duration::from_secs(90), async || {
        outcome(&send(&stage, &reference), &Sent::WrongPassword)
    })
    .await;
    stage.cluster.apply(secret(&password)).await;
    eventually("the right password is in force again", Duration::from_secs(90), async || {
        outcome(&send(&stage, &reference), &Sent::Sent)
    })
    .await;

    // Switched off, the platform's own server is used.
    stage.cluster.apply(auth(server.port(), false)).await;
    eventually("the mail server is switched off", Duration::from_secs(30), async || {
        outcome(&send(&stage, &reference), &Sent::Off)
    })
    .await;
    // Deleting the object leaves the platform as it is, and holds nobody.
    stage.cluster.delete(AUTH_CONFIG, "orders").await;
    stage.cluster.gone(AUTH_CONFIG, "orders", Duration::from_secs(10)).await;
    stage.cluster.delete(SECRET, "smtp").await;
    stage.finish(vec![operator]).await;
}
