//! Taking away what is not needed any more: grants that are in the token store or may not come into it, and everything when
//! the connection goes.

use tracing::{info, warn};

use super::{Done, Executor, app};
use crate::api::connection::Connection;
use crate::connection::decide;
use crate::connection::facts::{Credentials, Observed, Origin, Read};
use crate::connection::report::Source;
use crate::controller::Note;
use crate::management::{Error, Withheld, revoke};
use crate::session::Identity;
use crate::session::token_store::StateRead;

impl<C: Connection> Executor<'_, C> {
    /// Takes what a consent has given out of the grants Secret. It is not revoked: that would end what the app may do
    /// in that organization for everybody.
    pub(super) async fn discard(&mut self, observed: &mut Observed) -> Done {
        let Credentials::OAuth { seed: Read::There(seed), .. } = &observed.credentials else {
            return Done::Learned;
        };
        let Origin::Consent { flow, .. } = seed.origin.clone() else {
            return Done::Learned;
        };
        warn!(connection = %self.id, "a consent for an organization that is not admitted was discarded");
        if let Err(error) = self.room.grants(self.object).put(&flow, None).await {
            return self.not_written(&error);
        }
        self.notes.push(Note::warning(
            "ConsentDiscarded",
            "somebody consented for an organization that this connection does not admit; the tokens were discarded",
        ));
        // What the seed Secret offers is read with the next reconcile.
        if let Some(granted) = &mut observed.grants {
            granted.refresh.remove(&flow);
            for entry in &mut granted.read.entries {
                if entry.flow == flow {
                    entry.pair = None;
                }
            }
        }
        if let Credentials::OAuth { seed, .. } = &mut observed.credentials {
            *seed = Read::NotNamed;
        }
        Done::Learned
    }

    pub(super) async fn sweep(&self, observed: &mut Observed) -> Done {
        let now = self.room.clock.now();
        let Some((kept, granted)) = decide::sweep(observed, now).zip(observed.grants.as_ref())
        else {
            return Done::Learned;
        };
        if let Err(error) = self.room.grants(self.object).keep(&granted.read, &kept).await {
            return self.not_written(&error);
        }
        // What is there now is read with the next reconcile.
        observed.grants = None;
        Done::Learned
    }

    /// Ends what the app may do in the organization. Whatever comes of it, the connection goes.
    pub(super) async fn revoke(&mut self, observed: &mut Observed) -> Done {
        self.session.remember(|memory| memory.revoked = true);
        observed.memory.revoked = true;
        let (Some(app), Some(token)) = (app(observed), decide::refresh_of(observed, Source::State))
        else {
            return Done::Learned;
        };
        let gateway = self.room.sessions.gateway();
        let call = revoke(&app.app, &token.value);
        let client = Identity::of_client(app, &self.id);
        let tenant = self.id.namespace.as_deref().unwrap_or_default();
        let admitted = if gateway.refused_until(&self.id).is_some() {
            Err(Error::Withheld(Withheld::Resting))
        } else {
            gateway.admit(&client, tenant, call.scope(), call.endpoint()).await
        };
        let outcome = match admitted {
            Ok(permit) => gateway.exchange(permit, &call, None).await.outcome,
            Err(error) => Err(error),
        };
        if matches!(outcome, Err(Error::Unauthorized | Error::Rejected { .. } | Error::NotFound)) {
            gateway.refused(&self.id);
        }
        self.notes.push(match outcome {
            Ok(_) => {
                info!(connection = %self.id, "the authorization was revoked");
                Note::normal("Revoked", "the app's access to the organization was ended")
            }
            Err(error) => {
                warn!(
                    connection = %self.id,
                    error = &error as &dyn std::error::Error,
                    "the authorization could not be revoked"
                );
                Note::warning(
                    "RevocationFailed",
                    "the app's access could not be ended; if nothing else in the organization uses the app, take it away in \
                     the organization's settings",
                )
            }
        });
        Done::Learned
    }

    /// Removes the Secrets of a connection that goes.
    pub(super) async fn clean(&self, observed: &mut Observed) -> Done {
        let store = self.room.store(self.object);
        if let Some(secret) = observed.state_secret()
            && let Err(error) = store.remove(secret).await
        {
            return self.not_written(&error);
        }
        if let Some(granted) = &observed.grants
            && let Err(error) = self.room.grants(self.object).keep(&granted.read, &[]).await
        {
            return self.not_written(&error);
        }
        observed.grants = None;
        observed.state = StateRead::Absent;
        Done::Learned
    }
}
