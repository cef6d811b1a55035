//! The inventory: what it costs, whom it wakes, and what it says about absence.

use std::collections::BTreeSet;
use std::time::Duration;

use http::Method;
use serde_json::json;
use simulated_platform::{Config, Fault, FaultKind, Limiter, Pat, Status};
use supabase_operator::inventory::{Inventory, Pace, Presence};
use supabase_operator::management::{self, Error};
use supabase_operator::session::Session;

use super::{HOUR, MINUTE, SECOND};
use crate::sim::{Living, Play, SECRETS, follower, simulate};

const LIST: &str = "/v1/organizations/{slug}/projects";
const ONE: &str = "/v1/projects/{ref}";

async fn open(config: Config) -> (Play, Living, Session) {
    let play = Play::new(config).for_one_namespace();
    let token = play.world().add_pat(Pat::classic());
    play.secret("pat", &[("token", &token)]);
    let auth = json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
    play.connection("acme", &auth);
    let process = play.live(play.start(), MINUTE).await.unwrap();
    let session = process.session("acme");
    (play, process, session)
}

fn add(play: &Play, count: usize) -> Vec<String> {
    let now = play.now();
    (0..count)
        .map(|number| play.world().add_foreign_project("acme", &format!("p{number}"), now))
        .collect()
}

fn lists(play: &Play) -> usize {
    play.world().ledger().count(&Method::GET, LIST)
}

fn gets(play: &Play) -> usize {
    play.world().ledger().count(&Method::GET, ONE)
}

/// Whoever was woken since the last look.
fn woken(process: &Living) -> BTreeSet<String> {
    std::iter::from_fn(|| process.take_woken()).collect()
}

fn follow_all(inventory: &Inventory, references: &[String], pace: Pace) {
    for reference in references {
        inventory.follow(reference, &follower(reference), pace);
    }
}

#[test]
fn at_rest_a_hundred_projects_cost_one_list_a_minute() {
    simulate(async || {
        let (play, process, session) = open(Config::instant()).await;
        let projects = add(&play, 100);
        let inventory = process.term().inventories.of(&session, "acme");
        follow_all(&inventory, &projects, Pace::Resting);
        let process = play.live(process, SECOND * 5).await.unwrap();
        assert_eq!(lists(&play), 1, "those who come together share the first one");
        assert_eq!(woken(&process).len(), 100, "each hears of it once");
        let process = play.live(process, HOUR).await.unwrap();
        assert!((60..=61).contains(&lists(&play)), "{}", lists(&play));
        assert_eq!(gets(&play), 0);
        assert_eq!(woken(&process), BTreeSet::new());
        process.die().await;
    });
}

#[test]
fn nothing_followed_costs_nothing() {
    simulate(async || {
        let (play, process, session) = open(Config::instant()).await;
        let projects = add(&play, 3);
        let inventory = process.term().inventories.of(&session, "acme");
        follow_all(&inventory, &projects, Pace::Moving);
        let process = play.live(process, MINUTE).await.unwrap();
        for reference in &projects {
            process.term().inventories.unfollow(&follower(reference));
        }
        let before = play.world().ledger().seen().len();
        let process = play.live(process, HOUR).await.unwrap();
        assert_eq!(play.world().ledger().seen().len(), before);
        // And it starts again.
        follow_all(&inventory, &projects, Pace::Moving);
        let process = play.live(process, SECOND * 10).await.unwrap();
        assert!(play.world().ledger().seen().len() > before);
        process.die().await;
    });
}

