//! What the API server refuses at admission, and what it says: a table of a good object and one mistake in
//! it. Run on a real API server, because it is the one that evaluates the rules.

use serde_json::{Value, json};

use crate::examples::with_kinds;
use crate::support::samples::{
    Sample, cluster_connection, oauth_connection, project, token_connection,
};

/// What is done to a good object, and a part of the refusal.
#[derive(Clone)]
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
        mistake(
            "no credential of a cluster connection",
            cluster,
            exactly_one,
        ),
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
        mistake(
            "no region",
            good().without("region"),
            "set region or regionGroup",
        ),
        mistake(
            "two regions",
            two_regions,
            "set only one of region and regionGroup",
        ),
        mistake(
            "a dot in the name",
            good().called("a.b"),
            "spec.projectName",
        ),
        mistake(
            "a name too long",
            good().called(&"a".repeat(201)),
            "spec.projectName",
        ),
        mistake(
            "two passwords",
            good().with("database/password", both),
            one_password,
        ),
        mistake(
            "adoption without a ref",
            no_ref,
            "adoption.policy AdoptOnly needs adoption.ref",
        ),
        mistake("a ref that is none", bad_ref, "spec.adoption.ref"),
        mistake(
            "an unknown policy",
            good().on_delete("Keep"),
            "spec.deletionPolicy",
        ),
        mistake(
            "an unknown power state",
            good().with("powerState", "Off"),
            "spec.powerState",
        ),
        mistake(
            "a Secret as connection",
            good().with("connectionRef", secret),
            "spec.connectionRef.kind",
        ),
    ]
}

fn mistakes_in_outputs() -> Vec<Mistake> {
    let public = "a ConfigMap is readable by many";
    let binding = "the preset ServiceBinding is a Secret";
    let reserved = "this name is reserved";
    let table = [
        (
            "a ConfigMap of everything",
            json!({"kind": "ConfigMap"}),
            public,
        ),
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
        (
            "a binding with a prefix",
            json!({"preset": "ServiceBinding", "prefix": "A_"}),
            binding,
        ),
        (
            "a password Secret",
            json!({"name": "x-supabase-password"}),
            reserved,
        ),
        (
            "a state Secret",
            json!({"name": "acme-oauth-state"}),
            reserved,
        ),
        (
            "a cluster state Secret",
            json!({"name": "acme-oauth-cluster-state"}),
            reserved,
        ),
        (
            "a name that is none",
            json!({"name": "a/b"}),
            "spec.outputs[0].name",
        ),
        ("an empty include", json!({"include": []}), "include"),
        (
            "an unknown value",
            json!({"include": ["Password"]}),
            "include",
        ),
        (
            "a prefix that no shell takes",
            json!({"prefix": "a-b"}),
            "prefix",
        ),
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
    table
        .map(|(what, details, says)| mistake(what, output(details), says))
        .into()
}

#[tokio::test]
async fn an_object_with_a_mistake_is_refused_with_a_message_that_names_it() {
    let (_plane, cluster) = with_kinds().await;
    let all = [
        mistakes_in_connections(),
        mistakes_in_projects(),
        mistakes_in_outputs(),
    ]
    .concat();
    for good in [
        token_connection("acme"),
        oauth_connection("acme-oauth"),
        project("orders"),
    ] {
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
