//! A walk past every endpoint, and one off the paths that the document knows.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use simulated_platform::{ALL_SCOPES, App, Limiter, Pat, Permissions};

use crate::stage::{Stage, order};

type Step = (&'static str, String, Option<Value>);

fn project(rest: &str) -> String {
    format!("/v1/projects/REF{rest}")
}

/// Every endpoint with a good request, in an order that lets each of them succeed.
fn tour() -> Vec<Step> {
    [organizations_and_projects(), keys(), database(), settings(), lifecycle()].concat()
}

fn organizations_and_projects() -> Vec<Step> {
    let get = |path: &str| ("GET", path.to_owned(), None);
    vec![
        get("/v1/profile"),
        get("/v1/organizations"),
        ("POST", "/v1/organizations".to_owned(), Some(json!({ "name": "New" }))),
        get("/v1/organizations/acme"),
        get("/v1/organizations/acme/entitlements"),
        get("/v1/organizations/acme/members"),
        ("POST", "/v1/projects".to_owned(), Some(order("free", "tour"))),
        get("/v1/projects"),
        get("/v1/organizations/free/projects?limit=5&sort=created_desc"),
        get("/v1/projects/available-regions?organization_slug=acme"),
        get(&project("")),
        ("PATCH", project(""), Some(json!({ "name": "toured" }))),
        get(&project("/health?services=auth&services=db&timeout_ms=2000")),
        get(&project("/branches")),
    ]
}

fn keys() -> Vec<Step> {
    let key = json!({ "type": "secret", "name": "backend", "description": "for tests" });
    vec![
        ("GET", project("/api-keys?reveal=true"), None),
        ("POST", project("/api-keys?reveal=true"), Some(key)),
        ("GET", project("/api-keys/KEY?reveal=false"), None),
        ("PATCH", project("/api-keys/KEY"), Some(json!({ "name": "renamed" }))),
        ("DELETE", project("/api-keys/KEY"), None),
        ("GET", project("/api-keys/legacy"), None),
        ("PUT", project("/api-keys/legacy?enabled=false"), None),
    ]
}

fn database() -> Vec<Step> {
    let overrides = json!({ "max_connections": 90, "statement_timeout": "60s" });
    vec![
        ("GET", project("/config/database/pooler"), None),
        ("PATCH", project("/config/database/pooler"), Some(json!({ "default_pool_size": 20 }))),
        ("PATCH", project("/database/password"), Some(json!({ "password": "new-password" }))),
        ("GET", project("/config/database/postgres"), None),
        ("PUT", project("/config/database/postgres"), Some(overrides)),
        ("PATCH", project("/config/database/postgres"), Some(json!({ "work_mem": "8MB" }))),
        ("GET", project("/config/database/postgres"), None),
    ]
}

fn settings() -> Vec<Step> {
    let enforced = json!({ "requestedConfig": { "database": true } });
    let closed = json!({ "dbAllowedCidrs": ["203.0.113.0/24"], "dbAllowedCidrsV6": [] });
    let added = json!({ "add": { "dbAllowedCidrs": ["198.51.100.0/24"] } });
    vec![
        ("GET", project("/config/auth"), None),
        ("PATCH", project("/config/auth"), Some(json!({ "site_url": "https://shop.example" }))),
        ("GET", project("/ssl-enforcement"), None),
        ("PUT", project("/ssl-enforcement"), Some(enforced)),
        ("GET", project("/network-restrictions"), None),
        ("POST", project("/network-restrictions/apply"), Some(closed)),
        ("PATCH", project("/network-restrictions"), Some(added)),
        ("GET", project("/network-restrictions"), None),
        ("GET", project("/postgrest"), None),
        ("PATCH", project("/postgrest"), Some(json!({ "max_rows": 500 }))),
        ("GET", project("/billing/addons"), None),
        ("GET", project("/config/storage"), None),
        ("PATCH", project("/config/storage"), Some(json!({ "fileSizeLimit": 1000 }))),
        ("GET", project("/config/realtime"), None),
        ("PATCH", project("/config/realtime"), Some(json!({ "private_only": true }))),
        ("GET", "/v2/projects/REF/config".to_owned(), None),
    ]
}

fn lifecycle() -> Vec<Step> {
    let poke = |rest: &str| ("POST", project(rest), None);
    vec![
        poke("/restart"),
        poke("/pause"),
        ("GET", project("/restore"), None),
        poke("/restore"),
        poke("/restore/cancel"),
        ("DELETE", project(""), None),
    ]
}

/// Walks the tour, and OAuth's endpoints after it.
pub fn walk(stage: &mut Stage) {
    let (mut reference, mut key) = (String::new(), String::new());
    for (method, path, body) in tour() {
        let path = path.replace("REF", &reference).replace("KEY", &key);
        let seen = stage.ask(method, &path, body);
        assert!((200..300).contains(&seen.status), "{method} {path}: {seen:?}");
        if method == "POST" && path == "/v1/projects" {
            seen.body["ref"].as_str().unwrap().clone_into(&mut reference);
        }
        if method == "POST" && path.contains("/api-keys") {
            seen.body["id"].as_str().unwrap().clone_into(&mut key);
        }
    }
    walk_addons(stage);
    walk_oauth(stage);
}

/// What only a paid project has.
fn walk_addons(stage: &mut Stage) {
    let reference = stage.create("paid-tour");
    let path = format!("/v1/projects/{reference}/billing/addons");
    let chosen = json!({ "addon_type": "ipv4", "addon_variant": "ipv4_default" });
    assert_eq!(stage.patch(&path, chosen).status, 200);
    assert_eq!(stage.delete(&format!("{path}/ipv4_default")).status, 200);
}

fn walk_oauth(stage: &mut Stage) {
    let app = stage.world.register_app(&["http://127.0.0.1:8/callback"], ALL_SCOPES);
    let pair = stage.world.authorize(&app, "acme", stage.now).unwrap();
    let authorize = format!(
        "/v1/oauth/authorize?client_id={}&response_type=code&state=s&redirect_uri={}",
        app.client_id, "http%3A%2F%2F127.0.0.1%3A8%2Fcallback"
    );
    let form = format!(
        "grant_type=refresh_token&refresh_token={}&client_id={}&client_secret={}",
        pair.refresh_token, app.client_id, app.client_secret
    );
    let authorize = Request::get(authorize).body(Bytes::new()).unwrap();
    let token = Request::post("/v1/oauth/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Bytes::from(form))
        .unwrap();
    let sent = stage.send(&authorize).status;
    let issued = stage.send(&token);
    assert_eq!((sent, issued.status), (303, 201));
    let revoke = json!({ "client_id": app.client_id, "client_secret": app.client_secret,
        "refresh_token": issued.body["refresh_token"] });
    let revoke = Request::post("/v1/oauth/revoke")
        .header("content-type", "application/json")
        .body(Bytes::from(revoke.to_string()))
        .unwrap();
    assert_eq!(stage.send(&revoke).status, 204);
}

/// Good and bad requests whose answers the document does not know.
pub fn stray(stage: &mut Stage) {
    let app = stage.world.register_app(&[], ALL_SCOPES);
    let token = |id: &str, secret: &str| {
        let form = format!(
            "grant_type=refresh_token&refresh_token=used&client_id={id}&client_secret={secret}"
        );
        Request::post("/v1/oauth/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(form))
            .unwrap()
    };
    assert_eq!(stage.send(&token("nobody", "x")).status, 422);
    assert_eq!(stage.send(&token(&app.client_id, "x")).status, 401);
    assert_eq!(stage.send(&token(&app.client_id, &app.client_secret)).status, 404);
    assert_eq!(stage.get("/v1/oauth/authorize?client_id=nobody&response_type=code").status, 422);
    stage.world.config_mut().token_status = 200;
    let pair = stage.world.authorize(&app, "acme", stage.now).unwrap();
    let form = format!(
        "grant_type=refresh_token&client_id={}&client_secret={}&refresh_token={}",
        app.client_id, app.client_secret, pair.refresh_token
    );
    let request = Request::post("/v1/oauth/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Bytes::from(form))
        .unwrap();
    let issued = stage.send(&request);
    assert_eq!(issued.status, 200);
    let access = issued.body["access_token"].as_str().unwrap();
    lacking(stage, &app, access);
    stray_creates(stage);
}

/// Credentials that lack something.
fn lacking(stage: &mut Stage, app: &App, access: &str) {
    assert_eq!(stage.ask_as(access, "GET", "/v1/profile", None).status, 401);
    let scoped = stage.world.add_pat(Pat::for_organizations(
        &["acme"],
        Permissions { write: true, without: [].into() },
    ));
    assert_eq!(stage.ask_as(&scoped, "GET", "/v1/profile", None).status, 403);
    stage.world.lose_scopes(app, "acme", true);
    let lost = stage.ask_as(access, "GET", "/v1/organizations", None);
    assert_eq!(lost.status, 406);
    assert_eq!(stage.ask_as("none", "GET", "/v1/profile", None).status, 401);
}

/// Orders of projects.
fn stray_creates(stage: &mut Stage) {
    let mut hidden = order("acme", "stray");
    hidden["postgres_engine"] = json!("15");
    let created = stage.post("/v1/projects", hidden);
    assert_eq!(created.status, 201, "{created:?}");
    let reference = created.body["ref"].as_str().unwrap();
    let health = format!("/v1/projects/{reference}/health?services=auth,db");
    assert_eq!(stage.get(&health).status, 200);
    let keys = format!("/v1/projects/{reference}/api-keys");
    assert_eq!(stage.post(&keys, json!({ "type": "secret", "name": "Upper" })).status, 201);
    stage.world.config_mut().name_conflict_status = 409;
    assert_eq!(stage.post("/v1/projects", order("acme", "stray")).status, 409);
    assert_eq!(stage.post("/v1/projects", order("acme", "with.dot")).status, 400);
    let mut large = order("free", "large");
    large["desired_instance_size"] = json!("large");
    assert_eq!(stage.post("/v1/projects", large).status, 402);
    stray_settings(stage);
    stage.world.config_mut().limiter = Limiter::Oldest(0);
    assert_eq!(stage.get("/v1/profile").status, 429);
}

/// Settings that a free project cannot have.
fn stray_settings(stage: &mut Stage) {
    let reference = stage.create_in("free", "stray-settings");
    let auth = format!("/v1/projects/{reference}/config/auth");
    let paid = json!({ "password_hibp_enabled": true });
    assert_eq!(stage.patch(&auth, paid).status, 402);
    let postgres = format!("/v1/projects/{reference}/config/database/postgres");
    let newer = json!({ "autovacuum_max_workers": 4 });
    assert_eq!(stage.put(&postgres, newer).status, 200);
    let realtime = format!("/v1/projects/{reference}/config/realtime");
    let newer = json!({ "postgres_changes_pool": 4 });
    assert_eq!(stage.patch(&realtime, newer).status, 204);
    let more = json!({ "max_concurrent_users": 300_000 });
    assert_eq!(stage.patch(&realtime, more).status, 204);
}
