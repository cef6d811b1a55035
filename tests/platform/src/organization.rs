//! Organizations, their plans and their members.

use std::collections::BTreeSet;

/// A subscription plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Two active projects per user, pausing allowed.
    Free,
    /// Paid.
    Pro,
    /// Paid.
    Team,
    /// Paid.
    Enterprise,
}

impl Plan {
    /// The word used on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Team => "team",
            Self::Enterprise => "enterprise",
        }
    }

    /// Whether each project costs money.
    pub const fn is_paid(self) -> bool {
        !matches!(self, Self::Free)
    }
}

/// An organization.
#[derive(Clone, Debug)]
pub struct Organization {
    /// Its slug, also its id.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Its plan.
    pub plan: Plan,
    /// The names of its members; all are owners.
    pub members: BTreeSet<String>,
}

/// A person with an account.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) name: String,
}
