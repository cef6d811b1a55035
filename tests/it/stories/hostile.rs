//! One object, namespace or stranger must never stop others: what somebody with the rights of an editor in one namespace
//! can store, and what breaks on the way to the API server.

use std::time::Duration;

use http::Method;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use simulated_platform::{Config, Fault, FaultKind};

use super::connected_with_token;
use crate::support::cluster::kinds::{CONFIG_MAP, CONNECTION, EVENT, Kind, PROJECT, SECRET};
use crate::support::cluster::{Cluster, SOON, condition};
use crate::support::control_plane::ControlPlane;
use crate::support::eventually::eventually;
use crate::support::gateway::Gateway;
use crate::support::hostile::{
    DEPTH, ENDING, MEMORY, deep, managed, newer_kinds, own_organization, padded, ready_at_last,
    remove, served, spec_of, store, stored, there, warnings_about, without_bounds,
};
use crate::support::operator::Operator;
use crate::support::samples::{project, token_connection};
use crate::support::stage::{Reach, Stage, apply_kinds};

/// A namespace of somebody else.
async fn stranger(stage: &Stage) -> Cluster {
    let namespace = stage.cluster.new_namespace("it-stranger").await;
    stage.cluster.in_namespace(&namespace)
}

/// The other namespace is served: a new project of it becomes ready, with an operator that starts anew.
async fn is_served(stage: &mut Stage, operator: Operator, name: &str) -> Operator {
    // It gives the Lease away, so that the next one need not wait for it.
    operator.terminate(ENDING).await;
    let operator = stage.operator().await;
    served(&stage.cluster, name).await;
    operator
}

#[tokio::test]
async fn managed_fields_of_any_depth_stop_nobody() {
    let mut stage =
        Stage::with(Reach::ClusterWatchingSecrets, Config::fast(), &super::short_lease()).await;
    let mut operator = stage.operator().await;
    connected_with_token(&stage).await;
    let strange = stranger(&stage).await;
    let kinds = [PROJECT, CONNECTION, SECRET, CONFIG_MAP];
    for kind in kinds {
        let object = managed(kind, "deep", spec_of(kind), &deep());
        store(&strange, kind, &object).await.unwrap();
        let stored = stored(&strange, kind, "deep").await.unwrap_or_default();
        assert!(stored.len() > DEPTH * 8, "{}: the managed fields were dropped", kind.1);
        operator =
            is_served(&mut stage, operator, &format!("beside-{}", kind.1.to_lowercase())).await;
    }
    // The connection reads Secrets of its own namespace, deep as they are; and what is odd can be deleted.
    for kind in kinds {
        remove(&strange, kind, "deep").await;
        eventually(&format!("the end of {}", kind.1), SOON, async || {
            if there(&strange, kind, "deep").await { Err("it is there") } else { Ok(()) }
        })
        .await;
    }
    stage.finish(vec![operator]).await;
}

/// Reason and note of every event about an object.
async fn events_about(cluster: &Cluster, name: &str) -> String {
    let events = cluster.list(EVENT).await.into_iter();
    let about = events.filter(|event| event["regarding"]["name"] == name);
    let lines = about.map(|event| format!("{}: {}", event["reason"], event["note"]));
    lines.collect::<Vec<_>>().join("\n")
}

/// What shall become of a project when its object goes is not understood: somebody must say so.
async fn what_cannot_be_told_is_held(stage: &Stage, name: &str) {
    let newer = json!({"spec": {"deletionPolicy": "Archive"}});
    let archived = stage.cluster.merge(PROJECT, name, newer).await;
    stage.cluster.delete(PROJECT, name).await;
    let blocked =
        stage.cluster.wait_condition(PROJECT, name, "DeletionBlocked", "True/NewerVersion").await;
    let reference = archived["status"]["ref"].as_str().unwrap();
    let message = condition(&blocked, "DeletionBlocked").unwrap()["message"].to_string();
    assert!(message.contains(reference) && message.contains("force-orphan"), "{message}");
    let events = events_about(&stage.cluster, name).await;
    assert!(events.contains("DeletionBlocked"), "{events}");
    let orphan =
        json!({"metadata": {"annotations": {"supabase-operator.dev/force-orphan": reference}}});
    stage.cluster.merge(PROJECT, name, orphan).await;
    stage.cluster.gone(PROJECT, name, SOON).await;
    assert!(stage.platform.project_names().join(" ").contains(name));
}

