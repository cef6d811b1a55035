//! The three rate limiters and their headers.

use serde_json::json;
use simulated_platform::{ALL_SCOPES, Config, Fault, FaultKind, Limiter, Pat};

use crate::stage::{Seen, Stage, order};

fn limited(limiter: Limiter) -> Stage {
    Stage::new(Config { limiter, ..Config::instant() })
}

fn remaining(seen: &Seen) -> u32 {
    seen.header("x-ratelimit-remaining").parse().unwrap()
}

#[test]
fn every_answer_carries_the_counter_and_the_window_starts_with_the_first_request() {
    let mut stage = limited(Limiter::ProjectEndpoint(120));
    stage.pass_seconds(17);
    let first = stage.get("/v1/organizations");
    let header = |seen: &Seen, name: &str| seen.header(&format!("x-ratelimit-{name}")).to_owned();
    assert_eq!(header(&first, "limit"), "120");
    assert_eq!((remaining(&first), header(&first, "reset")), (119, "60".to_owned()));
    stage.pass_seconds(45);
    let second = stage.get("/v1/organizations");
    assert_eq!((remaining(&second), header(&second, "reset")), (118, "15".to_owned()));
    stage.pass_seconds(15);
    let fresh = stage.get("/v1/organizations");
    assert_eq!((remaining(&fresh), header(&fresh, "reset")), (119, "60".to_owned()));
}

#[test]
fn beyond_the_limit_comes_429_without_effect_until_the_window_ends() {
    let mut stage = limited(Limiter::ProjectEndpoint(2));
    stage.create("one");
    stage.create("two");
    let refused = stage.post("/v1/projects", order("acme", "three"));
    assert_eq!(refused.status, 429);
    assert_eq!(refused.body, json!({ "message": "ThrottlerException: Too Many Requests" }));
    assert_eq!(refused.header("retry-after"), "");
    assert_eq!(remaining(&refused), 0);
    assert_eq!(stage.world.projects().count(), 2);
    stage.pass_seconds(60);
    stage.create("three");
}

#[test]
fn refusals_count_too() {
    let mut stage = limited(Limiter::ProjectEndpoint(120));
    let path = "/v1/projects/aaaaaaaaaaaaaaaaaaaa";
    assert_eq!(remaining(&stage.get(path)), 119);
    assert_eq!(remaining(&stage.get(path)), 118);
    let bad = stage.post("/v1/projects", json!({}));
    assert_eq!((bad.status, remaining(&bad)), (400, 119));
    assert_eq!(remaining(&stage.post("/v1/projects", json!({}))), 118);
}

#[test]
fn today_each_project_and_endpoint_has_a_counter_of_its_own() {
    let mut stage = limited(Limiter::ProjectEndpoint(120));
    let (one, two) = (stage.create("one"), stage.create("two"));
    assert_eq!(remaining(&stage.get(&format!("/v1/projects/{one}"))), 119);
    assert_eq!(remaining(&stage.get(&format!("/v1/projects/{two}"))), 119);
    assert_eq!(remaining(&stage.get(&format!("/v1/projects/{one}/api-keys"))), 119);
    assert_eq!(remaining(&stage.get(&format!("/v1/projects/{one}"))), 118);
    // Creates share the counter of their organization.
    assert_eq!(remaining(&stage.post("/v1/projects", order("acme", "three"))), 117);
    assert_eq!(remaining(&stage.post("/v1/projects", order("free", "three"))), 119);
    // Unscoped lists share one.
    assert_eq!(remaining(&stage.get("/v1/projects")), 119);
    assert_eq!(remaining(&stage.get("/v1/projects")), 118);
}

#[test]
fn all_tokens_of_a_user_share_and_all_of_an_app_share() {
    let mut stage = limited(Limiter::ProjectEndpoint(120));
    let second = stage.world.add_pat(Pat::classic());
    let list = "/v1/organizations";
    assert_eq!(remaining(&stage.get(list)), 119);
    assert_eq!(remaining(&stage.ask_as(&second, "GET", list, None)), 118);
    let app = stage.world.register_app(&[], ALL_SCOPES);
    let tokens: Vec<String> = ["acme", "free"]
        .into_iter()
        .map(|slug| stage.world.authorize(&app, slug, stage.now).unwrap().access_token)
        .collect();
    let app_remaining: Vec<u32> =
        tokens.iter().map(|token| remaining(&stage.ask_as(token, "GET", list, None))).collect();
    assert_eq!(app_remaining, [119, 118]);
    let anonymous = remaining(&stage.ask_as("none", "GET", list, None));
    assert_eq!(anonymous, 119);
}

#[test]
fn before_the_endpoints_of_a_project_shared_one_counter() {
    let mut stage = limited(Limiter::UserScope(120));
    let (one, two) = (stage.create("one"), stage.create("two"));
    assert_eq!(remaining(&stage.get(&format!("/v1/projects/{one}"))), 119);
    assert_eq!(remaining(&stage.get(&format!("/v1/projects/{one}/api-keys"))), 118);
    assert_eq!(remaining(&stage.get(&format!("/v1/projects/{two}"))), 119);
    // The user counts, whatever the token.
    let app = stage.world.register_app(&[], ALL_SCOPES);
    let token = stage.world.authorize(&app, "acme", stage.now).unwrap().access_token;
    let seen = stage.ask_as(&token, "GET", &format!("/v1/projects/{one}"), None);
    assert_eq!(remaining(&seen), 117);
}

#[test]
fn at_first_a_user_had_one_counter_for_everything() {
    let mut stage = limited(Limiter::Oldest(60));
    let one = stage.create("one");
    let seen = stage.get(&format!("/v1/projects/{one}"));
    assert_eq!((seen.header("x-ratelimit-limit"), remaining(&seen)), ("60", 58));
    let app = stage.world.register_app(&[], ALL_SCOPES);
    let token = stage.world.authorize(&app, "acme", stage.now).unwrap().access_token;
    assert_eq!(remaining(&stage.ask_as(&token, "GET", "/v1/organizations", None)), 57);
}

#[test]
fn without_a_limiter_there_are_no_headers() {
    let mut stage = limited(Limiter::Off);
    assert_eq!(stage.get("/v1/organizations").header("x-ratelimit-limit"), "");
}

#[test]
fn a_swallowed_request_does_not_count_and_a_lost_answer_does() {
    let mut stage = limited(Limiter::ProjectEndpoint(120));
    let path = "/v1/organizations";
    stage.world.script(Fault::on("GET", path, FaultKind::DropBefore));
    stage.world.script(Fault::on("GET", path, FaultKind::DropAfter));
    stage.get(path);
    stage.get(path);
    assert_eq!(remaining(&stage.get(path)), 118);
}
