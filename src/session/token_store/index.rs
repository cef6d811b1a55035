//! Which connection holds which refresh token, by digests: two that hold the same would kill each other.
//!
//! PURE. Complete since this process took over, before any token is sent, but for connections whose Secrets could not be
//! read then; they are named.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use jiff::Timestamp;

use super::tokens::CHAIN;
use crate::session::ConnectionId;

/// What one connection holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The connection's UID.
    pub uid: String,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Digests in its state Secret: current, sent, consumed.
    pub stored: BTreeSet<String>,
    /// Digest of the refresh token in its seed Secret.
    pub seed: Option<String>,
    /// What it has claimed in this process, oldest first: as many as its state Secret remembers.
    pub claimed: VecDeque<String>,
}

impl Holder {
    fn digests(&self) -> impl Iterator<Item = &String> {
        self.stored.iter().chain(&self.seed).chain(&self.claimed)
    }

    fn holds(&self, digest: &str) -> bool {
        self.stored.contains(digest) || self.claimed.iter().any(|claimed| claimed == digest)
    }
}

/// What every connection holds, by connection: grows with their number, and by a bounded number of digests each.
#[derive(Clone, Debug, Default)]
pub struct Index {
    connections: BTreeMap<ConnectionId, Holder>,
    /// Who has a digest, in whichever way.
    holders: HashMap<String, BTreeSet<ConnectionId>>,
}

impl Index {
    /// Notes what a connection holds now. What it has claimed stays claimed as long as it is the same object.
    pub fn note(&mut self, id: &ConnectionId, mut holder: Holder) {
        if let Some(before) = self.take(id).filter(|before| before.uid == holder.uid) {
            holder.claimed = before.claimed;
        }
        self.put(id, holder);
    }

    /// A connection is gone.
    pub fn forget(&mut self, id: &ConnectionId) {
        self.take(id);
    }

    fn take(&mut self, id: &ConnectionId) -> Option<Holder> {
        let holder = self.connections.remove(id)?;
        for digest in holder.digests() {
            if let Some(holders) = self.holders.get_mut(digest) {
                holders.remove(id);
                if holders.is_empty() {
                    self.holders.remove(digest);
                }
            }
        }
        Some(holder)
    }

    fn put(&mut self, id: &ConnectionId, holder: Holder) {
        for digest in holder.digests() {
            self.holders.entry(digest.clone()).or_default().insert(id.clone());
        }
        self.connections.insert(id.clone(), holder);
    }

    /// Whether another connection has the better right to a refresh token: it has stored it, or it is older and
    /// has it in its seed.
    pub fn has_rival(&self, id: &ConnectionId, digest: &str) -> bool {
        let rank = |holder: &Holder| (holder.created, holder.uid.clone());
        let own = self.connections.get(id).map(rank);
        let others = self.holders.get(digest).into_iter().flatten().filter(|other| *other != id);
        others.filter_map(|other| self.connections.get(other)).any(|other| {
            other.holds(digest) || other.seed.as_deref() == Some(digest) && Some(rank(other)) < own
        })
    }

    /// Claims a refresh token that is about to be used. False if another connection has the better right.
    pub fn claim(&mut self, id: &ConnectionId, digest: &str) -> bool {
        if self.has_rival(id, digest) {
            return false;
        }
        let mut holder = self.take(id).unwrap_or_default();
        holder.claimed.retain(|known| known != digest);
        holder.claimed.push_back(digest.to_owned());
        if holder.claimed.len() > CHAIN {
            holder.claimed.pop_front();
        }
        self.put(id, holder);
        true
    }

    /// Whether a connection with this UID exists.
    pub fn lives(&self, uid: &str) -> bool {
        self.connections.values().any(|holder| holder.uid == uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::project::ConnectionKind;

    fn id(name: &str) -> ConnectionId {
        ConnectionId {
            kind: ConnectionKind::SupabaseConnection,
            namespace: Some("team".to_owned()),
            name: name.to_owned(),
        }
    }

    fn holder(uid: &str, created: i64, seed: Option<&str>) -> Holder {
        Holder {
            uid: uid.to_owned(),
            created: Timestamp::from_second(created).ok(),
            stored: BTreeSet::new(),
            seed: seed.map(str::to_owned),
            claimed: VecDeque::new(),
        }
    }

    #[test]
    fn what_a_connection_has_claimed_is_remembered_as_long_as_its_secret_does() {
        let mut index = Index::default();
        for number in 0..1000 {
            index.note(&id("x"), holder("a", 1, None));
            assert!(index.claim(&id("x"), &number.to_string()));
        }
        let held = index.connections.get(&id("x")).unwrap();
        assert_eq!(held.stored.len() + held.claimed.len(), CHAIN);
        assert_eq!(index.holders.len(), CHAIN, "nothing is kept of what was forgotten");
        assert!(index.has_rival(&id("y"), "999") && !index.has_rival(&id("y"), "0"));
    }

    #[test]
    fn of_two_seeds_the_older_connection_wins_then_the_smaller_uid() {
        let mut index = Index::default();
        index.note(&id("young"), holder("a", 2, Some("d")));
        index.note(&id("old"), holder("b", 1, Some("d")));
        assert!(index.has_rival(&id("young"), "d") && !index.has_rival(&id("old"), "d"));
        index.note(&id("young"), holder("a", 1, Some("d")));
        assert!(index.has_rival(&id("old"), "d") && !index.has_rival(&id("young"), "d"));
        index.note(&id("young"), holder("a", 1, Some("other")));
        assert!(!index.has_rival(&id("old"), "d"));
    }

    #[test]
    fn what_is_stored_or_claimed_belongs_to_its_holder_whoever_is_older() {
        let mut index = Index::default();
        index.note(&id("young"), holder("a", 2, Some("d")));
        assert!(index.claim(&id("young"), "d"));
        index.note(&id("old"), holder("b", 1, Some("d")));
        assert!(!index.claim(&id("old"), "d"));
        // Reading the Secret before the claim has reached it must not undo the claim.
        index.note(&id("young"), holder("a", 2, None));
        assert!(!index.claim(&id("old"), "d"));
        assert!(index.lives("a") && index.lives("b"));
        index.forget(&id("young"));
        assert!(index.claim(&id("old"), "d"));
        assert!(!index.lives("a"));
        index.forget(&id("old"));
        assert!(index.connections.is_empty() && index.holders.is_empty());
    }

    #[test]
    fn an_object_of_the_same_name_inherits_no_claim() {
        let mut index = Index::default();
        index.note(&id("x"), holder("a", 1, Some("d")));
        assert!(index.claim(&id("x"), "d"));
        index.note(&id("x"), holder("b", 5, None));
        index.note(&id("y"), holder("c", 6, Some("d")));
        assert!(index.claim(&id("y"), "d"));
    }
}
