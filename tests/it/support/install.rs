//! Installing the chart as a user does, and taking from the result what the operator needs: the environment
//! of the installed Deployment and a token of the chart's own `ServiceAccount`. Nothing is invented here, so
//! that every test proves the chart.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::audit::{self, Grant};
use super::cluster::Cluster;
use super::control_plane::ControlPlane;
use super::programs::{ensure, repository, succeed};

const NAME: &str = "supabase-operator";
/// Longer than any test.
const TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);

/// What an Ingress lets through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The host.
    pub host: String,
    /// The path, and what is below it.
    pub path: String,
}

impl Rule {
    /// Whether a request is let through.
    pub fn admits(&self, host: &str, path: &str) -> bool {
        let below = path.strip_prefix(self.path.trim_end_matches('/'));
        host == self.host && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// An installed chart.
#[derive(Debug)]
pub struct Release {
    /// The namespace of the release.
    pub namespace: String,
    /// The arguments of the operator's container.
    pub arguments: Vec<String>,
    /// The plain variables of the operator's container; those that name the Pod are left to its start.
    pub environment: Vec<(String, String)>,
    /// The variables that hold the Pod's name.
    pub identity_variables: Vec<String>,
    service_account: String,
    files: TempDir,
}

impl Release {
    /// Installs the chart with these values into a namespace.
    pub async fn install(plane: &ControlPlane, cluster: &Cluster, values: &Value) -> Self {
        let chart = repository().join("charts/supabase-operator");
        Self::install_chart(plane, cluster, "helm4", &chart, values, &[]).await
    }

    /// The same with another Helm, another chart, or further arguments of Helm.
    pub async fn install_chart(
        plane: &ControlPlane,
        cluster: &Cluster,
        helm: &str,
        chart: &Path,
        values: &Value,
        more: &[&str],
    ) -> Self {
        let files = tempfile::Builder::new().prefix("supabase-operator-it-").tempdir().unwrap();
        let values_file = files.path().join("values.json");
        std::fs::write(&values_file, values.to_string()).unwrap();
        let mut helm = plane.command(&ensure(helm).await);
        helm.args(["upgrade", "--install", NAME]).arg(chart);
        helm.args(["--namespace", &cluster.namespace, "--values"]).arg(&values_file).args(more);
        succeed(helm).await;
        let name = values["fullnameOverride"].as_str().unwrap_or(NAME);
        let deployment = cluster.get(("apps/v1", "Deployment"), name).await;
        let pod = &deployment.expect("the chart makes a Deployment")["spec"]["template"]["spec"];
        let mut release = Self {
            namespace: cluster.namespace.clone(),
            arguments: Vec::new(),
            environment: Vec::new(),
            identity_variables: Vec::new(),
            service_account: pod["serviceAccountName"].as_str().unwrap().to_owned(),
            files,
        };
        release.take_container(&pod["containers"][0]);
        let kubeconfig = release.kubeconfig_with_token(plane, cluster).await;
        std::fs::write(release.kubeconfig(), kubeconfig.to_string()).unwrap();
        release
    }

    /// The kubeconfig file of the operator: the chart's `ServiceAccount` and nothing else.
    pub fn kubeconfig(&self) -> PathBuf {
        self.files.path().join("kubeconfig")
    }

    /// The user that the API server sees.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.service_account)
    }

    /// A variable of the operator's environment, by its name without the prefix `SUPABASE_OPERATOR_`.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let name = format!("SUPABASE_OPERATOR_{name}");
        self.environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// What the chart's Ingress lets through to the consent pages: it must lead to the Service, and that to the port on which
    /// the container serves them.
    pub async fn ingress(&self, cluster: &Cluster) -> Rule {
        let name = format!("{NAME}-consent");
        let ingress = cluster.get(("networking.k8s.io/v1", "Ingress"), &name).await;
        let spec = ingress.expect("the chart makes an Ingress")["spec"].clone();
        let rule = &spec["rules"][0];
        let path = &rule["http"]["paths"][0];
        assert_eq!(spec["tls"][0]["hosts"], json!([rule["host"]]));
        assert_eq!(path["pathType"], "Prefix");
        let backend = &path["backend"]["service"];
        assert_eq!(backend["name"], name.as_str());
        let service = cluster.get(("v1", "Service"), &name).await.unwrap();
        let deployment = cluster.get(("apps/v1", "Deployment"), NAME).await.unwrap();
        let template = &deployment["spec"]["template"];
        for (key, value) in service["spec"]["selector"].as_object().unwrap() {
            assert_eq!(&template["metadata"]["labels"][key], value);
        }
        let of_name = |ports: &Value, name: &Value| {
            let ports = ports.as_array().unwrap().iter();
            let found = ports.clone().find(|port| port["name"] == *name);
            found.unwrap_or_else(|| panic!("no port {name}")).clone()
        };
        let port = of_name(&service["spec"]["ports"], &backend["port"]["name"]);
        let containers = &template["spec"]["containers"];
        let port = of_name(&containers[0]["ports"], &port["targetPort"]);
        let listen: SocketAddr = self.variable("CONSENT_LISTEN").unwrap().parse().unwrap();
        assert_eq!(port["containerPort"], listen.port());
        Rule {
            host: rule["host"].as_str().unwrap().to_owned(),
            path: path["path"].as_str().unwrap().to_owned(),
        }
    }

    /// All that the `ServiceAccount` may do by the bindings that name it.
    pub async fn grants(&self, cluster: &Cluster) -> Vec<Grant> {
        const RBAC: &str = "rbac.authorization.k8s.io/v1";
        let mut grants = Vec::new();
        for kind in ["RoleBinding", "ClusterRoleBinding"] {
            for binding in cluster.list_everywhere((RBAC, kind)).await {
                let subjects = binding["subjects"].as_array().cloned().unwrap_or_default();
                let ours = subjects.iter().any(|subject| {
                    subject["kind"] == "ServiceAccount"
                        && subject["name"] == self.service_account.as_str()
                        && subject["namespace"] == self.namespace.as_str()
                });
                if !ours {
                    continue;
                }
                let namespace = binding["metadata"]["namespace"].as_str();
                let role = binding["roleRef"]["name"].as_str().unwrap();
                let at_hand = cluster.in_namespace(namespace.unwrap_or_default());
                let role = if binding["roleRef"]["kind"] == "Role" {
                    at_hand.get((RBAC, "Role"), role).await
                } else {
                    at_hand.get((RBAC, "ClusterRole"), role).await
                };
                grants.extend(audit::grants(&role.unwrap()["rules"], namespace));
            }
        }
        grants
    }

    fn take_container(&mut self, container: &Value) {
        for argument in container["args"].as_array().into_iter().flatten() {
            self.arguments.push(argument.as_str().unwrap().to_owned());
        }
        for variable in container["env"].as_array().into_iter().flatten() {
            let name = variable["name"].as_str().unwrap().to_owned();
            match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
                None => {
                    let value = variable["value"].as_str().unwrap().to_owned();
                    self.environment.push((name, value));
                }
                Some("metadata.namespace") => {
                    self.environment.push((name, self.namespace.clone()));
                }
                Some("metadata.name") => self.identity_variables.push(name),
                Some(other) => {
                    panic!("{name} takes its value from {other}, which no test provides")
                }
            }
        }
    }

    async fn kubeconfig_with_token(&self, plane: &ControlPlane, cluster: &Cluster) -> Value {
        let accounts: Api<ServiceAccount> =
            Api::namespaced(cluster.client.clone(), &self.namespace);
        let spec = TokenRequestSpec {
            expiration_seconds: i64::try_from(TOKEN_LIFE.as_secs()).ok(),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let answer = accounts
            .create_token_request(&self.service_account, &PostParams::default(), &request)
            .await
            .unwrap();
        let token = answer.status.unwrap().token;
        let mut kubeconfig = serde_json::to_value(plane.kubeconfig()).unwrap();
        kubeconfig["users"] = json!([{"name": "operator", "user": {"token": token}}]);
        for context in kubeconfig["contexts"].as_array_mut().unwrap() {
            context["context"]["user"] = json!("operator");
        }
        kubeconfig
    }
}
