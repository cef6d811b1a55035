//! Who is told what becomes of sessions. Separate, since sessions know nothing of what stands on them.

use super::id::ConnectionId;
use crate::management::Organization;

/// Told by sessions, under none of their locks.
pub trait Listener: Send + Sync {
    /// A credential of another chain is in use: what the one before has seen, and when, says nothing.
    fn replaced(&self, id: &ConnectionId);

    /// A session has learned how its connection stands, and which organizations it sees. `changed` says whether whoever
    /// stands on it must look.
    fn learned(&self, id: &ConnectionId, seen: &[Organization], changed: bool);

    /// A connection is gone.
    fn closed(&self, id: &ConnectionId);
}
