//! The inventory: what it costs, whom it wakes, and what it says about absence.

use std::collections::BTreeSet;
use std::time::Duration;

use http::Method;
use serde_json::json;
use simulated_platform::{Config, Fault, FaultKind, Limiter, Pat, Status};

use super::stage::*;
use crate::inventory::{Inventory, Pace, Presence};
use crate::management::{self, Error};
use crate::session::Session;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const LIST: &str = "/v1/organizations/{slug}/projects";
const ONE: &str = "/v1/projects/{ref}";

async fn open(config: Config) -> (Stage, Process, Session) {
    let stage = Stage::new(config);
    let token = stage.world().add_pat(Pat::classic());
    stage.secret("pat", &[("token", &token)]);
    let auth = json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
    stage.connection("acme", &auth);
    let process = stage.live(stage.start(), MINUTE).await.unwrap();
    let session = process.session("acme");
    (stage, process, session)
}

fn add(stage: &Stage, count: usize) -> Vec<String> {
    let now = stage.now();
    (0..count)
        .map(|number| stage.world().add_foreign_project("acme", &format!("p{number}"), now))
        .collect()
}

fn lists(stage: &Stage) -> usize {
    stage.world().ledger().count(&Method::GET, LIST)
}

fn gets(stage: &Stage) -> usize {
    stage.world().ledger().count(&Method::GET, ONE)
}

/// Whoever was woken since the last look.
fn woken(process: &Process) -> BTreeSet<String> {
    std::iter::from_fn(|| process.projects.take()).map(|key| key.name).collect()
}

fn follow_all(inventory: &Inventory, references: &[String], pace: Pace) {
    for reference in references {
        inventory.follow(reference, &follower(reference), pace);
    }
}

