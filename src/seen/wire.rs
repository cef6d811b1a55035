//! Parts that objects of several kinds have on the wire, each of any shape.

use std::num::NonZeroU64;

use serde::Deserialize;

use crate::kubernetes::{Maybe, Text, mark};

/// A reference to an object by its name.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    pub(super) name: Text,
}

/// The status, as far as it says which installation looks after the object.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Marked {
    pub(super) installation: Maybe<Named>,
}

impl Maybe<Named> {
    /// What stands for the name.
    pub(super) fn mark(&self) -> Option<NonZeroU64> {
        self.0.name.0.as_deref().map(mark)
    }
}

/// A condition.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    pub(super) r#type: Text,
    pub(super) status: Text,
    pub(super) reason: Text,
}
