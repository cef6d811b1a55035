//! A secret on its way from a body into its wrapper: our own copy is cleared from memory, and not shown.
//! Buffers of the parser and the network are not ours to clear.

use std::ops::Deref;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A secret in clear.
pub(in super::super) struct Clear(Zeroizing<String>);

impl Deref for Clear {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Clear {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl From<String> for Clear {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}