#[test]
fn what_moves_is_looked_at_every_few_seconds_and_wakes_only_its_own_object() {
    simulate(async || {
        let config = Config { coming_up: SECOND * 90, ..Config::default() };
        let (play, process, session) = open(config).await;
        let projects = add(&play, 5);
        let inventory = process.term().inventories.of(&session, "acme");
        follow_all(&inventory, &projects[..4], Pace::Resting);
        inventory.follow(&projects[4], &follower(&projects[4]), Pace::Moving);
        let process = play.live(process, SECOND * 10).await.unwrap();
        woken(&process);
        let before = lists(&play);
        let process = play.live(process, MINUTE).await.unwrap();
        let looked = lists(&play) - before;
        // Every two seconds.
        assert!((28..=32).contains(&looked), "{looked}");
        assert_eq!(gets(&play), 0, "all are on the newest page");
        play.world().set_status(&projects[2], Status::ActiveHealthy, play.now());
        let process = play.live(process, SECOND * 6).await.unwrap();
        assert_eq!(woken(&process), BTreeSet::from([projects[2].clone()]));
        let seen = inventory.presence(&projects[2]);
        assert!(
            matches!(seen, Presence::Present(seen) if seen.status == management::Status::ActiveHealthy)
        );
        process.die().await;
    });
}

#[test]
fn what_moves_beyond_the_newest_page_is_asked_for_by_itself() {
    simulate(async || {
        let (play, process, session) = open(Config::instant()).await;
        let projects = add(&play, 150);
        let inventory = process.term().inventories.of(&session, "acme");
        inventory.follow(&projects[0], &follower("old"), Pace::Moving);
        let process = play.live(process, SECOND * 30).await.unwrap();
        assert!(gets(&play) >= 4, "{}", gets(&play));
        woken(&process);
        play.world().set_status(&projects[0], Status::Inactive, play.now());
        let process = play.live(process, SECOND * 6).await.unwrap();
        assert_eq!(woken(&process), BTreeSet::from(["old".to_owned()]));
        process.die().await;
    });
}

#[test]
fn renames_transfers_and_deletions_by_hand_are_noticed_within_a_tick() {
    simulate(async || {
        let config = Config { lists_show_deleted: false, ..Config::instant() };
        let (play, process, session) = open(config).await;
        let projects = add(&play, 3);
        let inventory = process.term().inventories.of(&session, "acme");
        follow_all(&inventory, &projects, Pace::Resting);
        let process = play.live(process, MINUTE * 2).await.unwrap();
        woken(&process);
        play.world().rename_by_hand(&projects[0], "renamed", play.now());
        play.world().delete_by_hand(&projects[1], play.now());
        let process = play.live(process, SECOND * 61).await.unwrap();
        assert_eq!(woken(&process), projects[..2].iter().cloned().collect());
        assert!(matches!(inventory.presence(&projects[1]), Presence::Absent { .. }));
        assert!(
            matches!(inventory.presence(&projects[0]), Presence::Present(seen) if seen.name == "renamed")
        );
        process.die().await;
    });
}

#[test]
fn where_listing_is_forbidden_each_project_is_asked_for_by_itself() {
    simulate(async || {
        let (play, process, session) = open(Config::instant()).await;
        let projects = add(&play, 3);
        let forbidden = Fault::on(
            "GET",
            "/v1/organizations/*/projects",
            FaultKind::Status(403, "{}".to_owned()),
        );
        play.world().script(forbidden.times(1000));
        let inventory = process.term().inventories.of(&session, "acme");
        follow_all(&inventory, &projects, Pace::Resting);
        let process = play.live(process, SECOND * 5).await.unwrap();
        assert_eq!(gets(&play), 3);
        assert_eq!(woken(&process).len(), 3);
        let before = gets(&play);
        let process = play.live(process, MINUTE * 10).await.unwrap();
        assert!((27..=33).contains(&(gets(&play) - before)), "{}", gets(&play) - before);
        play.world().delete_by_hand(&projects[0], play.now());
        let process = play.live(process, SECOND * 61).await.unwrap();
        assert_eq!(woken(&process), BTreeSet::from([projects[0].clone()]));
        // Nothing but a whole list proves absence.
        assert_eq!(inventory.presence(&projects[0]), Presence::NotVisible);
        process.die().await;
    });
}

