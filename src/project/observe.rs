//! Reads what a decision needs, and no more: which reads those are hangs on how far the object has come.
//!
//! No effects. What users should know is an observation; only an API server that cannot be read is an error.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::{Api, ResourceExt as _};
use secrecy::SecretString;

use super::Projects;
use super::decide::{self, Candidate};
use super::facts::{
    Link, Listing, Observed, PasswordSecret, Presence, Problem, Reading, Sighting, Supplied, Wanted,
};
use super::memory::Memo;
use super::password::{Vault, digest};
use crate::api::connection;
use crate::api::project::{AttemptOutcome, ConnectionKind};
use crate::api::{
    ClusterSupabaseConnection, Endpoint, ObjectKey, OutputKind, Reason, SupabaseConnection,
    SupabaseProject, annotations, labels,
};
use crate::kubernetes::{self, Error};
use crate::management::{self, KeyKind, PoolMode, PoolerEntry, ProjectRef, Status};
use crate::outputs::{self, Belonging, Database, Facts, Found, Keys};
use crate::rules::{backoff, password};
use crate::session::{ConnectionId, Pace, Session, SessionState};

/// How long a pass waits for a connection that has not had its first pass.
const SETTLE: Duration = Duration::from_secs(10);

pub(super) async fn observe(
    projects: &Projects,
    project: &SupabaseProject,
) -> Result<Observed, Error> {
    let uid = project.uid().unwrap_or_default();
    let memo = projects.memory.recall(&uid);
    let leaving = project.metadata.deletion_timestamp.is_some();
    let mut observed = Observed {
        process: projects.process.clone(),
        link: Link {
            problem: None,
            reachable: false,
            adoption: false,
            limited: false,
        },
        organization: Ok(String::new()),
        listing: None,
        hold_off: hold_off(projects, project, &memo),
        name_taken: memo.name_taken.as_ref().is_some_and(|(generation, until)| {
            *generation == project.metadata.generation && *until > projects.shell.clock.uptime()
        }),
        holder: None,
        foreign_for: foreign_for(projects, project, &uid),
        presence: Presence::Unknown,
        itself: None,
        health: None,
        reading: None,
        password: PasswordSecret::Missing,
        supplied: None,
        recovered: None,
        wanted: Vec::new(),
        obsolete: Vec::new(),
        delete_accepted: memo.delete_accepted,
        requested: requested(project),
        transition_interval: projects.transition_interval,
        rest_interval: projects.rest_interval,
    };
    if project.spec.suspend && !leaving {
        return Ok(observed);
    }
    let session = link(projects, project, &mut observed).await?;
    observed.organization = organization(project, session.as_ref());
    let Some(session) = session else {
        return Ok(observed);
    };
    let reader = Reader {
        projects,
        project,
        session: &session,
        memo: &memo,
    };
    match project
        .status
        .as_ref()
        .and_then(|status| status.reference.clone())
    {
        None => reader.unborn(&mut observed, leaving).await?,
        Some(reference) if leaving => reader.leaving(&mut observed, &reference).await,
        Some(reference) => reader.living(&mut observed, &reference).await?,
    }
    Ok(observed)
}

/// A pass that was asked for by annotation and has not been acknowledged.
fn requested(project: &SupabaseProject) -> Option<String> {
    let asked = project.annotation(annotations::RECONCILE_REQUESTED_AT)?;
    let handled = project
        .status
        .as_ref()
        .and_then(|status| status.last_handled_reconcile_at.as_deref());
    let asked: String = asked.chars().take(256).collect();
    (handled != Some(asked.as_str())).then_some(asked)
}

fn hold_off(projects: &Projects, project: &SupabaseProject, memo: &Memo) -> Option<Duration> {
    let (generation, until) = memo.refused.as_ref()?;
    let left = until.checked_sub(projects.shell.clock.uptime())?;
    let same = *generation == project.metadata.generation && requested(project).is_none();
    (same && !left.is_zero()).then_some(left)
}

/// For how long an open attempt of another process has been known to this one.
fn foreign_for(projects: &Projects, project: &SupabaseProject, uid: &str) -> Duration {
    let attempts = project
        .status
        .iter()
        .filter_map(|status| status.creation.as_ref());
    let foreign = attempts
        .flat_map(|creation| &creation.attempts)
        .any(|attempt| {
            attempt.outcome == AttemptOutcome::Pending && attempt.process != projects.process
        });
    if !foreign {
        return Duration::ZERO;
    }
    let now = projects.shell.clock.uptime();
    let since = projects
        .memory
        .note(uid, |memo| *memo.foreign_since.get_or_insert(now));
    now.saturating_sub(since)
}

