//! Which connection holds which refresh token, by digests: two that hold the same would kill each other.
//!
//! PURE. Complete since this process took over, before any token is sent, but for connections whose Secrets could not be
//! read then; they are named.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
    fn holds(&self, digest: &str) -> bool {
        self.stored.contains(digest) || self.claimed.iter().any(|claimed| claimed == digest)
    }
}

/// What every connection holds, by connection: grows with their number, and by a bounded number of digests each.
#[derive(Clone, Debug, Default)]
pub struct Index(BTreeMap<ConnectionId, Holder>);

impl Index {
    /// Notes what a connection holds now. What it has claimed stays claimed as long as it is the same object.
    pub fn note(&mut self, id: &ConnectionId, mut holder: Holder) {
        if let Some(before) = self.0.get(id).filter(|before| before.uid == holder.uid) {
            holder.claimed.clone_from(&before.claimed);
        }
        self.0.insert(id.clone(), holder);
    }

    /// A connection is gone.
    pub fn forget(&mut self, id: &ConnectionId) {
        self.0.remove(id);
    }

    /// Whether another connection has the better right to a refresh token: it has stored it, or it is older and
    /// has it in its seed.
    pub fn has_rival(&self, id: &ConnectionId, digest: &str) -> bool {
        let rank = |holder: &Holder| (holder.created, holder.uid.clone());
        let own = self.0.get(id).map(rank);
        self.0.iter().filter(|(other, _)| *other != id).any(|(_, other)| {
            other.holds(digest) || other.seed.as_deref() == Some(digest) && Some(rank(other)) < own
        })
    }

    /// Claims a refresh token that is about to be used. False if another connection has the better right.
    pub fn claim(&mut self, id: &ConnectionId, digest: &str) -> bool {
        if self.has_rival(id, digest) {
            return false;
        }
        let claimed = &mut self.0.entry(id.clone()).or_default().claimed;
        claimed.retain(|known| known != digest);
        claimed.push_back(digest.to_owned());
        if claimed.len() > CHAIN {
            claimed.pop_front();
        }
        true
    }

    /// Whether a connection with this UID exists.
    pub fn lives(&self, uid: &str) -> bool {
        self.0.values().any(|holder| holder.uid == uid)
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
        let held = index.0.get(&id("x")).unwrap();
        assert_eq!(held.stored.len() + held.claimed.len(), CHAIN);
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
