//! Which of reading and writing is allowed: the strictest word of all objects that have one.

use crate::api::settings::{DriftPolicy, ManagementPolicy};

/// What may be done about differences, the strictest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// Nothing: neither read nor written.
    Suspended,
    /// They are reported.
    Observe,
    /// They are reported; changes of the declaration are written, once.
    Report,
    /// They are corrected.
    Correct,
}

impl Policy {
    /// What one object says.
    pub const fn of(suspend: bool, management: ManagementPolicy, drift: DriftPolicy) -> Self {
        match (suspend, management, drift) {
            (true, _, _) => Self::Suspended,
            (false, ManagementPolicy::Observe, _) => Self::Observe,
            (false, ManagementPolicy::Full, DriftPolicy::Report) => Self::Report,
            (false, ManagementPolicy::Full, DriftPolicy::Correct) => Self::Correct,
        }
    }

    /// What both say.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }

    /// Whether anything may be written.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Report | Self::Correct)
    }
}
