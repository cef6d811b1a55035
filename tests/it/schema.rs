//! What the API server refuses at admission, and what it says: a table of a good object and one mistake in
//! it. Run on a real API server, because it is the one that evaluates the rules.

use serde_json::{Value, json};

use crate::bounds::write_status;
use crate::examples::with_kinds;
use crate::support::cluster::kinds::PROJECT;
use crate::support::cluster::{Cluster, SOON};
use crate::support::control_plane::ControlPlane;
use crate::support::eventually::eventually;
use crate::support::programs::{ensure, succeed};
use crate::support::samples::{
    Sample, cluster_connection, oauth_connection, project, token_connection,
};
use crate::support::stage::apply_kinds;

/// What is done to a good object, and a part of the refusal.
#[derive(Clone)]
pub struct Mistake {
    what: &'static str,
    object: Sample,
    says: &'static str,
}

pub fn mistake(what: &'static str, object: Sample, says: &'static str) -> Mistake {
    Mistake { what, object, says }
}

pub fn output(details: Value) -> Sample {
    let preset = details["preset"].as_str().unwrap_or("Env").to_owned();
    let name = details["name"].as_str().unwrap_or("web").to_owned();
    project("orders").with_output(&name, &preset, details)
}

fn mistakes_in_connections() -> Vec<Mistake> {
    let exactly_one = "set exactly one of auth.oauth and auth.personalAccessToken";
    let token = json!({"secretKeyRef": {"name": "a", "key": "b"}});
    let both = oauth_connection("acme").with("auth/personalAccessToken", token);
    let neither = token_connection("acme").with("auth", json!({}));
    let cluster = cluster_connection("acme").with("auth", json!({}));
    let slug = token_connection("acme").with("organizationSlug", "a/b");
    vec![
        mistake("no credential", neither, exactly_one),
        mistake("two credentials", both, exactly_one),
        mistake("no credential of a cluster connection", cluster, exactly_one),
        mistake("a slug with a slash", slug, "spec.organizationSlug"),
    ]
}

fn mistakes_in_projects() -> Vec<Mistake> {
    let good = || project("orders");
    let both = json!({"generate": {}, "secretKeyRef": {"name": "a", "key": "b"}});
    let one_password =
        "set only one of database.password.generate and database.password.secretKeyRef";
    let two_regions = good().with("regionGroup", "emea");
    let no_ref = good().with("adoption", json!({"policy": "AdoptOnly"}));
    let bad_ref = good().with("adoption", json!({"policy": "AdoptOnly", "ref": "../x"}));
    let secret = json!({"kind": "Secret", "name": "a"});
    vec![
        mistake("no region", good().without("region"), "set region or regionGroup"),
        mistake("two regions", two_regions, "set only one of region and regionGroup"),
        mistake("a dot in the name", good().called("a.b"), "spec.projectName"),
        mistake("a name too long", good().called(&"a".repeat(201)), "spec.projectName"),
        mistake("two passwords", good().with("database/password", both), one_password),
        mistake("adoption without a ref", no_ref, "adoption.policy AdoptOnly needs adoption.ref"),
        mistake("a ref that is none", bad_ref, "spec.adoption.ref"),
        mistake("an unknown policy", good().on_delete("Keep"), "spec.deletionPolicy"),
        mistake("an unknown power state", good().with("powerState", "Off"), "spec.powerState"),
        mistake(
            "a Secret as connection",
            good().with("connectionRef", secret),
            "spec.connectionRef.kind",
        ),
    ]
}

