//! Walks over every start: what must hold at the end of each.

use proptest::prelude::*;

use super::model::{GROUPS, Manner, World};
use crate::api::settings::{Drift, DriftReason};
use crate::settings::Policy;

fn manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        4 => Just(Manner::Takes),
        1 => Just(Manner::Later),
        1 => Just(Manner::Refuses),
        1 => Just(Manner::Fights),
    ]
}

prop_compose! {
    /// Any declaration on any platform, under any policy, after any past.
    fn world()(
        declared in proptest::collection::vec(proptest::option::of(0_i64..3), GROUPS.len()),
        platform in proptest::collection::vec(proptest::option::of(0_i64..3), GROUPS.len()),
        past in proptest::collection::vec(proptest::option::of(0_i64..3), GROUPS.len()),
        manners in proptest::collection::vec(manner(), GROUPS.len()),
        masks in any::<bool>(),
        secret in proptest::option::of("[ab]"),
        correct in any::<bool>(),
    ) -> World {
        // What was there before, by a platform that takes everything.
        let mut world = World::new(Policy::Correct);
        world.masks = masks;
        for ((path, ..), value) in GROUPS.iter().zip(past) {
            world.declared.extend(value.map(|value| (*path, value)));
        }
        world.rest();
        world.declared.clear();
        for (((path, ..), value), (there, manner)) in
            GROUPS.iter().zip(declared).zip(platform.into_iter().zip(manners))
        {
            world.declared.extend(value.map(|value| (*path, value)));
            world.platform.extend(there.map(|there| (*path, there)));
            world.manners.insert(path, manner);
        }
        world.platform_secret = secret;
        world.policy = if correct { Policy::Correct } else { Policy::Report };
        world.settled = false;
        world.writes.clear();
        world.secrets_sent = 0;
        world
    }
}

fn names(drift: &[Drift], path: &str) -> bool {
    drift.iter().any(|entry| entry.path == path || entry.path.starts_with(&format!("{path}.")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_walk_ends_as_declared_or_names_what_is_not(mut world in world(), crash in 0_usize..12) {
        for step in 0..12 {
            world.reconcile(step == crash);
        }
        let last = world.rest();
        for (path, ..) in GROUPS {
            if world.declared.contains_key(path) && !world.in_force(path) {
                // A masked secret that was never ours to change cannot be told from ours.
                let unknowable = path == "mail" && world.masks
                    && world.platform.get(path) == world.declared.get(path);
                prop_assert!(names(&last.drift, path) || unknowable, "{path}: {last:#?} {world:#?}");
            }
        }
        let clean = last.drift.is_empty();
        prop_assert_eq!(clean, last.synced.truth == crate::rules::conditions::Truth::Yes);
        prop_assert_eq!(last.drift_count.unwrap_or_default(), i64::try_from(last.drift.len()).unwrap());
        prop_assert!(!last.waiting);
        // One write of each group, one more for a crash, one by one after a refusal, three corrections.
        prop_assert!(world.writes.len() <= 24, "{:#?}", world.writes);
    }

    #[test]
    fn who_only_observes_writes_nothing(mut world in world()) {
        world.policy = Policy::Observe;
        let before = world.platform.clone();
        for _ in 0..6 {
            let plan = world.reconcile(false);
            prop_assert!(plan.write.is_none() && !plan.waiting);
        }
        prop_assert_eq!(before, world.platform);
    }

    #[test]
    fn who_reports_writes_changes_of_the_spec_only_and_once(
        mut world in world(),
        foreign in proptest::collection::vec((0..GROUPS.len(), 5_i64..9), 1..6),
        edit in (0..GROUPS.len(), 10_i64..12),
    ) {
        world.policy = Policy::Report;
        world.manners.clear();
        world.rest();
        world.writes.clear();
        for (index, value) in foreign {
            world.platform.insert(GROUPS[index].0, value);
            world.rest();
        }
        prop_assert!(world.writes.is_empty(), "{:#?}", world.writes);
        let (index, value) = edit;
        let path = GROUPS[index].0;
        world.declared.insert(path, value);
        world.settled = false;
        world.rest();
        let sets = world.writes.iter().filter(|write| write.sets(path)).count();
        prop_assert_eq!((sets, world.writes.len()), (1, 1));
        prop_assert!(world.in_force(path));
    }

    #[test]
    fn a_secret_is_sent_at_most_once_more_after_a_crash(masks in any::<bool>(), crash in 0_usize..4) {
        let mut world = World::new(Policy::Correct);
        world.masks = masks;
        world.declared.insert("mail", 1);
        for step in 0..6 {
            world.reconcile(step == crash);
        }
        world.rest();
        prop_assert!(world.in_force("mail"));
        prop_assert!((1..=2).contains(&world.secrets_sent), "{}", world.secrets_sent);
        // A new process alone sends nothing.
        let sent = world.secrets_sent;
        world.memory = crate::settings::Memory::default();
        world.rest();
        prop_assert_eq!(world.secrets_sent, sent);
    }

    #[test]
    fn what_does_not_hold_is_left_after_three_corrections(path in 0..GROUPS.len(), restart in any::<bool>()) {
        let (path, ..) = GROUPS[path];
        let mut world = World::new(Policy::Correct);
        world.declared.insert(path, 1);
        world.manners.insert(path, Manner::Fights);
        let last = world.rest();
        prop_assert_eq!(world.writes.len(), 4);
        prop_assert_eq!(last.drift[0].reason, DriftReason::NotHolding);
        if restart {
            world.memory = crate::settings::Memory::default();
        }
        world.now += jiff::SignedDuration::from_hours(48);
        world.rest();
        prop_assert_eq!(world.writes.len(), 4);
        // Somebody asks for a reconcile.
        prop_assert!(world.plan(true).write.is_some());
        // Or the spec changes, and the other one gives in.
        world.declared.insert(path, 2);
        world.manners.clear();
        world.rest();
        prop_assert!(world.in_force(path));
    }
}
