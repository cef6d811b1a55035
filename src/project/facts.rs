//! Plain values between observing, deciding and performing. No I/O, no logic beyond small questions.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use secrecy::SecretString;

use super::settings::Answers;
use crate::api::{Endpoint, ObjectKey, Output, OutputKind, OutputValue};
pub use crate::controller::Problem;
use crate::controller::{Note, StepName};
pub use crate::inventory::{ListedState, Presence, ProjectList, Unreadable};
use crate::management::{Error, Project, ServiceHealth};
use crate::outputs::{self, Belonging, Facts, Found, Missing};
pub use crate::parents::Link;
use crate::settings;

/// A whole list of the organization's projects.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// The platform's clock when it began.
    pub date: Timestamp,
    /// Our uptime when it began.
    pub begun: Duration,
    /// All projects, branches included.
    pub projects: Arc<ProjectList>,
    /// What stands on it and cannot be read as a project.
    pub unreadable: Arc<Vec<Unreadable>>,
    /// Whether the credential may see only some.
    pub limited: bool,
}

/// The Secret that keeps the database password.
#[derive(Clone, Debug)]
pub enum FoundPassword {
    /// Not there.
    Missing,
    /// A Secret of its name was read, whoever made it.
    There(Kept),
}

impl FoundPassword {
    /// Whether a new password is noted that the platform has not confirmed.
    pub const fn is_pending(&self) -> bool {
        matches!(self, Self::There(Kept { pending: true, .. }))
    }
}

/// A password Secret that is there.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its metadata, as it was read.
    pub meta: Box<ObjectMeta>,
    /// Whether it is this object's, an earlier one's, or a stranger's.
    pub belonging: Belonging,
    /// Whether the object it belongs to is certainly gone: a live look finds no object of the namespace with its UID.
    pub orphaned: bool,
    /// The ref recorded on it.
    pub reference: Option<String>,
    /// Whether it bears the labels and annotations that it shall.
    pub marked: bool,
    /// Digest of the password in it, if there is a usable one, in the form in which the object records digests.
    pub digest: Option<String>,
    /// The same, bound to the object.
    pub bound: Option<String>,
    /// Whether a new password is noted in it that the platform has not confirmed.
    pub pending: bool,
    /// What is under its key, if a password can be that.
    pub password: Option<SecretString>,
}

/// The password that the user supplies.
#[derive(Clone, Debug)]
pub struct Supplied {
    /// By which a change of it is noticed.
    pub digest: String,
    /// What is under the key that the spec names.
    pub password: SecretString,
}

/// An output that is wanted, and what stands there.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The declaration.
    pub output: Output,
    /// What is there.
    pub found: Option<Found>,
    /// Whether we may write it.
    pub writable: bool,
    /// Whether it is exactly what was written last, under the same declaration.
    pub current: bool,
    /// Whether workloads are to be restarted for what it holds, or to be noted as having it.
    pub rolls: bool,
    /// Its digest, where what is recorded is one from before digests were bound to their object.
    pub renewed: Option<String>,
}

/// What became of the workloads that an output names.
#[derive(Clone, Debug, Default)]
pub struct Rolled {
    /// Digest of the content that the workloads have by now.
    pub content: Option<String>,
    /// Why not all of them have the present one.
    pub problem: Option<Problem>,
    /// What is worth an event.
    pub notes: Vec<Note>,
}

/// Keys and endpoints, just read from the platform.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What outputs are made of. Its password is none: that comes from the password Secret.
    pub facts: Facts,
    /// What the credential may not read.
    pub lacking: Vec<Lacking>,
    /// Whether the platform listed no key at all, as it does for a paused project.
    pub no_keys: bool,
    /// What else kept keys or endpoints from being read.
    pub trouble: Option<Error>,
    /// The version of Postgres, if the project itself was read.
    pub postgres_version: Option<String>,
}

/// Something that the credential may not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// What was asked for.
    pub source: Source,
    /// The permissions that it lacks, as the platform calls them.
    pub permissions: Vec<String>,
}

/// Where values of outputs come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The values of secret API keys.
    SecretKeys,
    /// The list of API keys.
    Keys,
    /// The shared pooler's addresses.
    Pooler,
    /// The project itself.
    Project,
}

impl Source {
    /// Whether a value of an output comes from here.
    pub const fn gives(self, value: OutputValue, endpoint: Endpoint) -> bool {
        match value {
            OutputValue::URL
            | OutputValue::ProjectRef
            | OutputValue::DatabasePassword
            | OutputValue::DatabaseCA
            | OutputValue::JWKSURL => false,
            OutputValue::SecretKey => matches!(self, Self::SecretKeys | Self::Keys),
            OutputValue::PublishableKey | OutputValue::AnonKey | OutputValue::ServiceRoleKey => {
                matches!(self, Self::Keys)
            }
            OutputValue::DatabaseURI
            | OutputValue::DatabaseJDBCURL
            | OutputValue::DatabasePassfile
            | OutputValue::DatabaseHost
            | OutputValue::DatabasePort
            | OutputValue::DatabaseName
            | OutputValue::DatabaseUser => match endpoint {
                Endpoint::Direct => matches!(self, Self::Project),
                Endpoint::SessionPooler | Endpoint::TransactionPooler => {
                    matches!(self, Self::Pooler)
                }
            },
        }
    }
}

