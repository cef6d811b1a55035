//! One project: its status life cycle and all that belongs to it.
//!
//! Time moves it forward: a change that is due is applied by [`Project::advance`], so the state depends
//! on the time asked about, never on how often it is asked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::auth::Auth;
use crate::clock::later;
use crate::config::Config;
use crate::rules::Sheet;
use crate::secret::Secret;

/// The status of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the platform's own words")]
pub enum Status {
    Unknown,
    ComingUp,
    ActiveHealthy,
    ActiveUnhealthy,
    Pausing,
    Inactive,
    Restoring,
    Restarting,
    Resizing,
    Upgrading,
    Promoting,
    GoingDown,
    Removed,
    InitFailed,
    PauseFailed,
    RestoreFailed,
}

impl Status {
    /// The word used on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::ComingUp => "COMING_UP",
            Self::ActiveHealthy => "ACTIVE_HEALTHY",
            Self::ActiveUnhealthy => "ACTIVE_UNHEALTHY",
            Self::Pausing => "PAUSING",
            Self::Inactive => "INACTIVE",
            Self::Restoring => "RESTORING",
            Self::Restarting => "RESTARTING",
            Self::Resizing => "RESIZING",
            Self::Upgrading => "UPGRADING",
            Self::Promoting => "PROMOTING",
            Self::GoingDown => "GOING_DOWN",
            Self::Removed => "REMOVED",
            Self::InitFailed => "INIT_FAILED",
            Self::PauseFailed => "PAUSE_FAILED",
            Self::RestoreFailed => "RESTORE_FAILED",
        }
    }

    /// Whether the project is being deleted or is deleted.
    pub const fn is_leaving(self) -> bool {
        matches!(self, Self::GoingDown | Self::Removed)
    }

    /// Whether it is up, if perhaps not well.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::ActiveHealthy | Self::ActiveUnhealthy)
    }

    /// Whether it takes one of the owner's free places.
    pub const fn takes_place(self) -> bool {
        !matches!(self, Self::Inactive | Self::Pausing | Self::Removed | Self::InitFailed)
    }
}

/// What becomes of a project that is being created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It becomes active after the configured time.
    #[default]
    Active,
    /// It stays `COMING_UP`.
    Stuck,
    /// It ends as `INIT_FAILED` after the configured time.
    InitFailed,
}

/// A project.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its ref.
    pub reference: String,
    /// Its organization's slug.
    pub organization: String,
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// The instance size.
    pub size: String,
    /// Its status.
    pub status: Status,
    /// When it was created.
    pub created_at: Timestamp,
    /// The parent project, if this is a branch.
    pub branch_of: Option<String>,
    /// Whether the platform knows nothing of it any more.
    pub gone: bool,
    pub(crate) number: u64,
    pub(crate) postgres_engine: String,
    pub(crate) release_channel: String,
    pub(crate) pooler_index: u64,
    pub(crate) change: Option<Change>,
    pub(crate) stuck: bool,
    pub(crate) active_since: Option<Timestamp>,
    pub(crate) provisioned_at: Option<Timestamp>,
    pub(crate) password: Password,
    pub(crate) jwt_secret: Secret,
    pub(crate) legacy_keys_enabled: bool,
    pub(crate) keys: Vec<Key>,
    pub(crate) settings: Settings,
}

/// A change that time will bring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) at: Timestamp,
    pub(crate) to: Next,
}

/// Where a change leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Status(Status),
    Gone,
}

/// The database password, with the change that has not reached the database yet.
#[derive(Clone, Debug)]
pub(crate) struct Password {
    pub(crate) current: Secret,
    pub(crate) coming: Vec<(Timestamp, Secret)>,
}

/// An API key of the new kind.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) secret: bool,
    pub(crate) template: Value,
    pub(crate) value: Secret,
    pub(crate) inserted_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// The settings that the endpoints read and write: only what differs from an untouched project.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) auth: Auth,
    pub(crate) ssl_enforced: bool,
    pub(crate) ssl_applied_at: Option<Timestamp>,
    pub(crate) restrictions: Option<Restrictions>,
    pub(crate) postgres: BTreeMap<String, Value>,
    pub(crate) data_api: Sheet,
    pub(crate) realtime: Sheet,
    /// Features by name below `features`, everything else as it was sent.
    pub(crate) storage: Map<String, Value>,
    /// The variants of all add-ons but the compute size.
    pub(crate) addons: Vec<String>,
    pub(crate) default_pool_size: Option<i64>,
    pub(crate) pool_mode: Option<&'static str>,
}

/// Network restrictions that somebody has set.
#[derive(Clone, Debug)]
pub(crate) struct Restrictions {
    pub(crate) v4: Vec<String>,
    pub(crate) v6: Vec<String>,
    /// The lists that were in force before, of both families.
    pub(crate) old: (Vec<String>, Vec<String>),
    pub(crate) updated_at: Timestamp,
    pub(crate) applied_at: Timestamp,
}

impl Project {
    /// Applies every change that is due, and says whether anything changed.
    pub(crate) fn advance(&mut self, now: Timestamp, config: &Config, free: bool) {
        while let Some(change) = self.change.filter(|change| change.at <= now) {
            self.change = None;
            match change.to {
                Next::Gone => self.gone = true,
                Next::Status(status) => self.enter(status, change.at, config, free),
            }
        }
        while let Some((at, _)) = self.password.coming.first() {
            if *at > now {
                break;
            }
            self.password.current = self.password.coming.remove(0).1;
        }
    }

    /// Enters a status and plans what follows it.
    pub(crate) fn enter(&mut self, status: Status, at: Timestamp, config: &Config, free: bool) {
        self.status = status;
        self.change = None;
        let follow = |after, to| Some(Change { at: later(at, after), to });
        match status {
            Status::ActiveHealthy => {
                self.active_since = Some(at);
                self.provisioned_at.get_or_insert(at);
                if let Some(after) = config.spontaneous_pause.filter(|_| free) {
                    self.change = follow(after, Next::Status(Status::Pausing));
                }
            }
            Status::Pausing => {
                self.change = follow(config.pause, Next::Status(Status::Inactive));
            }
            Status::Restoring | Status::ComingUp if self.provisioned_at.is_some() => {
                self.change = follow(config.restore, Next::Status(Status::ActiveHealthy));
            }
            Status::Restarting | Status::Resizing | Status::Upgrading | Status::Promoting => {
                self.change = follow(config.restart, Next::Status(Status::ActiveHealthy));
            }
            Status::GoingDown => {
                self.change = follow(config.delete, Next::Status(Status::Removed));
            }
            Status::Removed => self.change = follow(config.removed_visible, Next::Gone),
            Status::Unknown
            | Status::ComingUp
            | Status::Restoring
            | Status::ActiveUnhealthy
            | Status::Inactive
            | Status::InitFailed
            | Status::PauseFailed
            | Status::RestoreFailed => {}
        }
        if !status.is_active() {
            self.active_since = None;
        }
        if self.stuck {
            self.change = None;
        }
    }

    /// Whether the first `ACTIVE_HEALTHY` lies at least `lag` back.
    pub(crate) fn provisioned_for(&self, lag: std::time::Duration, now: Timestamp) -> bool {
        self.provisioned_at.is_some_and(|at| later(at, lag) <= now)
    }

    /// The next moment at which time changes something.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let password = self.password.coming.first().map(|(at, _)| *at);
        self.change.map(|change| change.at).into_iter().chain(password).min()
    }
}
