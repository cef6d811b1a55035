//! The ledger of everything seen and accepted, and the canaries.

use http::Method;
use serde_json::json;
use simulated_platform::{ALL_SCOPES, Fault, FaultKind, Identity, Plan, World};

use crate::stage::{PASSWORD, Stage, calm, order};

#[test]
fn every_request_is_seen_with_its_endpoint_identity_and_fate() {
    let mut stage = Stage::new(calm());
    let reference = stage.create("orders");
    stage.get(&format!("/v1/projects/{reference}/api-keys?reveal=true"));
    stage.ask_as("none", "GET", "/v1/projects", None);
    stage.get("/v1/nothing/at/all");
    let seen = stage.world.ledger().seen();
    assert_eq!(seen.len(), 4);
    let identity = Identity::Pat { user: "owner".to_owned(), number: 0 };
    assert_eq!(seen[0].identity, identity);
    assert_eq!((seen[0].status, seen[0].delivered), (Some(201), true));
    assert_eq!(seen[1].endpoint, Some("/v1/projects/{ref}/api-keys"));
    assert_eq!(seen[1].query, "reveal=true");
    assert_eq!((&seen[2].identity, seen[2].status), (&Identity::Anonymous, Some(401)));
    assert_eq!((seen[3].endpoint, seen[3].status), (None, Some(404)));
    assert_eq!(stage.world.ledger().count(&Method::POST, "/v1/projects"), 1);
    assert_eq!(stage.world.ledger().count(&Method::GET, "/v1/projects"), 1);
}

#[test]
fn lost_answers_are_told_from_lost_requests() {
    let mut stage = Stage::new(calm());
    for kind in [FaultKind::DropBefore, FaultKind::DropAfter, FaultKind::Truncate(3)] {
        stage.world.script(Fault::on("POST", "/v1/projects", kind));
    }
    for name in ["one", "two", "three", "four"] {
        stage.post("/v1/projects", order("acme", name));
    }
    let fates: Vec<_> =
        stage.world.ledger().seen().iter().map(|seen| (seen.status, seen.delivered)).collect();
    assert_eq!(fates, [(None, false), (Some(201), false), (Some(201), false), (Some(201), true)]);
    assert_eq!(stage.world.ledger().created().count(), 3);
}

#[test]
fn creates_by_hand_are_no_creates_over_the_api() {
    let mut stage = Stage::new(calm());
    let foreign = stage.world.add_foreign_project("acme", "by-hand", stage.now);
    let mine = stage.create("mine");
    assert_eq!(stage.world.ledger().created().collect::<Vec<_>>(), [mine.as_str()]);
    let all: Vec<_> = stage
        .world
        .ledger()
        .accepted()
        .iter()
        .filter_map(|accepted| accepted.effect.reference())
        .collect();
    assert_eq!(all, [foreign.as_str(), mine.as_str()]);
}

#[test]
fn app_and_organization_stand_behind_an_oauth_call() {
    let mut stage = Stage::new(calm());
    let app = stage.world.register_app(&[], ALL_SCOPES);
    let pair = stage.world.authorize(&app, "acme", stage.now).unwrap();
    stage.ask_as(&pair.access_token, "POST", "/v1/projects", Some(order("acme", "orders")));
    let identity =
        Identity::App { client_id: app.client_id.clone(), organization: "acme".to_owned() };
    assert_eq!(stage.world.ledger().seen()[0].identity, identity);
    assert_eq!(stage.world.ledger().accepted().last().unwrap().by, identity);
}

#[test]
fn passwords_are_canaries_whether_they_were_taken_or_refused() {
    let mut stage = Stage::new(calm());
    let mut weak = order("acme", "orders");
    weak["db_pass"] = json!("hunter2-but-the-name-is.bad");
    weak["name"] = json!("a.b");
    assert_eq!(stage.post("/v1/projects", weak).status, 400);
    stage.create("orders");
    let canaries = stage.world.canaries();
    for secret in [PASSWORD, "hunter2-but-the-name-is.bad"] {
        assert!(canaries.contains(&secret.to_owned()));
    }
}

#[test]
fn debug_output_of_the_whole_world_shows_no_canary() {
    let mut stage = Stage::new(calm());
    let reference = stage.create("orders");
    stage.get(&format!("/v1/projects/{reference}/api-keys?reveal=true"));
    stage.get(&format!("/v1/projects/{reference}/postgrest"));
    stage.patch(
        &format!("/v1/projects/{reference}/database/password"),
        json!({ "password": "a-second-password" }),
    );
    let app = stage.world.register_app(&["http://127.0.0.1:1/"], ALL_SCOPES);
    let pair = stage.world.authorize(&app, "acme", stage.now).unwrap();
    let path = format!(
        "/v1/oauth/authorize?client_id={}&response_type=code&redirect_uri=http://127.0.0.1:1/",
        app.client_id
    );
    let sent = stage.get(&path);
    let auth_id = sent.header("location").split("auth_id=").nth(1).unwrap();
    let grant =
        simulated_platform::Consent::Grant { organization: "acme".to_owned(), projects: None };
    stage.world.consent(auth_id, grant, stage.now).unwrap();
    let shown = format!("{:?} {app:?} {pair:?}", stage.world);
    let canaries = stage.world.canaries();
    assert!(canaries.len() >= 10, "{} canaries", canaries.len());
    for canary in canaries {
        assert!(!shown.contains(&canary), "{} characters of a canary are shown", canary.len());
    }
}

#[test]
fn the_same_seed_and_requests_make_the_same_world() {
    let run = |seed: u64| {
        let mut world = World::new(calm(), seed);
        world.add_organization("acme", "Acme", Plan::Pro);
        let now = jiff::Timestamp::from_second(1_800_000_000).unwrap();
        let reference = world.add_foreign_project("acme", "x", now);
        (reference, world.canaries())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn the_date_header_is_the_worlds_time() {
    let mut stage = Stage::new(calm());
    assert_eq!(stage.get("/v1/organizations").header("date"), "Fri, 15 Jan 2027 08:00:00 GMT");
    stage.pass_seconds(3661);
    assert_eq!(stage.get("/v1/organizations").header("date"), "Fri, 15 Jan 2027 09:01:01 GMT");
}

#[test]
fn queries_of_the_oauth_endpoints_are_not_kept() {
    let mut stage = Stage::new(calm());
    stage.get("/v1/oauth/authorize?client_id=a&state=secret-state");
    stage.get("/v1/organizations/acme/projects?limit=3");
    let queries: Vec<_> =
        stage.world.ledger().seen().iter().map(|seen| seen.query.as_str()).collect();
    assert_eq!(queries, ["", "limit=3"]);
}
