//! No object can be larger than the schema allows, nothing that the operator writes is ever refused, and what was
//! stored before a bound was there can still be let go. Run on a real API server, because it is the one that counts.

use std::time::Duration;

use serde_json::{Value, json};

use crate::examples::with_kinds;
use crate::support::cluster::Cluster;
use crate::support::cluster::kinds::{CLUSTER_CONNECTION, CONNECTION, Kind, PROJECT};
use crate::support::control_plane::ControlPlane;
use crate::support::eventually::eventually;
use crate::support::samples::{Sample, cluster_connection, project, token_connection};
use crate::support::stage::apply_kinds;

const SOON: Duration = Duration::from_secs(20);
const CRD: Kind = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");

fn entries(number: usize, key: &str, value: &str) -> Value {
    let entries = (0..number).map(|index| (format!("{key}{index}"), json!(value)));
    Value::Object(entries.collect())
}

fn output(details: Value) -> Sample {
    project("large").with_output("web", "Env", details)
}

fn lent(allowed: Value) -> Sample {
    cluster_connection("large").with("allowedNamespaces", allowed)
}

fn keys(number: usize, length: usize) -> Value {
    let keys = (0..number).map(|index| {
        let name = format!("{index:03}{}", "x".repeat(length));
        json!({"name": name, "value": "DatabaseURI", "parameters": {"a": "x".repeat(length.min(256))}})
    });
    keys.collect()
}

fn with_keys(outputs: usize, number: usize, length: usize) -> Sample {
    let outputs = (0..outputs)
        .map(|index| json!({"name": format!("o-{index}"), "keys": keys(number, length)}));
    project("large").with("outputs", outputs.collect::<Value>())
}

fn output_key(more: &Value) -> Sample {
    let mut key = json!({"name": "A", "value": "DatabaseURI"});
    for (field, value) in more.as_object().unwrap() {
        key[field] = value.clone();
    }
    project("large").with("outputs", json!([{"name": "web", "keys": [key]}]))
}

/// What it is, and an object that is just too large.
fn too_large() -> Vec<(&'static str, Sample)> {
    let long = "x".repeat(318);
    let expression = json!({"key": "a", "operator": "In", "values": ["x"]});
    let names: Vec<_> = (0..257).map(|number| format!("n{number}")).collect();
    let many_values: Vec<_> = (0..65).map(|number| format!("v{number}")).collect();
    let mut all = project("large");
    for number in 0..16 {
        let annotations = entries(2, "a", &"x".repeat(2100));
        all = all.with_output(&format!("o-{number}"), "Env", json!({"annotations": annotations}));
    }
    vec![
        ("a long annotation", output(json!({"annotations": {"a": "x".repeat(32_769)}}))),
        ("a long key of an annotation", output(json!({"annotations": {&long: "x"}}))),
        ("many annotations", output(json!({"annotations": entries(33, "a", "x")}))),
        ("a long label", output(json!({"labels": {"a": "x".repeat(64)}}))),
        ("a long key of a label", output(json!({"labels": {&long: "x"}}))),
        ("many labels", output(json!({"labels": entries(33, "a", "x")}))),
        ("too much in all outputs together", all),
        ("a long ref", project("large").with("adoption", json!({"ref": "a".repeat(21)}))),
        (
            "a long label of namespaces",
            lent(json!({"selector": {"matchLabels": {"a": "x".repeat(64)}}})),
        ),
        ("a long key of namespaces", lent(json!({"selector": {"matchLabels": {&long: "x"}}}))),
        (
            "many labels of namespaces",
            lent(json!({"selector": {"matchLabels": entries(33, "a", "x")}})),
        ),
        ("many expressions", lent(json!({"selector": {"matchExpressions": vec![expression; 17]}}))),
        (
            "many values",
            lent(
                json!({"selector": {"matchExpressions": [{"key": "a", "operator": "In", "values": many_values}]}}),
            ),
        ),
        ("many namespaces", lent(json!({"names": names}))),
    ]
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let (_plane, cluster) = with_kinds().await;
    for (what, object) in too_large().into_iter().chain(too_large_keys()) {
        let refusal = cluster.try_apply(object).await;
        let refusal = refusal.map(|_| what).expect_err("it is refused");
        let said = ["Too long", "Too many", "at most", "may not be", "should match"];
        assert!(said.iter().any(|words| refusal.contains(words)), "{what}: {refusal}");
    }
}

/// The same of keys of outputs.
fn too_large_keys() -> Vec<(&'static str, Sample)> {
    vec![
        (
            "many keys",
            project("large").with("outputs", json!([{"name": "a", "keys": keys(65, 1)}])),
        ),
        ("many keys in all outputs together", with_keys(5, 52, 1)),
        ("too much in all keys together", with_keys(1, 64, 250)),
        ("many parameters", output_key(&json!({"parameters": entries(17, "a", "x")}))),
        ("a long parameter", output_key(&json!({"parameters": {"a": "x".repeat(257)}}))),
        (
            "a long file",
            output_key(
                &json!({"tls": {"mode": "VerifyFull", "caFile": format!("/{}", "x".repeat(255))}}),
            ),
        ),
    ]
}