#[tokio::test]
async fn what_a_newer_release_has_written_is_told_and_goes_when_it_is_deleted() {
    let mut stage = Stage::with(Reach::Cluster, Config::fast(), &super::short_lease()).await;
    let operator = stage.operator().await;
    connected_with_token(&stage).await;
    for (name, policy) in [("hibernated", "Delete"), ("archived", "Delete"), ("kept", "Retain")] {
        stage.cluster.apply(project(name).on_delete(policy)).await;
        stage.cluster.wait_condition(PROJECT, name, "Ready", "True").await;
    }
    newer_kinds(&stage).await;
    let young = project("young").with("powerState", "Hibernated");
    eventually("the newer kind", SOON, async || {
        stage.cluster.try_apply(young.clone()).await.map(drop)
    })
    .await;
    let newer = json!({"spec": {"powerState": "Hibernated"}});
    for name in ["hibernated", "kept"] {
        stage.cluster.merge(PROJECT, name, newer.clone()).await;
    }
    for (name, ready) in [("hibernated", "True"), ("kept", "True"), ("young", "False")] {
        let wanted = format!("{ready}/NewerVersion");
        let told = stage.cluster.wait_condition(PROJECT, name, "Ready", &wanted).await;
        let message = condition(&told, "Stalled").unwrap()["message"].as_str().unwrap();
        assert!(
            message.contains("newer version of the operator")
                && message.contains("spec.powerState"),
            "{message}"
        );
    }
    assert_eq!(stage.platform.created().len(), 3, "nothing unknown leads to a create call");
    let operator = is_served(&mut stage, operator, "beside").await;

    // What a deletion needs is understood.
    stage.cluster.delete(PROJECT, "hibernated").await;
    stage.cluster.gone(PROJECT, "hibernated", SOON).await;
    stage.cluster.delete(PROJECT, "kept").await;
    stage.cluster.gone(PROJECT, "kept", SOON).await;
    stage.cluster.delete(PROJECT, "young").await;
    stage.cluster.gone(PROJECT, "young", SOON).await;
    let names = stage.platform.project_names().join(" ");
    assert!(names.contains("kept") && !names.contains("hibernated"), "{names}");

    what_cannot_be_told_is_held(&stage, "archived").await;
    apply_kinds(&stage.plane).await;
    stage.finish(vec![operator]).await;
}

/// Stores the largest project that etcd takes.
async fn at_the_brim(cluster: &Cluster, name: &str) {
    let gone = async || {
        remove(cluster, PROJECT, name).await;
        eventually("the end of a try", SOON, async || {
            if there(cluster, PROJECT, name).await { Err("it is there") } else { Ok(()) }
        })
        .await;
    };
    let (mut fits, mut too_large) = (1_000_000, 2_000_000);
    while too_large - fits > 30 {
        let size = usize::midpoint(fits, too_large);
        match store(cluster, PROJECT, &padded(name, size, false)).await {
            Ok(()) => {
                fits = size;
                gone().await;
            }
            Err(_) => too_large = size,
        }
    }
    store(cluster, PROJECT, &padded(name, fits, false)).await.unwrap();
    assert!((1_400_000..1_700_000).contains(&fits), "{fits} bytes");
}

