//! What to do about a connection's credential. PURE.
//!
//! ```text
//!                         seed changed                      accepted
//!   no tokens ─────────────────────────► seed to be tried ───────────────► in use ◄──────────┐
//!       ▲                                    │ refused                      │  │             │ new pair stored
//!       │                                    ▼                         due, │  │ 401         │
//!       │                         what was in use before               401  ▼  ▼             │
//!       │                                                         marker written ── call ────┤
//!       │                                                               │                    │ answer lost, or
//!       │                                                               │ refused            │ process gone
//!       │                                                               ▼                    ▼
//!       └──────── a new seed ─────────────────────────── ReauthorizationRequired ◄──── open marker
//!                                                                               refused    │  ▲
//!                                                                       (second call) ◄────┘  │
//!                                                    grace over, or the old token is dead ────┘
//! ```
//!
//! | what is known | step | condition |
//! |---|---|---|
//! | a Secret is missing or holds no credential | – | `SecretNotFound`, `SecretInvalid` |
//! | tokens remembered with another key of the operator | rekey | as before |
//! | a state Secret without the labels that are declared for it | label | as before |
//! | an access token that was not tried | probe | as before |
//! | … and is accepted, with an organization that is admitted | install | `Authenticated` |
//! | … and sees none that is admitted | install | `OrganizationNotAllowed`, `MissingScope` |
//! | a personal token, or one without a refresh token, answered 401 | install | `Unauthorized` |
//! | a seed with an access token that is accepted | adopt | as before |
//! | a consent's access token that sees no organization that is admitted | discard | as before |
//! | a consent's pair that is in the token store, or a flow that has ended | sweep | as before |
//! | a seed with a refresh token that was never sent | refresh | as before |
//! | … that another connection holds | – | `CredentialShared`, or as before with a remark |
//! | … that was spent or refused | – | as before, or `ReauthorizationRequired` |
//! | the pair is due, or its access token answered 401 | refresh | as before |
//! | an open marker, younger than the grace | probe the old token, wait | as before, or `Retrying` |
//! | an open marker, older, or the old token is dead | refresh | `Retrying` |
//! | an open marker whose token is nowhere any more | close it | as before |
//! | the connection goes, and `revokeOnDelete` | revoke, once | `Deleting` |
//! | no token is left that could be tried | – | `ReauthorizationRequired`, and **stop** |
//! | it was ready, and what stands in the way may pass | as above | as before, for five minutes |
//! | it was ready, and its Secret is away | – | as before, for ten seconds |
//!
//! A token call is made at most once a minute, but for the second one after a lost answer when the old access token
//! is known to be dead: where a platform grants a grace to replayed tokens, it is short. Tokens that nothing vouches for
//! are tried at a growing distance while the platform refuses them (`session::refusals`).

mod case;
mod describe;
mod grants;
mod policy;
mod recovery;
mod tokens;
mod words;

use std::time::Duration;

use jiff::Timestamp;

pub use describe::status;
pub use grants::sweep;
pub use policy::OrganizationPolicy;

use super::facts::{Credentials, Observed, Read, Step};
use super::report::{Health, Report, Source};
use crate::api::connection::Connection;
use crate::api::{ConnectionStatus, Reason};
use crate::controller::{Decision, Inputs, Problem, Requeue, StepName as _};
use crate::session::token_store::{Applied, StateRead, Token, Verdict};

/// A token that was refused, and that only a person can replace, is asked for again after so long.
const ASK_AGAIN: Duration = Duration::from_secs(2400);
/// An accepted token is asked for its organizations again after so long.
const RECHECK: Duration = Duration::from_secs(6 * 3600);

/// How long what the status says goes on while something stands in the way that may pass: a platform that is away for
/// a moment, a refresh whose end is not known. No workload notices.
const FORBEARANCE: Duration = Duration::from_secs(300);
/// How long a Secret that is replaced by hand may be away.
const REPLACED: Duration = Duration::from_secs(10);

/// The time of a decision.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// The wall clock.
    pub now: Timestamp,
    /// The monotonic clock.
    pub uptime: Duration,
}

/// What to do and to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What is done now, if anything.
    pub step: Option<Step>,
    /// How things are before it.
    pub report: Report,
    /// When to look again.
    pub requeue: Requeue,
    /// Whether the connection may go.
    pub release: bool,
}

/// A part of a plan: a step, or a report and the uptime at which it may be another one.
struct Course {
    step: Option<Step>,
    report: Report,
    until: Option<Duration>,
}

impl Course {
    fn rest(report: Report) -> Self {
        Self { step: None, report, until: None }
    }

    fn until(mut self, uptime: Option<Duration>) -> Self {
        self.until = self.until.into_iter().chain(uptime).min();
        self
    }
}