#[test]
fn a_whole_list_has_every_page_and_serves_everybody_who_waited_for_it() {
    simulate(async || {
        let (play, process, session) = open(Config::instant()).await;
        let projects = add(&play, 350);
        let inventory = process.term().inventories.of(&session, "acme");
        let now = session_uptime(&process);
        let asked =
            futures::future::join_all((0..50).map(|_| inventory.whole("team-a", now))).await;
        let lists_of: Vec<_> = asked.into_iter().map(Result::unwrap).collect();
        // The first one to ask is served by the list that he caused, everybody else by the next: it began after they
        // had asked.
        assert_eq!(lists(&play), 8);
        let first = &lists_of[1];
        assert!(lists_of[1..].iter().all(|list| std::sync::Arc::ptr_eq(list, first)));
        let refs: Vec<_> = first.projects.iter().map(|one| one.reference.to_string()).collect();
        assert_eq!(refs, projects);
        assert!(!first.limited && !first.date_is_ours);
        assert!((first.date.as_second() - play.now().as_second()).abs() < 2);
        // An older one will not do for whoever wrote something meanwhile.
        tokio::time::sleep(SECOND).await;
        let again = inventory.whole("team-a", session_uptime(&process)).await.unwrap();
        assert_eq!(lists(&play), 12);
        assert!(again.begun > first.begun);
        let kept = inventory.whole("team-a", first.begun).await.unwrap();
        assert_eq!(lists(&play), 12, "but for whoever waited since before it began");
        assert!(std::sync::Arc::ptr_eq(&kept, &again));
        process.die().await;
    });
}

fn session_uptime(process: &Living) -> Duration {
    process.uptime()
}

#[test]
fn a_list_that_began_before_the_question_is_no_answer_to_it() {
    simulate(async || {
        let (play, process, session) = open(Config::instant()).await;
        add(&play, 150);
        let inventory = process.term().inventories.of(&session, "acme");
        let first = tokio::spawn({
            let inventory = inventory.clone();
            let begun_after = session_uptime(&process);
            async move { inventory.whole("team-a", begun_after).await.unwrap() }
        });
        tokio::task::yield_now().await;
        // The list is under way. What is made now is not sure to be on it, although no time has passed.
        let late = play.world().add_foreign_project("acme", "late", play.now());
        let list = inventory.whole("team-a", session_uptime(&process)).await.unwrap();
        assert!(list.projects.iter().any(|one| one.reference.as_str() == late));
        assert!(!std::sync::Arc::ptr_eq(&first.await.unwrap(), &list));
        process.die().await;
    });
}

#[test]
fn a_deletion_while_pages_are_read_hides_nobody() {
    simulate(async || {
        let (play, process, session) =
            open(Config { lists_show_deleted: false, ..Config::instant() }).await;
        let projects = add(&play, 250);
        let inventory = process.term().inventories.of(&session, "acme");
        let whole = tokio::spawn({
            let inventory = inventory.clone();
            let begun_after = session_uptime(&process);
            async move { inventory.whole("team-a", begun_after).await }
        });
        while lists(&play) < 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Everything moves up by one between two pages.
        play.world().delete_by_hand(&projects[3], play.now());
        let list = whole.await.unwrap().unwrap();
        let refs: BTreeSet<_> = list.projects.iter().map(|one| one.reference.to_string()).collect();
        let expected: BTreeSet<_> =
            projects.iter().filter(|reference| **reference != projects[3]).cloned().collect();
        assert_eq!(refs, expected);
        process.die().await;
    });
}

#[test]
fn a_list_without_all_its_pages_is_none() {
    simulate(async || {
        let (play, process, session) = open(Config::instant()).await;
        let projects = add(&play, 150);
        let inventory = process.term().inventories.of(&session, "acme");
        follow_all(&inventory, &projects[..2], Pace::Resting);
        let page = |kind| Fault::on("GET", "/v1/organizations/*/projects", kind);
        for kind in [FaultKind::Status(404, "{}".to_owned()), FaultKind::Garbage] {
            play.world().script(page(kind).skip(1));
            assert!(inventory.whole("team-a", session_uptime(&process)).await.is_err());
        }
        assert_eq!(inventory.presence(&projects[0]), Presence::Unknown);
        // A page that claims that there are more than it gives, again and again.
        let more = FaultKind::Merge(json!({"pagination": {"count": 500}}));
        let before = lists(&play);
        play.world().script(page(more).times(100));
        let seen = inventory.whole("team-a", session_uptime(&process)).await.unwrap_err();
        assert_eq!(seen, Error::Undecodable { status: 200 });
        assert!(lists(&play) - before < 30, "it gives up");
        process.die().await;
    });
}

