//! Where a story plays: a control plane, the chart installed on it, a platform, a namespace for the story's
//! objects; and what is checked at the end of every story, whatever it is about.

use serde_json::{Value, json};
use simulated_platform::Config;

use super::audit::{not_granted, requests};
use super::cluster::{Cluster, kinds};
use super::control_plane::{ControlPlane, Use};
use super::install::Release;
use super::leaks::{Text, assert_no_leaks};
use super::operator::{Operator, Printed};
use super::platform::Platform;
use super::programs::{ensure, repository, succeed};

/// How the names of operators' namespaces begin.
const SYSTEM: &str = "it-system";

/// What the operator may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The story's namespace only. Such stories share a control plane.
    Namespace,
    /// The whole cluster; Secrets by name only. Such a story has a control plane of its own.
    Cluster,
    /// The whole cluster, Secrets watched.
    ClusterWatchingSecrets,
}

/// A stage without an operator on it yet.
#[derive(Debug)]
pub struct Stage {
    /// The control plane.
    pub plane: Use,
    /// The administrator's view, with the story's namespace at hand.
    pub cluster: Cluster,
    /// The administrator's view, with the operator's namespace at hand.
    pub system: Cluster,
    /// The platform.
    pub platform: Platform,
    /// The installed chart.
    pub release: Release,
    printed: Vec<(String, Printed)>,
}

impl Stage {
    /// A stage on which projects are there within two seconds.
    pub async fn new(reach: Reach) -> Self {
        Self::with(reach, Config::fast(), &json!({})).await
    }

    /// A stage with another platform.
    pub async fn with_platform(reach: Reach, config: Config) -> Self {
        Self::with(reach, config, &json!({})).await
    }

    /// A stage with another platform, and values of the chart that win over those for tests.
    pub async fn with(reach: Reach, config: Config, values: &Value) -> Self {
        let plane = match reach {
            Reach::Namespace => ControlPlane::shared().await,
            Reach::Cluster | Reach::ClusterWatchingSecrets => ControlPlane::own().await,
        };
        if plane.is_existing() && reach != Reach::Namespace {
            remove_leftovers(&plane).await;
        }
        let everything = Cluster::new(plane.client().await);
        let cluster = everything.in_namespace(&everything.new_namespace("it-story").await);
        let system = everything.in_namespace(&everything.new_namespace(SYSTEM).await);
        let platform = Platform::start(config);
        // Only one release of a cluster can hold the CRDs.
        let chart_brings_kinds = reach != Reach::Namespace && !plane.is_existing();
        if !chart_brings_kinds {
            apply_kinds(&plane).await;
        }
        let mut all = json!({
            "crds": {"enabled": chart_brings_kinds},
            "managementAPI": {"endpoint": platform.endpoint()},
            // The binary runs here, not in the cluster.
            "replicas": 0,
            "logging": {"level": "trace", "format": "json"},
            "intervals": {"transition": "200ms", "rest": "1s", "resync": "10s", "credentials": "1s"},
        });
        match reach {
            Reach::Namespace => {
                all["scope"] = json!("namespaced");
                all["watchNamespaces"] = json!([cluster.namespace]);
            }
            Reach::Cluster => {}
            Reach::ClusterWatchingSecrets => all["secrets"] = json!({"watch": true}),
        }
        merge(&mut all, values);
        let release = Release::install(&plane, &system, &all).await;
        platform.provide_secrets(&cluster).await;
        Self { plane, cluster, system, platform, release, printed: Vec::new() }
    }

    /// A stage of parts that are there already.
    pub const fn of(
        plane: Use,
        cluster: Cluster,
        system: Cluster,
        platform: Platform,
        release: Release,
    ) -> Self {
        Self { plane, cluster, system, platform, release, printed: Vec::new() }
    }

    /// Starts an operator and waits until it is ready.
    pub async fn operator(&mut self) -> Operator {
        let identity = format!("operator-{}", self.printed.len());
        let mut operator = self.launch(&identity, &[]);
        operator.ready().await;
        operator
    }

    /// Starts an operator under an identity, with variables set otherwise, and waits for nothing.
    pub fn launch(&mut self, identity: &str, changed: &[(&str, &str)]) -> Operator {
        let operator = Operator::start(&self.release, identity, changed);
        self.printed.push((identity.to_owned(), operator.printed()));
        operator
    }

    /// What must hold at the end of every story: no secret shows anywhere, and the operator asked for
    /// nothing that the chart does not grant.
    pub async fn finish(self, operators: Vec<Operator>) {
        self.finish_with(operators, &[]).await;
    }

    /// The same where the story has taken the rights in namespaces away: what was refused there is no fault.
    pub async fn finish_although(self, operators: Vec<Operator>, without_rights: &[&str]) {
        self.finish_with(operators, without_rights).await;
    }