impl Reading {
    /// What an output lacks that the platform has not given, whatever is known of the password.
    pub fn missing(&self, output: &Output) -> Vec<Missing> {
        let known = Facts { password: Some(SecretString::from("known")), ..self.facts.clone() };
        let mut missing = outputs::render(output, &known).missing;
        // The operator is given it, or nobody is.
        missing.retain(|one| one.value != OutputValue::DatabaseCA);
        missing
    }

    /// What an output lacks that will come by itself: what the credential may not read never does.
    pub fn is_waiting(&self, output: &Output) -> bool {
        self.missing(output).iter().any(|missing| {
            let forbidden = |lack: &Lacking| lack.source.gives(missing.value, missing.endpoint);
            !self.lacking.iter().any(forbidden)
        })
    }
}

/// Declared settings as they were read.
#[derive(Debug)]
pub struct SettingsRead {
    /// What the platform said to each read.
    pub answers: Answers,
    /// What is declared, beside what was read.
    pub groups: Vec<settings::Group>,
    /// What this process remembers of them.
    pub memory: settings::Memory,
    /// How often they are read when all is well.
    pub interval: Duration,
}

/// Everything that a reconcile of a project has read.
#[derive(Debug)]
pub struct Observed {
    /// A random name of this process, by which it knows its own create calls.
    pub process: String,
    /// The connection.
    pub link: Link,
    /// The organization: the recorded one, else the one that spec and connection give.
    pub organization: Result<String, Problem>,
    /// A whole list, begun after the object was read; only while there is no ref.
    pub listing: Option<Result<Listing, Error>>,
    /// Who else carries the ref that this object would take.
    pub holder: Option<ObjectKey>,
    /// Until when no create call is made after a refusal, as long as nothing changes.
    pub hold_off: Option<Duration>,
    /// Whether a rename was refused a short while ago for want of a free name.
    pub name_taken: bool,
    /// For how long this process has known of an open attempt of another process.
    pub foreign_for: Duration,
    /// For how long the last create call of this process has been over.
    pub own_for: Duration,
    /// The number of an attempt of this process that was recorded and certainly not sent.
    pub unsent: Option<i64>,
    /// Whether the connection has not been looked at yet since this process leads.
    pub unsettled: bool,
    /// What the shared list says.
    pub presence: Presence,
    /// Whether that is from before our own last pause or restore, and so proves nothing.
    pub outdated: bool,
    /// Why the shared list fails, if that lasts.
    pub list_trouble: Option<Error>,
    /// The project itself, read by its ref; only where that is needed.
    pub itself: Option<Result<Project, Error>>,
    /// Health of the services; only after the remote status changed.
    pub health: Option<Result<Vec<ServiceHealth>, Error>>,
    /// Keys and endpoints; only where an output needs writing, or they are due to be compared.
    pub reading: Option<Result<Reading, Error>>,
    /// The password Secret.
    pub password: FoundPassword,
    /// The supplied password; none if none is declared.
    pub supplied: Option<Result<Supplied, Problem>>,
    /// A lost password that was found again in one of our outputs or in the supplied Secret.
    pub recovered: Option<SecretString>,
    /// The wanted outputs.
    pub wanted: Vec<Wanted>,
    /// Outputs that were written and are wanted no more.
    pub obsolete: Vec<(OutputKind, String)>,
    /// Declared settings; only where they were read in this reconcile.
    pub settings: Option<SettingsRead>,
    /// How long until they are read again; none where none is declared.
    pub settings_again: Option<Duration>,
    /// How long ago this process's own DELETE was accepted.
    pub delete_accepted: Option<Duration>,
    /// Whether a reconcile was asked for by annotation, and has not been acknowledged.
    pub requested: Option<String>,
    /// How often things that are changing are looked at.
    pub transition_interval: Duration,
    /// How often things at rest are.
    pub rest_interval: Duration,
}

impl Observed {
    /// What stands for the password in the digests of outputs: the digest that is recorded, or is about to be.
    pub fn password_mark<'a>(&'a self, recorded: Option<&'a str>) -> Option<&'a str> {
        let FoundPassword::There(kept) = &self.password else {
            return recorded;
        };
        let matched = recorded.is_some() && kept.digest.as_deref() == recorded;
        kept.bound.as_deref().filter(|_| matched).or(recorded)
    }

    /// The supplied password, if one is declared and it can be used.
    pub fn usable_supplied(&self) -> Option<&Supplied> {
        self.supplied.as_ref()?.as_ref().ok()
    }
}

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
