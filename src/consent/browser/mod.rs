//! The consent flow in a browser, served by every replica behind the operator's external address.
//!
//! ```text
//!   GET  /connect/<link>   the page that says who asks for what; changes nothing, however often it is opened
//!   POST /connect/<link>   the button: state and cookie are sealed, and the browser goes to the platform
//!   GET  /callback         the platform sends the browser back: on record, exchanged, stored, told
//! ```
//!
//! What the replicas share lies in Secrets: the sealing keys (`keyring`), and for each connection the flows that were
//! gone through and what they brought. Tokens in use are out of reach here.

mod answers;
mod flow;
mod keyring;
mod seal;
mod steps;
mod stopped;
mod subject;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::environment::Environment;
use crate::management::BaseUrl;
use crate::rules::digest::DigestKey;
use crate::rules::link::ConsentLinks;
use crate::serving::{self, Bounds};
use crate::telemetry::Metrics;
use keyring::Keyring;
use subject::Subjects;

/// Where the platform sends browsers back to, below the external address.
pub const CALLBACK: &str = "/callback";
/// Connections at once, and how long one may last: redeeming a code may take two calls to the platform and three to
/// the cluster.
const BOUNDS: Bounds = Bounds {
    connections: 256,
    headers: Duration::from_secs(5),
    connection: Duration::from_secs(180),
    head: 16 * 1024,
};
/// How long flows under way may take when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// What the pages are given.
#[derive(Debug)]
pub struct SiteParts {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The address under which people reach that.
    pub base: BaseUrl,
    /// What the operator is called on its pages.
    pub display_name: String,
    /// Addresses below which people may be sent on.
    pub returns: Vec<BaseUrl>,
    /// The operator's namespace.
    pub namespace: String,
    /// The Secret with the operator's own app, in its namespace.
    pub operator_app: Option<String>,
    /// The namespaces that are served; none means all, and the cluster's connections.
    pub namespaces: Option<Vec<String>>,
    /// The operator's key, on which links hang.
    pub digest_key: DigestKey,
    /// Where flows are counted by how they ended.
    pub metrics: Metrics,
}

struct Site {
    base: BaseUrl,
    display_name: String,
    returns: Vec<BaseUrl>,
    namespace: String,
    operator_app: Option<String>,
    links: ConsentLinks,
    keyring: Keyring,
    subjects: Subjects,
    environment: Environment,
    metrics: Metrics,
    under_way: TaskTracker,
}

/// The pages, served until this is dropped.
#[derive(Debug)]
pub struct Served {
    under_way: TaskTracker,
    listed: Option<tokio::sync::oneshot::Receiver<()>>,
    running: JoinSet<()>,
}

impl Served {
    /// Waits until the connections are known.
    pub async fn ready(&mut self) {
        if let Some(listed) = self.listed.take() {
            // An error means that the process ends.
            let _ = listed.await;
        }
    }

    /// Accepts nobody else, and lets flows whose code is being redeemed end.
    pub async fn end(mut self) {
        self.running.abort_all();
        self.under_way.close();
        let _ = tokio::time::timeout(LAST_WORDS, self.under_way.wait()).await;
    }
}

/// Listens, and begins to serve.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(parts: SiteParts, environment: Environment) -> std::io::Result<Served> {
    let listener = serving::listen(parts.listen).await?;
    let namespaces = parts.namespaces.as_deref();
    let (subjects, watching) =
        Subjects::watch(&environment.client, &parts.namespace, namespaces, &parts.metrics);
    let site = Arc::new(Site {
        links: ConsentLinks::new(parts.base.to_string(), parts.digest_key),
        keyring: Keyring::new(environment.clone(), parts.namespace.clone()),
        base: parts.base,
        display_name: parts.display_name,
        returns: parts.returns,
        namespace: parts.namespace,
        operator_app: parts.operator_app,
        subjects,
        environment,
        metrics: parts.metrics,
        under_way: TaskTracker::new(),
    });
    tracing::info!(address = %parts.listen, url = %site.base, "consent pages are served");
    let under_way = site.under_way.clone();
    let (tell, listed) = tokio::sync::oneshot::channel();
    let mut running = JoinSet::new();
    running.spawn(watching);
    let router = answers::router(&site);
    running.spawn(serving::serve(listener, router, BOUNDS));
    running.spawn(async move {
        site.subjects.listed().await;
        // Nobody may be waiting any more.
        let _ = tell.send(());
    });
    Ok(Served { under_way, listed: Some(listed), running })
}
