//! The chart as both Helms render it, read by a strict reader of YAML, and what other tools expect of it.
//!
//! Separate from `tests/tools/chart-check`, which asks a real API server: what is looked at here is the shape of single
//! objects, for values that people use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::programs::{ensure, repository, succeed};

const HELMS: [&str; 2] = ["helm3", "helm4"];
const SOON: Duration = Duration::from_secs(60);
const NAMESPACE: &str = "supabase-system";

fn chart() -> PathBuf {
    repository().join("charts/supabase-operator")
}

/// The documents of a text; a key that is there twice is an error.
fn strict(yaml: &str) -> Result<Vec<Value>, String> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(yaml).map_err(|error| error.to_string())?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// `helm template` of a chart with these values: whether it worked, and what it rendered or complained of.
async fn try_render(helm: &str, chart: &Path, values: &Value) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.json");
    std::fs::write(&file, values.to_string()).unwrap();
    let mut command = Command::new(ensure(helm).await);
    command.args(["template", "supabase-operator"]).arg(chart);
    command.args(["--namespace", NAMESPACE, "--values"]).arg(&file);
    command.env("HELM_CACHE_HOME", folder.path()).kill_on_drop(true);
    let output = tokio::time::timeout(SOON, command.output()).await;
    let output = output.expect("helm ends in time").unwrap();
    let rendered = output.status.success();
    let text = if rendered { output.stdout } else { output.stderr };
    (rendered, String::from_utf8(text).unwrap())
}

async fn render(helm: &str, values: &Value) -> Vec<Value> {
    let (rendered, text) = try_render(helm, &chart(), values).await;
    assert!(rendered, "{helm}, {values}: {text}");
    strict(&text).unwrap_or_else(|error| panic!("{helm}, {values}: {error}\n{text}"))
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let found = objects.iter().filter(|object| object["kind"] == kind);
    found.collect()
}

fn one<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found = of_kind(objects, kind);
    assert_eq!(found.len(), 1, "{kind}: {found:#?}");
    found[0]
}

fn pod(objects: &[Value]) -> &Value {
    &one(objects, "Deployment")["spec"]["template"]["spec"]
}

