//! The status life cycle: coming up, renaming, deleting, pausing, restoring, restarting, and failing.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use simulated_platform::{Config, Fate, Gone, Limiter, WhileComingUp};

use crate::stage::{Stage, calm, order, slow};

pub fn at(reference: &str) -> String {
    format!("/v1/projects/{reference}")
}

#[test]
fn a_project_becomes_active_after_the_configured_time_and_not_before() {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    stage.pass(Duration::from_millis(89_999));
    assert_eq!(stage.status(&reference), "COMING_UP");
    stage.pass(Duration::from_millis(1));
    assert_eq!(stage.status(&reference), "ACTIVE_HEALTHY");
}

#[test]
fn an_instant_platform_is_ready_with_the_answer() {
    let mut stage = Stage::new(calm());
    let reference = stage.create("orders");
    assert_eq!(stage.status(&reference), "ACTIVE_HEALTHY");
    assert_eq!(stage.get(&format!("{}/api-keys", at(&reference))).status, 200);
    assert_eq!(stage.get(&format!("{}/config/database/pooler", at(&reference))).status, 200);
}

#[test]
fn a_creation_may_be_stuck_until_somebody_helps() {
    let mut stage = Stage::new(slow());
    stage.world.next_creation(Fate::Stuck);
    let (stuck, fine) = (stage.create("stuck"), stage.create("fine"));
    stage.pass_seconds(86_400);
    assert_eq!(stage.status(&stuck), "COMING_UP");
    assert_eq!(stage.status(&fine), "ACTIVE_HEALTHY");
    stage.world.unstick(&stuck, stage.now);
    assert_eq!(stage.status(&stuck), "ACTIVE_HEALTHY");
}

#[test]
fn a_creation_may_fail_and_then_takes_no_free_place() {
    let mut stage = Stage::new(slow());
    stage.world.next_creation(Fate::InitFailed);
    let failed = stage.create_in("free", "failed");
    stage.pass_seconds(90);
    assert_eq!(stage.status(&failed), "INIT_FAILED");
    stage.pass_seconds(86_400);
    assert_eq!(stage.status(&failed), "INIT_FAILED");
    stage.create_in("free", "one");
    stage.create_in("free", "two");
    assert_eq!(stage.get(&format!("{}/api-keys", at(&failed))).status, 400);
    assert_eq!(stage.delete(&at(&failed)).status, 200);
}

#[test]
fn any_transition_may_be_stuck() {
    let mut stage = Stage::new(slow());
    let reference = stage.create_in("free", "orders");
    stage.pass_seconds(90);
    stage.poke(&format!("{}/pause", at(&reference)));
    stage.world.stick(&reference);
    stage.pass_seconds(86_400);
    assert_eq!(stage.status(&reference), "PAUSING");
    stage.world.unstick(&reference, stage.now);
    stage.pass_seconds(60);
    assert_eq!(stage.status(&reference), "INACTIVE");
}

#[test]
fn a_stuck_project_stays_in_whatever_status_it_is_put() {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    stage.pass_seconds(90);
    stage.world.stick(&reference);
    stage.world.delete_by_hand(&reference, stage.now);
    stage.pass_seconds(86_400);
    assert_eq!(stage.status(&reference), "GOING_DOWN");
    stage.world.unstick(&reference, stage.now);
    stage.pass_seconds(30);
    assert!(stage.world.project(&reference).unwrap().gone);
}

#[test]
fn a_free_project_may_pause_by_itself_and_a_paid_one_does_not() {
    let config = Config { spontaneous_pause: Some(Duration::from_secs(604_800)), ..slow() };
    let mut stage = Stage::new(config);
    let (free, paid) = (stage.create_in("free", "quiet"), stage.create("busy"));
    stage.pass_seconds(90 + 604_799);
    assert_eq!(stage.status(&free), "ACTIVE_HEALTHY");
    stage.pass_seconds(1);
    assert_eq!(stage.status(&free), "PAUSING");
    stage.pass_seconds(60);
    assert_eq!(
        (stage.status(&free), stage.status(&paid)),
        ("INACTIVE".into(), "ACTIVE_HEALTHY".into())
    );
    // Restored, it falls asleep again a week later.
    stage.poke(&format!("{}/restore", at(&free)));
    stage.pass_seconds(120);
    assert_eq!(stage.status(&free), "ACTIVE_HEALTHY");
    stage.pass_seconds(604_860);
    assert_eq!(stage.status(&free), "INACTIVE");
}

