//! Nothing that the schemas accept goes unobserved: for every field and every word that a field takes there is a test that sees
//! what it does, on the platform or in the cluster. Here is the table of them, and the stories of those that no other has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::cluster::SOON;
use crate::support::cluster::kinds::{
    CLUSTER_CONNECTION, CONFIG_MAP, CONNECTION, NAMESPACE, PROJECT, SECRET,
};
use crate::support::platform::ORGANIZATION;
use crate::support::programs::repository;
use crate::support::samples::{cluster_connection, project, token_connection};
use crate::support::stage::{Reach, Stage};

/// A place of a spec, or a word of a place, and the test that sees its effect: the test's text names what is after the last dot
/// or sign, unless a third column says what it names instead.
const PROJECT_FIELDS: [(&str, &str, &str); 102] = [
    (
        "adoption.policy=AdoptOnly",
        "an_object_that_is_applied_anew_is_told_which_project_is_its_own",
        "",
    ),
    ("adoption.policy=AdoptOrCreate", "a_recreated_object_takes_its_retained_project_back", ""),
    (
        "adoption.policy=CreateOnly",
        "a_foreign_project_of_the_wanted_name_is_left_alone",
        "NameConflict",
    ),
    ("adoption.ref", "an_object_that_is_applied_anew_is_told_which_project_is_its_own", ""),
    ("compute.size", "place_and_size_reach_the_platform", ""),
    (
        "connectionRef.kind=ClusterSupabaseConnection",
        "a_cluster_connection_serves_whom_it_names",
        "of_cluster_connection",
    ),
    (
        "connectionRef.kind=SupabaseConnection",
        "a_missing_connection_is_told_and_awaited",
        "connected",
    ),
    ("connectionRef.name", "a_missing_connection_is_told_and_awaited", "ConnectionNotFound"),
    (
        "database.password.generate",
        "a_project_becomes_a_secret_that_its_database_accepts",
        "ready_project",
    ),
    (
        "database.password.onLost=Report",
        "a_password_that_nobody_knows_any_more_is_reset_on_request_only",
        "PasswordLost",
    ),
    (
        "database.password.onLost=Reset",
        "a_password_that_nobody_knows_any_more_is_reset_on_request_only",
        "",
    ),
    (
        "database.password.secretKeyRef.key",
        "a_supplied_password_is_used_as_it_is",
        "with_password_of",
    ),
    (
        "database.password.secretKeyRef.name",
        "a_supplied_password_is_used_as_it_is",
        "with_password_of",
    ),
    ("dataAPI.enabled", "every_setting_of_a_project_reaches_the_platform_and_stays", ""),
    ("dataAPI.extraSearchPath", "every_setting_of_a_project_reaches_the_platform_and_stays", ""),
    ("dataAPI.maxRows", "every_setting_of_a_project_reaches_the_platform_and_stays", ""),
    (
        "dataAPI.poolAcquisitionTimeoutSeconds",
        "every_setting_of_a_project_reaches_the_platform_and_stays",
        "",
    ),
    ("dataAPI.poolSize", "every_setting_of_a_project_reaches_the_platform_and_stays", ""),
    ("dataAPI.schemas", "every_setting_of_a_project_reaches_the_platform_and_stays", ""),
    (
        "database.networkRestrictions.allowedCIDRs",
        "every_setting_of_a_project_reaches_the_platform_and_stays",
        "",
    ),
    ("database.parameters", "every_setting_of_a_project_reaches_the_platform_and_stays", ""),
    (
        "database.parametersRestart=IfRequired",
        "every_setting_of_a_project_reaches_the_platform_and_stays",
        "",
    ),
    (
        "database.parametersRestart=Never",
        "every_setting_of_a_project_reaches_the_platform_and_stays",
        "",
    ),
    ("database.sslEnforcement", "every_setting_of_a_project_reaches_the_platform_and_stays", ""),
    ("driftPolicy=Correct", "every_setting_of_a_project_reaches_the_platform_and_stays", ""),
    ("driftPolicy=Report", "every_setting_of_a_project_reaches_the_platform_and_stays", ""),
    ("managementPolicy=Full", "every_setting_of_a_project_reaches_the_platform_and_stays", ""),
    ("managementPolicy=Observe", "every_setting_of_a_project_reaches_the_platform_and_stays", ""),
    ("deletionPolicy=Delete", "delete_deletes_the_project_once_and_waits_until_it_is_gone", ""),
    ("deletionPolicy=Retain", "retain_leaves_the_project_and_its_password", "retained"),
    ("organizationSlug", "the_organization_is_the_one_that_is_named", ""),
    (
        "outputs[].annotations",
        "what_others_put_on_an_output_stays_and_what_is_declared_no_more_goes",
        "",
    ),
    ("outputs[].endpoint=Direct", "every_value_and_every_way_to_the_database_is_written", ""),
    (
        "outputs[].endpoint=SessionPooler",
        "every_value_and_every_way_to_the_database_is_written",
        "",
    ),
    (
        "outputs[].endpoint=TransactionPooler",
        "every_value_and_every_way_to_the_database_is_written",
        "",
    ),
    ("outputs[].include", "every_value_and_every_way_to_the_database_is_written", ""),
    ("outputs[].include[]=AnonKey", "every_value_and_every_way_to_the_database_is_written", ""),
    (
        "outputs[].include[]=DatabaseHost",
        "every_value_and_every_way_to_the_database_is_written",
        "",
    ),
    (
        "outputs[].include[]=DatabaseName",
        "every_value_and_every_way_to_the_database_is_written",
        "",
    ),
    (
        "outputs[].include[]=DatabasePassword",
        "every_value_and_every_way_to_the_database_is_written",
        "",
    ),
    (
        "outputs[].include[]=DatabasePort",
        "every_value_and_every_way_to_the_database_is_written",
        "",
    ),
    ("outputs[].include[]=DatabaseURI", "every_value_and_every_way_to_the_database_is_written", ""),
    (
        "outputs[].include[]=DatabaseUser",
        "every_value_and_every_way_to_the_database_is_written",
        "",
    ),
    ("outputs[].include[]=ProjectRef", "every_value_and_every_way_to_the_database_is_written", ""),
    (
        "outputs[].include[]=PublishableKey",
        "every_value_and_every_way_to_the_database_is_written",
        "",
    ),
    ("outputs[].include[]=SecretKey", "every_value_and_every_way_to_the_database_is_written", ""),
    (
        "outputs[].include[]=ServiceRoleKey",
        "every_value_and_every_way_to_the_database_is_written",
        "",
    ),
    ("outputs[].include[]=URL", "every_value_and_every_way_to_the_database_is_written", ""),
    ("outputs[].include[]=DatabaseJDBCURL", "every_key_holds_what_it_names", ""),
    ("outputs[].include[]=DatabasePassfile", "every_key_holds_what_it_names", ""),
    ("outputs[].include[]=DatabaseCA", "every_key_holds_what_it_names", ""),
    ("outputs[].include[]=JWKSURL", "every_key_holds_what_it_names", ""),
    ("outputs[].keys[].value=URL", "every_key_holds_what_it_names", ""),
    ("outputs[].keys[].value=ProjectRef", "every_key_holds_what_it_names", ""),
    ("outputs[].keys[].value=PublishableKey", "every_key_holds_what_it_names", ""),
    ("outputs[].keys[].value=SecretKey", "every_key_holds_what_it_names", ""),
    ("outputs[].keys[].value=AnonKey", "every_key_holds_what_it_names", ""),
    ("outputs[].keys[].value=ServiceRoleKey", "every_key_holds_what_it_names", ""),
    ("outputs[].keys[].value=DatabaseURI", "every_key_holds_what_it_names", ""),
    ("outputs[].keys[].value=DatabaseHost", "every_key_holds_what_it_names", ""),
    ("outputs[].keys[].value=DatabasePort", "every_key_holds_what_it_names", ""),
    ("outputs[].keys[].value=DatabaseName", "every_key_holds_what_it_names", ""),
    ("outputs[].keys[].value=DatabaseUser", "every_key_holds_what_it_names", ""),
    ("outputs[].keys[].value=DatabasePassword", "every_key_holds_what_it_names", ""),
    ("outputs[].keys[].value=DatabaseJDBCURL", "every_key_holds_what_it_names", ""),
    ("outputs[].keys[].value=DatabasePassfile", "every_key_holds_what_it_names", ""),
    ("outputs[].keys[].value=DatabaseCA", "every_key_holds_what_it_names", ""),
    ("outputs[].keys[].value=JWKSURL", "every_key_holds_what_it_names", ""),
    ("outputs[].keys[].endpoint=Direct", "keys_lead_several_ways_as_each_says", ""),
    ("outputs[].keys[].endpoint=SessionPooler", "keys_lead_several_ways_as_each_says", ""),
    ("outputs[].keys[].endpoint=TransactionPooler", "keys_lead_several_ways_as_each_says", ""),
    ("outputs[].keys[].name", "keys_lead_several_ways_as_each_says", ""),
    ("outputs[].keys[].parameters", "keys_lead_several_ways_as_each_says", ""),
    ("outputs[].keys[].scheme", "keys_lead_several_ways_as_each_says", ""),
    ("outputs[].keys[].tls.caFile", "keys_lead_several_ways_as_each_says", ""),
    ("outputs[].keys[].tls.mode=Omit", "keys_lead_several_ways_as_each_says", ""),
    ("outputs[].tls.mode=Omit", "keys_lead_several_ways_as_each_says", ""),
    ("outputs[].keys[].tls.mode=Require", "keys_lead_several_ways_as_each_says", ""),
    ("outputs[].tls.mode=Require", "keys_lead_several_ways_as_each_says", ""),
    ("outputs[].keys[].tls.mode=VerifyFull", "keys_lead_several_ways_as_each_says", ""),
    ("outputs[].tls.mode=VerifyFull", "keys_lead_several_ways_as_each_says", ""),
    ("outputs[].tls.caFile", "keys_lead_several_ways_as_each_says", ""),
    ("outputs[].preset=Libpq", "keys_lead_several_ways_as_each_says", ""),
    ("outputs[].kind=ConfigMap", "outputs_follow_the_spec", ""),
    ("outputs[].kind=Secret", "outputs_follow_the_spec", "SECRET"),
    (
        "outputs[].labels",
        "what_others_put_on_an_output_stays_and_what_is_declared_no_more_goes",
        "",
    ),
    ("outputs[].name", "outputs_follow_the_spec", "shop-db"),
    ("outputs[].prefix", "outputs_follow_the_spec", ""),
    ("outputs[].preset=Env", "outputs_follow_the_spec", ""),
    ("outputs[].preset=ServiceBinding", "outputs_follow_the_spec", ""),
    ("powerState=Paused", "power_follows_the_spec", ""),
    ("powerState=Running", "power_follows_the_spec", ""),
    ("projectName", "a_new_name_renames_the_project", "called"),
    ("region", "place_and_size_reach_the_platform", "in_region"),
    ("regionGroup", "place_and_size_reach_the_platform", ""),
    (
        "outputs[].rolloutRestart[].kind=DaemonSet",
        "workloads_are_restarted_once_a_change_and_only_where_that_is_allowed",
        "DaemonSet",
    ),
    (
        "outputs[].rolloutRestart[].kind=Deployment",
        "workloads_are_restarted_once_a_change_and_only_where_that_is_allowed",
        "Deployment",
    ),
    (
        "outputs[].rolloutRestart[].kind=StatefulSet",
        "workloads_are_restarted_once_a_change_and_only_where_that_is_allowed",
        "StatefulSet",
    ),
    (
        "outputs[].rolloutRestart[].name",
        "workloads_are_restarted_once_a_change_and_only_where_that_is_allowed",
        "rolloutRestart",
    ),
    (
        "secretTemplate.annotations",
        "what_a_policy_asks_of_secrets_is_told_in_its_words_and_can_be_declared",
        "",
    ),
    (
        "secretTemplate.labels",
        "what_a_policy_asks_of_secrets_is_told_in_its_words_and_can_be_declared",
        "",
    ),
    ("suspend", "a_suspended_object_is_left_alone", ""),
];

