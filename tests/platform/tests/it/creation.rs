//! `POST /v1/projects`.

use std::time::Duration;

use serde_json::{Value, json};
use simulated_platform::{Config, Effect, MessageShape, Pat, Permissions, Status};

use crate::stage::{PASSWORD, Stage, calm, order, slow};

/// An order with one field set, or removed by null.
fn with(field: &str, value: Value) -> Value {
    let mut body = order("acme", "orders");
    let fields = body.as_object_mut().unwrap();
    if value.is_null() {
        fields.remove(field);
    } else {
        fields.insert(field.to_owned(), value);
    }
    body
}

#[test]
fn the_answer_is_brief_and_its_status_proves_nothing() {
    let mut stage = Stage::new(slow());
    let created = stage.post("/v1/projects", order("acme", "orders"));
    assert_eq!(created.status, 201);
    let reference = created.body["ref"].as_str().unwrap();
    assert!(reference.len() == 20 && reference.bytes().all(|byte| byte.is_ascii_lowercase()));
    assert_eq!(created.body["id"], reference);
    assert_eq!(created.body["organization_slug"], "acme");
    assert_eq!(created.body["region"], "eu-central-1");
    assert_eq!(created.body["status"], "UNKNOWN");
    assert!(created.body.get("database").is_none());
    assert_eq!(stage.status(reference), "COMING_UP");
    for status in [Status::ActiveHealthy, Status::ComingUp] {
        stage.world.config_mut().create_status = status;
        let created = stage.post("/v1/projects", order("acme", status.as_str()));
        assert_eq!(created.body["status"], status.as_str());
    }
}

#[test]
fn bad_fields_are_named_and_create_nothing() {
    let long = "n".repeat(257);
    let cases = [
        ("name", json!(""), "name should not be empty"),
        ("name", Value::Null, "name should not be empty"),
        ("name", json!(long), "shorter than or equal to 256"),
        ("name", json!("a.b"), "name should not contain a . string"),
        ("organization_slug", Value::Null, "organization_slug"),
        ("organization_slug", json!("a b"), "organization_slug"),
        ("db_pass", Value::Null, "db_pass must be longer than or equal to 4 characters"),
        ("db_pass", json!("abc"), "db_pass must be longer than or equal to 4 characters"),
        ("db_pass", json!("Password"), "weak and easy to guess"),
        ("db_pass", json!("aaaaaaaa"), "weak and easy to guess"),
        ("desired_instance_size", json!("pico"), "desired_instance_size must be one of"),
        ("postgres_engine", json!("14"), "postgres_engine must be one of"),
        ("release_channel", json!("new"), "release_channel must be one of"),
        ("high_availability", json!("yes"), "high_availability must be a boolean"),
        ("region_selection", Value::Null, "region"),
        ("region_selection", json!({ "type": "specific", "code": "eu-east-9" }), "region"),
        ("region_selection", json!({ "type": "smartGroup", "code": "europe" }), "region"),
        ("region", json!("eu-central-1"), "Only one of region or region_selection"),
        ("disk_size", json!(8), "property disk_size should not exist"),
    ];
    let mut stage = Stage::new(calm());
    for (field, value, expected) in cases {
        let refused = stage.post("/v1/projects", with(field, value.clone()));
        assert_eq!(refused.status, 400, "{field}: {value}");
        assert!(refused.message().contains(expected), "{field}: {}", refused.message());
    }
    assert_eq!(stage.world.projects().count(), 0);
    assert_eq!(stage.world.ledger().created().count(), 0);
}

#[test]
fn all_faults_are_named_at_once_in_either_shape() {
    let mut stage = Stage::new(calm());
    let body = json!({ "name": "a.b", "db_pass": "abc", "organization_slug": "acme",
        "region": "eu-central-1" });
    let text = stage.post("/v1/projects", body.clone());
    assert!(text.message().contains("name should") && text.message().contains("db_pass must"));
    stage.world.config_mut().message_shape = MessageShape::List;
    let list = stage.post("/v1/projects", body);
    assert_eq!(list.body["message"].as_array().unwrap().len(), 2);
}

#[test]
fn good_fields_are_taken() {
    let cases = [
        with("kps_enabled", json!(true)),
        with("plan", json!("free")),
        with("organization_id", json!("acme")),
        with("template_url", json!("https://example.com/template")),
        with("desired_instance_size", json!("24xlarge_high_memory")),
        with("name", json!("n".repeat(256))),
        with("name", json!("Ünïcode / 'quotes' & spaces")),
        with("db_pass", json!("äöü€")),
    ];
    for body in cases {
        let created = Stage::new(calm()).post("/v1/projects", body.clone());
        assert_eq!(created.status, 201, "{body}: {created:?}");
    }
}

#[test]
fn both_spellings_of_the_region_work_and_a_group_becomes_a_region() {
    let mut stage = Stage::new(calm());
    let body = json!({ "name": "old", "db_pass": PASSWORD, "organization_slug": "acme",
        "region": "ap-south-1" });
    assert_eq!(stage.post("/v1/projects", body).body["region"], "ap-south-1");
    for _ in 0..5 {
        let name = stage.world.projects().count().to_string();
        let mut body = order("acme", &name);
        body["region_selection"] = json!({ "type": "smartGroup", "code": "emea" });
        let created = stage.post("/v1/projects", body);
        assert!(created.body["region"].as_str().unwrap().starts_with("eu-"), "{created:?}");
    }
}