/// The connection, live, and its session.
async fn link(
    projects: &Projects,
    project: &SupabaseProject,
    observed: &mut Observed,
) -> Result<Option<Session>, Error> {
    let client = &projects.shell.client;
    let namespace = project.namespace().unwrap_or_default();
    let wanted = &project.spec.connection_ref;
    let name = &wanted.name;
    let id = ConnectionId {
        kind: wanted.kind,
        namespace: match wanted.kind {
            ConnectionKind::SupabaseConnection => Some(namespace.clone()),
            ConnectionKind::ClusterSupabaseConnection => None,
        },
        name: name.clone(),
    };
    let kind = wanted.kind.as_str();
    let missing = || {
        Problem::new(
            Reason::ConnectionNotFound,
            format!("{kind} {name} does not exist; create it, or correct spec.connectionRef"),
        )
    };
    let mut problem = None;
    match wanted.kind {
        ConnectionKind::SupabaseConnection => {
            let api: Api<SupabaseConnection> = Api::namespaced(client.clone(), &namespace);
            match kubernetes::get(&api, name).await? {
                None => problem = Some(missing()),
                Some(_) => observed.link.adoption = true,
            }
        }
        ConnectionKind::ClusterSupabaseConnection if !projects.cluster_connections => {
            problem = Some(Problem::new(
                Reason::ConnectionNotFound,
                "this operator serves single namespaces and no ClusterSupabaseConnection; use a SupabaseConnection",
            ));
        }
        ConnectionKind::ClusterSupabaseConnection => {
            problem = cluster_link(projects, name, &namespace, observed).await?;
            if problem
                .as_ref()
                .is_some_and(|problem| problem.reason == Reason::ConnectionNotFound)
            {
                problem = Some(missing());
            }
        }
    }
    let forbidden = problem
        .as_ref()
        .is_some_and(|problem| problem.reason == Reason::NamespaceNotAllowed);
    if problem.is_none() {
        projects.sessions.settled(&id, SETTLE).await;
    }
    let session = projects.sessions.find(&id).filter(|_| !forbidden);
    if problem.is_none() {
        let not_ready = |why: &str| {
            Problem::new(
                Reason::ConnectionNotReady,
                format!("{kind} {name} is not ready: {why}; its own conditions say what to do"),
            )
        };
        problem = match session.as_ref().map(Session::state) {
            None => Some(not_ready("it has not been accepted by the platform yet")),
            Some(SessionState::Usable) => None,
            Some(SessionState::Unusable { reason, .. }) => Some(not_ready(reason.as_str())),
        };
    }
    observed.link.problem = problem;
    observed.link.reachable = session.is_some();
    observed.link.limited = session
        .as_ref()
        .is_some_and(Session::may_be_limited_to_projects);
    Ok(session)
}

/// A connection of the cluster, and whether it admits the namespace.
async fn cluster_link(
    projects: &Projects,
    name: &str,
    namespace: &str,
    observed: &mut Observed,
) -> Result<Option<Problem>, Error> {
    let api: Api<ClusterSupabaseConnection> = Api::all(projects.shell.client.clone());
    let Some(connection) = kubernetes::get(&api, name).await? else {
        return Ok(Some(Problem::new(Reason::ConnectionNotFound, "")));
    };
    observed.link.adoption = connection.spec.adoption == connection::Adoption::Allowed;
    let admitted = admits(projects, &connection, namespace).await?;
    Ok((!admitted).then(|| {
        Problem::new(
            Reason::NamespaceNotAllowed,
            format!(
                "ClusterSupabaseConnection {name} does not admit the namespace {namespace}; ask for it in \
                 spec.allowedNamespaces, or use a SupabaseConnection"
            ),
        )
    }))
}

async fn admits(
    projects: &Projects,
    connection: &ClusterSupabaseConnection,
    namespace: &str,
) -> Result<bool, Error> {
    let Some(allowed) = &connection.spec.allowed_namespaces else {
        return Ok(false);
    };
    if allowed.names.iter().any(|name| name == namespace) {
        return Ok(true);
    }
    let Some(selector) = &allowed.selector else {
        return Ok(false);
    };
    let api: Api<Namespace> = Api::all(projects.shell.client.clone());
    let found = kubernetes::get(&api, namespace).await?;
    Ok(found.is_some_and(|found| connection::selects(selector, found.labels())))
}

