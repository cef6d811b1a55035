//! A token call whose end is not known: the process that made it is gone, or its answer was lost. PURE.

use std::time::Duration;

use super::case::{Case, Offer};
use super::tokens::{is_over, with_hold};
use super::{Course, Report, try_access};
use crate::api::Reason;
use crate::connection::facts::Step;
use crate::connection::report::Source;
use crate::controller::Problem;
use crate::session::token_store::{CallEnd, Marker, Verdict};

/// How long a token call under a marker may still have an effect: its deadline, and what a request may be late.
pub(super) const GRACE: Duration = Duration::from_secs(60);
/// The longest pause after several lost answers in a row.
const GRACE_MOST: Duration = Duration::from_secs(900);

impl Case<'_> {
    /// The marker of a call whose end is not known.
    pub(super) fn open_marker(&self) -> Option<&Marker> {
        let marker = self.state.marker.as_ref()?;
        let harmless =
            Some(&(marker.clone(), CallEnd::Harmless)) == self.observed.memory.ended.as_ref();
        (!harmless).then_some(marker)
    }

    /// A token call whose end is not known, of this process or another one.
    pub(super) fn recover(&self, marker: &Marker, offer: &Offer<'_>) -> Course {
        let memory = &self.observed.memory;
        let lost = match &memory.ended {
            Some((ended, CallEnd::Lost { begun })) if ended == marker => Some(*begun),
            Some(_) | None => None,
        };
        let seen = memory.marker.as_ref().filter(|(seen, _)| seen == marker);
        let first = lost.or_else(|| seen.map(|(_, at)| *at)).unwrap_or(self.at.uptime);
        let doublings = if lost.is_some() { memory.lost.saturating_sub(1).min(8) } else { 0 };
        let over = first + (GRACE * (1 << doublings)).min(GRACE_MOST);
        let is_over = self.at.uptime >= over;
        let of_state =
            self.state.refresh.as_ref().is_some_and(|token| token.digest == marker.token);
        if of_state {
            return self.recover_state(first, over, lost.is_some());
        }
        let of_seed = match offer {
            Offer::Fresh(_, refresh) if refresh.digest == marker.token => Some(*refresh),
            Offer::Fresh(..)
            | Offer::Nothing(_)
            | Offer::Current
            | Offer::Spent
            | Offer::Refused(_)
            | Offer::Shared
            | Offer::Borrowed(_) => None,
        };
        match of_seed {
            Some(refresh) if is_over => match self.hold(refresh, false) {
                None => self.refresh(Source::Seed),
                Some(hold) => with_hold(self.meanwhile(None, None), hold),
            },
            None if is_over => self.step(Step::CloseMarker),
            Some(_) | None => self.meanwhile(None, Some(over)),
        }
    }

    /// The stored pair's own token may be spent.
    fn recover_state(&self, first: Duration, over: Duration, ours: bool) -> Course {
        let memory = &self.observed.memory;
        let verdict = self.state.access.as_ref().and_then(|token| memory.verdict(&token.digest));
        let alive = !is_over(self.state.expires_at, self.at.now);
        // A call of ours has ended; a token that was good and is dead now has been replaced by it.
        let replaced = ours && alive && matches!(verdict, Some(Verdict::Rejected { .. }));
        if self.at.uptime >= over || replaced {
            let Some(token) = self.spendable() else {
                return self.step(Step::CloseMarker);
            };
            let urgent = replaced && memory.lost < 2;
            match self.hold(token, urgent) {
                None => return self.refresh(Source::State),
                Some(hold) => return with_hold(self.meanwhile(Some(first), None), hold),
            }
        }
        self.meanwhile(Some(first), Some(over))
    }

    /// Until it is known what became of a call, the stored access token is used if it works. What was known of it
    /// before `since` is not.
    fn meanwhile(&self, since: Option<Duration>, over: Option<Duration>) -> Course {
        let waiting = || {
            let lasting = self.observed.memory.lost > 1;
            let problem = if lasting {
                Problem::new(
                    Reason::PlatformUnavailable,
                    "answers of the token endpoint were lost, so it is not known whether tokens were replaced; it is \
                     tried again, and if this lasts, authorize again",
                )
            } else {
                Problem::new(
                    Reason::Retrying,
                    "a token refresh may be under way; the operator waits until its end is known",
                )
            };
            Course::rest(Report::waiting(problem))
        };
        let course = self.state.access.as_ref().map_or_else(waiting, |token| {
            let stale = match (self.observed.memory.verdict(&token.digest), since) {
                (Some(Verdict::Works { at, .. }), Some(since)) => *at <= since,
                (Some(_) | None, _) => false,
            };
            if stale {
                return self.probe(Source::State);
            }
            let mut course = try_access(self.policy, self.observed, token, Source::State, self.at)
                .unwrap_or_else(waiting);
            if course.report.in_use.is_some() {
                course.report.expires_at = self.state.expires_at;
            }
            course
        });
        course.until(over)
    }
}
