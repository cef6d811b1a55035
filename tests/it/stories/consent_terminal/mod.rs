//! Consent from a terminal: the real command, with the browser's part played by the test.

mod dialogue;
// Browsers are opened by other programs on other systems.
#[cfg(target_os = "linux")]
mod opening;

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use simulated_platform::{ALL_SCOPES, App, Consent};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::ready_project;
use crate::support::browser::Browser;
use crate::support::cluster::condition;
use crate::support::cluster::kinds::{CONNECTION, SECRET};
use crate::support::leaks::{Text, assert_no_leaks};
use crate::support::platform::ORGANIZATION;
use crate::support::samples::{Sample, oauth_connection, secret};
use crate::support::stage::{Reach, Stage};

const SOON: Duration = Duration::from_secs(60);

/// A port that was free a moment ago: the app must know it beforehand.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Registers an app that comes back to a port, and makes a connection for it that has no tokens.
async fn unconnected(stage: &Stage, port: u16) {
    let app = registered(stage, port);
    stage.cluster.apply(app_secret("connect-app", &app)).await;
    let oauth = json!({"appSecretRef": {"name": "connect-app"}});
    let message = unconnected_with(stage, oauth, "ReauthorizationRequired").await;
    let command = format!("connect acme --namespace {}'", stage.cluster.namespace);
    assert!(message.contains(&command), "{message}");
}

/// An app that comes back to a port.
fn registered(stage: &Stage, port: u16) -> App {
    let redirect = format!("http://127.0.0.1:{port}/callback");
    stage.platform.world().register_app(&[&redirect], ALL_SCOPES)
}

fn app_secret(name: &str, app: &App) -> Sample {
    let entries =
        [("client_id", app.client_id.as_str()), ("client_secret", app.client_secret.as_str())];
    secret(name, &entries)
}

/// A connection that is not Ready for a reason; gives what it says.
async fn unconnected_with(stage: &Stage, oauth: Value, reason: &str) -> String {
    let connection =
        oauth_connection("acme").with("auth/oauth", oauth).with("organizationSlug", ORGANIZATION);
    stage.cluster.apply(connection).await;
    let told =
        stage.cluster.wait_condition(CONNECTION, "acme", "Ready", &format!("False/{reason}")).await;
    condition(&told, "Ready").unwrap()["message"].to_string()
}

/// The command for the connection `acme`.
fn command(stage: &Stage, port: u16) -> Command {
    let namespace = &stage.cluster.namespace;
    let arguments = format!("acme --no-browser --namespace {namespace}");
    command_of(stage, &arguments, port)
}

/// The command with these arguments, and those that every test needs.
fn command_of(stage: &Stage, arguments: &str, port: u16) -> Command {
    let mut command: Command =
        stage.plane.command(env!("CARGO_BIN_EXE_supabase-operator").as_ref());
    command
        .arg("connect")
        .args(arguments.split(' '))
        .args(["--port", &port.to_string()])
        .args(["--management-api-endpoint", &stage.platform.endpoint()]);
    command
}

/// A command that waits for consent, what it prints, and the address that it shows.
type Waiting = (Child, BufReader<tokio::process::ChildStdout>, String);

/// The command for `acme`, waiting for consent.
async fn connect(stage: &Stage, port: u16) -> Waiting {
    waiting(command(stage, port)).await
}

/// Starts a command, and reads on until it shows an address.
async fn waiting(mut command: Command) -> Waiting {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let address = async {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(lines.read_line(&mut line).await.unwrap(), 0, "it ended");
            if let Some(address) = line.trim().strip_prefix("http") {
                return format!("http{address}");
            }
        }
    };
    let address = timeout(SOON, address).await.expect("it shows an address");
    (child, lines, address)
}

/// Goes where a browser goes: to the authorize page, through consent, back to the terminal. Gives the last page.
async fn browse(stage: &Stage, address: &str, consent: Consent) -> (u16, String, String) {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(SOON)
        .build()
        .unwrap();
    let sent = client.get(address).send().await.unwrap();
    assert_eq!(sent.status().as_u16(), 303);
    let page = url::Url::parse(sent.headers()["location"].to_str().unwrap()).unwrap();
    let auth_id = page.query_pairs().find(|(name, _)| name == "auth_id").unwrap().1.into_owned();
    let now = stage.platform.now();
    let back = stage.platform.world().consent(&auth_id, consent, now).unwrap().to_string();
    let shown = client.get(&back).send().await.unwrap();
    let status = shown.status().as_u16();
    (status, shown.text().await.unwrap(), back)
}

fn grant(organization: &str) -> Consent {
    Consent::Grant { organization: organization.to_owned(), projects: None }
}

/// Consents to what a waiting command asks for: the connection becomes Ready.
async fn consented(stage: &Stage, (child, lines, address): Waiting) {
    let (status, page, _) = browse(stage, &address, grant(ORGANIZATION)).await;
    assert_eq!(status, 200, "{page}");
    let (worked, said) = ending(child, lines).await;
    assert!(worked && said.contains("acme is Ready"), "{said}");
}