#[tokio::test(start_paused = true)]
async fn at_rest_a_hundred_projects_cost_one_list_a_minute() {
    let (stage, process, session) = open(Config::instant()).await;
    let projects = add(&stage, 100);
    let inventory = process.inventories.of(&session, "acme");
    follow_all(&inventory, &projects, Pace::Resting);
    let process = stage.live(process, SECOND * 5).await.unwrap();
    assert_eq!(lists(&stage), 1, "those who come together share the first one");
    assert_eq!(woken(&process).len(), 100, "each hears of it once");
    let process = stage.live(process, HOUR).await.unwrap();
    assert!((60..=61).contains(&lists(&stage)), "{}", lists(&stage));
    assert_eq!(gets(&stage), 0);
    assert_eq!(woken(&process), BTreeSet::new());
    process.die().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_followed_costs_nothing() {
    let (stage, process, session) = open(Config::instant()).await;
    let projects = add(&stage, 3);
    let inventory = process.inventories.of(&session, "acme");
    follow_all(&inventory, &projects, Pace::Moving);
    let process = stage.live(process, MINUTE).await.unwrap();
    for reference in &projects {
        process.inventories.unfollow(&follower(reference));
    }
    let before = stage.world().ledger().seen().len();
    let process = stage.live(process, HOUR).await.unwrap();
    assert_eq!(stage.world().ledger().seen().len(), before);
    // And it starts again.
    follow_all(&inventory, &projects, Pace::Moving);
    let process = stage.live(process, SECOND * 10).await.unwrap();
    assert!(stage.world().ledger().seen().len() > before);
    process.die().await;
}

#[tokio::test(start_paused = true)]
async fn what_moves_is_looked_at_every_few_seconds_and_wakes_only_its_own_object() {
    let config = Config { coming_up: SECOND * 90, ..Config::default() };
    let (stage, process, session) = open(config).await;
    let projects = add(&stage, 5);
    let inventory = process.inventories.of(&session, "acme");
    follow_all(&inventory, &projects[..4], Pace::Resting);
    inventory.follow(&projects[4], &follower(&projects[4]), Pace::Moving);
    let process = stage.live(process, SECOND * 10).await.unwrap();
    woken(&process);
    let before = lists(&stage);
    let process = stage.live(process, MINUTE).await.unwrap();
    let looked = lists(&stage) - before;
    // Every two seconds.
    assert!((28..=32).contains(&looked), "{looked}");
    assert_eq!(gets(&stage), 0, "all are on the newest page");
    stage.world().set_status(&projects[2], Status::ActiveHealthy, stage.now());
    let process = stage.live(process, SECOND * 6).await.unwrap();
    assert_eq!(woken(&process), BTreeSet::from([projects[2].clone()]));
    let seen = inventory.presence(&projects[2]);
    assert!(
        matches!(seen, Presence::Present(seen) if seen.status == management::Status::ActiveHealthy)
    );
    process.die().await;
}

#[tokio::test(start_paused = true)]
async fn what_moves_beyond_the_newest_page_is_asked_for_by_itself() {
    let (stage, process, session) = open(Config::instant()).await;
    let projects = add(&stage, 150);
    let inventory = process.inventories.of(&session, "acme");
    inventory.follow(&projects[0], &follower("old"), Pace::Moving);
    let process = stage.live(process, SECOND * 30).await.unwrap();
    assert!(gets(&stage) >= 4, "{}", gets(&stage));
    woken(&process);
    stage.world().set_status(&projects[0], Status::Inactive, stage.now());
    let process = stage.live(process, SECOND * 6).await.unwrap();
    assert_eq!(woken(&process), BTreeSet::from(["old".to_owned()]));
    process.die().await;
}

#[tokio::test(start_paused = true)]
async fn renames_transfers_and_deletions_by_hand_are_noticed_within_a_tick() {
    let config = Config { lists_show_deleted: false, ..Config::instant() };
    let (stage, process, session) = open(config).await;
    let projects = add(&stage, 3);
    let inventory = process.inventories.of(&session, "acme");
    follow_all(&inventory, &projects, Pace::Resting);
    let process = stage.live(process, MINUTE * 2).await.unwrap();
    woken(&process);
    stage.world().rename_by_hand(&projects[0], "renamed", stage.now());
    stage.world().delete_by_hand(&projects[1], stage.now());
    let process = stage.live(process, SECOND * 61).await.unwrap();
    assert_eq!(woken(&process), projects[..2].iter().cloned().collect());
    assert!(matches!(inventory.presence(&projects[1]), Presence::Absent { .. }));
    assert!(
        matches!(inventory.presence(&projects[0]), Presence::Present(seen) if seen.name == "renamed")
    );
    process.die().await;
}

#[tokio::test(start_paused = true)]
async fn where_listing_is_forbidden_each_project_is_asked_for_by_itself() {
    let (stage, process, session) = open(Config::instant()).await;
    let projects = add(&stage, 3);
    let forbidden =
        Fault::on("GET", "/v1/organizations/*/projects", FaultKind::Status(403, "{}".to_owned()));
    stage.world().script(forbidden.times(1000));
    let inventory = process.inventories.of(&session, "acme");
    follow_all(&inventory, &projects, Pace::Resting);
    let process = stage.live(process, SECOND * 5).await.unwrap();
    assert_eq!(gets(&stage), 3);
    assert_eq!(woken(&process).len(), 3);
    let before = gets(&stage);
    let process = stage.live(process, MINUTE * 10).await.unwrap();
    assert!((27..=33).contains(&(gets(&stage) - before)), "{}", gets(&stage) - before);
    stage.world().delete_by_hand(&projects[0], stage.now());
    let process = stage.live(process, SECOND * 61).await.unwrap();
    assert_eq!(woken(&process), BTreeSet::from([projects[0].clone()]));
    // Nothing but a whole list proves absence.
    assert_eq!(inventory.presence(&projects[0]), Presence::NotVisible);
    process.die().await;
}

#[tokio::test(start_paused = true)]
async fn a_whole_list_has_every_page_and_serves_everybody_who_waited_for_it() {
    let (stage, process, session) = open(Config::instant()).await;
    let projects = add(&stage, 350);
    let inventory = process.inventories.of(&session, "acme");
    let now = session_uptime(&process);
    let asked = futures::future::join_all((0..50).map(|_| inventory.whole("team", now))).await;
    let lists_of: Vec<_> = asked.into_iter().map(Result::unwrap).collect();
    // The first one to ask is served by the list that he caused, everybody else by the next: it began after they
    // had asked.
    assert_eq!(lists(&stage), 8);
    let first = &lists_of[1];
    assert!(lists_of[1..].iter().all(|list| std::sync::Arc::ptr_eq(list, first)));
    let refs: Vec<_> = first.projects.iter().map(|one| one.reference.to_string()).collect();
    assert_eq!(refs, projects);
    assert!(!first.limited && !first.date_is_ours);
    assert!((first.date.as_second() - stage.now().as_second()).abs() < 2);
    // An older one will not do for whoever wrote something meanwhile.
    tokio::time::sleep(SECOND).await;
    let again = inventory.whole("team", session_uptime(&process)).await.unwrap();
    assert_eq!(lists(&stage), 12);
    assert!(again.begun > first.begun);
    let kept = inventory.whole("team", first.begun).await.unwrap();
    assert_eq!(lists(&stage), 12, "but for whoever waited since before it began");
    assert!(std::sync::Arc::ptr_eq(&kept, &again));
    process.die().await;
}

fn session_uptime(process: &Process) -> Duration {
    use crate::rules::clock::Clock as _;
    process.clock.uptime()
}

#[tokio::test(start_paused = true)]
async fn a_list_that_began_before_the_question_is_no_answer_to_it() {
    let (stage, process, session) = open(Config::instant()).await;
    add(&stage, 150);
    let inventory = process.inventories.of(&session, "acme");
    let first = tokio::spawn({
        let inventory = inventory.clone();
        let begun_after = session_uptime(&process);
        async move { inventory.whole("team", begun_after).await.unwrap() }
    });
    tokio::task::yield_now().await;
    // The list is under way. What is made now is not sure to be on it, although no time has passed.
    let late = stage.world().add_foreign_project("acme", "late", stage.now());
    let list = inventory.whole("team", session_uptime(&process)).await.unwrap();
    assert!(list.projects.iter().any(|one| one.reference.as_str() == late));
    assert!(!std::sync::Arc::ptr_eq(&first.await.unwrap(), &list));
    process.die().await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_while_pages_are_read_hides_nobody() {
    let (stage, process, session) =
        open(Config { lists_show_deleted: false, ..Config::instant() }).await;
    let projects = add(&stage, 250);
    let inventory = process.inventories.of(&session, "acme");
    let whole = tokio::spawn({
        let inventory = inventory.clone();
        let begun_after = session_uptime(&process);
        async move { inventory.whole("team", begun_after).await }
    });
    while lists(&stage) < 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Everything moves up by one between two pages.
    stage.world().delete_by_hand(&projects[3], stage.now());
    let list = whole.await.unwrap().unwrap();
    let refs: BTreeSet<_> = list.projects.iter().map(|one| one.reference.to_string()).collect();
    let expected: BTreeSet<_> =
        projects.iter().filter(|reference| **reference != projects[3]).cloned().collect();
    assert_eq!(refs, expected);
    process.die().await;
}

#[tokio::test(start_paused = true)]
async fn a_list_without_all_its_pages_is_none() {
    let (stage, process, session) = open(Config::instant()).await;
    let projects = add(&stage, 150);
    let inventory = process.inventories.of(&session, "acme");
    follow_all(&inventory, &projects[..2], Pace::Resting);
    let page = |kind| Fault::on("GET", "/v1/organizations/*/projects", kind);
    for kind in [FaultKind::Status(404, "{}".to_owned()), FaultKind::Garbage] {
        stage.world().script(page(kind).skip(1));
        assert!(inventory.whole("team", session_uptime(&process)).await.is_err());
    }
    assert_eq!(inventory.presence(&projects[0]), Presence::Unknown);
    // A page that claims that there are more than it gives, again and again.
    let more = FaultKind::Merge(json!({"pagination": {"count": 500}}));
    let before = lists(&stage);
    stage.world().script(page(more).times(100));
    let seen = inventory.whole("team", session_uptime(&process)).await.unwrap_err();
    assert_eq!(seen, Error::Undecodable { status: 200 });
    assert!(lists(&stage) - before < 30, "it gives up");
    process.die().await;
}

#[tokio::test(start_paused = true)]
async fn half_of_a_bucket_is_left_to_others() {
    let config = Config { limiter: Limiter::ProjectEndpoint(12), ..Config::instant() };
    let (stage, process, session) = open(config).await;
    let projects = add(&stage, 3);
    let inventory = process.inventories.of(&session, "acme");
    follow_all(&inventory, &projects, Pace::Moving);
    let process = stage.live(process, MINUTE).await.unwrap();
    let before = lists(&stage);
    let process = stage.live(process, MINUTE * 10).await.unwrap();
    let a_minute = (lists(&stage) - before) / 10;
    assert!((4..=6).contains(&a_minute), "{a_minute}");
    process.die().await;
}

#[tokio::test(start_paused = true)]
async fn inventories_that_share_a_bucket_share_its_half() {
    let (stage, process, session) =
        open(Config { limiter: Limiter::ProjectEndpoint(60), ..Config::instant() }).await;
    let projects = add(&stage, 8);
    // Eight connections with one token: eight inventories, one bucket.
    let auth = json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
    let mut inventories = vec![process.inventories.of(&session, "acme")];
    for number in 1..8 {
        stage.connection(&format!("acme{number}"), &auth);
    }
    let process = stage.live(process, MINUTE).await.unwrap();
    inventories.extend((1..8).map(|number| process.inventory(&format!("acme{number}"), "acme")));
    for (inventory, reference) in inventories.iter().zip(&projects) {
        inventory.follow(reference, &follower(reference), Pace::Moving);
    }
    let process = stage.live(process, MINUTE).await.unwrap();
    let before = lists(&stage);
    let process = stage.live(process, MINUTE * 10).await.unwrap();
    let a_minute = (lists(&stage) - before) / 10;
    assert!((20..=30).contains(&a_minute), "{a_minute}");
    process.die().await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_session_lists_nothing_and_wakes_those_who_follow() {
    let (stage, process, session) = open(Config::instant()).await;
    let projects = add(&stage, 3);
    let inventory = process.inventories.of(&session, "acme");
    follow_all(&inventory, &projects, Pace::Resting);
    let process = stage.live(process, SECOND * 5).await.unwrap();
    woken(&process);
    stage.api.server().delete_by_hand(&format!("{SECRETS}/pat"));
    let process = stage.live(process, MINUTE).await.unwrap();
    assert_eq!(woken(&process).len(), 3);
    let before = lists(&stage);
    let process = stage.live(process, HOUR).await.unwrap();
    assert_eq!(lists(&stage), before);
    process.die().await;
}

#[tokio::test(start_paused = true)]
async fn another_credential_makes_everything_unknown_again() {
    let (stage, process, session) = open(Config::instant()).await;
    let projects = add(&stage, 3);
    let inventory = process.inventories.of(&session, "acme");
    follow_all(&inventory, &projects, Pace::Resting);
    let process = stage.live(process, SECOND * 5).await.unwrap();
    assert!(matches!(inventory.presence(&projects[0]), Presence::Present(_)));
    // Limited to one project: the absence of the others says nothing.
    let permissions = simulated_platform::Permissions { write: true, without: BTreeSet::new() };
    let limited = stage.world().add_pat(Pat::for_projects(&[&projects[0]], permissions));
    stage.secret("pat", &[("token", &limited)]);
    let process = stage.live(process, MINUTE * 3).await.unwrap();
    assert_eq!(stage.ready("acme"), "True/Authenticated", "{}", stage.message("acme"));
    assert!(session.may_be_limited_to_projects());
    assert!(matches!(inventory.presence(&projects[0]), Presence::Present(_)));
    assert_eq!(inventory.presence(&projects[1]), Presence::NotVisible);
    assert!(inventory.whole("team", session_uptime(&process)).await.unwrap().limited);
    process.die().await;
}
