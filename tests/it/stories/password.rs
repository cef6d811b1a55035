//! The database password: kept, found again, and reset only when somebody asked for it.

use serde_json::json;

use super::{connected, ready_project};
use crate::support::cluster::SOON;
use crate::support::cluster::kinds::{PROJECT, SECRET};
use crate::support::eventually::eventually;
use crate::support::samples::{project, secret};
use crate::support::stage::{Reach, Stage};

const PASSWORD: &str = "orders-supabase-password";

#[tokio::test]
async fn a_deleted_password_is_taken_back_from_an_output() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    ready_project(&stage, "orders").await;
    let before = stage.cluster.data(SECRET, PASSWORD).await.unwrap();
    stage.cluster.delete(SECRET, PASSWORD).await;
    stage.cluster.wait_for(SECRET, PASSWORD, "there again", SOON, |_| Some(())).await;
    assert_eq!(stage.cluster.data(SECRET, PASSWORD).await.unwrap(), before);
    let calls = stage.platform.calls_since(0);
    assert!(!calls.contains_key("PATCH /v1/projects/{ref}/database/password"), "{calls:?}");
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_password_that_nobody_knows_any_more_is_reset_on_request_only() {
    let mut stage = Stage::new(Reach::Namespace).await;
    stage.platform.attach_databases().await;
    let operator = stage.operator().await;
    connected(&stage).await;
    ready_project(&stage, "orders").await;
    // No output holds the password when its Secret goes.
    let public = project("orders").with_output("public", "Env", json!({"include": ["URL"]}));
    stage.cluster.apply(public).await;
    stage.cluster.gone(SECRET, "orders-supabase", SOON).await;
    stage.cluster.delete(SECRET, PASSWORD).await;
    stage.cluster.gone(SECRET, PASSWORD, SOON).await;
    stage.cluster.apply(project("orders")).await;
    let told = |object: &serde_json::Value| {
        let text = crate::support::cluster::conditions_of(object);
        text.contains("PasswordLost").then_some(())
    };
    stage.cluster.wait_for(PROJECT, "orders", "PasswordLost", SOON, told).await;
    let calls = stage.platform.calls_since(0);
    assert!(!calls.contains_key("PATCH /v1/projects/{ref}/database/password"), "{calls:?}");

    let reset = project("orders").with("database/password/onLost", "Reset");
    stage.cluster.apply(reset).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    let whole =
        |object: &serde_json::Value| object["data"]["SUPABASE_DB_URL"].is_string().then_some(());
    stage.cluster.wait_for(SECRET, "orders-supabase", "there again", SOON, whole).await;
    let data = stage.cluster.data(SECRET, "orders-supabase").await.unwrap();
    // The pooler learns a new password with a delay.
    eventually("an answer of the database", SOON, async || {
        database_query::answer(&data["SUPABASE_DB_URL"], "select 1").await
    })
    .await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn an_adopted_project_works_with_the_password_that_is_supplied() {
    let mut stage = Stage::new(Reach::Namespace).await;
    stage.platform.attach_databases().await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let (first, adopted) = adopted_without_a_password(&stage).await;
    let data = stage.cluster.data(SECRET, "legacy-supabase").await.unwrap();
    assert!(data.contains_key("SUPABASE_SECRET_KEY") && !data.contains_key("SUPABASE_DB_URL"));

    stage.cluster.apply(secret("known", &[("password", &first)])).await;
    stage.cluster.apply(adopted.with_password_of("known", "password")).await;
    stage
        .cluster
        .wait_for(SECRET, "legacy-supabase", "the URI", SOON, |object| {
            object["data"]["SUPABASE_DB_URL"].is_string().then_some(())
        })
        .await;
    let data = stage.cluster.data(SECRET, "legacy-supabase").await.unwrap();
    let answer = database_query::answer(&data["SUPABASE_DB_URL"], "select 1").await.unwrap();
    assert_eq!(answer, ["1"]);
    let said = "True/PasswordUnverified";
    let ready = stage.cluster.wait_condition(PROJECT, "legacy", "Ready", said).await;
    let text = crate::support::cluster::conditions_of(&ready);
    assert!(text.contains("first login"), "{text}");
    stage.finish(vec![operator]).await;
}

/// A cluster that is rebuilt from Git: the project is there, its password is nowhere, and the user allows a new one.
#[tokio::test]
async fn an_adopted_project_gets_a_new_password_where_that_is_allowed() {
    let mut stage = Stage::new(Reach::Namespace).await;
    stage.platform.attach_databases().await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let (first, adopted) = adopted_without_a_password(&stage).await;
    stage.cluster.apply(adopted.with("database/password/onLost", "Reset")).await;
    stage.cluster.wait_condition(PROJECT, "legacy", "Ready", "True/Available").await;
    let data = stage.cluster.data(SECRET, "legacy-supabase").await.unwrap();
    assert_ne!(data["SUPABASE_DB_PASSWORD"], first);
    // The pooler learns a new password with a delay.
    eventually("an answer of the database", SOON, async || {
        database_query::answer(&data["SUPABASE_DB_URL"], "select 1").await
    })
    .await;
    for reason in ["ResettingPassword", "PasswordReset"] {
        stage.cluster.wait_events("legacy", reason, 1).await;
    }
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn an_object_that_is_applied_anew_is_told_which_project_is_its_own() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let ready = ready_project(&stage, "orders").await;
    let reference = ready["status"]["ref"].as_str().unwrap().to_owned();
    let before = stage.cluster.data(SECRET, PASSWORD).await.unwrap();
    // As kubectl replace --force does, or a prune and the next sync.
    stage.cluster.delete(PROJECT, "orders").await;
    stage.cluster.gone(PROJECT, "orders", SOON).await;
    stage.cluster.apply(project("orders")).await;
    let told = stage.cluster.wait_condition(PROJECT, "orders", "Ready", "False/NameConflict").await;
    let message = crate::support::cluster::condition(&told, "Ready").unwrap()["message"]
        .as_str()
        .unwrap()
        .to_owned();
    let field = format!("spec.adoption: {{policy: AdoptOnly, ref: {reference}}}");
    assert!(message.contains(&field), "{message}");
    assert!(!message.contains("delete"), "{message}");
    // Doing as it says is enough.
    let adoption = json!({"policy": "AdoptOnly", "ref": reference});
    stage.cluster.apply(project("orders").with("adoption", adoption)).await;
    let again = stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    assert_eq!(again["status"]["ref"], reference.as_str());
    let after = stage.cluster.data(SECRET, PASSWORD).await.unwrap();
    assert_eq!(after, before);
    assert_eq!(stage.platform.created().len(), 1);
    stage.finish(vec![operator]).await;
}

/// A project whose object and password Secret are gone, adopted by a new object: the password that it has,
/// and the new object.
async fn adopted_without_a_password(stage: &Stage) -> (String, crate::support::samples::Sample) {
    let ready = ready_project(stage, "first").await;
    let password = stage.cluster.data(SECRET, "first-supabase").await.unwrap();
    let password = password["SUPABASE_DB_PASSWORD"].clone();
    stage.cluster.delete(PROJECT, "first").await;
    stage.cluster.gone(PROJECT, "first", SOON).await;
    stage.cluster.delete(SECRET, "first-supabase-password").await;
    let adoption = json!({"policy": "AdoptOnly", "ref": ready["status"]["ref"]});
    let name = ready["status"]["projectName"].as_str().unwrap();
    let adopted = project("legacy").called(name).with("adoption", adoption);
    stage.cluster.apply(adopted.clone()).await;
    let told = |object: &serde_json::Value| {
        let text = crate::support::cluster::conditions_of(object);
        text.contains("PasswordUnknown").then_some(())
    };
    stage.cluster.wait_for(PROJECT, "legacy", "PasswordUnknown", SOON, told).await;
    stage.cluster.wait_for(SECRET, "legacy-supabase", "there", SOON, |_| Some(())).await;
    (password, adopted)
}
