//! The rows of the tables in `decide`, one by one. The protocol as a whole is played through elsewhere, on the
//! simulated platform with crashes at every effect.

mod needs;
mod platform;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::decide::Draft;
use super::decide::{GRACE, decide};
use super::facts::*;
use super::memory::Memo;
use super::step::*;
use crate::api::project::{Attempt, AttemptOutcome, Creation, Credentials, PasswordOrigin};
use crate::api::{ConditionType, ProjectStatus, Reason, SupabaseProject};
use crate::controller::{Decision, Inputs, Requeue, Trouble, translate};
use crate::management::{
    Error, ListedProject, Rejection, Service, ServiceHealth, ServiceState, Status,
};
use crate::outputs::{Belonging, Facts};
use crate::rules::conditions::{self, Truth};
use crate::rules::random::Random;

const REF: &str = "abcdefghijklmnopqrst";
const OTHER: &str = "tsrqponmlkjihgfedcba";
const DEADLINE: Duration = Duration::from_secs(60);
const ABSENT: Presence = Presence::Absent { since: Duration::ZERO };

#[derive(Debug)]
struct Zeros;

impl Random for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn ago(seconds: u64) -> Timestamp {
    now() - SignedDuration::from_secs(i64::try_from(seconds).unwrap())
}

#[expect(clippy::needless_pass_by_value, reason = "json! makes values")]
fn project(spec: Value) -> SupabaseProject {
    let mut all = json!({"connectionRef": {"name": "acme"}, "region": "eu-central-1"});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "supabase-operator.dev/v1alpha1",
        "kind": "SupabaseProject",
        "metadata": {"name": "orders", "namespace": "team-a", "uid": "u1", "generation": 3},
        "spec": all,
    }))
    .unwrap()
}

fn plain() -> SupabaseProject {
    project(json!({}))
}

fn deleted(mut project: SupabaseProject) -> SupabaseProject {
    project.metadata.deletion_timestamp = Some(Time(now()));
    project
}

fn with(mut project: SupabaseProject, status: ProjectStatus) -> SupabaseProject {
    project.status = Some(status);
    project
}

fn attempt(outcome: AttemptOutcome, listed_at: Timestamp) -> Attempt {
    Attempt {
        number: 1,
        organization_slug: "acme".into(),
        region: Some("eu-central-1".into()),
        region_group: None,
        size: None,
        listed_at: Time(listed_at),
        deadline_seconds: i64::try_from(DEADLINE.as_secs()).unwrap(),
        password_digest: "d1".into(),
        process: "p1".into(),
        outcome,
        http_status: None,
    }
}

fn tried(attempts: Vec<Attempt>) -> ProjectStatus {
    let mut creation = Creation { name: "team-a-orders-nnnnnnnnnn".into(), attempts, room: None };
    creation.keep_room();
    ProjectStatus {
        organization_slug: Some("acme".into()),
        creation: Some(creation),
        ..ProjectStatus::default()
    }
}

fn created() -> ProjectStatus {
    ProjectStatus {
        reference: Some(REF.into()),
        credentials: Some(Credentials {
            password: PasswordOrigin::Generated,
            password_digest: Some("d1".into()),
        }),
        ..tried(vec![attempt(AttemptOutcome::Created, ago(300))])
    }
}

fn listed(reference: &str, name: &str) -> ListedProject {
    ListedProject {
        reference: reference.parse().unwrap(),
        name: name.into(),
        region: Some("eu-central-1".into()),
        status: Status::ComingUp,
        is_branch: false,
        created_at: None,
        size: None,
    }
}

fn kept() -> Kept {
    Kept {
        meta: Box::default(),
        belonging: Belonging::Ours,
        orphaned: false,
        reference: Some(REF.into()),
        marked: true,
        digest: Some("d1".into()),
        bound: None,
        pending: false,
        password: Some("pw-1".into()),
    }
}

fn observed() -> Observed {
    Observed {
        done: Vec::new(),
        memo: Memo::default(),
        process: "p1".into(),
        link: Link { problem: None, reachable: true, adoption: true, limited: false },
        connected: true,
        organization: Ok("acme".into()),
        name_given: false,
        listing: Some(Ok(Listing {
            date: now(),
            begun: Duration::ZERO,
            projects: Arc::default(),
            unreadable: Arc::default(),
            limited: false,
        })),
        hold_off: None,
        name_taken: false,
        holder: None,
        foreign_for: Duration::ZERO,
        own_for: Duration::from_secs(1_000_000),
        unsent: None,
        unsettled: false,
        presence: Presence::Unknown,
        outdated: false,
        list_trouble: None,
        itself: None,
        health: None,
        reading: None,
        password: FoundPassword::There(kept()),
        supplied: None,
        recovered: None,
        wanted: Vec::new(),
        obsolete: Vec::new(),
        settings: None,
        settings_again: None,
        keys_due: false,
        delete_accepted: None,
        requested: None,
        transition_interval: Duration::from_secs(5),
        rest_interval: Duration::from_secs(60),
    }
}

fn listing(projects: Vec<ListedProject>) -> Observed {
    Observed {
        listing: Some(Ok(Listing {
            date: now(),
            begun: Duration::ZERO,
            projects: Arc::new(projects.into()),
            unreadable: Arc::default(),
            limited: false,
        })),
        ..observed()
    }
}

