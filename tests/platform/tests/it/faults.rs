//! Scripted faults, without sockets.

use std::time::Duration;

use serde_json::json;
use simulated_platform::{Delivery, Fault, FaultKind};

use crate::stage::{Seen, Stage, calm, order};

/// Creates a project under a fault, and says how many were created.
fn create_under(fault: Fault) -> (Seen, usize) {
    let mut stage = Stage::new(calm());
    stage.world.script(fault);
    let seen = stage.post("/v1/projects", order("acme", "orders"));
    assert_eq!(stage.world.pending_faults(), 0);
    (seen, stage.world.projects().count())
}

fn on(kind: FaultKind) -> Fault {
    Fault::on("POST", "/v1/projects", kind)
}

#[test]
fn some_faults_swallow_the_request_and_some_come_after_its_effect() {
    let gone = || FaultKind::Status(503, "{}".to_owned());
    let cases = [
        (on(gone()), 503, 0),
        (on(gone()).after_effect(), 503, 1),
        (on(FaultKind::Html(502)), 502, 0),
        (on(FaultKind::RetryAfter(429, "9".to_owned())), 429, 0),
        (on(FaultKind::Redirect(302, "http://other/".to_owned())), 302, 0),
        (on(FaultKind::Garbage), 201, 1),
        (on(FaultKind::Body("[]".to_owned())), 201, 1),
    ];
    for (fault, status, created) in cases {
        let (seen, count) = create_under(fault.clone());
        assert_eq!((seen.status, count), (status, created), "{fault:?}");
        assert_eq!(seen.delivery, Delivery::Now);
    }
}

#[test]
fn deliveries_are_told_to_whoever_realises_them() {
    let second = Duration::from_secs(1);
    let cases = [
        (FaultKind::Delay(second), Delivery::After(second), 1),
        (FaultKind::Stall, Delivery::Stall, 0),
        (FaultKind::DropBefore, Delivery::DropBeforeEffect, 0),
        (FaultKind::DropAfter, Delivery::DropAfterEffect, 1),
        (FaultKind::Reset, Delivery::Reset, 0),
        (FaultKind::ResetMidBody(4), Delivery::ResetMidBody { after_bytes: 4 }, 1),
        (FaultKind::Truncate(4), Delivery::Truncated { after_bytes: 4 }, 1),
        (FaultKind::Trickle(9), Delivery::Trickle { bytes_per_second: 9 }, 1),
        (FaultKind::Huge(99), Delivery::Padded { bytes: 99 }, 1),
    ];
    for (kind, delivery, created) in cases {
        let (seen, count) = create_under(on(kind));
        assert_eq!((seen.delivery, count), (delivery, created));
    }
    // A stall may also come after the effect.
    let (seen, count) = create_under(on(FaultKind::Stall).after_effect());
    assert_eq!((seen.delivery, count), (Delivery::Stall, 1));
}

#[test]
fn gateway_pages_are_html_of_a_gateway() {
    for status in [502, 503, 504, 520] {
        let (seen, _) = create_under(on(FaultKind::Html(status)));
        assert_eq!(seen.status, status);
        assert_eq!(seen.header("content-type"), "text/html");
        assert_eq!(seen.header("server"), "cloudflare");
        assert!(seen.text.contains(&status.to_string()));
    }
}

#[test]
fn merges_change_objects_and_every_element_of_a_list() {
    let mut stage = Stage::new(calm());
    let reference = stage.create("orders");
    let path = format!("/v1/projects/{reference}");
    let change = json!({ "status": "HIBERNATING", "database": null, "extra": { "a": 1 } });
    stage.world.script(Fault::on("GET", &path, FaultKind::Merge(change)));
    let seen = stage.get(&path);
    assert_eq!(seen.body["status"], "HIBERNATING");
    assert_eq!(seen.body["extra"]["a"], 1);
    assert!(seen.body.get("database").is_none());
    assert_eq!(seen.body["name"], "orders");
    stage.world.script(Fault::on("GET", "/v1/projects", FaultKind::Merge(json!({ "name": null }))));
    let list = stage.get("/v1/projects");
    assert!(list.body[0].get("name").is_none());
}

#[test]
fn a_wrong_ref_looks_right_and_is_another() {
    let mut stage = Stage::new(calm());
    stage.world.script(on(FaultKind::WrongRef));
    let created = stage.post("/v1/projects", order("acme", "orders"));
    let truth = stage.world.projects().next().unwrap().reference.clone();
    let shown = created.body["ref"].as_str().unwrap().to_owned();
    assert_ne!(shown, truth);
    assert_eq!(shown.len(), 20);
    assert_eq!(created.body["id"], shown.as_str());
    for path in [format!("/v1/projects/{truth}"), "/v1/organizations/acme/projects".to_owned()] {
        stage.world.script(Fault::on("GET", &path, FaultKind::WrongRef));
        let seen = stage.get(&path);
        assert!(!seen.text.contains(&truth), "{path}");
    }
}

#[test]
fn faults_do_not_disturb_what_the_seed_decides() {
    let run = |fault: Option<Fault>| {
        let mut stage = Stage::new(calm());
        if let Some(fault) = fault {
            stage.world.script(fault);
        }
        stage.post("/v1/projects", order("acme", "orders"));
        stage.create("second")
    };
    let plain = run(None);
    assert_eq!(run(Some(on(FaultKind::DropAfter))), plain);
    assert_eq!(run(Some(on(FaultKind::Html(502)).after_effect())), plain);
}

#[test]
fn faults_are_consumed_in_order_and_only_where_they_match() {
    let mut stage = Stage::new(calm());
    let list = "/v1/organizations/*/projects";
    stage.world.script(Fault::on("GET", list, FaultKind::Html(502)).skip(1).times(2));
    stage.world.script(Fault::on("*", "/v1/**", FaultKind::Status(500, "{}".to_owned())).skip(3));
    let path = "/v1/organizations/acme/projects?limit=10";
    let statuses: Vec<u16> = (0..5).map(|_| stage.get(path).status).collect();
    assert_eq!(statuses, [200, 502, 502, 200, 200]);
    assert_eq!(stage.world.pending_faults(), 1);
    stage.world.clear_script();
    assert_eq!(stage.world.pending_faults(), 0);
}

#[test]
fn scripted_answers_say_so_and_true_ones_do_too() {
    let mut stage = Stage::new(calm());
    stage.world.script(Fault::on("GET", "/v1/projects", FaultKind::Delay(Duration::ZERO)));
    stage.get("/v1/projects");
    stage.get("/v1/projects");
    let flags: Vec<bool> = stage.log.iter().map(|(_, answer)| answer.scripted).collect();
    assert_eq!(flags, [true, false]);
}