/// All that the command still says, and whether it succeeded.
async fn ending(
    mut child: Child,
    mut lines: BufReader<tokio::process::ChildStdout>,
) -> (bool, String) {
    let mut said = String::new();
    let mut errors = child.stderr.take().unwrap();
    timeout(SOON * 3, async {
        lines.read_to_string(&mut said).await.unwrap();
        errors.read_to_string(&mut said).await.unwrap();
    })
    .await
    .expect("it ends");
    let status = timeout(SOON, child.wait()).await.unwrap().unwrap();
    (status.success(), said)
}

#[tokio::test]
async fn consent_from_a_terminal_makes_a_connection_ready() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    let port = free_port();
    unconnected(&stage, port).await;
    let (child, lines, address) = connect(&stage, port).await;
    let (status, page, back) = browse(&stage, &address, grant(ORGANIZATION)).await;
    assert!(status == 200 && page.contains("Connected"), "{status} {page}");
    let (worked, said) = ending(child, lines).await;
    assert!(worked && said.contains("acme is Ready"), "{said}");
    let canaries = stage.platform.canaries();
    assert_no_leaks(&canaries, &[Text::new("the terminal", said), Text::new("the page", page)]);
    let held = stage.cluster.data(SECRET, "acme-oauth-state").await.unwrap();
    assert!(held.contains_key("refresh_token"));
    let grants = stage.cluster.data(SECRET, "acme-oauth-grants").await;
    let left = format!("{grants:?}");
    assert!(!left.contains("refresh_token"), "the pair is in the token store: {left}");
    assert!(back.contains("state="));
    ready_project(&stage, "orders").await;
    stage.finish(vec![operator]).await;
}

/// The app got other scopes, say: a connection that is Ready takes new tokens from whoever insists.
#[tokio::test]
async fn whoever_insists_consents_again_for_a_connection_that_is_ready() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    let port = free_port();
    unconnected(&stage, port).await;
    let first = connect(&stage, port).await;
    consented(&stage, first).await;
    let refresh = async || {
        let held = stage.cluster.data(SECRET, "acme-oauth-state").await.unwrap();
        held["refresh_token"].clone()
    };
    let before = refresh().await;
    let output = timeout(SOON, command(&stage, port).output()).await.unwrap().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("add --again"), "{said}");
    assert_eq!(refresh().await, before);
    let mut insisting = command(&stage, port);
    insisting.arg("--again");
    let again = waiting(insisting).await;
    consented(&stage, again).await;
    assert_ne!(refresh().await, before, "the new tokens are the ones in use");
    ready_project(&stage, "orders").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_browser_shows_what_became_of_it() {
    let mut stage = Stage::new(Reach::Namespace).await;
    stage.platform.serve_dashboard();
    let operator = stage.operator().await;
    let port = free_port();
    unconnected(&stage, port).await;
    let browser = Browser::start().await;
    for (button, heading, picture) in [
        ("deny", "Not connected", "terminal-denied"),
        ("approve", "Connected", "terminal-connected"),
    ] {
        let (child, lines, address) = connect(&stage, port).await;
        browser.open(&address).await;
        browser.press(&format!("button[value={button}]")).await;
        browser.assert_heading(heading).await;
        browser.inspect(picture).await;
        let (worked, said) = ending(child, lines).await;
        assert_eq!(worked, heading == "Connected", "{said}");
    }
    browser.close().await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_consent_that_is_refused_or_given_for_another_organization_connects_nothing() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    let port = free_port();
    unconnected(&stage, port).await;
    stage.platform.world().add_organization("other", "Other", simulated_platform::Plan::Pro);
    for (consent, says) in [(Consent::Deny, "consent was refused"), (grant("other"), "for acme")] {
        let (child, lines, address) = connect(&stage, port).await;
        let (status, page, _) = browse(&stage, &address, consent).await;
        assert_eq!(status, 400, "{page}");
        assert!(page.to_lowercase().contains(says), "{page}");
        let (worked, said) = ending(child, lines).await;
        assert!(!worked && said.contains(says), "{said}");
    }
    stage
        .cluster
        .wait_condition(CONNECTION, "acme", "Ready", "False/ReauthorizationRequired")
        .await;
    let revoked = stage.platform.calls_since(0).contains_key("POST /v1/oauth/revoke");
    assert!(!revoked, "what belongs to others is left alone");
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn whoever_comes_with_another_state_is_sent_away_and_the_terminal_waits_on() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    let port = free_port();
    unconnected(&stage, port).await;
    let (child, lines, address) = connect(&stage, port).await;
    let stranger = format!("http://127.0.0.1:{port}/callback?code=stolen&state=guessed");
    let client = reqwest::Client::builder().no_proxy().timeout(SOON).build().unwrap();
    let shown = client.get(stranger).send().await.unwrap();
    assert_eq!(shown.status().as_u16(), 400);
    assert_eq!(shown.headers()["cache-control"], "no-store");
    let (status, page, back) = browse(&stage, &address, grant(ORGANIZATION)).await;
    assert_eq!(status, 200, "{page}");
    let (worked, said) = ending(child, lines).await;
    assert!(worked, "{said}");
    // The terminal is gone, and with it everything that could be gone through once more.
    assert!(client.get(back).send().await.is_err());
    stage.finish(vec![operator]).await;
}
