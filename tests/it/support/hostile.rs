//! What somebody with the rights of an editor in one namespace can store, and what an administrator's newer or older kinds
//! let them store; and whether others are served all the same.

use std::time::Duration;

use serde_json::{Value, json};
use simulated_platform::{Pat, Plan};

use super::cluster::kinds::{CONNECTION, Kind, PROJECT};
use super::cluster::{Cluster, condition};
use super::operator::Operator;
use super::samples::{project, secret, token_connection};
use super::stage::Stage;

const CRD: Kind = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");
const PROJECTS: &str = "supabaseprojects.supabase-operator.dev";
/// More levels than any parser of ours goes, and fewer than the API server refuses.
pub const DEPTH: usize = 1000;
/// Long enough for everything, on a busy machine too.
pub const LONG: Duration = Duration::from_secs(240);
/// How long an operator may take to end.
pub const ENDING: Duration = Duration::from_secs(60);
/// Half of what the chart gives the operator.
pub const MEMORY: u64 = 128 * 1024 * 1024;

fn path(namespace: &str, kind: Kind) -> String {
    let plural = format!("{}s", kind.1.to_lowercase());
    match kind.0.split_once('/') {
        Some(_) => format!("/apis/{}/namespaces/{namespace}/{plural}", kind.0),
        None => format!("/api/{}/namespaces/{namespace}/{plural}", kind.0),
    }
}

/// Creates an object whose answer is not read: it may be one that no client of ours can read.
pub async fn store(cluster: &Cluster, kind: Kind, object: &Value) -> Result<(), String> {
    let request = http::Request::post(path(&cluster.namespace, kind))
        .header("content-type", "application/json")
        .body(serde_json::to_vec(object).unwrap())
        .unwrap();
    let answer = cluster.client.request_text(request).await;
    answer.map(drop).map_err(|error| error.to_string())
}

/// The same for its deletion.
pub async fn remove(cluster: &Cluster, kind: Kind, name: &str) {
    let path = format!("{}/{name}", path(&cluster.namespace, kind));
    let request = http::Request::delete(path).body(Vec::new()).unwrap();
    cluster.client.request_text(request).await.unwrap();
}

/// An object as the API server sends it, if it is there.
pub async fn stored(cluster: &Cluster, kind: Kind, name: &str) -> Option<String> {
    let path = format!("{}/{name}", path(&cluster.namespace, kind));
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    cluster.client.request_text(request).await.ok()
}

pub async fn there(cluster: &Cluster, kind: Kind, name: &str) -> bool {
    let request =
        http::Request::get(format!("{}/{name}?includeObject=None", path(&cluster.namespace, kind)))
            .header("accept", "application/json;as=Table;g=meta.k8s.io;v=v1");
    let request = request.body(Vec::new()).unwrap();
    cluster.client.request_text(request).await.is_ok()
}

/// How many projects of the namespace at hand have a ref. Asked for as a table: a small answer, however large they are.
pub async fn count_refs(cluster: &Cluster) -> usize {
    let all = format!("{}?includeObject=None", path(&cluster.namespace, PROJECT));
    let request =
        http::Request::get(all).header("accept", "application/json;as=Table;g=meta.k8s.io;v=v1");
    let request = request.body(Vec::new()).unwrap();
    let text = cluster.client.request_text(request).await.unwrap();
    let table: Value = serde_json::from_str(&text).unwrap();
    let columns = table["columnDefinitions"].as_array().unwrap();
    let place = columns.iter().position(|column| column["name"] == "Ref");
    let place = place.unwrap_or_else(|| panic!("{columns:?}"));
    let rows = table["rows"].as_array().into_iter().flatten();
    let filled = |row: &&Value| row["cells"][place].as_str().is_some_and(|cell| !cell.is_empty());
    rows.filter(filled).count()
}

/// An object with managed fields of somebody else.
pub fn managed(kind: Kind, name: &str, spec: Value, fields: &Value) -> Value {
    let manager = json!({
        "manager": "somebody", "operation": "Update", "apiVersion": kind.0, "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": fields,
    });
    let mut object = json!({
        "apiVersion": kind.0, "kind": kind.1, "metadata": {"name": name, "managedFields": [manager]},
    });
    if !spec.is_null() {
        object["spec"] = spec;
    }
    object
}

pub fn deep() -> Value {
    let nested = (0..DEPTH).fold(json!({}), |inner, level| json!({format!("f:a{level}"): inner}));
    json!({"f:spec": nested})
}

