//! What a reconcile leaves in the memory of this process: which tokens the connection holds, the app that was read, an open
//! marker, and since when something is missing. Nothing waits, no call is made, nothing is written.
//!
//! Tokens are noted before it is asked who else holds them: of two connections with one seed at least one learns of the other
//! before either spends it.

use std::collections::BTreeSet;

use kube::ResourceExt as _;

use super::Connections;
use super::facts::{Credentials, Observed, Read, Seed};
use crate::api::connection::Connection;
use crate::api::{ObjectKey, annotations};
use crate::session::token_store::{Holder, StateRead};
use crate::session::{ConnectionId, Session};

/// Remembers what was observed, and adds to it what this teaches.
pub(super) fn remember<C: Connection>(room: &Connections<C>, object: &C, observed: &mut Observed) {
    let id = ConnectionId::new(<C as Connection>::KIND, &ObjectKey::of(object));
    let session = room.sessions.open(&id);
    if let Credentials::OAuth { app, seed } = &observed.credentials {
        if let Read::There(app) = app {
            session.remember_app(app);
        }
        observed.shared = hold(room, object, &id, &observed.state, seed);
    }
    note(room, object, &session, observed);
    observed.memory = session.memory();
}

/// Notes what the connection holds, and tells whether another one has the better right to its seed.
fn hold<C: Connection>(
    room: &Connections<C>,
    object: &C,
    id: &ConnectionId,
    state: &StateRead,
    seed: &Read<Seed>,
) -> bool {
    let stored = match state {
        StateRead::Ours(state, _) => state.digests().map(str::to_owned).collect(),
        StateRead::Absent | StateRead::Foreign | StateRead::Damaged(_) => BTreeSet::new(),
    };
    let seed = match seed {
        Read::There(seed) => seed.refresh.as_ref().map(|token| token.digest.clone()),
        Read::NotNamed | Read::Bad(_) => None,
    };
    let holder = Holder {
        uid: object.uid().unwrap_or_default(),
        created: object.creation_timestamp().map(|time| time.0),
        stored,
        seed: seed.clone(),
        ..Holder::default()
    };
    let mut index = room.sessions.index();
    index.note(id, holder);
    // Before the index is complete, nothing is safe to be sent.
    seed.is_some_and(|seed| index.has_rival(id, &seed) || !room.sessions.has_taken_over())
}

fn note<C: Connection>(room: &Connections<C>, object: &C, session: &Session, observed: &Observed) {
    let now = room.sessions.gateway().uptime();
    let marker = match &observed.state {
        StateRead::Ours(state, _) => state.marker.clone(),
        StateRead::Absent | StateRead::Foreign | StateRead::Damaged(_) => None,
    };
    let missing = match &observed.credentials {
        Credentials::Pat(read) => matches!(read, Read::Bad(_)),
        Credentials::OAuth { app, seed } => {
            matches!(app, Read::Bad(_)) || matches!(seed, Read::Bad(_))
        }
    };
    let asked = annotations::requested(object);
    let handled =
        Connection::status(object).and_then(|status| status.last_handled_reconcile_at.as_ref());
    session.remember(|memory| {
        if observed.looked_for_grants {
            memory.has_grants = observed.grants.is_some();
        }
        memory.saw_marker(marker.as_ref(), now);
        memory.missing_since = missing.then(|| memory.missing_since.unwrap_or(now));
        if asked.is_some() && asked.as_ref() != handled && asked != memory.requested {
            memory.requested = asked;
            memory.doubt();
        }
    });
}
