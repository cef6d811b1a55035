//! Condition types and reasons: closed lists, because alerts, dashboards and people's scripts hang on them.
//!
//! Messages are built from reason, HTTP status and what to do; never from text of the platform.

/// Types of the conditions in `status.conditions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConditionType {
    /// Usable, for the generation that the condition names.
    Ready,
    /// Work is under way; absent when none is.
    Reconciling,
    /// No progress without somebody's help; absent when none is needed.
    Stalled,
    /// The connection is there, allowed and accepted by the platform.
    ConnectionReady,
    /// A project with a recorded ref exists on the platform.
    Provisioned,
    /// The project's services answered healthy at the last change of its remote state.
    ServicesHealthy,
    /// What the spec declares equals what the platform has.
    Synced,
    /// The project that the settings are for is there and active.
    ProjectReady,
    /// Every output is there and current.
    OutputsWritten,
    /// The object is kept on purpose although its deletion was asked for; absent otherwise.
    DeletionBlocked,
}

impl ConditionType {
    /// The text in the `type` field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::ConnectionReady => "ConnectionReady",
            Self::Provisioned => "Provisioned",
            Self::ServicesHealthy => "ServicesHealthy",
            Self::Synced => "Synced",
            Self::ProjectReady => "ProjectReady",
            Self::OutputsWritten => "OutputsWritten",
            Self::DeletionBlocked => "DeletionBlocked",
        }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Why a condition has its status. The README explains each for users, with what to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }

        impl Reason {
            /// Every reason, for documentation and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The text in the `reason` field.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }
        }
    };
}

reasons! {
    /// All is well.
    Available,
    /// The project is paused.
    Paused,
    /// The project is being created.
    Creating,
    /// A create call's answer was lost; the operator is finding out whether it worked.
    Confirming,
    /// The project exists and is coming up.
    Provisioning,
    /// The project is up; its services or API keys are not there yet.
    WaitingForServices,
    /// The platform is working on the project (restart, resize, upgrade, restore, pause).
    Transitioning,
    /// The project is up but unhealthy.
    Degraded,
    /// The project is being deleted.
    Deleting,
    /// A call failed and is tried again.
    Retrying,
    /// The platform's rate limit is reached; calls go on when it resets.
    RateLimited,
    /// `spec.suspend` is set.
    Suspended,
    /// The connection is not ready; its own conditions say why.
    ConnectionNotReady,
    /// The connection does not exist.
    ConnectionNotFound,
    /// The connection does not admit this namespace.
    NamespaceNotAllowed,
    /// The organization is outside of what the connection sees or admits.
    OrganizationNotAllowed,
    /// The connection sees several organizations: name one.
    OrganizationRequired,
    /// The credential was accepted.
    Authenticated,
    /// A referenced Secret or key is missing.
    SecretNotFound,
    /// A referenced Secret holds something that cannot be a credential.
    SecretInvalid,
    /// The platform refuses the credential (401).
    Unauthorized,
    /// The credential lacks a right (403).
    MissingScope,
    /// Authorize again and put the new tokens into the seed Secret.
    ReauthorizationRequired,
    /// Another connection holds the same refresh token; each needs its own.
    CredentialShared,
    /// The platform cannot be reached or answers with errors.
    PlatformUnavailable,
    /// A project was created by this object.
    Created,
    /// A project was adopted by this object.
    Adopted,
    /// Nothing exists yet.
    NotCreated,
    /// A project of the wanted name exists already.
    NameConflict,
    /// Another object holds this project.
    OwnershipConflict,
    /// More than one answer to what a create call made; a person must say which.
    AmbiguousCreate,
    /// Adoption is not allowed through this connection or by this policy.
    AdoptionForbidden,
    /// The project to adopt does not exist or cannot be seen.
    AdoptionTargetNotFound,
    /// The free plan's number of active projects is reached.
    QuotaExceeded,
    /// The organization has unpaid invoices or needs a higher plan.
    PaymentRequired,
    /// The platform refused the values of the spec.
    InvalidSpec,
    /// The platform reports that creating, pausing or restoring the project failed.
    RemoteFailed,
    /// The project does not leave a passing state.
    RemoteStuck,
    /// The project is gone from the platform.
    RemoteDeleted,
    /// The credential cannot see the project, which does not prove that it is gone.
    RemoteNotVisible,
    /// Every service is healthy.
    AllHealthy,
    /// Some services are coming up.
    ComingUp,
    /// Some services are unhealthy.
    Unhealthy,
    /// The remote state equals the spec.
    InSync,
    /// A declared value differs and could not be applied.
    OutOfSync,
    /// Declared settings are being written, or are not in force yet.
    Configuring,
    /// A declared setting differs and is about to be written.
    Differs,
    /// A setting was changed by somebody else and is left so by policy.
    Reported,
    /// The platform accepted a setting; it is not in force yet.
    Pending,
    /// A setting was set back three times within a day and does not hold.
    NotHolding,
    /// The credential may not read or write a declared setting.
    CapabilityUnavailable,
    /// The platform refused the value of a setting.
    Refused,
    /// A Secret that a setting takes its value from, or the key in it, is missing.
    SecretMissing,
    /// Declared settings could not be read yet.
    NotRead,
    /// The project that the settings are for does not exist.
    ProjectNotFound,
    /// The project that the settings are for is not active; its own conditions say why.
    ProjectNotReady,
    /// The database password is not known.
    PasswordUnknown,
    /// The database password of an adopted project is the supplied one, which nobody has verified.
    PasswordUnverified,
    /// The Secret with the database password was lost or edited.
    PasswordLost,
    /// The password Secret belongs to somebody else.
    PasswordSecretConflict,
    /// The supplied password cannot be used.
    PasswordInvalid,
    /// The supplied password is not the one the project has.
    PasswordDiffers,
    /// Every output is current.
    Written,
    /// An object that is not ours stands in the way of an output.
    Conflict,
    /// An output cannot be written yet.
    MissingInput,
    /// The credentials needed to delete the project are gone.
    CredentialsUnavailable,
    /// The platform refuses to delete the project for now.
    RemoteRefused,
    /// Other objects still use this one.
    InUse,
    /// The object holds fields or values that only a newer version of the operator knows.
    NewerVersion,
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn reasons_fit_the_kubernetes_pattern() {
        for reason in Reason::ALL {
            let text = reason.as_str();
            assert!(text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric()), "{text}");
        }
    }
}