#[tokio::test]
async fn objects_at_the_brim_of_etcd_are_told_by_events_and_stop_nobody() {
    let mut stage = Stage::with(Reach::Cluster, Config::fast(), &super::short_lease()).await;
    let strange = stranger(&stage).await;
    without_bounds(&stage).await;
    eventually("kinds without bounds", SOON, async || {
        store(&strange, PROJECT, &padded("try", 1_000_000, true)).await
    })
    .await;
    at_the_brim(&strange, "brim").await;
    apply_kinds(&stage.plane).await;
    let operator = stage.operator().await;
    connected_with_token(&stage).await;
    served(&stage.cluster, "beside").await;
    eventually("an event", SOON, async || {
        let events = events_about(&strange, "brim").await;
        if events.contains("ObjectTooLarge") { Ok(()) } else { Err(events) }
    })
    .await;
    let metrics = operator.metrics().await;
    let none = "refused_writes_total{kind=\"SupabaseProject\"} 0\n";
    assert!(metrics.contains(none.trim_end_matches("0\n")) && !metrics.contains(none));
    remove(&strange, PROJECT, "brim").await;
    eventually("its end", SOON, async || {
        if there(&strange, PROJECT, "brim").await { Err("it is there") } else { Ok(()) }
    })
    .await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_hundred_and_fifty_objects_as_large_as_they_get_fit_into_the_memory_of_the_chart() {
    const OBJECTS: usize = 150;
    // How long an API server with so much to do may take for a renewal is another story.
    let patient = json!({"leaderElection": {"leaseDuration": "90s", "renewDeadline": "80s"}});
    let mut stage = Stage::with(Reach::Cluster, Config::fast(), &patient).await;
    let strange = stranger(&stage).await;
    without_bounds(&stage).await;
    for number in 0..OBJECTS {
        let object = padded(&format!("large-{number}"), 1_450_000, true);
        eventually("a large object", SOON, async || store(&strange, PROJECT, &object).await).await;
    }
    apply_kinds(&stage.plane).await;
    let operator = stage.operator().await;
    connected_with_token(&stage).await;
    served(&stage.cluster, "beside").await;
    // Every one of them was looked at.
    eventually("a look at each", Duration::from_secs(240), async || {
        let metrics = operator.metrics().await;
        let done = metrics.lines().find_map(|line| {
            line.strip_prefix(
                "supabase_operator_passes_total{kind=\"SupabaseProject\",outcome=\"done\"} ",
            )
        });
        let done = done.and_then(|count| count.parse().ok()).unwrap_or(0_usize);
        if done > OBJECTS { Ok(()) } else { Err(format!("{done} passes")) }
    })
    .await;
    let peak = operator.peak_memory();
    assert!(peak <= MEMORY, "{} MiB", peak / 1024 / 1024);
    let namespace = ("v1", "Namespace");
    stage.cluster.delete_with(namespace, &strange.namespace, &DeleteParams::background()).await;
    // Two hundred megabytes go one by one, beside whatever else the machine does.
    stage.cluster.gone(namespace, &strange.namespace, Duration::from_secs(400)).await;
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_flood_of_one_namespace_on_a_slow_platform_delays_another_by_its_share() {
    const FLOOD: usize = 120;
    /// Reconciles of one namespace under way at most, with the concurrency of the chart; and those that were at it.
    const SHARE: usize = 32 + 16;
    let mut stage = Stage::new(Reach::Cluster).await;
    let operator = stage.operator().await;
    connected_with_token(&stage).await;
    let strange = stranger(&stage).await;
    own_organization(&stage, &strange, "bulk").await;
    let slow = FaultKind::Delay(Duration::from_millis(400));
    let calls = Fault::on("GET", "/v1/organizations/bulk/projects", slow).times(100_000);
    stage.platform.world().script(calls);
    for number in 0..FLOOD {
        strange.apply(project(&format!("flood-{number}"))).await;
    }
    // Its turn comes after so many of theirs, however long its project takes then.
    let name = format!("{}-orders-", stage.cluster.namespace);
    let before = stage.platform.created_before("bulk", &name);
    served(&stage.cluster, "orders").await;
    let first = stage.platform.created_before("bulk", &name) - before;
    assert!(first <= SHARE, "{first} of {FLOOD} came first");
    for number in 0..FLOOD {
        strange.delete(PROJECT, &format!("flood-{number}")).await;
    }
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_watched_namespace_without_rights_keeps_nobody_from_the_others() {
    const BINDING: Kind = ("rbac.authorization.k8s.io/v1", "RoleBinding");
    let plane = ControlPlane::shared().await;
    let everything = Cluster::new(plane.client().await);
    let served = everything.in_namespace(&everything.new_namespace("it-served").await);
    let lost = everything.in_namespace(&everything.new_namespace("it-lost").await);
    let mut values = super::short_lease();
    values["watchNamespaces"] = json!([lost.namespace, served.namespace]);
    let mut stage = Stage::with(Reach::Namespace, Config::fast(), &values).await;
    stage.platform.provide_secrets(&served).await;
    let bindings = lost.list(BINDING).await;
    let bound =
        |binding: &&Value| binding["subjects"].to_string().contains(&stage.system.namespace);
    let binding = bindings.iter().find(bound).unwrap().clone();
    lost.delete(BINDING, binding["metadata"]["name"].as_str().unwrap()).await;
    let operator = stage.operator().await;
    served.apply(token_connection("acme")).await;
    served.apply(project("orders")).await;
    served.wait_condition(PROJECT, "orders", "Ready", "True").await;
    let named = warnings_about(&operator, &lost.namespace);
    assert!((1..=12).contains(&named), "named {named} times");
    // The right comes back: so does the service.
    let mut again = binding;
    again["metadata"] = json!({"name": again["metadata"]["name"], "namespace": lost.namespace});
    (again["apiVersion"], again["kind"]) = (json!(BINDING.0), json!(BINDING.1));
    lost.apply(again).await;
    stage.platform.provide_secrets(&lost).await;
    lost.apply(token_connection("acme")).await;
    ready_at_last(&lost, CONNECTION, "acme").await;
    // The requests that were refused meanwhile.
    stage.finish_although(vec![operator], &[&lost.namespace]).await;
}

/// No answer to a write of ours can be read, and some answers to reads of Secrets cannot.
fn cut(method: &Method, path: &str) -> bool {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static READS: AtomicUsize = AtomicUsize::new(0);
    let ours = path.contains("/secrets") || path.contains("supabase-operator.dev");
    if *method == Method::GET {
        path.contains("/secrets/") && READS.fetch_add(1, Ordering::SeqCst) % 7 == 6
    } else {
        ours
    }
}

#[tokio::test]
async fn answers_that_are_cut_short_leak_nothing_and_repeat_no_write() {
    let mut stage = Stage::new(Reach::Cluster).await;
    let gateway = Gateway::start(&stage.release.kubeconfig(), cut).await;
    let mut operator = stage.launch("behind", &[("KUBECONFIG", gateway.kubeconfig())]);
    operator.ready().await;
    super::connected(&stage).await;
    stage.cluster.apply(project("orders").on_delete("Delete")).await;
    ready_at_last(&stage.cluster, PROJECT, "orders").await;
    assert_eq!(stage.platform.created().len(), 1);
    assert!(gateway.cut() > 10, "{} answers were cut", gateway.cut());
    stage.cluster.delete(PROJECT, "orders").await;
    stage.cluster.gone(PROJECT, "orders", Duration::from_secs(90)).await;
    stage.finish(vec![operator]).await;
}
