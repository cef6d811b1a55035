//! What strangers send to the consent pages, without a browser that would keep them from it.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use serde_json::json;
use simulated_platform::{ALL_SCOPES, Config, Consent, Fault, FaultKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::audit::{Grant, not_used, requests};
use crate::support::cluster::kinds::{CONNECTION, SECRET};
use crate::support::eventually::eventually;
use crate::support::operator::Operator;
use crate::support::platform::ORGANIZATION;
use crate::support::samples::{oauth_connection, secret};
use crate::support::stage::{Reach, Stage};

const SOON: Duration = Duration::from_secs(30);
/// TLS is the front's; the pages believe what they are told of their address.
const EXTERNAL: &str = "https://connect.example";

struct Scene {
    stage: Stage,
    operator: Operator,
    client: Client,
    /// The page's path.
    path: String,
}

impl Scene {
    async fn new() -> Self {
        let values = json!({
            "consent": {"enabled": true, "url": EXTERNAL},
            "oauthApp": {"secretName": "operators-app"},
        });
        let mut stage = Stage::with(Reach::Namespace, Config::fast(), &values).await;
        let callback = format!("{EXTERNAL}/callback");
        let app = stage.platform.world().register_app(&[&callback], ALL_SCOPES);
        let entries =
            [("client_id", app.client_id.as_str()), ("client_secret", app.client_secret.as_str())];
        stage.system.apply(secret("operators-app", &entries)).await;
        let operator = stage.operator().await;
        let connection = oauth_connection("acme")
            .with("auth/oauth", json!({}))
            .with("organizationSlug", ORGANIZATION);
        stage.cluster.apply(connection).await;
        let told = stage
            .cluster
            .wait_condition(CONNECTION, "acme", "Ready", "False/ReauthorizationRequired")
            .await;
        let url = told["status"]["consentURL"].as_str().unwrap();
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(SOON)
            // Connections that wait for their next request give way to others: none is kept.
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        Self { path: url.strip_prefix(EXTERNAL).unwrap().to_owned(), stage, operator, client }
    }

    fn address(&self, path: &str) -> String {
        format!("http://{}{path}", self.operator.consent())
    }

    async fn get(&self, path: &str) -> Response {
        self.client.get(self.address(path)).send().await.unwrap()
    }

    async fn press(&self, headers: &[(&str, &str)]) -> Response {
        let mut request = self.client.post(self.address(&self.path)).body("");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request = request.header("content-type", "application/x-www-form-urlencoded");
        request.send().await.unwrap()
    }

    /// Goes through consent as a person does: the callback that comes back, and the cookie.
    async fn consented(&self) -> (String, String) {
        let sent = self.press(&[("sec-fetch-site", "same-origin")]).await;
        assert_eq!(sent.status(), StatusCode::SEE_OTHER);
        let cookie = sent.headers()["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let authorize = sent.headers()["location"].to_str().unwrap().to_owned();
        let page = self.client.get(authorize).send().await.unwrap();
        let page = url::Url::parse(page.headers()["location"].to_str().unwrap()).unwrap();
        let mut pairs = page.query_pairs();
        let id = pairs.find(|(name, _)| name == "auth_id").unwrap().1.into_owned();
        let grant = Consent::Grant { organization: ORGANIZATION.to_owned(), projects: None };
        let now = self.stage.platform.now();
        let back = self.stage.platform.world().consent(&id, grant, now).unwrap();
        let back = back.to_string();
        (back.strip_prefix(EXTERNAL).unwrap().to_owned(), cookie)
    }

    async fn come_back(&self, path: &str, cookie: &str) -> (StatusCode, String) {
        let request = self.client.get(self.address(path)).header("cookie", cookie);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    fn exchanges(&self) -> usize {
        let calls = self.stage.platform.calls_since(0);
        calls.get("POST /v1/oauth/token").copied().unwrap_or(0)
    }

    async fn finish(self) {
        self.stage.finish(vec![self.operator]).await;
    }
}

#[tokio::test]
async fn looking_changes_nothing_and_every_answer_is_protected() {
    let scene = Scene::new().await;
    let before = scene.stage.cluster.list(SECRET).await.len();
    for path in [scene.path.as_str(), "/callback", "/connect/unknown", "/", "/metrics"] {
        let answer = scene.get(path).await;
        let headers = answer.headers().clone();
        for (name, part) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("content-security-policy", "default-src 'none'"),
            ("content-security-policy", "frame-ancestors 'none'"),
        ] {
            let value = headers[name].to_str().unwrap();
            assert!(value.contains(part), "{path}: {name}: {value}");
        }
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert!(!headers.contains_key("set-cookie"), "{path}");
    }
    assert_eq!(scene.get("/metrics").await.status(), StatusCode::NOT_FOUND);
    let head = scene.client.head(scene.address(&scene.path)).send().await.unwrap();
    assert!(head.status().is_success());
    assert_eq!(scene.stage.cluster.list(SECRET).await.len(), before);
    scene.finish().await;
}

#[tokio::test]
async fn a_form_on_another_page_begins_nothing() {
    let scene = Scene::new().await;
    for headers in [
        &[][..],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site"), ("origin", EXTERNAL)],
    ] {
        let answer = scene.press(headers).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{headers:?}");
        assert!(!answer.headers().contains_key("set-cookie"));
    }
    let begun = scene.press(&[("origin", EXTERNAL)]).await;
    assert_eq!(begun.status(), StatusCode::SEE_OTHER);
    scene.finish().await;
}

#[tokio::test]
async fn a_code_is_exchanged_once_whatever_is_kept_of_it() {
    let scene = Scene::new().await;
    let (back, cookie) = scene.consented().await;
    let (status, page) = scene.come_back(&back, &cookie).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    for _ in 0..3 {
        let (status, page) = scene.come_back(&back, &cookie).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(page.contains("Used before"), "{page}");
    }
    assert_eq!(scene.exchanges(), 1);
    scene.finish().await;
}

#[tokio::test]
async fn a_strangers_code_or_state_or_issuer_is_refused_before_any_exchange() {
    let scene = Scene::new().await;
    let (mine, my_cookie) = scene.consented().await;
    let (strangers, strangers_cookie) = scene.consented().await;
    // The stranger's state and code in my browser, and my state with the stranger's cookie under my cookie's name.
    let (_, planted) = strangers_cookie.split_once('=').unwrap();
    let (name, _) = my_cookie.split_once('=').unwrap();
    let planted = format!("{name}={planted}");
    for (path, cookie) in [
        (strangers.as_str(), my_cookie.as_str()),
        (mine.as_str(), strangers_cookie.as_str()),
        (mine.as_str(), planted.as_str()),
        (mine.as_str(), ""),
    ] {
        let (status, page) = scene.come_back(path, cookie).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{page}");
        assert!(page.contains("another browser"), "{page}");
    }
    // Another authorization server's answer.
    let mixed = format!("{mine}&iss=https%3A%2F%2Fevil.example");
    let (status, page) = scene.come_back(&mixed, &my_cookie).await;
    assert!(status == StatusCode::BAD_REQUEST && page.contains("authorization server"), "{page}");
    assert_eq!(scene.exchanges(), 0);
    // The stranger's code with my state: the platform holds it to the stranger's verifier.
    let code = |path: &str| {
        let rest = path.split("code=").nth(1).unwrap();
        rest.split('&').next().unwrap().to_owned()
    };
    let injected = mine.replace(&code(&mine), &code(&strangers));
    let (status, page) = scene.come_back(&injected, &my_cookie).await;
    assert!(status == StatusCode::BAD_REQUEST && page.contains("does not accept"), "{page}");
    let object = scene.stage.cluster.get(CONNECTION, "acme").await.unwrap();
    assert!(object["status"]["consentURL"].is_string(), "nothing is connected");
    scene.finish().await;
}

#[tokio::test]
async fn nothing_of_a_query_is_echoed_and_no_line_gets_into_a_header() {
    let scene = Scene::new().await;
    let (mine, cookie) = scene.consented().await;
    let state = mine.split("state=").nth(1).unwrap().split('&').next().unwrap();
    for query in [
        format!(
            "state={state}&error=%3Cscript%3Ealert(1)%3C%2Fscript%3E&error_description=%3Cimg%20src%3Dx%3E"
        ),
        "state=%3Cscript%3E&error=access_denied".to_owned(),
        "error=access_denied%0D%0Aset-cookie%3A%20a%3Db".to_owned(),
        "state=a&state=b&code=c&code=d".to_owned(),
        format!("state={}", "A".repeat(9000)),
        "%ff%fe=%00".to_owned(),
    ] {
        let request = scene
            .client
            .get(scene.address(&format!("/callback?{query}")))
            .header("cookie", &cookie);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_client_error(), "{query}: {}", answer.status());
        let cookies: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
        assert!(
            cookies.iter().all(|cookie| cookie.to_str().unwrap().starts_with("__Host-")),
            "{cookies:?}"
        );
        let page = answer.text().await.unwrap();
        assert!(
            !page.contains("<script") && !page.contains("<img") && !page.contains("alert"),
            "{page}"
        );
    }
    let lines = "/connect/x%0d%0aset-cookie:a=b?return_to=https%3A%2F%2Fconnect.example%0d%0ax";
    let answer = scene.get(lines).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert!(!answer.headers().contains_key("set-cookie"));
    scene.finish().await;
}

#[tokio::test]
async fn neither_a_browser_that_goes_away_nor_the_end_of_the_process_cuts_an_exchange_short() {
    const EXCHANGE: &str = "/v1/oauth/token";
    let mut scene = Scene::new().await;
    let (back, cookie) = scene.consented().await;
    let slow = FaultKind::Delay(Duration::from_secs(3));
    let fault = Fault::on("POST", EXCHANGE, slow);
    scene.stage.platform.world().script(fault);
    let request = scene.client.get(scene.address(&back));
    let browser = tokio::spawn(request.header("cookie", &cookie).send());
    eventually("the exchange", SOON, async || {
        (scene.exchanges() == 1).then_some(()).ok_or("not begun")
    })
    .await;
    browser.abort();
    assert!(browser.await.unwrap_err().is_cancelled(), "it was waiting");
    let second = scene.stage.launch("second", &[]);
    let first = std::mem::replace(&mut scene.operator, second);
    assert!(first.terminate(SOON).await.success());
    let grants = scene.stage.cluster.data(SECRET, "acme-oauth-grants").await;
    let kept = grants.unwrap_or_default();
    assert!(
        kept.values().any(|entry| entry.contains("refresh_token")),
        "what was exchanged is stored before the process ends: {:?}",
        kept.keys()
    );
    scene.operator.ready().await;
    scene.stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
    assert_eq!(scene.exchanges(), 1);
    scene.finish().await;
}

#[tokio::test]
async fn sealing_keys_are_renewed_under_a_flow_that_is_under_way() {
    const KEYS: &str = "supabase-operator-consent-keys";
    let mut scene = Scene::new().await;
    let (back, cookie) = scene.consented().await;
    // The key grows two days old, and a new process finds it so.
    let object = scene.stage.system.get(SECRET, KEYS).await.unwrap();
    let (name, key) = object["data"].as_object().unwrap().iter().next().unwrap();
    let made: i64 = name.strip_prefix("flow-").unwrap().parse().unwrap();
    let old = format!("flow-{}", made - 2 * 86_400);
    let (back, cookie) = {
        // What is sealed bears the key's name: here it is called by its older one.
        let rename = |text: &str| text.replace(name.as_str(), &old);
        (rename(&back), rename(&cookie))
    };
    let change = json!({"data": {name.as_str(): null, old.as_str(): key}});
    scene.stage.system.merge(SECRET, KEYS, change).await;
    let second = scene.stage.operator().await;
    std::mem::replace(&mut scene.operator, second).kill().await;

    let begun = scene.press(&[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(begun.status(), StatusCode::SEE_OTHER);
    let location = begun.headers()["location"].to_str().unwrap().to_owned();
    assert!(!location.contains(&old), "a new key seals: {location}");
    let object = scene.stage.system.get(SECRET, KEYS).await.unwrap();
    assert_eq!(object["data"].as_object().unwrap().len(), 2);
    let (status, page) = scene.come_back(&back, &cookie).await;
    assert_eq!(status, StatusCode::OK, "the old one still opens: {page}");
    if !scene.stage.plane.is_existing() {
        // The one right that the pages need besides is used.
        let log = scene.stage.plane.audit_log();
        let asked = requests(&log, &scene.stage.release.user());
        let unused = not_used(&scene.stage.release.grants(&scene.stage.system).await, &asked);
        let of_the_keys = |grant: &Grant| grant.names.iter().any(|name| name == KEYS);
        assert!(!unused.iter().any(of_the_keys), "{unused:#?}");
    }
    scene.finish().await;
}

#[tokio::test]
async fn requests_that_are_too_long_too_slow_or_too_many_get_nowhere() {
    let scene = Scene::new().await;
    let long = format!("/callback?state={}", "A".repeat(64 * 1024));
    // Cut off or refused, as the client's luck has it.
    if let Ok(answer) = scene.client.get(scene.address(&long)).send().await {
        assert!(answer.status().is_client_error(), "{}", answer.status());
    }
    let form = format!("return_to={}", "a".repeat(64 * 1024));
    let request = scene
        .client
        .post(scene.address(&scene.path))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "same-origin")
        .body(form);
    if let Ok(answer) = request.send().await {
        // What cannot be read is left out: the flow begins without it.
        assert!(answer.status() == StatusCode::SEE_OTHER || answer.status().is_client_error());
    }
    let mut slow = TcpStream::connect(scene.operator.consent()).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    let mut heard = Vec::new();
    let cut = tokio::time::timeout(SOON, slow.read_to_end(&mut heard));
    // Reset or closed: either way it is over.
    let _ = cut.await.expect("slow clients are cut off");
    let hurry = (0..300).map(|_| scene.client.get(scene.address(&scene.path)).send());
    let answers = futures::future::join_all(hurry).await;
    // Whoever of so many has connected and not asked yet gives way to others, on a busy machine.
    let held =
        answers.iter().flatten().filter(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS);
    assert!(held.count() > 50);
    // Whoever comes next is answered.
    let next = scene.get(&scene.path).await.status();
    assert!([StatusCode::OK, StatusCode::TOO_MANY_REQUESTS].contains(&next), "{next}");
    scene.finish().await;
}
