//! Writes and prunes outputs. All of it is idempotent: what is in order is not touched.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, ResourceExt as _};

use super::Projects;
use super::decide::{Draft, Written, conflict, is_waited_for, settle};
use super::facts::{FoundPassword, Observed, Problem, Reading, Source, Wanted};
use super::password::object;
use super::reference_to;
use super::rollout;
use crate::api::project::Endpoints;
use crate::api::{Endpoint, ObjectKey, Output, OutputKind, ProjectStatus, Reason, SupabaseProject};
use crate::controller::{Outcome, Requeue};
use crate::kubernetes::{self, Error};
use crate::outputs::{self, Belonging, Facts, Missing, Rendered};
use crate::versions::Item;

pub(super) async fn write(
    projects: &Projects,
    project: &SupabaseProject,
    observed: &Observed,
    draft: &mut Draft,
) -> Outcome<ProjectStatus> {
    let recorded = draft.status.credentials.as_ref();
    let recorded = recorded.and_then(|known| known.password_digest.as_deref());
    let waits = is_waited_for(&draft.status, projects.context.clock.now());
    let writer = Writer {
        waits,
        projects,
        project,
        mark: observed.password_mark(recorded).map(str::to_owned),
        unread: !observed.memo.in_the_way,
    };
    let mut written = Vec::new();
    let mut retry = false;
    let mut left = Vec::new();
    match &observed.reading {
        Some(Ok(reading)) => {
            let facts = Facts { password: password(observed, draft), ..reading.facts.clone() };
            let before = draft.status.endpoints.take();
            draft.status.endpoints = Some(endpoints(&facts, before));
            for wanted in &observed.wanted {
                let Ok((one, failed)) = writer.output(wanted, &facts, reading).await else {
                    let uid = project.uid().unwrap_or_default();
                    projects.memory.note(&uid, |memo| {
                        memo.in_the_way = true;
                        memo.schedule.unsaid();
                    });
                    let stored = project.status.clone().unwrap_or_default();
                    return Outcome::failed(stored, Requeue::Now);
                };
                written.push(one);
                retry |= failed;
            }
            let now = projects.context.clock.uptime();
            let uid = project.uid().unwrap_or_default();
            let due = now + crate::rules::backoff::spread(projects.drift_interval, &uid, 2);
            projects.memory.note(&uid, |memo| memo.drift_due = Some(due));
        }
        Some(Err(_)) | None => written.extend(observed.wanted.iter().map(Written::unchanged)),
    }
    for (kind, name) in &observed.obsolete {
        if let Err(error) = writer.prune(*kind, name).await {
            tracing::warn!(
                output = name,
                error = &error as &dyn std::error::Error,
                "output could not be removed yet"
            );
            retry = true;
            left.push(name.clone());
        }
    }
    let kept: Vec<_> =
        draft.status.outputs.iter().filter(|one| left.contains(&one.name)).cloned().collect();
    let notes = settle(project, observed, draft, &written);
    // What could not be removed is not forgotten.
    let wanted = |name: &String| written.iter().any(|one| one.name == *name);
    draft.status.outputs.extend(kept.into_iter().filter(|one| !wanted(&one.name)));
    let status = draft.clone().finish();
    let done =
        if retry { Outcome::failed(status, Requeue::Backoff) } else { Outcome::done(status) };
    Outcome { notes, ..done }
}

/// The password that the platform has: the kept one, or one that was found again, both known by their digest.
fn password(observed: &Observed, draft: &Draft) -> Option<secrecy::SecretString> {
    let known = draft.status.credentials.as_ref()?.password_digest.as_deref()?;
    match &observed.password {
        FoundPassword::There(kept)
            if kept.belonging == Belonging::Ours && kept.digest.as_deref() == Some(known) =>
        {
            kept.password.clone()
        }
        FoundPassword::There(_) | FoundPassword::Missing => observed.recovered.clone(),
    }
}

/// Where the project can be reached. The database's own host is read only now and then.
fn endpoints(facts: &Facts, before: Option<Endpoints>) -> Endpoints {
    let address = |endpoint| {
        facts.database(endpoint).map(|database| format!("{}:{}", database.host, database.port))
    };
    Endpoints {
        api_url: Some(facts.api_url()),
        session_pooler: address(Endpoint::SessionPooler),
        transaction_pooler: address(Endpoint::TransactionPooler),
        direct: address(Endpoint::Direct).or_else(|| before?.direct),
    }
}

/// In front of the digest of an output that lacks something.
const PARTIAL: &str = "partial:";

