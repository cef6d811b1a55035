//! What one term of leadership consists of, and taking over.

use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use super::caches::Caches;
use crate::api::{ClusterSupabaseConnection, SupabaseConnection};
use crate::auth_config::{AuthConfigParts, AuthConfigs};
use crate::connection::{Connections, Consent};
use crate::controller::{Context, ContextParts, Reporter, Requests};
use crate::environment::Environment;
use crate::inventory::{Inventories, InventoryOptions};
use crate::keys;
use crate::leader::Leadership;
use crate::management::BaseUrl;
use crate::options::{Options, Scope};
use crate::parents::Parents;
use crate::project::refs::Refs;
use crate::project::{ProjectParts, Projects};
use crate::rules::digest::DigestKey;
use crate::rules::link::ConsentLinks;
use crate::rules::random::draw;
use crate::session::{SessionOptions, Sessions, SessionsParts};
use crate::telemetry::Metrics;
use crate::versions::Versions;

/// How long one reconcile may read.
const READING: Duration = Duration::from_secs(90);

/// Everything that lives for as long as this process leads.
#[derive(Clone, Debug)]
pub struct Term {
    /// What every reconcile is given.
    pub context: Context,
    /// The live credentials.
    pub sessions: Sessions,
    /// What reconciles projects.
    pub projects: Projects,
    /// The shared lists.
    pub inventories: Inventories,
    /// Objects that somebody inside wants looked at.
    pub requests: Requests,
    /// What reconciles Auth settings.
    pub auth_configs: AuthConfigs,
    /// The versions in which Secrets were left.
    pub versions: Arc<Versions>,
    /// What reconciles connections of namespaces.
    pub connections: Connections<SupabaseConnection>,
    /// Connections of the cluster; none in a namespaced install.
    pub cluster_connections: Option<Connections<ClusterSupabaseConnection>>,
    /// What was seen of all objects when this term began, and where more is to be seen.
    pub seen: Caches,
}

impl Term {
    /// Takes over: reads the operator's key, lists every object once, and builds of that the index of refs and the index
    /// of consumed tokens. Both are complete before anything is done.
    #[expect(clippy::too_many_lines, reason = "one list of what there is, each part once")]
    pub async fn begin(
        environment: &Environment,
        options: &Options,
        leadership: Leadership,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let Environment { client, management, clock, random } = environment.clone();
        let process = draw(random.as_ref(), b"abcdefghijklmnopqrstuvwxyz0123456789", 12);
        let digest_key = keys::digest_key(&client, &options.namespace, random.as_ref()).await?;
        let (time, metrics_of) = (Arc::clone(&clock), metrics.clone());
        let reporter = Reporter::new(client.clone(), time, &options.identity, metrics_of);
        let context = Context::new(ContextParts {
            client: client.clone(),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            leadership: leadership.clone(),
            reporter,
            installation: (options.installation(), clock.now()),
            resync: options.resync_interval,
            reconcile_deadline: READING,
        });
        let namespaces = options.namespaces();
        let requests = Requests::default();
        let inventories = Inventories::new(inventory_options(options), requests.clone());
        let sessions = Sessions::new(SessionsParts {
            client: client.clone(),
            management,
            clock,
            random,
            leadership,
            digest_key: digest_key.clone(),
            process: process.clone(),
            namespace: options.namespace.clone(),
            options: SessionOptions {
                namespaces: namespaces.clone(),
                credentials_interval: options.credentials_interval,
            },
            metrics: metrics.clone(),
            requests: requests.clone(),
            listener: inventories.listener(),
        });
        let mut seen = Caches::new(&client, namespaces.as_deref());
        seen.list().await?;
        let refs = Refs::default();
        let projects = seen.projects.store.all();
        let held = refs.build(projects.iter().map(AsRef::as_ref));
        drop(projects);
        sessions.takeover(seen.all_connections()).await?;
        info!(refs = held, "took over");
        let versions = Arc::new(Versions::new(options.watches_secrets()));
        let parents = Parents {
            client: context.client.clone(),
            sessions: sessions.clone(),
            connections: seen.connections.store.clone(),
            cluster_connections: options.scope == Scope::Cluster,
        };
        let auth_configs = AuthConfigs::new(AuthConfigParts {
            context: context.clone(),
            parents: parents.clone(),
            auth_configs: seen.auth_configs.store.clone(),
            versions: Arc::clone(&versions),
            digest_key: digest_key.clone(),
            drift_interval: options.drift_interval,
        });
        let projects = Projects::new(
            ProjectParts {
                context: context.clone(),
                sessions: sessions.clone(),
                inventories: inventories.clone(),
                digest_key: digest_key.clone(),
                process,
                parents,
                projects: seen.projects.store.clone(),
                versions: Arc::clone(&versions),
                transition_interval: options.transition_interval,
                rest_interval: options.rest_interval,
                drift_interval: options.drift_interval,
                authorities: options.database_ca_file.clone(),
                rollout_restart: options.rollout_restart,
            },
            refs,
        );
        let consent = consent(options, digest_key);
        let clock = || Arc::clone(&context.clock);
        let connections = Connections::new(sessions.clone(), clock(), consent.clone());
        let cluster_connections = (options.scope == Scope::Cluster)
            .then(|| Connections::new(sessions.clone(), clock(), consent));
        Ok(Self {
            context,
            sessions,
            projects,
            inventories,
            requests,
            auth_configs,
            versions,
            connections,
            cluster_connections,
            seen,
        })
    }
}

fn inventory_options(options: &Options) -> InventoryOptions {
    InventoryOptions {
        transition_interval: options.transition_interval,
        rest_interval: options.rest_interval,
        resync_interval: options.resync_interval,
    }
}

/// How people are helped to consent.
fn consent(options: &Options, digest_key: DigestKey) -> Consent {
    let link = |url: &BaseUrl| ConsentLinks::new(url.to_string(), digest_key);
    Consent {
        links: options.consent_url.as_ref().map(link),
        app_secret: options.oauth_app_secret.clone(),
    }
}
