//! The two steps of a flow: from the button to the platform, and from the platform to tokens on their way into the token store.
//! Any replica does either.

use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;
use tracing::{info, warn};
use url::Url;

use super::flow::{RETURN_ADDRESS, STATE, Ticket};
use super::stopped::Why;
use super::subject::Subject;
use super::{CALLBACK, Site};
use crate::consent::app;
use crate::consent::pages::About;
use crate::consent::pkce::Verifier;
use crate::consent::redeem::{Flow, Redeemer};
use crate::kubernetes::Error;
use crate::management::{Authorization, OAuthApp, Organization};
use crate::session::token_store::credential;

/// A flow that stopped.
#[derive(Debug)]
pub struct Stopped {
    /// What the page says to the person.
    pub why: Why,
    /// The connection, where it is known.
    pub about: Option<About>,
    /// Where the person can begin again.
    pub again: Option<String>,
}

impl From<Why> for Stopped {
    fn from(why: Why) -> Self {
        Self { why, about: None, again: None }
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Why::Cluster(error).into()
    }
}

/// Where the browser goes when the button was pressed.
#[derive(Debug)]
pub struct Leave {
    /// The platform's authorize page.
    pub location: String,
    /// What stays in the browser.
    pub set_cookie: String,
}

/// A connection that has its tokens.
#[derive(Debug)]
pub struct Connected {
    /// The connection.
    pub subject: Subject,
    /// What the tokens see, as far as they may list it.
    pub organizations: Vec<Organization>,
    /// Where the browser is sent on to.
    pub return_to: Option<Url>,
}

/// What the platform sends the browser back with. Anything may be in it.
#[derive(Default, Deserialize)]
pub struct Returned {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

impl Site {
    /// Makes state and cookie, and the address to go to. Writes nothing about the flow: most are never gone through.
    pub(super) async fn begin(
        &self,
        link: &str,
        return_to: Option<&str>,
    ) -> Result<Leave, Stopped> {
        let seen = self.subjects.by_link(&self.links, link).ok_or(Why::UnknownLink)?;
        let subject = self.afresh(&seen).await?.ok_or(Why::UnknownLink)?;
        if !subject.wants_consent {
            return Err(self.not_needed(&subject));
        }
        let app = self.app_of(&subject).await?;
        let key = self.keyring.newest().await?;
        let random = self.environment.random.as_ref();
        let return_to = return_to.and_then(|address| self.admitted(address)).map(String::from);
        let ticket =
            Ticket::draw(random, subject.uid.clone(), return_to, self.environment.clock.now())
                .ok_or(Why::Interrupted)?;
        let begun = ticket.begin(&key, random).ok_or(Why::Interrupted)?;
        let location = Authorization {
            client_id: &app.client_id,
            redirect_uri: &self.redirect_uri(),
            state: &begun.state,
            code_challenge: &begun.challenge,
            organization_slug: Some(&subject.organization),
        }
        .url(self.environment.management.base());
        self.metrics.consent("started");
        info!(connection = subject.label(), "a consent flow was begun");
        Ok(Leave { location, set_cookie: begun.set_cookie })
    }

    /// Reads what came back with the browser, and the flow that it belongs to. Without one, nothing that the browser
    /// holds is touched.
    pub(super) async fn finish(
        self: &Arc<Self>,
        returned: Returned,
        cookies: &[&str],
    ) -> (Option<Ticket>, Result<Connected, Stopped>) {
        let opened = match self.keyring.open(STATE, &returned.state).await {
            Ok(opened) => opened,
            Err(error) => return (None, Err(error.into())),
        };
        let Some(ticket) = opened.and_then(|content| Ticket::read(&content)) else {
            return (None, Err(Why::Tampered.into()));
        };
        let done = self.go_through(&ticket, returned, cookies).await;
        let done = done.map_err(|stopped| match self.subjects.by_uid(&ticket.uid) {
            None => stopped,
            Some(subject) => Stopped {
                why: stopped.why,
                about: Some(self.about(&subject)),
                again: self.again(&ticket),
            },
        });
        (Some(ticket), done)
    }