/// All variants of values that the chart itself ships for tools such as chart-testing.
fn variants() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(chart().join("ci")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn the_strict_reader_refuses_a_key_that_is_there_twice() {
    assert!(strict("a: 1\nb: 2\n").is_ok());
    assert!(strict("a: 1\na: 1\n").is_err());
    assert!(strict("metadata: {labels: {a: b, a: c}}\n").is_err());
}

#[tokio::test]
async fn every_rendering_is_strict_yaml() {
    let labels = json!({
        "app.kubernetes.io/name": "x", "app.kubernetes.io/part-of": "platform", "helm.sh/chart": "x",
        "app.kubernetes.io/managed-by": "x", "rbac.authorization.k8s.io/aggregate-to-view": "x",
    });
    let mut seen = 0;
    for helm in HELMS {
        for file in variants() {
            let text = std::fs::read_to_string(&file).unwrap();
            let mut values = strict(&text).unwrap().pop().unwrap_or_else(|| json!({}));
            seen += render(helm, &values).await.len();
            values["commonLabels"] = labels.clone();
            values["podLabels"] = labels.clone();
            seen += render(helm, &values).await.len();
        }
    }
    assert!(seen > 100, "only {seen} objects were rendered");
}

#[tokio::test]
async fn common_labels_change_no_label_that_others_select_by() {
    let given = json!({
        "app.kubernetes.io/name": "x", "app.kubernetes.io/instance": "x", "app.kubernetes.io/managed-by": "x",
        "app.kubernetes.io/part-of": "platform", "team": "a",
    });
    for helm in HELMS {
        let objects = render(helm, &json!({"commonLabels": given})).await;
        let deployment = one(&objects, "Deployment");
        for labels in [
            &deployment["metadata"]["labels"],
            &deployment["spec"]["template"]["metadata"]["labels"],
        ] {
            assert_eq!(labels["app.kubernetes.io/name"], "supabase-operator");
            assert_eq!(labels["app.kubernetes.io/instance"], "supabase-operator");
            assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm");
            assert_eq!(labels["app.kubernetes.io/part-of"], "platform");
            assert_eq!(labels["team"], "a");
        }
    }
}

#[test]
fn the_chart_holds_files_only_and_its_kinds_are_those_of_the_repository() {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
            assert!(!kind.is_symlink(), "{} is a symbolic link", path.display());
            if kind.is_dir() {
                walk(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(&chart(), &mut files);
    assert!(files.len() > 20, "{files:?}");
    let texts = |folder: PathBuf| -> BTreeMap<String, String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let files = entries.map(|entry| entry.unwrap().path());
        files
            .map(|file| {
                let name = file.file_name().unwrap().to_str().unwrap().to_owned();
                (name, std::fs::read_to_string(&file).unwrap())
            })
            .collect()
    };
    let ours = texts(repository().join("crds"));
    assert_eq!(ours.len(), 4);
    assert!(
        ours == texts(chart().join("files/crds")),
        "the chart's copies of the CRDs are stale: run 'make crds'"
    );
}

#[tokio::test]
async fn older_clusters_get_no_field_that_they_do_not_know() {
    for helm in HELMS {
        for (version, selectable) in [("1.29.3", false), ("1.30.0", true), ("1.34.1-gke.1", true)] {
            let mut command = Command::new(ensure(helm).await);
            command.args(["template", "supabase-operator"]).arg(chart());
            command.args(["--kube-version", version]);
            let text = succeed(command).await;
            let objects = strict(&text).unwrap();
            let crds = of_kind(&objects, "CustomResourceDefinition");
            assert_eq!(crds.len(), 4);
            assert_eq!(text.contains("selectableFields"), selectable, "{helm}, {version}");
        }
    }
}

/// A chart that has ours as a dependency, as umbrella charts do.
fn umbrella(folder: &Path) -> PathBuf {
    let parent = folder.join("umbrella");
    let mut copied = vec![(chart(), parent.join("charts/supabase-operator"))];
    while let Some((from, to)) = copied.pop() {
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(&from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                copied.push((entry.path(), to));
            } else {
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let metadata = json!({
        "apiVersion": "v2", "name": "umbrella", "version": "1.0.0",
        "dependencies": [{"name": "supabase-operator", "version": "*", "condition": "supabase-operator.enabled"}],
    });
    std::fs::write(parent.join("Chart.yaml"), metadata.to_string()).unwrap();
    parent
}

#[tokio::test]
async fn as_a_subchart_it_is_switched_by_a_condition_and_takes_what_is_global() {
    let folder = tempfile::tempdir().unwrap();
    let umbrella = umbrella(folder.path());
    for helm in HELMS {
        for (enabled, deployments) in [(true, 1), (false, 0)] {
            let values = json!({
                "global": {"imageRegistry": "registry.example", "region": {"name": "x"}},
                "supabase-operator": {"enabled": enabled},
            });
            let (rendered, text) = try_render(helm, &umbrella, &values).await;
            assert!(rendered, "{helm}: {text}");
            let objects = strict(&text).unwrap();
            assert_eq!(of_kind(&objects, "Deployment").len(), deployments, "{helm}");
            assert!(no_fixed_user(&objects), "{helm}: {objects:#?}");
        }
    }
}

/// No user, group or file system group is fixed: `OpenShift` gives each namespace a range of its own.
fn no_fixed_user(objects: &[Value]) -> bool {
    let text = Value::from(of_kind(objects, "Deployment").into_iter().cloned().collect::<Vec<_>>());
    let text = text.to_string();
    !["runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"]
        .iter()
        .any(|field| text.contains(field))
}

#[tokio::test]
async fn no_user_is_fixed_and_none_is_root() {
    for helm in HELMS {
        let objects = render(helm, &json!({})).await;
        assert!(no_fixed_user(&objects), "{helm}");
        let pod = pod(&objects);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    }
}

/// The ports of the rules of egress, as `protocol/port`, rule by rule.
fn egress(objects: &[Value]) -> Vec<Vec<String>> {
    let rules = one(objects, "NetworkPolicy")["spec"]["egress"].as_array().unwrap();
    let ports = |rule: &Value| {
        let ports = rule["ports"].as_array().unwrap().iter();
        ports
            .map(|port| format!("{}/{}", port["protocol"].as_str().unwrap(), port["port"]))
            .collect()
    };
    rules.iter().map(ports).collect()
}

#[tokio::test]
async fn the_network_policy_lets_through_what_is_called_and_each_port_once() {
    let dns = ["UDP/53", "TCP/53", "UDP/5353", "TCP/5353"];
    let table = [
        (json!({}), vec!["TCP/443", "TCP/6443"]),
        (
            json!({"endpoint": "https://platform.example:8443"}),
            vec!["TCP/443", "TCP/6443", "TCP/8443"],
        ),
        (json!({"endpoint": "http://platform.example"}), vec!["TCP/443", "TCP/6443", "TCP/80"]),
        (json!({"proxy": "http://proxy.example:3128"}), vec!["TCP/443", "TCP/6443", "TCP/3128"]),
        (json!({"proxy": "http://[fd00::1]:3128/"}), vec!["TCP/443", "TCP/6443", "TCP/3128"]),
        (
            json!({"proxy": "http://proxy.example", "endpoint": "https://platform.example:8443"}),
            vec!["TCP/443", "TCP/6443", "TCP/80"],
        ),
    ];
    for helm in HELMS {
        for (api, expected) in &table {
            let values = json!({"managementAPI": api, "networkPolicy": {"enabled": true}});
            let rules = egress(&render(helm, &values).await);
            assert_eq!(
                rules,
                [
                    dns.map(str::to_owned).to_vec(),
                    expected.iter().map(|&port| port.to_owned()).collect()
                ],
                "{helm}, {api}"
            );
        }
        let values = json!({"networkPolicy": {"enabled": true, "apiServerPorts": [6443, 6443]}});
        let rules = egress(&render(helm, &values).await);
        assert_eq!(rules[1], ["TCP/6443", "TCP/443"], "{helm}");
    }
}

#[tokio::test]
async fn what_people_add_is_there() {
    let volume = json!({"name": "extra", "emptyDir": {}});
    let mount = json!({"name": "extra", "mountPath": "/extra"});
    let from = json!({"secretRef": {"name": "extra"}});
    let values = json!({
        "extraVolumes": [volume], "extraVolumeMounts": [mount], "extraEnvFrom": [from],
        "extraEnv": [{"name": "NO_PROXY", "value": "10.0.0.0/8"}, {"name": "SUPABASE_OPERATOR_LOG_LEVEL", "value": "trace"}],
        "deploymentAnnotations": {"example.dev/reload": "true"}, "revisionHistoryLimit": 3,
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-one"}},
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ include \"supabase-operator.fullname\" . }}-two\n",
        ],
        "metrics": {"serviceMonitor": {"enabled": true,
            "relabelings": [{"action": "labeldrop", "regex": "pod"}],
            "metricRelabelings": [{"action": "drop", "sourceLabels": ["__name__"], "regex": "x"}]}},
    });
    for helm in HELMS {
        let objects = render(helm, &values).await;
        let deployment = one(&objects, "Deployment");
        assert_eq!(deployment["metadata"]["annotations"]["example.dev/reload"], "true");
        assert_eq!(deployment["spec"]["revisionHistoryLimit"], 3);
        let pod = pod(&objects);
        let container = &pod["containers"][0];
        assert_eq!(pod["volumes"], json!([volume]));
        assert_eq!(container["volumeMounts"], json!([mount]));
        assert_eq!(container["envFrom"], json!([from]));
        let variables = container["env"].as_array().unwrap();
        let names: BTreeSet<_> =
            variables.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
        assert_eq!(names.len(), variables.len(), "a variable is there twice: {variables:?}");
        let level = variables.iter().find(|entry| entry["name"] == "SUPABASE_OPERATOR_LOG_LEVEL");
        assert_eq!(level.unwrap()["value"], "trace");
        let names: BTreeSet<_> = of_kind(&objects, "ConfigMap")
            .iter()
            .map(|map| map["metadata"]["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(
            names,
            ["supabase-operator-one", "supabase-operator-two"].map(str::to_owned).into()
        );
        let endpoint = &one(&objects, "ServiceMonitor")["spec"]["endpoints"][0];
        assert_eq!(endpoint["relabelings"][0]["action"], "labeldrop");
        assert_eq!(endpoint["metricRelabelings"][0]["action"], "drop");
    }
}

/// Values that name a file of certificates, the volume that it becomes, and the variable that names it.
const CERTIFICATES: [(&str, &str, &str); 2] = [
    ("managementAPI.caBundle", "ca-bundle", "SUPABASE_OPERATOR_MANAGEMENT_API_CA_BUNDLE"),
    ("databaseCA", "database-ca", "SUPABASE_OPERATOR_DATABASE_CA_FILE"),
];

/// A value by its path.
fn valued(path: &str, value: Value) -> Value {
    path.rsplit('.').fold(value, |value, name| json!({name: value}))
}

#[tokio::test]
async fn files_of_certificates_are_mounted_and_named() {
    for (helm, (path, volume_name, variable)) in
        HELMS.into_iter().flat_map(|helm| CERTIFICATES.map(|one| (helm, one)))
    {
        for (source, volume) in [
            (
                json!({"configMapName": "bundle", "key": "ca-bundle.crt"}),
                json!({"configMap": {"name": "bundle", "items": [{"key": "ca-bundle.crt", "path": "ca.crt"}]}}),
            ),
            (
                json!({"secretName": "bundle"}),
                json!({"secret": {"secretName": "bundle", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}),
            ),
        ] {
            let objects = render(helm, &valued(path, source)).await;
            let pod = pod(&objects);
            let mut expected = volume.clone();
            expected["name"] = json!(volume_name);
            assert_eq!(pod["volumes"], json!([expected]));
            let container = &pod["containers"][0];
            let mount = &container["volumeMounts"][0];
            assert_eq!(mount["name"], volume_name);
            assert_eq!(mount["readOnly"], true);
            let file = format!("{}/ca.crt", mount["mountPath"].as_str().unwrap());
            let variables = container["env"].as_array().unwrap();
            let named = variables.iter().find(|entry| entry["name"] == variable);
            assert_eq!(named.unwrap()["value"], file.as_str());
        }
        let both = valued(path, json!({"configMapName": "a", "secretName": "b"}));
        let (rendered, said) = try_render(helm, &chart(), &both).await;
        assert!(!rendered && said.contains(&format!("{path} takes")), "{said}");
    }
}

#[tokio::test]
async fn everything_lies_in_the_namespace_that_is_told() {
    for helm in HELMS {
        for file in variants() {
            let text = std::fs::read_to_string(&file).unwrap();
            let mut values = strict(&text).unwrap().pop().unwrap_or_else(|| json!({}));
            values["namespaceOverride"] = json!("elsewhere");
            values.as_object_mut().unwrap().remove("extraObjects");
            let watched: Vec<_> = values["watchNamespaces"].as_array().cloned().unwrap_or_default();
            let (rendered, text) = try_render(helm, &chart(), &values).await;
            assert!(rendered, "{helm}, {}: {text}", file.display());
            assert!(
                !text.contains(NAMESPACE),
                "{helm}, {}: the release's namespace is still named",
                file.display()
            );
            let mut there = 0;
            for object in strict(&text).unwrap() {
                let namespace = &object["metadata"]["namespace"];
                if namespace == "elsewhere" {
                    there += 1;
                } else {
                    let elsewhere = namespace.is_null() || watched.contains(namespace);
                    assert!(elsewhere, "{object}");
                }
            }
            assert!(there > 0, "{helm}, {}: nothing is there", file.display());
        }
    }
}

#[tokio::test]
async fn an_http_route_leads_to_the_consent_pages() {
    let values = json!({"consent": {"enabled": true, "url": "https://apps.example:8443/supabase",
        "httpRoute": {"enabled": true, "parentRefs": [{"name": "public", "namespace": "gateways"}],
            "annotations": {"example.dev/note": "yes"}, "labels": {"tier": "edge"}}}});
    for helm in HELMS {
        let objects = render(helm, &values).await;
        let route = one(&objects, "HTTPRoute");
        assert_eq!(route["apiVersion"], "gateway.networking.k8s.io/v1");
        assert_eq!(route["metadata"]["annotations"]["example.dev/note"], "yes");
        assert_eq!(route["metadata"]["labels"]["tier"], "edge");
        let spec = &route["spec"];
        assert_eq!(spec["parentRefs"], json!([{"name": "public", "namespace": "gateways"}]));
        assert_eq!(spec["hostnames"], json!(["apps.example"]));
        let rule = &spec["rules"][0];
        assert_eq!(
            rule["matches"],
            json!([{"path": {"type": "PathPrefix", "value": "/supabase"}}])
        );
        let backend = &rule["backendRefs"][0];
        let services = of_kind(&objects, "Service");
        let service =
            services.iter().find(|service| service["metadata"]["name"] == backend["name"]);
        let ports =
            service.expect("the route leads to a Service")["spec"]["ports"].as_array().unwrap();
        assert!(
            ports
                .iter()
                .any(|port| port["port"] == backend["port"] && port["targetPort"] == "consent")
        );
        let without = json!({"consent": {"enabled": true, "url": "https://apps.example", "httpRoute": {"enabled": true}}});
        let (rendered, said) = try_render(helm, &chart(), &without).await;
        assert!(!rendered && said.contains("parentRefs"), "{said}");
    }
}

/// What a `ServiceMonitor` finds must be metrics, and nothing that answers 404 there.
#[tokio::test]
async fn metrics_are_found_at_one_service_beside_the_consent_pages() {
    let values = json!({
        "consent": {"enabled": true, "url": "https://supabase.example"},
        "metrics": {"serviceMonitor": {"enabled": true}},
    });
    for helm in HELMS {
        let objects = render(helm, &values).await;
        let monitor = &one(&objects, "ServiceMonitor")["spec"];
        let port = &monitor["endpoints"][0]["port"];
        let wanted = monitor["selector"]["matchLabels"].as_object().unwrap();
        let selected = of_kind(&objects, "Service").into_iter().filter(|service| {
            let labels = &service["metadata"]["labels"];
            let ports = service["spec"]["ports"].as_array().unwrap();
            wanted.iter().all(|(name, value)| labels[name] == *value)
                && ports.iter().any(|one| one["name"] == *port)
        });
        let names: Vec<_> = selected.map(|service| &service["metadata"]["name"]).collect();
        assert_eq!(names, ["supabase-operator-metrics"], "{helm}");
    }
}

/// Kubernetes takes namespaces whose names YAML reads as something else than text.
#[tokio::test]
async fn namespaces_that_look_like_numbers_or_truths_are_texts() {
    let values = json!({
        "scope": "namespaced", "namespaceOverride": "1e3", "watchNamespaces": ["2024", "on", "null"],
        "consent": {"enabled": true, "url": "https://supabase.example", "ingress": {"enabled": true}},
        "metrics": {"serviceMonitor": {"enabled": true}}, "replicas": 2, "networkPolicy": {"enabled": true},
    });
    for helm in HELMS {
        for object in render(helm, &values).await {
            let namespace = &object["metadata"]["namespace"];
            assert!(namespace.is_null() || namespace.is_string(), "{helm}: {object:#}");
            for subject in object["subjects"].as_array().into_iter().flatten() {
                assert!(subject["namespace"].is_string(), "{helm}: {object:#}");
            }
        }
    }
}

/// Names of Services may have 63 characters, and releases 53.
#[tokio::test]
async fn names_fit_whatever_the_release_is_called() {
    let long = "a".repeat(53);
    for named in [json!({"nameOverride": long}), json!({"fullnameOverride": "b".repeat(63)})] {
        let mut values = json!({"consent": {"enabled": true, "url": "https://supabase.example"}});
        values.as_object_mut().unwrap().extend(named.as_object().unwrap().clone());
        for helm in HELMS {
            for object in of_kind(&render(helm, &values).await, "Service") {
                let name = object["metadata"]["name"].as_str().unwrap();
                assert!(name.len() <= 63, "{helm}: {name}");
            }
        }
    }
}

/// The definitions stay when the chart goes: whoever removes everything is told each of them.
#[test]
fn each_definition_is_named_where_it_is_told_how_to_remove_everything() {
    let readme = std::fs::read_to_string(chart().join("README.md")).unwrap();
    let removing = readme.split("- remove everything").nth(1).unwrap();
    let removing = removing.split("\n\n").next().unwrap();
    for file in std::fs::read_dir(repository().join("crds")).unwrap() {
        let file = file.unwrap().path();
        let plural = file.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(removing.contains(&format!(" {plural}.")), "{plural}: {removing}");
    }
}

#[tokio::test]
async fn it_listens_where_pods_are_reached_by_either_family() {
    for helm in HELMS {
        let values = json!({"consent": {"enabled": true, "url": "https://apps.example"}});
        let objects = render(helm, &values).await;
        let variables = &pod(&objects)["containers"][0]["env"];
        for (name, address) in [("LISTEN", "[::]:8080"), ("CONSENT_LISTEN", "[::]:8081")] {
            let name = format!("SUPABASE_OPERATOR_{name}");
            let variable =
                variables.as_array().unwrap().iter().find(|entry| entry["name"] == name.as_str());
            assert_eq!(variable.unwrap()["value"], address, "{name}");
        }
    }
}

/// `helm upgrade --reuse-values` takes the values of the release before, which lack what is new.
#[tokio::test]
async fn values_of_an_earlier_release_can_be_reused() {
    let without = json!({
        "managementAPI": {"caBundle": null}, "databaseCA": null, "rolloutRestart": null, "consent": {"httpRoute": null}, "revisionHistoryLimit": null,
        "deploymentAnnotations": null, "namespaceOverride": null, "extraEnvFrom": null, "extraVolumes": null,
        "extraVolumeMounts": null, "extraObjects": null,
        "metrics": {"serviceMonitor": {"enabled": true, "relabelings": null, "metricRelabelings": null}},
    });
    for helm in HELMS {
        let objects = render(helm, &without).await;
        let pod = pod(&objects);
        assert!(pod["volumes"].is_null() && pod["containers"][0]["volumeMounts"].is_null());
        let now = render(helm, &json!({"metrics": {"serviceMonitor": {"enabled": true}}})).await;
        assert_eq!(objects.len(), now.len());
    }
}

#[tokio::test]
async fn numbers_and_nonsense_in_variables_are_refused() {
    for helm in HELMS {
        for variable in [
            json!({"name": "A", "value": 1}),
            json!({"name": "A", "value": true}),
            json!({"name": "A", "values": "1"}),
            json!({"value": "1"}),
        ] {
            let (rendered, said) =
                try_render(helm, &chart(), &json!({"extraEnv": [variable]})).await;
            assert!(!rendered && said.contains("extraEnv"), "{helm}, {variable}: {said}");
        }
    }
}

/// What a package of the chart must tell Artifact Hub.
#[tokio::test]
async fn artifact_hub_is_told_everything() {
    let text = std::fs::read_to_string(chart().join("Chart.yaml")).unwrap();
    let chart = strict(&text).unwrap().remove(0);
    for field in ["description", "home", "icon", "appVersion", "kubeVersion"] {
        assert!(chart[field].as_str().is_some_and(|value| !value.is_empty()), "no {field}");
    }
    for list in ["keywords", "maintainers", "sources"] {
        assert!(chart[list].as_array().is_some_and(|list| !list.is_empty()), "no {list}");
    }
    for maintainer in chart["maintainers"].as_array().unwrap() {
        assert!(maintainer["name"].is_string() && maintainer["url"].is_string());
    }
    let annotation = |name: &str| -> Value {
        let text = chart["annotations"][format!("artifacthub.io/{name}")].as_str();
        let text = text.unwrap_or_else(|| panic!("no annotation artifacthub.io/{name}"));
        strict(text).unwrap_or_else(|error| panic!("{name}: {error}")).remove(0)
    };
    let kinds: BTreeSet<String> = annotation("crds")
        .as_array()
        .unwrap()
        .iter()
        .map(|crd| {
            for field in ["kind", "version", "name", "displayName", "description"] {
                assert!(crd[field].is_string(), "{crd} has no {field}");
            }
            let name = crd["name"].as_str().unwrap();
            let plural = name.strip_suffix(".supabase-operator.dev").unwrap();
            let file = repository().join(format!("crds/{plural}.yaml"));
            assert!(file.exists(), "{name} is no kind of ours");
            crd["kind"].as_str().unwrap().to_owned()
        })
        .collect();
    let files = std::fs::read_dir(repository().join("crds")).unwrap().count();
    assert_eq!(kinds.len(), files, "a kind is not named: {kinds:?}");
    let examples = annotation("crdsExamples");
    let shown: BTreeSet<_> = examples
        .as_array()
        .unwrap()
        .iter()
        .map(|example| example["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(shown, kinds);
    for link in annotation("links").as_array().unwrap() {
        assert!(link["name"].is_string() && link["url"].as_str().unwrap().starts_with("https://"));
    }
    let changes = annotation("changes");
    for change in changes.as_array().unwrap() {
        let kind = change["kind"].as_str().unwrap();
        assert!(["added", "changed", "deprecated", "removed", "fixed", "security"].contains(&kind));
        assert!(change["description"].is_string());
    }
    assert!(!changes.as_array().unwrap().is_empty());
    let version = chart["appVersion"].as_str().unwrap();
    for image in annotation("images").as_array().unwrap() {
        assert!(image["name"].is_string());
        assert!(image["image"].as_str().unwrap().ends_with(&format!(":{version}")), "{image}");
    }
}

/// The examples that Artifact Hub shows are accepted by a real API server.
#[tokio::test]
async fn the_examples_for_artifact_hub_are_accepted() {
    let (_plane, cluster) = crate::examples::with_kinds().await;
    let text = std::fs::read_to_string(chart().join("Chart.yaml")).unwrap();
    let chart = strict(&text).unwrap().remove(0);
    let examples = chart["annotations"]["artifacthub.io/crdsExamples"].as_str().unwrap();
    let examples = strict(examples).unwrap().remove(0);
    for example in examples.as_array().unwrap() {
        cluster.apply(example.clone()).await;
    }
}

/// Both Helms package it, and what is in the package renders the same.
#[tokio::test]
async fn a_package_renders_as_the_folder_does() {
    for helm in HELMS {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(ensure(helm).await);
        command.arg("package").arg(chart());
        command.arg("--destination").arg(folder.path());
        let said = succeed(command).await;
        assert!(!said.contains("symbolic"), "{said}");
        let package = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let (rendered, text) = try_render(helm, &package, &json!({})).await;
        assert!(rendered, "{text}");
        assert_eq!(strict(&text).unwrap(), render(helm, &json!({})).await);
    }
}