const AUTH_FIELDS: [(&str, &str, &str); 8] = [
    (
        "auth.oauth.appSecretRef.name",
        "a_refresh_token_is_spent_once_and_what_it_bought_survives_a_crash",
        "only_a_refresh_token",
    ),
    ("auth.oauth.revokeOnDelete", "access_ends_with_the_connection_once_no_project_needs_it", ""),
    (
        "auth.oauth.tokenSecretRef.name",
        "a_dead_refresh_token_is_told_until_new_tokens_come",
        "supabase-oauth-tokens",
    ),
    (
        "auth.personalAccessToken.secretKeyRef.key",
        "a_missing_or_malformed_secret_is_told_and_awaited",
        "SecretNotFound",
    ),
    (
        "auth.personalAccessToken.secretKeyRef.name",
        "a_missing_or_malformed_secret_is_told_and_awaited",
        "SecretNotFound",
    ),
    ("organizationSlug", "a_connection_to_a_foreign_organization_is_refused", ""),
    (
        "secretTemplate.annotations",
        "what_a_policy_asks_of_secrets_is_told_in_its_words_and_can_be_declared",
        "",
    ),
    (
        "secretTemplate.labels",
        "what_a_policy_asks_of_secrets_is_told_in_its_words_and_can_be_declared",
        "",
    ),
];

