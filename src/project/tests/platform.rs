//! What the platform does to a project that lives: it is gone, paused, falls back asleep, or its lists cannot be read.

use super::*;
use crate::api::{Endpoint, Output, OutputValue};
use crate::inventory::Unreadable;
use crate::outputs::{Database, Keys};

fn at_generation(mut status: ProjectStatus) -> ProjectStatus {
    status.observed_generation = Some(3);
    status
}

/// Created half a minute ago, and seen since.
fn young_and_seen() -> ProjectStatus {
    let mut status = created();
    status.creation.as_mut().unwrap().attempts[0].listed_at = Time(ago(30));
    status.remote_status = Some("COMING_UP".into());
    status
}

#[test]
fn what_was_seen_once_and_is_gone_by_its_own_answer_is_deleted_at_once() {
    for (itself, seen_before, reason) in [
        (Err(Error::NotFound), true, "RemoteDeleted"),
        (Err(Error::Removed), true, "RemoteDeleted"),
        (Err(Error::NotFound), false, "Provisioning"),
        (Err(Error::Unauthorized), true, "Provisioning"),
        (Err(Error::TimedOut { sent: crate::management::Sent::Perhaps }), true, "Provisioning"),
    ] {
        let mut status = young_and_seen();
        status.remote_status = status.remote_status.filter(|_| seen_before);
        let gone = Observed { presence: super::ABSENT, itself: Some(itself.clone()), ..observed() };
        let decision = run(&with(plain(), status), &gone);
        assert_eq!(ready(&decision), ("False", reason), "{itself:?} {seen_before}");
        assert_eq!(decision.step, None);
    }
}

#[test]
fn a_young_project_that_is_gone_does_not_hold_up_its_own_deletion() {
    let deleting = project(json!({"deletionPolicy": "Delete"}));
    let gone = Observed { itself: Some(Err(Error::NotFound)), ..observed() };
    let decision = run(&deleted(with(deleting.clone(), young_and_seen())), &gone);
    assert_eq!(decision.step, Some(Step::Release(Release::Remove)));
    let mut never_seen = young_and_seen();
    never_seen.remote_status = None;
    let decision = run(&deleted(with(deleting, never_seen)), &gone);
    assert_eq!(decision.step, None);
}

#[test]
fn a_pause_that_the_spec_asks_for_is_ready() {
    let paused = with(project(json!({"powerState": "Paused"})), at_generation(created()));
    let decision = run(&paused, &seen("team-a-orders", Status::Inactive));
    assert_eq!((ready(&decision), &decision.step), (("True", "Paused"), &None));
    assert_eq!(condition(&decision, "Stalled"), None);
    assert_eq!(condition(&decision, "Reconciling"), None);
    assert_eq!(decision.status.observed_generation, Some(3));
}

#[test]
fn waking_is_tried_a_few_times_and_anew_after_an_edit_or_a_request() {
    let running = |restores| {
        let status = ProjectStatus { restores, ..at_generation(created()) };
        with(project(json!({"powerState": "Running"})), status)
    };
    let asleep = || seen("team-a-orders", Status::Inactive);
    for tries in [None, Some(1), Some(2)] {
        assert_eq!(run(&running(tries), &asleep()).step, Some(Step::Restore));
    }
    let decision = run(&running(Some(3)), &asleep());
    assert_eq!((ready(&decision), &decision.step), (("False", "RemoteFailed"), &None));
    let stalled = conditions::find(&decision.status.conditions, "Stalled").unwrap();
    assert!(stalled.message.contains("3 times"), "{}", stalled.message);

    let mut edited = running(Some(3));
    edited.metadata.generation = Some(4);
    let decision = run(&edited, &asleep());
    assert_eq!((decision.step, decision.status.restores), (Some(Step::Restore), None));
    let asked = Observed { requested: Some("now".into()), ..asleep() };
    assert_eq!(run(&running(Some(3)), &asked).step, Some(Step::Restore));
    // What became active begins anew the next time it is paused.
    let awake = seen("team-a-orders", Status::ActiveHealthy);
    assert_eq!(run(&running(Some(3)), &awake).status.restores, None);
}