    async fn finish_with(self, operators: Vec<Operator>, without_rights: &[&str]) {
        let mut texts = self.visible().await;
        for operator in &operators {
            texts.push(Text::new("metrics", operator.metrics().await));
        }
        drop(operators);
        let violations = self.platform.violations();
        assert!(violations.is_empty(), "against the official description: {violations:#?}");
        let canaries = self.platform.canaries();
        assert_no_leaks(&canaries, &texts);
        self.config_maps_are_public(canaries).await;
        for (identity, printed) in &self.printed {
            assert_well_logged(identity, &printed.text());
        }
        if !self.plane.is_existing() {
            let asked = requests(&self.plane.audit_log(), &self.release.user());
            assert!(!asked.is_empty(), "the audit log knows nothing of the operator");
            let beyond = not_granted(&self.release.grants(&self.system).await, &asked);
            let beyond: Vec<_> = beyond
                .iter()
                .filter(|asked| {
                    asked.allowed || !without_rights.contains(&asked.namespace.as_str())
                })
                .map(ToString::to_string)
                .collect();
            assert!(beyond.is_empty(), "not granted by the chart: {beyond:#?}");
        }
    }

    /// A `ConfigMap` may hold publishable keys, and no other secret.
    async fn config_maps_are_public(&self, mut canaries: Vec<String>) {
        canaries.retain(|canary| !canary.starts_with("sb_publishable_"));
        let mut texts = vec![Text::new("nothing", "nothing")];
        for object in self.cluster.list(kinds::CONFIG_MAP).await {
            texts.push(Text::new("a ConfigMap", object.to_string()));
        }
        assert_no_leaks(&canaries, &texts);
    }

    /// Everything of this story that people may see: what operators printed, and the objects of the kinds
    /// that are no secret.
    pub async fn visible(&self) -> Vec<Text> {
        let mut texts = Vec::new();
        for (identity, printed) in &self.printed {
            texts.push(Text::new(format!("output of {identity}"), printed.text()));
        }
        let visible = [
            kinds::PROJECT,
            kinds::CONNECTION,
            kinds::CLUSTER_CONNECTION,
            kinds::EVENT,
            kinds::LEASE,
        ];
        for kind in visible {
            for object in self.cluster.list_everywhere(kind).await {
                let name = format!("{} {}", kind.1, object["metadata"]["name"]);
                texts.push(Text::new(name, object.to_string()));
            }
        }
        for namespace in [&self.cluster, &self.system] {
            for mut object in namespace.list(kinds::SECRET).await {
                let name = format!("metadata of Secret {}", object["metadata"]["name"]);
                object["data"] = Value::Null;
                // kubectl and the tests' own applies leave nothing of the data here.
                texts.push(Text::new(name, object.to_string()));
            }
        }
        texts
    }
}

/// No panic, and every line one JSON object; the last one may have been cut short by a kill.
fn assert_well_logged(identity: &str, text: &str) {
    assert!(!text.contains("panicked at"), "{identity} panicked");
    let lines: Vec<_> = text.lines().collect();
    let whole = lines.split_last().map_or(&[][..], |(_, whole)| whole);
    for line in whole {
        let object = serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object());
        assert!(object, "{identity} logged a line that is no JSON object: {line}");
    }
}

/// Applies the CRDs as a cluster administrator does who does not leave them to the chart.
pub async fn apply_kinds(plane: &ControlPlane) {
    let kubectl = ensure("kubectl").await;
    for arguments in [
        ["apply", "--server-side", "--force-conflicts"],
        ["wait", "--for=condition=Established", "--timeout=20s"],
    ] {
        let mut command = plane.command(&kubectl);
        command.args(arguments).arg("--filename").arg(repository().join("crds"));
        succeed(command).await;
    }
}

/// Uninstalls what earlier tests left on an existing cluster, which can hold the cluster-wide roles once.
async fn remove_leftovers(plane: &ControlPlane) {
    let helm = ensure("helm4").await;
    let mut list = plane.command(&helm);
    list.args(["list", "--all-namespaces", "--output", "json"]);
    let releases: Value = serde_json::from_str(&succeed(list).await).unwrap();
    for release in releases.as_array().into_iter().flatten() {
        let name = release["name"].as_str().unwrap();
        let namespace = release["namespace"].as_str().unwrap();
        if namespace.starts_with(SYSTEM) {
            let mut uninstall = plane.command(&helm);
            uninstall.args(["uninstall", name, "--namespace", namespace]);
            succeed(uninstall).await;
        }
    }
}

/// Puts the fields of `change` into `value`, objects into objects.
pub fn merge(value: &mut Value, change: &Value) {
    match (value, change) {
        (Value::Object(value), Value::Object(change)) => {
            for (name, change) in change {
                merge(value.entry(name).or_insert(Value::Null), change);
            }
        }
        (value, change) => *value = change.clone(),
    }
}
