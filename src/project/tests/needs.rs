//! What is read for a decision, and in which order.

use super::*;
use crate::project::decide::needs;

/// Everything that is read, where `answer` puts into the observation what each read brings.
fn reads(
    project: &SupabaseProject,
    mut observed: Observed,
    answer: impl Fn(&Read, &mut Observed),
) -> Vec<String> {
    observed.connected = true;
    while let Some(read) = needs(project, &observed, now()) {
        assert!(!observed.done.contains(&read), "{read:?} is read twice");
        observed.done.push(read.clone());
        answer(&read, &mut observed);
    }
    let name = |read: &Read| {
        let text = format!("{read:?}");
        let end = text.find([' ', '(']).unwrap_or(text.len());
        text[..end].to_owned()
    };
    observed.done.iter().map(name).collect()
}

/// Nothing is known yet.
fn blank() -> Observed {
    Observed { listing: None, password: FoundPassword::Missing, ..observed() }
}

fn empty(listing: &mut Observed) {
    listing.listing = self::listing(Vec::new()).listing;
}

#[test]
fn a_new_object_needs_no_more_than_a_list_of_the_last_minute() {
    let recent = |read: &Read, observed: &mut Observed| {
        if matches!(read, Read::RecentList { .. }) {
            empty(observed);
        }
    };
    assert_eq!(reads(&plain(), blank(), recent), ["Connection", "RecentList"]);
    // There is none, or the wanted name was given away since.
    let none = |read: &Read, observed: &mut Observed| {
        if matches!(read, Read::WholeList { .. }) {
            empty(observed);
        }
    };
    assert_eq!(reads(&plain(), blank(), none), ["Connection", "RecentList", "WholeList"]);
    let given = |read: &Read, observed: &mut Observed| {
        recent(read, observed);
        observed.name_given = true;
    };
    assert_eq!(reads(&plain(), blank(), given), ["Connection", "RecentList", "WholeList"]);
}

#[test]
fn what_stands_on_a_recent_list_is_looked_at_on_a_fresh_one_and_in_the_secret() {
    let found = |read: &Read, observed: &mut Observed| {
        if matches!(read, Read::RecentList { .. } | Read::WholeList { .. }) {
            observed.listing = listing(vec![listed(OTHER, "team-a-orders")]).listing;
        }
    };
    let all = ["Connection", "RecentList", "WholeList", "Password"];
    assert_eq!(reads(&plain(), blank(), found), all);
}

#[test]
fn after_an_attempt_the_password_is_read_and_only_a_fresh_list_counts() {
    let open = with(plain(), tried(vec![attempt(AttemptOutcome::Pending, ago(1))]));
    let read = reads(&open, blank(), |_, _| {});
    assert_eq!(read, ["Connection", "Password", "WholeList"]);
    let mine = |_: &Read, observed: &mut Observed| {
        observed.listing = listing(vec![listed(REF, "team-a-orders-nnnnnnnnnn")]).listing;
    };
    let read = reads(&open, blank(), mine);
    assert_eq!(read, ["Connection", "Password", "WholeList", "Holder"]);
}

#[test]
fn a_secret_that_stood_in_the_way_is_read_before_the_list() {
    let mut observed = blank();
    observed.memo.in_the_way = true;
    let foreign = |read: &Read, observed: &mut Observed| {
        if *read == Read::Password {
            let kept = Kept { belonging: Belonging::Foreign, ..kept() };
            observed.password = FoundPassword::There(kept);
        }
    };
    let read = reads(&plain(), observed, foreign);
    assert_eq!(read, ["Connection", "Password", "WholeList"]);
}

#[test]
fn nothing_is_read_for_what_is_held_off_suspended_or_without_a_session() {
    let held = Observed { hold_off: Some(Duration::from_secs(1)), ..blank() };
    assert_eq!(reads(&plain(), held, |_, _| {}), ["Connection"]);
    let suspended = project(json!({"suspend": true}));
    assert!(reads(&suspended, blank(), |_, _| {}).is_empty());
    let alone = |_: &Read, observed: &mut Observed| observed.connected = false;
    assert_eq!(reads(&plain(), blank(), alone), ["Connection"]);
    // What is retained goes without a look.
    assert!(reads(&deleted(with(plain(), created())), blank(), |_, _| {}).is_empty());
}

#[test]
#[expect(clippy::wildcard_enum_match_arm, reason = "the others bring nothing")]
fn a_project_that_can_be_used_is_asked_for_what_is_due_in_this_order() {
    let active = |read: &Read, observed: &mut Observed| match read {
        Read::Presence { .. } => {
            observed.presence = seen("team-a-orders", Status::ActiveHealthy).presence;
        }
        Read::Password => observed.password = FoundPassword::There(kept()),
        Read::Outputs => observed.keys_due = true,
        Read::Health(_) => {
            let service = Service::Auth;
            observed.health =
                Some(Ok(vec![ServiceHealth { service, state: ServiceState::Healthy }]));
        }
        _ => {}
    };
    let project = with(plain(), created());
    let all = ["Connection", "Presence", "Password", "Outputs", "Health", "Settings", "Keys"];
    assert_eq!(reads(&project, blank(), active), all);
    // The name comes first, and a project on its way is not asked at all.
    let named = |name: &'static str, status: Status| {
        move |read: &Read, observed: &mut Observed| {
            if matches!(read, Read::Presence { .. }) {
                observed.presence = seen(name, status.clone()).presence;
            }
        }
    };
    for answer in
        [("team-a-orders-nnnnnnnnnn", Status::ActiveHealthy), ("team-a-orders", Status::ComingUp)]
    {
        let read = reads(&project, blank(), named(answer.0, answer.1));
        assert_eq!(read, ["Connection", "Presence"]);
    }
    // As long as its services come up, nothing else is asked for.
    let coming = |read: &Read, observed: &mut Observed| {
        active(read, observed);
        if matches!(read, Read::Health(_)) {
            observed.health = Some(Err(Error::NotFound));
        }
    };
    let mut young = created();
    young.creation.as_mut().unwrap().attempts[0].listed_at = Time(ago(30));
    let read = reads(&with(plain(), young), blank(), coming);
    assert_eq!(read, ["Connection", "Presence", "Password", "Outputs", "Health"]);
}

#[test]
fn a_project_that_is_absent_or_to_be_deleted_is_asked_by_its_ref() {
    let absent = |read: &Read, observed: &mut Observed| {
        if matches!(read, Read::Presence { .. }) {
            observed.presence = ABSENT;
        }
    };
    let read = reads(&with(plain(), created()), blank(), absent);
    assert_eq!(read, ["Connection", "Presence", "Project"]);
    let gone = |read: &Read, observed: &mut Observed| {
        if matches!(read, Read::Project(_)) {
            observed.itself = Some(Err(Error::NotFound));
        }
    };
    let delete = deleted(with(project(json!({"deletionPolicy": "Delete"})), created()));
    assert_eq!(reads(&delete, blank(), gone), ["Connection", "Project", "WholeList"]);
    let accepted = Observed { delete_accepted: Some(Duration::ZERO), ..blank() };
    assert_eq!(reads(&delete, accepted, gone), ["Connection", "Project"]);
}
