//! Spending a refresh token, and what its end means for the next look.

use std::time::Duration;

use super::{Done, Executor, Pause, failed, state};
use crate::api::Reason;
use crate::api::connection::Connection;
use crate::connection::decide;
use crate::connection::facts::{Credentials, Observed, Read};
use crate::connection::report::Source;
use crate::controller::{Note, Problem, translate_of_credential};
use crate::session::token_store::{RefreshOutcome, RefreshRequest};

/// How long an app that the platform does not know is left alone.
const WRONG_APP: Duration = Duration::from_secs(900);
/// How long the token endpoint is left alone if it does not say, and at most.
pub(super) const THROTTLED: Duration = Duration::from_secs(60);
const THROTTLED_MOST: Duration = Duration::from_secs(300);

impl<C: Connection> Executor<'_, C> {
    pub(super) async fn refresh(&mut self, source: Source, observed: &mut Observed) -> Done {
        let app = match &observed.credentials {
            Credentials::OAuth { app: Read::There(app), .. } => app.clone(),
            Credentials::OAuth { .. } | Credentials::Pat(_) => return Done::Learned,
        };
        let Some(token) = decide::refresh_of(observed, source).cloned() else {
            return Done::Learned;
        };
        if let Some(done) = self.held_up(&token) {
            return done;
        }
        if !self.room.sessions.index().claim(&self.id, &token.digest) {
            observed.shared = true;
            return Done::Learned;
        }
        let request = RefreshRequest {
            store: self.room.store(self.object),
            secret: observed.state_secret().cloned(),
            state: state(observed),
            token,
            from_seed: source == Source::Seed,
            app: app.clone(),
            process: observed.process.clone(),
        };
        let end = self.room.sessions.refresh(&self.session, request).await;
        self.notes.extend(end.as_ref().and_then(refresh_failed));
        if matches!(end, Some(RefreshOutcome::Refused | RefreshOutcome::WrongApp)) {
            self.room.sessions.gateway().refused(&self.id);
        }
        let uptime = self.room.clock.uptime();
        let done = match end {
            Some(RefreshOutcome::Granted | RefreshOutcome::Refused) => Done::Learned,
            Some(RefreshOutcome::WrongApp) => {
                self.session.remember(|memory| {
                    memory.refused_app = Some((app.digest.clone(), uptime + WRONG_APP));
                });
                Done::Learned
            }
            Some(RefreshOutcome::Throttled(wait)) => {
                let wait = wait.unwrap_or(THROTTLED).clamp(Duration::from_secs(1), THROTTLED_MOST);
                self.session.remember(|memory| memory.not_before = Some(uptime + wait));
                Done::Learned
            }
            Some(RefreshOutcome::NotDone(error)) => failed(&error),
            // What became of it is looked into at once.
            Some(RefreshOutcome::Lost(error)) => {
                Done::Failed(translate_of_credential(&error), Pause::None)
            }
            Some(RefreshOutcome::NotMarked(error)) => self.not_written(&error),
            None => Done::Failed(
                Problem::new(Reason::Retrying, "the process is ending"),
                Pause::Growing,
            ),
        };
        self.reread(observed).await.unwrap_or(done)
    }
}

/// What to tell of a refresh that gave no tokens.
fn refresh_failed(end: &RefreshOutcome) -> Option<Note> {
    let message = match end {
        RefreshOutcome::Granted
        | RefreshOutcome::NotDone(_)
        | RefreshOutcome::NotMarked(_)
        | RefreshOutcome::Throttled(_) => return None,
        RefreshOutcome::Refused => "the platform refused the refresh token",
        RefreshOutcome::WrongApp => "the platform does not know the OAuth app",
        RefreshOutcome::Lost(_) => {
            "the answer to a refresh of the tokens was lost; the operator looks into it"
        }
    };
    Some(Note::warning("RefreshFailed", message))
}