struct Writer<'a> {
    projects: &'a Projects,
    project: &'a SupabaseProject,
    /// What stands for the password in digests.
    mark: Option<String>,
    /// Whether what is missing may come in a moment.
    waits: bool,
    /// Whether an output that was not found may stand there all the same, since it was not read.
    unread: bool,
}

/// Something stands where an output was to be made that had not been read: nothing is said of it before it is.
struct InTheWay;

impl Writer<'_> {
    /// Writes one output, if it is not in order. The flag says whether trying again helps.
    async fn output(
        &self,
        wanted: &Wanted,
        facts: &Facts,
        reading: &Reading,
    ) -> Result<(Written, bool), InTheWay> {
        let output = &wanted.output;
        let kept = wanted.found.as_ref().is_some_and(|found| {
            let missing = outputs::render(output, facts).missing;
            missing.iter().all(|one| found.entries.contains_key(&one.key))
        });
        let outcome = |result: Result<_, Problem>, partial| Written {
            kept: kept && result.as_ref().is_err_and(is_about_reading),
            name: output.name.clone(),
            kind: output.kind,
            result,
            partial,
            rolled: None,
        };
        if !wanted.writable {
            return Ok((outcome(Err(conflict(&output.name)), None), false));
        }
        if output.needs_authorities() && facts.authorities.is_none() {
            return Ok((outcome(Err(no_authorities(&output.name)), None), false));
        }
        // Its keys or its way to the database come in a moment.
        if self.waits && reading.is_waiting(output) {
            return Ok((outcome(Err(waiting(&output.name)), None), false));
        }
        let status = self.project.status.as_ref();
        let (key, object) = (&self.projects.digest_key, object(self.project));
        let mark = self.mark.as_deref();
        let recorded = status.and_then(|status| status.output(&output.name));
        let mut rendered = outputs::render(output, facts);
        if let Some(found) = &wanted.found {
            rendered.keep(&found.entries);
        }
        let kind = (output.kind == OutputKind::Secret).then_some(rendered.kind);
        let entries = rendered.data.entries().iter();
        let entries = entries.map(|(key, value)| (key.as_str(), value.as_bytes()));
        let digest = outputs::digest(key, &object, output, mark, kind, entries);
        // Incomplete: never taken for current, so that the rest is written as soon as it is known.
        let partial = format!("{PARTIAL}{digest}");
        let in_order = wanted.found.as_ref().is_some_and(|found| {
            let entries = found.entries.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
            let kind = found.kind.as_deref();
            let there = outputs::digest(key, &object, output, mark, kind, entries);
            let known = recorded.is_some_and(|one| one.digest == digest || one.digest == partial)
                || wanted.renewed.as_ref() == Some(&digest);
            known && there == digest && outputs::meta_is_current(self.project, output, found)
        });
        if !in_order && let Err(error) = self.store(wanted, &rendered).await {
            if matches!(error, Error::Exists) && self.unread {
                return Err(InTheWay);
            }
            let (problem, retry) = refused(&output.name, &error);
            return Ok((outcome(Err(problem), None), retry));
        }
        Ok(match missing(output, &rendered.missing, reading) {
            None => {
                let entries = rendered.data.entries().iter();
                let entries = entries.map(|(key, value)| (key.as_str(), value.as_bytes()));
                let content = outputs::content_digest(key, &object, entries);
                let before = recorded.and_then(|one| one.rolled_out.as_deref());
                let given = (before, content.as_str());
                let rolled = rollout::roll(self.projects, self.project, output, given).await;
                let problem = rolled.problem.as_ref();
                let retry = problem.is_some_and(|problem| problem.reason == Reason::Retrying);
                (Written { rolled: Some(rolled), ..outcome(Ok(Some(digest)), None) }, retry)
            }
            Some(problem) => (outcome(Err(problem), Some(partial)), false),
        })
    }

    async fn store(&self, wanted: &Wanted, rendered: &Rendered) -> Result<(), Error> {
        let client = self.projects.context.client.clone();
        let namespace = self.project.namespace().unwrap_or_default();
        let found = wanted.found.as_ref();
        let written = match wanted.output.kind {
            OutputKind::Secret => {
                let api: Api<Secret> = Api::namespaced(client, &namespace);
                let secret = outputs::to_secret(self.project, &wanted.output, rendered, found);
                match found {
                    None => kubernetes::create(&api, &secret).await,
                    Some(_) => kubernetes::replace(&api, &secret).await,
                }
            }
            OutputKind::ConfigMap => {
                let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
                let map = outputs::to_config_map(self.project, &wanted.output, rendered, found);
                match found {
                    None => kubernetes::create(&api, &map).await,
                    Some(_) => kubernetes::replace(&api, &map).await,
                }
            }
        };
        let output = &wanted.output;
        let key = ObjectKey::of(self.project);
        let version = written?.version().to_owned();
        let item = Item::Output(output.kind);
        self.projects.versions.note(&reference_to(&key), item, &output.name, Some(&version));
        Ok(())
    }

    /// Removes an output that is wanted no more, if it is still ours.
    async fn prune(&self, kind: OutputKind, name: &str) -> Result<(), Error> {
        let client = self.projects.context.client.clone();
        let namespace = self.project.namespace().unwrap_or_default();
        let ours = |meta: &ObjectMeta| outputs::belonging(meta, self.project) == Belonging::Ours;
        match kind {
            OutputKind::Secret => {
                let api: Api<Secret> = Api::namespaced(client, &namespace);
                match kubernetes::get(&api, name).await?.filter(|there| ours(&there.metadata)) {
                    Some(there) => kubernetes::delete(&api, &there).await,
                    None => Ok(()),
                }
            }
            OutputKind::ConfigMap => {
                let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
                match kubernetes::get(&api, name).await?.filter(|there| ours(&there.metadata)) {
                    Some(there) => kubernetes::delete(&api, &there).await,
                    None => Ok(()),
                }
            }
        }
    }
}

