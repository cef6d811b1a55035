//! The consent flow from a terminal: `supabase-operator connect`, with the rights of the person's kubeconfig.
//!
//! The browser comes back to a port of this machine (RFC 8252 §7.3; the platform wants the registered address to the
//! letter, so the port is an option and not drawn). Nothing secret is taken from the command line or printed.

mod door;
mod making;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::SignedDuration;
use kube::{Api, Client, ResourceExt as _};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use door::door;
use making::say;

use super::app::{self, NoApp};
use super::pkce::{self, Verifier};
use super::redeem::{Flow, Means, Refused};
use crate::api::connection::Connection;
use crate::api::{ClusterSupabaseConnection, ConditionType, SupabaseConnection};
use crate::kubernetes::{self, Error, Refusal};
use crate::management::{self, Authorization, BaseUrl, OAuthApp, Organization};
use crate::rules::ambient::{Clock, Random};
use crate::rules::conditions;
use crate::serving::{self, Bounds};
use crate::session::custody::{Grants, NotOpened};

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

    /// It is a `ClusterSupabaseConnection`
    #[arg(long)]
    pub cluster: bool,

    /// Port of this machine that the browser comes back to; `http://127.0.0.1:<port>/callback` must be registered
    /// with the OAuth app
    #[arg(long, env = "SUPABASE_OPERATOR_CONNECT_PORT", default_value_t = 8976)]
    pub port: u16,

    /// Print the address instead of opening a browser
    #[arg(long)]
    pub no_browser: bool,

    /// Address of the Management API
    #[arg(long, env = "SUPABASE_OPERATOR_MANAGEMENT_API_ENDPOINT", default_value = BaseUrl::SUPABASE)]
    pub management_api_endpoint: String,
}

/// What the command is given of the outside world.
#[derive(Debug)]
pub struct Surroundings {
    /// The address of the platform.
    pub base: BaseUrl,
    /// The platform.
    pub management: management::Client,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

/// Goes through the flow for a connection, and waits until it is Ready.
///
/// # Errors
/// What is missing, and what to do about it.
pub async fn connect(
    arguments: &Arguments,
    client: Client,
    around: &Surroundings,
) -> anyhow::Result<()> {
    let name = arguments.name.clone();
    if arguments.cluster {
        let namespace = arguments
            .namespace
            .clone()
            .unwrap_or_else(|| "supabase-system".to_owned());
        let api: Api<ClusterSupabaseConnection> = Api::all(client.clone());
        let terminal = Terminal::new(arguments, client, around, name, namespace);
        return terminal.run(&api).await;
    }
    let namespace = arguments
        .namespace
        .clone()
        .unwrap_or_else(|| client.default_namespace().to_owned());
    let api: Api<SupabaseConnection> = Api::namespaced(client.clone(), &namespace);
    let terminal = Terminal::new(arguments, client, around, name, namespace);
    if kubernetes::get(&api, &terminal.name)
        .await
        .map_err(|error| terminal.right(error, "get", "supabaseconnections"))?
        .is_none()
    {
        terminal.make(&api).await?;
    }
    terminal.run(&api).await
}

struct Terminal<'a> {
    arguments: &'a Arguments,
    client: Client,
    around: &'a Surroundings,
    name: String,
    namespace: String,
}

impl<'a> Terminal<'a> {
    const fn new(
        arguments: &'a Arguments,
        client: Client,
        around: &'a Surroundings,
        name: String,
        namespace: String,
    ) -> Self {
        Self {
            arguments,
            client,
            around,
            name,
            namespace,
        }
    }

