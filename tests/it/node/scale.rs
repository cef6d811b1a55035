//! Many projects at once, while the Pods of the operator are replaced by others.

use std::time::Duration;

use serde_json::{Value, json};
use simulated_platform::{Config, Limiter};
use tokio::time::Instant;

use super::{PATIENCE, rollout};
use crate::support::cluster::condition;
use crate::support::cluster::kinds::{CONNECTION, PROJECT, SECRET};
use crate::support::eventually::eventually;
use crate::support::leaks::assert_no_leaks;
use crate::support::node::{Node, on_a_node, said};
use crate::support::samples::{oauth_connection, project};

const PROJECTS: usize = 50;
/// Of these, when the restart begins. The others have not been created then.
const BEFORE: usize = 10;
/// A few seconds on an idle machine.
const TOGETHER: Duration = Duration::from_secs(180);

fn is_ready(object: &Value) -> bool {
    condition(object, "Ready").is_some_and(|ready| ready["status"] == "True")
}

#[test]
fn a_restart_amid_fifty_creates_makes_exactly_fifty_projects() {
    let name = "node::scale::a_restart_amid_fifty_creates_makes_exactly_fifty_projects";
    on_a_node(name, async || {
        // A second at least for each: the restart meets them in the middle.
        let config = Config { limiter: Limiter::Off, ..Config::fast() };
        let values = json!({"replicas": 2, "concurrency": 4});
        let node = Node::with(config, &values).await;
        let (cluster, platform) = (&node.stage.cluster, &node.stage.platform);
        cluster.apply(oauth_connection("acme")).await;
        cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
        let pods = node.operators().await;
        let names: Vec<_> = (0..PROJECTS).map(|number| format!("project-{number}")).collect();
        let begun = Instant::now();
        let applying = async {
            for name in &names {
                cluster.apply(project(name)).await;
            }
        };
        let restarting = async {
            eventually("the first creates", PATIENCE, async || {
                let created = platform.created().len();
                if created >= BEFORE { Ok(()) } else { Err(format!("{created} creates")) }
            })
            .await;
            rollout(&node, &["restart"]).await;
            platform.created().len()
        };
        let ((), before) = tokio::join!(applying, restarting);
        assert!(before < PROJECTS, "the restart came too late: all projects were created");
        rollout(&node, &["status", "--timeout=55s"]).await;
        said("kubectl rollout restart has ended", begun);
        eventually("all projects", TOGETHER, async || {
            let objects = cluster.list(PROJECT).await;
            let ready = objects.iter().filter(|object| is_ready(object)).count();
            if ready == PROJECTS { Ok(()) } else { Err(format!("{ready} are Ready")) }
        })
        .await;
        said("all projects are Ready", begun);

        let name_of = |pod: &Value| pod["metadata"]["name"].clone();
        for pod in node.operators().await {
            assert!(!pods.iter().any(|old| name_of(old) == name_of(&pod)), "an old Pod stays");
            assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);
        }
        assert_eq!(platform.created().len(), PROJECTS);
        let mut there = platform.project_names();
        let mut wanted: Vec<_> =
            names.iter().map(|name| format!("{}-{name}", cluster.namespace)).collect();
        there.sort();
        wanted.sort();
        assert_eq!(there, wanted);
        for name in &names {
            let secret = format!("{name}-supabase");
            assert!(cluster.get(SECRET, &secret).await.is_some(), "{secret}");
        }
        assert_no_leaks(&platform.canaries(), &node.stage.visible().await);
        node.stage.finish(vec![]).await;
    });
}
