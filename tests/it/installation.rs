//! The chart as users install it: who the operator is then, and what it may do.

use crate::support::control_plane::ControlPlane;
use crate::support::programs::{ensure, succeed};
use crate::support::stage::{Reach, Stage};

async fn kubectl_as_operator(stage: &Stage, arguments: &[&str]) -> (bool, String) {
    let mut kubectl = stage.plane.command(&ensure("kubectl").await);
    kubectl.args(arguments).env("KUBECONFIG", stage.release.kubeconfig());
    crate::support::programs::run(kubectl).await
}

#[tokio::test]
async fn the_operator_is_the_charts_service_account() {
    let stage = Stage::new(Reach::Namespace).await;
    let (_, said) = kubectl_as_operator(&stage, &["auth", "whoami"]).await;
    assert!(said.contains(&stage.release.user()), "{said}");
    let variable = |name| stage.release.variable(name).unwrap_or_default().to_owned();
    assert_eq!(variable("SCOPE"), "namespaced");
    assert_eq!(variable("WATCH_NAMESPACES"), stage.cluster.namespace);
    assert_eq!(variable("NAMESPACE"), stage.release.namespace);
    assert_eq!(variable("MANAGEMENT_API_ENDPOINT"), stage.platform.endpoint());
    assert_eq!(variable("SECRETS_WATCH"), "true");
}

#[tokio::test]
async fn a_namespaced_operator_sees_its_namespace_and_nothing_else() {
    let stage = Stage::new(Reach::Namespace).await;
    let grants = stage.release.grants(&stage.system).await;
    assert!(!grants.is_empty());
    for grant in grants {
        assert!(grant.namespace.is_some(), "{grant}");
    }
    let listing = ["get", "secrets", "--namespace"];
    let (may, _) =
        kubectl_as_operator(&stage, &[&listing[..], &[&stage.cluster.namespace]].concat()).await;
    assert!(may);
    let (may, said) = kubectl_as_operator(&stage, &[&listing[..], &["default"]].concat()).await;
    assert!(!may && said.contains("Forbidden"), "{said}");
}

#[tokio::test]
async fn the_default_install_can_neither_list_nor_watch_secrets() {
    let stage = Stage::new(Reach::Cluster).await;
    let grants = stage.release.grants(&stage.system).await;
    let secrets: Vec<_> = grants.iter().filter(|grant| grant.resource == "secrets").collect();
    assert!(!secrets.is_empty());
    for grant in secrets {
        assert!(
            !["list", "watch", "patch", "deletecollection"].contains(&grant.verb.as_str()),
            "{grant}"
        );
    }
    let (may, said) = kubectl_as_operator(&stage, &["get", "secrets", "--all-namespaces"]).await;
    assert!(!may && said.contains("Forbidden"), "{said}");
    assert_eq!(stage.release.variable("SECRETS_WATCH"), Some("false"));
}

#[tokio::test]
async fn the_command_prints_the_kinds_that_the_chart_installs() {
    let plane = ControlPlane::shared().await;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_supabase-operator"));
    command.arg("crds");
    let printed = succeed(command).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("crds.yaml");
    std::fs::write(&file, &printed).unwrap();
    let mut kubectl = plane.command(&ensure("kubectl").await);
    kubectl.args(["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--filename"]);
    kubectl.arg(&file);
    let said = succeed(kubectl).await;
    assert_eq!(said.lines().count(), supabase_operator::api::Kind::ALL.len(), "{said}");
}
