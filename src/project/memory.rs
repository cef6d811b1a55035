//! What this process remembers of projects between reconciles. Nothing here is needed for being right: it saves
//! calls and writes, and a new process begins without it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::api::ObjectKey;
use crate::controller::Schedule;

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
    /// Since when a whole list is waited for.
    pub lists_since: Option<Duration>,
    /// Whether something stood where a Secret was to be made that had not been read, so that all are read from now on.
    pub in_the_way: bool,
    /// How often the marks of the password Secret were put back for a generation and were not there afterwards.
    pub remarked: Option<Box<(Option<i64>, u32)>>,
    /// When our last create call was over.
    pub posted_at: Option<Duration>,
    /// An attempt that was recorded, perhaps, and certainly not sent.
    pub unsent: Option<i64>,
    /// When keys and endpoints are due to be compared with the outputs.
    pub drift_due: Option<Duration>,
    /// When settings are read, and what came of writes.
    pub schedule: Schedule,
}

/// All memos, by UID, and the UID of each object: whoever is gone is known by its name alone.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Memos>);

#[derive(Debug, Default)]
struct Memos {
    /// Boxed: a table has room for twice as many, and a memo is large.
    by_uid: HashMap<String, Box<Memo>>,
    uids: HashMap<ObjectKey, String>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Memos> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of an object from now on. What was remembered of an earlier one of its name is forgotten.
    pub fn keep(&self, key: &ObjectKey, uid: &str, memo: Memo) {
        let mut memos = self.lock();
        memos.by_uid.insert(uid.to_owned(), Box::new(memo));
        let before = memos.uids.insert(key.clone(), uid.to_owned());
        if let Some(before) = before.filter(|before| before != uid) {
            memos.by_uid.remove(&before);
        }
    }

    /// What is remembered of an object.
    pub fn recall(&self, uid: &str) -> Memo {
        self.lock().by_uid.get(uid).map(|memo| (**memo).clone()).unwrap_or_default()
    }

    /// Changes what is remembered.
    pub fn note<T>(&self, uid: &str, change: impl FnOnce(&mut Memo) -> T) -> T {
        change(self.lock().by_uid.entry(uid.to_owned()).or_default())
    }

    /// What was found of an object's settings is not in its status.
    pub fn unsaid(&self, key: &ObjectKey) {
        let mut memos = self.lock();
        let Some(uid) = memos.uids.get(key).cloned() else { return };
        if let Some(memo) = memos.by_uid.get_mut(&uid) {
            memo.schedule.unsaid();
        }
    }

    /// Forgets an object that is gone, however it went.
    pub fn forget(&self, key: &ObjectKey) {
        let mut memos = self.lock();
        if let Some(uid) = memos.uids.remove(key) {
            memos.by_uid.remove(&uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_remembered_of_objects_that_are_gone_however_they_went() {
        let memory = Memory::default();
        let key = |number: u32| ObjectKey::new(Some("team"), &format!("p{}", number % 10));
        for number in 0..1000 {
            let uid = number.to_string();
            memory.keep(&key(number), &uid, Memo::default());
            memory.note(&uid, |memo| memo.posted_at = Some(Duration::ZERO));
            assert!(memory.recall(&uid).posted_at.is_some());
        }
        assert_eq!(memory.lock().by_uid.len(), 10);
        for number in 0..10 {
            memory.forget(&key(number));
        }
        let memos = memory.lock();
        assert!(memos.by_uid.is_empty() && memos.uids.is_empty());
    }
}
