//! What users live through, on a real API server, under the chart's `ServiceAccount`, against the simulated
//! platform. Every story ends with [`Stage::finish`]: nothing leaked, nothing asked beyond the chart.

mod auth_mail;
mod consent_attacks;
mod consent_pages;
mod consent_terminal;
mod deletion;
mod first_project;
mod hostile;
mod installs;
mod neighbours;
mod output_keys;
mod outputs;
mod password;
mod policies;
mod power;
mod restarts;
mod rights;
mod rollout;
mod settings;
mod strangers;
mod tenancy;
mod tokens;
mod trouble;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cluster::kinds::{CONNECTION, PROJECT};
use crate::support::cluster::{SOON, condition};
use crate::support::samples::{oauth_connection, project, token_connection};
use crate::support::stage::Stage;

/// Makes the connection `acme` with OAuth tokens, and waits until it is ready.
async fn connected(stage: &Stage) {
    stage.cluster.apply(oauth_connection("acme")).await;
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
}

/// Makes the connection `acme` with a personal access token, and waits until it is ready.
async fn connected_with_token(stage: &Stage) {
    stage.cluster.apply(token_connection("acme")).await;
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
}

/// Makes a plain project and waits until it is ready.
async fn ready_project(stage: &Stage, name: &str) -> Value {
    stage.cluster.apply(project(name)).await;
    stage.cluster.wait_condition(PROJECT, name, "Ready", "True").await
}

/// Short enough for a test to outwait a dead leader.
fn short_lease() -> Value {
    json!({"leaderElection": {"leaseDuration": "8s", "renewDeadline": "7s", "retryPeriod": "500ms"}})
}

/// How long calls are counted, and how many of them are no hot loop yet.
const WHILE: Duration = Duration::from_secs(3);
const CALM: usize = 30;

/// A condition says what to do, and while it lasts the platform is left in peace.
async fn told_calmly(stage: &Stage, name: &str, reason: &str) {
    let told =
        stage.cluster.wait_condition(PROJECT, name, "Ready", &format!("False/{reason}")).await;
    let message = condition(&told, "Ready").unwrap()["message"].as_str().unwrap().to_owned();
    assert!(message.len() > 10, "{reason}: {message:?} does not say what to do");
    let mark = stage.platform.mark();
    tokio::time::sleep(WHILE).await;
    let calls = stage.platform.calls_since(mark);
    assert!(calls.values().sum::<usize>() < CALM, "{reason}: {calls:?}");
}

/// Deleting an object that came to nothing needs nothing more.
async fn goes(stage: &Stage, name: &str) {
    stage.cluster.delete(PROJECT, name).await;
    stage.cluster.gone(PROJECT, name, SOON).await;
}
