//! What consents have given: which pair is to be taken into the token store, and what is to be swept. PURE.

use jiff::Timestamp;

use crate::connection::facts::Observed;
use crate::session::token_store::{Entry, StateRead, TokenState};

/// What must stay of the grants Secret; nothing if all of it must.
pub fn sweep(observed: &Observed, now: Timestamp) -> Option<Vec<Entry>> {
    let granted = observed.grants.as_ref()?;
    let empty = TokenState::default();
    let state = match &observed.state {
        StateRead::Ours(state, _) => state,
        StateRead::Absent | StateRead::Foreign | StateRead::Damaged(_) => &empty,
    };
    let entries = &granted.read.entries;
    let mut swept = false;
    let mut kept = Vec::new();
    for entry in entries {
        let held = granted.is_held(entry, state);
        swept |= held;
        let entry = Entry { pair: entry.pair.clone().filter(|_| !held), ..entry.clone() };
        if entry.pair.is_some() || !entry.is_over(now) {
            kept.push(entry);
        }
    }
    // A Secret without an entry has nothing to keep either.
    (swept || kept.len() < entries.len() || entries.is_empty()).then_some(kept)
}
