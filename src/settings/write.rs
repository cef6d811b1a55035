//! One write: which groups it sets or takes back, and the record of what the platform has accepted. PURE.

use crate::api::settings::{Applied, LONGEST_PATH, MOST_APPLIED};

/// One write: groups of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The order that its groups have.
    pub order: u8,
    /// Those of this order that can go now.
    pub groups: Vec<Piece>,
}

/// A group within a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The group.
    pub path: String,
    /// Whether it is taken back instead of set.
    pub take_back: bool,
    /// Whether it had been as declared.
    pub correction: bool,
    /// The secrets to send along, by their place in the spec: the platform has others, or shows none and ours changed.
    pub secrets: Vec<String>,
    /// The group that it waited for.
    pub(super) after: Option<&'static str>,
    /// The digest of what is set; empty where it is taken back.
    pub(super) digest: String,
}

impl Write {
    /// Whether a group is part of it, to be set.
    pub fn sets(&self, path: &str) -> bool {
        self.groups.iter().any(|piece| piece.path == path && !piece.take_back)
    }

    /// Whether a secret is to be sent.
    pub fn sends(&self, secret: &str) -> bool {
        self.groups.iter().any(|piece| piece.secrets.iter().any(|path| path == secret))
    }

    /// Its places, for an event and a log line. Never a value.
    pub fn paths(&self) -> String {
        let paths: Vec<_> = self.groups.iter().map(|piece| piece.path.as_str()).collect();
        paths.join(", ")
    }

    /// Keeps in the record what the platform has accepted.
    pub fn record(&self, applied: &mut Vec<Applied>) {
        for piece in &self.groups {
            if piece.take_back {
                applied.retain(|known| known.path != piece.path);
            } else {
                remember(applied, &piece.path, &piece.digest);
            }
        }
    }
}

pub(super) fn remember(applied: &mut Vec<Applied>, path: &str, digest: &str) {
    if let Some(known) = applied.iter_mut().find(|known| known.path == path) {
        digest.clone_into(&mut known.digest);
    } else if applied.len() < MOST_APPLIED && path.len() <= LONGEST_PATH {
        applied.push(Applied { path: path.to_owned(), digest: digest.to_owned() });
    }
}