fn seen(name: &str, status: Status) -> Observed {
    let listed = ListedState {
        name: name.into(),
        region: None,
        status,
        size: None,
        elsewhere: None,
        begun: Duration::ZERO,
    };
    Observed { presence: Presence::Present(listed), ..observed() }
}

fn run(project: &SupabaseProject, observed: &Observed) -> Decision<Step, ProjectStatus> {
    let inputs =
        Inputs { now: now(), uptime: Duration::from_secs(1000), attempt: 0, random: &Zeros };
    decide(project, observed, &inputs)
}

fn ready(decision: &Decision<Step, ProjectStatus>) -> (&str, &str) {
    let condition = conditions::find(&decision.status.conditions, "Ready").unwrap();
    (&condition.status, &condition.reason)
}

fn condition<'a>(decision: &'a Decision<Step, ProjectStatus>, kind: &str) -> Option<&'a str> {
    conditions::find(&decision.status.conditions, kind).map(|condition| condition.reason.as_str())
}

fn claims(decision: &Decision<Step, ProjectStatus>) -> Option<(&str, bool)> {
    match &decision.step {
        Some(Step::Claim(claim)) => Some((&claim.reference, claim.own)),
        _ => None,
    }
}

mod create {
    use super::*;

    #[test]
    fn an_empty_organization_leads_to_one_create_call_under_a_name_of_its_own() {
        let decision = run(&plain(), &listing(vec![listed(OTHER, "something-else")]));
        let Some(Step::Create(request)) = decision.step else { panic!("no create") };
        assert_eq!((request.name.as_str(), request.number), ("team-a-orders-aaaaaaaaaa", 1));
        assert_eq!(decision.status.creation.unwrap().name, request.name);
    }

    #[test]
    fn the_name_is_drawn_once() {
        let decision = run(&with(plain(), tried(Vec::new())), &observed());
        let Some(Step::Create(request)) = decision.step else { panic!("no create") };
        assert_eq!(request.name, "team-a-orders-nnnnnnnnnn");
    }

    #[test]
    fn the_create_name_on_the_list_is_claimed_whatever_became_of_the_attempts() {
        for outcome in [AttemptOutcome::Pending, AttemptOutcome::Absent, AttemptOutcome::Refused] {
            let status = tried(vec![attempt(outcome, ago(1))]);
            let found = listing(vec![listed(REF, "team-a-orders-nnnnnnnnnn")]);
            assert_eq!(
                claims(&run(&with(plain(), status), &found)),
                Some((REF, true)),
                "{outcome:?}"
            );
        }
    }

    #[test]
    fn a_branch_of_that_name_is_not_it() {
        let mut branch = listed(REF, "team-a-orders-nnnnnnnnnn");
        branch.is_branch = true;
        let status = tried(vec![attempt(AttemptOutcome::Pending, ago(1))]);
        let decision = run(&with(plain(), status), &listing(vec![branch]));
        assert_eq!(ready(&decision), ("False", "Confirming"));
    }

    #[test]
    fn two_of_that_name_are_for_a_person_who_may_say_which() {
        let two = || {
            listing(vec![
                listed(REF, "team-a-orders-nnnnnnnnnn"),
                listed(OTHER, "team-a-orders-nnnnnnnnnn"),
            ])
        };
        let status = tried(vec![attempt(AttemptOutcome::Pending, ago(1))]);
        let decision = run(&with(plain(), status.clone()), &two());
        assert_eq!((ready(&decision), &decision.step), (("False", "AmbiguousCreate"), &None));
        let told = project(json!({"adoption": {"ref": OTHER}}));
        assert_eq!(claims(&run(&with(told, status), &two())), Some((OTHER, true)));
    }

    #[test]
    fn an_open_attempt_is_waited_for_until_the_grace_is_over() {
        let edge = (DEADLINE + GRACE).as_secs();
        for (age, requeue) in [(0, false), (edge - 1, false), (edge, false), (edge + 1, true)] {
            let status = tried(vec![attempt(AttemptOutcome::Pending, ago(age))]);
            let decision = run(&with(plain(), status), &observed());
            assert_eq!(matches!(decision.step, Some(Step::Create(_))), requeue, "{age}");
            if requeue {
                let attempts = decision.status.creation.unwrap().attempts;
                assert_eq!(attempts[0].outcome, AttemptOutcome::Absent);
            } else {
                assert!(
                    matches!(decision.requeue, Requeue::After(wait) if wait <= Duration::from_secs(30))
                );
            }
        }
    }

    #[test]
    fn another_processes_attempt_is_also_waited_for_on_our_own_clock() {
        let mut foreign = attempt(AttemptOutcome::Pending, ago(10_000));
        foreign.process = "p0".into();
        let status = tried(vec![foreign]);
        let early = Observed {
            foreign_for: (DEADLINE + GRACE).saturating_sub(Duration::from_secs(1)),
            ..observed()
        };
        assert_eq!(run(&with(plain(), status.clone()), &early).step, None);
        let late = Observed { foreign_for: DEADLINE + GRACE, ..observed() };
        assert!(matches!(run(&with(plain(), status), &late).step, Some(Step::Create(_))));
    }

    #[test]
    fn a_list_of_some_projects_proves_no_absence() {
        let status = tried(vec![attempt(AttemptOutcome::Pending, ago(10_000))]);
        let blind = Observed {
            listing: Some(Ok(Listing {
                date: now(),
                begun: Duration::ZERO,
                projects: Arc::default(),
                unreadable: Arc::default(),
                limited: true,
            })),
            ..observed()
        };
        assert_eq!(ready(&run(&with(plain(), status), &blind)), ("False", "AmbiguousCreate"));
    }

