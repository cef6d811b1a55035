//! The status of a project.

use serde::{Deserialize, Deserializer};

use super::names::word;

/// The status of a project. The platform adds words without notice.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Just created, or not determined.
    #[default]
    Unknown,
    /// Being provisioned, or coming back.
    ComingUp,
    /// Ready; services may lag.
    ActiveHealthy,
    /// Up, with a failing health check.
    ActiveUnhealthy,
    /// On its way to `Inactive`.
    Pausing,
    /// Paused.
    Inactive,
    /// Waking up, or restoring a backup.
    Restoring,
    /// Restarting.
    Restarting,
    /// Changing its size.
    Resizing,
    /// Upgrading Postgres.
    Upgrading,
    /// Promoting a replica.
    Promoting,
    /// Being deleted.
    GoingDown,
    /// Deleted.
    Removed,
    /// Provisioning failed.
    InitFailed,
    /// Pausing failed.
    PauseFailed,
    /// Waking up failed.
    RestoreFailed,
    /// A word that is not known yet; `UNRECOGNIZED` where it does not even look like one.
    Other(String),
}

impl Status {
    /// The word of the API.
    pub fn as_str(&self) -> &str {
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
            Self::Other(word) => word,
        }
    }

    /// Whether it is expected to become another one by itself. An unknown word counts.
    pub const fn is_moving(&self) -> bool {
        match self {
            Self::Unknown
            | Self::ComingUp
            | Self::Pausing
            | Self::Restoring
            | Self::Restarting
            | Self::Resizing
            | Self::Upgrading
            | Self::Promoting
            | Self::GoingDown
            | Self::Other(_) => true,
            Self::ActiveHealthy
            | Self::ActiveUnhealthy
            | Self::Inactive
            | Self::Removed
            | Self::InitFailed
            | Self::PauseFailed
            | Self::RestoreFailed => false,
        }
    }
}

impl From<&str> for Status {
    fn from(text: &str) -> Self {
        match text {
            "UNKNOWN" => Self::Unknown,
            "COMING_UP" => Self::ComingUp,
            "ACTIVE_HEALTHY" => Self::ActiveHealthy,
            "ACTIVE_UNHEALTHY" => Self::ActiveUnhealthy,
            "PAUSING" => Self::Pausing,
            "INACTIVE" => Self::Inactive,
            "RESTORING" => Self::Restoring,
            "RESTARTING" => Self::Restarting,
            "RESIZING" => Self::Resizing,
            "UPGRADING" => Self::Upgrading,
            "PROMOTING" => Self::Promoting,
            "GOING_DOWN" => Self::GoingDown,
            "REMOVED" => Self::Removed,
            "INIT_FAILED" => Self::InitFailed,
            "PAUSE_FAILED" => Self::PauseFailed,
            "RESTORE_FAILED" => Self::RestoreFailed,
            other => Self::Other(word(other).unwrap_or_else(|| "UNRECOGNIZED".to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(text.map_or(Self::Unknown, |text| Self::from(text.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_survives_a_round_trip() {
        for text in [
            "UNKNOWN",
            "COMING_UP",
            "ACTIVE_HEALTHY",
            "ACTIVE_UNHEALTHY",
            "PAUSING",
            "INACTIVE",
            "RESTORING",
            "RESTARTING",
            "RESIZING",
            "UPGRADING",
            "PROMOTING",
            "GOING_DOWN",
            "REMOVED",
            "INIT_FAILED",
            "PAUSE_FAILED",
            "RESTORE_FAILED",
        ] {
            let status = Status::from(text);
            assert_eq!(status.as_str(), text);
            assert!(!matches!(status, Status::Other(_)), "{text}");
        }
        assert_eq!(Status::from("MIGRATING").as_str(), "MIGRATING");
    }

    #[test]
    fn an_unknown_word_is_bounded_and_never_ready() {
        let status = Status::from("<script>\n");
        assert_eq!(status.as_str(), "UNRECOGNIZED");
        assert!(status.is_moving());
        assert_eq!(serde_json::from_str::<Status>("null").unwrap(), Status::Unknown);
        assert!(serde_json::from_str::<Status>("7").is_err());
    }
}
