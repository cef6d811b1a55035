//! The store of OAuth tokens: which one to use, to try, to spend. PURE.

use std::time::Duration;

use jiff::Timestamp;

use super::case::{Case, Offer};
use super::words::shared;
use super::{At, Course, Health, OrganizationPolicy, Report, held_until, trouble, try_access};
use crate::api::Reason;
use crate::connection::facts::{Observed, Origin, Read, Seed, Step};
use crate::connection::report::Source;
use crate::controller::Problem;
use crate::session::token_store::{App, StateRead, Token, TokenState, Verdict};

/// Between two token calls.
const APART: Duration = Duration::from_secs(60);

/// Why a token is not spent now.
pub(super) enum Hold {
    /// Somebody must act.
    Stalled(Problem),
    /// It goes on at this uptime.
    Until(Duration, Problem),
}

pub(super) fn course(
    policy: &OrganizationPolicy<'_>,
    observed: &Observed,
    app: &Read<App>,
    seed: &Read<Seed>,
    at: At,
) -> Course {
    let empty = TokenState::default();
    let name = &observed.state_name;
    let state = match &observed.state {
        StateRead::Absent => &empty,
        StateRead::Ours(state, _) => state,
        StateRead::Foreign => {
            return Course::rest(Report::stalled(Problem::new(
                Reason::SecretInvalid,
                format!(
                    "the Secret {name}, in which the operator would keep tokens, belongs to somebody else and is left \
                     alone; give the connection another name"
                ),
            )));
        }
        StateRead::Damaged(_) => {
            return Course::rest(Report::stalled(Problem::new(
                Reason::SecretInvalid,
                format!(
                    "the Secret {name} was edited and cannot be trusted; restore what was there. If nobody can, keep \
                     a copy of it, make room for a new one, and authorize again"
                ),
            )));
        }
    };
    let case = Case { policy, observed, state, app, at };
    // A seed that cannot be read now may be the spent one: it is waited for, so that it is not taken for a new one.
    if observed.of_another_key && !matches!(seed, Read::Bad(_)) {
        return Course {
            step: Some(Step::Rekey),
            report: Report::waiting(trouble(observed)),
            until: None,
        };
    }
    let offer = case.offer(seed);
    let attempt = case.untried_pair(&offer);
    let mut remark = None;
    if let Some(step) = attempt {
        match held_until(observed, &step, at) {
            None => return case.step(step),
            // What is in use must not suffer from a seed that cannot be tried.
            Some(next) => remark = Some(Hold::Until(next, trouble(observed))),
        }
    }
    if let Some(marker) = case.open_marker() {
        return case.recover(marker, &offer);
    }
    if let (Offer::Fresh(_, refresh), None) = (&offer, &remark) {
        let step = Step::Refresh(Source::Seed);
        let failed =
            held_until(observed, &step, at).map(|next| Hold::Until(next, trouble(observed)));
        match failed.or_else(|| case.hold(refresh, false)) {
            None => return case.step(step),
            Some(hold) => remark = Some(hold),
        }
    }
    if let Offer::Borrowed(access) = &offer
        && let Some(course) = try_access(policy, observed, access, Source::Seed, at)
    {
        return course;
    }
    let course = case.keep(&offer);
    match remark {
        None => course,
        Some(hold) => with_hold(course, hold),
    }
}

/// What holds a fresh seed back is said where nothing works, and remarked where something does.
pub(super) fn with_hold(mut course: Course, hold: Hold) -> Course {
    let (problem, until, stalled) = match hold {
        Hold::Stalled(problem) => (problem, None, true),
        Hold::Until(until, problem) => (problem, Some(until), false),
    };
    if course.step.is_none() {
        match &course.report.health {
            Health::Usable(_) => course.report.remark = Some(problem),
            Health::Stalled(_) if !stalled => course.report.health = Health::Waiting(problem),
            Health::Stalled(_) => course.report.health = Health::Stalled(problem),
            Health::Waiting(_) => {}
        }
    }
    course.until(until)
}

