//! Who is told what becomes of sessions. Separate, since sessions know nothing of what stands on them.

use super::{ConnectionId, Session};

/// Told by sessions, under none of their locks.
pub trait Listener: Send + Sync {
    /// A credential of another chain is in use: what the one before has seen, and when, says nothing.
    fn replaced(&self, id: &ConnectionId);

    /// A session has learned how its connection stands. `changed` says whether whoever stands on it must look.
    fn learned(&self, session: &Session, changed: bool);

    /// A connection is gone.
    fn closed(&self, id: &ConnectionId);
}
