//! The consent flow from a terminal: `supabase-operator connect`, with the rights of the person's kubeconfig.
//!
//! The browser comes back to a port of this machine (RFC 8252 §7.3; the platform wants the registered address to the
//! letter, so the port is an option and not drawn). Nothing secret is taken from the command line or printed.

mod door;
mod making;
mod rights;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::SignedDuration;
use kube::{Api, ResourceExt as _};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use door::door;
use making::say;

use super::app::{self, NoApp};
use super::pkce::{self, Verifier};
use super::redeem::{Flow, Redeemer, Refused};
use crate::api::connection::Connection;
use crate::api::{ClusterSupabaseConnection, ConditionType, SupabaseConnection};
use crate::environment::Environment;
use crate::kubernetes::{self, Error};
use crate::management::{Authorization, BaseUrl, OAuthApp, Organization};
use crate::rules::conditions;
use crate::serving::{self, Bounds};
use crate::session::token_store::{Grants, NotOpened};

/// How long a person may take, and how long the state lives.
const FLOW: Duration = Duration::from_secs(600);
/// How long the operator may take to notice the tokens.
const READY: Duration = Duration::from_secs(120);
/// Between two looks at the connection.
const LOOK: Duration = Duration::from_secs(1);
/// How long the browser may take to fetch the last page.
const LAST_PAGE: Duration = Duration::from_millis(500);

/// Options of `supabase-operator connect`.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Name of the connection
    pub name: String,

    /// Its namespace; with --cluster, the operator's own. Default: the kubeconfig's, and supabase-system
    #[arg(long, short)]
    pub namespace: Option<String>,

    /// Context of the kubeconfig. Default: the current one
    #[arg(long)]
    pub context: Option<String>,

    /// It is a `ClusterSupabaseConnection`
    #[arg(long)]
    pub cluster: bool,

    /// Port of this machine that the browser comes back to; `http://127.0.0.1:<port>/callback` must be registered
    /// with the OAuth app
    #[arg(long, env = "SUPABASE_OPERATOR_CONNECT_PORT", default_value_t = 8976)]
    pub port: u16,

    /// Secret with the OAuth app that the operator carries, as `<namespace>/<name>`, for a connection that names none of its
    /// own. You need the right to read it
    #[arg(long)]
    pub app_secret: Option<AppSecret>,

    /// Consent once more although the connection is Ready: after the OAuth app got other scopes, or where the refresh token does not
    /// work any more
    #[arg(long)]
    pub again: bool,

    /// Print the address instead of opening a browser
    #[arg(long)]
    pub no_browser: bool,

    /// Address of the Management API
    #[arg(long, env = "SUPABASE_OPERATOR_MANAGEMENT_API_ENDPOINT", default_value = BaseUrl::SUPABASE)]
    pub management_api_endpoint: String,

    /// HTTP proxy for calls to the Management API
    #[arg(long, env = "SUPABASE_OPERATOR_MANAGEMENT_API_PROXY", hide_env_values = true)]
    pub management_api_proxy: Option<String>,

    /// A PEM file of certificate authorities to trust for these calls besides the machine's own
    #[arg(long, env = "SUPABASE_OPERATOR_MANAGEMENT_API_CA_BUNDLE")]
    pub management_api_ca_bundle: Option<PathBuf>,
}

/// A Secret of any namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppSecret {
    /// Where it is.
    pub namespace: String,
    /// `metadata.name` of the Secret.
    pub name: String,
}

impl FromStr for AppSecret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name))
                if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
            {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("write it as <namespace>/<name>"),
        }
    }
}

/// Goes through the flow for a connection, and waits until it is Ready.
///
/// # Errors
/// What is missing, and what to do about it.
pub async fn connect(arguments: &Arguments, environment: &Environment) -> anyhow::Result<()> {
    let client = &environment.client;
    let own = if arguments.cluster { "supabase-system" } else { client.default_namespace() };
    let terminal = Terminal {
        arguments,
        environment,
        name: &arguments.name,
        namespace: arguments.namespace.as_deref().unwrap_or(own),
    };
    if arguments.cluster {
        let api: Api<ClusterSupabaseConnection> = Api::all(client.clone());
        terminal.run(&api).await
    } else {
        let api: Api<SupabaseConnection> = Api::namespaced(client.clone(), terminal.namespace);
        terminal.run(&api).await
    }
}

struct Terminal<'a> {
    arguments: &'a Arguments,
    environment: &'a Environment,
    name: &'a str,
    /// That of the Secrets.
    namespace: &'a str,
}