impl Case<'_> {
    /// A pair whose access token works needs no refresh: it is taken whatever else is under way. One that a consent
    /// gave for another organization is not.
    fn untried_pair(&self, offer: &Offer<'_>) -> Option<Step> {
        let Offer::Fresh(seed, _) = offer else {
            return None;
        };
        let access = seed.access.as_ref().filter(|_| !is_over(seed.expires_at, self.at.now))?;
        match self.observed.memory.verdict(&access.digest) {
            None => Some(Step::Probe(Source::Seed)),
            Some(Verdict::Works { organizations, .. }) => {
                let foreign = match self.policy.judge(organizations.as_deref()) {
                    Health::Stalled(problem) => problem.reason == Reason::OrganizationNotAllowed,
                    Health::Usable(_) | Health::Waiting(_) => false,
                };
                let consented = matches!(seed.origin, Origin::Consent { .. });
                Some(if consented && foreign { Step::Discard } else { Step::Adopt })
            }
            Some(Verdict::Rejected { .. }) => None,
        }
    }

    pub(super) fn probe(&self, source: Source) -> Course {
        self.step(Step::Probe(source))
    }

    pub(super) fn refresh(&self, source: Source) -> Course {
        self.step(Step::Refresh(source))
    }

    /// A step, and what is true as long as it has not worked: the stored access token is in use, if it works.
    pub(super) fn step(&self, step: Step) -> Course {
        let stored = self.state.access.as_ref();
        let mut report = stored
            .filter(|token| {
                let verdict = self.observed.memory.verdict(&token.digest);
                matches!(verdict, Some(Verdict::Works { .. })) && !self.has_ended_since(token)
            })
            .and_then(|token| try_access(self.policy, self.observed, token, Source::State, self.at))
            .map_or_else(|| Report::waiting(trouble(self.observed)), |course| course.report);
        if report.in_use.is_some() {
            report.expires_at = self.state.expires_at;
            let failed = self.observed.memory.last_failure();
            report.remark = failed.map(|_| trouble(self.observed));
        }
        Course { step: Some(step), report, until: None }
    }

    /// Why a refresh token is not to be spent now. `urgent` waives the distance between token calls, nothing else.
    pub(super) fn hold(&self, token: &Token, urgent: bool) -> Option<Hold> {
        let memory = &self.observed.memory;
        let app = match self.usable_app() {
            Ok(app) => app,
            Err(problem) => return Some(Hold::Stalled(problem)),
        };
        debug_assert!(!self.state.is_consumed(&token.digest, Some(&app.digest)), "sent twice");
        if let Some((digest, until)) = &memory.refused_app
            && *digest == app.digest
            && *until > self.at.uptime
        {
            return Some(Hold::Stalled(Problem::new(
                Reason::SecretInvalid,
                "the platform does not know the OAuth app: client_id or client_secret are wrong; correct its Secret",
            )));
        }
        if let Some(until) = memory.not_before.filter(|until| *until > self.at.uptime) {
            let problem = Problem::new(
                Reason::RateLimited,
                "the token endpoint's rate limit is reached; tokens are refreshed when it allows",
            );
            return Some(Hold::Until(until, problem));
        }
        let next = memory.refreshed.map(|last| last + APART);
        next.filter(|next| *next > self.at.uptime && !urgent)
            .map(|next| Hold::Until(next, trouble(self.observed)))
    }

    /// The stored refresh token, if it may be sent.
    pub(super) fn spendable(&self) -> Option<&Token> {
        let token = self.state.refresh.as_ref();
        token.filter(|token| !self.state.is_consumed(&token.digest, self.app_digest()))
    }

    /// The stored pair: used, tried, or replaced.
    fn keep(&self, offer: &Offer<'_>) -> Course {
        let now = self.at.now;
        let access = self.state.access.as_ref();
        let rejected = access.is_some_and(|token| {
            matches!(self.observed.memory.verdict(&token.digest), Some(Verdict::Rejected { .. }))
        });
        let dead = access.is_none() || rejected;
        let due =
            dead || is_over(self.state.refresh_at, now) || is_over(self.state.expires_at, now);
        let mut held = None;
        if due && let Some(token) = self.spendable() {
            if self.is_refused_anew() {
                return Course::rest(Report::stalled(
                    self.reauthorize("the platform refuses tokens that it has just granted"),
                ));
            }
            match self.hold(token, false) {
                None => return self.refresh(Source::State),
                Some(why) => held = Some(why),
            }
        }
        if access.is_some_and(|token| self.has_ended_since(token)) {
            return self.probe(Source::State);
        }
        let usable = access.and_then(|token| {
            try_access(self.policy, self.observed, token, Source::State, self.at)
        });
        match (usable, held) {
            (Some(course), held) => self.in_use(course, held, offer),
            (None, Some(Hold::Stalled(problem))) => Course::rest(Report::stalled(problem)),
            (None, Some(Hold::Until(until, problem))) => {
                Course::rest(Report::waiting(problem)).until(Some(until))
            }
            (None, None) => Course::rest(Report::stalled(self.nothing_left(offer))),
        }
    }

    /// Whether a token has reached its end since it was seen to work. Only the platform knows whether it is dead.
    fn has_ended_since(&self, token: &Token) -> bool {
        let ended = self
            .state
            .expires_at
            .and_then(|at| Duration::try_from(self.at.now.duration_since(at)).ok());
        match (ended, self.observed.memory.verdict(&token.digest)) {
            (Some(ended), Some(Verdict::Works { at, .. })) => {
                self.at.uptime.saturating_sub(*at) > ended
            }
            (Some(_) | None, _) => false,
        }
    }

    /// The pair in use, with what should be done about it.
    fn in_use(&self, mut course: Course, held: Option<Hold>, offer: &Offer<'_>) -> Course {
        if course.step.is_some() {
            return course;
        }
        course.report.expires_at = self.state.expires_at;
        let ends = self.state.expires_at.map(|at| format!(" before {at}")).unwrap_or_default();
        let mut held_until = None;
        course.report.remark = match (held, offer) {
            (Some(Hold::Stalled(problem)), _) => Some(problem),
            (Some(Hold::Until(until, _)), _) => {
                held_until = Some(until);
                None
            }
            (_, Offer::Shared) => Some(shared()),
            (_, Offer::Refused(seed)) => Some(Problem::new(
                Reason::ReauthorizationRequired,
                format!(
                    "the platform refused the refresh token in the Secret {}; the tokens from before are in use",
                    seed.name
                ),
            )),
            _ if self.spendable().is_none() => Some(Problem::new(
                Reason::ReauthorizationRequired,
                format!(
                    "there is no refresh token that works; authorize again{ends} with '{} --again'",
                    self.observed.connect
                ),
            )),
            _ => None,
        };
        let until = self.state.refresh_at.or(self.state.expires_at).and_then(|due| {
            let left = Duration::try_from(due.duration_since(self.at.now)).ok()?;
            // One that has passed is no time to wait for.
            Some(self.at.uptime + left).filter(|_| !left.is_zero())
        });
        course.until(until).until(held_until)
    }

    /// A pair that the last refresh gave, rejected before it ever worked: another refresh would give another one.
    fn is_refused_anew(&self) -> bool {
        let memory = &self.observed.memory;
        self.state.access.as_ref().is_some_and(|token| {
            memory.granted.as_ref() == Some(&token.digest)
                && matches!(
                    memory.verdict(&token.digest),
                    Some(Verdict::Rejected { worked: false, .. })
                )
        })
    }
}

pub(super) fn is_over(moment: Option<Timestamp>, now: Timestamp) -> bool {
    moment.is_some_and(|moment| moment <= now)
}