#[test]
fn renaming_takes_one_field_and_a_free_name() {
    let mut stage = Stage::new(calm());
    let reference = stage.create("orders");
    stage.create("taken");
    let renamed = stage.patch(&at(&reference), json!({ "name": "sales" }));
    assert_eq!((renamed.status, &renamed.body["name"]), (200, &json!("sales")));
    assert_eq!(stage.get(&at(&reference)).body["name"], "sales");
    // Its own name is free for itself, its old one for everybody.
    assert_eq!(stage.patch(&at(&reference), json!({ "name": "sales" })).status, 200);
    stage.create("orders");
    for bad in [
        json!({ "name": "taken" }),
        json!({ "name": "a.b" }),
        json!({ "name": "" }),
        json!({}),
        json!({ "name": "x", "region": "us-east-1" }),
        json!({ "name": "n".repeat(257) }),
    ] {
        assert_eq!(stage.patch(&at(&reference), bad.clone()).status, 400, "{bad}");
    }
    assert_eq!(stage.get(&at(&reference)).body["name"], "sales");
}

#[test]
fn a_project_can_be_renamed_while_it_is_coming_up() {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    assert_eq!(stage.patch(&at(&reference), json!({ "name": "sales" })).status, 200);
}

#[test]
fn deleting_goes_down_then_removed_then_gone() {
    let removed = "Resource has been removed";
    for (gone, status, message) in [
        (Gone::NotFound, 404, "Project not found"),
        (Gone::Removed, 400, removed),
        (Gone::RemovedNotFound, 404, removed),
    ] {
        let mut stage = Stage::new(Config { gone, ..slow() });
        let reference = stage.create("orders");
        stage.pass_seconds(90);
        let deleted = stage.delete(&at(&reference));
        assert_eq!((deleted.status, &deleted.body["slug"]), (200, &json!("acme")));
        assert_eq!(stage.status(&reference), "GOING_DOWN");
        // While it goes down, nothing else can be done with it.
        for path in ["", "/api-keys", "/config/database/pooler"] {
            let method = if path.is_empty() { "DELETE" } else { "GET" };
            assert_eq!(
                stage.ask(method, &format!("{}{path}", at(&reference)), None).status,
                status
            );
        }
        stage.pass_seconds(20);
        assert_eq!(stage.status(&reference), "REMOVED");
        stage.pass_seconds(10);
        assert_eq!(stage.get(&at(&reference)).status, status);
        assert!(stage.get("/v1/projects").body.as_array().unwrap().is_empty());
        assert_eq!(stage.get(&at(&reference)).message(), message);
    }
}

#[test]
fn a_project_that_is_coming_up_may_refuse_its_deletion() {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    let refused = stage.delete(&at(&reference));
    assert_eq!((refused.status, refused.message()), (400, "Project not ready for deletion."));
    stage.world.config_mut().delete_while_coming_up = WhileComingUp::Accept;
    assert_eq!(stage.delete(&at(&reference)).status, 200);
    stage.pass_seconds(90);
    assert!(stage.world.project(&reference).unwrap().gone);
}

#[test]
fn restarting_comes_back_by_itself() {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    assert_eq!(stage.poke(&format!("{}/restart", at(&reference))).status, 400);
    stage.pass_seconds(90);
    let restarted = stage.poke(&format!("{}/restart", at(&reference)));
    assert_eq!((restarted.status, restarted.text.as_str()), (200, ""));
    assert_eq!(stage.status(&reference), "RESTARTING");
    stage.pass_seconds(30);
    assert_eq!(stage.status(&reference), "ACTIVE_HEALTHY");
}

