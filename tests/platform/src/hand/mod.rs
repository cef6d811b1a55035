//! Setting the scene, and somebody else's hand in the dashboard.
//!
//! Nothing here passes authentication, rate limits or validation.

pub(crate) mod page;
mod settings;

use std::collections::BTreeSet;

use http::Uri;
use jiff::Timestamp;
use url::form_urlencoded;

use crate::access::Identity;
use crate::clock::later;
use crate::endpoints::Order;
use crate::ledger::Effect;
use crate::oauth::{App, Code, Pat, StoredPat, TokenPair};
use crate::organization::{Organization, Plan, User};
use crate::project::{Fate, Status};
use crate::secret::Secret;
use crate::world::{FIRST_USER, World};

pub use settings::Refusal;
pub(crate) use settings::Slip;

/// How a user answers an app's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Grants it for one organization, perhaps limited to some of its projects.
    Grant {
        /// The organization.
        organization: String,
        /// The projects, or all.
        projects: Option<BTreeSet<String>>,
    },
    /// Refuses.
    Deny,
}

impl World {
    /// Adds an organization, owned by the first user.
    pub fn add_organization(&mut self, slug: &str, name: &str, plan: Plan) {
        let organization = Organization {
            slug: slug.to_owned(),
            name: name.to_owned(),
            plan,
            members: BTreeSet::from([FIRST_USER.to_owned()]),
        };
        self.organizations.insert(slug.to_owned(), organization);
    }

    /// Adds an organization of somebody else, out of reach of the first user.
    pub fn add_foreign_organization(&mut self, slug: &str, name: &str, plan: Plan, owner: &str) {
        self.add_organization(slug, name, plan);
        if let Some(organization) = self.organizations.get_mut(slug) {
            organization.members.clear();
        }
        self.add_member(slug, owner);
    }

    /// Makes a user, known or new, an owner of an organization.
    pub fn add_member(&mut self, organization: &str, user: &str) {
        if !self.users.contains_key(user) {
            let id = self.random.uuid();
            self.users.insert(user.to_owned(), User { id, name: user.to_owned() });
        }
        if let Some(organization) = self.organizations.get_mut(organization) {
            organization.members.insert(user.to_owned());
        }
    }

    /// Takes a user out of an organization.
    pub fn remove_member(&mut self, organization: &str, user: &str) {
        if let Some(organization) = self.organizations.get_mut(organization) {
            organization.members.remove(user);
        }
    }

    /// Changes an organization's plan.
    pub fn set_plan(&mut self, organization: &str, plan: Plan) {
        if let Some(organization) = self.organizations.get_mut(organization) {
            organization.plan = plan;
        }
    }

    /// All organizations.
    pub fn organizations(&self) -> impl Iterator<Item = &Organization> {
        self.organizations.values()
    }

    /// Makes a personal access token and returns it.
    pub fn add_pat(&mut self, pat: Pat) -> String {
        let token = match pat.permissions {
            None => format!("sbp_{}", self.random.hex(40)),
            Some(_) => format!("sbp_fc{}", self.random.hex(38)),
        };
        self.ledger.remember(&token);
        self.oauth.pats.push(StoredPat { pat, token: Secret::new(&token), revoked: false });
        token
    }

    /// Revokes a personal access token.
    pub fn revoke_pat(&mut self, token: &str) {
        for stored in &mut self.oauth.pats {
            stored.revoked |= stored.token.reveal() == token;
        }
    }

    /// Registers an OAuth app.
    pub fn register_app(&mut self, redirect_uris: &[&str], scopes: &[&str]) -> App {
        let owned =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let app = App {
            client_id: self.random.uuid(),
            client_secret: format!("sba_{}", self.random.hex(40)),
            redirect_uris: owned(redirect_uris),
            scopes: owned(scopes).into_iter().collect(),
        };
        self.ledger.remember(&app.client_secret);
        self.oauth.apps.insert(app.client_id.clone(), app.clone());
        app
    }

    /// Changes an app's scopes; authorizations keep theirs until they are given anew.
    pub fn set_app_scopes(&mut self, app: &App, scopes: &[&str]) {
        if let Some(stored) = self.oauth.apps.get_mut(&app.client_id) {
            stored.scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        }
    }

    /// Authorizes an app for an organization, as if a user had consented and the code been redeemed.
    pub fn authorize(
        &mut self,
        app: &App,
        organization: &str,
        now: Timestamp,
    ) -> Option<TokenPair> {
        self.authorize_projects(app, organization, None, now)
    }

    /// As [`World::authorize`], limited to some projects.
    pub fn authorize_projects(
        &mut self,
        app: &App,
        organization: &str,
        projects: Option<BTreeSet<String>>,
        now: Timestamp,
    ) -> Option<TokenPair> {
        self.tick(now);
        let index = self.consent_to(&app.client_id, organization, projects)?;
        self.issue(index, None)
    }

    /// Ends every authorization of an app for an organization.
    pub fn revoke_authorization(&mut self, app: &App, organization: &str) {
        self.end_authorizations(&app.client_id, organization);
    }

    /// Lets every authorization of an app for an organization lose its scopes, or have them again: its tokens are taken
    /// and good for nothing.
    pub fn lose_scopes(&mut self, app: &App, organization: &str, lost: bool) {
        for authorization in &mut self.oauth.authorizations {
            let same = authorization.client_id == app.client_id
                && authorization.organization == organization;
            if same {
                authorization.scopes_lost = lost;
            }
        }
    }