/// What people do with annotations on Secrets: lists of namespaces for replicators, templates, JSON.
#[tokio::test]
async fn what_is_sane_is_accepted() {
    let (_plane, cluster) = with_kinds().await;
    let mut large = project("sane");
    for number in 0..16 {
        let details = json!({
            "annotations": entries(10, "replicator.example/namespaces-", &"n".repeat(200)),
            "labels": entries(10, "example.dev/label-", &"x".repeat(63)),
        });
        large = large.with_output(&format!("o-{number}"), "Env", details);
    }
    cluster.apply(large).await;
    let one = json!({"annotations": {"a": "x".repeat(32_768)}});
    cluster.apply(project("one").with_output("web", "Env", one)).await;
    // Keys of every output, and all that one output may have.
    cluster.apply(with_keys(16, 16, 20)).await;
    cluster.apply(with_keys(1, 64, 80)).await;
    let parameters = json!({"parameters": entries(16, "a", &"x".repeat(256))});
    cluster.apply(output_key(&parameters)).await;
}

/// As an administrator may, and as the operator does: a merge patch of the status alone.
pub async fn write_status(
    cluster: &Cluster,
    kind: Kind,
    name: &str,
    status: &Value,
) -> Result<Value, String> {
    use kube::api::{Api, DynamicObject, Patch, PatchParams};
    use kube::core::GroupVersionKind;

    let (group, version) = kind.0.split_once('/').unwrap();
    let kind = GroupVersionKind::gvk(group, version, kind.1);
    let (resource, capabilities) =
        kube::discovery::pinned_kind(&cluster.client, &kind).await.unwrap();
    let client = cluster.client.clone();
    let api: Api<DynamicObject> = match capabilities.scope {
        kube::discovery::Scope::Namespaced => {
            Api::namespaced_with(client, &cluster.namespace, &resource)
        }
        kube::discovery::Scope::Cluster => Api::all_with(client, &resource),
    };
    let patch = Patch::Merge(json!({"status": status}));
    let stored = api.patch_status(name, &PatchParams::default(), &patch).await;
    stored.map(|object| serde_json::to_value(object).unwrap()).map_err(|error| error.to_string())
}

/// All conditions that there are, with messages that are cut where the code cuts them.
fn conditions() -> Value {
    use supabase_operator::api::{ConditionType, Reason};
    use supabase_operator::rules::conditions::{Truth, set};

    let longest = Reason::ALL.iter().max_by_key(|reason| reason.as_str().len()).unwrap();
    let mut list = Vec::new();
    for kind in [
        ConditionType::Ready,
        ConditionType::Reconciling,
        ConditionType::Stalled,
        ConditionType::ConnectionReady,
        ConditionType::Provisioned,
        ConditionType::ServicesHealthy,
        ConditionType::Synced,
        ConditionType::OutputsWritten,
        ConditionType::DeletionBlocked,
    ] {
        let endless = "\u{1F600}".repeat(100_000);
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        set(
            &mut list,
            kind.as_str(),
            Truth::Unknown,
            longest.as_str(),
            &endless,
            Some(i64::MAX),
            now,
        );
    }
    serde_json::to_value(list).unwrap()
}

