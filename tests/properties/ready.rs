//! `Ready` changes only when a workload would notice.

use std::time::Duration;

use serde_json::json;
use simulated_platform::{Config, Fault, FaultKind};

use crate::sim::{Driver, Ending, Faults, PROJECTS, Scene, Seed, simulate};

const LIMIT: Duration = Duration::from_secs(4 * 3600);

async fn until(scene: &Scene, done: impl Fn(&Scene) -> bool) {
    let driver = Driver::new(scene);
    let ending = driver.run(&Faults::new(&[]), LIMIT, done, |_, _| {}).await;
    assert!(matches!(ending, Ending::Done(_)), "{:#?}", scene.stored("orders"));
}

/// How often a status said that a project is not ready.
fn unready(scene: &Scene) -> usize {
    let api = scene.api();
    let writes = api.ledger().writes().iter();
    let said = writes.filter(|write| {
        let after = write.after.as_ref();
        let ready = after.and_then(|object| Scene::condition(object, "Ready"));
        write.name == "orders" && ready.is_some_and(|(status, _)| status == "False")
    });
    said.count()
}

#[test]
fn a_rename_that_fails_leaves_a_ready_project_ready() {
    simulate(async || {
        let seed = Seed { platform: Config::instant(), random: 5, oauth: false };
        let scene = Scene::new(&seed);
        scene.project("orders", json!({}));
        until(&scene, |scene| scene.is_ready("orders")).await;
        let before = unready(&scene);
        for status in [503, 500, 403] {
            let failed = FaultKind::Status(status, "{}".to_owned());
            let renaming = Fault::on("PATCH", "/v1/projects/*", failed);
            scene.world().script(renaming.times(4));
        }
        let renamed = json!({"spec": {"projectName": "renamed"}});
        assert!(scene.api().change_by_hand(&format!("{PROJECTS}/orders"), &renamed));
        until(&scene, |scene| {
            let object = scene.stored("orders").unwrap_or_default();
            scene.is_ready("orders") && object["status"]["projectName"] == "renamed"
        })
        .await;
        assert_eq!(unready(&scene), before);
    });
}
