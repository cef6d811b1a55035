//! What a credential may do, as far as calls have shown.
//!
//! PURE.

use crate::management::{Endpoint, Error};

/// Something that a credential may or may not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ability {
    /// List the projects of an organization.
    ListProjects,
    /// Create projects.
    CreateProject,
    /// Read API keys.
    ReadKeys,
    /// Read the addresses of the pooler.
    ReadPooler,
}

impl Ability {
    /// Every ability, in the order of the status.
    pub const ALL: [Self; 4] =
        [Self::ListProjects, Self::CreateProject, Self::ReadKeys, Self::ReadPooler];

    /// Its name in the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ListProjects => "ListProjects",
            Self::CreateProject => "CreateProject",
            Self::ReadKeys => "ReadKeys",
            Self::ReadPooler => "ReadPooler",
        }
    }

    /// The ability that a call needs.
    pub const fn of(endpoint: Endpoint) -> Option<Self> {
        match endpoint {
            Endpoint::OrganizationProjects => Some(Self::ListProjects),
            Endpoint::CreateProject => Some(Self::CreateProject),
            Endpoint::ApiKeys => Some(Self::ReadKeys),
            Endpoint::Pooler => Some(Self::ReadPooler),
            Endpoint::Organizations
            | Endpoint::Regions
            | Endpoint::Project
            | Endpoint::RenameProject
            | Endpoint::DeleteProject
            | Endpoint::PauseProject
            | Endpoint::RestoreProject
            | Endpoint::Health
            | Endpoint::ChangePassword
            | Endpoint::SslEnforcement
            | Endpoint::SetSslEnforcement
            | Endpoint::NetworkRestrictions
            | Endpoint::RestrictNetworks
            | Endpoint::DataApi
            | Endpoint::ChangeDataApi
            | Endpoint::Parameters
            | Endpoint::ReplaceParameters
            | Endpoint::AuthConfig
            | Endpoint::ChangeAuthConfig
            | Endpoint::Token
            | Endpoint::Revoke => None,
        }
    }
}

/// What is known of each ability; nothing where no call has shown anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities([Option<bool>; 4]);

impl Capabilities {
    /// What is known of one.
    pub fn get(&self, ability: Ability) -> Option<bool> {
        let place = Ability::ALL.iter().position(|known| *known == ability);
        place.and_then(|place| self.0.get(place).copied()).flatten()
    }

    /// Learns from what came of a call. Whether anything changed.
    pub fn learn<T>(&mut self, endpoint: Endpoint, outcome: &Result<T, Error>) -> bool {
        let shown = match outcome {
            Ok(_) => true,
            Err(Error::Forbidden { .. }) if !outcome.as_ref().is_err_and(Error::is_quota) => false,
            Err(_) => return false,
        };
        let place = Ability::of(endpoint)
            .and_then(|needed| Ability::ALL.iter().position(|known| *known == needed));
        match place.and_then(|place| self.0.get_mut(place)) {
            Some(known) if *known != Some(shown) => {
                *known = Some(shown);
                true
            }
            Some(_) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::Forbidden;

    fn forbidden(reason: Forbidden) -> Result<(), Error> {
        Err(Error::Forbidden { missing: Vec::new(), reason })
    }

    #[test]
    fn only_success_and_lack_of_a_right_teach_anything() {
        let mut known = Capabilities::default();
        assert!(!known.learn::<()>(Endpoint::ApiKeys, &Err(Error::NotFound)));
        assert!(!known.learn::<()>(Endpoint::ApiKeys, &Err(Error::Unauthorized)));
        assert_eq!(known.get(Ability::ReadKeys), None);
        assert!(known.learn(Endpoint::ApiKeys, &forbidden(Forbidden::Privileges)));
        assert_eq!(known.get(Ability::ReadKeys), Some(false));
        assert!(!known.learn(Endpoint::ApiKeys, &forbidden(Forbidden::Privileges)));
        assert!(known.learn(Endpoint::ApiKeys, &Ok(())));
        assert_eq!(known.get(Ability::ReadKeys), Some(true));
        assert!(!known.learn(Endpoint::CreateProject, &forbidden(Forbidden::FreeProjectLimit)));
        assert!(!known.learn(Endpoint::Health, &Ok(())));
        assert_eq!(known.get(Ability::CreateProject), None);
    }
}