    async fn run<C: Connection>(&self, api: &Api<C>) -> anyhow::Result<()> {
        let object = self.look(api).await?;
        let view = object.view();
        let Some(oauth) = view.auth.oauth.as_ref() else {
            bail!(
                "{} uses a personal access token: there is nothing to consent to",
                self.name
            );
        };
        let consent_url =
            Connection::status(&object).and_then(|status| status.consent_url.as_deref());
        if is_ready(&object) && consent_url.is_none() {
            say(&format!("{} is Ready: nothing needs to be done", self.name));
            return Ok(());
        }
        let Some(app) = oauth.app_secret_ref.as_ref() else {
            let name = &self.name;
            match consent_url {
                Some(url) => bail!(
                    "{name} has no OAuth app of its own; open {url} in a browser, where the operator's is used"
                ),
                None => bail!("{name} names no OAuth app; set spec.auth.oauth.appSecretRef"),
            }
        };
        let app = self.app(&app.name).await?;
        let wanted = view.organization_slug.map(str::to_owned);
        let grants = Grants::new(
            self.client.clone(),
            self.namespace.clone(),
            object.grants_secret_name(),
            object.uid().unwrap_or_default(),
        );
        self.consent(&app, &grants, wanted.as_deref()).await?;
        self.await_ready(api).await
    }

    async fn look<C: Connection>(&self, api: &Api<C>) -> anyhow::Result<C> {
        let kind = C::KIND.as_str();
        kubernetes::get(api, &self.name)
            .await
            .map_err(|error| self.right(error, "get", &C::plural(&())))?
            .with_context(|| format!("there is no {kind} {}; apply one first", self.name))
    }

    async fn app(&self, secret: &str) -> anyhow::Result<OAuthApp> {
        match app::read(&self.client, &self.namespace, secret).await {
            Ok(app) => Ok(app),
            Err(NoApp::Kubernetes(error)) => Err(self.right(error, "get", "secrets")),
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
        let random = self.around.random.as_ref();
        let verifier = Verifier::draw(random);
        let state = pkce::name(random);
        let url = self.address(app, &redirect_uri, &state, &verifier, wanted);
        let ends_at = self
            .around
            .clock
            .now()
            .checked_add(SignedDuration::try_from(FLOW)?)?;
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
        let flow = Flow {
            name: &state,
            ends_at,
            redirect_uri: &redirect_uri,
            verifier: &verifier,
        };
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
            say(&format!(
                "Access was given to the organization {}.",
                names.join(", ")
            ));
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
        .url(&self.around.base)
    }

    async fn redeem(
        &self,
        app: &OAuthApp,
        grants: &Grants,
        flow: &Flow<'_>,
        code: &SecretString,
        wanted: Option<&str>,
    ) -> anyhow::Result<Vec<Organization>> {
        let means = Means {
            management: &self.around.management,
            grants,
            app,
            clock: self.around.clock.as_ref(),
        };
        let refused = match means.redeem(flow, code, wanted).await {
            Ok(seen) => return Ok(seen),
            Err(refused) => refused,
        };
        Err(
            if let Refused::NotOpened(NotOpened::Kubernetes(error)) = refused {
                self.right(error, "get, create and update", "secrets")
            } else {
                anyhow::Error::new(refused)
            },
        )
    }

    /// Asks for a pass, and waits for what comes of it.
    async fn await_ready<C: Connection>(&self, api: &Api<C>) -> anyhow::Result<()> {
        let asked = self.around.clock.now().to_string();
        // Without the right to do so, the operator looks by itself within its interval.
        let hurried = kubernetes::request_reconcile(api, &self.name, &asked).await;
        drop(hurried);
        say("Waiting for the operator …");
        let ready = async {
            loop {
                let object = self.look(api).await?;
                if is_ready(&object) {
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

    /// An error of the API server; a missing right is named.
    fn right(&self, error: Error, verb: &str, resource: &str) -> anyhow::Error {
        if matches!(error, Error::Forbidden(Refusal::Rights)) {
            anyhow::anyhow!(
                "your user may not {verb} {resource} in the namespace {}; ask for that right",
                self.namespace
            )
        } else {
            anyhow::Error::new(error).context(format!("asking the API server to {verb} {resource}"))
        }
    }
}

fn is_ready<C: Connection>(object: &C) -> bool {
    Connection::status(object).is_some_and(|status| {
        status.observed_generation == object.meta().generation
            && conditions::is_true(&status.conditions, ConditionType::Ready.as_str())
    })
}