/// A text of the wrong shape is answered with words, beside the regular expression that the API server shows.
fn mistakes_of_shape() -> Vec<Mistake> {
    let good = || project("orders");
    let password = json!({"secretKeyRef": {"name": "a", "key": "a b"}});
    vec![
        mistake(
            "a region in capitals",
            good().in_region("EU-central-1"),
            "a region has lower-case letters",
        ),
        mistake(
            "a slug that is a name",
            good().with("organizationSlug", "Acme Inc."),
            "a slug has letters, digits",
        ),
        mistake(
            "a ref that is an address",
            good().with("adoption/ref", "https://x"),
            "a ref has 20 lower-case letters",
        ),
        mistake("a name with a dot", good().called("a.b"), "a project's name has no dots"),
        mistake(
            "a size in capitals",
            good().with("compute", json!({"size": "Micro"})),
            "a size has lower-case letters",
        ),
        mistake(
            "a key with a space",
            good().with("database/password", password),
            "a key of a Secret has letters",
        ),
        mistake(
            "an output's prefix",
            output(json!({"prefix": "a-b"})),
            "a prefix has letters, digits",
        ),
        mistake("an output's name", output(json!({"name": "A"})), "a name has lower-case letters"),
        mistake(
            "a connection's name",
            good().of_connection("Acme"),
            "a name has lower-case letters",
        ),
    ]
}

fn mistakes_in_outputs() -> Vec<Mistake> {
    let public = "a ConfigMap is readable by many";
    let binding = "the presets ServiceBinding and Libpq are Secrets";
    let reserved = "this name is reserved";
    let table = [
        ("a ConfigMap of everything", json!({"kind": "ConfigMap"}), public),
        (
            "a ConfigMap with a secret",
            json!({"kind": "ConfigMap", "include": ["URL", "SecretKey"]}),
            public,
        ),
        (
            "a binding in a ConfigMap",
            json!({"kind": "ConfigMap", "preset": "ServiceBinding", "include": ["URL"]}),
            binding,
        ),
        ("a binding with a prefix", json!({"preset": "ServiceBinding", "prefix": "A_"}), binding),
        ("a password Secret", json!({"name": "x-supabase-password"}), reserved),
        ("a state Secret", json!({"name": "acme-oauth-state"}), reserved),
        ("a cluster state Secret", json!({"name": "acme-oauth-cluster-state"}), reserved),
        ("a name that is none", json!({"name": "a/b"}), "spec.outputs[0].name"),
        ("an empty include", json!({"include": []}), "include"),
        ("an unknown value", json!({"include": ["Password"]}), "include"),
        ("a prefix that no shell takes", json!({"prefix": "a-b"}), "prefix"),
        (
            "an annotation that others obey",
            json!({"annotations": {"kubernetes.io/ingress.class": "x"}}),
            "annotations of kubernetes.io",
        ),
        (
            "a label that others obey",
            json!({"labels": {"pod-security.kubernetes.io/enforce": "x"}}),
            "labels of kubernetes.io",
        ),
    ];
    table.map(|(what, details, says)| mistake(what, output(details), says)).into()
}

/// What Kubernetes would refuse when the output is written is refused before.
fn mistakes_in_metadata_of_outputs() -> Vec<Mistake> {
    let table = [
        (
            "a value that no label has",
            json!({"labels": {"team": "a b"}}),
            "the value of a label has letters",
        ),
        (
            "a value that ends badly",
            json!({"labels": {"team": "a-"}}),
            "the value of a label has letters",
        ),
        (
            "a key that no label has",
            json!({"labels": {"te am": "a"}}),
            "the key of a label is a name",
        ),
        (
            "a domain that is none",
            json!({"labels": {"Example.com/team": "a"}}),
            "the key of a label is a name",
        ),
        (
            "a long name after a domain",
            json!({"labels": {(format!("example.com/{}", "a".repeat(64))): "a"}}),
            "the key of a label is a name",
        ),
        (
            "a key that no annotation has",
            json!({"annotations": {"a/b/c": "any text, it is"}}),
            "the key of an annotation is a name",
        ),
        (
            "an empty name of an annotation",
            json!({"annotations": {"example.com/": "a"}}),
            "the key of an annotation is a name",
        ),
    ];
    table.map(|(what, details, says)| mistake(what, output(details), says)).into()
}