/// What the API server's refusal of an output means.
fn refused(name: &str, error: &Error) -> (Problem, bool) {
    match error {
        Error::Exists | Error::Conflict => (conflict(name), true),
        Error::Forbidden(refusal) => (
            Problem::new(Reason::Conflict, format!("the API server refused {name}: {refusal}")),
            true,
        ),
        Error::Invalid => (
            Problem::new(
                Reason::Conflict,
                format!(
                    "{name} cannot be written over what is there (immutable, or of another type); give the output \
                     another name"
                ),
            ),
            true,
        ),
        Error::NotFound
        | Error::Terminating
        | Error::TooLarge
        | Error::Unreadable(_)
        | Error::Unavailable(_) => {
            (Problem::new(Reason::Retrying, format!("writing {name}: {error}")), true)
        }
    }
}

/// An output waits for something that the platform is about to give.
fn waiting(name: &str) -> Problem {
    Problem::new(Reason::WaitingForServices, format!("{name} waits for API keys or the pooler"))
}

/// An output holds certificates that the operator was not given.
fn no_authorities(name: &str) -> Problem {
    Problem::new(
        Reason::MissingInput,
        format!(
            "{name} holds the certificates of the database's authorities (DatabaseCA, or tls.mode VerifyFull), and the \
             operator was given none: name the file from the dashboard in the chart's value databaseCA; {name} is left \
             as it is"
        ),
    )
}

/// Whether a problem is about what the platform gives, not about the output's place or the password.
fn is_about_reading(problem: &Problem) -> bool {
    matches!(
        problem.reason,
        Reason::WaitingForServices | Reason::MissingScope | Reason::MissingInput
    )
}

/// What is missing, in words.
fn missing(output: &Output, values: &[Missing], reading: &Reading) -> Option<Problem> {
    if values.is_empty() {
        return None;
    }
    let names = |values: &[&Missing]| {
        let names: Vec<_> = values.iter().map(|missing| format!("{:?}", missing.value)).collect();
        names.join(", ")
    };
    let given = reading.missing(output);
    let Some(first) = given.first() else {
        let message =
            "the database password is not known, so database values are left out or as they were";
        return Some(Problem::new(Reason::PasswordUnknown, message));
    };
    let lack = reading.lacking.iter().find(|lack| {
        given.iter().any(|missing| lack.source.gives(missing.value, missing.endpoint))
    });
    if let Some(lack) = lack {
        let withheld: Vec<_> = given
            .iter()
            .filter(|missing| lack.source.gives(missing.value, missing.endpoint))
            .collect();
        return Some(Problem::new(
            Reason::MissingScope,
            format!(
                "the credential lacks {}, without which {} cannot be read: left out, or as it was; give the credential \
                 this permission, or choose other values with include",
                lack.permissions.join(", "),
                names(&withheld)
            ),
        ));
    }
    if let Some(error) = &reading.trouble {
        return Some(Problem::new(
            Reason::MissingInput,
            format!("reading API keys and pooler: {error}"),
        ));
    }
    if reading.no_keys && Source::Keys.gives(first.value, first.endpoint) {
        return Some(Problem::new(
            Reason::MissingInput,
            "the platform lists no API key, as it does while a project is paused; what was written stays as it is",
        ));
    }
    Some(Problem::new(
        Reason::MissingInput,
        format!(
            "the platform does not give {}; create the key in the dashboard or give the credential the right to \
             read it, or choose other values with include",
            names(&given.iter().collect::<Vec<_>>())
        ),
    ))
}