#[test]
fn a_list_that_fails_is_told_and_changes_nobodys_ready() {
    let mut status = at_generation(created());
    status.remote_status = Some("ACTIVE_HEALTHY".into());
    conditions::set(&mut status.conditions, "Ready", Truth::Yes, "Available", "", Some(3), now());
    let synced = |decision: &Decision<Step, ProjectStatus>| {
        let synced = conditions::find(&decision.status.conditions, "Synced");
        synced.map(|synced| (synced.status.clone(), synced.reason.clone()))
    };
    let trouble = Error::Rejected { status: 406, because: Rejection::Unknown };
    for presence in [Presence::Unknown, seen("team-a-orders", Status::Inactive).presence] {
        let failing = Observed {
            presence: presence.clone(),
            list_trouble: Some(trouble.clone()),
            ..observed()
        };
        let told = run(&with(plain(), status.clone()), &failing);
        assert_eq!(synced(&told).unwrap().0, "Unknown");
        let mended = Observed { presence: presence.clone(), list_trouble: None, ..observed() };
        if presence == Presence::Unknown {
            assert_eq!(ready(&told).0, "True");
        } else {
            let after = run(&with(plain(), told.status), &mended);
            assert_eq!(synced(&after), None);
        }
    }
}

fn odd(reference: Option<&str>, created_at: Option<Timestamp>) -> Unreadable {
    Unreadable {
        number: 7,
        reference: reference.map(|text| text.parse().unwrap()),
        created_at,
        known_since: None,
    }
}

fn with_odd(entry: Unreadable) -> Observed {
    let mut observed = listing(vec![listed(OTHER, "something-else")]);
    if let Some(Ok(listing)) = &mut observed.listing {
        Arc::make_mut(&mut listing.unreadable).push(entry);
    }
    observed
}

#[test]
fn an_entry_that_cannot_be_read_blocks_nothing_before_the_first_attempt() {
    for entry in [odd(None, None), odd(Some(REF), Some(now()))] {
        let decision = run(&plain(), &with_odd(entry));
        assert!(matches!(decision.step, Some(Step::Create(_))), "{decision:?}");
    }
}

#[test]
fn after_an_attempt_only_a_new_one_keeps_the_look_up_open_and_is_named() {
    let age = 10_000;
    let lost = || with(plain(), tried(vec![attempt(AttemptOutcome::Pending, ago(age))]));
    let old = odd(Some(REF), Some(ago(age + 1)));
    let known = Unreadable { known_since: Some(ago(age)), ..odd(Some(REF), None) };
    for entry in [old, known] {
        let decision = run(&lost(), &with_odd(entry));
        assert!(matches!(decision.step, Some(Step::Create(_))));
    }
    for entry in [odd(None, None), odd(Some(REF), Some(ago(age)))] {
        let decision = run(&lost(), &with_odd(entry.clone()));
        assert_eq!((ready(&decision), &decision.step), (("False", "AmbiguousCreate"), &None));
        let told = conditions::find(&decision.status.conditions, "Ready").unwrap();
        assert!(told.message.contains("entry 7"), "{}", told.message);
        assert!(!told.message.contains(REF), "{}", told.message);

        let leaving = deleted(lost());
        let decision = run(&leaving, &with_odd(entry.clone()));
        assert_eq!(decision.step, Some(Step::Release(Release::LeaveAlone)));
        let mut leaving = leaving;
        leaving.spec.deletion_policy = crate::api::project::DeletionPolicy::Delete;
        let decision = run(&leaving, &with_odd(entry));
        assert_eq!(
            (condition(&decision, "DeletionBlocked"), &decision.step),
            (Some("AmbiguousCreate"), &None)
        );
    }
}

