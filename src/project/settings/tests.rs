//! From a spec and answers to what is sent, for all blocks together.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Answers, Block, call, groups, notes};
use crate::api::settings::{Applied, DriftReason};
use crate::api::{Reason, SupabaseProjectSpec};
use crate::management::{
    DataApi, Endpoint, NetworkRestrictions, ProjectRef, Setting, Settings, SslEnforcement,
};
use crate::rules::digest::DigestKey;
use crate::settings::{Digester, Input, Memory, Plan, Policy, plan};

fn spec(database: impl Into<Json>, api: impl Into<Json>) -> SupabaseProjectSpec {
    let (database, api) = (database.into(), api.into());
    let mut spec =
        json!({"connectionRef": {"name": "acme"}, "region": "eu-central-1", "database": database});
    if !api.is_null() {
        spec["dataAPI"] = api;
    }
    serde_json::from_value(spec).unwrap()
}

fn reference() -> ProjectRef {
    "abcdefghijklmnopqrst".parse().unwrap()
}

/// An untouched project.
fn untouched() -> Answers {
    Answers {
        restrictions: Ok(NetworkRestrictions {
            entitled: true,
            networks: vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()],
            applied: true,
        }),
        ssl: Ok(SslEnforcement { enforced: false, applied: true }),
        parameters: Ok(Settings::new()),
        data_api: Ok(DataApi {
            schemas: "public,graphql_public".to_owned(),
            extra_search_path: "public, extensions".to_owned(),
            max_rows: Some(1000),
            pool_size: None,
            pool_acquisition_timeout: None,
        }),
    }
}

fn planned(spec: &SupabaseProjectSpec, answers: &Answers, applied: &[Applied]) -> Plan {
    let key = DigestKey::from_bytes(&[7; 32]).unwrap();
    let digester = Digester { key: &key, uid: "uid", reference: None };
    let groups = groups(spec, answers, applied, digester);
    let input = Input {
        groups: &groups,
        policy: Policy::Correct,
        applied,
        drift: &[],
        was_settled: false,
        asked: false,
        uid: "uid",
        interval: Duration::from_secs(600),
        now: "2026-01-01T00:00:00Z".parse().unwrap(),
    };
    plan(&input, &mut Memory::default())
}

fn ours(path: &str) -> Applied {
    Applied { path: path.to_owned(), digest: "00000000-00000000:0".to_owned() }
}

/// Parameters count in 64 bits.
#[test]
fn a_parameter_may_be_as_large_as_postgres_takes_it() {
    let large =
        json!({"parameters": {"effective_cache_size": 8_589_934_592_i64, "work_mem": "4MB"}});
    let parsed: crate::api::project::Database = serde_json::from_value(large.clone()).unwrap();
    let kept = serde_json::to_value(&parsed).unwrap();
    assert_eq!(kept["parameters"], large["parameters"]);
}

#[test]
fn what_equals_an_untouched_project_is_not_written() {
    let database = json!({"sslEnforcement": false, "networkRestrictions": {"allowedCIDRs": ["::/0", "0.0.0.0/0"]}});
    let api = json!({"schemas": ["public", "graphql_public"], "extraSearchPath": ["public", "extensions"], "maxRows": 1000});
    let plan = planned(&spec(database, api), &untouched(), &[]);
    assert!(plan.write.is_none() && plan.drift.is_empty(), "{plan:#?}");
    assert_eq!(plan.applied.len(), 3);
}

