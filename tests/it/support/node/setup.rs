//! How a story wants the chart on its node: which one, by which Helm, with which rights and values.
//!
//! Apart from what a node is made of: a story chooses here, and most choose nothing but values.

use std::path::PathBuf;

use serde_json::{Value, json};
use simulated_platform::Config;
use tokio::time::Instant;

use super::super::cluster::Cluster;
use super::super::control_plane::Use;
use super::super::install::Release;
use super::super::platform::Platform;
use super::super::programs::repository;
use super::super::proxy::Proxy;
use super::super::stage::{Stage, apply_kinds, merge};
use super::{OPERATOR, said};

/// The ConfigMap with the authority of the platform's certificate.
const AUTHORITY: &str = "platform-authority";

/// A chart and the ways to install it. By default it is the present one, by Helm 4, for the whole cluster.
#[derive(Debug)]
pub struct Setup {
    /// The platform.
    pub config: Config,
    /// Values that win over those for tests.
    pub values: Value,
    /// The Helm that installs it: `helm3` or `helm4`.
    pub helm: &'static str,
    /// The folder of the chart.
    pub chart: PathBuf,
    /// The image of another operator than the present one, and its program.
    pub operator: Option<(&'static str, PathBuf)>,
    /// The archive with the image of a release, which the chart names by itself.
    pub archive: Option<PathBuf>,
    /// Whether it serves the story's namespace only, with the CRDs applied by an administrator beforehand.
    pub namespaced: bool,
    /// Whether only a proxy leads to the platform.
    pub by_proxy: bool,
    /// Whether each project has a database that Pods reach. One takes eight megabytes of the disk.
    pub databases: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            config: Config::fast(),
            values: json!({}),
            helm: "helm4",
            chart: repository().join("charts/supabase-operator"),
            operator: None,
            archive: None,
            namespaced: false,
            by_proxy: false,
            databases: true,
        }
    }
}

/// What the chart is told of the way to the platform.
pub(super) fn way(host: &str, proxy: Option<&Proxy>) -> Value {
    json!({
        "endpoint": format!("https://{host}"),
        "proxy": proxy.map_or("", Proxy::address),
        "caBundle": {"configMapName": AUTHORITY},
    })
}

impl Setup {
    /// Installs the chart, waits for it, and gives the story what it needs.
    pub(super) async fn install(
        &self,
        plane: Use,
        cluster: &Cluster,
        platform: Platform,
        authority: &str,
        way: Value,
    ) -> Stage {
        let system = cluster.in_namespace(&cluster.new_namespace("it-system").await);
        let cluster = cluster.in_namespace(&cluster.new_namespace("it-story").await);
        let metadata = json!({"name": AUTHORITY});
        let data = json!({"ca.crt": authority});
        system
            .apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}))
            .await;
        let image = self.operator.as_ref().map_or(OPERATOR, |(image, _)| image);
        let (repository, tag) = image.rsplit_once(':').unwrap();
        let mut all = json!({"image": {"pullPolicy": "Never"}, "managementAPI": way});
        if self.archive.is_none() {
            merge(&mut all, &json!({"image": {"repository": repository, "tag": tag}}));
        }
        if self.namespaced {
            apply_kinds(&plane).await;
            let served = json!([cluster.namespace]);
            let own = json!({"scope": "namespaced", "watchNamespaces": served, "crds": {"enabled": false}});
            merge(&mut all, &own);
        }
        merge(&mut all, &self.values);
        let begun = Instant::now();
        let waited = ["--wait", "--timeout", "50s"];
        let release =
            Release::install_chart(&plane, &system, self.helm, &self.chart, &all, &waited).await;
        said(&format!("{} install --wait has ended", self.helm), begun);
        platform.provide_secrets(&cluster).await;
        Stage::of(plane, cluster, system, platform, release)
    }
}