    #[test]
    fn after_two_lost_calls_a_person_is_asked() {
        let status = tried(vec![
            attempt(AttemptOutcome::Absent, ago(20_000)),
            attempt(AttemptOutcome::Pending, ago(10_000)),
        ]);
        let decision = run(&with(plain(), status), &observed());
        assert_eq!((ready(&decision), &decision.step), (("False", "AmbiguousCreate"), &None));
    }

    #[test]
    fn refused_attempts_do_not_count() {
        let refused = || attempt(AttemptOutcome::Refused, ago(10));
        let status = tried(vec![refused(), refused(), refused()]);
        let decision = run(&with(plain(), status), &observed());
        assert!(matches!(decision.step, Some(Step::Create(_))));
    }

    #[test]
    fn a_refusal_holds_off_further_calls() {
        let held =
            Observed { hold_off: Some(Duration::from_secs(300)), listing: None, ..observed() };
        let decision = run(&plain(), &held);
        assert_eq!(
            (decision.step, decision.requeue),
            (None, Requeue::After(Duration::from_secs(300)))
        );
    }

    #[test]
    fn a_project_of_the_wanted_name_is_left_alone_unless_the_policy_says_otherwise() {
        let there = || listing(vec![listed(OTHER, "team-a-orders")]);
        let decision = run(&plain(), &there());
        assert_eq!((ready(&decision), &decision.step), (("False", "NameConflict"), &None));
        let adopting = project(json!({"adoption": {"policy": "AdoptOrCreate"}}));
        assert_eq!(claims(&run(&adopting, &there())), Some((OTHER, false)));
        let forbidding = Observed { link: Link { adoption: false, ..there().link }, ..there() };
        let decision = run(&adopting, &forbidding);
        assert_eq!(ready(&decision), ("False", "AdoptionForbidden"));
        let message = &conditions::find(&decision.status.conditions, "Ready").unwrap().message;
        assert!(!message.contains(OTHER), "{message}");
    }

    #[test]
    fn a_ref_is_adopted_only_by_policy_and_only_if_it_is_there() {
        let there = || listing(vec![listed(OTHER, "shop")]);
        let policy = |policy| project(json!({"adoption": {"policy": policy, "ref": OTHER}}));
        assert_eq!(claims(&run(&policy("AdoptOnly"), &there())), Some((OTHER, false)));
        assert_eq!(claims(&run(&policy("AdoptOrCreate"), &there())), Some((OTHER, false)));
        // With CreateOnly the ref only settles an ambiguous creation.
        assert!(matches!(run(&policy("CreateOnly"), &there()).step, Some(Step::Create(_))));
        let decision = run(&policy("AdoptOnly"), &observed());
        assert_eq!(
            (ready(&decision), &decision.step),
            (("False", "AdoptionTargetNotFound"), &None)
        );
    }

    #[test]
    fn what_is_being_torn_down_is_not_adopted() {
        let mut leaving = listed(OTHER, "shop");
        leaving.status = Status::GoingDown;
        let adopting = project(json!({"adoption": {"policy": "AdoptOnly", "ref": OTHER}}));
        assert_eq!(
            ready(&run(&adopting, &listing(vec![leaving]))),
            ("False", "AdoptionTargetNotFound")
        );
    }

    #[test]
    fn a_ref_that_another_object_holds_is_not_taken() {
        let held = Observed {
            holder: Some(crate::api::ObjectKey::new(Some("b"), "x")),
            ..listing(vec![listed(OTHER, "team-a-orders")])
        };
        let adopting = project(json!({"adoption": {"policy": "AdoptOrCreate"}}));
        let decision = run(&adopting, &held);
        assert_eq!((ready(&decision), &decision.step), (("False", "OwnershipConflict"), &None));
    }

    #[test]
    fn a_taken_name_is_told_first_and_a_ref_only_if_a_secret_of_ours_names_it() {
        let look = |reference: &str, orphaned, adoption| {
            let observed = Observed {
                password: FoundPassword::There(Kept {
                    belonging: Belonging::Other { uid: "u0".into(), project: "orders".into() },
                    orphaned,
                    reference: Some(reference.into()),
                    ..kept()
                }),
                link: Link { adoption, ..observed().link },
                ..listing(vec![listed(OTHER, "team-a-orders")])
            };
            let decision = run(&plain(), &observed);
            assert_eq!(ready(&decision), ("False", "NameConflict"));
            let conditions = &decision.status.conditions;
            let ready = conditions.iter().find(|one| one.type_ == "Ready").unwrap();
            ready.message.clone()
        };
        let field = format!("spec.adoption: {{policy: AdoptOnly, ref: {OTHER}}}");
        let own = look(OTHER, true, true);
        assert!(own.contains(&field) && !own.contains("Allowed"), "{own}");
        let forbidden = look(OTHER, true, false);
        assert!(
            forbidden.contains(&field) && forbidden.contains("spec.adoption: Allowed"),
            "{forbidden}"
        );
        for foreign in [look(REF, true, true), look(OTHER, false, true)] {
            assert!(!foreign.contains(OTHER), "{foreign}");
        }
    }