/// What to do and to say about a connection, as a reconcile wants it.
pub fn decide<C: Connection>(
    object: &C,
    observed: &Observed,
    inputs: &Inputs<'_>,
) -> Decision<Step, ConnectionStatus> {
    let at = At { now: inputs.now, uptime: inputs.uptime };
    let plan = plan(&OrganizationPolicy::of(object), observed, at);
    let stored = Connection::status(object).cloned().unwrap_or_default();
    Decision {
        // What is said is said when nothing is left to be done.
        status: match plan.step {
            Some(_) => stored,
            None => describe::status(object, observed, &plan.report, at.now),
        },
        step: plan.step,
        requeue: plan.requeue,
        notes: Vec::new(),
        release: plan.release,
    }
}

/// What to do and to say.
pub fn plan(policy: &OrganizationPolicy<'_>, observed: &Observed, at: At) -> Plan {
    let unused = observed.users.as_ref().is_some_and(|users| users.count == 0);
    if unused {
        return leave(observed);
    }
    let course = match &observed.credentials {
        Credentials::Pat(read) => personal(policy, observed, read, at),
        Credentials::OAuth { app, seed } => tokens::course(policy, observed, app, seed, at),
    };
    let course = held_back(observed, course, at);
    let Course { mut step, mut report, until } = course;
    // What the API server refuses is for somebody to mend, though it is tried again.
    if let Health::Waiting(problem) = &report.health
        && problem.reason == Reason::Conflict
    {
        report.health = Health::Stalled(problem.clone());
    }
    report.kept = forbears(observed, &report.health, at);
    if step.is_none()
        && sweep(observed, at.now).is_some()
        && held_until(observed, &Step::Sweep, at).is_none()
    {
        step = Some(Step::Sweep);
    }
    if step.is_none() && !observed.marked {
        match held_until(observed, &Step::Label, at) {
            None => step = Some(Step::Label),
            // Tokens do not suffer from it.
            Some(_) if matches!(report.health, Health::Usable(_)) => {
                report.remark.get_or_insert_with(|| trouble(observed));
            }
            Some(_) => {}
        }
    }
    if step.is_none() && !is_applied(observed, &report) {
        step = Some(Step::Install(Box::new(report.clone())));
    }
    let wait = until
        .map_or(observed.interval, |until| until.saturating_sub(at.uptime).min(observed.interval));
    let patience = observed.memory.missing_since.map_or(observed.interval, |since| {
        // Soon at first, then at leisure.
        at.uptime.saturating_sub(since).clamp(Duration::from_secs(1), observed.interval)
    });
    Plan {
        step,
        report,
        requeue: Requeue::After(wait.min(patience).max(Duration::from_millis(100))),
        release: false,
    }
}

/// Whether what the status says goes on for now.
fn forbears(observed: &Observed, health: &Health, at: At) -> bool {
    let memory = &observed.memory;
    let passed = |since: Duration| at.uptime.saturating_sub(since);
    let passing = match health {
        Health::Usable(_) => false,
        Health::Waiting(_) => memory.waiting_since.is_none_or(|since| passed(since) < FORBEARANCE),
        Health::Stalled(problem) => {
            problem.reason == Reason::SecretNotFound
                && memory.missing_since.is_some_and(|since| passed(since) < REPLACED)
        }
    };
    observed.was_ready && passing
}

/// A step that failed is not tried again before its time, unless it is about another token by now.
fn held_back(observed: &Observed, course: Course, at: At) -> Course {
    let held = course.step.as_ref().and_then(|step| held_until(observed, step, at));
    match held {
        None => course,
        Some(next) => Course { step: None, ..course }.until(Some(next)),
    }
}

/// Until when a step that failed is not tried again.
fn held_until(observed: &Observed, step: &Step, at: At) -> Option<Duration> {
    let failure = observed.memory.failure(step.name(), &subject(observed, step))?;
    Some(failure.next).filter(|next| *next > at.uptime)
}

/// The digest of the token that a step is about.
pub fn subject(observed: &Observed, step: &Step) -> String {
    let token = match step {
        Step::Probe(source) => access_of(observed, *source),
        Step::Refresh(source) => refresh_of(observed, *source),
        Step::Adopt | Step::Discard => refresh_of(observed, Source::Seed),
        Step::Sweep
        | Step::Rekey
        | Step::Label
        | Step::CloseMarker
        | Step::Install(_)
        | Step::Revoke
        | Step::Clean => None,
    };
    token.map(|token| token.digest.clone()).unwrap_or_default()
}

/// Nobody needs it any more.
fn leave(observed: &Observed) -> Plan {
    let clean = match &observed.state {
        StateRead::Ours(..) | StateRead::Damaged(_) => Some(Step::Clean),
        StateRead::Absent | StateRead::Foreign => observed.grants.as_ref().map(|_| Step::Clean),
    };
    // Tried once, whatever comes of it: nobody waits for the platform to go.
    let revoke = observed.revokes
        && !observed.memory.revoked
        && refresh_of(observed, Source::State).is_some();
    let clean = if revoke { Some(Step::Revoke) } else { clean };
    Plan {
        release: clean.is_none(),
        step: clean,
        report: Report::waiting(Problem::new(Reason::Deleting, "the connection is being deleted")),
        requeue: Requeue::Backoff,
    }
}

