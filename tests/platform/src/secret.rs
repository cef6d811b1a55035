//! A string that never shows itself in debug output.
//!
//! Everything the platform keeps secret is held in this type, so that a failing assertion on a
//! [`crate::World`] cannot print a token.

use std::borrow::Borrow;
use std::fmt;

/// A secret value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

/// The order is that of the value, so that a map can be asked with a plain text.
impl Borrow<str> for Secret {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}