    #[test]
    fn somebody_elses_password_secret_stops_the_create() {
        for password in [
            Kept { belonging: Belonging::Foreign, ..kept() },
            Kept {
                belonging: Belonging::Other { uid: "u0".into(), project: "orders".into() },
                ..kept()
            },
            Kept { digest: None, password: None, ..kept() },
        ] {
            let blocked = Observed { password: FoundPassword::There(password), ..observed() };
            let decision = run(&plain(), &blocked);
            assert_eq!(ready(&decision), ("False", "PasswordSecretConflict"));
            assert_eq!(decision.step, None);
        }
    }

    #[test]
    fn an_unusable_connection_or_list_is_told_and_waited_for() {
        let problem = Problem::new(Reason::ConnectionNotReady, "words");
        let unready =
            Observed { link: Link { problem: Some(problem), ..observed().link }, ..observed() };
        let decision = run(&plain(), &unready);
        assert_eq!(ready(&decision), ("False", "ConnectionNotReady"));
        assert_eq!(condition(&decision, "ConnectionReady"), Some("ConnectionNotReady"));
        for (error, reason, requeue) in [
            (Error::Unavailable { status: 502 }, "PlatformUnavailable", Requeue::Backoff),
            (
                Error::Throttled { retry_after: Some(Duration::from_secs(7)) },
                "RateLimited",
                Requeue::After(Duration::from_secs(7)),
            ),
            (Error::Unauthorized, "Unauthorized", Requeue::After(Duration::from_secs(60))),
        ] {
            let failing = Observed { listing: Some(Err(error)), ..observed() };
            let decision = run(&plain(), &failing);
            assert_eq!((ready(&decision).1, decision.requeue), (reason, requeue));
            assert_eq!(decision.step, None);
        }
    }
}

mod follow {
    use super::*;

    fn living() -> SupabaseProject {
        with(plain(), created())
    }

    fn healthy() -> Vec<ServiceHealth> {
        vec![
            ServiceHealth { service: Service::Auth, state: ServiceState::Healthy },
            ServiceHealth { service: Service::Rest, state: ServiceState::Off },
        ]
    }

    #[test]
    fn a_ref_means_that_no_create_call_is_ever_made_again() {
        let gone = Observed { presence: ABSENT, itself: Some(Err(Error::NotFound)), ..observed() };
        let decision = run(&living(), &gone);
        assert_eq!((ready(&decision), &decision.step), (("False", "RemoteDeleted"), &None));
        assert_eq!(decision.status.reference.as_deref(), Some(REF));
    }

    #[test]
    fn a_401_or_403_never_counts_as_gone() {
        for error in [
            Error::Unauthorized,
            Error::Forbidden {
                missing: Vec::new(),
                reason: crate::management::Forbidden::Privileges,
            },
        ] {
            let hidden = Observed { presence: ABSENT, itself: Some(Err(error)), ..observed() };
            assert_eq!(ready(&run(&living(), &hidden)), ("False", "RemoteNotVisible"));
        }
    }

    #[test]
    fn before_the_first_look_nothing_changes() {
        let decision = run(&living(), &observed());
        assert_eq!(decision.step, None);
        assert_eq!(decision.status.remote_status, None);
        assert!(conditions::find(&decision.status.conditions, "Ready").is_none());
    }

    #[test]
    fn an_active_project_gets_its_name_first() {
        let decision = run(&living(), &seen("team-a-orders-nnnnnnnnnn", Status::ActiveHealthy));
        assert_eq!(decision.step, Some(Step::Rename("team-a-orders".into())));
    }

    #[test]
    fn after_a_lost_create_call_the_name_that_guards_against_it_is_kept_for_an_hour() {
        for (age, guarded) in [(300, true), (3500, true), (3700, false)] {
            let mut project = living();
            let creation = project.status.as_mut().unwrap().creation.as_mut().unwrap();
            creation.attempts = vec![
                attempt(AttemptOutcome::Created, ago(age + 300)),
                attempt(AttemptOutcome::Created, ago(age)),
            ];
            let unnamed = Observed {
                health: Some(Ok(healthy())),
                ..seen("team-a-orders-nnnnnnnnnn", Status::ActiveHealthy)
            };
            let decision = run(&project, &unnamed);
            if guarded {
                assert_eq!(decision.step, None);
                assert_eq!(ready(&decision), ("True", "Available"));
                assert_eq!(condition(&decision, "Synced"), Some("Confirming"));
            } else {
                assert_eq!(decision.step, Some(Step::Rename("team-a-orders".into())));
            }
        }
    }

    #[test]
    fn a_taken_name_does_not_keep_the_project_from_being_ready() {
        let taken = Observed {
            name_taken: true,
            health: Some(Ok(healthy())),
            ..seen("team-a-orders-nnnnnnnnnn", Status::ActiveHealthy)
        };
        let decision = run(&living(), &taken);
        assert_eq!(ready(&decision), ("True", "Available"));
        assert_eq!(condition(&decision, "Synced"), Some("NameConflict"));
    }

    #[test]
    fn services_are_waited_for_and_a_disabled_one_is_no_trouble() {
        let decision = run(
            &living(),
            &Observed {
                health: Some(Ok(vec![ServiceHealth {
                    service: Service::Pooler,
                    state: ServiceState::ComingUp,
                }])),
                ..seen("team-a-orders", Status::ActiveHealthy)
            },
        );
        assert_eq!(ready(&decision), ("False", "WaitingForServices"));
        assert_eq!(decision.requeue, Requeue::After(Duration::from_secs(5)));
        let decision = run(
            &living(),
            &Observed {
                health: Some(Ok(healthy())),
                ..seen("team-a-orders", Status::ActiveHealthy)
            },
        );
        assert_eq!(condition(&decision, "ServicesHealthy"), Some("AllHealthy"));
    }