#[test]
fn names_are_unique_within_an_organization_only() {
    let mut stage = Stage::new(calm());
    stage.create("orders");
    let refused = stage.post("/v1/projects", order("acme", "orders"));
    assert_eq!(refused.status, 400);
    assert!(refused.message().ends_with("already exists in your organization."));
    stage.create_in("free", "orders");
    stage.create("Orders");
    assert_eq!(stage.world.projects().count(), 3);
}

#[test]
fn the_status_of_a_name_conflict_and_uniqueness_itself_are_switchable() {
    let mut stage = Stage::new(Config { name_conflict_status: 409, ..calm() });
    stage.create("orders");
    assert_eq!(stage.post("/v1/projects", order("acme", "orders")).status, 409);
    stage.world.config_mut().names_unique = false;
    stage.create("orders");
    assert_eq!(stage.world.projects().count(), 2);
}

#[test]
fn a_project_that_goes_down_holds_its_name_until_it_is_gone_or_not() {
    for (held, status) in [(true, 400), (false, 201)] {
        let mut stage = Stage::new(Config { deleted_names_held: held, ..slow() });
        let reference = stage.create("orders");
        stage.pass_seconds(90);
        stage.delete(&format!("/v1/projects/{reference}"));
        let again = stage.post("/v1/projects", order("acme", "orders"));
        assert_eq!(again.status, status);
        stage.pass_seconds(30);
        assert!(stage.world.project(&reference).unwrap().gone);
        if held {
            stage.create("orders");
        }
    }
}

#[test]
fn a_branch_does_not_hold_a_name() {
    let mut stage = Stage::new(calm());
    let parent = stage.create("orders");
    stage.world.add_branch(&parent, "feature", stage.now).unwrap();
    stage.create("feature");
}

#[test]
fn organizations_out_of_reach_refuse() {
    let mut stage = Stage::new(calm());
    assert_eq!(stage.post("/v1/projects", order("foreign", "x")).status, 403);
    assert_eq!(stage.post("/v1/projects", order("nowhere", "x")).status, 404);
    let limited = stage
        .world
        .add_pat(Pat::for_projects(&["a"], Permissions { write: true, ..Permissions::default() }));
    let refused = stage.ask_as(&limited, "POST", "/v1/projects", Some(order("acme", "x")));
    assert_eq!(refused.status, 403);
    assert_eq!(stage.world.ledger().created().count(), 0);
}

#[test]
fn a_body_under_another_type_is_no_body() {
    let mut stage = Stage::new(calm());
    let request = http::Request::post("/v1/projects")
        .header("authorization", crate::stage::bearer(&stage.token))
        .header("content-type", "text/plain")
        .body(order("acme", "orders").to_string().into())
        .unwrap();
    assert_eq!(stage.send(&request).status, 400);
    let (mut parts, _) = request.into_parts();
    parts.headers.insert("content-type", "application/json".parse().unwrap());
    let request = http::Request::from_parts(parts, "{".into());
    assert_eq!(stage.send(&request).status, 400);
    assert_eq!(stage.world.projects().count(), 0);
}

#[test]
fn two_creates_with_different_names_make_two_projects() {
    let mut stage = Stage::new(calm());
    let (one, two) = (stage.create("one"), stage.create("two"));
    assert_ne!(one, two);
    assert_eq!(stage.world.ledger().created().collect::<Vec<_>>(), [one, two]);
}

#[test]
fn the_ledger_names_what_was_ordered() {
    let mut stage = Stage::new(calm());
    let mut body = order("acme", "orders");
    body["desired_instance_size"] = json!("small");
    stage.post("/v1/projects", body);
    let effect = &stage.world.ledger().accepted().last().unwrap().effect;
    let Effect::Created { organization, name, region, size, .. } = effect else {
        panic!("{effect:?}")
    };
    assert_eq!((organization.as_str(), name.as_str()), ("acme", "orders"));
    assert_eq!((region.as_str(), size.as_deref()), ("eu-central-1", Some("small")));
}

#[test]
fn visibility_may_lag_in_the_lists_and_in_the_get() {
    let config = Config {
        list_visibility_lag: Duration::from_secs(30),
        get_visibility_lag: Duration::from_secs(10),
        ..slow()
    };
    let mut stage = Stage::new(config);
    let reference = stage.create("orders");
    let path = format!("/v1/projects/{reference}");
    let listed = |stage: &mut Stage| {
        let paged =
            stage.get("/v1/organizations/acme/projects").body["pagination"]["count"].clone();
        let all = stage.get("/v1/projects").body.as_array().unwrap().len();
        assert_eq!(paged, json!(all));
        all
    };
    assert_eq!((stage.get(&path).status, listed(&mut stage)), (404, 0));
    stage.pass_seconds(10);
    assert_eq!((stage.get(&path).status, listed(&mut stage)), (200, 0));
    stage.pass_seconds(20);
    assert_eq!(listed(&mut stage), 1);
    // An invisible name is taken all the same.
    stage.create("second");
    assert_eq!(stage.post("/v1/projects", order("acme", "second")).status, 400);
}
