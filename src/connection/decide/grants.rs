//! What consents have given: which pair is to be taken into the token store, and what is to be swept. PURE.

use jiff::Timestamp;

use crate::connection::facts::{Granted, Observed};
use crate::session::token_store::{Entry, StateRead, TokenState};

/// The newest pair that is not in the token store yet.
pub fn offered<'a>(granted: &'a Granted, state: &TokenState) -> Option<&'a Entry> {
    granted
        .read
        .entries
        .iter()
        .filter(|entry| entry.pair.is_some() && !is_held(granted, entry, state))
        .max_by_key(|entry| entry.ends_at)
}

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
        let held = is_held(granted, entry, state);
        swept |= held;
        let entry = Entry { pair: entry.pair.clone().filter(|_| !held), ..entry.clone() };
        if entry.pair.is_some() || !entry.is_over(now) {
            kept.push(entry);
        }
    }
    // A Secret without an entry has nothing to keep either.
    (swept || kept.len() < entries.len() || entries.is_empty()).then_some(kept)
}

/// Whether a pair has come into the token store: it is in use, or was used up.
fn is_held(granted: &Granted, entry: &Entry, state: &TokenState) -> bool {
    let digest = granted.refresh.get(&entry.flow);
    digest.is_some_and(|digest| state.digests().any(|known| known == digest))
}
