//! Which organizations of those that a credential sees may be used. PURE.

use super::Health;
use crate::api::Reason;
use crate::api::connection::Connection;
use crate::controller::Problem;
use crate::management::Organization;

/// The most organizations that are shown and used.
const MOST: usize = 100;

/// What a connection admits.
pub struct OrganizationPolicy<'a> {
    pin: Option<&'a str>,
    admits: Box<dyn Fn(&str) -> bool + 'a>,
}

impl std::fmt::Debug for OrganizationPolicy<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("OrganizationPolicy").field("pin", &self.pin).finish_non_exhaustive()
    }
}

impl<'a> OrganizationPolicy<'a> {
    /// What this connection admits.
    pub fn of<C: Connection>(object: &'a C) -> Self {
        Self {
            pin: object.view().organization_slug,
            admits: Box::new(|slug| object.admits_organization(slug)),
        }
    }

    /// What a credential that sees these organizations is good for; none where it may not list them.
    pub(super) fn judge(&self, seen: Option<&[Organization]>) -> Health {
        let Some(seen) = seen else {
            return self.judge_unlisted();
        };
        let mut admitted: Vec<Organization> = seen
            .iter()
            .filter(|organization| (self.admits)(organization.slug.as_str()))
            .cloned()
            .collect();
        admitted.sort_by(|one, other| one.slug.cmp(&other.slug));
        admitted.dedup_by(|one, other| one.slug == other.slug);
        admitted.truncate(MOST);
        if !admitted.is_empty() {
            return Health::Usable(admitted);
        }
        let message = match self.pin {
            _ if seen.is_empty() => {
                "the credential sees no organization; authorize it for one".to_owned()
            }
            Some(pin) if seen.iter().any(|organization| organization.slug.as_str() == pin) => {
                format!(
                    "spec.allowedOrganizations does not hold {pin}, the value of spec.organizationSlug"
                )
            }
            Some(pin) => format!(
                "the credential does not see the organization {pin} of spec.organizationSlug; authorize it for that \
                 one, or correct the slug"
            ),
            None => "no organization that the credential sees is in spec.allowedOrganizations"
                .to_owned(),
        };
        Health::Stalled(Problem::new(Reason::OrganizationNotAllowed, message))
    }

    /// Without the right to list organizations, the pin is taken at its word.
    fn judge_unlisted(&self) -> Health {
        let pinned = self.pin.filter(|pin| (self.admits)(pin)).and_then(|pin| pin.parse().ok());
        match pinned {
            Some(slug) => Health::Usable(vec![Organization { slug, name: String::new() }]),
            None => Health::Stalled(Problem::new(
                Reason::MissingScope,
                "the credential may not list organizations; give it the scope organizations:read, or name the \
                 organization in spec.organizationSlug",
            )),
        }
    }
}
