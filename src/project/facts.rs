//! Plain values between observing, deciding and performing. No I/O, no logic beyond small questions.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use secrecy::SecretString;

use super::memory::Memo;
use super::settings::Answers;
use crate::api::{Endpoint, ObjectKey, Output, OutputKind, OutputValue};
use crate::controller::Note;
pub use crate::controller::Problem;
pub use crate::inventory::{ListedState, Presence, ProjectList, Unreadable};
use crate::management::{Error, Project, ProjectRef, ServiceHealth};
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

/// Something that is read for a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The connection, and the organization that it leads to.
    Connection,
    /// The password Secret.
    Password,
    /// The password that the spec names.
    SuppliedPassword,
    /// The last list of an organization, if it is of the last minute.
    RecentList { organization: String },
    /// A whole list of an organization that began after the object asked for one.
    WholeList { organization: String },
    /// Which other object carries a ref.
    Holder(ProjectRef),
    /// What the shared list says of a project.
    Presence { organization: String, reference: ProjectRef },
    /// The project itself.
    Project(ProjectRef),
    /// What stands where outputs belong.
    Outputs,
    /// Health of the services.
    Health(ProjectRef),
    /// The declared settings, if they are due.
    Settings(ProjectRef),
    /// Keys and endpoints; `all` adds the database's own host.
    Keys { reference: ProjectRef, all: bool },
}

/// Everything that a reconcile of a project has read.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with its own name")]
pub struct Observed {
    /// What was read, in this order.
    pub done: Vec<Read>,
    /// What this process remembers of the object, and will once this is observed.
    pub memo: Memo,
    /// A random name of this process, by which it knows its own create calls.
    pub process: String,
    /// The connection.
    pub link: Link,
    /// Whether there is a session to call the platform with.
    pub connected: bool,
    /// The organization: the recorded one, else the one that spec and connection give.
    pub organization: Result<String, Problem>,
    /// A list; only while there is no ref, or where the project is gone.
    pub listing: Option<Result<Listing, Error>>,
    /// Whether this operator has given the wanted name away since that list began.
    pub name_given: bool,
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
    /// How long until they are due, where they were not read; none where none is declared.
    pub settings_again: Option<Duration>,
    /// Whether keys and endpoints are due to be compared with the outputs.
    pub keys_due: bool,
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