    #[test]
    fn services_that_stay_ill_are_told_and_hold_back_no_output() {
        let mut project = living();
        let status = project.status.as_mut().unwrap();
        status.remote_status = Some("ACTIVE_HEALTHY".into());
        status.remote_status_since = Some(Time(ago(601)));
        for health in [
            Ok(vec![ServiceHealth { service: Service::Auth, state: ServiceState::Unhealthy }]),
            Err(Error::Forbidden {
                missing: Vec::new(),
                reason: crate::management::Forbidden::Privileges,
            }),
        ] {
            let ill = health.is_ok();
            let facts = Facts { reference: "abcdefghijklmnopqrst".into(), ..Facts::default() };
            let observed = Observed {
                health: Some(health),
                reading: Some(Ok(Reading {
                    facts,
                    lacking: Vec::new(),
                    no_keys: false,
                    trouble: None,
                    postgres_version: None,
                })),
                ..seen("team-a-orders", Status::ActiveHealthy)
            };
            let decision = run(&project, &observed);
            assert_eq!(decision.step, Some(Step::WriteOutputs));
            assert_eq!(decision.requeue, Requeue::After(Duration::from_secs(60)));
            let in_order = run(&project, &Observed { reading: None, ..observed });
            let expected = if ill { ("False", "Degraded") } else { ("True", "Available") };
            assert_eq!(ready(&in_order), expected);
            assert_eq!(condition(&in_order, "OutputsWritten"), Some("Written"));
        }
    }

    #[test]
    fn a_project_just_created_is_waited_for_also_where_only_some_projects_are_shown() {
        for presence in [ABSENT, Presence::NotVisible] {
            for (age, reason) in [(30, "Provisioning"), (3600, "RemoteNotVisible")] {
                let mut project = living();
                let creation = project.status.as_mut().unwrap().creation.as_mut().unwrap();
                creation.attempts[0].listed_at = Time(ago(age));
                let hidden = Observed {
                    presence: presence.clone(),
                    itself: Some(Err(Error::Unauthorized)),
                    ..observed()
                };
                assert_eq!(ready(&run(&project, &hidden)), ("False", reason));
            }
        }
    }

    #[test]
    fn a_lost_password_is_told_even_if_no_output_holds_it() {
        let mut project = living();
        project.spec.outputs = serde_json::from_value(json!([
            {"name": "web", "kind": "ConfigMap", "preset": "Env", "include": ["URL"]}
        ]))
        .unwrap();
        conditions::set(
            &mut project.status.as_mut().unwrap().conditions,
            "OutputsWritten",
            Truth::Yes,
            "Written",
            "",
            None,
            now(),
        );
        let lost = Observed {
            password: FoundPassword::Missing,
            health: Some(Ok(healthy())),
            ..seen("team-a-orders", Status::ActiveHealthy)
        };
        let decision = run(&project, &lost);
        assert_eq!(ready(&decision), ("True", "Available"));
        assert_eq!(condition(&decision, "Synced"), Some("PasswordLost"));
    }

    #[test]
    fn a_pause_is_undone_only_if_the_spec_says_so() {
        let decision = run(&living(), &seen("team-a-orders", Status::Inactive));
        assert_eq!((ready(&decision), &decision.step), (("False", "Paused"), &None));
        assert_eq!(condition(&decision, "Stalled"), None);
        let running = with(project(json!({"powerState": "Running"})), created());
        let decision = run(&running, &seen("team-a-orders", Status::Inactive));
        assert_eq!(decision.step, Some(Step::Restore));
        let paused = with(project(json!({"powerState": "Paused"})), created());
        let decision = run(&paused, &seen("team-a-orders", Status::ActiveHealthy));
        assert_eq!(decision.step, Some(Step::Pause));
    }

    #[test]
    fn a_sighting_from_before_our_own_call_proves_nothing() {
        let paused = with(project(json!({"powerState": "Paused"})), created());
        let old = Observed { outdated: true, ..seen("team-a-orders", Status::ActiveHealthy) };
        assert_eq!(run(&paused, &old).step, None);
    }

    #[test]
    fn a_state_that_does_not_pass_is_called_stuck() {
        let since = |age| ProjectStatus {
            remote_status: Some("COMING_UP".into()),
            remote_status_since: Some(Time(ago(age))),
            ..created()
        };
        let coming = seen("x", Status::ComingUp);
        assert_eq!(ready(&run(&with(plain(), since(60)), &coming)), ("False", "Provisioning"));
        let decision = run(&with(plain(), since(3601)), &coming);
        assert_eq!(ready(&decision), ("False", "RemoteStuck"));
        assert_eq!(condition(&decision, "Stalled"), Some("RemoteStuck"));
    }

    #[test]
    fn failed_states_ask_for_a_person() {
        for status in [Status::InitFailed, Status::PauseFailed, Status::RestoreFailed] {
            let decision = run(&living(), &seen("x", status));
            assert_eq!(ready(&decision), ("False", "RemoteFailed"));
        }
    }

    #[test]
    fn an_unknown_word_of_the_platform_is_no_health() {
        let decision = run(&living(), &seen("x", Status::Other("SOMETHING_NEW".into())));
        assert_eq!(ready(&decision), ("False", "Transitioning"));
        assert_eq!(decision.status.remote_status.as_deref(), Some("SOMETHING_NEW"));
    }

