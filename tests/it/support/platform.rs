//! The simulated platform of one test: an organization, an OAuth app that it authorized, a personal access
//! token, and the Secrets that give them to the operator.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use simulated_platform::openapi::Contract;
use simulated_platform::postgres::Postgres;
use simulated_platform::server::{Server, real_clock};
use simulated_platform::{
    ALL_SCOPES, App, Config, Effect, Message, Pat, Plan, Sent, Status, TokenPair, World,
};

use tokio::sync::OnceCell;

use super::cluster::Cluster;
use super::samples::secret;

/// The organization that all credentials see.
pub const ORGANIZATION: &str = "acme";

/// Includes fetching it, where the machine has none.
const DATABASES_STARTING: Duration = Duration::from_secs(15 * 60);

/// The official description of the API, where `SUPABASE_OPENAPI` names it.
static CONTRACT: LazyLock<Option<Contract>> = LazyLock::new(|| Contract::from_env().unwrap());

static DATABASES: OnceCell<Arc<Postgres>> = OnceCell::const_new();

/// A running platform; it ends when this is dropped.
#[derive(Debug)]
pub struct Platform {
    server: Server,
    violations: Arc<Mutex<BTreeSet<String>>>,
    /// The OAuth app of the organization.
    pub app: App,
    /// What the app was given when somebody consented.
    pub tokens: TokenPair,
    /// A personal access token that can do everything.
    pub personal_access_token: String,
}

impl Platform {
    /// Starts one; its secrets are other ones in every run.
    pub fn start(config: Config) -> Self {
        let now = real_clock()();
        let mut world = World::new(config, getrandom::u64().unwrap());
        world.add_organization(ORGANIZATION, "Acme", Plan::Pro);
        let personal_access_token = world.add_pat(Pat::classic());
        let app = world.register_app(&[], ALL_SCOPES);
        let tokens = world.authorize(&app, ORGANIZATION, now).unwrap();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::start(world, listen).unwrap();
        let violations = Arc::<Mutex<BTreeSet<String>>>::default();
        let noted = Arc::clone(&violations);
        server.observe(move |exchange| {
            let found = CONTRACT
                .iter()
                .flat_map(|contract| contract.check(exchange.request, exchange.answer));
            noted.lock().unwrap().extend(found.map(|violation| violation.to_string()));
        });
        Self { server, violations, app, tokens, personal_access_token }
    }

    /// Lets Auth write to mail servers of this authority.
    pub fn trust_mail_servers(&self, pem: &str) {
        self.server.trust_mail_servers(pem.as_bytes()).unwrap();
    }

    /// Lets a project's Auth write one letter with the settings in force. Blocks.
    pub fn send_mail(&self, reference: &str, to: &str) -> Sent {
        self.server.send_mail(reference, Message::Invite, to).unwrap()
    }

    /// Puts a real PostgreSQL server behind its projects. One server serves all tests.
    pub async fn attach_databases(&self) {
        let starting = async || {
            let starting = tokio::task::spawn_blocking(Postgres::start);
            let started = tokio::time::timeout(DATABASES_STARTING, starting).await;
            Arc::new(started.expect("PostgreSQL did not start in time").unwrap().unwrap())
        };
        self.server.attach(DATABASES.get_or_init(starting).await.clone());
    }

    /// How many requests it has seen.
    pub fn mark(&self) -> usize {
        self.server.world().ledger().seen().len()
    }

    /// How many projects of an organization were created before one whose name in the create call begins so; all of them
    /// if there is none such.
    pub fn created_before(&self, organization: &str, name: &str) -> usize {
        let world = self.server.world();
        let created = world.ledger().accepted().iter().filter_map(|accepted| {
            if let Effect::Created { organization, name, .. } = &accepted.effect {
                Some((organization.clone(), name.clone()))
            } else {
                None
            }
        });
        created
            .take_while(|(_, created)| !created.starts_with(name))
            .filter(|(of, _)| of == organization)
            .count()
    }

    /// The requests since a mark, such as `GET /v1/projects/{ref}/health`, with their number.
    pub fn calls_since(&self, mark: usize) -> BTreeMap<String, usize> {
        let mut calls = BTreeMap::new();
        for seen in &self.server.world().ledger().seen()[mark..] {
            let endpoint = seen.endpoint.unwrap_or("an unknown endpoint");
            *calls.entry(format!("{} {endpoint}", seen.method)).or_default() += 1;
        }
        calls
    }

    /// The refs of all projects that were ever created through the API.
    pub fn created(&self) -> Vec<String> {
        self.server.world().ledger().created().map(str::to_owned).collect()
    }

    /// The names of the projects that are there, leaving out what is shown for a while after its deletion.
    pub fn project_names(&self) -> Vec<String> {
        self.server
            .world()
            .projects()
            .filter(|project| project.status != Status::Removed)
            .map(|project| project.name.clone())
            .collect()
    }

    /// Where requests and answers were not as the official description of the API wants them.
    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap().iter().cloned().collect()
    }

    /// Forgets those that name this: what a story made its user write on purpose.
    pub fn forgive(&self, what: &str) {
        self.violations.lock().unwrap().retain(|violation| !violation.contains(what));
    }

    /// Every secret that it ever handed out or accepted.
    pub fn canaries(&self) -> Vec<String> {
        self.server.world().canaries()
    }

    /// Puts its credentials into the namespace at hand, under the names that the samples and examples use.
    pub async fn provide_secrets(&self, cluster: &Cluster) {
        let token = secret("supabase-token", &[("token", &self.personal_access_token)]);
        let (id, key) = (self.app.client_id.as_str(), self.app.client_secret.as_str());
        let app = secret("supabase-oauth-app", &[("client_id", id), ("client_secret", key)]);
        let (access, refresh) = (self.tokens.access_token.as_str(), &self.tokens.refresh_token);
        let tokens = [("access_token", access), ("refresh_token", refresh.as_str())];
        for object in [token, app, secret("supabase-oauth-tokens", &tokens)] {
            cluster.apply(object).await;
        }
    }
}

impl Deref for Platform {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}