/// The same of Auth settings.
const AUTH_CONFIG_FIELDS: [(&str, &str, &str); 18] = [
    ("driftPolicy=Correct", "every_auth_setting_reaches_the_platform", ""),
    ("driftPolicy=Report", "every_auth_setting_reaches_the_platform", ""),
    ("email.minIntervalSeconds", "every_auth_setting_reaches_the_platform", ""),
    ("managementPolicy=Full", "every_auth_setting_reaches_the_platform", ""),
    ("managementPolicy=Observe", "every_auth_setting_reaches_the_platform", ""),
    ("projectRef.name", "every_auth_setting_reaches_the_platform", ""),
    ("rateLimits.emailSent", "every_auth_setting_reaches_the_platform", ""),
    ("redirectURLs", "every_auth_setting_reaches_the_platform", ""),
    ("siteURL", "every_auth_setting_reaches_the_platform", ""),
    ("smtp.enabled", "every_auth_setting_reaches_the_platform", ""),
    ("smtp.host", "every_auth_setting_reaches_the_platform", ""),
    ("smtp.password.secretKeyRef.key", "every_auth_setting_reaches_the_platform", ""),
    ("smtp.password.secretKeyRef.name", "every_auth_setting_reaches_the_platform", ""),
    ("smtp.port", "every_auth_setting_reaches_the_platform", ""),
    ("smtp.senderEmail", "every_auth_setting_reaches_the_platform", ""),
    ("smtp.senderName", "every_auth_setting_reaches_the_platform", ""),
    ("smtp.username", "every_auth_setting_reaches_the_platform", ""),
    ("suspend", "every_auth_setting_reaches_the_platform", ""),
];

