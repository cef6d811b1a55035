//! What lists say after the credential, the connection or the reach of a token has changed.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use simulated_platform::{Fault, FaultKind, Pat, Permissions, TokenMode};

use super::stage::*;
use crate::rules::ambient::Clock as _;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const LIST: &str = "/v1/organizations/acme/projects";

/// A stage with the connection `acme`, whose Secret `pat` holds this token.
fn with_token(token: impl FnOnce(&Stage) -> String) -> Stage {
    let stage = Stage::with_tokens(TokenMode::Strict, 60 * MINUTE);
    let token = token(&stage);
    stage.secret("pat", &[("token", &token)]);
    stage.connection(
        "acme",
        &json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}}),
    );
    stage
}

fn everything() -> Permissions {
    Permissions {
        write: true,
        without: BTreeSet::new(),
    }
}

fn foreign(stage: &Stage, name: &str) -> String {
    let now = stage.now();
    stage.world().add_foreign_project("acme", name, now)
}

#[tokio::test(start_paused = true)]
async fn a_list_of_the_old_credential_never_answers_for_the_new_one() {
    let stage = with_token(|stage| {
        let seen = foreign(stage, "seen");
        foreign(stage, "hidden");
        let pat = Pat::for_projects(&[&seen], everything());
        stage.world().add_pat(pat)
    });
    let process = stage.start();
    let process = stage.live(process, 5 * SECOND).await.unwrap();
    let roster = process.session("acme").roster("acme");
    let whole = || {
        let (roster, now) = (roster.clone(), process.clock.uptime());
        tokio::spawn(async move { roster.whole("team", now).await.unwrap() })
    };
    // Answers are made at once, and travel for long: the old credential's is there before the new one's.
    for time in [6, 10] {
        let slow = Fault::on("GET", LIST, FaultKind::Delay(time * SECOND));
        stage.world().script(slow);
    }
    let before = whole();
    tokio::time::sleep(SECOND).await;
    let token = stage.world().add_pat(Pat::classic());
    stage.secret("pat", &[("token", &token)]);
    process.nudge();
    tokio::time::sleep(2 * SECOND).await;
    let after = whole();
    for list in [after.await.unwrap(), before.await.unwrap()] {
        assert!(!list.limited);
        assert_eq!(list.projects.len(), 2, "{list:?}");
    }
    tokio::time::sleep(MINUTE).await;
    assert_eq!(whole().await.unwrap().projects.len(), 2);
}
