//! Parts that objects of several kinds have on the wire, each of any shape.

use serde::Deserialize;

use crate::kubernetes::Text;

/// A reference to an object by its name.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    pub(super) name: Text,
}

/// A condition.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    pub(super) r#type: Text,
    pub(super) status: Text,
    pub(super) reason: Text,
}
