//! `GET /v1/projects/{ref}/health` with its quirks.

use serde_json::{Value, json};
use simulated_platform::{Config, Status};

use crate::stage::{Stage, slow};

const ALL: &str = "auth,db,db_postgres_user,pooler,realtime,rest,storage,pg_bouncer";

fn health(stage: &mut Stage, reference: &str, services: &str) -> Value {
    let answer = stage.get(&format!("/v1/projects/{reference}/health?services={services}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

fn unhealthy(body: &Value) -> Vec<&str> {
    let list = body.as_array().unwrap();
    list.iter()
        .filter(|service| service["status"] != "ACTIVE_HEALTHY")
        .map(|service| service["name"].as_str().unwrap())
        .collect()
}

#[test]
fn services_come_up_one_after_the_other_behind_the_project() {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    assert_eq!(unhealthy(&health(&mut stage, &reference, ALL)).len(), 8);
    stage.pass_seconds(90);
    assert_eq!(stage.status(&reference), "ACTIVE_HEALTHY");
    let mut counts = Vec::new();
    for _ in 0..4 {
        counts.push(unhealthy(&health(&mut stage, &reference, ALL)).len());
        stage.pass_seconds(4);
    }
    assert!(counts.is_sorted_by(|before, after| before >= after), "{counts:?}");
    assert!(counts[0] > 0, "{counts:?}");
    assert_eq!(unhealthy(&health(&mut stage, &reference, ALL)), Vec::<&str>::new());
}

#[test]
fn a_young_pooler_is_not_found_in_a_string_that_holds_json() {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    let body = health(&mut stage, &reference, "pooler");
    assert_eq!(body[0]["status"], "UNHEALTHY");
    assert_eq!(body[0]["error"], "{\"error\":\"not found\"}");
}

#[test]
fn other_errors_are_plain_text() {
    let mut stage = Stage::new(slow());
    let reference = stage.create_in("free", "orders");
    stage.pass_seconds(90);
    let transient = "Failed to retrieve project's storage service health";
    assert_eq!(health(&mut stage, &reference, "storage")[0]["error"], transient);
    stage.pass_seconds(60);
    stage.world.set_status(&reference, Status::Inactive, stage.now);
    let body = health(&mut stage, &reference, "db,auth");
    assert_eq!(body[0]["error"], "Failed to retrieve project's db service health");
    assert_eq!(unhealthy(&body), ["db", "auth"]);
}

#[test]
fn rest_is_unhealthy_when_the_data_api_is_off() {
    let mut stage = Stage::new(Config { services_lag: std::time::Duration::ZERO, ..slow() });
    let reference = stage.create("orders");
    stage.pass_seconds(120);
    assert_eq!(unhealthy(&health(&mut stage, &reference, ALL)), Vec::<&str>::new());
    stage.patch(&format!("/v1/projects/{reference}/postgrest"), json!({ "db_schema": "" }));
    assert_eq!(unhealthy(&health(&mut stage, &reference, ALL)), ["rest"]);
}

#[test]
fn both_spellings_of_the_list_are_taken_in_the_order_asked() {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    let names = |body: &Value| -> Vec<String> {
        let list = body.as_array().unwrap();
        list.iter().map(|service| service["name"].as_str().unwrap().to_owned()).collect()
    };
    let commas = health(&mut stage, &reference, "rest,auth");
    let repeated = health(&mut stage, &reference, "rest&services=auth");
    assert_eq!(names(&commas), ["rest", "auth"]);
    assert_eq!(names(&repeated), ["rest", "auth"]);
}

#[test]
fn bad_questions_are_refused() {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    let long = "?services=db&timeout_ms=10001";
    for query in ["", "?services=", "?services=vault", long, "?services=db&timeout_ms=x"] {
        let answer = stage.get(&format!("/v1/projects/{reference}/health{query}"));
        assert_eq!(answer.status, 400, "{query}");
    }
}

#[test]
fn the_details_differ_by_service() {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    stage.pass_seconds(120);
    let body = health(&mut stage, &reference, "auth,realtime,rest,db");
    assert_eq!(body[0]["info"]["name"], "GoTrue");
    assert_eq!(body[1]["info"]["connected_cluster"], 1);
    assert_eq!(body[2]["info"]["db_schema"], "public,graphql_public");
    assert!(body[3].get("info").is_none());
}