#[tokio::test]
async fn an_object_with_a_mistake_is_refused_with_a_message_that_names_it() {
    let (_plane, cluster) = with_kinds().await;
    let all = [
        mistakes_in_connections(),
        mistakes_in_projects(),
        mistakes_in_outputs(),
        crate::schema_keys::mistakes(),
        mistakes_in_metadata_of_outputs(),
        mistakes_of_shape(),
    ]
    .concat();
    for good in [token_connection("acme"), oauth_connection("acme-oauth"), project("orders")] {
        cluster.apply(good).await;
    }
    for (number, Mistake { what, object, says }) in all.into_iter().enumerate() {
        let mut object = Value::from(object);
        object["metadata"]["name"] = json!(format!("mistake-{number}"));
        match cluster.try_apply(object).await {
            Ok(_) => panic!("{what} was accepted"),
            Err(refusal) => assert!(refusal.contains(says), "{what}: refused with {refusal:?}"),
        }
    }
}

#[tokio::test]
async fn two_outputs_of_one_name_are_refused() {
    let (_plane, cluster) = with_kinds().await;
    let twice = project("orders").with_output("web", "Env", json!({})).with_output(
        "web",
        "Env",
        json!({"prefix": "A_"}),
    );
    let refusal = cluster.try_apply(twice).await.unwrap_err();
    assert!(refusal.contains("web"), "{refusal}");
}

/// What a project is on record with: nothing, create calls with these outcomes, or a ref.
fn on_record(outcomes: &[&str], reference: Option<&str>) -> Value {
    let attempts: Vec<_> = outcomes
        .iter()
        .zip(1..)
        .map(|(outcome, number)| {
            json!({"number": number, "organizationSlug": "acme", "region": "eu-central-1",
                "listedAt": "2026-01-01T00:00:00Z", "deadlineSeconds": 30, "passwordDigest": "d", "process": "p",
                "outcome": outcome})
        })
        .collect();
    json!({"observedGeneration": 1, "organizationSlug": "acme", "ref": reference,
        "creation": {"name": "orders-x", "attempts": attempts}})
}

const REF: &str = "abcdefghijklmnopqrst";

#[tokio::test]
async fn what_was_asked_of_the_platform_cannot_be_asked_otherwise() {
    let (_plane, cluster) = with_kinds().await;
    let records: [(&str, &[&str], Option<&str>); 4] = [
        ("pending", &["Pending"], None),
        ("refused-then-absent", &["Refused", "Absent"], None),
        ("created", &["Created"], Some(REF)),
        ("adopted", &[], Some(REF)),
    ];
    for (name, outcomes, reference) in records {
        let slug = "organizationSlug";
        let named = project(name).with(slug, "acme").with_output("web", "Env", json!({}));
        cluster.apply(named.clone()).await;
        let record = on_record(outcomes, reference);
        write_status(&cluster, PROJECT, name, &record).await.unwrap();
        let group = named.clone().without("region").with("regionGroup", "emea");
        let region = "region can be changed only until";
        for (what, changed, says) in [
            ("region", named.clone().in_region("us-east-1"), region),
            ("region to group", group, region),
            (
                "organization",
                named.clone().with(slug, "other"),
                "organizationSlug can be changed only until",
            ),
        ] {
            match cluster.try_apply(changed).await {
                Ok(_) => panic!("{name}: {what} was changed"),
                Err(refusal) => assert!(refusal.contains(says), "{name}, {what}: {refusal:?}"),
            }
        }
        // Everything else goes on, and the organization may be left to what is on record.
        cluster.apply(named.clone().called("renamed")).await;
        cluster.apply(named.clone().without(slug)).await;
        let wrong = named.clone().with(slug, "other");
        assert!(cluster.try_apply(wrong).await.is_err(), "{name}");
        cluster.apply(named).await;
        write_status(&cluster, PROJECT, name, &record).await.unwrap();
        let held = json!({"metadata": {"finalizers": ["example.dev/held"]}});
        cluster.merge(PROJECT, name, held).await;
        cluster.delete(PROJECT, name).await;
        let free = json!({"metadata": {"finalizers": null}});
        cluster.merge(PROJECT, name, free).await;
    }
}