#[tokio::test]
async fn the_largest_status_that_is_written_is_accepted() {
    use supabase_operator::api::bounds::{
        LONGEST_NAME, LONGEST_REQUEST, LONGEST_URL, MOST_ORGANIZATIONS,
    };
    use supabase_operator::api::project::Creation;
    use supabase_operator::api::settings::{LONGEST_PATH, LONGEST_SHOWN, MOST_APPLIED, MOST_DRIFT};

    let (_plane, cluster) = with_kinds().await;
    cluster.apply(project("orders")).await;
    cluster.apply(token_connection("acme")).await;
    cluster.apply(cluster_connection("bounds")).await;
    let wide = |number: usize| "\u{1F600}".repeat(number);
    // The longest word, host and slug that are read from the platform, and the longest digest, twice over.
    let (word, host, slug, digest) =
        ("w".repeat(64), "h".repeat(253), "s".repeat(100), "d".repeat(256));
    let time = "2026-01-01T00:00:00Z";
    let database = format!("{host}:65535");
    let attempt = json!({"number": i64::MAX, "organizationSlug": slug, "region": word, "regionGroup": word, "size": word,
        "listedAt": time, "deadlineSeconds": i64::MAX, "passwordDigest": digest, "process": word, "outcome": "Absent",
        "httpStatus": 599});
    let services: Vec<_> = (0..16)
        .map(|number| json!({"name": format!("service-{number}"), "status": word}))
        .collect();
    let outputs: Vec<_> = (0..32)
        .map(|number| json!({"name": format!("{number:0>253}"), "kind": "ConfigMap", "digest": digest}))
        .collect();
    let status = json!({"observedGeneration": i64::MAX, "lastHandledReconcileAt": wide(LONGEST_REQUEST),
        "ref": "a".repeat(20), "projectName": wide(LONGEST_NAME), "organizationSlug": slug, "remoteStatus": word,
        "remoteStatusSince": time, "postgresVersion": word, "region": word,
        "dashboardURL": format!("https://supabase.com/dashboard/project/{}", "a".repeat(20)),
        "endpoints": {"apiURL": format!("https://{}.supabase.co", "a".repeat(20)), "sessionPooler": database,
            "transactionPooler": database, "direct": database},
        "services": services, "binding": {"name": "b".repeat(253)}, "outputs": outputs,
        "credentials": {"password": "Generated", "passwordDigest": digest},
        "installation": {"name": "i".repeat(253 + 1 + 253), "term": time, "since": time}, "driftCount": i64::MAX,
        "applied": (0..MOST_APPLIED).map(|number| json!({"path": format!("{number:a>LONGEST_PATH$}"), "digest": digest}))
            .collect::<Vec<_>>(),
        "drift": (0..MOST_DRIFT).map(|number| json!({"path": format!("{number:a>LONGEST_PATH$}"), "desired": "d".repeat(LONGEST_SHOWN),
            "observed": "o".repeat(LONGEST_SHOWN), "reason": "CapabilityUnavailable", "since": time})).collect::<Vec<_>>(),
        "creation": {"name": wide(200 + 11), "attempts": vec![attempt; 16],
            "room": ".".repeat(Creation::ROOM)}, "conditions": conditions()});
    write_status(&cluster, PROJECT, "orders", &status).await.unwrap();
    let organizations: Vec<_> = (0..MOST_ORGANIZATIONS)
        .map(|number| json!({"slug": format!("{number:0>100}"), "name": wide(256)}))
        .collect();
    let capabilities: Vec<_> = (0..16)
        .map(|number| json!({"name": format!("Capability{number}"), "status": "Unknown"}))
        .collect();
    let status = json!({"observedGeneration": i64::MAX, "lastHandledReconcileAt": wide(LONGEST_REQUEST),
        "installation": {"name": "i".repeat(253 + 1 + 253), "term": time, "since": time},
        "organizationList": wide(LONGEST_NAME),
        "authMode": "PersonalAccessToken", "organizations": organizations, "capabilities": capabilities,
        "tokenExpiresAt": time, "consentURL": "u".repeat(LONGEST_URL), "conditions": conditions()});
    write_status(&cluster, CONNECTION, "acme", &status).await.unwrap();
    write_status(&cluster, CLUSTER_CONNECTION, "bounds", &status).await.unwrap();
    cluster.delete(CLUSTER_CONNECTION, "bounds").await;
}

/// Takes every bound out of a schema, and the rules that count.
fn unbounded(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for bound in ["maxLength", "maxItems", "maxProperties", "x-kubernetes-validations"] {
                fields.remove(bound);
            }
            fields.values_mut().for_each(unbounded);
        }
        Value::Array(items) => items.iter_mut().for_each(unbounded),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// An object of an earlier release, whose schema had fewer bounds. Servers before Kubernetes 1.30 compare the whole
/// object with each write and would refuse these: README.md of the chart says what to do there.
#[tokio::test]
async fn what_was_stored_before_a_bound_can_still_be_let_go() {
    let plane = ControlPlane::own().await;
    apply_kinds(&plane).await;
    let everything = Cluster::new(plane.client().await);
    let cluster = everything.in_namespace(&everything.new_namespace("bounds").await);
    let name = "supabaseprojects.supabase-operator.dev";
    let mut earlier = cluster.get(CRD, name).await.unwrap();
    unbounded(&mut earlier["spec"]["versions"]);
    cluster.merge(CRD, name, json!({"spec": earlier["spec"]})).await;
    let huge =
        json!({"annotations": {"a": "x".repeat(200_000)}, "labels": {"b": "y".repeat(70_000)}});
    let huge = Value::from(project("huge").with_output("web", "Env", huge));
    eventually("the schema without bounds", SOON, async || {
        cluster.try_apply(huge.clone()).await.map(|_| ())
    })
    .await;
    let held = json!({"metadata": {"finalizers": ["supabase-operator.dev/finalizer"]}});
    cluster.merge(PROJECT, "huge", held).await;
    apply_kinds(&plane).await;
    let mut another = huge.clone();
    another["metadata"]["name"] = json!("another");
    eventually("the schema with bounds", SOON, async || {
        let refused = cluster.try_apply(another.clone()).await;
        let stored = refused.map(|_| "it was accepted").err();
        stored.map(|_| ()).ok_or("it was accepted")
    })
    .await;
    let told = json!({"observedGeneration": 1, "remoteStatus": "ACTIVE_HEALTHY", "conditions": conditions()});
    write_status(&cluster, PROJECT, "huge", &told).await.unwrap();
    // Other fields of the spec can be edited too.
    cluster.merge(PROJECT, "huge", json!({"spec": {"suspend": true}})).await;
    cluster.delete(PROJECT, "huge").await;
    cluster.merge(PROJECT, "huge", json!({"metadata": {"finalizers": null}})).await;
    cluster.gone(PROJECT, "huge", SOON).await;
}
