//! From an earlier release to the present one and back again, while projects are being created.
//!
//! The earlier one is a commit of this repository's history, which `tests/tools/ensure` names: chart, CRDs and operator of before
//! there were settings and `SupabaseAuthConfig`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use simulated_platform::Config;
use tokio::time::Instant;

use super::release::command;
use super::{PATIENCE, readiness};
use crate::support::cluster::kinds::{AUTH_CONFIG, CONNECTION, Kind, PROJECT, SECRET};
use crate::support::cluster::{Cluster, condition};
use crate::support::eventually::eventually;
use crate::support::leaks::assert_no_leaks;
use crate::support::node::{Node, OPERATOR, Setup, on_a_node_with, said};
use crate::support::programs::{ensure, repository, succeed};
use crate::support::samples::{auth_config, oauth_connection, project};

const CRD: Kind = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");
const PROJECTS_CRD: &str = "supabaseprojects.supabase-operator.dev";
const AUTH_CRD: &str = "supabaseauthconfigs.supabase-operator.dev";
const EARLIER: &str = "localhost/supabase-operator:earlier";
const NAME: &str = "supabase-operator";
const FIRST: [&str; 2] = ["orders", "shop"];
const MORE: usize = 8;
/// Long enough that no project is there before the earlier operator ends.
const COMING_UP: Duration = Duration::from_secs(20);

fn is_ready(object: &Value) -> bool {
    condition(object, "Ready").is_some_and(|ready| ready["status"] == "True")
}

/// Waits until these projects are Ready.
async fn all_ready(cluster: &Cluster, names: &[String]) {
    for name in names {
        let ready = |object: &Value| is_ready(object).then_some(());
        cluster.wait_for(PROJECT, name, "Ready", COMING_UP + PATIENCE, ready).await;
    }
}

/// The passwords in the outputs of these projects.
async fn passwords(cluster: &Cluster, names: &[String]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for name in names {
        let data = cluster.data(SECRET, &format!("{name}-supabase")).await.unwrap();
        all.insert(name.clone(), data["SUPABASE_DB_PASSWORD"].clone());
    }
    all
}

/// Whether projects can have settings: the CRD of this release is in force.
async fn knows_settings(cluster: &Cluster) -> bool {
    let crd = cluster.get(CRD, PROJECTS_CRD).await.unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        ["dataAPI"]
        .is_object()
}

/// The image that the only Pod of the operator runs.
async fn image(node: &Node) -> String {
    eventually("one Pod of the operator", PATIENCE, async || {
        let pods = node.operators().await;
        let [pod] = &pods[..] else {
            return Err(format!("{} Pods", pods.len()));
        };
        Ok(pod["spec"]["containers"][0]["image"].as_str().unwrap().to_owned())
    })
    .await
}

/// Runs Helm 4 for the release, waiting for what it does.
async fn helm(node: &Node, arguments: &[&str]) {
    let waited = [arguments, &["--wait", "--timeout", "55s"]].concat();
    let begun = Instant::now();
    succeed(command(node, "helm4", &waited).await).await;
    said(&format!("helm {} --wait has ended", arguments[0]), begun);
}

