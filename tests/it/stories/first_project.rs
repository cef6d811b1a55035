//! The main job, end to end, and what it costs.

use std::collections::BTreeSet;

use super::{connected, ready_project};
use crate::readme::{first_cells, readme};
use crate::support::audit::requests;
use crate::support::cluster::kinds::{PROJECT, SECRET};
use crate::support::programs::succeed;
use crate::support::samples::secret;
use crate::support::stage::{Reach, Stage};

const QUERY: &str = "select current_user, current_database(), \
    (select ssl from pg_stat_ssl where pid = pg_backend_pid())";

#[tokio::test]
async fn a_project_becomes_a_secret_that_its_database_accepts() {
    let mut stage = Stage::new(Reach::Cluster).await;
    stage.platform.attach_databases().await;
    let operator = stage.operator().await;
    connected(&stage).await;

    let ready = ready_project(&stage, "orders").await;
    let reference = ready["status"]["ref"].as_str().unwrap().to_owned();
    assert_eq!(stage.platform.created(), [reference.as_str()]);
    let wanted = format!("{}-orders", stage.cluster.namespace);
    assert_eq!(stage.platform.project_names(), [wanted.as_str()]);
    assert_eq!(ready["status"]["projectName"], wanted);
    assert_eq!(ready["status"]["remoteStatus"], "ACTIVE_HEALTHY");
    assert_eq!(ready["status"]["region"], "eu-central-1");

    let data = stage.cluster.data(SECRET, "orders-supabase").await.unwrap();
    assert_eq!(data["SUPABASE_URL"], format!("https://{reference}.supabase.co"));
    assert!(data["SUPABASE_PUBLISHABLE_KEY"].starts_with("sb_publishable_"));
    assert!(data["SUPABASE_SECRET_KEY"].starts_with("sb_secret_"));
    let uri = &data["SUPABASE_DB_URL"];
    let expected = format!("postgres.{reference}|{reference}|t");
    let mut psql = tokio::process::Command::new("psql");
    psql.args(["--no-psqlrc", "-At", "-c", QUERY, uri]).env("PGCONNECT_TIMEOUT", "10");
    assert_eq!(succeed(psql).await.trim_end(), expected);
    // The client that stands in for psql where that is missing.
    assert_eq!(database_query::answer(uri, QUERY).await.unwrap(), [expected]);
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_project_costs_exactly_the_calls_and_writes_that_it_needs() {
    let mut stage =
        Stage::with_platform(Reach::Cluster, simulated_platform::Config::instant()).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    let mark = stage.platform.mark();
    ready_project(&stage, "orders").await;

    let calls = stage.platform.calls_since(mark);
    let count = |call: &str| calls.get(call).copied().unwrap_or_default();
    assert_eq!(count("POST /v1/projects"), 1, "{calls:?}");
    assert_eq!(count("PATCH /v1/projects/{ref}"), 1, "{calls:?}");
    assert_eq!(count("GET /v1/projects/{ref}/health"), 1, "{calls:?}");
    assert_eq!(count("GET /v1/projects/{ref}/api-keys"), 1, "{calls:?}");
    assert_eq!(count("GET /v1/projects/{ref}/config/database/pooler"), 1, "{calls:?}");
    let known: BTreeSet<_> = [
        "POST /v1/projects",
        "PATCH /v1/projects/{ref}",
        "GET /v1/projects/{ref}/health",
        "GET /v1/projects/{ref}/api-keys",
        "GET /v1/projects/{ref}/config/database/pooler",
        "GET /v1/organizations/{slug}/projects",
    ]
    .into();
    let others: Vec<_> = calls.keys().filter(|call| !known.contains(call.as_str())).collect();
    assert!(others.is_empty(), "{calls:?}");

    let asked = requests(&stage.plane.audit_log(), &stage.release.user());
    let writes: Vec<_> = asked
        .iter()
        .filter(|request| !["get", "list", "watch"].contains(&request.verb.as_str()))
        .filter(|request| request.namespace == stage.cluster.namespace)
        .filter(|request| request.name.starts_with("orders") || request.resource == "secrets")
        .map(|request| format!("{} {} {}", request.verb, request.resource, request.name))
        .collect();
    let of = |write: &str| writes.iter().filter(|known| known.as_str() == write).count();
    assert_eq!(of("patch supabaseprojects orders"), 1, "the finalizer: {writes:#?}");
    assert_eq!(of("create secrets orders-supabase-password"), 1, "{writes:#?}");
    assert_eq!(of("create secrets orders-supabase"), 1, "{writes:#?}");
    // The attempt, the ref, Ready, and one per remote state that was shown.
    let statuses = of("patch supabaseprojects/status orders");
    assert!((3..=5).contains(&statuses), "{writes:#?}");
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn at_rest_nothing_is_written_and_only_lists_are_read() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    ready_project(&stage, "orders").await;
    ready_project(&stage, "shop").await;
    let before = stage.cluster.get(PROJECT, "orders").await.unwrap();
    let mark = stage.platform.mark();
    let lists = "GET /v1/organizations/{slug}/projects";
    crate::support::eventually::eventually(
        "five rests",
        crate::support::cluster::SOON,
        async || {
            let calls = stage.platform.calls_since(mark);
            if calls.get(lists).is_some_and(|count| *count >= 5) {
                Ok(())
            } else {
                Err(format!("{calls:?}"))
            }
        },
    )
    .await;
    let calls = stage.platform.calls_since(mark);
    assert_eq!(calls.keys().collect::<Vec<_>>(), [lists], "{calls:?}");
    let after = stage.cluster.get(PROJECT, "orders").await.unwrap();
    assert_eq!(before["metadata"]["resourceVersion"], after["metadata"]["resourceVersion"]);
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn every_metric_is_listed_in_the_readme() {
    let mut stage = Stage::new(Reach::Namespace).await;
    // Without an access token the refresh token has to be used.
    stage.cluster.delete(SECRET, "supabase-oauth-tokens").await;
    let refresh = stage.platform.tokens.refresh_token.clone();
    stage.cluster.apply(secret("supabase-oauth-tokens", &[("refresh_token", &refresh)])).await;
    let operator = stage.operator().await;
    connected(&stage).await;
    ready_project(&stage, "orders").await;
    let metrics = operator.metrics().await;
    let plain = |name: &str| {
        let name = name.trim_start_matches("supabase_operator_");
        name.trim_end_matches("_total").trim_end_matches("_info").to_owned()
    };
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let mut known: BTreeSet<_> = types.map(plain).collect();
    // Shown from the first failure on.
    known.insert("watch_failures".to_owned());
    let listed = first_cells(&readme(), "Metrics");
    let listed: BTreeSet<_> = listed.iter().map(|name| plain(name)).collect();
    assert_eq!(listed, known);
    stage.finish(vec![operator]).await;
}