    #[test]
    fn the_password_table() {
        let lost = || FoundPassword::Missing;
        let edited = || FoundPassword::There(Kept { digest: Some("dx".into()), ..kept() });
        let used = || {
            let outputs = vec![crate::api::project::OutputStatus {
                name: "o".into(),
                kind: crate::api::OutputKind::Secret,
                digest: "x".into(),
                rolled_out: None,
            }];
            let mut draft =
                Draft::of(&with(plain(), ProjectStatus { outputs, ..created() }), now());
            draft.set(ConditionType::OutputsWritten, Truth::Yes, Reason::Written, "");
            draft.finish()
        };
        let at = |status: ProjectStatus, spec: Value, change: &dyn Fn(&mut Observed)| {
            let mut observed = Observed {
                health: Some(Ok(healthy())),
                ..seen("team-a-orders", Status::ActiveHealthy)
            };
            change(&mut observed);
            run(&with(project(spec), status), &observed)
        };
        // In order.
        assert_eq!(at(created(), json!({}), &|_| {}).step, None);
        // Lost before anybody could use it: a new one.
        assert_eq!(
            at(created(), json!({}), &|o| o.password = lost()).step,
            Some(Step::ResetPassword)
        );
        // Lost or edited, found in an output: put back.
        for there in [lost(), edited()] {
            let found = at(used(), json!({}), &|o| {
                o.password = there.clone();
                o.recovered = Some("pw-1".into());
            });
            assert_eq!(found.step, Some(Step::KeepPassword(PasswordSource::Recovered)));
            let nowhere = at(used(), json!({}), &|o| o.password = there.clone());
            assert_eq!(ready(&nowhere), ("False", "PasswordLost"));
            let onward = json!({"database": {"password": {"onLost": "Reset"}}});
            let reset = at(used(), onward, &|o| o.password = there.clone());
            assert_eq!(reset.step, Some(Step::ResetPassword));
        }
        // A reset whose answer was lost goes on.
        let pending = at(used(), json!({}), &|o| {
            o.password = FoundPassword::There(Kept { pending: true, ..kept() });
        });
        assert_eq!(pending.step, Some(Step::ResetPassword));
        // Somebody else's Secret.
        let foreign = at(used(), json!({}), &|o| {
            o.password = FoundPassword::There(Kept { belonging: Belonging::Foreign, ..kept() });
        });
        assert_eq!(ready(&foreign), ("False", "PasswordSecretConflict"));
        // The ref is not noted yet.
        let unnoted = at(created(), json!({}), &|o| {
            o.password = FoundPassword::There(Kept { reference: None, ..kept() });
        });
        assert_eq!(unnoted.step, Some(Step::KeepPassword(PasswordSource::Kept)));
    }

    #[test]
    fn an_adopted_project_never_gets_a_generated_password() {
        let adopted = ProjectStatus {
            reference: Some(REF.into()),
            organization_slug: Some("acme".into()),
            credentials: Some(Credentials {
                password: PasswordOrigin::Unknown,
                password_digest: None,
            }),
            ..ProjectStatus::default()
        };
        let look = |password, supplied| {
            let observed = Observed {
                health: Some(Ok(healthy())),
                password,
                supplied,
                ..seen("team-a-orders", Status::ActiveHealthy)
            };
            run(&with(plain(), adopted.clone()), &observed)
        };
        assert_eq!(ready(&look(FoundPassword::Missing, None)), ("False", "PasswordUnknown"));
        let supplied = Supplied { digest: "ds".into(), password: "pw-s".into() };
        assert_eq!(
            look(FoundPassword::Missing, Some(Ok(supplied))).step,
            Some(Step::KeepPassword(PasswordSource::Supplied))
        );
        let left = |reference: &str, orphaned| {
            FoundPassword::There(Kept {
                belonging: Belonging::Other { uid: "u0".into(), project: "orders".into() },
                orphaned,
                reference: Some(reference.into()),
                ..kept()
            })
        };
        assert_eq!(
            look(left(REF, true), None).step,
            Some(Step::KeepPassword(PasswordSource::Retained))
        );
        assert_eq!(ready(&look(left(OTHER, true), None)), ("False", "PasswordSecretConflict"));
        assert_eq!(ready(&look(left(REF, false), None)), ("False", "PasswordSecretConflict"));
    }

    fn adopted(origin: PasswordOrigin, digest: Option<&str>) -> ProjectStatus {
        let credentials =
            Credentials { password: origin, password_digest: digest.map(str::to_owned) };
        ProjectStatus { creation: None, credentials: Some(credentials), ..created() }
    }

