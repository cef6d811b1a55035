//! Everything that a newcomer is told to paste is accepted by a real API server, unknown fields refused:
//! the files in `examples/` and the objects in README.md.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::cluster::Cluster;
use crate::support::control_plane::{ControlPlane, Use};
use crate::support::programs::{ensure, repository, run};
use crate::support::stage::apply_kinds;

/// Every kind of ours; each has an example.
const KINDS: [&str; 3] = [
    "SupabaseConnection",
    "ClusterSupabaseConnection",
    "SupabaseProject",
];
/// Namespaces that examples name, besides the one at hand.
const NAMED: [&str; 2] = ["team-a", "supabase-system"];

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository().join("examples")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn objects(yaml: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(yaml).unwrap()
}

/// The YAML blocks of a Markdown text that hold Kubernetes objects.
fn blocks(markdown: &str) -> Vec<String> {
    let blocks = markdown
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    blocks
        .filter(|block| block.contains("apiVersion:"))
        .map(str::to_owned)
        .collect()
}

/// A control plane that knows the kinds, with a new namespace at hand.
pub async fn with_kinds() -> (Use, Cluster) {
    let plane = ControlPlane::shared().await;
    apply_kinds(&plane).await;
    let cluster = Cluster::new(plane.client().await);
    let namespace = cluster.new_namespace("examples").await;
    (plane, cluster.in_namespace(&namespace))
}

async fn apply(plane: &Use, cluster: &Cluster, file: &std::path::Path) -> (bool, String) {
    let mut kubectl = plane.command(&ensure("kubectl").await);
    // Cluster-scoped and explicitly placed objects keep their place; the rest goes to the namespace at hand.
    kubectl.args([
        "apply",
        "--server-side",
        "--force-conflicts",
        "--validate=strict",
    ]);
    let text = std::fs::read_to_string(file).unwrap();
    if objects(&text)
        .iter()
        .all(|object| object["metadata"]["namespace"].is_null())
    {
        kubectl.args(["--namespace", &cluster.namespace]);
    }
    kubectl.arg("--filename").arg(file);
    run(kubectl).await
}

#[tokio::test]
async fn every_example_is_accepted_by_the_api_server() {
    let (plane, cluster) = with_kinds().await;
    for namespace in NAMED {
        let metadata = serde_json::json!({ "name": namespace });
        let object =
            serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        cluster.apply(object).await;
    }
    let files = files();
    assert!(files.len() >= 10, "examples are missing: {files:?}");
    for file in files {
        let (accepted, said) = apply(&plane, &cluster, &file).await;
        assert!(accepted, "{}: {said}", file.display());
        assert!(!said.contains("Warning"), "{}: {said}", file.display());
    }
}

#[tokio::test]
async fn every_object_in_the_readme_is_accepted_by_the_api_server() {
    let (plane, cluster) = with_kinds().await;
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let blocks = blocks(&readme);
    assert!(!blocks.is_empty(), "README.md shows no object");
    let folder = tempfile::tempdir().unwrap();
    for (number, block) in blocks.iter().enumerate() {
        let file = folder.path().join(format!("block-{number}.yaml"));
        std::fs::write(&file, block).unwrap();
        let (accepted, said) = apply(&plane, &cluster, &file).await;
        assert!(accepted, "{block}\n{said}");
    }
}

#[test]
fn every_kind_has_an_example_and_every_example_says_what_it_is() {
    let mut kinds = BTreeSet::new();
    for file in files() {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("# "),
            "{} does not begin by saying what it is",
            file.display()
        );
        for object in objects(&text) {
            kinds.insert(object["kind"].as_str().unwrap().to_owned());
        }
    }
    for kind in KINDS {
        assert!(kinds.contains(kind), "{kind} has no example");
    }
}

#[test]
fn no_example_holds_anything_that_could_be_a_credential() {
    for file in files() {
        let text = std::fs::read_to_string(&file).unwrap();
        for secret in objects(&text)
            .iter()
            .filter(|object| object["kind"] == "Secret")
        {
            assert!(
                secret["data"].is_null(),
                "{}: placeholders go in clear",
                file.display()
            );
            for (key, value) in secret["stringData"].as_object().unwrap() {
                let placeholder = value.as_str().unwrap().starts_with("REPLACE-ME");
                assert!(placeholder, "{}: {key} is no placeholder", file.display());
            }
        }
    }
}
