//! Single rules, by example.

use std::collections::BTreeSet;
use std::time::Duration;

use super::model::{INTERVAL, Manner, World};
use crate::api::Reason;
use crate::api::settings::{DriftReason, MOST_DRIFT};
use crate::rules::conditions::Truth;
use crate::rules::digest::DigestKey;
use crate::settings::{
    Declared, Digester, Group, Input, Memory, Policy, Reading, Unusable, Value, next_read, plan,
};

fn paths(world: &World) -> Vec<String> {
    world.writes.iter().map(crate::settings::Write::paths).collect()
}

#[test]
fn the_strictest_policy_counts() {
    use crate::api::settings::{DriftPolicy, ManagementPolicy};
    let full = Policy::of(false, ManagementPolicy::Full, DriftPolicy::Correct);
    let report = Policy::of(false, ManagementPolicy::Full, DriftPolicy::Report);
    let observe = Policy::of(false, ManagementPolicy::Observe, DriftPolicy::Correct);
    let suspend = Policy::of(true, ManagementPolicy::Full, DriftPolicy::Correct);
    assert_eq!(full.and(report), Policy::Report);
    assert_eq!(report.and(observe), Policy::Observe);
    assert_eq!(observe.and(suspend), Policy::Suspended);
    assert!(!observe.writes() && report.writes());
}

#[test]
fn writes_go_in_order_and_what_waits_for_another_goes_after_it() {
    let mut world = World::new(Policy::Correct);
    for path in ["a", "b", "mail", "limit", "list[x]"] {
        world.declared.insert(path, 1);
    }
    world.manners.insert("mail", Manner::Later);
    world.rest();
    assert_eq!(paths(&world), ["a, b", "mail", "list[x]", "limit"]);
}

#[test]
fn a_refusal_holds_back_nothing_else_and_is_laid_at_its_field() {
    let mut world = World::new(Policy::Correct);
    for path in ["a", "b", "mail", "limit"] {
        world.declared.insert(path, 1);
    }
    world.manners.insert("a", Manner::Refuses);
    world.manners.insert("mail", Manner::Refuses);
    let last = world.rest();
    assert!(world.in_force("b") && world.in_force("limit"));
    assert_eq!((last.synced.truth, last.synced.reason), (Truth::No, Reason::Refused));
    assert!(last.synced.message.starts_with("a, mail"), "{}", last.synced.message);
    assert!(last.blocked && !last.waiting);
    assert!(world.writes.len() <= 8, "{:?}", paths(&world));
    // Corrected, it is written at once.
    world.declared.insert("a", 2);
    world.manners.clear();
    world.settled = false;
    assert!(world.reconcile(false).write.is_some());
}

#[test]
fn an_entry_that_was_ours_is_taken_back_and_nothing_else_is() {
    let mut world = World::new(Policy::Correct);
    world.declared.extend([("a", 1), ("list[x]", 1)]);
    world.platform.insert("list[y]", 1);
    world.rest();
    world.declared.clear();
    let plan = world.reconcile(false);
    assert_eq!(plan.no_longer_managed, ["a"]);
    world.rest();
    assert_eq!(world.platform.get("a"), Some(&1));
    assert!(!world.platform.contains_key("list[x]"));
    assert_eq!(world.platform.get("list[y]"), Some(&1));
    assert!(world.applied.is_empty());
}

#[test]
fn reconciling_lasts_until_it_is_in_force_and_foreign_changes_do_not_bring_it_back() {
    let mut world = World::new(Policy::Correct);
    world.declared.insert("a", 1);
    world.manners.insert("a", Manner::Later);
    assert!(world.reconcile(false).waiting);
    let pending = world.reconcile(false);
    assert_eq!(pending.drift[0].reason, DriftReason::Pending);
    assert!(pending.waiting && pending.read_again <= Duration::from_secs(10));
    assert!(!world.rest().waiting);
    world.platform.insert("a", 7);
    let plan = world.reconcile(false);
    assert!(plan.write.is_some() && !plan.waiting);
    assert_eq!(plan.synced.truth, Truth::No);
}

#[test]
fn nothing_moves_while_suspended_and_nothing_is_forgotten_while_paused() {
    let mut world = World::new(Policy::Report);
    world.declared.insert("a", 1);
    world.rest();
    world.platform.insert("a", 7);
    let told = world.rest();
    assert_eq!(told.drift[0].reason, DriftReason::Reported);
    world.policy = Policy::Suspended;
    let frozen = world.reconcile(false);
    assert_eq!((frozen.synced.truth, frozen.synced.reason), (Truth::Unknown, Reason::Suspended));
    assert_eq!(frozen.drift, told.drift);

    world.policy = Policy::Report;
    let mut groups = world.groups();
    groups[0].reading = Reading::Inactive;
    let input = Input {
        groups: &groups,
        policy: Policy::Report,
        applied: &world.applied,
        drift: &world.drift,
        was_settled: false,
        asked: false,
        uid: "uid",
        interval: INTERVAL,
        now: world.now,
    };
    let paused = plan(&input, &mut Memory::default());
    assert_eq!(paused.drift, told.drift);
    assert!(!paused.waiting && paused.write.is_none());
    assert_eq!(paused.applied, world.applied);
}