/// The organization: what is recorded of an attempt or a project, else what the spec and the connection give.
fn organization(project: &SupabaseProject, session: Option<&Session>) -> Result<String, Problem> {
    let status = project.status.as_ref();
    let bound = status.is_some_and(|status| {
        let creation = status
            .creation
            .iter()
            .flat_map(|creation| &creation.attempts);
        let open = creation.filter(|attempt| {
            matches!(
                attempt.outcome,
                AttemptOutcome::Pending | AttemptOutcome::Absent
            )
        });
        status.reference.is_some() || open.count() > 0
    });
    let recorded = status
        .and_then(|status| status.organization_slug.clone())
        .filter(|_| bound);
    let seen: Vec<String> = session
        .map(|session| {
            session
                .organizations()
                .iter()
                .map(|one| one.slug.to_string())
                .collect()
        })
        .unwrap_or_default();
    let wanted = project.spec.organization_slug.as_ref();
    if let (Some(recorded), Some(wanted)) = (&recorded, wanted)
        && recorded != wanted
    {
        let message = format!(
            "the project belongs to organization {recorded}; set spec.organizationSlug to that"
        );
        return Err(Problem::new(Reason::InvalidSpec, message));
    }
    if session.is_none() {
        return Ok(recorded.or_else(|| wanted.cloned()).unwrap_or_default());
    }
    let one = match recorded.or_else(|| wanted.cloned()) {
        Some(slug) => slug,
        None => match seen.as_slice() {
            [one] => one.clone(),
            [] => {
                let message =
                    "the connection sees no organization; check its token and its organizationSlug";
                return Err(Problem::new(Reason::OrganizationNotAllowed, message));
            }
            several => {
                let message = format!(
                    "the connection sees {} organizations; name one in spec.organizationSlug",
                    several.len()
                );
                return Err(Problem::new(Reason::OrganizationRequired, message));
            }
        },
    };
    if seen.contains(&one) {
        Ok(one)
    } else {
        let message = format!("the connection does not see or admit the organization {one}");
        Err(Problem::new(Reason::OrganizationNotAllowed, message))
    }
}

/// Reads for one project through its session.
struct Reader<'a> {
    projects: &'a Projects,
    project: &'a SupabaseProject,
    session: &'a Session,
    memo: &'a Memo,
}