    #[test]
    fn an_adopted_project_gets_a_new_password_once_and_only_where_that_is_asked_for() {
        let look = |spec: Value, status: ProjectStatus, password, supplied| {
            let observed = Observed {
                health: Some(Ok(healthy())),
                password,
                supplied,
                ..seen("team-a-orders", Status::ActiveHealthy)
            };
            run(&with(project(spec), status), &observed)
        };
        let unknown = || adopted(PasswordOrigin::Unknown, None);
        let reset = || json!({"database": {"password": {"onLost": "Reset"}}});
        let asked = look(reset(), unknown(), FoundPassword::Missing, None);
        assert_eq!(asked.step, Some(Step::ResetPassword));
        // It is recorded: nothing more is set.
        let generated = adopted(PasswordOrigin::Generated, Some("d1"));
        let done = look(reset(), generated, FoundPassword::There(kept()), None);
        assert_eq!((&done.step, ready(&done)), (&None, ("True", "Available")));
        // What the user supplies counts; what he declared and is not there yet is waited for.
        let supplied = Supplied { digest: "ds".into(), password: "pw-s".into() };
        let keeps = look(reset(), unknown(), FoundPassword::Missing, Some(Ok(supplied)));
        assert_eq!(keeps.step, Some(Step::KeepPassword(PasswordSource::Supplied)));
        let absent = Problem::new(Reason::SecretMissing, "");
        let waits = look(reset(), unknown(), FoundPassword::Missing, Some(Err(absent)));
        assert_eq!((&waits.step, ready(&waits)), (&None, ("False", "PasswordUnknown")));
        // What is only observed is not written.
        let mut observe = reset();
        observe["managementPolicy"] = json!("Observe");
        for (status, reason) in [
            (unknown(), "PasswordUnknown"),
            (adopted(PasswordOrigin::Generated, Some("d1")), "PasswordLost"),
        ] {
            let told = look(observe.clone(), status, FoundPassword::Missing, None);
            assert_eq!((&told.step, ready(&told)), (&None, ("False", reason)));
        }
    }

    #[test]
    fn a_supplied_password_of_an_adopted_project_is_said_to_be_unverified() {
        let look = |status: ProjectStatus, outputs: Value| {
            let observed = Observed {
                health: Some(Ok(healthy())),
                supplied: Some(Ok(Supplied { digest: "d1".into(), password: "pw-1".into() })),
                ..seen("team-a-orders", Status::ActiveHealthy)
            };
            let decision = run(&with(project(json!({"outputs": outputs})), status), &observed);
            let (truth, reason) = ready(&decision);
            (truth.to_owned(), reason.to_owned())
        };
        let said = |reason: &str| ("True".to_owned(), reason.to_owned());
        let supplied = || adopted(PasswordOrigin::Supplied, Some("d1"));
        let whole = || json!([{"name": "o"}]);
        assert_eq!(look(supplied(), whole()), said("PasswordUnverified"));
        // Nobody is given it.
        let public = json!([{"name": "o", "include": ["URL"]}]);
        assert_eq!(look(supplied(), public), said("Available"));
        // Kept from an earlier object, or the one that the create call sent.
        assert_eq!(look(adopted(PasswordOrigin::Retained, Some("d1")), whole()), said("Available"));
        let credentials = supplied().credentials;
        assert_eq!(look(ProjectStatus { credentials, ..created() }, whole()), said("Available"));
    }

    #[test]
    fn another_supplied_password_is_told_not_sent() {
        let supplied = Supplied { digest: "d2".into(), password: "pw-2".into() };
        let observed = Observed {
            health: Some(Ok(healthy())),
            supplied: Some(Ok(supplied)),
            ..seen("team-a-orders", Status::ActiveHealthy)
        };
        let decision = run(&living(), &observed);
        assert_eq!((&decision.step, ready(&decision)), (&None, ("True", "Available")));
        assert_eq!(condition(&decision, "Synced"), Some("PasswordDiffers"));
    }

    #[test]
    fn suspension_does_nothing_and_keeps_ready_as_it_was() {
        let mut draft = Draft::of(&living(), now());
        draft.reached(Reason::Available, "");
        let suspended = with(project(json!({"suspend": true})), draft.finish());
        let decision = run(&suspended, &observed());
        assert_eq!((ready(&decision), &decision.step), (("True", "Suspended"), &None));
    }
}

mod leave {
    use super::*;

    fn policy(policy: &str, status: ProjectStatus) -> SupabaseProject {
        deleted(with(project(json!({"deletionPolicy": policy})), status))
    }

    #[test]
    fn what_never_tried_to_create_goes_at_once() {
        for word in ["Retain", "Delete"] {
            let decision = run(&policy(word, ProjectStatus::default()), &observed());
            assert_eq!(
                (decision.step, decision.release),
                (Some(Step::Release(Release::Remove)), true)
            );
        }
    }

    #[test]
    fn retain_lets_go_without_any_credential_and_keeps_the_password() {
        let problem = Problem::new(Reason::ConnectionNotFound, "");
        let link = Link { problem: Some(problem), reachable: false, ..observed().link };
        let decision = run(&policy("Retain", created()), &Observed { link, ..observed() });
        assert_eq!(decision.step, Some(Step::Release(Release::Keep(REF.into()))));
        assert!(decision.release && decision.notes[0].message.contains(REF));
    }

    #[test]
    fn delete_asks_then_sees_it_gone() {
        let project = policy("Delete", created());
        let there = |status: Status| {
            Some(Ok(crate::management::Project {
                reference: REF.parse().unwrap(),
                name: "x".into(),
                organization: "acme".into(),
                region: None,
                status,
                created_at: None,
                database: None,
            }))
        };
        let asked = run(&project, &Observed { itself: there(Status::ActiveHealthy), ..observed() });
        assert_eq!((asked.step, asked.release), (Some(Step::Delete), false));
        let waiting = Observed {
            itself: there(Status::ActiveHealthy),
            delete_accepted: Some(Duration::from_secs(1)),
            ..observed()
        };
        assert_eq!(run(&project, &waiting).step, None);
        let going = run(&project, &Observed { itself: there(Status::GoingDown), ..observed() });
        assert_eq!((going.step, going.release), (None, false));
        let gone = Observed {
            itself: Some(Err(Error::NotFound)),
            delete_accepted: Some(Duration::from_secs(1)),
            listing: None,
            ..observed()
        };
        assert_eq!(run(&project, &gone).step, Some(Step::Release(Release::Remove)));
    }

