//! What the API server refuses at admission, and what it says: a table of a good object and one mistake in
//! it. Run on a real API server, because it is the one that evaluates the rules.

use serde_json::{Value, json};

use crate::examples::with_kinds;
use crate::support::samples::{
    Sample, cluster_connection, oauth_connection, project, token_connection,
};

/// What is done to a good object, and a part of the refusal.
struct Mistake {
    what: &'static str,
    object: Sample,
    says: &'static str,
}

fn mistake(what: &'static str, object: Sample, says: &'static str) -> Mistake {
    Mistake { what, object, says }
}

fn output(details: Value) -> Sample {
    let preset = details["preset"].as_str().unwrap_or("Env").to_owned();
    let name = details["name"].as_str().unwrap_or("web").to_owned();
    project("orders").with_output(&name, &preset, details)
}

fn mistakes() -> Vec<Mistake> {
    let both = json!({"generate": {}, "secretKeyRef": {"name": "a", "key": "b"}});
    let token = json!({"secretKeyRef": {"name": "a", "key": "b"}});
    let exactly_one = "set exactly one of auth.oauth and auth.personalAccessToken";
    let both_ways = oauth_connection("acme").with("auth/personalAccessToken", token);
    let place = "set region or regionGroup";
    let public = "a ConfigMap is readable by many";
    let reserved = "this name is reserved";
    let dot = project("orders").called("a.b");
    vec![
        mistake(
            "no credential",
            token_connection("acme").with("auth", json!({})),
            exactly_one,
        ),
        mistake("two credentials", both_ways, exactly_one),
        mistake(
            "no credential of a cluster connection",
            cluster_connection("acme").with("auth", json!({})),
            exactly_one,
        ),
        mistake(
            "a slug with a slash",
            token_connection("acme").with("organizationSlug", "a/b"),
            "spec.organizationSlug",
        ),
        mistake("no region", project("orders").without("region"), place),
        mistake(
            "two regions",
            project("orders").with("regionGroup", "emea"),
            "set only one of region and regionGroup",
        ),
        mistake("a dot in the name", dot, "spec.projectName"),
        mistake(
            "a name too long",
            project("orders").called(&"a".repeat(201)),
            "spec.projectName",
        ),
        mistake(
            "two passwords",
            project("orders").with("database/password", both),
            "set only one of database.password.generate and database.password.secretKeyRef",
        ),
        mistake(
            "adoption without a ref",
            project("orders").with("adoption", json!({"policy": "AdoptOnly"})),
            "adoption.policy AdoptOnly needs adoption.ref",
        ),
        mistake(
            "a ref that is none",
            project("orders").with("adoption", json!({"policy": "AdoptOnly", "ref": "../x"})),
            "spec.adoption.ref",
        ),
        mistake(
            "an unknown policy",
            project("orders").on_delete("Keep"),
            "spec.deletionPolicy",
        ),
        mistake(
            "an unknown power state",
            project("orders").with("powerState", "Off"),
            "spec.powerState",
        ),
        mistake(
            "a foreign kind of connection",
            project("orders").with("connectionRef", json!({"kind": "Secret", "name": "a"})),
            "spec.connectionRef.kind",
        ),
        mistake(
            "a ConfigMap of everything",
            output(json!({"kind": "ConfigMap"})),
            public,
        ),
        mistake(
            "a ConfigMap with a secret",
            output(json!({"kind": "ConfigMap", "include": ["URL", "SecretKey"]})),
            public,
        ),
        mistake(
            "a service binding in a ConfigMap",
            output(json!({"kind": "ConfigMap", "preset": "ServiceBinding", "include": ["URL"]})),
            "the preset ServiceBinding is a Secret",
        ),
        mistake(
            "a service binding with a prefix",
            output(json!({"preset": "ServiceBinding", "prefix": "A_"})),
            "the preset ServiceBinding is a Secret",
        ),
        mistake(
            "a password Secret as output",
            output(json!({"name": "x-supabase-password"})),
            reserved,
        ),
        mistake(
            "a state Secret as output",
            output(json!({"name": "acme-oauth-state"})),
            reserved,
        ),
        mistake(
            "a cluster state Secret as output",
            output(json!({"name": "acme-oauth-cluster-state"})),
            reserved,
        ),
        mistake(
            "an output without a valid name",
            output(json!({"name": "a/b"})),
            "spec.outputs[0].name",
        ),
        mistake(
            "an empty include",
            output(json!({"include": []})),
            "include",
        ),
        mistake(
            "an unknown value",
            output(json!({"include": ["Password"]})),
            "include",
        ),
        mistake(
            "a prefix that no shell takes",
            output(json!({"prefix": "a-b"})),
            "prefix",
        ),
        mistake(
            "an annotation that others obey",
            output(json!({"annotations": {"kubernetes.io/ingress.class": "x"}})),
            "annotations of kubernetes.io",
        ),
        mistake(
            "a label that others obey",
            output(json!({"labels": {"pod-security.kubernetes.io/enforce": "x"}})),
            "labels of kubernetes.io",
        ),
    ]
}