#[test]
fn each_block_is_written_by_its_own_request_and_doors_are_closed_first() {
    let database = json!({"sslEnforcement": true, "networkRestrictions": {"allowedCIDRs": ["203.0.113.7/24"]},
        "parameters": {"work_mem": "8MB", "max_connections": 120}});
    let spec = spec(database, json!({"schemas": ["public"]}));
    let mut answers = untouched();
    let mut endpoints = Vec::new();
    while let Some(write) = planned(&spec, &answers, &[]).write {
        let call = call(&spec, &answers, &write, &reference()).unwrap();
        endpoints.push(call.endpoint());
        let endpoint = call.endpoint();
        if endpoint == Endpoint::RestrictNetworks {
            answers.restrictions.as_mut().unwrap().networks = vec!["203.0.113.0/24".to_owned()];
        } else if endpoint == Endpoint::SetSslEnforcement {
            answers.ssl.as_mut().unwrap().enforced = true;
        } else if endpoint == Endpoint::ReplaceParameters {
            let set = answers.parameters.as_mut().unwrap();
            set.insert("work_mem".to_owned(), Setting::Text("8192kB".to_owned()));
            set.insert("max_connections".to_owned(), Setting::Number(120));
        } else {
            answers.data_api.as_mut().unwrap().schemas = "public".to_owned();
        }
    }
    let expected = [
        Endpoint::RestrictNetworks,
        Endpoint::SetSslEnforcement,
        Endpoint::ReplaceParameters,
        Endpoint::ChangeDataApi,
    ];
    assert_eq!(endpoints, expected);
    assert!(notes(&spec).unwrap().contains("no IPv6 network"));
}

#[test]
fn what_is_stored_but_not_applied_is_followed_and_not_sent_again() {
    let networks = json!({"networkRestrictions": {"allowedCIDRs": ["203.0.113.0/24"]}});
    let mut answers = untouched();
    let seen = answers.restrictions.as_mut().unwrap();
    seen.networks = vec!["203.0.113.0/24".to_owned()];
    seen.applied = false;
    let plan = planned(&spec(networks, Json::Null), &answers, &[]);
    assert!(plan.write.is_none() && plan.waiting);
    assert_eq!(plan.drift[0].reason, DriftReason::Pending);
}

#[test]
fn a_parameter_that_was_ours_is_left_out_and_foreign_ones_are_sent_as_they_were() {
    let spec = spec(json!({}), Json::Null);
    let applied = [ours("database.parameters[work_mem]")];
    assert!(Block::Parameters.is_wanted(&spec, &applied));
    assert!(!Block::Parameters.is_wanted(&spec, &[]));
    let mut answers = untouched();
    let text = |text: &str| Setting::Text(text.to_owned());
    let set = Settings::from([
        ("work_mem".to_owned(), text("8MB")),
        ("statement_timeout".to_owned(), text("9s")),
    ]);
    answers.parameters = Ok(set);
    let plan = planned(&spec, &answers, &applied);
    let write = plan.write.unwrap();
    assert!(write.groups[0].take_back);
    assert!(call(&spec, &answers, &write, &reference()).is_some());
    let mut kept = applied.to_vec();
    write.record(&mut kept);
    assert!(kept.is_empty());
}

#[test]
fn what_cannot_be_sent_is_told_by_its_place_and_holds_back_nothing_else() {
    let database =
        json!({"sslEnforcement": true, "parameters": {"work_memory": "8MB", "max_connections": 0}});
    let plan = planned(&spec(database, Json::Null), &untouched(), &[]);
    assert_eq!(plan.synced.reason, Reason::InvalidSpec);
    assert!(plan.synced.message.contains("database.parameters["), "{}", plan.synced.message);
    assert!(plan.write.unwrap().sets("database.sslEnforcement"));
}

#[test]
fn a_data_api_that_is_off_needs_schemas() {
    let mut answers = untouched();
    answers.data_api.as_mut().unwrap().schemas = String::new();
    let plan = |api: Json, answers: &Answers| planned(&spec(json!({}), api), answers, &[]);
    let lacking = plan(json!({"maxRows": 5}), &answers);
    assert!(lacking.write.is_none() && lacking.synced.message.contains("dataAPI.schemas"));
    assert!(plan(json!({"enabled": false}), &answers).write.is_none());
    assert!(plan(json!({"schemas": ["public"]}), &answers).write.is_some());
    assert!(plan(json!({"enabled": false}), &untouched()).write.is_some());
}
