//! Everything that a newcomer is told to paste is accepted by a real API server, unknown fields refused:
//! the files in `examples/` and the objects in README.md.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::control_plane::{ControlPlane, Use};
use crate::support::programs::{ensure, repository, run, succeed};
use crate::support::stage::apply_kinds;

/// Every kind of ours; each has an example.
const KINDS: [&str; 4] =
    ["SupabaseConnection", "ClusterSupabaseConnection", "SupabaseProject", "SupabaseAuthConfig"];
/// Namespaces that examples name, besides the one at hand.
const NAMED: [&str; 2] = ["team-a", "supabase-system"];

/// What `kubectl apply -f examples/` reads.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(&repository().join("examples"), &mut files);
    files.retain(|file| {
        let ending = file.extension().and_then(|ending| ending.to_str());
        ["yaml", "yml", "json"].contains(&ending.unwrap_or_default())
    });
    files.sort();
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

fn objects(yaml: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(yaml).unwrap()
}

/// The YAML blocks of a Markdown text that hold Kubernetes objects.
fn blocks(markdown: &str) -> Vec<String> {
    let blocks = markdown.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.filter(|block| block.contains("apiVersion:")).map(str::to_owned).collect()
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
    kubectl.args(["apply", "--server-side", "--force-conflicts", "--validate=strict"]);
    let text = std::fs::read_to_string(file).unwrap();
    if objects(&text).iter().all(|object| object["metadata"]["namespace"].is_null()) {
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
        assert!(text.starts_with("# "), "{} does not begin by saying what it is", file.display());
        for object in objects(&text) {
            kinds.insert(object["kind"].as_str().unwrap().to_owned());
        }
    }
    for kind in KINDS {
        assert!(kinds.contains(kind), "{kind} has no example");
    }
}

/// A placeholder would overwrite a real Secret, and a real value has no place here.
#[test]
fn no_example_holds_a_secret() {
    let mut seen = 0;
    for file in files() {
        let text = std::fs::read_to_string(&file).unwrap();
        for object in objects(&text) {
            seen += 1;
            assert_ne!(object["kind"], "Secret", "{}", file.display());
        }
    }
    assert!(seen > 10);
}

/// Whoever applies all examples keeps the Secrets that they refer to as they are.
#[tokio::test]
async fn applying_all_examples_leaves_real_secrets_alone() {
    let (plane, cluster) = with_kinds().await;
    let names =
        ["supabase-token", "supabase-oauth-app", "supabase-oauth-tokens", "orders-password"];
    for name in names {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "stringData": {"token": "real"}});
        cluster.apply(secret).await;
    }
    let mut kubectl = plane.command(&ensure("kubectl").await);
    kubectl.args(["apply", "--server-side", "--namespace", &cluster.namespace]);
    kubectl.args(["--recursive", "--filename"]).arg(repository().join("examples"));
    // Objects that name their own namespace may be refused here; those of this namespace are all there.
    let _ = run(kubectl).await;
    assert!(cluster.get(("apps/v1", "Deployment"), "orders").await.is_some());
    for name in names {
        let secret = cluster.get(("v1", "Secret"), name).await.unwrap();
        assert_eq!(secret["data"], json!({"token": "cmVhbA=="}), "{name}");
    }
}

/// The places of all references to Secrets in examples, and what their README says how to make.
#[test]
fn every_secret_of_the_examples_is_made_in_their_readme() {
    let text = std::fs::read_to_string(repository().join("examples/README.md")).unwrap();
    let mut named = BTreeSet::new();
    for file in files() {
        for object in objects(&std::fs::read_to_string(&file).unwrap()) {
            secrets(&object["spec"], &mut named);
        }
    }
    assert!(named.len() >= 3, "{named:?}");
    for name in named {
        let command = format!("kubectl create secret generic {name} ");
        assert!(text.contains(&command), "examples/README.md does not make {name}");
    }
}

fn secrets(value: &Value, named: &mut BTreeSet<String>) {
    for (field, value) in value.as_object().into_iter().flatten() {
        if field.to_lowercase().contains("secret") && field.ends_with("Ref") && field != "secretRef"
        {
            named.insert(value["name"].as_str().unwrap().to_owned());
        }
        secrets(value, named);
    }
}

/// Merges as JSON Merge Patch does (RFC 7386): objects into objects, everything else as a whole. So Argo CD, and everybody who
/// does not know the schema, compares what was applied with what is stored.
fn merged(live: &Value, applied: &Value) -> Value {
    match (live, applied) {
        (Value::Object(live), Value::Object(applied)) => {
            let mut result = live.clone();
            for (field, applied) in applied {
                let before = live.get(field).unwrap_or(&Value::Null);
                result.insert(field.clone(), merged(before, applied));
            }
            Value::Object(result)
        }
        (_, applied) => applied.clone(),
    }
}

#[tokio::test]
async fn what_was_applied_differs_from_nothing_that_is_stored() {
    let (plane, cluster) = with_kinds().await;
    let mut compared = 0;
    let mut manifests = Vec::new();
    for file in files() {
        manifests.extend(objects(&std::fs::read_to_string(&file).unwrap()));
    }
    // The shortest that there can be, and all kinds of outputs.
    manifests.push(json!({"apiVersion": "supabase-operator.dev/v1alpha1", "kind": "SupabaseProject",
        "metadata": {"name": "short"}, "spec": {"connectionRef": {"name": "acme"}, "region": "us-east-1",
        "outputs": [{"name": "x"}, {"name": "y", "kind": "ConfigMap", "include": ["URL"]},
            {"name": "z", "preset": "ServiceBinding"}]}}));
    for mut manifest in manifests {
        if !KINDS.contains(&manifest["kind"].as_str().unwrap()) {
            continue;
        }
        let metadata = manifest["metadata"].as_object_mut().unwrap();
        metadata.remove("namespace");
        // Whatever of other tests is cluster-wide stays apart.
        let name = format!("{}-gitops", metadata["name"].as_str().unwrap());
        metadata.insert("name".to_owned(), json!(name));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("manifest.json");
        std::fs::write(&file, manifest.to_string()).unwrap();
        let mut kubectl = plane.command(&ensure("kubectl").await);
        kubectl.args([
            "apply",
            "--namespace",
            &cluster.namespace,
            "--output",
            "json",
            "--filename",
        ]);
        kubectl.arg(&file);
        let live: Value = serde_json::from_str(&succeed(kubectl).await).unwrap();
        let last =
            live["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
                .as_str();
        let mut last: Value = serde_json::from_str(last.unwrap()).unwrap();
        // kubectl itself writes no annotations there.
        if last["metadata"]["annotations"] == json!({}) {
            last["metadata"].as_object_mut().unwrap().remove("annotations");
        }
        assert_eq!(merged(&live, &last), live, "{name} stays OutOfSync");
        compared += 1;
    }
    assert!(compared > 10, "{compared}");
}