#[tokio::test]
async fn an_object_with_a_mistake_is_refused_with_a_message_that_names_it() {
    let (_plane, cluster) = with_kinds().await;
    for good in [
        token_connection("acme"),
        oauth_connection("acme-oauth"),
        project("orders"),
    ] {
        cluster.apply(good).await;
    }
    for (number, Mistake { what, object, says }) in mistakes().into_iter().enumerate() {
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
    let twice = project("orders")
        .with_output("web", "Env", json!({}))
        .with_output("web", "Env", json!({"prefix": "A_"}));
    let refusal = cluster.try_apply(twice).await.unwrap_err();
    assert!(refusal.contains("web"), "{refusal}");
}

#[tokio::test]
async fn what_cannot_be_changed_on_the_platform_cannot_be_changed_here() {
    let (_plane, cluster) = with_kinds().await;
    let named = project("orders").with("organizationSlug", "acme");
    let named = named.with_output("web", "Env", json!({}));
    cluster.apply(named.clone()).await;
    let secret = |kind: &str, preset: &str, include: Value| {
        let outputs = json!([{"name": "web", "kind": kind, "preset": preset, "include": include}]);
        named.clone().with("outputs", outputs)
    };
    let group = named.clone().without("region").with("regionGroup", "emea");
    for (what, changed, says) in [
        (
            "region",
            named.clone().in_region("us-east-1"),
            "region is immutable",
        ),
        ("region to group", group, "region is immutable"),
        (
            "organization",
            named.clone().with("organizationSlug", "other"),
            "organizationSlug is immutable",
        ),
        (
            "no organization",
            named.clone().without("organizationSlug"),
            "organizationSlug is immutable",
        ),
        (
            "kind of an output",
            secret("ConfigMap", "Env", json!(["URL"])),
            "kind of an output is immutable",
        ),
        (
            "preset of an output",
            secret("Secret", "ServiceBinding", Value::Null),
            "preset of an output is immutable",
        ),
    ] {
        match cluster.try_apply(changed).await {
            Ok(_) => panic!("{what} was changed"),
            Err(refusal) => assert!(refusal.contains(says), "{what}: refused with {refusal:?}"),
        }
    }
    cluster
        .apply(named.called("renamed").on_delete("Delete"))
        .await;
}

#[tokio::test]
async fn a_new_object_is_not_taken_for_current_before_anybody_looked() {
    let (_plane, cluster) = with_kinds().await;
    for object in [
        Value::from(project("orders")),
        token_connection("acme").into(),
    ] {
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
    assert_eq!(
        stored["spec"]["connectionRef"]["kind"], "SupabaseConnection",
        "{stored}"
    );
    assert_eq!(
        stored["spec"]["adoption"]["policy"], "CreateOnly",
        "{stored}"
    );
}