    /// Lets so many of the restores to come fall back: the project is paused again when its time is over.
    pub const fn next_restores_fail(&mut self, times: u32) {
        self.failing_restores = times;
    }

    /// Answers a request for consent, named by the `auth_id` of the consent page's address. Returns where
    /// the browser goes next.
    pub fn consent(&mut self, auth_id: &str, consent: Consent, now: Timestamp) -> Option<Uri> {
        self.tick(now);
        let request = self.oauth.consents.remove(auth_id)?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(state) = &request.state {
            query.append_pair("state", state);
        }
        let redirect_uri = request.redirect_uri.clone();
        match consent {
            Consent::Deny => {
                query.append_pair("error", "access_denied");
                query.append_pair("error_description", "The user denied the request");
            }
            Consent::Grant { organization, projects } => {
                let code = self.random.uuid();
                query.append_pair("code", &code);
                self.ledger.remember(&code);
                let expires_at = later(self.now, std::time::Duration::from_secs(600));
                self.oauth.codes.insert(
                    Secret::new(code),
                    Code { request, organization, projects, expires_at },
                );
            }
        }
        let separator = if redirect_uri.contains('?') { '&' } else { '?' };
        format!("{redirect_uri}{separator}{}", query.finish()).parse().ok()
    }

    /// Decides what becomes of the next project that is created.
    pub fn next_creation(&mut self, fate: Fate) {
        self.fates.push_back(fate);
    }

    /// Makes a project by hand and returns its ref.
    pub fn add_foreign_project(
        &mut self,
        organization: &str,
        name: &str,
        now: Timestamp,
    ) -> String {
        self.tick(now);
        let order = self.hand_order(name);
        self.found_project(order, organization, &Identity::Dashboard, None)
    }

    /// Makes a branch of a project and returns its ref.
    pub fn add_branch(&mut self, parent: &str, name: &str, now: Timestamp) -> Option<String> {
        self.tick(now);
        let organization = self.projects.get(parent)?.organization.clone();
        let order = self.hand_order(name);
        Some(self.found_project(
            order,
            &organization,
            &Identity::Dashboard,
            Some(parent.to_owned()),
        ))
    }

    fn hand_order(&mut self, name: &str) -> Order {
        Order {
            name: name.to_owned(),
            region: "eu-central-1",
            size: None,
            password: self.random.alphanumeric(32),
            engine: "17".to_owned(),
            channel: "ga".to_owned(),
        }
    }

    /// Renames a project by hand.
    pub fn rename_by_hand(&mut self, reference: &str, name: &str, now: Timestamp) {
        self.tick(now);
        let from = self.change(reference, |project, _, _| {
            std::mem::replace(&mut project.name, name.to_owned())
        });
        if let Some(from) = from {
            let effect =
                Effect::Renamed { reference: reference.to_owned(), from, to: name.to_owned() };
            self.accept(&Identity::Dashboard, effect);
        }
    }

    /// Moves a project to another organization.
    pub fn transfer_by_hand(&mut self, reference: &str, organization: &str) {
        if let Some(project) = self.projects.get_mut(reference) {
            organization.clone_into(&mut project.organization);
        }
    }

    /// Deletes a project by hand, whatever its status.
    pub fn delete_by_hand(&mut self, reference: &str, now: Timestamp) {
        self.set_status(reference, Status::GoingDown, now);
        self.accept(&Identity::Dashboard, Effect::Deleted { reference: reference.to_owned() });
    }

    /// Starts pausing a project by hand, or as the platform does after a week of silence.
    pub fn pause_by_hand(&mut self, reference: &str, now: Timestamp) {
        self.set_status(reference, Status::Pausing, now);
        self.accept(&Identity::Dashboard, Effect::Paused { reference: reference.to_owned() });
    }

    /// Starts restoring a project by hand.
    pub fn restore_by_hand(&mut self, reference: &str, now: Timestamp) {
        self.set_status(reference, self.config.restore_status, now);
        self.accept(&Identity::Dashboard, Effect::Restored { reference: reference.to_owned() });
    }

    /// Puts a project into a status; what usually follows that status follows, unless it is stuck.
    pub fn set_status(&mut self, reference: &str, status: Status, now: Timestamp) {
        self.tick(now);
        let free = self.projects.get(reference).is_some_and(|project| !self.is_paid(project));
        self.change(reference, |project, config, now| {
            project.enter(status, now, config, free);
        });
    }

    /// Keeps a project in whatever status it has, until [`World::unstick`].
    pub fn stick(&mut self, reference: &str) {
        self.change(reference, |project, _, _| {
            project.stuck = true;
            project.change = None;
        });
    }

    /// Lets a stuck project go on, from `now`.
    pub fn unstick(&mut self, reference: &str, now: Timestamp) {
        self.tick(now);
        let free = self.projects.get(reference).is_some_and(|project| !self.is_paid(project));
        self.change(reference, |project, config, now| {
            project.stuck = false;
            let young = project.provisioned_at.is_none() && project.status == Status::ComingUp;
            let status = if young { Status::ActiveHealthy } else { project.status };
            project.enter(status, now, config, free);
        });
    }
}