    async fn go_through(
        self: &Arc<Self>,
        ticket: &Ticket,
        returned: Returned,
        cookies: &[&str],
    ) -> Result<Connected, Stopped> {
        if ticket.ends_at <= self.environment.clock.now() {
            return Err(Why::Expired.into());
        }
        let verifier = self.verifier(ticket, cookies).await?;
        // RFC 9207. The platform may leave it out (platform.md §2.4: uncertain).
        let base = self.environment.management.base();
        if let Some(issuer) = &returned.iss
            && Url::parse(issuer).map(|url| url.origin().ascii_serialization()) != Ok(base.origin())
        {
            return Err(Why::OtherIssuer.into());
        }
        let code = match (returned.code, returned.error) {
            (_, Some(error)) => return Err(Why::of_error(&error).into()),
            (Some(code), None) => code,
            (None, None) => return Err(Why::NoCode.into()),
        };
        let code = credential(&code).ok_or(Why::NoCode)?;
        let seen = self.subjects.by_uid(&ticket.uid).ok_or(Why::Gone)?;
        // That its credentials are missing is not asked for again: a second consent may have ended what the first gave.
        let subject = self.afresh(&seen).await?.ok_or(Why::Gone)?;
        let app = self.app_of(&subject).await?;
        let site = Arc::clone(self);
        let (subject_, ticket_) = (subject.clone(), ticket.clone());
        // A browser that goes away must not interrupt this between the exchange and the store.
        let redeeming = self
            .under_way
            .spawn(async move { site.redeem(&subject_, &app, &ticket_, &verifier, &code).await });
        let organizations = redeeming.await.map_err(|_| Why::Interrupted)??;
        Ok(Connected {
            subject,
            organizations,
            return_to: ticket.return_to.as_deref().and_then(|address| self.admitted(address)),
        })
    }

    async fn verifier(&self, ticket: &Ticket, cookies: &[&str]) -> Result<Verifier, Stopped> {
        let kept = ticket.cookie(cookies.iter().copied()).ok_or(Why::OtherBrowser)?;
        let opened = self.keyring.open(&ticket.cookie_purpose(), kept).await?;
        let verifier = opened.and_then(|content| Ticket::verifier(&content));
        Ok(verifier.ok_or(Why::OtherBrowser)?)
    }

    async fn redeem(
        &self,
        subject: &Subject,
        app: &OAuthApp,
        ticket: &Ticket,
        verifier: &Verifier,
        code: &SecretString,
    ) -> Result<Vec<Organization>, Why> {
        let grants = self.subjects.grants(subject);
        let redeemer = Redeemer {
            management: &self.environment.management,
            grants: &grants,
            app,
            clock: self.environment.clock.as_ref(),
        };
        let flow = Flow {
            name: &ticket.flow,
            ends_at: ticket.ends_at,
            redirect_uri: &self.redirect_uri(),
            verifier,
        };
        let seen = redeemer.redeem(&flow, code, Some(&subject.organization)).await?;
        info!(connection = subject.label(), "somebody consented");
        self.subjects.wake(subject, &self.environment.clock.now().to_string()).await;
        Ok(seen)
    }

    async fn afresh(&self, seen: &Subject) -> Result<Option<Subject>, Stopped> {
        Ok(self.subjects.afresh(seen).await?)
    }

    /// The connection's own app, or the operator's.
    async fn app_of(&self, subject: &Subject) -> Result<OAuthApp, Stopped> {
        let (namespace, secret) = match (&subject.app_secret, &self.operator_app) {
            (Some(secret), _) => (self.subjects.secrets_of(subject), secret),
            (None, Some(secret)) => (self.namespace.as_str(), secret),
            (None, None) => return Err(Why::NoApp(None).into()),
        };
        app::read(&self.environment.client, namespace, secret).await.map_err(|error| {
            warn!(
                connection = subject.label(),
                error = &error as &dyn std::error::Error,
                "consent cannot be asked for"
            );
            Why::NoApp(Some(error)).into()
        })
    }

    /// An address that people may be sent on to, as it was understood: what a browser might read otherwise is not in
    /// it.
    pub(super) fn admitted(&self, address: &str) -> Option<Url> {
        if address.len() > RETURN_ADDRESS {
            return None;
        }
        let url = Url::parse(address).ok()?;
        let plain = url.username().is_empty() && url.password().is_none();
        let admitted = self.returns.iter().any(|base| base.contains(&url));
        (plain && admitted && url.as_str().len() <= RETURN_ADDRESS).then_some(url)
    }

    fn redirect_uri(&self) -> String {
        self.base.below(CALLBACK)
    }

    /// What people are told of a connection.
    pub(super) fn about(&self, subject: &Subject) -> About {
        About {
            operator: self.display_name.clone(),
            connection: subject.label(),
            is_shared: subject.namespace.is_none(),
            organization: subject.organization.clone(),
        }
    }

    /// A connection that works.
    pub(super) fn not_needed(&self, subject: &Subject) -> Stopped {
        Stopped { why: Why::NotNeeded, about: Some(self.about(subject)), again: None }
    }

    fn again(&self, ticket: &Ticket) -> Option<String> {
        let mut address = Url::parse(&self.links.url(&ticket.uid)).ok()?;
        if let Some(return_to) = &ticket.return_to {
            address.query_pairs_mut().append_pair("return_to", return_to);
        }
        Some(address.into())
    }
}
