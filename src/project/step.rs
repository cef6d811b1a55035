//! What a reconcile of a project may do, as plain values.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::controller::StepName;
use crate::management::ListedProject;
use crate::settings;

/// What a reconcile may do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Make the password Secret, record the attempt, send the create call, store the ref.
    Create(CreateRequest),
    /// Store a ref: of an attempt of ours, or of a project that is adopted.
    Claim(Claim),
    /// Give the project another name.
    Rename(String),
    /// Wake it.
    Restore,
    /// The project is put to sleep; its data stays.
    Pause,
    /// Put the password back into its Secret; the platform has it already.
    KeepPassword(PasswordSource),
    /// Give the database a new password.
    ResetPassword,
    /// Write declared settings.
    ApplySettings(settings::Write),
    /// Write and prune outputs.
    WriteOutputs,
    /// Delete the project on the platform.
    Delete,
    /// Leave the password Secret behind, labelled, or remove it; then let the object go.
    Release(Release),
}

impl StepName for Step {
    fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Claim(_) => "claim",
            Self::Rename(_) => "rename",
            Self::Restore => "restore",
            Self::Pause => "pause",
            Self::KeepPassword(_) => "keep_password",
            Self::ResetPassword => "reset_password",
            Self::ApplySettings(_) => "apply_settings",
            Self::WriteOutputs => "write_outputs",
            Self::Delete => "delete",
            Self::Release(_) => "let_go",
        }
    }
}

/// A create call to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRequest {
    /// The name it carries.
    pub name: String,
    /// The slug of the organization.
    pub organization: String,
    /// The number of the attempt.
    pub number: i64,
    /// The platform's clock when the list without the name began.
    pub listed_at: Timestamp,
    /// How long ago that was when the call was decided.
    pub age: Duration,
    /// Our uptime at that decision.
    pub decided: Duration,
}

/// A ref to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The ref.
    pub reference: String,
    /// The slug of the organization.
    pub organization: String,
    /// The name it has now.
    pub name: String,
    /// The region, if it is known.
    pub region: Option<String>,
    /// Whether it comes from an attempt of this object; otherwise it is adopted.
    pub own: bool,
}

impl Claim {
    /// That of a project as it is listed.
    pub fn of(listed: &ListedProject, organization: &str, own: bool) -> Self {
        Self {
            reference: listed.reference.to_string(),
            organization: organization.to_owned(),
            name: listed.name.clone(),
            region: listed.region.clone(),
            own,
        }
    }
}

/// Where a password that is put back comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordSource {
    /// One of our outputs, or the supplied Secret, with the digest that is recorded.
    Recovered,
    /// The supplied Secret, for a project that was adopted.
    Supplied,
    /// A password Secret of an earlier object of the same project.
    Retained,
    /// It is in its Secret; only the ref is not recorded there yet.
    Kept,
}

/// What becomes of the password Secret when the object goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// It stays, labelled with the ref.
    Keep(String),
    /// It goes: the project is gone or never was.
    Remove,
    /// It stays as it is: something may have been left behind.
    LeaveAlone,
}