/// A project with so many bytes of annotations for its output.
pub fn padded(name: &str, bytes: usize, suspend: bool) -> Value {
    let mut spec = plain();
    spec["suspend"] = json!(suspend);
    spec["outputs"] = padding(bytes);
    json!({"apiVersion": PROJECT.0, "kind": PROJECT.1, "metadata": {"name": name}, "spec": spec})
}

fn padding(bytes: usize) -> Value {
    const EACH: usize = 90_000;
    let pieces = (0..bytes).step_by(EACH).map(|start| {
        let length = EACH.min(bytes - start);
        (format!("p{start}"), json!("x".repeat(length)))
    });
    json!([{"name": "large", "annotations": Value::Object(pieces.collect())}])
}

/// Gives a project that is there so many bytes of annotations for its output.
pub async fn repad(cluster: &Cluster, name: &str, bytes: usize) -> Result<(), String> {
    let change = json!({"spec": {"outputs": padding(bytes)}});
    let request = http::Request::patch(format!("{}/{name}", path(&cluster.namespace, PROJECT)))
        .header("content-type", "application/merge-patch+json")
        .body(serde_json::to_vec(&change).unwrap())
        .unwrap();
    let answer = cluster.client.request_text(request).await;
    answer.map(drop).map_err(|error| error.to_string())
}

/// The kinds as they were before they had bounds, until `apply_kinds`.
pub async fn without_bounds(stage: &Stage) {
    let crd = stage.cluster.get(CRD, PROJECTS).await.unwrap();
    let mut spec = crd["spec"].clone();
    let fields =
        &mut spec["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let annotations = &mut fields["outputs"]["items"]["properties"]["annotations"];
    *annotations =
        json!({"type": "object", "additionalProperties": {"type": "string"}, "nullable": true});
    without_rules(&mut spec);
    stage.cluster.merge(CRD, PROJECTS, json!({"spec": spec})).await;
}

/// Takes the rules out of a schema: without bounds they are too dear for the API server.
fn without_rules(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("x-kubernetes-validations");
            fields.values_mut().for_each(without_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(without_rules),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

pub fn plain() -> Value {
    json!({"connectionRef": {"name": "acme"}, "region": "eu-central-1", "suspend": true})
}

pub fn spec_of(kind: Kind) -> Value {
    if kind == PROJECT {
        plain()
    } else if kind == CONNECTION {
        let token = json!({"secretKeyRef": {"name": "supabase-token", "key": "token"}});
        json!({"auth": {"personalAccessToken": token}})
    } else {
        Value::Null
    }
}

/// Lets `spec.powerState` and `spec.deletionPolicy` have one more value, as a newer release might.
pub async fn newer_kinds(stage: &Stage) {
    let crd = stage.cluster.get(CRD, PROJECTS).await.unwrap();
    let mut spec = crd["spec"].clone();
    let fields =
        &mut spec["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    for (field, value) in [("powerState", "Hibernated"), ("deletionPolicy", "Archive")] {
        fields[field]["enum"].as_array_mut().unwrap().push(json!(value));
    }
    stage.cluster.merge(CRD, PROJECTS, json!({"spec": spec})).await;
}

/// A new project becomes ready. Not how soon is asserted: many of these stories keep the machine busy.
pub async fn served(cluster: &Cluster, name: &str) {
    cluster.apply(project(name)).await;
    ready_at_last(cluster, PROJECT, name).await;
}

pub async fn ready_at_last(cluster: &Cluster, kind: Kind, name: &str) {
    let ready = |object: &Value| {
        condition(object, "Ready").filter(|ready| ready["status"] == "True").cloned()
    };
    cluster.wait_for(kind, name, "Ready", LONG, ready).await;
}

/// Gives the namespace at hand an organization of its own, and the connection `acme` to it.
pub async fn own_organization(stage: &Stage, cluster: &Cluster, slug: &str) {
    let token = {
        let mut world = stage.platform.world();
        world.add_organization(slug, slug, Plan::Pro);
        world.add_pat(Pat::classic())
    };
    let secret = secret("supabase-token", &[("token", &token)]);
    cluster.apply(secret).await;
    cluster.apply(token_connection("acme").with("organizationSlug", slug)).await;
    ready_at_last(cluster, CONNECTION, "acme").await;
}

/// How many warnings of an operator name something.
pub fn warnings_about(operator: &Operator, name: &str) -> usize {
    let text = operator.printed().text();
    let lines = text.lines().filter(|line| line.contains("\"WARN\"") && line.contains(name));
    lines.count()
}
