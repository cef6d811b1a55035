//! Bad objects and bad answers: each is told with a documented reason, costs no hot loop, and does not keep
//! an object from going.

use std::time::Duration;

use serde_json::{Value, json};
use simulated_platform::{Fault, FaultKind, Plan};

use super::{connected, connected_with_token, goes, ready_project, told_calmly};
use crate::support::cluster::condition;
use crate::support::cluster::kinds::{CONNECTION, PROJECT, SECRET};
use crate::support::platform::ORGANIZATION;
use crate::support::samples::{Sample, oauth_connection, project, secret, token_connection};
use crate::support::stage::{Reach, Stage};

/// Enough to outlast every test.
const FOR_EVER: u32 = u32::MAX;

/// What a fault of the create call does to a project.
async fn a_create_call_that_meets(kind: FaultKind, reason: &str) {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let fault = Fault::on("POST", "/v1/projects", kind).times(FOR_EVER);
    stage.platform.world().script(fault);
    stage.cluster.apply(project("orders")).await;
    told_calmly(&stage, "orders", reason).await;
    assert!(stage.platform.created().is_empty());
    goes(&stage, "orders").await;
    stage.finish(vec![operator]).await;
}

fn message(status: u16, text: &str) -> FaultKind {
    FaultKind::Status(status, json!({"message": text}).to_string())
}

#[tokio::test]
async fn a_refused_region_is_told() {
    a_create_call_that_meets(
        message(400, "region must be one of the following values"),
        "InvalidSpec",
    )
    .await;
}

