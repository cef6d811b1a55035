//! Pausing and restoring.

use simulated_platform::{Config, Plan, Status};

use crate::lifecycle::at;
use crate::stage::{Stage, slow};

#[test]
fn pausing_is_for_active_free_projects() {
    let mut stage = Stage::new(slow());
    let (free, paid) = (stage.create_in("free", "one"), stage.create("two"));
    assert_eq!(stage.poke(&format!("{}/pause", at(&free))).status, 400);
    stage.pass_seconds(90);
    assert_eq!(stage.poke(&format!("{}/pause", at(&paid))).status, 400);
    let paused = stage.poke(&format!("{}/pause", at(&free)));
    assert_eq!((paused.status, paused.text.as_str()), (200, ""));
    assert_eq!(paused.header("content-type"), "");
    assert_eq!(stage.status(&free), "PAUSING");
    stage.pass_seconds(60);
    assert_eq!(stage.status(&free), "INACTIVE");
    assert_eq!(stage.poke(&format!("{}/pause", at(&free))).status, 400);
}

#[test]
fn restoring_is_for_paused_projects_and_meets_the_quota() {
    let mut stage = Stage::new(slow());
    let reference = stage.create_in("free", "one");
    stage.pass_seconds(90);
    let refused = stage.poke(&format!("{}/restore", at(&reference)));
    assert_eq!(refused.status, 400);
    assert!(refused.message().contains("ACTIVE_HEALTHY"), "{}", refused.message());
    stage.poke(&format!("{}/pause", at(&reference)));
    let refused = stage.poke(&format!("{}/restore", at(&reference)));
    assert!(
        refused.message().contains("no longer in a paused state")
            && refused.message().contains("PAUSING")
    );
    stage.pass_seconds(60);
    stage.create_in("free", "two");
    stage.create_in("free", "three");
    let refused = stage.poke(&format!("{}/restore", at(&reference)));
    assert_eq!(refused.status, 403);
    assert!(refused.message().starts_with("The following organization members have reached"));
    stage.world.set_plan("free", Plan::Pro);
    let restored = stage.poke(&format!("{}/restore", at(&reference)));
    assert_eq!((restored.status, restored.text.as_str()), (200, ""));
    assert_eq!(stage.status(&reference), "RESTORING");
    stage.pass_seconds(120);
    assert_eq!(stage.status(&reference), "ACTIVE_HEALTHY");
}

#[test]
fn a_restore_may_be_shown_as_coming_up() {
    let mut stage = Stage::new(Config { restore_status: Status::ComingUp, ..slow() });
    let reference = stage.create_in("free", "one");
    stage.pass_seconds(90);
    stage.world.set_status(&reference, Status::Inactive, stage.now);
    stage.poke(&format!("{}/restore", at(&reference)));
    assert_eq!(stage.status(&reference), "COMING_UP");
    stage.pass_seconds(119);
    assert_eq!(stage.status(&reference), "COMING_UP");
    stage.pass_seconds(1);
    assert_eq!(stage.status(&reference), "ACTIVE_HEALTHY");
}

#[test]
fn a_restore_can_be_called_off() {
    let mut stage = Stage::new(slow());
    let reference = stage.create_in("free", "one");
    stage.pass_seconds(90);
    let cancel = format!("{}/restore/cancel", at(&reference));
    assert_eq!(stage.poke(&cancel).status, 400);
    stage.world.set_status(&reference, Status::Inactive, stage.now);
    stage.poke(&format!("{}/restore", at(&reference)));
    assert_eq!(stage.poke(&cancel).status, 200);
    stage.pass_seconds(600);
    assert_eq!(stage.status(&reference), "INACTIVE");
}

#[test]
fn a_restored_project_has_its_keys_and_its_pooler_at_once_and_its_services_later() {
    let mut stage = Stage::new(slow());
    let reference = stage.create_in("free", "one");
    stage.pass_seconds(200);
    stage.poke(&format!("{}/pause", at(&reference)));
    stage.pass_seconds(60);
    stage.poke(&format!("{}/restore", at(&reference)));
    stage.pass_seconds(120);
    for path in ["api-keys", "config/database/pooler"] {
        assert_eq!(stage.get(&format!("{}/{path}", at(&reference))).status, 200, "{path}");
    }
    let health = stage.get(&format!("{}/health?services=storage", at(&reference)));
    assert_eq!(health.body[0]["status"], "UNHEALTHY");
}

#[test]
fn a_restore_can_fall_back() {
    let mut stage = Stage::new(slow());
    let reference = stage.create_in("free", "one");
    stage.pass_seconds(90);
    stage.poke(&format!("{}/pause", at(&reference)));
    stage.pass_seconds(60);
    stage.world.next_restores_fail(1);
    for ends_as in ["INACTIVE", "ACTIVE_HEALTHY"] {
        assert_eq!(stage.poke(&format!("{}/restore", at(&reference))).status, 200);
        assert_eq!(stage.status(&reference), "RESTORING");
        stage.pass_seconds(120);
        assert_eq!(stage.status(&reference), ends_as);
    }
}
