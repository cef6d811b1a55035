//! What this process remembers of Auth settings between reconciles. Nothing here is needed for being right.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::api::ObjectKey;
use crate::controller::Schedule;

/// What is remembered of one object.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    uid: String,
    /// When settings are read, and what came of writes.
    pub schedule: Schedule,
    /// What tells whether a secret has changed.
    pub secrets: Option<String>,
}

/// A memo for each object until that is gone.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<ObjectKey, Memo>>);

impl Memory {
    /// What is remembered of an object; nothing of an earlier one of its name.
    pub fn recall(&self, key: &ObjectKey, uid: &str) -> Memo {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(key).filter(|memo| memo.uid == uid).cloned();
        known.unwrap_or_else(|| Memo { uid: uid.to_owned(), ..Memo::default() })
    }

    /// What is remembered of an object from now on.
    pub fn keep(&self, key: &ObjectKey, memo: Memo) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), memo);
    }

    /// Changes what is remembered of an object. What was remembered of an earlier one of its name is forgotten.
    pub fn note<T>(&self, key: &ObjectKey, uid: &str, change: impl FnOnce(&mut Memo) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let memo = all.entry(key.clone()).or_default();
        if memo.uid != uid {
            *memo = Memo { uid: uid.to_owned(), ..Memo::default() };
        }
        change(memo)
    }

    /// What was found of an object's settings is not in its status.
    pub fn unsaid(&self, key: &ObjectKey) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(memo) = all.get_mut(key) {
            memo.schedule.unsaid();
        }
    }

    /// An object is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