fn personal(
    policy: &OrganizationPolicy<'_>,
    observed: &Observed,
    read: &Read<(Token, bool)>,
    at: At,
) -> Course {
    match read {
        Read::NotNamed => Course::rest(Report::stalled(Problem::new(
            Reason::SecretInvalid,
            "set exactly one of spec.auth.oauth and spec.auth.personalAccessToken",
        ))),
        Read::Bad(problem) => Course::rest(Report::stalled(problem.clone())),
        Read::There((token, _)) => {
            let rejected = Problem::new(
                Reason::Unauthorized,
                "the platform does not accept the personal access token; it may have expired or been revoked: put \
                 a new one into the Secret",
            );
            try_access(policy, observed, token, Source::Pat, at).unwrap_or_else(|| {
                // The platform may have been wrong, and nobody may be there who asks once more.
                let due =
                    observed.memory.rejected_at(&token.digest).unwrap_or_default() + ASK_AGAIN;
                let step = (due <= at.uptime).then_some(Step::Probe(Source::Pat));
                Course { step, report: Report::stalled(rejected), until: Some(due) }
            })
        }
    }
}

/// What an access token is good for; nothing if it was rejected.
fn try_access(
    policy: &OrganizationPolicy<'_>,
    observed: &Observed,
    token: &Token,
    source: Source,
    at: At,
) -> Option<Course> {
    match observed.memory.verdict(&token.digest) {
        None => {
            let report = match observed.memory.inherited(&token.digest) {
                // The platform takes the token, and gives nothing for it.
                _ if has_lost_its_scopes(observed, token) => Report::stalled(trouble(observed)),
                Some(Verdict::Works { organizations, .. }) => Report {
                    in_use: Some(source),
                    remark: observed.memory.last_failure().map(|_| trouble(observed)),
                    ..Report::of(policy.judge(organizations.as_deref()))
                },
                Some(Verdict::Rejected { .. }) | None => Report::waiting(trouble(observed)),
            };
            Some(Course { step: Some(Step::Probe(source)), report, until: None })
        }
        Some(Verdict::Rejected { .. }) => None,
        Some(Verdict::Works { at: asked, organizations }) => {
            let stale = asked.saturating_add(RECHECK) <= at.uptime;
            Some(Course {
                step: stale.then_some(Step::Probe(source)),
                report: Report {
                    in_use: Some(source),
                    ..Report::of(policy.judge(organizations.as_deref()))
                },
                until: None,
            })
        }
    }
}

/// Whether the token was refused for want of scopes when it was tried last.
fn has_lost_its_scopes(observed: &Observed, token: &Token) -> bool {
    let probe = Step::Probe(Source::State).name();
    let failure = observed.memory.failure(probe, &token.digest);
    failure.is_some_and(|failure| failure.reason == Reason::ReauthorizationRequired)
}

/// What went wrong last, for as long as a step is tried again.
fn trouble(observed: &Observed) -> Problem {
    observed.memory.last_failure().map_or_else(
        || Problem::new(Reason::Retrying, "the credential is being tried"),
        |failure| Problem::new(failure.reason, failure.message.clone()),
    )
}

/// Whether the session has been told.
fn is_applied(observed: &Observed, report: &Report) -> bool {
    let Some(applied) = &observed.memory.applied else {
        return false;
    };
    match &report.health {
        Health::Usable(organizations) => {
            let slugs: Vec<_> = organizations.iter().map(|one| one.slug.as_str()).collect();
            *applied
                == Applied {
                    token: token_in_use(observed, report).map(|token| token.digest.clone()),
                    unusable: None,
                    organizations: slugs.into_iter().map(str::to_owned).collect(),
                    kept: false,
                }
        }
        Health::Waiting(problem) | Health::Stalled(problem) => {
            applied.unusable == Some(problem.reason) && applied.kept == report.kept
        }
    }
}

/// The access token that a report says is in use.
pub fn token_in_use<'a>(observed: &'a Observed, report: &Report) -> Option<&'a Token> {
    access_of(observed, report.in_use?)
}

/// The access token there; none where that was not read, or holds none.
pub fn access_of(observed: &Observed, source: Source) -> Option<&Token> {
    match (source, &observed.credentials, &observed.state) {
        (Source::Pat, Credentials::Pat(Read::There((token, _))), _) => Some(token),
        (Source::Seed, Credentials::OAuth { seed: Read::There(seed), .. }, _) => {
            seed.access.as_ref()
        }
        (Source::State, Credentials::OAuth { .. }, StateRead::Ours(state, _)) => {
            state.access.as_ref()
        }
        (Source::Pat | Source::Seed | Source::State, _, _) => None,
    }
}

/// The refresh token there; a personal access token has none.
pub fn refresh_of(observed: &Observed, source: Source) -> Option<&Token> {
    match (source, &observed.credentials, &observed.state) {
        (Source::Seed, Credentials::OAuth { seed: Read::There(seed), .. }, _) => {
            seed.refresh.as_ref()
        }
        (Source::State, _, StateRead::Ours(state, _)) => state.refresh.as_ref(),
        (Source::Pat | Source::Seed | Source::State, _, _) => None,
    }
}

#[cfg(test)]
mod tests;
