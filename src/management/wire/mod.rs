//! What the API answers, read leniently: unknown fields are ignored, unknown words kept as such, absent
//! things absent. What a decision rests on (refs, names, hosts) is checked.
//!
//! Pure functions from bytes; each takes the scope of its call, so that an answer about something else
//! than was asked is not taken for one.

mod clear;
mod health;
mod keys;
mod loose;
mod names;
mod organization;
mod pooler;
mod project;
mod region;
mod settings;
mod status;

pub use health::{Service, ServiceHealth, ServiceState};
pub use keys::{ApiKey, KeyKind};
pub use names::{BadName, OrganizationSlug, ProjectRef};
pub use organization::Organization;
pub use pooler::{PoolMode, PoolerEntry};
pub use project::{
    CreatedProject, Database, ListedProject, Project, ProjectPage, UnreadableProject,
};
pub use region::Regions;
pub use settings::{
    Change, DataApi, Given, NetworkRestrictions, Setting, Settings, SslEnforcement, is_secret,
};
pub use status::Status;

pub(super) use clear::Clear;
pub(super) use health::health;
pub(super) use keys::api_keys;
pub(super) use names::word;
pub(super) use organization::organizations;
pub(super) use pooler::pooler;
pub(super) use project::{created_project, project, project_page, stub};
pub(super) use region::regions;

pub(super) use settings::{data_api, network_restrictions, settings, ssl_enforcement};

/// A body that is not what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecodable;

impl From<serde_json::Error> for Undecodable {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}

/// For endpoints whose answer says nothing: any body, also none.
#[expect(clippy::unnecessary_wraps, reason = "the signature of all decoders")]
pub(super) fn anything(_: &str, _: &[u8]) -> Result<(), Undecodable> {
    Ok(())
}