const CLUSTER_FIELDS: [(&str, &str, &str); 8] = [
    ("adoption=Allowed", "a_cluster_connection_lends_as_it_says", ""),
    ("adoption=Forbidden", "a_cluster_connection_serves_whom_it_names", "AdoptionForbidden"),
    ("allowedNamespaces.names", "a_cluster_connection_serves_whom_it_names", ""),
    (
        "allowedNamespaces.selector.matchExpressions[].key",
        "a_cluster_connection_lends_as_it_says",
        "",
    ),
    (
        "allowedNamespaces.selector.matchExpressions[].operator",
        "a_cluster_connection_lends_as_it_says",
        "",
    ),
    (
        "allowedNamespaces.selector.matchExpressions[].values",
        "a_cluster_connection_lends_as_it_says",
        "",
    ),
    ("allowedNamespaces.selector.matchLabels", "a_cluster_connection_lends_as_it_says", ""),
    ("allowedOrganizations", "a_cluster_connection_lends_as_it_says", ""),
];

/// Every leaf of a schema, and every word of those that take words.
fn places(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    if let Some(words) = schema["enum"].as_array() {
        found.extend(words.iter().map(|word| format!("{path}={}", word.as_str().unwrap())));
        return;
    }
    match schema["type"].as_str() {
        Some("array") => {
            let item = format!("{path}[]");
            if schema["items"]["type"] == "string" {
                found.insert(path.to_owned());
                if schema["items"]["enum"].is_array() {
                    places(&schema["items"], &item, found);
                }
            } else {
                places(&schema["items"], &item, found);
            }
        }
        Some("object") if schema["properties"].is_object() => {
            for (name, property) in schema["properties"].as_object().unwrap() {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                places(property, &path, found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

fn schema_of(plural: &str) -> Value {
    let file = repository().join(format!("crds/{plural}.yaml"));
    let crd: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let versions = crd["spec"]["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 1);
    versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// The text of every test function in the repository, by its name.
fn tests() -> BTreeMap<String, String> {
    fn walk(folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for test in text.split("#[tokio::test").skip(1) {
                    let Some((_, rest)) = test.split_once("fn ") else {
                        continue;
                    };
                    let name = rest.split('(').next().unwrap();
                    // Up to the brace that closes it, and the constants of its file, which it may name.
                    let body = rest.split("\n}\n").next().unwrap();
                    let mut body = body.to_owned();
                    for constant in text.split("\nconst ").skip(1) {
                        let (name, rest) = constant.split_once(':').unwrap();
                        if body.contains(name) {
                            body.push_str(rest.split(";\n").next().unwrap());
                        }
                    }
                    found.insert(name.to_owned(), body);
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&repository().join("tests/it"), &mut found);
    found
}

#[test]
fn every_field_and_word_of_every_schema_is_observed_by_a_test() {
    let tests = tests();
    let cluster = AUTH_FIELDS.iter().chain(&CLUSTER_FIELDS);
    let kinds: [(&str, Vec<_>); 4] = [
        ("supabaseauthconfigs", AUTH_CONFIG_FIELDS.iter().collect()),
        ("supabaseprojects", PROJECT_FIELDS.iter().collect()),
        ("supabaseconnections", AUTH_FIELDS.iter().collect()),
        ("clustersupabaseconnections", cluster.collect()),
    ];
    let mut wrong = Vec::new();
    for (plural, table) in kinds {
        let mut accepted = BTreeSet::new();
        places(&schema_of(plural), "", &mut accepted);
        assert!(accepted.len() >= 6, "{accepted:?}");
        for place in &accepted {
            if !table.iter().any(|(known, _, _)| known == place) {
                wrong.push(format!("{plural}: no test observes {place}"));
            }
        }
        for (place, test, names) in table {
            if !accepted.contains(*place) {
                wrong.push(format!("{plural}: the schema has no {place}"));
            }
            let last = place.rsplit(['.', '=']).next().unwrap();
            let last = last.rsplit("[]").next().unwrap();
            let names = if names.is_empty() { &last } else { names };
            match tests.get(*test) {
                None => wrong.push(format!("{plural}: there is no test {test}")),
                Some(text) if !text.contains(*names) => {
                    wrong.push(format!("{plural}: {test} does not name {names}, for {place}"));
                }
                Some(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn place_and_size_reach_the_platform() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    stage.cluster.apply(token_connection("acme")).await;
    let grouped = project("grouped").without("region").with("regionGroup", "apac");
    let sized = project("sized").in_region("us-west-1");
    let sized = sized.with("compute", json!({"size": "medium"}));
    let plain = project("plain").in_region("eu-west-2");
    for object in [grouped, sized, plain] {
        stage.cluster.apply(object).await;
    }
    let mut seen = BTreeMap::new();
    for name in ["grouped", "sized", "plain"] {
        let ready = stage.cluster.wait_condition(PROJECT, name, "Ready", "True").await;
        let reference = ready["status"]["ref"].as_str().unwrap().to_owned();
        let world = stage.platform.world();
        let remote = world.project(&reference).unwrap();
        assert_eq!(ready["status"]["region"], remote.region.as_str(), "{name}");
        seen.insert(name, (remote.region.clone(), remote.size.clone()));
    }
    // What an adopted project has is compared as well.
    let now = stage.platform.now();
    let foreign = stage.platform.world().add_foreign_project(ORGANIZATION, "large", now);
    let adopted = project("large").without("region");
    let adopted = adopted.with("adoption", json!({"policy": "AdoptOnly", "ref": foreign}));
    let adopted = adopted.with("outputs", json!([])).with("compute", json!({"size": "medium"}));
    stage.cluster.apply(adopted).await;
    let said = "False/OutOfSync";
    let synced = stage.cluster.wait_condition(PROJECT, "large", "Synced", said).await;
    let size = stage.platform.world().project(&foreign).unwrap().size.clone();
    let text = crate::support::cluster::conditions_of(&synced);
    assert!(text.contains(&format!("is medium, and the project's is {size}")), "{text}");
    assert!(seen["grouped"].0.starts_with("ap-"), "{seen:?}");
    assert_eq!(seen["sized"], ("us-west-1".to_owned(), "medium".to_owned()));
    assert_eq!(seen["plain"].0, "eu-west-2");
    assert_ne!(seen["plain"].1, "medium");
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn the_organization_is_the_one_that_is_named() {
    let mut stage = Stage::new(Reach::Namespace).await;
    stage.platform.world().add_organization("second", "Second", simulated_platform::Plan::Pro);
    let operator = stage.operator().await;
    stage.cluster.apply(token_connection("acme")).await;
    stage.cluster.wait_condition(CONNECTION, "acme", "Ready", "True").await;
    stage.cluster.apply(project("orders")).await;
    stage.cluster.wait_condition(PROJECT, "orders", "Ready", "False/OrganizationRequired").await;
    for (name, slug) in [("orders", ORGANIZATION), ("other", "second")] {
        stage.cluster.apply(project(name).with("organizationSlug", slug)).await;
        let ready = stage.cluster.wait_condition(PROJECT, name, "Ready", "True").await;
        let reference = ready["status"]["ref"].as_str().unwrap();
        let organization = stage.platform.world().project(reference).unwrap().organization.clone();
        assert_eq!(organization, slug);
        // What is on record holds without it too.
        stage.cluster.apply(project(name)).await;
        stage.cluster.wait_condition(PROJECT, name, "Ready", "True").await;
    }
    stage.finish(vec![operator]).await;
}

/// The payload of a JSON Web Token.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// Every value that an output can hold.
const VALUES: [&str; 12] = [
    "URL",
    "ProjectRef",
    "PublishableKey",
    "SecretKey",
    "AnonKey",
    "ServiceRoleKey",
    "DatabaseURI",
    "DatabaseHost",
    "DatabasePort",
    "DatabaseName",
    "DatabaseUser",
    "DatabasePassword",
];

/// What leads to the project's API, and the keys of it.
fn assert_interfaces(data: &BTreeMap<String, String>, reference: &str) {
    assert_eq!(data["SUPABASE_URL"], format!("https://{reference}.supabase.co"));
    assert_eq!(data["SUPABASE_PROJECT_REF"], reference);
    assert!(data["SUPABASE_PUBLISHABLE_KEY"].starts_with("sb_publishable_"));
    assert!(data["SUPABASE_SECRET_KEY"].starts_with("sb_secret_"));
    for (key, role) in
        [("SUPABASE_ANON_KEY", "anon"), ("SUPABASE_SERVICE_ROLE_KEY", "service_role")]
    {
        let claims = claims(&data[key]);
        assert_eq!(claims["role"], role);
        assert_eq!(claims["ref"], reference);
    }
}

#[tokio::test]
async fn every_value_and_every_way_to_the_database_is_written() {
    let mut stage = Stage::new(Reach::Namespace).await;
    let operator = stage.operator().await;
    stage.cluster.apply(token_connection("acme")).await;
    let mut wanted = project("shop");
    for endpoint in ["Direct", "SessionPooler", "TransactionPooler"] {
        let name = format!("shop-{}", endpoint.to_lowercase());
        wanted = wanted.with_output(&name, "Env", json!({"endpoint": endpoint, "include": VALUES}));
    }
    let public = json!({"kind": "ConfigMap", "include": ["URL", "AnonKey"]});
    stage.cluster.apply(wanted.with_output("shop-web", "Env", public)).await;
    let ready = stage.cluster.wait_condition(PROJECT, "shop", "Ready", "True").await;
    let reference = ready["status"]["ref"].as_str().unwrap();
    let endpoints = &ready["status"]["endpoints"];
    let password = stage.cluster.data(SECRET, "shop-supabase-password").await.unwrap();
    for (endpoint, field, port, user) in [
        ("direct", "direct", "5432", "postgres".to_owned()),
        ("sessionpooler", "sessionPooler", "5432", format!("postgres.{reference}")),
        ("transactionpooler", "transactionPooler", "6543", format!("postgres.{reference}")),
    ] {
        let data = stage.cluster.data(SECRET, &format!("shop-{endpoint}")).await.unwrap();
        assert_eq!(data.len(), VALUES.len(), "{:?}", data.keys());
        assert_interfaces(&data, reference);
        let address = format!("{}:{}", data["SUPABASE_DB_HOST"], data["SUPABASE_DB_PORT"]);
        assert_eq!(endpoints[field], address.as_str(), "{endpoint}");
        assert_eq!(data["SUPABASE_DB_PORT"], port, "{endpoint}");
        assert_eq!(data["SUPABASE_DB_USER"], user, "{endpoint}");
        assert_eq!(data["SUPABASE_DB_NAME"], "postgres");
        assert_eq!(data["SUPABASE_DB_PASSWORD"], password["password"]);
        let uri = &data["SUPABASE_DB_URL"];
        let expected = format!("postgresql://{user}:{}@{address}/postgres", password["password"]);
        assert!(uri.starts_with(&expected), "{endpoint}");
    }
    let direct = stage.cluster.data(SECRET, "shop-direct").await.unwrap();
    assert_eq!(direct["SUPABASE_DB_HOST"], format!("db.{reference}.supabase.co"));
    let web = stage.cluster.data(CONFIG_MAP, "shop-web").await.unwrap();
    assert_eq!(web["SUPABASE_ANON_KEY"], direct["SUPABASE_ANON_KEY"]);
    // A legacy key is public, but no canary of the platform is: it must not show in a ConfigMap by any other name.
    assert_eq!(web.len(), 2);
    stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn a_cluster_connection_lends_as_it_says() {
    let mut stage = Stage::new(Reach::Cluster).await;
    stage.platform.world().add_organization("second", "Second", simulated_platform::Plan::Pro);
    let operator = stage.operator().await;
    stage.platform.provide_secrets(&stage.system).await;
    let refused = async |reason: &str| {
        stage.cluster.wait_condition(PROJECT, "orders", "Ready", &format!("False/{reason}")).await;
    };
    let lent = |selector: &Value| {
        cluster_connection("company")
            .with("allowedOrganizations", json!([ORGANIZATION]))
            .with("allowedNamespaces", json!({"selector": selector}))
    };
    let orders = project("orders").of_cluster_connection("company");
    let by_label = json!({"matchLabels": {"example.com/supabase": "allowed"}});
    let expression = json!({"key": "tier", "operator": "In", "values": ["a", "b"]});
    let by_expression = json!({"matchExpressions": [expression]});
    stage.cluster.apply(lent(&by_label)).await;
    stage.cluster.wait_condition(CLUSTER_CONNECTION, "company", "Ready", "True").await;
    stage.cluster.apply(orders.clone()).await;
    refused("NamespaceNotAllowed").await;
    stage.cluster.apply(lent(&by_expression)).await;
    refused("NamespaceNotAllowed").await;
    // An organization that the credential sees and the connection does not lend; named before anything can be created.
    stage.cluster.apply(orders.clone().with("organizationSlug", "second")).await;
    let label = json!({"metadata": {"labels": {"tier": "b"}}});
    let namespace = stage.cluster.namespace.clone();
    stage.cluster.merge(NAMESPACE, &namespace, label).await;
    refused("OrganizationNotAllowed").await;
    stage.cluster.apply(orders.clone().with("organizationSlug", ORGANIZATION)).await;
    let ready = stage.cluster.wait_condition(PROJECT, "orders", "Ready", "True").await;
    let reference = ready["status"]["ref"].as_str().unwrap();
    let organization = stage.platform.world().project(reference).unwrap().organization.clone();
    assert_eq!(organization, ORGANIZATION);

    let label = json!({"metadata": {"labels": {"tier": null, "example.com/supabase": "allowed"}}});
    stage.cluster.merge(NAMESPACE, &namespace, label).await;
    let now = stage.platform.now();
    let existing = stage.platform.world().add_foreign_project(ORGANIZATION, "treasure", now);
    stage.cluster.apply(lent(&by_label).with("adoption", "Allowed")).await;
    let adoption = json!({"policy": "AdoptOnly", "ref": existing});
    let adopted = project("adopted").of_cluster_connection("company").with("adoption", adoption);
    // Its password is not known, so its outputs are without the database.
    stage.cluster.apply(adopted.called("treasure")).await;
    stage
        .cluster
        .wait_for(PROJECT, "adopted", "its ref", SOON, |object| {
            (object["status"]["ref"] == existing.as_str()).then_some(())
        })
        .await;
    stage.finish(vec![operator]).await;
}
