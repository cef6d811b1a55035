//! Other people's tools: the health check for Argo CD, run by a real Lua over its test data; the configuration of kustomize,
//! run by kubectl; and admission policies of others.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mlua::{Lua, LuaSerdeExt as _, Table};
use serde_json::{Value, json};

use crate::readme::readme;
use crate::support::cluster::kinds::PROJECT;
use crate::support::cluster::{SOON, condition};
use crate::support::eventually::eventually;
use crate::support::programs::{ensure, repository, succeed};
use crate::support::samples::{project, token_connection};
use crate::support::stage::{Reach, Stage};

const KINDS: [&str; 4] =
    ["SupabaseProject", "SupabaseConnection", "ClusterSupabaseConnection", "SupabaseAuthConfig"];

fn yaml(file: &Path) -> Value {
    let text = std::fs::read_to_string(file).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Laid out as Argo CD's own folder of customizations is.
fn customization(kind: &str) -> PathBuf {
    repository().join("deploy/argocd/resource_customizations/supabase-operator.dev").join(kind)
}

/// Runs a health check as Argo CD does: Lua 5.1, the object as the global `obj`, and only the libraries that it opens.
fn health(script: &str, object: &Value) -> (String, String) {
    let libraries = mlua::StdLib::TABLE | mlua::StdLib::STRING | mlua::StdLib::MATH;
    let lua = Lua::new_with(libraries, mlua::LuaOptions::default()).unwrap();
    lua.globals().set("obj", lua.to_value(object).unwrap()).unwrap();
    let health: Table = lua.load(script).eval().unwrap();
    (health.get("status").unwrap(), health.get("message").unwrap())
}

#[test]
fn argo_cd_sees_the_health_of_every_kind() {
    let mut seen = BTreeSet::new();
    let mut scripts = BTreeSet::new();
    for kind in KINDS {
        let folder = customization(kind);
        let script = std::fs::read_to_string(folder.join("health.lua")).unwrap();
        let tests = yaml(&folder.join("health_test.yaml"));
        let tests = tests["tests"].as_array().unwrap();
        let data = std::fs::read_dir(folder.join("testdata")).unwrap().count();
        assert_eq!(tests.len(), data, "{kind}: test data that nothing uses");
        for test in tests {
            let path = test["inputPath"].as_str().unwrap();
            let object = yaml(&folder.join(path));
            assert_eq!(object["kind"], kind, "{path}");
            let (status, message) = health(&script, &object);
            assert_eq!(test["healthStatus"]["status"], status.as_str(), "{kind}, {path}");
            assert_eq!(test["healthStatus"]["message"], message.as_str(), "{kind}, {path}");
            seen.insert(status);
        }
        scripts.insert(script);
    }
    let all = ["Degraded", "Healthy", "Progressing", "Suspended"].map(str::to_owned);
    assert_eq!(seen, all.into());
    assert_eq!(scripts.len(), 1, "the kinds have different scripts");
}

/// Every reason and every shape that the operator may write gives some health, and never Healthy unless it is Ready.
#[test]
fn nothing_is_healthy_that_is_not_ready() {
    let script = std::fs::read_to_string(customization("SupabaseProject").join("health.lua"));
    let script = script.unwrap();
    for ready in [None, Some("True"), Some("False"), Some("Unknown")] {
        for abnormal in [None, Some("Reconciling"), Some("Stalled"), Some("DeletionBlocked")] {
            for observed in [json!(-1), json!(1), json!(2)] {
                let mut conditions = Vec::new();
                if let Some(status) = ready {
                    conditions
                        .push(json!({"type": "Ready", "status": status, "reason": "Available"}));
                }
                if let Some(kind) = abnormal {
                    conditions.push(json!({"type": kind, "status": "True", "reason": "Retrying"}));
                }
                let object = json!({"metadata": {"generation": 2}, "spec": {},
                    "status": {"observedGeneration": observed, "conditions": conditions}});
                let (status, message) = health(&script, &object);
                let healthy = ready == Some("True") && abnormal.is_none() && observed == 2;
                assert_eq!(status == "Healthy", healthy, "{object}");
                assert!(!message.is_empty(), "{object}");
            }
        }
    }
}

#[test]
fn the_readme_says_how_to_give_argo_cd_the_check() {
    let readme = readme();
    for kind in KINDS {
        let key = format!("resource.customizations.health.supabase-operator.dev_{kind}");
        assert!(readme.contains(&key), "README.md does not name {key}");
    }
}

/// A copy of the example, with the files that it takes Secrets from.
fn kustomization() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(repository().join("deploy/kustomize")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    for file in ["token", "password", "client_id", "client_secret", "refresh_token"] {
        std::fs::write(folder.path().join(file), "REPLACE-ME").unwrap();
    }
    folder
}

async fn build(folder: &Path) -> Vec<Value> {
    let mut kubectl = tokio::process::Command::new(ensure("kubectl").await);
    kubectl.arg("kustomize").arg(folder);
    serde_saphyr::from_multiple(&succeed(kubectl).await).unwrap()
}

fn named<'a>(objects: &'a [Value], kind: &str, beginning: &str) -> &'a str {
    let mut names = objects.iter().filter(|object| object["kind"] == kind);
    let found = names.find_map(|object| {
        let name = object["metadata"]["name"].as_str()?;
        name.starts_with(beginning).then_some(name)
    });
    found.unwrap_or_else(|| panic!("no {kind} {beginning}"))
}