#[test]
fn an_entry_that_cannot_be_read_is_no_absence_of_what_is_adopted_or_deleted() {
    let adopting = project(json!({"adoption": {"policy": "AdoptOnly", "ref": REF}}));
    let decision = run(&adopting, &with_odd(odd(Some(REF), None)));
    let told = conditions::find(&decision.status.conditions, "Ready").unwrap();
    assert!(told.message.contains("entry 7"), "{}", told.message);

    let deleting = deleted(with(project(json!({"deletionPolicy": "Delete"})), created()));
    for entry in [odd(Some(REF), None), odd(None, None)] {
        let gone = Observed { itself: Some(Err(Error::NotFound)), ..with_odd(entry) };
        let decision = run(&deleting, &gone);
        assert_eq!(condition(&decision, "DeletionBlocked"), Some("RemoteNotVisible"));
    }
    let gone = Observed {
        itself: Some(Err(Error::NotFound)),
        ..with_odd(odd(Some("zzzzzzzzzzzzzzzzzzzz"), None))
    };
    assert_eq!(run(&deleting, &gone).step, Some(Step::Release(Release::Remove)));
}

fn reading(lacking: Vec<Lacking>) -> Reading {
    let pooler = |endpoint, port| Database {
        endpoint,
        host: "pooler.example".into(),
        port,
        user: "postgres.x".into(),
        name: "postgres".into(),
    };
    Reading {
        facts: Facts {
            reference: REF.into(),
            keys: Keys { publishable: Some("sb_publishable_x".into()), ..Keys::default() },
            databases: vec![pooler(Endpoint::SessionPooler, 5432)],
            password: None,
            authorities: None,
        },
        lacking,
        no_keys: false,
        trouble: None,
        postgres_version: None,
    }
}

#[test]
fn only_outputs_that_need_what_is_missing_wait_and_never_for_what_is_forbidden() {
    let including =
        |values: &[OutputValue]| Output { include: Some(values.to_vec()), ..Output::named("out") };
    let needs_secret = including(&[OutputValue::SecretKey]);
    let needs_database = including(&[OutputValue::DatabaseURI]);
    let missing = reading(Vec::new());
    assert!(missing.is_waiting(&needs_secret) && !missing.is_waiting(&needs_database));
    let forbidden = reading(vec![Lacking {
        source: Source::SecretKeys,
        permissions: vec!["api_gateway_keys_secret_read".into()],
    }]);
    assert!(!forbidden.is_waiting(&needs_secret) && !forbidden.is_waiting(&needs_database));
    let direct = Output { endpoint: Endpoint::Direct, ..needs_database };
    assert!(forbidden.is_waiting(&direct));

    // An output of each kind: what can be written is written, while the services are waited for.
    let mut project = with(plain(), at_generation(created()));
    let status = project.status.as_mut().unwrap();
    status.remote_status = Some("ACTIVE_HEALTHY".into());
    status.remote_status_since = Some(Time(ago(10)));
    let wanted = |output: &Output| Wanted {
        output: output.clone(),
        found: None,
        writable: true,
        current: false,
        rolls: false,
        renewed: None,
    };
    let run_with = |outputs: &[&Output]| {
        let observed = Observed {
            reading: Some(Ok(reading(Vec::new()))),
            wanted: outputs.iter().map(|output| wanted(output)).collect(),
            ..seen("team-a-orders", Status::ActiveHealthy)
        };
        run(&project, &observed)
    };
    let decision = run_with(&[&needs_secret, &including(&[OutputValue::DatabaseURI])]);
    assert_eq!(decision.step, Some(Step::WriteOutputs));
    assert_eq!(decision.requeue, Requeue::After(Duration::from_secs(5)));
    let decision = run_with(&[&needs_secret]);
    assert_eq!((ready(&decision), &decision.step), (("False", "WaitingForServices"), &None));
}