#[test]
fn what_a_hand_does_in_the_dashboard_shows_and_is_told_apart() {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    stage.pass_seconds(90);
    stage.world.rename_by_hand(&reference, "renamed", stage.now);
    assert_eq!(stage.get(&at(&reference)).body["name"], "renamed");
    stage.world.pause_by_hand(&reference, stage.now);
    stage.pass_seconds(60);
    assert_eq!(stage.status(&reference), "INACTIVE");
    stage.world.restore_by_hand(&reference, stage.now);
    stage.pass_seconds(120);
    assert_eq!(stage.status(&reference), "ACTIVE_HEALTHY");
    stage.world.transfer_by_hand(&reference, "free");
    assert_eq!(stage.get(&at(&reference)).body["organization_slug"], "free");
    stage.world.transfer_by_hand(&reference, "foreign");
    assert_eq!(stage.get(&at(&reference)).status, 403);
    stage.world.transfer_by_hand(&reference, "acme");
    stage.world.delete_by_hand(&reference, stage.now);
    assert_eq!(stage.status(&reference), "GOING_DOWN");
    let by_hand = stage
        .world
        .ledger()
        .accepted()
        .iter()
        .filter(|accepted| accepted.by == simulated_platform::Identity::Dashboard)
        .count();
    assert_eq!(by_hand, 4);
}

#[test]
fn every_accepted_change_is_in_the_ledger_once_and_refused_ones_are_not() {
    let mut stage = Stage::new(calm());
    let reference = stage.create_in("free", "one");
    stage.patch(&at(&reference), json!({ "name": "a.b" }));
    stage.patch(&at(&reference), json!({ "name": "two" }));
    stage.poke(&format!("{}/restart", at(&reference)));
    stage.poke(&format!("{}/pause", at(&reference)));
    stage.poke(&format!("{}/pause", at(&reference)));
    stage.poke(&format!("{}/restore", at(&reference)));
    stage.delete(&at(&reference));
    stage.delete(&at(&reference));
    let kinds: Vec<_> = stage
        .world
        .ledger()
        .accepted()
        .iter()
        .map(|accepted| format!("{:?}", accepted.effect))
        .map(|effect| effect.split(' ').next().unwrap().to_lowercase())
        .collect();
    assert_eq!(kinds, ["created", "renamed", "restarted", "paused", "restored", "deleted"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// State depends on when it is asked about, never on how often.
    #[test]
    fn asking_more_often_changes_nothing(
        steps in proptest::collection::vec((0u8..8, 0u64..200), 1..30),
    ) {
        let run = |curious: bool| {
            let mut stage = Stage::new(Config {
                spontaneous_pause: Some(Duration::from_secs(300)),
                limiter: Limiter::Off,
                ..Config::default()
            });
            let reference = stage.create_in("free", "one");
            let mut shown = Vec::new();
            for (step, seconds) in &steps {
                for _ in 0..*seconds {
                    stage.now = stage.now.checked_add(Duration::from_secs(1)).unwrap();
                    if curious {
                        stage.world.tick(stage.now);
                    }
                }
                let path = at(&reference);
                let answer = match step {
                    0 => stage.poke(&format!("{path}/pause")),
                    1 => stage.poke(&format!("{path}/restore")),
                    2 => stage.poke(&format!("{path}/restart")),
                    3 => stage.get(&format!("{path}/api-keys?reveal=true")),
                    4 => stage.get(&format!("{path}/health?services=db&services=pooler")),
                    5 => stage.post("/v1/projects", order("free", "two")),
                    6 => stage.patch(
                        &format!("{path}/database/password"),
                        json!({ "password": format!("password-{seconds}") }),
                    ),
                    _ => stage.get("/v1/projects"),
                };
                shown.push((answer.status, answer.text));
                shown.push((0, stage.world.accepted_password(&reference).unwrap().to_owned()));
            }
            shown
        };
        prop_assert_eq!(run(true), run(false));
    }
}
