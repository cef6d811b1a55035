//! The whole life of an authorization: two hundred refreshes with crashes among them, its end by somebody's hand, the
//! silence after that, and consent once more.

use std::cell::Cell;
use std::time::Duration;

use simulated_platform::{Config, Effect, TokenMode};
use tokio::time::{Instant, sleep};

use crate::sim::{Driver, Ending, Faults, Phase, Plan, Scene, Seed, simulate};

const HOUR: Duration = Duration::from_secs(3600);
const PROJECTS: [&str; 3] = ["orders", "users", "stock"];

fn refreshes(scene: &Scene) -> usize {
    let world = scene.world();
    let accepted = world.ledger().accepted().iter();
    accepted
        .filter(|accepted| matches!(accepted.effect, Effect::TokensIssued { refreshed: true, .. }))
        .count()
}

fn token_calls(scene: &Scene) -> usize {
    scene.world().ledger().count(&http::Method::POST, "/v1/oauth/token")
}

fn all_ready(scene: &Scene) -> bool {
    PROJECTS.iter().all(|name| scene.is_ready(name))
}

/// Lives through it. Crashes lie anywhere around the effects of refreshes; so often they may lose the authorization.
fn live(mode: TokenMode, may_be_lost: usize) {
    simulate(async || {
        let platform =
            Config { token_mode: mode, access_token_lifetime: HOUR, ..Config::instant() };
        let scene = Scene::new(&Seed { platform, random: 5, oauth: true });
        for name in PROJECTS {
            scene.project(name, serde_json::json!({}));
        }
        let plans: Vec<_> = (0..40)
            .map(|number| Plan {
                effect: 5 + number % 13,
                phase: Phase::ALL[number % Phase::ALL.len()],
            })
            .collect();
        let crashes = Cell::new(0);
        let driver = Driver::new(&scene);
        // Two create calls that crashes keep from being made need a person, which is another story.
        let begun = driver.run(&Faults::new(&[]), HOUR, all_ready, |_, _| {}).await;
        assert!(matches!(begun, Ending::Done(_)), "{mode:?}: it never began");
        // A crash may lose the answer to a refresh. Where that loses the authorization, a person gives it once more.
        let (asked, lost) = (Cell::new(false), Cell::new(0));
        let done = |scene: &Scene| {
            let asks = scene.asks_for_consent();
            if asks && !asked.replace(asks) {
                lost.set(lost.get() + 1);
                scene.authorize();
            }
            asked.set(asks);
            refreshes(scene) >= 200 && all_ready(scene)
        };
        let ending = driver
            .run(&Faults::new(&plans), 400 * HOUR, done, |_, number| {
                crashes.set(number);
            })
            .await;
        assert!(matches!(ending, Ending::Done(_)), "{mode:?}: {} refreshes", refreshes(&scene));
        assert!(crashes.get() > 20, "{} crashes", crashes.get());
        assert!(lost.get() <= may_be_lost, "{mode:?}: {} lost", lost.get());

        // From here on one process lives through it all.
        let consented = Cell::new(None::<Instant>);
        let recovered = Cell::new(None::<Duration>);
        let person = async {
            sleep(HOUR).await;
            let before = token_calls(&scene);
            scene.revoke();
            sleep(12 * HOUR).await;
            assert!(scene.asks_for_consent(), "{mode:?}");
            let calls = token_calls(&scene) - before;
            assert!(calls <= 2, "{mode:?}: {calls} token calls");
            scene.consent().await;
            consented.set(Some(Instant::now()));
        };
        let done = |scene: &Scene| {
            let Some(since) = consented.get() else {
                return false;
            };
            let back = !scene.asks_for_consent() && all_ready(scene);
            if back && recovered.get().is_none() {
                recovered.set(Some(since.elapsed()));
            }
            back
        };
        let nothing = Faults::new(&[]);
        let (ending, ()) = tokio::join!(driver.run(&nothing, 24 * HOUR, done, |_, _| {}), person);
        assert!(matches!(ending, Ending::Done(_)), "{mode:?}");
        let took = recovered.get().unwrap();
        assert!(took <= Duration::from_secs(60), "{mode:?}: {took:?}");
    });
}

#[test]
fn an_authorization_lives_through_crashes_ends_quietly_and_comes_back() {
    live(TokenMode::Strict, 20);
}

#[test]
fn where_lost_answers_can_be_had_again_no_crash_costs_the_authorization() {
    live(TokenMode::Grace(Duration::from_secs(600)), 0);
}
