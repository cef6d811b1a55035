//! How a credential stands, before it is put into the words of a status. Plain values.

use jiff::Timestamp;

use crate::controller::Problem;
use crate::management::Organization;

/// Where a token comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The Secret with the personal access token.
    Pat,
    /// The seed Secret.
    Seed,
    /// The state Secret.
    State,
}

/// How the credential stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can be used for these organizations.
    Usable(Vec<Organization>),
    /// It cannot, and the operator goes on by itself.
    Waiting(Problem),
    /// It cannot, and somebody must act.
    Stalled(Problem),
}

/// What there is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How the credential stands.
    pub health: Health,
    /// What should be done all the same.
    pub remark: Option<Problem>,
    /// Which access token is in use.
    pub in_use: Option<Source>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Whether what the status says goes on for now: what stands in the way may pass before anybody notices.
    pub kept: bool,
}

impl Report {
    /// A report of this and nothing else.
    pub fn of(health: Health) -> Self {
        Self { health, remark: None, in_use: None, expires_at: None, kept: false }
    }

    /// Somebody must act.
    pub fn stalled(problem: Problem) -> Self {
        Self::of(Health::Stalled(problem))
    }

    /// The same, with the address where consent can be given, for whoever must act.
    #[must_use]
    pub fn pointing_to(mut self, consent_url: Option<&str>) -> Self {
        let problem = match &mut self.health {
            Health::Stalled(problem) => Some(problem),
            Health::Usable(_) => self.remark.as_mut(),
            Health::Waiting(_) => None,
        };
        if let Some((problem, url)) = problem.zip(consent_url) {
            problem.message = format!("{}; or give consent at {url}", problem.message);
        }
        self
    }

    /// It goes on by itself.
    pub fn waiting(problem: Problem) -> Self {
        Self::of(Health::Waiting(problem))
    }
}
