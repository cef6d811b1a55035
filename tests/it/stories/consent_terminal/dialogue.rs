//! What the command says to a person: the questions that it asks in a terminal, and what is missing.

use std::io::Write as _;

use serde_json::json;
use simulated_platform::{App, Config};
use tempfile::NamedTempFile;
use tokio::process::Command;
use tokio::time::timeout;

use super::{
    SOON, app_secret, browse, command, command_of, consented, free_port, grant, registered,
    unconnected, unconnected_with, waiting,
};
use crate::support::cluster::condition;
use crate::support::cluster::kinds::{CLUSTER_CONNECTION, CONNECTION, PROJECT, SECRET};
use crate::support::leaks::{Text, assert_no_leaks};
use crate::support::platform::ORGANIZATION;
use crate::support::samples::project;
use crate::support::stage::{Reach, Stage};
use crate::support::terminal::Terminal;

/// What a command that asks nothing says, and that it failed.
async fn refusal(mut command: Command) -> String {
    command.stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = timeout(SOON, command.output()).await;
    let output = output.expect("it ends at once").unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    said
}

#[tokio::test]
async fn a_person_who_has_nothing_is_led_to_a_connection_that_is_ready() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    let port = free_port();
    let app = registered(&stage, port);
    stage.cluster.delete(SECRET, "supabase-oauth-app").await;
    let mut terminal = Terminal::start(&command(&stage, port));
    terminal.shows("Make one? [y/n]").await;
    terminal.types("y").await;
    terminal.shows("Organization").await;
    terminal.types(ORGANIZATION).await;
    let shown = led_on(&stage, terminal, &app).await;
    for made in ["Secret supabase-oauth-app", "SupabaseConnection acme"] {
        assert!(shown.contains(&format!("The {made} was made.")), "{shown}");
    }
    assert_no_leaks(&stage.platform.canaries(), &[Text::new("the terminal", shown)]);
    let object = stage.cluster.get(CONNECTION, "acme").await.unwrap();
    assert_eq!(object["spec"]["organizationSlug"], ORGANIZATION);
    stage.finish(vec![operator]).await;
}

/// Goes on from the question for the app until the connection is Ready. Gives all that the terminal showed.
async fn led_on(stage: &Stage, mut terminal: Terminal, app: &App) -> String {
    terminal.shows("client_id:").await;
    terminal.types(&app.client_id).await;
    terminal.shows("client_secret (not shown):").await;
    terminal.hides().await;
    terminal.types(&app.client_secret).await;
    terminal.shows("in a browser on this machine:").await;
    terminal.shows("http://").await;
    let address = terminal.shows("\r\n").await;
    let (status, page, _) = browse(stage, &format!("http://{address}"), grant(ORGANIZATION)).await;
    assert_eq!(status, 200, "{page}");
    let (worked, shown) = terminal.ending().await;
    assert!(worked && shown.contains("acme is Ready"), "{shown}");
    assert!(!shown.contains(&app.client_secret), "it was typed unseen");
    shown
}