#[test]
fn half_of_a_bucket_is_left_to_others() {
    simulate(async || {
        let config = Config { limiter: Limiter::ProjectEndpoint(12), ..Config::instant() };
        let (play, process, session) = open(config).await;
        let projects = add(&play, 3);
        let inventory = process.term().inventories.of(&session, "acme");
        follow_all(&inventory, &projects, Pace::Moving);
        let process = play.live(process, MINUTE).await.unwrap();
        let before = lists(&play);
        let process = play.live(process, MINUTE * 10).await.unwrap();
        let a_minute = (lists(&play) - before) / 10;
        assert!((4..=6).contains(&a_minute), "{a_minute}");
        process.die().await;
    });
}

#[test]
fn inventories_that_share_a_bucket_share_its_half() {
    simulate(async || {
        let (play, process, session) =
            open(Config { limiter: Limiter::ProjectEndpoint(60), ..Config::instant() }).await;
        let projects = add(&play, 8);
        // Eight connections with one token: eight inventories, one bucket.
        let auth =
            json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
        let mut inventories = vec![process.term().inventories.of(&session, "acme")];
        for number in 1..8 {
            play.connection(&format!("acme{number}"), &auth);
        }
        let process = play.live(process, MINUTE).await.unwrap();
        inventories
            .extend((1..8).map(|number| process.inventory(&format!("acme{number}"), "acme")));
        for (inventory, reference) in inventories.iter().zip(&projects) {
            inventory.follow(reference, &follower(reference), Pace::Moving);
        }
        let process = play.live(process, MINUTE).await.unwrap();
        let before = lists(&play);
        let process = play.live(process, MINUTE * 10).await.unwrap();
        let a_minute = (lists(&play) - before) / 10;
        assert!((20..=30).contains(&a_minute), "{a_minute}");
        process.die().await;
    });
}

#[test]
fn a_closed_session_lists_nothing_and_wakes_those_who_follow() {
    simulate(async || {
        let (play, process, session) = open(Config::instant()).await;
        let projects = add(&play, 3);
        let inventory = process.term().inventories.of(&session, "acme");
        follow_all(&inventory, &projects, Pace::Resting);
        let process = play.live(process, SECOND * 5).await.unwrap();
        woken(&process);
        play.api().delete_by_hand(&format!("{SECRETS}/pat"));
        let process = play.live(process, MINUTE).await.unwrap();
        assert_eq!(woken(&process).len(), 3);
        let before = lists(&play);
        let process = play.live(process, HOUR).await.unwrap();
        assert_eq!(lists(&play), before);
        process.die().await;
    });
}

#[test]
fn another_credential_makes_everything_unknown_again() {
    simulate(async || {
        let (play, process, session) = open(Config::instant()).await;
        let projects = add(&play, 3);
        let inventory = process.term().inventories.of(&session, "acme");
        follow_all(&inventory, &projects, Pace::Resting);
        let process = play.live(process, SECOND * 5).await.unwrap();
        assert!(matches!(inventory.presence(&projects[0]), Presence::Present(_)));
        // Limited to one project: the absence of the others says nothing.
        let permissions = simulated_platform::Permissions { write: true, without: BTreeSet::new() };
        let limited = play.world().add_pat(Pat::for_projects(&[&projects[0]], permissions));
        play.secret("pat", &[("token", &limited)]);
        let process = play.live(process, MINUTE * 3).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated", "{}", play.message("acme"));
        assert!(session.may_be_limited_to_projects());
        assert!(matches!(inventory.presence(&projects[0]), Presence::Present(_)));
        assert_eq!(inventory.presence(&projects[1]), Presence::NotVisible);
        assert!(inventory.whole("team-a", session_uptime(&process)).await.unwrap().limited);
        process.die().await;
    });
}
