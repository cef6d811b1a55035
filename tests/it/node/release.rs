//! The life of a release whose operator runs as Pods: restarted amid work, upgraded, and uninstalled.

use serde_json::{Value, json};
use simulated_platform::Config;
use tokio::process::Command;
use tokio::time::Instant;

use super::PATIENCE;
use crate::support::cluster::condition;
use crate::support::cluster::kinds::{CONNECTION, PROJECT, SECRET};
use crate::support::eventually::eventually;
use crate::support::leaks::assert_no_leaks;
use crate::support::node::{Node, on_a_node, said};
use crate::support::programs::{ensure, repository, succeed};
use crate::support::samples::{oauth_connection, project};

const NAME: &str = "supabase-operator";
const PROJECTS: usize = 8;

/// A program that acts on the release.
pub(super) async fn command(node: &Node, program: &str, arguments: &[&str]) -> Command {
    let mut command = node.stage.plane.command(&ensure(program).await);
    command.args(arguments).args(["--namespace", &node.stage.system.namespace]);
    command
}

#[test]
fn a_restart_amid_work_makes_nothing_twice_and_an_uninstall_takes_nothing_away() {
    let name = "node::release::a_restart_amid_work_makes_nothing_twice_and_an_uninstall_takes_nothing_away";
    on_a_node(name, async || {
        // A user whom the image does not know, as OpenShift gives each namespace one.
        let security = json!({"runAsUser": 1_000_670_000, "runAsGroup": 0});
        let values = json!({"replicas": 2, "podSecurityContext": security});
        let node = Node::with(Config::fast(), &values).await;
        let cluster = &node.stage.cluster;
        cluster.apply(oauth_connection("acme")).await;
        cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
        let names: Vec<_> = (0..PROJECTS).map(|number| format!("project-{number}")).collect();
        let deployment = format!("deployment/{NAME}");
        for name in &names {
            cluster.apply(project(name)).await;
        }
        let begun = Instant::now();
        succeed(command(&node, "kubectl", &["rollout", "restart", &deployment]).await).await;
        let status = ["rollout", "status", &deployment, "--timeout=55s"];
        succeed(command(&node, "kubectl", &status).await).await;
        said("kubectl rollout restart has ended", begun);
        let ready =
            |object: &Value| (condition(object, "Ready")?["status"] == "True").then_some(());
        for name in &names {
            cluster.wait_for(PROJECT, name, "Ready", PATIENCE, ready).await;
        }
        said("all projects are Ready", begun);
        assert_eq!(node.stage.platform.created().len(), PROJECTS);

        let begun = Instant::now();
        let chart = repository().join("charts/supabase-operator").display().to_string();
        let upgrade = ["upgrade", NAME, &chart, "--reuse-values", "--set", "logging.level=debug"];
        let upgrade = [&upgrade[..], &["--wait", "--timeout", "55s"]].concat();
        succeed(command(&node, "helm4", &upgrade).await).await;
        said("helm upgrade --wait has ended", begun);
        for name in &names {
            let object = cluster.get(PROJECT, name).await.unwrap();
            assert!(ready(&object).is_some(), "{name} was ready before the upgrade");
        }
        assert_eq!(node.stage.platform.created().len(), PROJECTS);

        let begun = Instant::now();
        let uninstall = ["uninstall", NAME, "--wait", "--timeout", "55s"];
        succeed(command(&node, "helm4", &uninstall).await).await;
        eventually("the end of the Pods", PATIENCE, async || {
            let left = node.operators().await.len();
            if left == 0 { Ok(()) } else { Err(format!("{left} Pods")) }
        })
        .await;
        said("the release is uninstalled", begun);
        assert_eq!(cluster.list(PROJECT).await.len(), PROJECTS);
        assert_eq!(cluster.list(CONNECTION).await.len(), 1);
        assert_eq!(node.stage.platform.project_names().len(), PROJECTS);
        for name in &names {
            let secret = format!("{name}-supabase");
            assert!(cluster.get(SECRET, &secret).await.is_some(), "{secret}");
        }
        assert_no_leaks(&node.stage.platform.canaries(), &node.stage.visible().await);
    });
}
