//! Sending calls through a session: waiting, repeating, budget, breaker, leadership.

use http::Method;
use serde_json::json;
use simulated_platform::{Config, Fault, FaultKind, Limiter, Pat, TokenMode};
use supabase_operator::inventory::Pace;
use supabase_operator::management::{
    Call, Error, NewProject, OrganizationSlug, ProjectPage, Region, Sent, Sort, Withheld,
    create_project, organization_projects, organizations,
};
use supabase_operator::session::Session;

use super::{HOUR, MINUTE, SECOND};
use crate::sim::{Living, Play, follower, simulate};

async fn open(config: Config) -> (Play, Living, Session) {
    let play = Play::new(config);
    let token = play.world().add_pat(Pat::classic());
    play.secret("pat", &[("token", &token)]);
    let auth = json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
    play.connection("acme", &auth);
    let process = play.live(play.start(), MINUTE).await.unwrap();
    let session = process.session("acme");
    (play, process, session)
}

async fn open_oauth() -> (Play, Living, Session) {
    let play = Play::with_tokens(TokenMode::Strict, HOUR).for_one_namespace();
    play.seed("acme", &play.authorize().refresh_token);
    play.oauth("acme");
    let process = play.live(play.start(), MINUTE).await.unwrap();
    let session = process.session("acme");
    (play, process, session)
}

fn acme() -> OrganizationSlug {
    "acme".parse().unwrap()
}

fn page() -> Call<ProjectPage> {
    organization_projects(&acme(), 0, 100, Sort::OldestFirst)
}

fn order(name: &str) -> NewProject {
    NewProject {
        name: name.to_owned(),
        organization: acme(),
        region: Region::Specific("eu-central-1".to_owned()),
        size: None,
        db_pass: "a-password-nobody-guesses".into(),
    }
}

fn count(play: &Play, method: &Method, endpoint: &str) -> usize {
    play.world().ledger().count(method, endpoint)
}

const LIST: &str = "/v1/organizations/{slug}/projects";
const CREATE: &str = "/v1/projects";

#[test]
fn reads_are_repeated_twice_and_changes_never() {
    simulate(async || {
        let (play, _process, session) = open(Config::instant()).await;
        for kind in
            [FaultKind::DropBefore, FaultKind::Html(502), FaultKind::Status(500, String::new())]
        {
            let list = count(&play, &Method::GET, LIST);
            play.world().script(Fault::on("GET", "**", kind.clone()).times(2));
            assert!(session.send("team-a", &page()).await.is_ok(), "{kind:?}");
            assert_eq!(count(&play, &Method::GET, LIST) - list, 3);
            play.world().script(Fault::on("GET", "**", kind.clone()).times(3));
            assert!(session.send("team-a", &page()).await.is_err(), "{kind:?}");
            assert_eq!(count(&play, &Method::GET, LIST) - list, 6);

            assert!(session.send("team-a", &page()).await.is_ok());

            let created = count(&play, &Method::POST, CREATE);
            play.world().script(Fault::on("POST", "**", kind.clone()));
            let error = session.send("team-a", &create_project(&order("x"))).await.unwrap_err();
            assert!(error.was_perhaps_done(), "{kind:?}");
            assert_eq!(count(&play, &Method::POST, CREATE) - created, 1);
        }
        // What the platform has answered is not asked for again.
        let list = count(&play, &Method::GET, LIST);
        play.world().script(Fault::on("GET", "**", FaultKind::Status(404, "{}".to_owned())));
        assert_eq!(session.send("team-a", &page()).await.unwrap_err(), Error::NotFound);
        assert_eq!(count(&play, &Method::GET, LIST) - list, 1);
    });
}

