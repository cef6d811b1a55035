//! Who may do what: no token, classic and scoped personal access tokens, OAuth scopes.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};
use simulated_platform::{ALL_SCOPES, App, Pat, PatReach, Permissions, TokenPair, endpoints};

use crate::stage::{Stage, calm, order};

/// A path of an endpoint's pattern, with everything in it unknown but the organization.
fn path_of(pattern: &str) -> String {
    pattern
        .replace("{ref}", "aaaaaaaaaaaaaaaaaaaa")
        .replace("{slug}", "acme")
        .replace("{id}", "00000000-0000-4000-8000-000000000000")
}

/// The endpoints that ask for a token.
fn guarded() -> impl Iterator<Item = simulated_platform::Endpoint> {
    endpoints().filter(|endpoint| !endpoint.pattern.starts_with("/v1/oauth/"))
}

fn try_as(stage: &mut Stage, token: &str, endpoint: &simulated_platform::Endpoint) -> u16 {
    let body = matches!(*endpoint.method, Method::POST | Method::PATCH | Method::PUT)
        .then(|| json!({ "nonsense": true }));
    stage.ask_as(token, endpoint.method.as_str(), &path_of(endpoint.pattern), body).status
}

fn app_with(stage: &mut Stage, scopes: &[&str]) -> (App, TokenPair) {
    let app = stage.world.register_app(&[], scopes);
    let pair = stage.world.authorize(&app, "acme", stage.now).unwrap();
    (app, pair)
}

#[test]
fn without_a_good_token_every_guarded_endpoint_answers_401() {
    let mut stage = Stage::new(calm());
    let revoked = stage.world.add_pat(Pat::classic());
    stage.world.revoke_pat(&revoked);
    let expired = stage.world.add_pat(Pat { expires_at: Some(stage.now), ..Pat::classic() });
    for endpoint in guarded() {
        for token in ["", "sbp_unknown", &revoked, &expired] {
            let status = try_as(&mut stage, token, &endpoint);
            assert_eq!(status, 401, "{endpoint:?} with {token:?}");
        }
    }
    assert!(stage.world.ledger().accepted().is_empty());
}

#[test]
fn a_token_expires_at_its_time_and_not_before() {
    let mut stage = Stage::new(calm());
    let at = stage.now.checked_add(std::time::Duration::from_secs(60)).unwrap();
    let token = stage.world.add_pat(Pat { expires_at: Some(at), ..Pat::classic() });
    stage.pass_seconds(59);
    assert_eq!(stage.ask_as(&token, "GET", "/v1/profile", None).status, 200);
    stage.pass_seconds(1);
    assert_eq!(stage.ask_as(&token, "GET", "/v1/profile", None).status, 401);
}

#[test]
fn each_endpoint_takes_its_own_scope_and_no_other() {
    let mut stage = Stage::new(calm());
    for endpoint in guarded() {
        let Some(scope) = endpoint.scope else {
            continue;
        };
        let others: Vec<&str> =
            ALL_SCOPES.iter().copied().filter(|other| *other != scope).collect();
        let (_, with) = app_with(&mut stage, &[scope]);
        let (_, without) = app_with(&mut stage, &others);
        let status = try_as(&mut stage, &with.access_token, &endpoint);
        assert!(!matches!(status, 401 | 403), "{endpoint:?} with {scope}: {status}");
        assert_eq!(try_as(&mut stage, &without.access_token, &endpoint), 403, "{endpoint:?}");
    }
}

