//! What this process remembers of projects between passes. Nothing here is needed for being right: it saves
//! calls and writes, and a new process begins without it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What is remembered of one object.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    /// Since when an open attempt of another process is known.
    pub foreign_since: Option<Duration>,
    /// A refusal: for which generation, and until when no create call is made again.
    pub refused: Option<(Option<i64>, Duration)>,
    /// A name that was taken: for which generation, and until when renaming is not tried again.
    pub name_taken: Option<(Option<i64>, Duration)>,
    /// The name that was given, and when.
    pub renamed: Option<(String, Duration)>,
    /// When the last pause or restore was asked for.
    pub powered_at: Option<Duration>,
    /// When our DELETE was accepted.
    pub delete_accepted: Option<Duration>,
    /// When our last create call was over.
    pub posted_at: Option<Duration>,
    /// An attempt that was recorded, perhaps, and certainly not sent.
    pub unsent: Option<i64>,
    /// When keys and endpoints are due to be compared with the outputs.
    pub drift_due: Option<Duration>,
}

/// All memos, by UID.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<String, Memo>>);

impl Memory {
    /// What is remembered of an object.
    pub fn recall(&self, uid: &str) -> Memo {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(uid)
            .cloned()
            .unwrap_or_default()
    }

    /// Changes what is remembered.
    pub fn note<T>(&self, uid: &str, change: impl FnOnce(&mut Memo) -> T) -> T {
        let mut memos = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(memos.entry(uid.to_owned()).or_default())
    }

    /// Forgets an object.
    pub fn forget(&self, uid: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
    }
}
