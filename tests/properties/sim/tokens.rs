//! What becomes of refresh tokens: that one which the platform would take is stored at every instant, outside of the
//! window between a token call and the storing of its answer; and which were sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use supabase_operator::rules::clock::Clock as _;

use super::scene::Scene;

#[derive(Debug, Default)]
pub struct Tokens {
    /// A token call was carried out, and its answer is not stored yet.
    window: bool,
    /// A process died while the window was open.
    pub died_in_window: bool,
    pub violations: Vec<String>,
    /// Refresh tokens in the order in which they were sent.
    pub sent: Vec<String>,
}

/// Of one scene.
pub struct Watched<'a> {
    pub scene: &'a Scene,
    pub state: &'a Arc<Mutex<Tokens>>,
}

impl<'a> Watched<'a> {
    pub fn seen(&self) -> MutexGuard<'a, Tokens> {
        self.state.lock().unwrap()
    }

    /// Looks whether what must hold at every instant holds.
    pub fn look(&self) {
        let kept = self.keeps_one();
        let mut tokens = self.seen();
        if kept {
            tokens.window = false;
        } else if !tokens.window && !tokens.died_in_window {
            tokens.violations.push(format!("none is stored at {}", self.scene.clock.now()));
        }
    }

    /// Whether a refresh token that the platform would take is stored anywhere.
    fn keeps_one(&self) -> bool {
        let acceptable = self.scene.world().acceptable_refresh_tokens();
        let server = self.scene.api();
        let decode = |text: &str| {
            let bytes = STANDARD.decode(text).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let mut stored = server
            .all("secrets")
            .filter_map(|secret| secret["data"]["refresh_token"].as_str())
            .map(decode);
        stored.any(|token| acceptable.contains(&token))
    }

    /// A token call is on its way, and arrives.
    pub fn sends(&self, form: &[u8], arrives: bool) {
        self.look();
        let form: BTreeMap<String, String> =
            url::form_urlencoded::parse(form).into_owned().collect();
        if let Some(token) = form.get("refresh_token").filter(|_| arrives) {
            self.seen().sent.push(token.clone());
        }
    }

    /// The platform has carried it out.
    pub fn carried_out(&self) {
        self.seen().window = true;
        self.look();
    }

    /// A process has died.
    pub fn died(&self) {
        let mut tokens = self.seen();
        tokens.died_in_window |= tokens.window;
    }
}