#[test]
fn endpoints_without_a_scope_take_no_oauth_token_but_a_personal_one() {
    let mut stage = Stage::new(calm());
    let (_, everything) = app_with(&mut stage, ALL_SCOPES);
    let without: BTreeSet<String> = guarded()
        .filter(|endpoint| endpoint.scope.is_none())
        .map(|endpoint| {
            assert_eq!(try_as(&mut stage, &everything.access_token, &endpoint), 401);
            let token = stage.token.clone();
            let status = try_as(&mut stage, &token, &endpoint);
            assert!(!matches!(status, 401 | 403), "{endpoint:?}: {status}");
            format!("{} {}", endpoint.method, endpoint.pattern)
        })
        .collect();
    let expected = [
        "DELETE /v1/projects/{ref}/billing/addons/{addon_variant}",
        "GET /v1/profile",
        "GET /v1/projects/{ref}/billing/addons",
        "GET /v1/projects/{ref}/config/realtime",
        "GET /v1/projects/{ref}/config/storage",
        "GET /v2/projects/{ref}/config",
        "PATCH /v1/projects/{ref}/billing/addons",
        "PATCH /v1/projects/{ref}/config/realtime",
        "PATCH /v1/projects/{ref}/config/storage",
        "POST /v1/organizations",
    ];
    assert_eq!(without.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn what_takes_no_oauth_token_says_so_and_what_lost_its_scopes_too() {
    let mut stage = Stage::new(calm());
    let (app, pair) = app_with(&mut stage, ALL_SCOPES);
    let token = pair.access_token;
    let refused = stage.ask_as(&token, "GET", "/v1/profile", None);
    assert_eq!(refused.status, 401);
    assert!(refused.message().contains("does not support oauth access yet"));
    stage.world.lose_scopes(&app, "acme", true);
    let lost = stage.ask_as(&token, "GET", "/v1/organizations", None);
    assert_eq!((lost.status, lost.message()), (406, "Failed to retrieve scopes"));
    stage.world.lose_scopes(&app, "acme", false);
    assert_eq!(stage.ask_as(&token, "GET", "/v1/organizations", None).status, 200);
}

#[test]
fn an_oauth_token_sees_one_organization() {
    let mut stage = Stage::new(calm());
    let (_, pair) = app_with(&mut stage, ALL_SCOPES);
    let elsewhere = stage.create_in("free", "elsewhere");
    let token = pair.access_token;
    let listed = stage.ask_as(&token, "GET", "/v1/projects", None);
    assert_eq!(listed.body, json!([]));
    for path in [format!("/v1/projects/{elsewhere}"), "/v1/organizations/free".to_owned()] {
        assert_eq!(stage.ask_as(&token, "GET", &path, None).status, 403);
    }
    let refused = stage.ask_as(&token, "POST", "/v1/projects", Some(order("free", "x")));
    assert_eq!(refused.status, 403);
}

#[test]
fn new_scopes_of_an_app_count_from_the_next_consent() {
    let mut stage = Stage::new(calm());
    let (app, old) = app_with(&mut stage, &["organizations:read"]);
    stage.world.set_app_scopes(&app, ALL_SCOPES);
    let new = stage.world.authorize(&app, "acme", stage.now).unwrap();
    let list = "/v1/projects";
    assert_eq!(stage.ask_as(&old.access_token, "GET", list, None).status, 403);
    assert_eq!(stage.ask_as(&new.access_token, "GET", list, None).status, 200);
}

#[test]
fn a_classic_token_may_do_whatever_its_user_may() {
    let mut stage = Stage::new(calm());
    let token = stage.token.clone();
    assert!(token.strip_prefix("sbp_").is_some_and(|rest| rest.len() == 40));
    for endpoint in guarded() {
        let status = try_as(&mut stage, &token, &endpoint);
        assert!(!matches!(status, 401 | 403), "{endpoint:?}: {status}");
    }
}

#[test]
fn a_reading_scoped_token_writes_nothing_and_says_what_is_missing() {
    let mut stage = Stage::new(calm());
    let reading = stage.world.add_pat(Pat::for_organizations(&["acme"], Permissions::default()));
    assert!(reading.starts_with("sbp_fc") && reading.len() == 44);
    for endpoint in guarded().filter(|endpoint| endpoint.pattern != "/v1/profile") {
        let status = try_as(&mut stage, &reading, &endpoint);
        let writes = endpoint.permissions.iter().any(|name| !name.ends_with("_read"));
        assert_eq!(status == 403, writes, "{endpoint:?}: {status}");
    }
    let refused = stage.ask_as(&reading, "POST", "/v1/projects", Some(order("acme", "x")));
    assert_eq!(refused.body["missing_permissions"], json!(["organization_projects_create"]));
}

#[test]
fn a_writing_scoped_token_lacks_only_what_it_was_denied() {
    let mut stage = Stage::new(calm());
    let permissions =
        Permissions { write: true, without: ["database_config_write".to_owned()].into() };
    let token = stage.world.add_pat(Pat::for_organizations(&["acme"], permissions));
    let created = stage.ask_as(&token, "POST", "/v1/projects", Some(order("acme", "x")));
    assert_eq!(created.status, 201);
    let path = format!("/v1/projects/{}/database/password", created.body["ref"].as_str().unwrap());
    let body = json!({ "password": "another-password" });
    let refused = stage.ask_as(&token, "PATCH", &path, Some(body));
    assert_eq!(refused.status, 403);
    assert_eq!(refused.body["missing_permissions"], json!(["database_config_write"]));
}

#[test]
fn scoped_tokens_are_rejected_at_the_profile() {
    let mut stage = Stage::new(calm());
    let all = Permissions { write: true, ..Permissions::default() };
    let token = stage.world.add_pat(Pat::for_organizations(&["acme"], all));
    assert_eq!(stage.ask_as(&token, "GET", "/v1/profile", None).status, 403);
}

#[test]
fn a_token_for_projects_sees_only_those() {
    let mut stage = Stage::new(calm());
    let (mine, other) = (stage.create("mine"), stage.create("other"));
    let token = stage.world.add_pat(Pat::for_projects(&[&mine], Permissions::default()));
    let all = stage.ask_as(&token, "GET", "/v1/projects", None);
    assert_eq!(all.body.as_array().unwrap().len(), 1);
    assert_eq!(stage.ask_as(&token, "GET", &format!("/v1/projects/{mine}"), None).status, 200);
    assert_eq!(stage.ask_as(&token, "GET", &format!("/v1/projects/{other}"), None).status, 403);
}

#[test]
fn a_token_for_organizations_reaches_no_other_of_its_user() {
    let mut stage = Stage::new(calm());
    let elsewhere = stage.create_in("free", "elsewhere");
    let reach = PatReach::Organizations(["acme".to_owned()].into());
    let token = stage.world.add_pat(Pat { reach, ..Pat::classic() });
    let path = format!("/v1/projects/{elsewhere}");
    assert_eq!(stage.ask_as(&token, "GET", &path, None).status, 403);
    assert_eq!(stage.ask_as(&token, "GET", "/v1/projects", None).body, json!([]));
}

#[test]
fn a_member_who_leaves_loses_the_organization() {
    let mut stage = Stage::new(calm());
    let reference = stage.create("orders");
    stage.world.remove_member("acme", "owner");
    assert_eq!(stage.get(&format!("/v1/projects/{reference}")).status, 403);
    assert_eq!(stage.get("/v1/organizations").body.as_array().unwrap().len(), 1);
    stage.world.add_member("acme", "owner");
    assert_eq!(stage.get(&format!("/v1/projects/{reference}")).status, 200);
}

#[test]
fn answers_name_the_user_behind_the_token() {
    let mut stage = Stage::new(calm());
    let profile = stage.get("/v1/profile");
    let id = profile.body["gotrue_id"].as_str().unwrap();
    assert_eq!(profile.header("x-gotrue-id"), id);
    let nobody = stage.ask_as("none", "GET", "/v1/profile", None);
    assert_eq!(nobody.header("x-gotrue-id"), "");
    assert_eq!(nobody.body, json!({ "message": "Unauthorized" }));
    assert_ne!(nobody.body, Value::Null);
}