impl Reader<'_> {
    fn tenant(&self) -> String {
        self.project.namespace().unwrap_or_default()
    }

    fn uid(&self) -> String {
        self.project.uid().unwrap_or_default()
    }

    fn vault(&self) -> Vault<'_> {
        Vault::of(
            &self.projects.shell.client,
            self.project,
            &self.projects.digest_key,
        )
    }

    async fn unborn(&self, observed: &mut Observed, leaving: bool) -> Result<(), Error> {
        let Ok(organization) = observed.organization.clone() else {
            return Ok(());
        };
        let attempts = self
            .project
            .status
            .iter()
            .filter_map(|status| status.creation.as_ref());
        let open = attempts
            .flat_map(|creation| &creation.attempts)
            .any(|attempt| {
                matches!(
                    attempt.outcome,
                    AttemptOutcome::Pending | AttemptOutcome::Absent
                )
            });
        if leaving && !open
            || !leaving && (observed.link.problem.is_some() || observed.hold_off.is_some())
        {
            return Ok(());
        }
        if !leaving {
            observed.password = self.vault().look().await?;
            observed.supplied = self.supplied().await?;
        }
        let listing = self.whole(&organization).await;
        if let Ok(listing) = &listing {
            match decide::candidate(self.project, listing, observed.link.adoption) {
                Candidate::Own(listed) | Candidate::Adopt(listed) => {
                    let client = &self.projects.shell.client;
                    let reference = listed.reference.as_str();
                    observed.holder = self
                        .projects
                        .refs
                        .holder(client, reference, &self.uid())
                        .await?;
                }
                Candidate::None
                | Candidate::Several
                | Candidate::InTheWay(_)
                | Candidate::NotFound => {}
            }
        }
        observed.listing = Some(listing);
        Ok(())
    }

    async fn whole(&self, organization: &str) -> Result<Listing, management::Error> {
        let roster = self.session.roster(organization);
        let begun_after = self.projects.shell.clock.uptime();
        let list = roster.whole(&self.tenant(), begun_after).await?;
        Ok(Listing {
            date: list.date,
            projects: list.projects.clone(),
            limited: list.limited,
        })
    }

    async fn leaving(&self, observed: &mut Observed, reference: &str) {
        if self.project.spec.deletion_policy != crate::api::project::DeletionPolicy::Delete
            || self.project.spec.suspend
        {
            return;
        }
        let Ok(parsed) = reference.parse::<ProjectRef>() else {
            return;
        };
        let itself = self
            .session
            .send(&self.tenant(), &management::project(&parsed))
            .await;
        let gone = matches!(
            itself.as_ref().map(|answer| &answer.value.status),
            Err(management::Error::NotFound | management::Error::Removed)
        );
        observed.itself = Some(itself.map(|answer| answer.value));
        if gone && !observed.delete_accepted {
            let recorded = self
                .project
                .status
                .as_ref()
                .and_then(|status| status.organization_slug.clone());
            observed.listing = Some(self.whole(&recorded.unwrap_or_default()).await);
        }
    }

    async fn living(&self, observed: &mut Observed, reference: &str) -> Result<(), Error> {
        let (Ok(organization), Ok(parsed)) = (
            observed.organization.clone(),
            reference.parse::<ProjectRef>(),
        ) else {
            return Ok(());
        };
        let key = ObjectKey::of(self.project);
        self.projects.refs.enter(reference, &key, &self.uid());
        if observed.link.problem.is_some() {
            return Ok(());
        }
        let roster = self.session.roster(&organization);
        let ready = |status: &Status| !status.is_moving();
        observed.presence = match roster.presence(reference) {
            crate::session::Presence::Unknown => Presence::Unknown,
            crate::session::Presence::Absent { .. } => Presence::Absent,
            crate::session::Presence::Present(sighted) => {
                let renamed = self
                    .memo
                    .renamed
                    .as_ref()
                    .filter(|(_, at)| *at >= sighted.begun);
                Presence::Present(Sighting {
                    name: renamed.map_or_else(|| sighted.name.clone(), |(name, _)| name.clone()),
                    region: sighted.region.clone(),
                    status: sighted.status.clone(),
                    outdated: self.memo.powered_at.is_some_and(|at| at >= sighted.begun),
                })
            }
        };
        let pace = match &observed.presence {
            Presence::Present(sighting) if ready(&sighting.status) && !sighting.outdated => {
                Pace::Resting
            }
            Presence::Absent => Pace::Resting,
            Presence::Present(_) | Presence::Unknown => Pace::Moving,
        };
        roster.follow(reference, &key, pace);
        match observed.presence.clone() {
            Presence::Unknown => {}
            Presence::Absent => {
                let itself = self
                    .session
                    .send(&self.tenant(), &management::project(&parsed))
                    .await;
                observed.itself = Some(itself.map(|answer| answer.value));
            }
            Presence::Present(sighting) => {
                if sighting.status == Status::ActiveHealthy && !sighting.outdated {
                    self.active(observed, &parsed, &sighting).await?;
                }
            }
        }
        Ok(())
    }

    async fn active(
        &self,
        observed: &mut Observed,
        reference: &ProjectRef,
        sighting: &Sighting,
    ) -> Result<(), Error> {
        let status = self.project.status.clone().unwrap_or_default();
        if decide::renames(self.project, sighting, observed.name_taken)
            || self.project.spec.power_state == Some(crate::api::project::PowerState::Paused)
        {
            return Ok(());
        }
        observed.password = self.vault().look().await?;
        observed.supplied = self.supplied().await?;
        self.look_at_outputs(observed).await?;
        self.recover(observed, &status);
        if decide::asks_health(&status, sighting) {
            let services = [
                management::Service::Auth,
                management::Service::Database,
                management::Service::Pooler,
                management::Service::Realtime,
                management::Service::Rest,
                management::Service::Storage,
            ];
            let health = self
                .session
                .send(&self.tenant(), &management::health(reference, &services))
                .await;
            let health = health.map(|answer| answer.value);
            let well = health.as_ref().is_ok_and(|health| decide::all_well(health));
            observed.health = Some(health);
            if !well {
                return Ok(());
            }
        }
        let stale = observed
            .wanted
            .iter()
            .any(|wanted| wanted.writable && !wanted.current);
        let due = self.drift_due();
        // A password that must first be put right is not written into outputs.
        let settled = decide::password_is_settled(self.project, observed, &status);
        if settled && (stale || due || observed.requested.is_some()) {
            let all = due || observed.requested.is_some();
            observed.reading = Some(self.read(reference, observed, all).await);
        }
        Ok(())
    }

    /// Whether keys and endpoints are due to be compared; the first time is spread over the interval.
    fn drift_due(&self) -> bool {
        let now = self.projects.shell.clock.uptime();
        let interval = self.projects.drift_interval;
        let uid = self.uid();
        let first =
            || now + backoff::spread(interval, &uid, 1).saturating_sub(interval * 9 / 10) * 5;
        let due = self
            .projects
            .memory
            .note(&uid, |memo| *memo.drift_due.get_or_insert_with(first));
        now >= due
    }

    async fn supplied(&self) -> Result<Option<Result<Supplied, Problem>>, Error> {
        let Some(wanted) = &self.project.spec.database.password.secret_key_ref else {
            return Ok(None);
        };
        let api: Api<Secret> = Api::namespaced(self.projects.shell.client.clone(), &self.tenant());
        let secret = kubernetes::get(&api, &wanted.name).await?;
        let bytes = secret.and_then(|secret| secret.data?.remove(&wanted.key));
        let Some(bytes) = bytes else {
            let message = format!(
                "the Secret {} with the key {}, named in spec.database.password.secretKeyRef, is not there",
                wanted.name, wanted.key
            );
            return Ok(Some(Err(Problem::new(Reason::SecretNotFound, message))));
        };
        Ok(Some(match password::check(&bytes.0) {
            Ok(text) => Ok(Supplied {
                digest: digest(&self.projects.digest_key, text),
                password: SecretString::from(text),
            }),
            Err(unusable) => Err(Problem::new(
                Reason::PasswordInvalid,
                format!(
                    "the password in the Secret {}, key {}, cannot be used: {unusable}",
                    wanted.name, wanted.key
                ),
            )),
        }))
    }

    async fn look_at_outputs(&self, observed: &mut Observed) -> Result<(), Error> {
        let status = self.project.status.clone().unwrap_or_default();
        let wanted = self.project.wanted_outputs();
        for output in &wanted {
            let found = self.find(output.kind, &output.name).await?;
            let writable = match &found {
                None => true,
                Some(found) => self.may_write(found).await?,
            };
            let current = found.as_ref().is_some_and(|found| {
                let entries = found
                    .entries
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.as_slice()));
                let digest = outputs::digest(
                    &self.projects.digest_key,
                    output,
                    found.kind.as_deref(),
                    entries,
                );
                let written = status
                    .outputs
                    .iter()
                    .find(|written| written.name == output.name);
                let uid = self.uid();
                outputs::belonging(&found.meta, labels::ROLE_OUTPUT, &uid) == Belonging::Ours
                    && outputs::meta_is_current(self.project, output, found)
                    && written.is_some_and(|written| written.digest == digest)
            });
            observed.wanted.push(Wanted {
                output: output.clone(),
                found,
                writable,
                current,
            });
        }
        observed.obsolete = status
            .outputs
            .iter()
            .filter(|written| {
                !wanted
                    .iter()
                    .any(|output| output.name == written.name && output.kind == written.kind)
            })
            .map(|written| (written.kind, written.name.clone()))
            .collect();
        Ok(())
    }

    async fn find(&self, kind: OutputKind, name: &str) -> Result<Option<Found>, Error> {
        let client = self.projects.shell.client.clone();
        let namespace = self.tenant();
        Ok(match kind {
            OutputKind::Secret => {
                let api: Api<Secret> = Api::namespaced(client, &namespace);
                kubernetes::get(&api, name).await?.map(Found::from)
            }
            OutputKind::ConfigMap => {
                let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
                kubernetes::get(&api, name).await?.map(Found::from)
            }
        })
    }

    /// Ours, or left by an object of the same name that is gone.
    async fn may_write(&self, found: &Found) -> Result<bool, Error> {
        match outputs::belonging(&found.meta, labels::ROLE_OUTPUT, &self.uid()) {
            Belonging::Ours => Ok(true),
            Belonging::Foreign => Ok(false),
            Belonging::Other { uid, project } => {
                if Some(&project)
                    != outputs::labels(self.project, labels::ROLE_OUTPUT, None).get(labels::PROJECT)
                {
                    return Ok(false);
                }
                let api: Api<SupabaseProject> =
                    Api::namespaced(self.projects.shell.client.clone(), &self.tenant());
                let there = kubernetes::get(&api, &project).await?;
                Ok(there.is_none_or(|there| there.uid().as_ref() != Some(&uid)))
            }
        }
    }

    /// Looks for a lost password in our outputs and in the supplied Secret.
    fn recover(&self, observed: &mut Observed, status: &crate::api::ProjectStatus) {
        let recorded = status
            .credentials
            .as_ref()
            .and_then(|known| known.password_digest.as_deref());
        let Some(recorded) = recorded else { return };
        if let PasswordSecret::There(kept) = &observed.password
            && kept.digest.as_deref() == Some(recorded)
        {
            observed.recovered.clone_from(&kept.password);
            return;
        }
        let key = &self.projects.digest_key;
        let supplied = match &observed.supplied {
            Some(Ok(supplied)) if supplied.digest == recorded => Some(supplied.password.clone()),
            Some(_) | None => None,
        };
        observed.recovered = supplied.or_else(|| {
            observed
                .wanted
                .iter()
                .filter(|wanted| wanted.writable)
                .find_map(|wanted| {
                    let entries: &BTreeMap<_, _> = &wanted.found.as_ref()?.entries;
                    let text =
                        std::str::from_utf8(outputs::password_in(&wanted.output, entries)?).ok()?;
                    (digest(key, text) == recorded).then(|| SecretString::from(text))
                })
        });
    }

    async fn read(
        &self,
        reference: &ProjectRef,
        observed: &Observed,
        all: bool,
    ) -> Result<Reading, management::Error> {
        let tenant = self.tenant();
        let keys = self
            .session
            .send(&tenant, &management::api_keys(reference))
            .await?
            .value;
        let pooler = self
            .session
            .send(&tenant, &management::pooler(reference))
            .await?
            .value;
        let direct = observed
            .wanted
            .iter()
            .any(|wanted| wanted.output.endpoint == Endpoint::Direct);
        let itself = if all || direct {
            let answer = self
                .session
                .send(&tenant, &management::project(reference))
                .await?;
            answer.value.database
        } else {
            None
        };
        let mut databases = pooled(&pooler);
        if let Some(database) = &itself {
            databases.push(Database {
                endpoint: Endpoint::Direct,
                host: database.host.clone(),
                port: 5432,
                user: "postgres".to_owned(),
                name: "postgres".to_owned(),
            });
        }
        let named = |kind: &KeyKind, name: &str| {
            let of_kind = || keys.iter().filter(|key| key.kind == *kind);
            let exact = of_kind().find(|key| key.name == name);
            let any = || of_kind().find(|_| *kind != KeyKind::Legacy);
            exact.or_else(any).and_then(|key| key.value.clone())
        };
        let keys = Keys {
            publishable: named(&KeyKind::Publishable, "default"),
            secret: named(&KeyKind::Secret, "default"),
            anon: named(&KeyKind::Legacy, "anon"),
            service_role: named(&KeyKind::Legacy, "service_role"),
        };
        let facts = Facts {
            reference: reference.to_string(),
            keys,
            databases,
            password: None,
        };
        let complete = observed.wanted.iter().all(|wanted| {
            let known = Facts {
                password: Some(SecretString::from("known")),
                ..facts.clone()
            };
            outputs::render(&wanted.output, &known).missing.is_empty()
        });
        let postgres_version = itself.and_then(|database| database.version);
        Ok(Reading {
            facts,
            complete,
            postgres_version,
        })
    }
}

/// The shared pooler's two modes. Recorded answers list the transaction mode alone, on port 6543; the session mode
/// of the same host is on port 5432 (management-api.md §7, uncertain whether it is ever listed: both are read).
fn pooled(entries: &[PoolerEntry]) -> Vec<Database> {
    const TRANSACTION: u16 = 6543;
    const SESSION: u16 = 5432;
    let entry = |mode| {
        entries
            .iter()
            .find(|entry| entry.primary && entry.mode == mode)
    };
    let way = |endpoint, entry: &PoolerEntry, port| Database {
        endpoint,
        host: entry.host.clone(),
        port,
        user: entry.user.clone(),
        name: entry.database.clone(),
    };
    let transaction = entry(PoolMode::Transaction);
    let session =
        entry(PoolMode::Session).map(|entry| way(Endpoint::SessionPooler, entry, entry.port));
    let derived = transaction.map(|entry| {
        let port = if entry.port == TRANSACTION {
            SESSION
        } else {
            entry.port
        };
        way(Endpoint::SessionPooler, entry, port)
    });
    let transaction = transaction.map(|entry| way(Endpoint::TransactionPooler, entry, entry.port));
    session.or(derived).into_iter().chain(transaction).collect()
}
