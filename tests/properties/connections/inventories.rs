//! What lists say after the credential, the connection or the reach of a token has changed.

use std::collections::BTreeSet;

use http::Method;
use serde_json::json;
use simulated_platform::{Fault, FaultKind, Pat, Permissions, TokenMode};
use supabase_operator::inventory::{Pace, Presence};

use super::{MINUTE, SECOND};
use crate::sim::{Play, follower, simulate};

const LIST: &str = "/v1/organizations/acme/projects";

/// A play with the connection `acme`, whose Secret `pat` holds this token.
fn with_token(token: impl FnOnce(&Play) -> String) -> Play {
    let play = Play::with_tokens(TokenMode::Strict, 60 * MINUTE).for_one_namespace();
    let token = token(&play);
    play.secret("pat", &[("token", &token)]);
    play.connection(
        "acme",
        &json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}}),
    );
    play
}

fn everything() -> Permissions {
    Permissions { write: true, without: BTreeSet::new() }
}

fn foreign(play: &Play, name: &str) -> String {
    let now = play.now();
    play.world().add_foreign_project("acme", name, now)
}

#[test]
fn a_list_of_the_old_credential_never_answers_for_the_new_one() {
    simulate(async || {
        let play = with_token(|play| {
            let seen = foreign(play, "seen");
            foreign(play, "hidden");
            let pat = Pat::for_projects(&[&seen], everything());
            play.world().add_pat(pat)
        });
        let process = play.start();
        let process = play.live(process, 5 * SECOND).await.unwrap();
        let inventory = process.inventory("acme", "acme");
        let whole = || {
            let (inventory, now) = (inventory.clone(), process.uptime());
            tokio::spawn(async move { inventory.whole("team-a", now).await.unwrap() })
        };
        // Answers are made at once, and travel for long: the old credential's is there before the new one's.
        for time in [6, 10] {
            let slow = Fault::on("GET", LIST, FaultKind::Delay(time * SECOND));
            play.world().script(slow);
        }
        let before = whole();
        tokio::time::sleep(SECOND).await;
        let token = play.world().add_pat(Pat::classic());
        play.secret("pat", &[("token", &token)]);
        tokio::time::sleep(2 * SECOND).await;
        let after = whole();
        for list in [after.await.unwrap(), before.await.unwrap()] {
            assert!(!list.limited);
            assert_eq!(list.projects.len(), 2, "{list:?}");
        }
        tokio::time::sleep(MINUTE).await;
        assert_eq!(whole().await.unwrap().projects.len(), 2);
    });
}

/// Calls of this path until now.
fn calls(play: &Play, path: &str) -> usize {
    let world = play.world();
    let seen = world.ledger().seen().iter();
    seen.filter(|seen| seen.method == Method::GET && seen.path == path).count()
}

#[test]
fn what_a_limited_token_does_not_show_is_asked_for_once_a_minute_and_then_not_visible() {
    simulate(async || {
        let mut references = Vec::new();
        let play = with_token(|play| {
            references.extend(["gone", "hidden"].map(|name| foreign(play, name)));
            let pat = Pat::for_projects(&[&references[0]], everything());
            play.world().add_pat(pat)
        });
        let [gone, hidden] = references.try_into().unwrap();
        let process = play.start();
        let process = play.live(process, 5 * SECOND).await.unwrap();
        let inventory = process.inventory("acme", "acme");
        inventory.follow(&gone, &follower("gone"), Pace::Resting);
        inventory.follow(&hidden, &follower("hidden"), Pace::Moving);
        let process = play.live(process, 10 * SECOND).await.unwrap();
        assert!(matches!(inventory.presence(&gone), Presence::Present(_)));
        assert_eq!(inventory.presence(&hidden), Presence::NotVisible);
        // As an object would that was told so.
        inventory.follow(&hidden, &follower("hidden"), Pace::Resting);
        let own = format!("/v1/projects/{hidden}");
        let before = (calls(&play, LIST), calls(&play, &own));
        let process = play.live(process, 10 * MINUTE).await.unwrap();
        let lists = calls(&play, LIST) - before.0;
        let asked = calls(&play, &own) - before.1;
        assert!((9..=11).contains(&lists), "{lists} lists");
        assert!((9..=11).contains(&asked), "asked {asked} times");
        assert_eq!(calls(&play, &format!("/v1/projects/{gone}")), 0);
        let now = play.now();
        play.world().delete_by_hand(&gone, now);
        let _process = play.live(process, 3 * MINUTE).await.unwrap();
        assert_eq!(inventory.presence(&gone), Presence::NotVisible);
    });
}

