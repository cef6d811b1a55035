//! Consent in a browser: Chromium over TLS, two replicas behind the chart's Ingress, the simulated consent page in between.

mod scene;

use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::cluster::SOON;
use crate::support::cluster::kinds::{CLUSTER_CONNECTION, PROJECT, SECRET};
use crate::support::platform::ORGANIZATION;
use crate::support::samples::project;
use crate::support::stage::Reach;
use scene::{APPROVE, CONNECT, DENY, Scene, ended, state_of};

#[tokio::test]
async fn consent_in_a_browser_connects_whichever_replica_serves_it() {
    let mut scene = Scene::new(Reach::Namespace).await;
    let url = scene.connection(json!({"appSecretRef": {"name": "tenants-app"}})).await;
    scene.cluster().apply(project("orders")).await;
    let browser = Browser::start().await;

    // Looking changes nothing, however often: previews of links do no more.
    let before = scene.cluster().list(SECRET).await.len();
    browser.open(&url).await;
    browser.open(&url).await;
    browser.assert_heading("Connect Supabase").await;
    let text = browser.text().await;
    let connection = format!("{}/acme", scene.cluster().namespace);
    for told in ["staging (eu-1)", connection.as_str(), ORGANIZATION, "may end the access"] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(browser.cookies().await.is_empty());
    assert_eq!(scene.cluster().list(SECRET).await.len(), before);
    browser.inspect("connect").await;
    scene.keep(&browser, "connect").await;

    browser.press(CONNECT).await;
    let chosen =
        browser.evaluate("return document.querySelector('select').value", Vec::new()).await;
    assert_eq!(chosen, ORGANIZATION, "preselected");
    browser.press(APPROVE).await;
    browser.assert_heading("Connected").await;
    let text = browser.text().await;
    assert!(text.contains(ORGANIZATION) && text.contains(&connection), "{text}");
    browser.inspect("connected").await;
    scene.keep(&browser, "connected").await;
    assert!(browser.cookies().await.is_empty(), "its work is done");

    scene.becomes_ready().await;
    scene.cluster().wait_condition(PROJECT, "orders", "Ready", "True").await;
    scene.cluster().wait_events("acme", "Authorized", 1).await;
    let counted = scene.operators[1].metrics().await;
    assert!(counted.contains(r#"consent_flows_total{outcome="connected"} 1"#), "{counted}");
    let age = scene.operators[0].metrics().await;
    assert!(age.contains("token_expiry_timestamp_seconds{"), "{age}");

    let unknown = format!("{}/connect/unknown", scene.front.url());
    browser.open(&unknown).await;
    browser.assert_heading("Not found").await;
    browser.inspect("not-found").await;

    // Nothing is left to be done there.
    browser.open(&url).await;
    browser.assert_heading("Already connected").await;
    browser.inspect("already-connected").await;
    browser.close().await;
    scene.finish().await;
}

#[tokio::test]
async fn a_browser_that_comes_back_with_anything_else_connects_nothing() {
    let mut scene = Scene::new(Reach::Namespace).await;
    let url = scene.plain_connection().await;
    let (browser, stranger) = tokio::join!(Browser::start(), Browser::start());

    // Refused.
    scene.consents(&browser, &url, DENY).await;
    browser.assert_heading("Access was not given").await;
    browser.inspect("denied").await;
    scene.keep(&browser, "denied").await;
    assert_eq!(scene.exchanges(), 0);

    // Given for another organization; the way to try again leads to the page.
    browser.press("a.action").await;
    browser.press(CONNECT).await;
    browser.choose("select", "other").await;
    browser.press(APPROVE).await;
    browser.assert_heading("Another organization").await;
    let text = browser.text().await;
    assert!(text.contains("other") && text.contains(ORGANIZATION), "{text}");
    browser.inspect("another-organization").await;
    scene.keep(&browser, "another organization").await;
    assert_eq!(scene.exchanges(), 1);
    scene.stays_unconnected().await;

    // Begun here, brought back by a stranger, changed on its way, and too late: no code is exchanged.
    browser.open(&url).await;
    browser.press(CONNECT).await;
    let page = browser.address().await;
    stranger.open(&page).await;
    stranger.press(APPROVE).await;
    let text = stranger.text().await;
    assert!(text.contains("begun in another browser"), "{text}");
    stranger.inspect("other-browser").await;
    scene.keep(&stranger, "other browser").await;
    let genuine = scene.last_callback();
    let state = state_of(&genuine);
    let mut changed = state.clone();
    let last = if changed.pop() == Some('A') { 'B' } else { 'A' };
    changed.insert(changed.len() - 20, last);
    browser.open(&genuine.replace(&state, &changed)).await;
    assert!(browser.text().await.contains("changed on its way"));
    browser.inspect("tampered").await;
    let late = ended(&state, &scene.sealing_keys().await);
    browser.open(&genuine.replace(&state, &late)).await;
    browser.assert_heading("Too late").await;
    browser.inspect("expired").await;
    scene.keep(&browser, "expired").await;
    assert_eq!(scene.exchanges(), 1);
    scene.stays_unconnected().await;

    // The browser that began it may still end it, once.
    scene.consents(&browser, &url, APPROVE).await;
    browser.assert_heading("Connected").await;
    let exchanges = scene.exchanges();
    let cookie_is_gone = scene.last_callback();
    browser.open(&cookie_is_gone).await;
    assert_ne!(browser.heading().await, "Connected");
    assert_eq!(scene.exchanges(), exchanges, "a code is exchanged once");
    scene.becomes_ready().await;
    tokio::join!(browser.close(), stranger.close());
    scene.finish().await;
}

#[tokio::test]
async fn what_was_consented_to_while_nobody_leads_is_taken_over_by_the_next_leader() {
    let mut scene = Scene::new(Reach::Namespace).await;
    let url = scene.plain_connection().await;
    let browser = Browser::start().await;
    browser.open(&url).await;
    browser.press(CONNECT).await;
    // The leader dies with the flow under way; the other replica redeems the code long before it leads.
    scene.operators.remove(0).kill().await;
    browser.press(APPROVE).await;
    browser.assert_heading("Connected").await;
    scene.keep(&browser, "connected").await;
    let grants = scene.cluster().data(SECRET, "acme-oauth-grants").await.unwrap();
    assert!(
        grants.values().any(|entry| entry.contains("refresh_token")),
        "it waits in the grants Secret"
    );
    scene.becomes_ready().await;
    let grants = scene.cluster().data(SECRET, "acme-oauth-grants").await;
    assert!(!format!("{grants:?}").contains("refresh_token"), "{grants:?}");
    browser.close().await;
    scene.finish().await;
}

#[tokio::test]
async fn people_are_sent_on_to_addresses_that_are_allowed_and_to_no_other() {
    let mut scene = Scene::new(Reach::Namespace).await;
    let url = scene.plain_connection().await;
    let browser = Browser::start().await;
    for refused in ["https://evil.example/", "//evil.example/", "javascript:alert(1)"] {
        let mut address = url::Url::parse(&url).unwrap();
        address.query_pairs_mut().append_pair("return_to", refused);
        browser.open(address.as_str()).await;
        let source = browser.source().await;
        assert!(!source.contains("evil") && !source.contains("alert"), "{source}");
    }
    // Given to the form by somebody's hand, it is refused all the same, and the person stays here.
    let plant = "const field = document.createElement('input'); field.name = 'return_to'; \
                 field.value = 'https://evil.example/'; document.querySelector('form').append(field)";
    browser.evaluate(plant, Vec::new()).await;
    browser.press(CONNECT).await;
    browser.press(DENY).await;
    assert!(browser.address().await.starts_with(&scene.front.url()));
    let again = browser.source().await;
    assert!(!again.contains("evil"), "{again}");

    let allowed = format!("{}/portal/team?from=consent", scene.front.url());
    let mut address = url::Url::parse(&url).unwrap();
    address.query_pairs_mut().append_pair("return_to", &allowed);
    browser.open(address.as_str()).await;
    assert!(browser.text().await.contains(&allowed));
    browser.inspect("connect-and-return").await;
    scene.keep(&browser, "connect and return").await;
    browser.press_by_keyboard(CONNECT).await;
    browser.press(APPROVE).await;
    assert_eq!(browser.address().await, allowed);
    scene.becomes_ready().await;
    browser.close().await;
    scene.finish().await;
}

#[tokio::test]
async fn a_connection_of_the_cluster_is_consented_to_as_well() {
    let mut scene = Scene::new(Reach::Cluster).await;
    let url = scene.connection(json!({"appSecretRef": {"name": "tenants-app"}})).await;
    let lent = project("orders").of_cluster_connection("acme");
    scene.cluster().apply(lent).await;
    let browser = Browser::start().await;
    browser.open(&url).await;
    let text = browser.text().await;
    assert!(text.contains("Cluster connection"), "{text}");
    assert!(text.contains("a namespace that the connection admits"), "{text}");
    browser.inspect("connect-cluster").await;
    scene.keep(&browser, "connect cluster").await;
    scene.consents(&browser, &url, APPROVE).await;
    browser.assert_heading("Connected").await;
    scene.becomes_ready().await;
    scene.cluster().wait_condition(PROJECT, "orders", "Ready", "True").await;
    // What it declares for its Secrets reaches the one that it has by now.
    let template = json!({"spec": {"secretTemplate": {"labels": {"team": "db"}}}});
    scene.cluster().merge(CLUSTER_CONNECTION, "acme", template).await;
    let labelled = |object: &Value| (object["metadata"]["labels"]["team"] == "db").then_some(());
    let state = "acme-oauth-cluster-state";
    scene.stage.system.wait_for(SECRET, state, "the label", SOON, labelled).await;
    browser.close().await;
    scene.finish().await;
}
