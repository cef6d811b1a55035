//! From a report to the status of a connection. PURE.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::connection::{
    AuthMode, Capability, CapabilityStatus, Connection, OrganizationStatus,
};
use crate::api::{ConditionType, ConnectionStatus, Reason, annotations, bounds};
use crate::connection::facts::{Credentials, Observed, Read, Users};
use crate::connection::report::{Health, Report};
use crate::controller::StatusBuilder;
use crate::rules::conditions::Truth;
use crate::rules::suggest::listed;
use crate::session::Ability;
use crate::session::token_store::StateRead;

/// The status that says what a report says.
pub fn status<C: Connection>(
    object: &C,
    observed: &Observed,
    report: &Report,
    now: Timestamp,
) -> ConnectionStatus {
    let mut stored = Connection::status(object).cloned().unwrap_or_default();
    if report.kept {
        stored.last_handled_reconcile_at =
            annotations::requested(object).or_else(|| stored.last_handled_reconcile_at.take());
        return stored;
    }
    let generation = object.meta().generation;
    let consent_url = consent_url(observed, report);
    let organizations = organizations(&stored, report);
    let slugs = listed(organizations.iter().map(|one| one.slug.as_str()));
    let status = ConnectionStatus {
        observed_generation: generation,
        last_handled_reconcile_at: annotations::requested(object)
            .or_else(|| stored.last_handled_reconcile_at.clone()),
        installation: stored.installation.clone(),
        auth_mode: Some(match observed.credentials {
            Credentials::Pat(_) => AuthMode::PersonalAccessToken,
            Credentials::OAuth { .. } => AuthMode::OAuth,
        }),
        organization_list: Some(bounds::cut(&slugs, bounds::LONGEST_NAME))
            .filter(|slugs| !slugs.is_empty()),
        organizations,
        capabilities: capabilities(&stored, observed),
        token_expires_at: report.expires_at.map(whole_seconds).map(Time),
        consent_url: consent_url.map(str::to_owned),
        conditions: stored.conditions.clone(),
    };
    let mut builder = Builder::over(object, status, now);
    write(&mut builder, &report.clone().pointing_to(consent_url));
    deletion(&mut builder, observed.users.as_ref());
    builder.status
}

type Builder = StatusBuilder<ConnectionStatus>;

/// Where consent can be given, while it would help: the tokens are missing or dead, and nothing else stands in the way.
fn consent_url<'a>(observed: &'a Observed, report: &Report) -> Option<&'a str> {
    let url = observed.consent_url.as_deref()?;
    if url.len() > bounds::LONGEST_URL {
        return None;
    }
    let Credentials::OAuth { app: Read::There(_), seed } = &observed.credentials else {
        return None;
    };
    let writable = match observed.state {
        StateRead::Ours(..) | StateRead::Absent => true,
        StateRead::Foreign | StateRead::Damaged(_) => false,
    };
    let helps = match &report.health {
        Health::Usable(_) => report
            .remark
            .as_ref()
            .is_some_and(|remark| remark.reason == Reason::ReauthorizationRequired),
        Health::Waiting(_) => false,
        Health::Stalled(problem) => {
            let dead = [
                Reason::ReauthorizationRequired,
                Reason::Unauthorized,
                Reason::OrganizationNotAllowed,
                Reason::CredentialShared,
            ];
            dead.contains(&problem.reason) || matches!(seed, Read::Bad(_))
        }
    };
    (writable && helps).then_some(url)
}

/// Sets what the health of the credential says.
fn write(builder: &mut Builder, report: &Report) {
    match &report.health {
        Health::Usable(_) => {
            let message = report.remark.as_ref().map_or_else(
                || "the platform accepts the credential".to_owned(),
                |remark| format!("the platform accepts the credential, but: {}", remark.message),
            );
            builder.reached(Reason::Authenticated, &message);
        }
        Health::Waiting(problem) => builder.progressing(problem.reason, &problem.message),
        Health::Stalled(problem) => builder.stalled(problem),
    }
}

fn deletion(builder: &mut Builder, users: Option<&Users>) {
    let Some(users) = users.filter(|users| users.count > 0) else {
        builder.remove(ConditionType::DeletionBlocked);
        return;
    };
    let which = match (users.names.is_empty(), users.names.len() < users.count) {
        (true, _) => String::new(),
        (false, false) => format!(" ({})", users.names.join(", ")),
        (false, true) => format!(" ({}, …)", users.names.join(", ")),
    };
    let plural = if users.count == 1 { "project uses" } else { "projects use" };
    let message = format!(
        "{} {plural} this connection{which}; let them refer to another one in spec.connectionRef, or wait until \
         nobody needs them: with deletionPolicy Delete their data go with them",
        users.count
    );
    builder.set(ConditionType::DeletionBlocked, Truth::Yes, Reason::InUse, &message);
}

fn organizations(stored: &ConnectionStatus, report: &Report) -> Vec<OrganizationStatus> {
    let mut seen = BTreeSet::new();
    match &report.health {
        Health::Usable(organizations) => organizations
            .iter()
            // The API server refuses a list that names one twice, and one that is too long.
            .filter(|organization| seen.insert(organization.slug.as_str()))
            .take(bounds::MOST_ORGANIZATIONS)
            .map(|organization| OrganizationStatus {
                slug: organization.slug.to_string(),
                name: bounds::cut(&organization.name, bounds::LONGEST_NAME),
            })
            .collect(),
        // What was seen last, while the operator finds out.
        Health::Waiting(_) => stored.organizations.clone(),
        Health::Stalled(_) => Vec::new(),
    }
}

/// What calls have shown since this credential is in use; before that, what the status says.
fn capabilities(stored: &ConnectionStatus, observed: &Observed) -> Vec<Capability> {
    let said = |name: &str| {
        let known = stored.capabilities.iter().find(|capability| capability.name == name);
        known.filter(|_| !observed.replaced).map(|capability| capability.status)
    };
    Ability::ALL
        .into_iter()
        .map(|ability| Capability {
            name: ability.as_str().to_owned(),
            status: match observed.capabilities.get(ability) {
                Some(true) => CapabilityStatus::Available,
                Some(false) => CapabilityStatus::Unavailable,
                None => said(ability.as_str()).unwrap_or(CapabilityStatus::Unknown),
            },
        })
        .collect()
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::SupabaseConnection;
    use crate::management::Organization;

    #[test]
    fn an_endless_list_of_organizations_is_cut_and_names_none_twice() {
        let seen = (0..1000).map(|number| Organization {
            slug: format!("org-{}", number / 2).parse().unwrap(),
            name: "x".repeat(5000),
        });
        let report = Report::of(Health::Usable(seen.collect()));
        let told = organizations(&ConnectionStatus::default(), &report);
        assert_eq!(told.len(), bounds::MOST_ORGANIZATIONS);
        let slugs: BTreeSet<_> = told.iter().map(|one| one.slug.as_str()).collect();
        assert_eq!(slugs.len(), told.len());
        assert_eq!(told[0].name.len(), bounds::LONGEST_NAME);
    }

    #[test]
    fn a_long_request_is_acknowledged_by_its_beginning() {
        let mut object =
            SupabaseConnection::new("acme", serde_json::from_str(r#"{"auth":{}}"#).unwrap());
        let key = annotations::RECONCILE_REQUESTED_AT.to_owned();
        object.metadata.annotations = Some([(key, "é".repeat(100_000))].into());
        let asked = annotations::requested(&object).unwrap();
        assert_eq!(asked.chars().count(), bounds::LONGEST_REQUEST);
    }
}