#[tokio::test]
async fn a_typo_can_be_corrected_until_a_create_call_was_made() {
    let (_plane, cluster) = with_kinds().await;
    let records: [(&str, Option<&[&str]>); 4] = [
        ("new", None),
        ("seen", Some(&[])),
        ("refused", Some(&["Refused", "Refused"])),
        ("unsent", Some(&["NotSent"])),
    ];
    for (name, record) in records {
        let typo = project(name).in_region("eu-centrall-1");
        let typo = typo.with("organizationSlug", "amce");
        cluster.apply(typo.clone()).await;
        if let Some(outcomes) = record {
            let record = on_record(outcomes, None);
            write_status(&cluster, PROJECT, name, &record).await.unwrap();
        }
        cluster.apply(typo.clone().with("organizationSlug", "acme")).await;
        cluster.apply(typo.clone().without("organizationSlug")).await;
        let group = typo.without("region").with("regionGroup", "emae");
        cluster.apply(group.clone()).await;
        cluster.apply(group.clone().with("regionGroup", "emea")).await;
        let right = group.without("regionGroup").in_region("eu-central-1");
        cluster.apply(right).await;
    }
}

/// An object of an earlier release may name another organization than the one that its project is in.
#[tokio::test]
async fn an_organization_that_was_set_wrong_later_can_be_set_right_or_taken_out() {
    let (_plane, cluster) = with_kinds().await;
    for (name, right) in [("right", Some("acme")), ("out", None)] {
        let wrong = project(name).with("organizationSlug", "other");
        cluster.apply(wrong.clone()).await;
        let record = on_record(&["Created"], Some(REF));
        write_status(&cluster, PROJECT, name, &record).await.unwrap();
        cluster.apply(wrong.clone().called("edited")).await;
        let mended = match right {
            Some(slug) => wrong.with("organizationSlug", slug),
            None => wrong.without("organizationSlug"),
        };
        cluster.apply(mended).await;
    }
}

#[tokio::test]
async fn kind_and_binding_of_an_output_stay() {
    let (_plane, cluster) = with_kinds().await;
    let named = project("orders");
    let outputs = |output: Value| named.clone().with("outputs", json!([output]));
    // Written out or left to the default, it is the same.
    cluster.apply(outputs(json!({"name": "web"}))).await;
    let same =
        json!({"name": "web", "kind": "Secret", "preset": "Env", "endpoint": "SessionPooler"});
    cluster.apply(outputs(same)).await;
    cluster.apply(outputs(json!({"name": "web"}))).await;
    for (what, changed, says) in [
        (
            "kind of an output",
            json!({"name": "web", "kind": "ConfigMap", "include": ["URL"]}),
            "kind of an output is immutable",
        ),
        (
            "preset of an output",
            json!({"name": "web", "preset": "ServiceBinding"}),
            "cannot become a ServiceBinding",
        ),
    ] {
        match cluster.try_apply(outputs(changed)).await {
            Ok(_) => panic!("{what} was changed"),
            Err(refusal) => assert!(refusal.contains(says), "{what}: refused with {refusal:?}"),
        }
    }
}

/// Puts the defaults of the releases before this one back into the items of outputs.
fn with_defaults(crd: &mut Value) {
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let item = &mut schema["properties"]["spec"]["properties"]["outputs"]["items"];
    for (field, default) in [("kind", "Secret"), ("preset", "Env"), ("endpoint", "SessionPooler")] {
        item["properties"][field]["default"] = json!(default);
    }
}

