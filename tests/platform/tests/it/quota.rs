//! What a plan allows: active free projects per user, and sizes.

use serde_json::json;
use simulated_platform::Plan;

use crate::stage::{Stage, calm, order, slow};

#[test]
fn a_free_user_has_two_places_over_all_free_organizations() {
    let mut stage = Stage::new(calm());
    stage.world.add_organization("free2", "Free too", Plan::Free);
    let first = stage.create_in("free", "one");
    stage.create_in("free2", "two");
    let refused = stage.post("/v1/projects", order("free", "three"));
    assert_eq!(refused.status, 400);
    assert!(refused.message().contains("maximum limits for the number of active free projects"));
    assert!(refused.message().contains("owner (2 project limit)"));
    // Paid projects neither count nor are counted.
    stage.create("paid");
    // A paused project makes room.
    stage.poke(&format!("/v1/projects/{first}/pause"));
    stage.create_in("free", "three");
    stage.world.config_mut().quota_status = 403;
    assert_eq!(stage.post("/v1/projects", order("free", "four")).status, 403);
}

#[test]
fn the_quota_looks_at_every_member() {
    let mut stage = Stage::new(calm());
    stage.world.add_foreign_organization("theirs", "Theirs", Plan::Free, "stranger");
    stage.world.add_foreign_project("theirs", "a", stage.now);
    stage.world.add_foreign_project("theirs", "b", stage.now);
    stage.world.add_member("free", "stranger");
    let refused = stage.post("/v1/projects", order("free", "mine"));
    assert!(refused.message().contains("stranger (2 project limit)"), "{refused:?}");
    stage.world.remove_member("free", "stranger");
    stage.create_in("free", "mine");
}

#[test]
fn a_deleted_project_keeps_its_place_until_it_is_removed() {
    let mut stage = Stage::new(slow());
    let first = stage.create_in("free", "one");
    stage.create_in("free", "two");
    stage.pass_seconds(90);
    stage.delete(&format!("/v1/projects/{first}"));
    assert_eq!(stage.post("/v1/projects", order("free", "three")).status, 400);
    stage.pass_seconds(20);
    stage.create_in("free", "three");
}

#[test]
fn sizes_depend_on_the_plan() {
    let mut stage = Stage::new(calm());
    let mut body = order("free", "big");
    body["desired_instance_size"] = json!("micro");
    assert_eq!(stage.post("/v1/projects", body).status, 402);
    let mut body = order("acme", "small");
    body["desired_instance_size"] = json!("nano");
    assert_eq!(stage.post("/v1/projects", body).status, 400);
    let sizes: Vec<_> = [("free", "a"), ("acme", "b")]
        .into_iter()
        .map(|(organization, name)| {
            let reference = stage.create_in(organization, name);
            stage.world.project(&reference).unwrap().size.clone()
        })
        .collect();
    assert_eq!(sizes, ["nano", "micro"]);
}