#[test]
fn since_stays_while_it_lasts() {
    let mut world = World::new(Policy::Report);
    world.declared.insert("a", 1);
    world.rest();
    world.platform.insert("a", 7);
    let first = world.rest().drift[0].since.clone();
    world.now += jiff::SignedDuration::from_hours(1);
    world.platform.insert("a", 8);
    assert_eq!(world.rest().drift[0].since, first);
}

#[test]
fn a_record_of_another_key_is_no_edit() {
    let mut world = World::new(Policy::Report);
    world.declared.insert("a", 1);
    world.rest();
    world.platform.insert("a", 7);
    world.applied[0].digest = format!("00000000-00000000:{}", "0".repeat(64));
    world.writes.clear();
    world.rest();
    assert!(world.writes.is_empty());
    // From now on a change is seen again.
    world.declared.insert("a", 2);
    world.rest();
    assert!(world.in_force("a"));
}

#[test]
fn a_missing_secret_is_told_and_the_rest_goes_on() {
    let mut world = World::new(Policy::Correct);
    world.declared.extend([("a", 1), ("mail", 1)]);
    let mut groups = world.groups();
    let unusable = Unusable {
        reason: Reason::SecretMissing,
        path: "mail.password".to_owned(),
        words: "there is no Secret smtp".to_owned(),
    };
    groups[1] = Group::unusable("mail", 1, unusable);
    let input = Input {
        groups: &groups,
        policy: Policy::Correct,
        applied: &[],
        drift: &[],
        was_settled: false,
        asked: false,
        uid: "uid",
        interval: INTERVAL,
        now: world.now,
    };
    let plan = plan(&input, &mut Memory::default());
    assert!(plan.write.is_some_and(|write| write.sets("a")));
    assert_eq!(plan.synced.reason, Reason::SecretMissing);
    assert!(plan.blocked && plan.synced.message.contains("mail.password"));
}

#[test]
fn the_status_stays_small_and_tells_the_number() {
    let key = DigestKey::from_bytes(&[7; 32]).unwrap();
    let digester = Digester { key: &key, uid: "uid", reference: None };
    let groups: Vec<_> = (0..128)
        .map(|number| {
            let path = format!("database.parameters[{number:0>64}]");
            let value = |letter: &str| Value::Text(letter.repeat(2000));
            let fields = vec![(path.clone(), Declared::Plain(value("\"")))];
            let values = [(path.clone(), value("é"))].into();
            digester.group(&path, 0, fields, Reading::Seen { values, settled: true })
        })
        .collect();
    let input = Input {
        groups: &groups,
        policy: Policy::Correct,
        applied: &[],
        drift: &[],
        was_settled: false,
        asked: false,
        uid: "uid",
        interval: INTERVAL,
        now: "2026-01-01T00:00:00.123Z".parse().unwrap(),
    };
    let plan = plan(&input, &mut Memory::default());
    assert_eq!((plan.drift.len(), plan.drift_count), (MOST_DRIFT, Some(128)));
    let mut applied = plan.applied;
    plan.write.unwrap().record(&mut applied);
    assert_eq!(applied.len(), 128);
    let bytes = serde_json::to_vec(&(&applied, &plan.drift)).unwrap().len();
    // The rest of a status has conditions, outputs and create calls: less than 16 KiB.
    assert!(bytes <= 48 * 1024, "{bytes}");
    assert!(plan.synced.message.len() < 1024 && plan.synced.message.contains("and 125 more"));
}

#[test]
fn reads_of_many_objects_spread_over_the_interval() {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let waits: Vec<_> = (0..1000).map(|n| next_read(now, INTERVAL, &format!("uid-{n}"))).collect();
    let fits = |wait: &Duration| *wait >= INTERVAL / 4 && *wait <= INTERVAL * 5 / 4;
    assert!(waits.iter().all(fits));
    let places: BTreeSet<_> = waits.iter().map(|wait| wait.as_secs() % 600 / 60).collect();
    assert_eq!(places.len(), 10);
    for tenth in places {
        let here = waits.iter().filter(|wait| wait.as_secs() % 600 / 60 == tenth).count();
        assert!((50..=160).contains(&here), "{here}");
    }
}

#[test]
fn no_secret_shows_in_anything_that_is_kept_or_printed() {
    let mut world = World::new(Policy::Correct);
    world.declared.insert("mail", 1);
    world.platform_secret = Some("other".to_owned());
    let plan = world.reconcile(false);
    let text = format!("{plan:?}{:?}{:?}", world.memory, world.groups().len());
    assert!(!text.contains("canary"), "{text}");
    let entry = plan.drift.iter().find(|entry| entry.path == "mail.password").unwrap();
    assert_eq!((entry.desired.as_str(), entry.observed.as_str()), ("(set)", "(another value)"));
}
