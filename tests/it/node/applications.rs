//! From an empty namespace to an answer of the database: the operator and the applications are Pods.

use serde_json::{Value, json};
use simulated_platform::Config;
use tokio::time::Instant;

use super::{PATIENCE, pod_of, pod_when, restricted};
use crate::support::cluster::Cluster;
use crate::support::cluster::kinds::{CONNECTION, PROJECT, SECRET};
use crate::support::eventually::eventually;
use crate::support::leaks::{Text, assert_no_leaks};
use crate::support::node::{APPLICATION, Node, on_a_node, said};
use crate::support::samples::{oauth_connection, project};

const QUERY: &str =
    "select current_user, (select ssl from pg_stat_ssl where pid = pg_backend_pid())";
const KEY: &str = "SUPABASE_DB_URL";
const FOLDER: &str = "/etc/supabase";
const BINDINGS: &str = "/bindings";

/// An application that asks its database by the URIs of these sources.
fn application(name: &str, sources: &[&str], container: Value, volumes: &Value) -> Value {
    let labels = json!({"app": name});
    let mut container = container;
    container["name"] = json!("application");
    container["image"] = json!(APPLICATION);
    container["imagePullPolicy"] = json!("Never");
    container["args"] = json!([&[QUERY], sources].concat());
    container["securityContext"] = restricted();
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [container],
                    "volumes": volumes,
                    // It ends at once.
                    "terminationGracePeriodSeconds": 5,
                },
            },
        },
    })
}

fn waits_for(reason: &'static str) -> impl Fn(&Value) -> bool {
    move |pod| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
}

/// Waits until the application runs and has said all of this.
async fn says(node: &Node, cluster: &Cluster, name: &str, lines: &[String]) {
    let runs = |pod: &Value| pod["status"]["phase"] == "Running";
    let pod = pod_when(cluster, name, "runs", runs).await;
    eventually(&format!("answers for {name}"), PATIENCE, async || {
        let log = node.log(cluster, &pod, false).await;
        if log.lines().eq(lines) { Ok(()) } else { Err(log) }
    })
    .await;
}

#[test]
fn applications_that_waited_for_their_secret_ask_the_database() {
    let name = "node::applications::applications_that_waited_for_their_secret_ask_the_database";
    on_a_node(name, async || {
        let node = Node::with(Config::fast(), &json!({})).await;
        let cluster = &node.stage.cluster;
        let secret = "orders-supabase";
        let one_key = json!({"secretKeyRef": {"name": secret, "key": KEY}});
        let by_variables = json!({
            "envFrom": [{"secretRef": {"name": secret}}],
            "env": [{"name": "DATABASE", "valueFrom": one_key}],
        });
        let by_file = json!({"volumeMounts": [{"name": "supabase", "mountPath": FOLDER}]});
        let volumes = json!([{"name": "supabase", "secret": {"secretName": secret}}]);
        let file = format!("{FOLDER}/{KEY}");
        let sources = [KEY, "DATABASE"];
        cluster.apply(application("by-variables", &sources, by_variables, &json!([]))).await;
        cluster.apply(application("by-file", &[&file], by_file, &volumes)).await;
        let waits = waits_for("CreateContainerConfigError");
        pod_when(cluster, "by-variables", "waits for the Secret", waits).await;
        pod_when(cluster, "by-file", "waits for the Secret", waits_for("ContainerCreating")).await;

        let begun = Instant::now();
        cluster.apply(oauth_connection("acme")).await;
        cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
        said("the connection is Ready", begun);
        let begun = Instant::now();
        cluster.apply(project("orders")).await;
        let ready = cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
        said("the project is Ready", begun);
        let answer = format!("postgres.{}|t", ready["status"]["ref"].as_str().unwrap());
        let begun = Instant::now();
        let lines = sources.map(|source| format!("{source}: {answer}"));
        says(&node, cluster, "by-variables", &lines).await;
        said("the application that takes variables has its answers", begun);
        says(&node, cluster, "by-file", &[format!("{file}: {answer}")]).await;
        said("the application that reads a file has its answer", begun);

        let operators = node.operators().await;
        assert_eq!(operators.len(), 1);
        assert_eq!(operators[0]["status"]["containerStatuses"][0]["restartCount"], 0);
        let container = &operators[0]["spec"]["containers"][0];
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        let operator = operators[0]["metadata"]["name"].as_str().unwrap();
        let log = node.log(&node.stage.system, operator, false).await;
        assert_no_leaks(&node.stage.platform.canaries(), &[Text::new("log of the operator", log)]);
        node.stage.finish(vec![]).await;
    });
}

#[test]
fn an_application_takes_its_database_from_a_service_binding() {
    let name = "node::applications::an_application_takes_its_database_from_a_service_binding";
    on_a_node(name, async || {
        let node = Node::with(Config::fast(), &json!({})).await;
        let cluster = &node.stage.cluster;
        cluster.apply(oauth_connection("acme")).await;
        cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
        // As an implementation of the Service Binding specification changes a workload.
        let path = format!("{BINDINGS}/database");
        let container = json!({
            "env": [{"name": "SERVICE_BINDING_ROOT", "value": BINDINGS}],
            "volumeMounts": [{"name": "binding", "mountPath": path, "readOnly": true}],
        });
        let volumes = json!([{"name": "binding", "secret": {"secretName": "orders-binding"}}]);
        let source = "binding:database";
        cluster.apply(application("bound", &[source], container, &volumes)).await;
        pod_when(cluster, "bound", "waits for the Secret", waits_for("ContainerCreating")).await;

        let output = json!({"name": "orders-binding", "preset": "ServiceBinding"});
        cluster.apply(project("orders").with("outputs", json!([output]))).await;
        let begun = Instant::now();
        let ready = cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
        said("the project is Ready", begun);
        assert_eq!(ready["status"]["binding"], json!({"name": "orders-binding"}));
        let secret = cluster.get(SECRET, "orders-binding").await.unwrap();
        assert_eq!(secret["type"], "servicebinding.io/postgresql");
        let answer = format!("postgres.{}|t", ready["status"]["ref"].as_str().unwrap());
        says(&node, cluster, "bound", &[format!("{source}: {answer}")]).await;
        said("the application has its answer", begun);
        let bound = pod_of(cluster, "bound").await.unwrap();
        assert_eq!(bound["status"]["containerStatuses"][0]["restartCount"], 0);
        node.stage.finish(vec![]).await;
    });
}