#[tokio::test]
async fn an_app_that_a_connection_names_and_that_is_not_there_is_asked_for() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    let port = free_port();
    let app = registered(&stage, port);
    let oauth = json!({"appSecretRef": {"name": "not-there-yet"}});
    unconnected_with(&stage, oauth, "SecretNotFound").await;
    let mut terminal = Terminal::start(&command(&stage, port));
    terminal.shows("The Secret not-there-yet of the OAuth app does not exist").await;
    terminal.shows("[y/n]").await;
    terminal.types("yes").await;
    led_on(&stage, terminal, &app).await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_connection_of_the_cluster_is_made_and_brought_back_as_its_status_says() {
    let mut stage = Stage::new(Reach::Cluster).await;
    let operator = stage.operator().await;
    let port = free_port();
    let app = registered(&stage, port);
    let without_browser = |arguments: &str| {
        let mut command = command_of(&stage, arguments, port);
        command.arg("--no-browser");
        command
    };
    let first = format!("acme --cluster --namespace {}", stage.system.namespace);
    let mut terminal = Terminal::start(&without_browser(&first));
    terminal.shows("There is no ClusterSupabaseConnection acme.").await;
    terminal.types("y").await;
    terminal.shows("address):").await;
    terminal.types(ORGANIZATION).await;
    let shown = led_on(&stage, terminal, &app).await;
    assert!(shown.contains("spec.allowedNamespaces"), "{shown}");

    // Somebody removes the app in the dashboard; the first project notices.
    stage.platform.world().revoke_authorization(&app, ORGANIZATION);
    let admitted = json!({"spec": {"allowedNamespaces": {"names": [stage.cluster.namespace]}}});
    stage.cluster.merge(CLUSTER_CONNECTION, "acme", admitted).await;
    let lent = project("orders").of_cluster_connection("acme");
    stage.cluster.apply(lent).await;
    let dead = "False/ReauthorizationRequired";
    let object = stage.cluster.wait_condition(CLUSTER_CONNECTION, "acme", "Ready", dead).await;
    let message = condition(&object, "Ready").unwrap()["message"].clone();
    let message = message.as_str().unwrap();
    let named = message
        .split("'supabase-operator connect ")
        .nth(1)
        .and_then(|rest| rest.split('\'').next());
    let named = named.unwrap_or_else(|| panic!("no command: {message}"));
    consented(&stage, waiting(without_browser(named)).await).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn nothing_is_made_without_a_yes_or_for_what_is_no_organization() {
    let stage = Stage::new(Reach::Namespace).await;
    let port = free_port();
    // The platform's own app, in the way of nobody here.
    stage.cluster.delete(SECRET, "supabase-oauth-app").await;
    for (answers, says) in [
        (&["n"][..], "nothing was made"),
        (&["y", "No Organization!"], "no organization slug"),
        (&["y", ""], "an answer is needed"),
        (&["y", ORGANIZATION, ""], "an answer is needed"),
        (&["y", ORGANIZATION, "two words"], "that is no client_id"),
        (&["y", ORGANIZATION, "with:colon"], "that is no client_id"),
        (&["y", ORGANIZATION, "client", ""], "that is no client_secret"),
    ] {
        let mut terminal = Terminal::start(&command(&stage, port));
        let questions = ["[y/n] ", "address): ", "client_id: ", "client_secret (not shown): "];
        for (question, answer) in questions.iter().zip(answers) {
            terminal.shows(question).await;
            terminal.types(answer).await;
        }
        let (worked, shown) = terminal.ending().await;
        assert!(!worked && shown.contains(says), "{answers:?}: {shown}");
        assert!(stage.cluster.get(CONNECTION, "acme").await.is_none());
        let made = stage.cluster.get(SECRET, "supabase-oauth-app").await;
        assert!(made.is_none(), "{answers:?}");
    }
    let mut elsewhere = command(&stage, port);
    elsewhere.args(["--context", "elsewhere"]);
    let said = refusal(elsewhere).await;
    assert!(said.contains("no usable context elsewhere"), "{said}");
    let said = refusal(command(&stage, port)).await;
    assert!(said.contains("apply one first"), "{said}");
    assert!(said.contains("in a terminal"), "{said}");
}

#[tokio::test]
async fn the_operators_app_serves_whoever_may_read_it() {
    let values = json!({
        "consent": {"enabled": true, "url": "https://connect.example"},
        "oauthApp": {"secretName": "operators-app"},
    });
    let mut stage = Stage::with(Reach::Namespace, Config::fast(), &values).await;
    let port = free_port();
    let app = registered(&stage, port);
    stage.system.apply(app_secret("operators-app", &app)).await;
    let operator = stage.operator().await;
    let own = format!("{}/operators-app", stage.system.namespace);
    let with_app = |secret: &str| {
        let mut command = command(&stage, port);
        command.args(["--app-secret", secret]);
        command
    };

    // What has an app of its own is not connected with another one.
    let tenants = json!({"appSecretRef": {"name": "tenants-app"}});
    let message = unconnected_with(&stage, tenants, "SecretNotFound").await;
    assert!(message.contains("tenants-app"), "{message}");
    let said = refusal(with_app(&own)).await;
    assert!(said.contains("leave --app-secret out"), "{said}");
    let said = refusal(command(&stage, port)).await;
    assert!(said.contains("tenants-app") && said.contains("does not exist"), "{said}");

    // Not an empty object: server-side apply takes that away with the last field that was in it.
    let operators = json!({"revokeOnDelete": false});
    let message = unconnected_with(&stage, operators, "ReauthorizationRequired").await;
    assert!(message.contains(&format!("--app-secret {own}")), "{message}");
    let object = stage.cluster.get(CONNECTION, "acme").await.unwrap();
    let url = object["status"]["consentURL"].as_str().unwrap();
    let said = refusal(command(&stage, port)).await;
    assert!(said.contains(url) && said.contains("--app-secret"), "{said}");

    let said = refusal(with_app("operators-app")).await;
    assert!(said.contains("<namespace>/<name>"), "{said}");

    consented(&stage, waiting(with_app(&own)).await).await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_missing_right_is_named_before_the_browser_opens() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    let port = free_port();
    unconnected(&stage, port).await;
    let person = format!("person-{port}");
    let file = kubeconfig_of(&stage, &person);
    let context = stage.plane.kubeconfig().current_context.unwrap();
    let as_person = || {
        let mut command = command(&stage, port);
        command.env("KUBECONFIG", file.path());
        command.args(["--context", &context]);
        command
    };
    let mut rules = Vec::new();
    let connections = |verbs: &[&str]| json!({"apiGroups": ["supabase-operator.dev"], "resources": ["supabaseconnections"], "verbs": verbs});
    let secrets =
        |verbs: &[&str]| json!({"apiGroups": [""], "resources": ["secrets"], "verbs": verbs});
    for (missing, then) in [
        ("get supabaseconnections", connections(&["get"])),
        ("get secrets", secrets(&["get"])),
        ("create the Secret acme-oauth-grants", secrets(&["create"])),
        ("update the Secret acme-oauth-grants", secrets(&["update"])),
    ] {
        let said = refusal(as_person()).await;
        let named =
            format!("your user may not {missing} in the namespace {}", stage.cluster.namespace);
        assert!(said.contains(&named), "{missing}: {said}");
        rules.push(then);
        permit(&stage, &person, &json!(rules)).await;
    }
    assert!(!stage.platform.calls_since(0).contains_key("GET /v1/oauth/authorize"));
    // Nothing more is needed: without the right to patch, the operator looks by itself.
    consented(&stage, waiting(as_person()).await).await;
    stage.finish(vec![operator]).await;
}

/// The administrator's kubeconfig, acting for somebody.
fn kubeconfig_of(stage: &Stage, person: &str) -> NamedTempFile {
    let mut kubeconfig = serde_json::to_value(stage.plane.kubeconfig()).unwrap();
    for user in kubeconfig["users"].as_array_mut().unwrap() {
        user["user"]["as"] = json!(person);
    }
    let mut file = NamedTempFile::new().unwrap();
    write!(file, "{kubeconfig}").unwrap();
    file
}

/// Lets somebody do this in the story's namespace.
async fn permit(stage: &Stage, person: &str, rules: &serde_json::Value) {
    const RBAC: &str = "rbac.authorization.k8s.io/v1";
    let metadata = json!({"name": person});
    let role = json!({"apiVersion": RBAC, "kind": "Role", "metadata": metadata, "rules": rules});
    let binding = json!({
        "apiVersion": RBAC, "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": person},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": person}],
    });
    stage.cluster.apply(role).await;
    stage.cluster.apply(binding).await;
}