    #[test]
    fn a_404_before_our_own_delete_needs_the_whole_list_too() {
        let project = policy("Delete", created());
        let hidden = Observed { itself: Some(Err(Error::NotFound)), listing: None, ..observed() };
        let decision = run(&project, &hidden);
        assert_eq!(
            (decision.release, condition(&decision, "DeletionBlocked")),
            (false, Some("RemoteNotVisible"))
        );
        let absent = Observed { itself: Some(Err(Error::NotFound)), ..observed() };
        assert!(run(&project, &absent).release);
        let there =
            Observed { itself: Some(Err(Error::NotFound)), ..listing(vec![listed(REF, "x")]) };
        assert_eq!(run(&project, &there).step, Some(Step::Delete));
    }

    #[test]
    fn delete_without_credentials_holds_and_names_the_way_out() {
        let link = Link { reachable: false, ..observed().link };
        let decision = run(&policy("Delete", created()), &Observed { link, ..observed() });
        assert_eq!(condition(&decision, "DeletionBlocked"), Some("CredentialsUnavailable"));
        let unauthorized = Observed { itself: Some(Err(Error::Unauthorized)), ..observed() };
        let decision = run(&policy("Delete", created()), &unauthorized);
        assert_eq!(condition(&decision, "DeletionBlocked"), Some("CredentialsUnavailable"));
        let message =
            &conditions::find(&decision.status.conditions, "DeletionBlocked").unwrap().message;
        assert!(message.contains("force-orphan") && message.contains(REF), "{message}");
    }

    #[test]
    fn force_orphan_counts_only_if_it_names_the_project() {
        let annotated = |value: &str| {
            let mut project = policy("Delete", created());
            project.metadata.annotations =
                Some([("supabase-operator.dev/force-orphan".into(), value.into())].into());
            project
        };
        let link = || Link { reachable: false, ..observed().link };
        let decision = run(&annotated(REF), &Observed { link: link(), ..observed() });
        assert!(decision.release && decision.notes[0].warning);
        for wrong in ["true", OTHER, ""] {
            let told = |observed: &Observed, kind: &str| {
                let decision = run(&annotated(wrong), observed);
                assert!(!decision.release);
                let conditions = &decision.status.conditions;
                let message = &conditions::find(conditions, kind).unwrap().message;
                assert!(message.contains(&format!("exactly {REF:?}")), "{message}");
                assert!(!message.contains(OTHER), "{message}");
            };
            told(&Observed { link: link(), ..observed() }, "DeletionBlocked");
            let accepted = Some(Duration::from_secs(1));
            let waiting = Observed {
                itself: Some(Err(Error::Removed)),
                delete_accepted: None,
                listing: None,
                ..observed()
            };
            told(&waiting, "DeletionBlocked");
            let failing = Error::Rejected { status: 500, because: Rejection::NotReady };
            told(
                &Observed { itself: Some(Err(failing)), delete_accepted: accepted, ..observed() },
                "Reconciling",
            );
        }
        let quiet = run(&policy("Delete", created()), &Observed { link: link(), ..observed() });
        let message =
            &conditions::find(&quiet.status.conditions, "DeletionBlocked").unwrap().message;
        assert!(!message.contains("exactly"), "{message}");
    }

    #[test]
    fn an_open_attempt_is_resolved_before_a_delete() {
        let open = || tried(vec![attempt(AttemptOutcome::Pending, ago(10))]);
        let found = listing(vec![listed(REF, "team-a-orders-nnnnnnnnnn")]);
        assert_eq!(claims(&run(&policy("Delete", open()), &found)), Some((REF, true)));
        let decision = run(&policy("Delete", open()), &observed());
        assert!(!decision.release && decision.step.is_none());
        let old = tried(vec![attempt(AttemptOutcome::Pending, ago(241))]);
        assert!(run(&policy("Delete", old), &observed()).release);
    }

    #[test]
    fn retain_does_not_wait_where_nobody_can_look() {
        let open = tried(vec![attempt(AttemptOutcome::Pending, ago(10))]);
        let link = Link { reachable: false, ..observed().link };
        let decision =
            run(&policy("Retain", open), &Observed { link, listing: None, ..observed() });
        assert_eq!(decision.step, Some(Step::Release(Release::LeaveAlone)));
        assert!(decision.notes[0].message.contains("team-a-orders-nnnnnnnnnn"));
    }

    #[test]
    fn a_suspended_delete_says_so_and_a_suspended_retain_lets_go() {
        let suspended = |policy: &str| {
            deleted(with(project(json!({"suspend": true, "deletionPolicy": policy})), created()))
        };
        let decision = run(&suspended("Delete"), &observed());
        assert_eq!(condition(&decision, "DeletionBlocked"), Some("Suspended"));
        assert!(run(&suspended("Retain"), &observed()).release);
    }

    #[test]
    fn a_refusal_is_not_an_error_of_ours() {
        let error = Error::Rejected { status: 400, because: Rejection::NotReady };
        let Trouble { problem, requeue, stalled } = translate(&error, "deleting");
        assert_eq!(
            (problem.reason, requeue, stalled),
            (Reason::RemoteRefused, Requeue::Backoff, false)
        );
    }
}
