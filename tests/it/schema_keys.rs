//! What the API server refuses of keys of outputs, and that its rules about them cost little enough.

use serde_json::{Value, json};

use crate::examples::with_kinds;
use crate::schema::{Mistake, mistake, output};
use crate::support::programs::{ensure, repository, run};
use crate::support::samples::project;

/// An object, field by field over another.
fn with(mut object: Value, more: &Value) -> Value {
    for (field, value) in more.as_object().unwrap() {
        object[field] = value.clone();
    }
    object
}

/// One key, and what is wrong with it.
fn of_one_key() -> Vec<Mistake> {
    let key = |more: &Value| {
        let key = with(json!({"name": "A", "value": "DatabaseURI"}), more);
        project("orders").with("outputs", json!([{"name": "web", "keys": [key]}]))
    };
    let reserved = "the parameters host, hostaddr";
    let table = [
        ("a key with a slash", key(&json!({"name": "a/b"})), "a key of a Secret has letters"),
        ("a key that is a folder", key(&json!({"name": ".."})), "must not begin with '..'"),
        ("a key that begins as one", key(&json!({"name": "..a"})), "must not begin with '..'"),
        ("a key without a value", key(&json!({"value": null})), "value"),
        ("a scheme in capitals", key(&json!({"scheme": "Postgres"})), "a scheme has lower-case"),
        (
            "a scheme of a host",
            key(&json!({"scheme": "a", "value": "DatabaseHost"})),
            "scheme is for",
        ),
        (
            "parameters of a host",
            key(&json!({"parameters": {"a": "b"}, "value": "DatabaseHost"})),
            "parameters are for",
        ),
        (
            "a parameter of another name",
            key(&json!({"parameters": {"a b": "c"}})),
            "the name of a parameter",
        ),
        (
            "a parameter with a long name",
            key(&json!({"parameters": {"a".repeat(64): "c"}})),
            "the name of a parameter",
        ),
        ("a parameter that is ours", key(&json!({"parameters": {"sslmode": "disable"}})), reserved),
        ("another host", key(&json!({"parameters": {"hostaddr": "192.0.2.1"}})), reserved),
        (
            "a file without a mode",
            key(&json!({"tls": {"caFile": "/ca.crt"}})),
            "caFile is for the mode VerifyFull",
        ),
        (
            "a file that is not absolute",
            key(&json!({"tls": {"mode": "VerifyFull", "caFile": "ca.crt"}})),
            "the path of a file",
        ),
    ];
    table.map(|(what, object, says)| mistake(what, object, says)).into()
}

/// What does not go together.
fn of_an_output() -> Vec<Mistake> {
    let beside = |more: &Value| {
        let output = json!({"name": "web", "keys": [{"name": "A", "value": "URL"}]});
        project("orders").with("outputs", json!([with(output, more)]))
    };
    let alone = "keys name everything that the output holds";
    let twice = json!([{"name": "A", "value": "URL"}, {"name": "A", "value": "URL"}]);
    let table = [
        ("keys and a preset", beside(&json!({"preset": "Env"})), alone),
        ("keys and include", beside(&json!({"include": ["URL"]})), alone),
        ("keys and a prefix", beside(&json!({"prefix": "A_"})), alone),
        ("no keys", beside(&json!({"keys": []})), "keys"),
        ("a key twice", beside(&json!({"keys": twice})), "duplicate"),
        (
            "a secret key in a ConfigMap",
            beside(&json!({"kind": "ConfigMap",
            "keys": [{"name": "A", "value": "DatabaseURI"}]})),
            "a ConfigMap is readable by many",
        ),
        (
            "Libpq in a ConfigMap",
            output(json!({"preset": "Libpq", "kind": "ConfigMap", "include": ["URL"]})),
            "the presets ServiceBinding and Libpq are Secrets",
        ),
        (
            "Libpq with a prefix",
            output(json!({"preset": "Libpq", "prefix": "A_"})),
            "the presets ServiceBinding and Libpq are Secrets",
        ),
    ];
    table.map(|(what, object, says)| mistake(what, object, says)).into()
}

/// All of them.
pub fn mistakes() -> Vec<Mistake> {
    [of_one_key(), of_an_output()].concat()
}

/// What decides on the type of the Secret stays; everything else of an output may change.
#[tokio::test]
async fn only_what_decides_on_the_type_of_the_secret_is_immutable() {
    let (_plane, cluster) = with_kinds().await;
    let changing = |mut output: Value| {
        output["name"] = json!("web");
        project("changing").with("outputs", json!([output]))
    };
    let keys = json!([{"name": "A", "value": "DatabaseURI", "endpoint": "Direct", "scheme": "postgres",
        "parameters": {"application_name": "a b", "x-y.z_1": "1"}, "tls": {"mode": "VerifyFull", "caFile": "/ca.crt"}},
        {"name": ".env", "value": "JWKSURL"}]);
    for output in [
        json!({}),
        json!({"preset": "Libpq"}),
        json!({"keys": keys, "tls": {"mode": "Omit"}}),
        json!({"preset": "Env", "tls": {"mode": "VerifyFull"}}),
    ] {
        cluster.apply(changing(output)).await;
    }
    let binding = cluster.try_apply(changing(json!({"preset": "ServiceBinding"}))).await;
    let refusal = binding.unwrap_err();
    assert!(refusal.contains("cannot become a ServiceBinding"), "{refusal}");
}

/// API servers refuse a kind whose rules might cost too much, and each release estimates in its own way: twice as many outputs would
/// still reconcile.
#[tokio::test]
async fn the_rules_of_outputs_cost_half_of_what_they_may() {
    let (plane, _cluster) = with_kinds().await;
    let file = repository().join("crds/supabaseprojects.yaml");
    let mut crd: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let outputs = &mut schema["properties"]["spec"]["properties"]["outputs"];
    assert_eq!(outputs["maxItems"], 16);
    let folder = tempfile::tempdir().unwrap();
    let changed = folder.path().join("crd.json");
    for (most, passes) in [(32, true), (100_000, false)] {
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
            ["outputs"]["maxItems"] = json!(most);
        std::fs::write(&changed, crd.to_string()).unwrap();
        let mut kubectl = plane.command(&ensure("kubectl").await);
        kubectl.args([
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--filename",
        ]);
        kubectl.arg(&changed);
        let (passed, said) = run(kubectl).await;
        assert_eq!(passed, passes, "{most}: {said}");
        assert!(passed || said.contains("cost"), "{said}");
    }
}
