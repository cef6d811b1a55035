//! Ways to install the chart that differ from the usual one: by Helm 3, with rights in one namespace only, behind a proxy.

use serde_json::{Value, json};

use crate::support::cluster::kinds::{CONNECTION, Kind, NAMESPACE, PROJECT, SECRET};
use crate::support::node::{Node, Setup, on_a_node_with};
use crate::support::samples::{oauth_connection, project};

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// The names of the release's own objects of a kind that has no namespace.
async fn cluster_wide(node: &Node, kind: &'static str) -> Vec<String> {
    let kind: Kind = (RBAC, kind);
    let mut objects = node.stage.cluster.list_everywhere(kind).await;
    objects.retain(|object| {
        object["metadata"]["labels"]["app.kubernetes.io/name"] == "supabase-operator"
    });
    objects.iter().map(|object| object["metadata"]["name"].to_string()).collect()
}

#[test]
fn by_helm_3_without_rights_in_the_cluster_and_with_a_proxy_as_the_only_way() {
    let name = "node::installation::by_helm_3_without_rights_in_the_cluster_and_with_a_proxy_as_the_only_way";
    on_a_node_with(name, &["helm3"], async || {
        // Helm waits: the Pod is let into its namespace and Ready.
        let setup = Setup { helm: "helm3", namespaced: true, by_proxy: true, ..Setup::default() };
        let node = Node::set_up(setup).await;
        let (cluster, system) = (&node.stage.cluster, &node.stage.system);
        let namespace = cluster.get(NAMESPACE, &system.namespace).await.unwrap();
        let labels = &namespace["metadata"]["labels"];
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
        for kind in ["ClusterRole", "ClusterRoleBinding"] {
            assert_eq!(cluster_wide(&node, kind).await, Vec::<String>::new(), "{kind}");
        }

        cluster.apply(oauth_connection("acme")).await;
        cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
        cluster.apply(project("orders")).await;
        let ready = cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
        assert!(ready["status"]["ref"].is_string());
        assert!(cluster.get(SECRET, "orders-supabase").await.is_some());
        // The platform's name leads nowhere but through the proxy.
        let proxy = node.proxy.as_ref().unwrap();
        assert!(proxy.tunnels() > 0);
        // Another namespace is none of its business.
        let elsewhere = cluster.in_namespace(&cluster.new_namespace("it-elsewhere").await);
        elsewhere.apply(project("orders")).await;
        cluster.apply(project("shop")).await;
        cluster.wait_condition(PROJECT, "shop", "Ready", "True").await;
        let left: Value = elsewhere.get(PROJECT, "orders").await.unwrap();
        assert_eq!(left["status"]["conditions"], Value::Null);
        assert_eq!(left["metadata"]["finalizers"], json!(null));
        node.stage.finish(vec![]).await;
    });
}