#[tokio::test]
async fn kustomize_changes_the_names_that_our_objects_refer_to() {
    let folder = kustomization();
    let objects = build(folder.path()).await;
    let one = |kind: &str| {
        let found = objects.iter().find(|object| object["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind}"))
    };
    let connection = one("SupabaseConnection");
    let token = named(&objects, "Secret", "dev-supabase-token-");
    let password = named(&objects, "Secret", "dev-orders-password-");
    let project = one("SupabaseProject");
    let referred = &connection["spec"]["auth"]["personalAccessToken"]["secretKeyRef"]["name"];
    assert_eq!(referred, token);
    assert_eq!(project["spec"]["connectionRef"]["name"], "dev-acme");
    assert_eq!(connection["metadata"]["name"], "dev-acme");
    let referred = &project["spec"]["database"]["password"]["secretKeyRef"]["name"];
    assert_eq!(referred, password);
    // Outputs are named in the project and where they are used: they stay as they are in both.
    let output = project["spec"]["outputs"][0]["name"].as_str().unwrap();
    let pod = &one("Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["envFrom"][0]["secretRef"]["name"], output);
}

/// Every place of our kinds that names another object, changed by the same configuration.
#[tokio::test]
async fn kustomize_knows_every_place_that_names_another_object() {
    let folder = kustomization();
    let connection = |kind: &str, name: &str, auth: Value| {
        json!({"apiVersion": "supabase-operator.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name}, "spec": {"auth": auth}})
    };
    let oauth =
        json!({"oauth": {"appSecretRef": {"name": "app"}, "tokenSecretRef": {"name": "tokens"}}});
    let token = json!({"personalAccessToken": {"secretKeyRef": {"name": "supabase-token", "key": "token"}}});
    let mut project = json!({"apiVersion": "supabase-operator.dev/v1alpha1", "kind": "SupabaseProject",
        "metadata": {"name": "lent"},
        "spec": {"connectionRef": {"kind": "ClusterSupabaseConnection", "name": "company"}, "region": "eu-central-1"}});
    project["spec"]["database"] =
        json!({"password": {"secretKeyRef": {"name": "orders-password", "key": "password"}}});
    let auth = json!({"apiVersion": "supabase-operator.dev/v1alpha1", "kind": "SupabaseAuthConfig",
        "metadata": {"name": "lent"},
        "spec": {"projectRef": {"name": "lent"}, "smtp": {"host": "smtp.example.com", "port": 587, "username": "apikey",
            "password": {"secretKeyRef": {"name": "orders-password", "key": "password"}},
            "senderEmail": "no-reply@example.com", "senderName": "Shop"}}});
    let objects = [
        connection("SupabaseConnection", "by-oauth", oauth.clone()),
        connection("ClusterSupabaseConnection", "company", token),
        connection("ClusterSupabaseConnection", "company-oauth", oauth),
        project,
        auth,
    ];
    let texts: Vec<_> = objects.iter().map(Value::to_string).collect();
    std::fs::write(folder.path().join("more.yaml"), texts.join("\n---\n")).unwrap();
    let file = folder.path().join("kustomization.yaml");
    let mut settings = yaml(&file);
    settings["resources"] = json!(["project.yaml", "more.yaml"]);
    let generators = settings["secretGenerator"].as_array_mut().unwrap();
    generators.push(json!({"name": "app", "files": ["client_id", "client_secret"]}));
    generators.push(json!({"name": "tokens", "files": ["refresh_token"]}));
    std::fs::write(&file, settings.to_string()).unwrap();

    let built = build(folder.path()).await;
    let mut places = BTreeSet::new();
    for object in
        built.iter().filter(|object| object["apiVersion"] == "supabase-operator.dev/v1alpha1")
    {
        references(&object["spec"], "", &mut |path, name| {
            assert!(name.starts_with("dev-"), "{}{path} still names {name}", object["kind"]);
            places.insert(format!("{}{path}", object["kind"].as_str().unwrap()));
        });
    }
    assert_eq!(places.len(), 10, "{places:#?}");
}

/// Calls with every place `…Ref.name`.
fn references(value: &Value, path: &str, found: &mut impl FnMut(&str, &str)) {
    for (field, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{field}");
        if field.ends_with("Ref") {
            found(&path, value["name"].as_str().unwrap());
        }
        references(value, &path, found);
    }
}

/// A policy of somebody else, in the way that most are written: it says neither 403 nor anything else.
fn policy(name: &str, namespace: &str) -> [Value; 2] {
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["secrets"]});
    let here = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
    let output = "has(object.metadata.labels) && 'supabase-operator.dev/role' in object.metadata.labels \
        && object.metadata.labels['supabase-operator.dev/role'] == 'output'";
    [
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]},
                "matchConditions": [{"name": "outputs", "expression": output}],
                "validations": [{"expression": "'team' in object.metadata.labels", "message": "every Secret carries the label team"}]}}),
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": here}}}),
    ]
}