#[tokio::test]
async fn what_can_be_chosen_is_told_with_a_refusal() {
    let mut stage = Stage::new(Reach::Namespace).await;
    stage.platform.world().add_organization("second", "Second", Plan::Pro);
    let operator = stage.operator().await;
    connected_with_token(&stage).await;
    let told = async |object: Sample, reason: &str, words: &[&str]| {
        stage.cluster.apply(object).await;
        let told = stage
            .cluster
            .wait_condition(PROJECT, "orders", "Ready", &format!("False/{reason}"))
            .await;
        let message = condition(&told, "Ready").unwrap()["message"].as_str().unwrap().to_owned();
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
    };
    told(project("orders"), "OrganizationRequired", &[ORGANIZATION, "second"]).await;
    let of = |slug: &str| project("orders").with("organizationSlug", slug);
    let slip = &ORGANIZATION[..ORGANIZATION.len() - 1];
    let meant = format!("did you mean {ORGANIZATION}?");
    told(of(slip), "OrganizationNotAllowed", &[&meant, "second"]).await;
    let regions = ["did you mean eu-central-1?", "ap-south-1"];
    told(of(ORGANIZATION).in_region("eu-centrl-1"), "InvalidSpec", &regions).await;
    let sized = of(ORGANIZATION).with("compute/size", "mediun");
    told(sized, "InvalidSpec", &["did you mean medium?", "24xlarge_high_memory"]).await;
    let group = of(ORGANIZATION).without("region").with("regionGroup", "emae");
    told(group, "InvalidSpec", &["did you mean emea?", "apac"]).await;
    // The description does not know what was written here by mistake.
    for wrong in ["desired_instance_size", "region_selection"] {
        stage.platform.forgive(wrong);
    }
    // All of it could be mended in place, and regions were asked for once.
    stage.cluster.apply(of(ORGANIZATION)).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    assert_eq!(stage.platform.calls_since(0)["GET /v1/projects/available-regions"], 1);
    let connection = stage.cluster.get(CONNECTION, "acme").await.unwrap();
    let list = connection["status"]["organizationList"].as_str().unwrap();
    assert_eq!(list, format!("{ORGANIZATION}, second"));
    // Whoever reads the log alone finds the reason too, on the step's own line.
    let log = operator.printed().text();
    let failed = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut failed = failed.filter(|line| line["message"] == "step failed");
    let region = failed.find(|line| line["reason"].to_string().contains("eu-central-1"));
    let region = region.expect("a line about the region");
    assert_eq!((&region["level"], &region["step"]), (&json!("WARN"), &json!("create")));
    // One transition is one event.
    let events = stage.cluster.wait_events("orders", "Available", 1).await;
    let invalid = events.iter().filter(|reason| *reason == "InvalidSpec").count();
    assert_eq!(invalid, 1, "{events:?}");
    assert_eq!(events.iter().filter(|reason| *reason == "Available").count(), 1, "{events:?}");
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_missing_right_is_told() {
    a_create_call_that_meets(message(403, "Forbidden resource"), "MissingScope").await;
}

#[tokio::test]
async fn a_reached_quota_is_told() {
    let text = "The following organization members have reached their maximum limits for the number of \
        active free projects";
    a_create_call_that_meets(message(400, text), "QuotaExceeded").await;
}

#[tokio::test]
async fn unpaid_invoices_are_told() {
    a_create_call_that_meets(message(402, "Payment required"), "PaymentRequired").await;
}

#[tokio::test]
async fn an_organization_that_is_not_found_is_told() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let kind = message(404, "Organization not found");
    let fault = Fault::on("GET", "/v1/organizations/*/projects", kind).times(FOR_EVER);
    stage.platform.world().script(fault);
    stage.cluster.apply(project("orders")).await;
    told_calmly(&stage, "orders", "RemoteNotVisible").await;
    assert!(stage.platform.created().is_empty());
    goes(&stage, "orders").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_rate_limit_is_told() {
    a_create_call_that_meets(FaultKind::RetryAfter(429, "60".to_owned()), "RateLimited").await;
}

/// What a platform that fails on every call does to a connection.
async fn a_platform_that_answers(kind: FaultKind, reason: &str) {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    stage.platform.world().script(Fault::on("*", "/**", kind).times(FOR_EVER));
    stage.cluster.apply(token_connection("acme")).await;
    let wanted = format!("False/{reason}");
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", &wanted).await;
    stage.cluster.apply(project("orders")).await;
    told_calmly(&stage, "orders", "ConnectionNotReady").await;
    goes(&stage, "orders").await;
    stage.cluster.apply(project("waiting")).await;
    stage.platform.world().clear_script();
    stage.cluster.wait_condition(PROJECT, "waiting", "Ready", "True").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_refused_token_is_told_and_not_tried_again_until_another_one_comes() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    let wrong = format!("sbp_{}", "0123456789abcdef0123".repeat(2));
    stage.cluster.apply(secret("supabase-token", &[("token", &wrong)])).await;
    stage.cluster.apply(token_connection("acme")).await;
    let refused = "False/Unauthorized";
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", refused).await;
    stage.cluster.apply(project("orders")).await;
    told_calmly(&stage, "orders", "ConnectionNotReady").await;
    stage.platform.provide_secrets(&stage.cluster).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_broken_platform_is_told() {
    a_platform_that_answers(message(500, "Internal server error"), "PlatformUnavailable").await;
}

#[tokio::test]
async fn a_gateways_error_page_is_told() {
    a_platform_that_answers(FaultKind::Html(502), "PlatformUnavailable").await;
}

#[tokio::test]
async fn a_page_where_json_was_due_is_told() {
    a_platform_that_answers(FaultKind::Html(200), "PlatformUnavailable").await;
}

#[tokio::test]
async fn a_reset_connection_is_told() {
    a_platform_that_answers(FaultKind::Reset, "PlatformUnavailable").await;
}

#[tokio::test]
async fn a_platform_that_never_answers_is_told() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    stage.platform.world().script(Fault::on("*", "/**", FaultKind::Stall).times(FOR_EVER));
    stage.cluster.apply(token_connection("acme")).await;
    let told = |object: &serde_json::Value| {
        (condition(object, "Ready")?["reason"] == "PlatformUnavailable").then_some(())
    };
    // Longer than the deadline of a call.
    let long = Duration::from_secs(90);
    stage.cluster.wait_for(CONNECTION, "acme", "PlatformUnavailable", long, told).await;
    stage.cluster.apply(project("orders")).await;
    goes(&stage, "orders").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_missing_connection_is_told_and_awaited() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    stage.cluster.apply(project("orders")).await;
    told_calmly(&stage, "orders", "ConnectionNotFound").await;
    connected(&stage).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_missing_or_malformed_secret_is_told_and_awaited() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    stage.cluster.delete(SECRET, "supabase-token").await;
    stage.cluster.apply(token_connection("acme")).await;
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "False/SecretNotFound").await;
    stage.cluster.apply(secret("supabase-token", &[("wrong-key", "x")])).await;
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "False/SecretNotFound").await;
    let two_lines = "not a token\nat all";
    stage.cluster.apply(secret("supabase-token", &[("token", two_lines)])).await;
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "False/SecretInvalid").await;
    stage.platform.provide_secrets(&stage.cluster).await;
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_dead_refresh_token_is_told_until_new_tokens_come() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    // Something has to call the platform for anybody to notice.
    ready_project(&stage, "orders").await;
    let app = stage.platform.app.clone();
    stage.platform.world().revoke_authorization(&app, "acme");
    let dead = "False/ReauthorizationRequired";
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", dead).await;
    let now = stage.platform.now();
    let fresh = stage.platform.world().authorize(&app, "acme", now).unwrap();
    let tokens = [
        ("access_token", fresh.access_token.as_str()),
        ("refresh_token", fresh.refresh_token.as_str()),
    ];
    stage.cluster.apply(secret("supabase-oauth-tokens", &tokens)).await;
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_connection_to_a_foreign_organization_is_refused() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    let pinned = oauth_connection("acme").with("organizationSlug", "elsewhere");
    stage.cluster.apply(pinned).await;
    let refused = "False/OrganizationNotAllowed";
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", refused).await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_401_that_is_not_about_the_token_leaves_tokens_and_connection_alone() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let kind = message(401, "This endpoint does not support oauth access yet");
    let fault = Fault::on("GET", "/v1/projects/*/config/database/pooler", kind).times(FOR_EVER);
    stage.platform.world().script(fault);
    let mark = stage.platform.mark();
    stage.cluster.apply(project("orders")).await;
    let told = stage
        .cluster
        .wait_condition(PROJECT, "orders", "OutputsWritten", "False/MissingScope")
        .await;
    let message = crate::support::cluster::conditions_of(&told);
    assert!(!message.contains("give a new one"), "{message}");
    let acme = stage.cluster.get(CONNECTION, "acme").await.unwrap();
    assert_eq!(condition(&acme, "Ready").unwrap()["status"], "True");
    let calls = stage.platform.calls_since(mark);
    assert!(!calls.contains_key("POST /v1/oauth/token"), "{calls:?}");
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn an_authorization_that_lost_its_scopes_is_told_and_seen_to_come_back() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    ready_project(&stage, "orders").await;
    let app = stage.platform.app.clone();
    stage.platform.world().lose_scopes(&app, "acme", true);
    let told = stage
        .cluster
        .wait_condition(CONNECTION, "acme", "Ready", "False/ReauthorizationRequired")
        .await;
    let message = crate::support::cluster::conditions_of(&told);
    assert!(message.contains("scopes"), "{message}");
    stage.platform.world().lose_scopes(&app, "acme", false);
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_list_that_fails_is_told_while_the_project_stays_ready() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    ready_project(&stage, "orders").await;
    let kind = message(400, "Something that nobody knows");
    let fault = Fault::on("GET", "/v1/organizations/*/projects", kind).times(FOR_EVER);
    stage.platform.world().script(fault);
    let told = stage.cluster.wait_condition(PROJECT, "orders", "Synced", "Unknown").await;
    assert_eq!(condition(&told, "Ready").unwrap()["status"], "True");
    stage.platform.world().clear_script();
    stage.cluster.wait_condition(PROJECT, "orders", "Synced", "True").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_strangers_odd_entry_keeps_nobody_from_creating() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let odd = json!({
        "projects": [{"ref": null, "name": null}, 7],
        "pagination": {"count": 2, "limit": 100, "offset": 0},
    });
    let fault = Fault::on("GET", "/v1/organizations/*/projects", FaultKind::Body(odd.to_string()));
    stage.platform.world().script(fault.times(FOR_EVER));
    stage.cluster.apply(project("orders")).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    assert_eq!(stage.platform.created().len(), 1);
    stage.finish(vec![operator]).await;
}
