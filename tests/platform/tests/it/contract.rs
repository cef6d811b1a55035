//! The official document against the platform: every endpoint, every scope, every known deviation.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use simulated_platform::openapi::{DEVIATIONS, VARIABLE, deviation};
use simulated_platform::{ALL_SCOPES, Config, Limiter, endpoints};

use crate::stage::{CONTRACT, Stage, calm, order};

/// Says, past the test runner's capture, that nothing was judged.
#[test]
fn whether_the_document_judges_is_said_aloud() {
    if CONTRACT.is_none() {
        let ci = std::env::var("CI").is_ok_and(|value| value == "true");
        let weight = if ci { "WARNING" } else { "note" };
        writeln!(
            std::io::stderr(),
            "{weight}: {VARIABLE} is not set: no request and no answer was validated against the \
             official OpenAPI document"
        )
        .unwrap();
    }
}

type Step = (&'static str, String, Option<Value>);

fn project(rest: &str) -> String {
    format!("/v1/projects/REF{rest}")
}

/// Every endpoint with a good request, in an order that lets each of them succeed.
fn tour() -> Vec<Step> {
    [
        organizations_and_projects(),
        keys(),
        database(),
        settings(),
        lifecycle(),
    ]
    .concat()
}

fn organizations_and_projects() -> Vec<Step> {
    let get = |path: &str| ("GET", path.to_owned(), None);
    vec![
        get("/v1/profile"),
        get("/v1/organizations"),
        (
            "POST",
            "/v1/organizations".to_owned(),
            Some(json!({ "name": "New" })),
        ),
        get("/v1/organizations/acme"),
        get("/v1/organizations/acme/entitlements"),
        get("/v1/organizations/acme/members"),
        (
            "POST",
            "/v1/projects".to_owned(),
            Some(order("free", "tour")),
        ),
        get("/v1/projects"),
        get("/v1/organizations/free/projects?limit=5&sort=created_desc"),
        get("/v1/projects/available-regions?organization_slug=acme"),
        get(&project("")),
        ("PATCH", project(""), Some(json!({ "name": "toured" }))),
        get(&project(
            "/health?services=auth&services=db&timeout_ms=2000",
        )),
        get(&project("/branches")),
    ]
}

fn keys() -> Vec<Step> {
    let key = json!({ "type": "secret", "name": "backend", "description": "for tests" });
    vec![
        ("GET", project("/api-keys?reveal=true"), None),
        ("POST", project("/api-keys?reveal=true"), Some(key)),
        ("GET", project("/api-keys/KEY?reveal=false"), None),
        (
            "PATCH",
            project("/api-keys/KEY"),
            Some(json!({ "name": "renamed" })),
        ),
        ("DELETE", project("/api-keys/KEY"), None),
        ("GET", project("/api-keys/legacy"), None),
        ("PUT", project("/api-keys/legacy?enabled=false"), None),
    ]
}

fn database() -> Vec<Step> {
    let overrides = json!({ "max_connections": 90, "statement_timeout": "60s" });
    vec![
        ("GET", project("/config/database/pooler"), None),
        (
            "PATCH",
            project("/config/database/pooler"),
            Some(json!({ "default_pool_size": 20 })),
        ),
        (
            "PATCH",
            project("/database/password"),
            Some(json!({ "password": "new-password" })),
        ),
        ("GET", project("/config/database/postgres"), None),
        ("PUT", project("/config/database/postgres"), Some(overrides)),
        (
            "PATCH",
            project("/config/database/postgres"),
            Some(json!({ "work_mem": "8MB" })),
        ),
        ("GET", project("/config/database/postgres"), None),
    ]
}

fn settings() -> Vec<Step> {
    let enforced = json!({ "requestedConfig": { "database": true } });
    let closed = json!({ "dbAllowedCidrs": ["203.0.113.0/24"], "dbAllowedCidrsV6": [] });
    let added = json!({ "add": { "dbAllowedCidrs": ["198.51.100.0/24"] } });
    vec![
        ("GET", project("/ssl-enforcement"), None),
        ("PUT", project("/ssl-enforcement"), Some(enforced)),
        ("GET", project("/network-restrictions"), None),
        ("POST", project("/network-restrictions/apply"), Some(closed)),
        ("PATCH", project("/network-restrictions"), Some(added)),
        ("GET", project("/network-restrictions"), None),
        ("GET", project("/postgrest"), None),
        (
            "PATCH",
            project("/postgrest"),
            Some(json!({ "max_rows": 500 })),
        ),
        ("GET", project("/billing/addons"), None),
        ("GET", project("/config/storage"), None),
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
fn walk(stage: &mut Stage) {
    let (mut reference, mut key) = (String::new(), String::new());
    for (method, path, body) in tour() {
        let path = path.replace("REF", &reference).replace("KEY", &key);
        let seen = stage.ask(method, &path, body);
        assert!(
            (200..300).contains(&seen.status),
            "{method} {path}: {seen:?}"
        );
        if method == "POST" && path == "/v1/projects" {
            seen.body["ref"]
                .as_str()
                .unwrap()
                .clone_into(&mut reference);
        }
        if method == "POST" && path.contains("/api-keys") {
            seen.body["id"].as_str().unwrap().clone_into(&mut key);
        }
    }
    walk_oauth(stage);
}

fn walk_oauth(stage: &mut Stage) {
    let app = stage
        .world
        .register_app(&["http://127.0.0.1:8/callback"], ALL_SCOPES);
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
fn stray(stage: &mut Stage) {
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
    assert_eq!(
        stage
            .send(&token(&app.client_id, &app.client_secret))
            .status,
        404
    );
    assert_eq!(
        stage
            .get("/v1/oauth/authorize?client_id=nobody&response_type=code")
            .status,
        422
    );
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
    assert_eq!(stage.ask_as(access, "GET", "/v1/profile", None).status, 403);
    assert_eq!(stage.ask_as("none", "GET", "/v1/profile", None).status, 401);
    let mut hidden = order("acme", "stray");
    hidden["postgres_engine"] = json!("15");
    let created = stage.post("/v1/projects", hidden);
    assert_eq!(created.status, 201, "{created:?}");
    let reference = created.body["ref"].as_str().unwrap();
    let health = format!("/v1/projects/{reference}/health?services=auth,db");
    assert_eq!(stage.get(&health).status, 200);
    let keys = format!("/v1/projects/{reference}/api-keys");
    assert_eq!(
        stage
            .post(&keys, json!({ "type": "secret", "name": "Upper" }))
            .status,
        201
    );
    stage.world.config_mut().name_conflict_status = 409;
    assert_eq!(
        stage.post("/v1/projects", order("acme", "stray")).status,
        409
    );
    assert_eq!(
        stage.post("/v1/projects", order("acme", "with.dot")).status,
        400
    );
    let mut large = order("free", "large");
    large["desired_instance_size"] = json!("large");
    assert_eq!(stage.post("/v1/projects", large).status, 402);
    stage.world.config_mut().limiter = Limiter::Oldest(0);
    assert_eq!(stage.get("/v1/profile").status, 429);
}

/// Instant, but for the restore, which is there to be called off.
fn stage() -> Stage {
    Stage::new(Config {
        restore: Duration::from_secs(60),
        ..calm()
    })
}

#[test]
fn every_endpoint_answers_as_the_document_says() {
    let mut stage = stage();
    walk(&mut stage);
    let reached: BTreeSet<_> = stage
        .world
        .ledger()
        .seen()
        .iter()
        .filter(|seen| seen.status.is_some_and(|status| status < 400))
        .filter_map(|seen| Some((seen.method.to_string(), seen.endpoint?)))
        .collect();
    let missed: Vec<_> = endpoints()
        .filter(|endpoint| !reached.contains(&(endpoint.method.to_string(), endpoint.pattern)))
        .collect();
    assert!(missed.is_empty(), "never answered with success: {missed:?}");
}

#[test]
fn scopes_and_permissions_are_those_of_the_document() {
    let Some(contract) = CONTRACT.as_ref() else {
        return;
    };
    for endpoint in endpoints() {
        let label = format!("{} {}", endpoint.method, endpoint.pattern);
        let Some((scope, permissions)) = contract.access(&label) else {
            assert_eq!(label, "PATCH /v1/projects/{ref}/config/database/postgres");
            continue;
        };
        assert_eq!(endpoint.scope, scope, "the scope of {label}");
        let sorted = |list: &[&str]| {
            list.iter()
                .map(ToString::to_string)
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(
            sorted(endpoint.permissions),
            sorted(&permissions),
            "of {label}"
        );
    }
}

/// A list of exceptions must not outlive its reasons.
#[test]
fn every_known_deviation_occurs() {
    let Some(contract) = CONTRACT.as_ref() else {
        return;
    };
    let mut stage = stage();
    walk(&mut stage);
    stray(&mut stage);
    let used: BTreeSet<_> = stage
        .log
        .iter()
        .flat_map(|(request, answer)| {
            let mut all = contract.judge_request(request);
            all.extend(contract.judge_answer(request, &answer.response));
            all
        })
        .filter_map(|violation| deviation(&violation))
        .map(|known| (known.operation, known.place))
        .collect();
    let all: BTreeSet<_> = DEVIATIONS
        .iter()
        .map(|known| (known.operation, known.place))
        .collect();
    let unused: Vec<_> = all.difference(&used).collect();
    assert!(unused.is_empty(), "listed, but never met: {unused:?}");
}

#[test]
fn the_document_finds_what_is_wrong_and_does_not_show_it() {
    let Some(contract) = CONTRACT.as_ref() else {
        return;
    };
    let wrong = |request: Request<&'static str>| -> Vec<String> {
        let request = request.map(|body| Bytes::from_static(body.as_bytes()));
        contract
            .judge_request(&request)
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    let json = |builder: http::request::Builder| builder.header("content-type", "application/json");
    let places = [
        (
            Request::get("/v1/organizations/acme/projects?limit=900").body(""),
            "query limit",
        ),
        (
            Request::get("/v1/organizations/acme/projects?page=1").body(""),
            "query page",
        ),
        (
            Request::get("/v1/projects/SHORT/health?services=db").body(""),
            "path ref",
        ),
        (
            Request::get("/v1/projects/aaaaaaaaaaaaaaaaaaaa/health").body(""),
            "query services",
        ),
        (Request::get("/v1/nothing").body(""), "operation"),
        (
            json(Request::post("/v1/organizations")).body("{\"name\":7}"),
            "request body/name",
        ),
        (
            json(Request::post("/v1/organizations")).body("{}"),
            "request body",
        ),
        (
            json(Request::post("/v1/organizations")).body("{"),
            "no JSON",
        ),
        (
            Request::post("/v1/organizations").body("{\"name\":\"a\"}"),
            "not declared",
        ),
        (Request::post("/v1/organizations").body(""), "it is missing"),
    ];
    for (request, place) in places {
        let found = wrong(request.unwrap());
        assert!(
            found.iter().any(|violation| violation.contains(place)),
            "{place}: {found:?}"
        );
    }
    let secret = json(Request::post("/v1/projects"))
        .body("{\"db_pass\":[\"hunter2\"]}")
        .unwrap();
    let found = wrong(secret).join("\n");
    assert!(
        found.contains("request body/db_pass") && !found.contains("hunter2"),
        "{found}"
    );
}

#[test]
fn the_document_finds_wrong_answers() {
    let Some(contract) = CONTRACT.as_ref() else {
        return;
    };
    let request = Request::get("/v1/projects/aaaaaaaaaaaaaaaaaaaa")
        .body(Bytes::new())
        .unwrap();
    let wrong = |status: u16, content_type: &str, body: &str| -> Vec<String> {
        let response = Response::builder()
            .status(status)
            .header("content-type", content_type)
            .body(Bytes::from(body.to_owned()))
            .unwrap();
        let found = contract.judge_answer(&request, &response);
        found.iter().map(ToString::to_string).collect()
    };
    let json = "application/json; charset=utf-8";
    for (found, expected) in [
        (wrong(200, json, "{}"), "required"),
        (
            wrong(200, json, "{\"status\":\"ASLEEP\"}"),
            "answer 200/status",
        ),
        (wrong(200, "text/html", "<html>"), "content type"),
        (wrong(200, json, "{"), "no JSON"),
        (
            wrong(418, json, "{\"message\":\"tea\"}"),
            "answer status 418",
        ),
        (wrong(403, json, "{\"error\":\"no\"}"), "no message"),
    ] {
        assert!(
            found.iter().any(|violation| violation.contains(expected)),
            "{found:?}"
        );
    }
    assert_eq!(
        wrong(403, json, "{\"message\":[\"a\",\"b\"]}"),
        Vec::<String>::new()
    );
}
