//! The official document against the platform: every endpoint, every scope, every known deviation.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use simulated_platform::openapi::{DEVIATIONS, VARIABLE, deviation};
use simulated_platform::{Config, endpoints};

use crate::stage::{CONTRACT, Stage, calm};
use crate::tour::{stray, walk};

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

/// Instant, but for the restore, which is there to be called off.
fn stage() -> Stage {
    Stage::new(Config { restore: Duration::from_secs(60), ..calm() })
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
            let newer = [
                "PATCH /v1/projects/{ref}/config/database/postgres",
                "GET /v2/projects/{ref}/config",
            ];
            assert!(newer.contains(&label.as_str()), "{label}");
            continue;
        };
        assert_eq!(endpoint.scope, scope, "the scope of {label}");
        let sorted = |list: &[&str]| list.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(sorted(endpoint.permissions), sorted(&permissions), "of {label}");
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
    let all: BTreeSet<_> = DEVIATIONS.iter().map(|known| (known.operation, known.place)).collect();
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
        contract.judge_request(&request).iter().map(ToString::to_string).collect()
    };
    let json = |builder: http::request::Builder| builder.header("content-type", "application/json");
    let places = [
        (Request::get("/v1/organizations/acme/projects?limit=900").body(""), "query limit"),
        (Request::get("/v1/organizations/acme/projects?page=1").body(""), "query page"),
        (Request::get("/v1/projects/SHORT/health?services=db").body(""), "path ref"),
        (Request::get("/v1/projects/aaaaaaaaaaaaaaaaaaaa/health").body(""), "query services"),
        (Request::get("/v1/nothing").body(""), "operation"),
        (json(Request::post("/v1/organizations")).body("{\"name\":7}"), "request body/name"),
        (json(Request::post("/v1/organizations")).body("{}"), "request body"),
        (json(Request::post("/v1/organizations")).body("{"), "no JSON"),
        (Request::post("/v1/organizations").body("{\"name\":\"a\"}"), "not declared"),
        (Request::post("/v1/organizations").body(""), "it is missing"),
    ];
    for (request, place) in places {
        let found = wrong(request.unwrap());
        assert!(found.iter().any(|violation| violation.contains(place)), "{place}: {found:?}");
    }
    let secret = json(Request::post("/v1/projects")).body("{\"db_pass\":[\"hunter2\"]}").unwrap();
    let found = wrong(secret).join("\n");
    assert!(found.contains("request body/db_pass") && !found.contains("hunter2"), "{found}");
}

#[test]
fn the_document_finds_wrong_answers() {
    let Some(contract) = CONTRACT.as_ref() else {
        return;
    };
    let request = Request::get("/v1/projects/aaaaaaaaaaaaaaaaaaaa").body(Bytes::new()).unwrap();
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
        (wrong(200, json, "{\"status\":\"ASLEEP\"}"), "answer 200/status"),
        (wrong(200, "text/html", "<html>"), "content type"),
        (wrong(200, json, "{"), "no JSON"),
        (wrong(418, json, "{\"message\":\"tea\"}"), "answer status 418"),
        (wrong(403, json, "{\"error\":\"no\"}"), "no message"),
    ] {
        assert!(found.iter().any(|violation| violation.contains(expected)), "{found:?}");
    }
    assert_eq!(wrong(403, json, "{\"message\":[\"a\",\"b\"]}"), Vec::<String>::new());
}