#[tokio::test]
async fn a_policys_name_and_words_reach_the_message() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let namespace = stage.cluster.namespace.clone();
    let name = format!("labels-{namespace}");
    for object in policy(&name, &namespace) {
        stage.cluster.apply(object).await;
    }
    let probe = json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "probe", "labels": {"supabase-operator.dev/role": "output"}}});
    eventually("the policy in force", SOON, async || {
        let refused = stage.cluster.try_apply(probe.clone()).await.is_err();
        refused.then_some(()).ok_or("it is not in force")
    })
    .await;
    let operator = stage.operator().await;
    stage.cluster.apply(token_connection("acme")).await;
    stage.cluster.apply(project("orders")).await;
    stage
        .cluster
        .wait_for(PROJECT, "orders", "the policy's words", SOON, |object| {
            let told = condition(object, "OutputsWritten")?;
            let message = told["message"].as_str()?;
            let named =
                message.contains(&name) && message.contains("every Secret carries the label team");
            (told["status"] == "False" && named).then_some(())
        })
        .await;
    let labelled =
        project("orders").with_output("orders-supabase", "Env", json!({"labels": {"team": "web"}}));
    stage.cluster.apply(labelled).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    for kind in ["ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"] {
        let kind = ("admissionregistration.k8s.io/v1", kind);
        stage.cluster.delete(kind, &name).await;
    }
    stage.finish(vec![operator]).await;
}
