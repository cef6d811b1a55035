//! The server's memory, for assertions.

use http::Method;
use jiff::Timestamp;
use serde_json::Value;

/// Everything asked and everything written.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    seen: Vec<Seen>,
    writes: Vec<Write>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub at: Timestamp,
    /// Its method.
    pub method: Method,
    /// Its path.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
}

/// What was done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// It was created.
    Create,
    /// It was changed.
    Update,
    /// Its status was changed.
    UpdateStatus,
    /// Its deletion was asked for; finalizers hold it.
    Delete,
    /// It went.
    Remove,
}

/// One change of what is stored. Requests that change nothing make none.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// When.
    pub at: Timestamp,
    /// What was done.
    pub verb: Verb,
    /// The kind's plural name.
    pub resource: String,
    /// The namespace, if the kind has one.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// The object before.
    pub before: Option<Value>,
    /// The object after.
    pub after: Option<Value>,
    /// Whether a test did it by hand.
    pub by_hand: bool,
}

impl Ledger {
    /// Every request, oldest first.
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Every change, oldest first.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The changes that came over the API, of a kind given by its plural name.
    pub fn writes_of<'a>(&'a self, resource: &'a str) -> impl Iterator<Item = &'a Write> {
        self.writes.iter().filter(move |write| !write.by_hand && write.resource == resource)
    }

    pub(crate) fn see(&mut self, seen: Seen) {
        self.seen.push(seen);
    }

    pub(crate) fn write(&mut self, write: Write) {
        self.writes.push(write);
    }
}