#[test]
fn where_listing_is_forbidden_a_hidden_project_costs_two_calls_a_minute() {
    simulate(async || {
        let play = with_token(|play| play.world().add_pat(Pat::classic()));
        let forbidden = |path: &str| {
            let kind = FaultKind::Status(403, "{\"message\": \"Forbidden\"}".to_owned());
            Fault::on("GET", path, kind).times(100_000)
        };
        play.world().script(forbidden(LIST));
        play.world().script(forbidden("/v1/projects/*"));
        let process = play.start();
        let process = play.live(process, 5 * SECOND).await.unwrap();
        let inventory = process.inventory("acme", "acme");
        let hidden = "abcdefghijklmnopqrst";
        inventory.follow(hidden, &follower("hidden"), Pace::Moving);
        let process = play.live(process, 10 * SECOND).await.unwrap();
        assert_eq!(inventory.presence(hidden), Presence::NotVisible);
        inventory.follow(hidden, &follower("hidden"), Pace::Resting);
        let before = play.world().ledger().seen().len();
        let _process = play.live(process, 10 * MINUTE).await.unwrap();
        let made = play.world().ledger().seen().len() - before;
        assert!((18..=24).contains(&made), "{made} calls");
    });
}

#[test]
fn a_project_that_cannot_be_asked_for_is_not_asked_for_all_the_time() {
    simulate(async || {
        let play = with_token(|play| {
            let seen = foreign(play, "seen");
            let pat = Pat::for_projects(&[&seen], everything());
            play.world().add_pat(pat)
        });
        let broken = FaultKind::Status(400, "{}".to_owned());
        let broken = Fault::on("GET", "/v1/projects/*", broken).times(100_000);
        play.world().script(broken);
        let process = play.start();
        let process = play.live(process, 5 * SECOND).await.unwrap();
        let inventory = process.inventory("acme", "acme");
        let unknown = "abcdefghijklmnopqrst";
        inventory.follow(unknown, &follower("unknown"), Pace::Moving);
        let process = play.live(process, 10 * SECOND).await.unwrap();
        assert_eq!(inventory.presence(unknown), Presence::Unknown);
        let before = play.world().ledger().seen().len();
        let _process = play.live(process, 10 * MINUTE).await.unwrap();
        let made = play.world().ledger().seen().len() - before;
        assert!((18..=24).contains(&made), "{made} calls");
    });
}

#[test]
fn a_follow_gives_up_every_other_and_knows_at_once_what_a_list_has_shown() {
    simulate(async || {
        let play = with_token(|play| play.world().add_pat(Pat::classic()));
        let second = foreign(&play, "second");
        let first = foreign(&play, "first");
        play.connection(
            "other",
            &json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}}),
        );
        let process = play.start();
        let process = play.live(process, 5 * SECOND).await.unwrap();
        let old = process.inventory("acme", "acme");
        let presence = old.follow(&first, &follower("first"), Pace::Moving);
        assert_eq!(presence, Presence::Unknown, "nobody has looked yet");
        let process = play.live(process, 3 * SECOND).await.unwrap();
        // A list has shown it, though nobody followed it then.
        assert!(matches!(old.presence(&second), Presence::Present(_)));
        let presence = old.follow(&second, &follower("second"), Pace::Resting);
        assert!(matches!(presence, Presence::Present(_)), "{presence:?}");
        process.term().inventories.unfollow(&follower("second"));
        // The object goes to another connection: through the old one nothing is asked any more.
        let new = process.inventory("other", "acme");
        new.follow(&first, &follower("first"), Pace::Resting);
        let process = play.live(process, 5 * SECOND).await.unwrap();
        let before = calls(&play, LIST);
        let process = play.live(process, 10 * MINUTE).await.unwrap();
        let lists = calls(&play, LIST) - before;
        assert!((9..=11).contains(&lists), "{lists} lists");
        process.term().inventories.unfollow(&follower("first"));
        let process = play.live(process, 2 * MINUTE).await.unwrap();
        let before = calls(&play, LIST);
        let _process = play.live(process, 10 * MINUTE).await.unwrap();
        assert_eq!(calls(&play, LIST) - before, 0, "nothing is followed");
    });
}