#[test]
fn an_upgrade_amid_work_makes_nothing_twice_and_can_be_rolled_back() {
    let name = "node::upgrade::an_upgrade_amid_work_makes_nothing_twice_and_can_be_rolled_back";
    on_a_node_with(name, &["earlier"], async || {
        let earlier = ensure("earlier").await;
        let setup = Setup {
            chart: earlier.join("chart"),
            operator: Some((EARLIER, earlier.join("supabase-operator"))),
            ..Setup::default()
        };
        let node = Node::set_up(setup).await;
        let (cluster, platform) = (&node.stage.cluster, &node.stage.platform);
        assert_eq!(image(&node).await, EARLIER);
        assert!(!knows_settings(cluster).await && cluster.get(CRD, AUTH_CRD).await.is_none());
        cluster.apply(oauth_connection("acme")).await;
        cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
        let first = FIRST.map(str::to_owned);
        for name in FIRST {
            cluster.apply(project(name)).await;
        }
        all_ready(cluster, &first).await;
        let first_readiness = readiness(cluster, &first).await;
        let first_passwords = passwords(cluster, &first).await;

        // The earlier operator begins eight more, and is replaced before one of them is there.
        platform.world().config_mut().coming_up = COMING_UP;
        let more: Vec<_> = (0..MORE).map(|number| format!("project-{number}")).collect();
        for name in &more {
            cluster.apply(project(name)).await;
        }
        eventually("the first of their create calls", PATIENCE, async || {
            let made = platform.created().len();
            if made > FIRST.len() { Ok(()) } else { Err(made.to_string()) }
        })
        .await;
        let begun = Instant::now();
        let chart = repository().join("charts/supabase-operator").display().to_string();
        let tag = format!("image.tag={}", OPERATOR.rsplit_once(':').unwrap().1);
        helm(&node, &["upgrade", NAME, &chart, "--reuse-values", "--set", &tag]).await;
        assert_eq!(image(&node).await, OPERATOR);
        assert!(knows_settings(cluster).await && cluster.get(CRD, AUTH_CRD).await.is_some());
        let names = [&first[..], &more].concat();
        all_ready(cluster, &names).await;
        said("all projects are Ready", begun);
        platform.world().config_mut().coming_up = Config::fast().coming_up;
        assert_eq!(platform.created().len(), names.len());
        assert_eq!(platform.project_names().len(), names.len());
        assert_eq!(readiness(cluster, &first).await, first_readiness);
        assert_eq!(passwords(cluster, &first).await, first_passwords);

        // What only the present release knows is used, so that the way back has something to leave alone.
        cluster.apply(project("shop").with("dataAPI/maxRows", 500)).await;
        cluster.wait_condition(PROJECT, "shop", "Ready", "True").await;
        cluster.apply(auth_config("orders", "orders")).await;
        cluster.wait_condition(AUTH_CONFIG, "orders", "Ready", "True").await;

        let before = (readiness(cluster, &names).await, passwords(cluster, &names).await);
        helm(&node, &["rollback", NAME, "1"]).await;
        assert_eq!(image(&node).await, EARLIER);
        assert!(!knows_settings(cluster).await);
        cluster.apply(project("afterwards")).await;
        all_ready(cluster, &["afterwards".to_owned()]).await;
        // It has looked at the others too: one that is touched is reconciled.
        for name in &names {
            cluster.apply(project(name).annotated("reconcile-requested-at", "now")).await;
            let handled = |object: &Value| {
                (object["status"]["lastHandledReconcileAt"] == "now").then_some(())
            };
            cluster.wait_for(PROJECT, name, "reconciled", PATIENCE, handled).await;
        }
        assert_eq!(
            (readiness(cluster, &names).await, passwords(cluster, &names).await),
            before,
            "nothing that a user notices"
        );
        assert_eq!(platform.created().len(), names.len() + 1);
        let kept = cluster.get(AUTH_CONFIG, "orders").await;
        assert!(kept.is_some_and(|kept| is_ready(&kept)), "its kind and itself stay");

        helm(&node, &["uninstall", NAME]).await;
        assert!(cluster.get(CRD, PROJECTS_CRD).await.is_some());
        assert_eq!(cluster.list(PROJECT).await.len(), names.len() + 1);
        assert_eq!(cluster.list(CONNECTION).await.len(), 1);
        assert_eq!(cluster.list(AUTH_CONFIG).await.len(), 1);
        assert_eq!(platform.project_names().len(), names.len() + 1);
        assert_eq!(passwords(cluster, &names).await, before.1);
        assert_no_leaks(&platform.canaries(), &node.stage.visible().await);
    });
}