impl Terminal<'_> {
    async fn run<C: Connection>(&self, api: &Api<C>) -> anyhow::Result<()> {
        let object = match self.find(api).await? {
            Some(object) => object,
            None => self.make(api).await?,
        };
        let view = object.view();
        let Some(oauth) = view.auth.oauth.as_ref() else {
            bail!("{} uses a personal access token: there is nothing to consent to", self.name);
        };
        let consent_url =
            Connection::status(&object).and_then(|status| status.consent_url.as_deref());
        let ready = is_ready(&object);
        if ready && consent_url.is_none() && !self.arguments.again {
            say(&format!(
                "{} is Ready: nothing needs to be done; to consent once more all the same, add --again",
                self.name
            ));
            return Ok(());
        }
        let own = oauth.app_secret_ref.as_ref().map(|app| app.name.as_str());
        let app = self.app(own, consent_url).await?;
        self.may_store(&object.grants_secret_name()).await?;
        if ready {
            // Nobody looks for tokens of a connection that has some, unless asked to.
            self.may_ask::<C>().await?;
        }
        let wanted = view.organization_slug.map(str::to_owned);
        let grants = Grants::new(
            self.environment.client.clone(),
            self.namespace.to_owned(),
            object.grants_secret_name(),
            object.uid().unwrap_or_default(),
        )
        .bearing(view.secret_template);
        self.consent(&app, &grants, wanted.as_deref()).await?;
        self.await_ready(api, ready).await
    }

    async fn find<C: Connection>(&self, api: &Api<C>) -> anyhow::Result<Option<C>> {
        match kubernetes::get(api, self.name).await {
            // Its kind is missing: `make` says so.
            Err(error) if error.is_unknown_kind() => Ok(None),
            found => found.map_err(|error| self.right(error, "get", &C::plural(&()))),
        }
    }

    async fn look<C: Connection>(&self, api: &Api<C>) -> anyhow::Result<C> {
        let kind = C::KIND.as_str();
        self.find(api).await?.with_context(|| format!("the {kind} {} is gone", self.name))
    }

    /// The app that the connection names, or the operator's, if the person names that.
    async fn app(&self, own: Option<&str>, consent_url: Option<&str>) -> anyhow::Result<OAuthApp> {
        let name = self.name;
        let (namespace, secret) = match (own, &self.arguments.app_secret, consent_url) {
            (Some(own), None, _) => (self.namespace, own),
            (None, Some(given), _) => (given.namespace.as_str(), given.name.as_str()),
            (Some(own), Some(_), _) => {
                bail!("{name} has its own OAuth app, in the Secret {own}; leave --app-secret out")
            }
            (None, None, Some(url)) => bail!(
                "{name} has no OAuth app of its own; open {url} in a browser, where the operator's is used, or name its \
                 Secret with --app-secret"
            ),
            (None, None, None) => bail!(
                "{name} names no OAuth app; set spec.auth.oauth.appSecretRef, or, if the operator carries one, name its \
                 Secret with --app-secret"
            ),
        };
        let mut read = app::read(&self.environment.client, namespace, secret).await;
        if let Err(missing @ NoApp::Missing { .. }) = &read
            && own.is_some()
        {
            self.offer_app(&missing.to_string(), secret).await?;
            read = app::read(&self.environment.client, namespace, secret).await;
        }
        match read {
            Ok(app) => Ok(app),
            Err(NoApp::Kubernetes(error)) => Err(rights::told(error, "get", "secrets", namespace)),
            Err(error) => Err(error.into()),
        }
    }

    /// From the browser's way out to the pair in the grants Secret.
    async fn consent(
        &self,
        app: &OAuthApp,
        grants: &Grants,
        wanted: Option<&str>,
    ) -> anyhow::Result<()> {
        let port = self.arguments.port;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!(
                "port {port} of this machine cannot be used; choose another one with --port, and register \
                 http://127.0.0.1:<port>/callback with the OAuth app"
            )
        })?;
        let redirect_uri = format!("http://127.0.0.1:{port}/callback");
        let random = self.environment.random.as_ref();
        let verifier = Verifier::draw(random);
        let state = pkce::name(random);
        let url = self.address(app, &redirect_uri, &state, &verifier, wanted);
        let ends_at = self.environment.clock.now().checked_add(SignedDuration::try_from(FLOW)?)?;
        let deadline = Instant::now() + FLOW;
        let (router, mut called) = door(state.clone());
        let serving = tokio::spawn(serving::serve(listener, router, Bounds::default()));
        let opened = !self.arguments.no_browser && open::that_detached(&url).is_ok();
        say(if opened {
            "A browser was opened; if it was not, open this address:"
        } else {
            "Open this address in a browser on this machine:"
        });
        say(&format!("\n  {url}\n"));
        say("Waiting for your consent …");
        let visit = timeout_at(deadline, called.recv())
            .await
            .context("nobody consented within ten minutes; begin again")?
            .context("the callback is not served any more")?;
        let flow = Flow { name: &state, ends_at, redirect_uri: &redirect_uri, verifier: &verifier };
        let result = match visit.code {
            Err(refusal) => Err(anyhow::anyhow!(refusal)),
            Ok(code) => self.redeem(app, grants, &flow, &code, wanted).await,
        };
        // The browser may be gone by now: what was done is done.
        let told = match &result {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{error}")),
        };
        drop(visit.answer.send(told));
        sleep(LAST_PAGE).await;
        serving.abort();
        let seen = result.with_context(|| format!("{} is not connected", self.name))?;
        let names: Vec<_> = seen.iter().map(|one| one.slug.to_string()).collect();
        if !names.is_empty() {
            say(&format!("Access was given to the organization {}.", names.join(", ")));
        }
        Ok(())
    }

    fn address(
        &self,
        app: &OAuthApp,
        redirect_uri: &str,
        state: &str,
        verifier: &Verifier,
        wanted: Option<&str>,
    ) -> String {
        Authorization {
            client_id: &app.client_id,
            redirect_uri,
            state,
            code_challenge: &verifier.challenge(),
            organization_slug: wanted,
        }
        .url(self.environment.management.base())
    }

    async fn redeem(
        &self,
        app: &OAuthApp,
        grants: &Grants,
        flow: &Flow<'_>,
        code: &SecretString,
        wanted: Option<&str>,
    ) -> anyhow::Result<Vec<Organization>> {
        let redeemer = Redeemer {
            management: &self.environment.management,
            grants,
            app,
            clock: self.environment.clock.as_ref(),
        };
        let refused = match redeemer.redeem(flow, code, wanted).await {
            Ok(seen) => return Ok(seen),
            Err(refused) => refused,
        };
        Err(if let Refused::NotOpened(NotOpened::Kubernetes(error)) = refused {
            self.right(error, "get, create and update", "secrets")
        } else {
            anyhow::Error::new(refused)
        })
    }

    /// Asks for a reconcile, and waits for what comes of it. A connection that was Ready before is so once it was looked at.
    async fn await_ready<C: Connection>(&self, api: &Api<C>, before: bool) -> anyhow::Result<()> {
        let asked = self.environment.clock.now().to_string();
        let hurried = kubernetes::request_reconcile(api, self.name, &asked).await;
        if before {
            hurried.map_err(|error| self.right(error, "patch", &C::plural(&())))?;
        } else {
            // Without the right to do so, the operator looks by itself within its interval.
            drop(hurried);
        }
        let looked = |object: &C| {
            let handled = Connection::status(object)
                .and_then(|status| status.last_handled_reconcile_at.as_deref());
            !before || handled == Some(asked.as_str())
        };
        say("Waiting for the operator …");
        let ready = async {
            loop {
                let object = self.look(api).await?;
                if is_ready(&object) && looked(&object) {
                    return anyhow::Ok(());
                }
                sleep(LOOK).await;
            }
        };
        if let Ok(done) = timeout(READY, ready).await {
            done?;
        } else {
            let object = self.look(api).await?;
            let said = Connection::status(&object)
                .and_then(|status| {
                    conditions::find(&status.conditions, ConditionType::Ready.as_str())
                })
                .map(|ready| format!("{}: {}", ready.reason, ready.message));
            bail!(
                "the tokens are stored, but {} is not Ready yet ({}); is the operator running?",
                self.name,
                said.as_deref().unwrap_or("nothing is said of it")
            );
        }
        say(&format!("{} is Ready.", self.name));
        Ok(())
    }

    fn right(&self, error: Error, verb: &str, resource: &str) -> anyhow::Error {
        rights::told(error, verb, resource, self.namespace)
    }
}

fn is_ready<C: Connection>(object: &C) -> bool {
    Connection::status(object).is_some_and(|status| {
        status.observed_generation == object.meta().generation
            && conditions::is_true(&status.conditions, ConditionType::Ready.as_str())
    })
}
