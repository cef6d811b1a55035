//! What can be chosen for a project that was refused: told with the refusal, so that nobody has to look elsewhere.
//!
//! Regions are asked for only after a refusal, and the answer is remembered for an hour.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::api::SupabaseProject;
use crate::management::{self, Error, Field, Regions, Rejection};
use crate::rules::suggest::choice;
use crate::session::Session;

/// For how long an answer is good.
const FRESH: Duration = Duration::from_secs(3600);
/// How long a message waits for the list.
const PATIENCE: Duration = Duration::from_secs(5);
/// Organizations that are remembered.
const MOST: usize = 256;

/// Sizes that the platform documents (platform.md §4.1). It may know more by now: nothing is refused because of them.
const SIZES: [&str; 19] = [
    "nano",
    "micro",
    "small",
    "medium",
    "large",
    "xlarge",
    "2xlarge",
    "4xlarge",
    "8xlarge",
    "12xlarge",
    "16xlarge",
    "24xlarge",
    "24xlarge_optimized_memory",
    "24xlarge_optimized_cpu",
    "24xlarge_high_memory",
    "48xlarge",
    "48xlarge_optimized_memory",
    "48xlarge_optimized_cpu",
    "48xlarge_high_memory",
];

/// The regions of organizations, as they were told lately.
#[derive(Debug, Default)]
pub struct Places(Mutex<HashMap<String, (Duration, Regions)>>);

impl Places {
    fn known(&self, organization: &str, now: Duration) -> Option<Regions> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, regions) = known.get(organization)?;
        (now.saturating_sub(*told) < FRESH).then(|| regions.clone())
    }

    fn remember(&self, organization: &str, now: Duration, regions: Regions) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, (told, _)| now.saturating_sub(*told) < FRESH);
        }
        if known.len() < MOST {
            known.insert(organization.to_owned(), (now, regions));
        }
    }

    /// What could be chosen instead of what was refused; none where that is not known.
    pub async fn choices(
        &self,
        project: &SupabaseProject,
        refused: &Error,
        session: &Session,
        organization: &str,
        now: Duration,
    ) -> Option<String> {
        let Error::Rejected { because: Rejection::InvalidField(Some(field)), .. } = refused else {
            return None;
        };
        match field {
            Field::Region => {
                let known = self.known(organization, now);
                let regions = if let Some(regions) = known {
                    regions
                } else {
                    let call = management::available_regions(&organization.parse().ok()?);
                    let tenant = project.metadata.namespace.as_deref().unwrap_or_default();
                    let answer = tokio::time::timeout(PATIENCE, session.send(tenant, &call));
                    let regions = answer.await.ok()?.ok()?.value;
                    self.remember(organization, now, regions.clone());
                    regions
                };
                offered(project, &regions)
            }
            Field::Size => {
                let compute = project.spec.compute.as_ref();
                let asked = compute.and_then(|compute| compute.size.as_deref())?;
                Some(choice("the platform documents the sizes", asked, SIZES))
            }
            Field::Name | Field::Organization => None,
        }
    }
}

fn offered(project: &SupabaseProject, regions: &Regions) -> Option<String> {
    let (asked, what, codes) = match (&project.spec.region, &project.spec.region_group) {
        (Some(region), _) => (region, "regions of the organization now", &regions.specific),
        (None, Some(group)) => (group, "region groups of the organization now", &regions.groups),
        (None, None) => return None,
    };
    (!codes.is_empty()).then(|| choice(what, asked, codes.iter().map(String::as_str)))
}