/// An object that was stored with defaults within its outputs, and is applied again under the schema without.
#[tokio::test]
async fn outputs_that_were_stored_with_defaults_go_on() {
    let plane = ControlPlane::own().await;
    apply_kinds(&plane).await;
    let everything = Cluster::new(plane.client().await);
    let cluster = everything.in_namespace(&everything.new_namespace("schema").await);
    let name = "supabaseprojects.supabase-operator.dev";
    let kind = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");
    let mut earlier = cluster.get(kind, name).await.unwrap();
    with_defaults(&mut earlier);
    cluster.merge(kind, name, json!({"spec": earlier["spec"]})).await;
    let manifest = |name: &str| {
        project(name)
            .with("outputs", json!([{"name": "x"}, {"name": "y", "preset": "ServiceBinding"}]))
    };
    eventually("the schema with defaults", SOON, async || {
        let stored = cluster.apply(manifest("probe")).await;
        let default = &stored["spec"]["outputs"][0]["endpoint"];
        (default == "SessionPooler").then_some(()).ok_or("no default")
    })
    .await;
    cluster.apply(manifest("orders")).await;
    apply_kinds(&plane).await;
    eventually("the schema without", SOON, async || {
        cluster.delete(PROJECT, "probe").await;
        cluster.gone(PROJECT, "probe", SOON).await;
        let stored = cluster.apply(manifest("probe")).await;
        let none = stored["spec"]["outputs"][0]["endpoint"].is_null();
        none.then_some(()).ok_or("there is a default still")
    })
    .await;
    // As it was applied before, as it is stored, and with an edit; then status and finalizer.
    cluster.apply(manifest("orders")).await;
    let stored = cluster.get(PROJECT, "orders").await.unwrap();
    let stored = json!({"apiVersion": PROJECT.0, "kind": PROJECT.1, "metadata": {"name": "orders"},
        "spec": stored["spec"]});
    cluster.apply(stored).await;
    cluster.apply(manifest("orders").called("renamed")).await;
    let told = json!({"observedGeneration": 1});
    write_status(&cluster, PROJECT, "orders", &told).await.unwrap();
    let kinds =
        manifest("orders").with("outputs", json!([{"name": "x", "preset": "ServiceBinding"}]));
    let refusal = cluster.try_apply(kinds).await.unwrap_err();
    assert!(refusal.contains("cannot become a ServiceBinding"), "{refusal}");
}

#[tokio::test]
async fn projects_are_found_by_ref_and_by_connection() {
    let (plane, cluster) = with_kinds().await;
    for (name, connection, reference) in
        [("one", "acme", REF), ("two", "other", "tsrqponmlkjihgfedcba")]
    {
        cluster.apply(project(name).of_connection(connection)).await;
        let record = on_record(&["Created"], Some(reference));
        write_status(&cluster, PROJECT, name, &record).await.unwrap();
    }
    for selector in [
        format!("status.ref={REF}"),
        "spec.connectionRef.name=acme,spec.connectionRef.kind=SupabaseConnection".to_owned(),
    ] {
        let mut kubectl = plane.command(&ensure("kubectl").await);
        kubectl.args(["get", "supabaseprojects.supabase-operator.dev", "--output", "name"]);
        kubectl.args(["--namespace", &cluster.namespace, "--field-selector", &selector]);
        let found = succeed(kubectl).await;
        assert_eq!(found.trim(), "supabaseproject.supabase-operator.dev/one", "{selector}");
    }
}

#[tokio::test]
async fn a_new_object_is_not_taken_for_current_before_anybody_looked() {
    let (_plane, cluster) = with_kinds().await;
    for object in [Value::from(project("orders")), token_connection("acme").into()] {
        let stored = cluster.apply(object).await;
        assert_eq!(stored["status"]["observedGeneration"], -1, "{stored}");
    }
}

#[tokio::test]
async fn defaults_are_shown() {
    let (_plane, cluster) = with_kinds().await;
    let bare = json!({"connectionRef": {"name": "acme"}, "region": "eu-central-1"});
    let object = json!({"apiVersion": "supabase-operator.dev/v1alpha1", "kind": "SupabaseProject",
        "metadata": {"name": "bare"}, "spec": bare});
    let stored = cluster.apply(object).await;
    assert_eq!(stored["spec"]["deletionPolicy"], "Retain", "{stored}");
    assert_eq!(stored["spec"]["connectionRef"]["kind"], "SupabaseConnection", "{stored}");
    assert_eq!(stored["spec"]["adoption"]["policy"], "CreateOnly", "{stored}");
}