#[test]
fn a_read_that_met_a_rotation_is_repeated_with_the_new_token() {
    simulate(async || {
        let (play, process, session) = open_oauth().await;
        // Somebody else has rotated: the token in use is dead, and the stored refresh token is good.
        let odd = Fault::on("GET", "**", FaultKind::Status(401, "{}".to_owned()));
        play.world().script(odd);
        let sent = session.send("team-a", &organizations()).await;
        assert!(sent.is_ok(), "{sent:?}");
        assert_eq!(play.token_calls(), 2, "one refresh");
        let process = play.live(process, MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        process.die().await;
    });
}

#[test]
fn the_401_of_a_token_that_was_replaced_under_way_does_not_count() {
    simulate(async || {
        let (play, mut process, session) = open_oauth().await;
        let somebody = follower("somebody");
        process.inventory("acme", "acme").follow("abcdefghijklmnopqrst", &somebody, Pace::Resting);
        process = play.live(process, SECOND * 2).await.unwrap();
        while process.take_woken().is_some() {}
        // Reads are under way for so long that the pair is renewed meanwhile: some arrive with a dead token.
        let mut reads = Vec::new();
        while play.token_calls() == 1 {
            play.set_travel(SECOND * 8);
            let session = session.clone();
            reads.push(tokio::spawn(async move {
                session.send("team-a", &organizations()).await.map(|_| ())
            }));
            tokio::time::sleep(SECOND / 10).await;
            play.set_travel(SECOND / 50);
            process = play.live(process, SECOND * 4).await.unwrap();
        }
        for read in reads {
            assert!(read.await.unwrap().is_ok());
        }
        let refused = play.answered(401);
        assert!(refused > 0, "they are repeated with the new token");
        assert_eq!(session.state(), supabase_operator::session::SessionState::Usable);
        assert_eq!(process.take_woken(), None, "nobody was told that the session had closed");
        let process = play.live(process, MINUTE * 10).await.unwrap();
        assert_eq!(play.token_calls(), 2, "nobody was alarmed");
        process.die().await;
    });
}

#[test]
fn a_change_that_met_a_401_is_not_repeated_but_told() {
    simulate(async || {
        let (play, process, session) = open_oauth().await;
        play.world().script(Fault::on(
            "POST",
            "/v1/projects",
            FaultKind::Status(401, "{}".to_owned()),
        ));
        let refused = session.send("team-a", &create_project(&order("x"))).await.unwrap_err();
        assert_eq!(refused, Error::Unauthorized);
        assert!(refused.is_definite_refusal());
        let process = play.live(process, MINUTE).await.unwrap();
        assert_eq!(play.token_calls(), 2);
        assert_eq!(play.ready("acme"), "True/Authenticated");
        assert!(session.send("team-a", &create_project(&order("x"))).await.is_ok());
        process.die().await;
    });
}

#[test]
fn calls_wait_while_tokens_are_refreshed() {
    simulate(async || {
        let (play, process, session) = open_oauth().await;
        let slow = Fault::on("POST", "/v1/oauth/token", FaultKind::Delay(SECOND * 10));
        play.world().script(slow);
        let mut process = process;
        loop {
            process = play.live(process, SECOND).await.unwrap();
            if play.token_calls() == 2 {
                break;
            }
        }
        // The old token is dead already. Nobody notices.
        let begun = tokio::time::Instant::now();
        let answers = futures::future::join_all((0..20).map(|_| {
            let session = session.clone();
            async move { session.send("team-a", &organizations()).await.map(|_| ()) }
        }))
        .await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert!(begun.elapsed() > SECOND * 5);
        let refused = play.answered(401);
        assert_eq!(refused, 0);
        process.die().await;
    });
}

#[test]
fn the_budget_is_kept_and_shared_fairly() {
    simulate(async || {
        let config = Config { limiter: Limiter::ProjectEndpoint(10), ..Config::instant() };
        let (play, process, session) = open(config).await;
        let many = futures::future::join_all((0..60).map(|_| {
            let session = session.clone();
            async move { session.send("many", &page()).await.map(|_| ()) }
        }));
        let lone = async {
            tokio::time::sleep(SECOND).await;
            let mut tries = 0;
            loop {
                tries += 1;
                match session.send("one", &page()).await {
                    Ok(_) => return tries,
                    Err(Error::Throttled { retry_after }) => {
                        tokio::time::sleep(retry_after.unwrap_or(SECOND)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let (answers, tries) = tokio::join!(many, lone);
        let throttled =
            |answer: &&Result<(), Error>| matches!(answer, Err(Error::Throttled { .. }));
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 10);
        assert_eq!(answers.iter().filter(throttled).count(), 50);
        assert!(tries <= 3, "{tries}");
        let refused = play.answered(429);
        // The first answers taught the limit; at most what was under way by then was refused.
        assert!(refused <= 50, "{refused}");
        process.die().await;
    });
}

#[test]
fn a_limit_that_is_known_is_never_passed() {
    simulate(async || {
        let config = Config { limiter: Limiter::ProjectEndpoint(10), ..Config::instant() };
        let (play, process, session) = open(config).await;
        assert!(session.send("team-a", &page()).await.is_ok());
        for _ in 0..10 {
            let sends = (0..30).map(|_| {
                let session = session.clone();
                async move { session.send("team-a", &page()).await.map(|_| ()) }
            });
            futures::future::join_all(sends).await;
            tokio::time::sleep(SECOND * 7).await;
        }
        let refused = play.answered(429);
        assert_eq!(refused, 0);
        process.die().await;
    });
}

#[test]
fn a_429_closes_its_bucket_for_as_long_as_it_says() {
    simulate(async || {
        let (play, process, session) = open(Config::instant()).await;
        play.world().script(Fault::on("GET", "**", FaultKind::RetryAfter(429, "30".to_owned())));
        let list = count(&play, &Method::GET, LIST);
        for _ in 0..10 {
            let error = session.send("team-a", &page()).await.unwrap_err();
            assert!(matches!(error, Error::Throttled { .. }), "{error:?}");
        }
        assert_eq!(count(&play, &Method::GET, LIST) - list, 1);
        tokio::time::sleep(SECOND * 34).await;
        assert!(session.send("team-a", &page()).await.is_ok());
        process.die().await;
    });
}

#[test]
fn an_endpoint_that_fails_again_and_again_is_left_alone_for_a_while() {
    simulate(async || {
        let (play, process, session) = open(Config::instant()).await;
        play.world().script(Fault::on("POST", "/v1/projects", FaultKind::Html(503)).times(1000));
        let created = count(&play, &Method::POST, CREATE);
        for number in 0..20 {
            let error = session.send("team-a", &create_project(&order("x"))).await.unwrap_err();
            let expected = if number < 5 {
                Error::Unavailable { status: 503 }
            } else {
                Error::Withheld(Withheld::Resting)
            };
            assert_eq!(error, expected);
            assert_eq!(error.was_not_sent(), number >= 5);
        }
        assert_eq!(count(&play, &Method::POST, CREATE) - created, 5);
        assert!(session.send("team-a", &page()).await.is_ok(), "others go on");
        play.world().clear_script();
        tokio::time::sleep(SECOND * 10).await;
        assert!(session.send("team-a", &create_project(&order("x"))).await.is_ok());
        process.die().await;
    });
}

#[test]
fn who_does_not_lead_changes_nothing() {
    simulate(async || {
        let (play, process, session) = open(Config::instant()).await;
        let almost = process.leadership.clone();
        almost.claim_until(MINUTE + SECOND * 5);
        let error = session.send("team-a", &create_project(&order("x"))).await.unwrap_err();
        assert_eq!(error, Error::Withheld(Withheld::NotLeading));
        assert!(error.was_not_sent());
        assert!(session.send("team-a", &page()).await.is_ok(), "reads are harmless");
        assert_eq!(count(&play, &Method::POST, CREATE), 0);
        process.die().await;
    });
}

#[test]
fn a_call_that_is_given_up_blocks_nobody() {
    simulate(async || {
        let config = Config { limiter: Limiter::ProjectEndpoint(4), ..Config::instant() };
        let (play, process, session) = open(config).await;
        play.world().script(Fault::on("GET", "**", FaultKind::Stall).times(3));
        let endless = futures::future::join_all((0..3).map(|_| {
            let session = session.clone();
            async move { session.send("team-a", &page()).await.map(|_| ()) }
        }));
        assert!(tokio::time::timeout(SECOND, endless).await.is_err());
        assert!(session.send("team-a", &page()).await.is_ok());
        tokio::time::sleep(MINUTE).await;
        for _ in 0..4 {
            assert!(session.send("team-a", &page()).await.is_ok());
        }
        process.die().await;
    });
}

#[test]
fn a_deadline_of_the_caller_is_kept() {
    simulate(async || {
        let (play, process, session) = open(Config::instant()).await;
        play.world().script(Fault::on("POST", "/v1/projects", FaultKind::Stall));
        let begun = tokio::time::Instant::now();
        let call = create_project(&order("x")).within(SECOND * 7);
        let error = session.send("team-a", &call).await.unwrap_err();
        assert_eq!(error, Error::TimedOut { sent: Sent::Perhaps });
        assert!(begun.elapsed() < SECOND * 8);
        process.die().await;
    });
}
