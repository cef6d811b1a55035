//! What a refusal says about a credential, and what it does not: a right that one call lacks, scopes that are lost.

use serde_json::json;
use simulated_platform::{Config, Pat, Permissions, TokenMode};
use supabase_operator::management::{
    Error, READS_SECRET_KEYS, api_keys, organizations, shown_api_keys,
};
use supabase_operator::session::Ability;

use super::{HOUR, MINUTE, SECOND};
use crate::sim::{Play, simulate};

#[test]
fn that_secret_keys_are_forbidden_says_nothing_about_the_list_of_keys() {
    simulate(async || {
        let play = Play::new(Config::instant());
        let blind = Permissions { write: true, without: [READS_SECRET_KEYS.to_owned()].into() };
        let token = play.world().add_pat(Pat::for_organizations(&["acme"], blind));
        let now = play.now();
        let reference = play.world().add_foreign_project("acme", "orders", now);
        let reference = reference.parse().unwrap();
        play.secret("pat", &[("token", &token)]);
        let auth =
            json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}});
        play.connection("acme", &auth);
        let process = play.live(play.start(), MINUTE).await.unwrap();
        let session = process.session("acme");

        let refused = session.send("team-a", &api_keys(&reference)).await;
        assert!(matches!(refused, Err(Error::Forbidden { .. })), "{refused:?}");
        assert_eq!(session.capabilities().get(Ability::ReadKeys), None);
        let shown = session.send("team-a", &shown_api_keys(&reference)).await;
        let keys = shown.unwrap().value;
        // Masked values are none.
        let clear = keys.iter().filter(|key| key.value.is_some()).count();
        assert_eq!((keys.len(), clear), (4, 3), "{keys:?}");
        assert_eq!(session.capabilities().get(Ability::ReadKeys), Some(true));
        // It was a right that was missing, not a token.
        let _process = play.live(process, MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
    });
}

#[test]
fn lost_scopes_are_told_as_soon_as_any_call_meets_them() {
    simulate(async || {
        let play = Play::with_tokens(TokenMode::Strict, HOUR);
        play.seed("acme", &play.authorize().refresh_token);
        play.oauth("acme");
        let process = play.live(play.start(), MINUTE).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
        let (session, refreshed) = (process.session("acme"), play.token_calls());
        let app = play.app();
        play.world().lose_scopes(&app, "acme", true);

        let refused = session.send("team-a", &organizations()).await.unwrap_err();
        assert!(refused.is_scopes_lost(), "{refused}");
        let process = play.live(process, SECOND * 10).await.unwrap();
        assert_eq!(play.ready("acme"), "False/ReauthorizationRequired");
        assert!(play.message("acme").contains("scopes"), "{}", play.message("acme"));
        // Another token of the authorization would have no scopes either.
        assert_eq!(play.token_calls(), refreshed);

        play.world().lose_scopes(&app, "acme", false);
        let _process = play.live(process, HOUR / 4).await.unwrap();
        assert_eq!(play.ready("acme"), "True/Authenticated");
    });
}
