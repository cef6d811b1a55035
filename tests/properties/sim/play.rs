//! A process that lives beside the test: it is watched while it works, dies, and is followed by another one. For what
//! happens between a connection and the platform.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Method;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use simulated_platform::{App, Config, TokenMode, TokenPair};
use supabase_operator::api::project::ConnectionKind;
use supabase_operator::api::{Kind, ObjectKey, ObjectRef};
use supabase_operator::inventory::Inventory;
use supabase_operator::leader::Leadership;
use supabase_operator::options::Scope;
use supabase_operator::rules::clock::Clock as _;
use supabase_operator::run::Term;
use supabase_operator::session::{ConnectionId, Session};
use tokio::task::JoinHandle;

use super::driver::{Driver, Process};
use super::faults::Faults;
use super::scene::{CONNECTIONS, SECRETS, Scene};

/// A scene in which processes follow one another.
#[derive(Clone)]
pub struct Play {
    pub scene: Scene,
    pub driver: Driver,
    pub faults: Faults,
    processes: Arc<AtomicU64>,
}

impl Deref for Play {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

/// A process, and what it holds.
pub struct Living {
    pub leadership: Leadership,
    term: Arc<OnceLock<Term>>,
    life: JoinHandle<()>,
}

impl Play {
    /// A platform and a namespace without connections; the OAuth app is in the Secret `app`.
    pub fn new(platform: Config) -> Self {
        let scene = Scene::without_connections(platform, 7);
        let driver = Driver::new(&scene);
        let (faults, processes) = (Faults::new(&[]), Arc::default());
        let play = Self { scene, driver, faults, processes };
        play.set_travel(Duration::from_millis(20));
        play.app_secret(&play.app());
        play
    }

    /// The same, on a platform whose tokens behave like this.
    pub fn with_tokens(mode: TokenMode, lifetime: Duration) -> Self {
        Self::new(Config { token_mode: mode, access_token_lifetime: lifetime, ..Config::instant() })
    }

    /// The same, with an installation that looks after this namespace only: it leaves a [`follower`] to the test.
    #[must_use]
    pub fn for_one_namespace(mut self) -> Self {
        self.driver.options.scope = Scope::Namespaced;
        self.driver.options.watch_namespaces = vec!["team-a".to_owned()];
        self
    }

    /// The same, with an installation that may watch Secrets.
    #[must_use]
    pub fn watching_secrets(mut self) -> Self {
        self.driver.options.secrets_watch = true;
        self
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A fresh authorization of the app.
    pub fn authorize(&self) -> TokenPair {
        let (app, now) = (self.app(), self.now());
        self.world().authorize(&app, "acme", now).unwrap()
    }

    pub fn app_secret(&self, app: &App) {
        self.secret("app", &[("client_id", &app.client_id), ("client_secret", &app.client_secret)]);
    }

    /// Puts a Secret there by hand, in the place of one that may be there.
    pub fn secret(&self, name: &str, entries: &[(&str, &str)]) {
        self.api().delete_by_hand(&format!("{SECRETS}/{name}"));
        self.scene.secret(name, entries);
    }

    /// The Secret `<name>-seed` with a refresh token.
    pub fn seed(&self, name: &str, refresh: &str) {
        self.secret(&format!("{name}-seed"), &[("refresh_token", refresh)]);
    }

    /// A connection with OAuth, its seed in the Secret `<name>-seed`.
    pub fn oauth(&self, name: &str) {
        let auth = json!({
            "appSecretRef": {"name": "app"}, "tokenSecretRef": {"name": format!("{name}-seed")},
        });
        self.connection(name, &json!({"oauth": auth}));
    }

    pub fn connection(&self, name: &str, auth: &Value) {
        self.make(CONNECTIONS, "SupabaseConnection", name, json!({"auth": auth}));
    }

    /// Takes an object away whatever its finalizers say.
    pub fn remove_by_force(&self, path: &str) {
        let mut server = self.api();
        server.change_by_hand(path, &json!({"metadata": {"finalizers": null}}));
        assert!(server.delete_by_hand(path));
    }

    /// Status, reason and message of a condition of a connection.
    pub fn said(&self, name: &str, kind: &str) -> Option<(String, String, String)> {
        let object = self.get(&format!("{CONNECTIONS}/{name}"))?;
        let list = object["status"]["conditions"].as_array()?;
        let found = list.iter().find(|condition| condition["type"] == kind)?;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("reason"), text("message")))
    }

    /// Status and reason of `Ready`.
    pub fn ready(&self, name: &str) -> String {
        self.said(name, "Ready").map_or_else(
            || "nothing".to_owned(),
            |(status, reason, _)| format!("{status}/{reason}"),
        )
    }

    pub fn message(&self, name: &str) -> String {
        self.said(name, "Ready").unwrap_or_default().2
    }

    pub fn count(&self, method: &Method, endpoint: &str) -> usize {
        self.world().ledger().count(method, endpoint)
    }

    pub fn token_calls(&self) -> usize {
        self.count(&Method::POST, "/v1/oauth/token")
    }

    /// Calls to the platform.
    pub fn calls(&self) -> usize {
        self.world().ledger().seen().len()
    }

    /// Calls that the platform answered with this status.
    pub fn answered(&self, status: u16) -> usize {
        let world = self.world();
        world.ledger().seen().iter().filter(|seen| seen.status == Some(status)).count()
    }

    /// Writes to the API server that nobody made by hand, events left out.
    pub fn writes(&self) -> usize {
        let server = self.api();
        let ours = server.ledger().writes().iter().filter(|write| !write.by_hand);
        ours.filter(|write| write.resource != "events").count()
    }

    /// Whether an event with this reason was published.
    pub fn told(&self, reason: &str) -> bool {
        let server = self.api();
        let events = server.ledger().writes_of("events").filter_map(|write| write.after.as_ref());
        events.into_iter().any(|event| event["reason"] == reason)
    }

    /// Starts a process that leads.
    pub fn start(&self) -> Living {
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        let process = Process::new(&self.driver, &self.faults, number);
        let leadership = process.leadership.clone();
        let term = Arc::<OnceLock<Term>>::default();
        let begun = Arc::clone(&term);
        let life = tokio::spawn(async move {
            process.work(move |term| drop(begun.set(term.clone()))).await;
        });
        Living { leadership, term, life }
    }

    /// Lets a process live for so long, or until it crashes. Whether it lives on.
    pub async fn live(&self, process: Living, time: Duration) -> Option<Living> {
        let crashed = tokio::select! {
            () = tokio::time::sleep(time) => false,
            () = self.faults.death() => true,
        };
        self.tokens().look();
        if !crashed {
            return Some(process);
        }
        self.tokens().died();
        process.die().await;
        self.faults.revive();
        None
    }
}

impl Living {
    /// The process is gone, with everything that it knew and was doing.
    pub async fn die(self) {
        self.life.abort();
        let _ = self.life.await;
        drop(self.term);
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
    }

    /// What it holds, once it has taken over.
    pub fn term(&self) -> &Term {
        self.term.get().unwrap()
    }

    /// Waits until it has taken over.
    pub async fn begun(&self) -> &Term {
        while self.term.get().is_none() {
            tokio::task::yield_now().await;
        }
        self.term()
    }

    pub fn session(&self, name: &str) -> Session {
        self.term().sessions.find(&id(name)).unwrap()
    }

    /// The projects of an organization, as a connection sees them.
    pub fn inventory(&self, connection: &str, organization: &str) -> Inventory {
        self.term().inventories.of(&self.session(connection), organization)
    }

    pub fn uptime(&self) -> Duration {
        self.term().context.clock.uptime()
    }

    /// The next [`follower`] that was woken.
    pub fn take_woken(&self) -> Option<String> {
        self.term().requests.of(FOLLOWER).take().map(|key| key.name().to_owned())
    }
}

/// A kind that an installation for namespaces does not look after: who is woken is left to the test.
const FOLLOWER: Kind = Kind::ClusterSupabaseConnection;

/// An object that follows something, in an installation for namespaces.
pub fn follower(name: &str) -> ObjectRef {
    let key = ObjectKey::new(Some("team-a"), name);
    ObjectRef { kind: FOLLOWER, key }
}

pub fn id(name: &str) -> ConnectionId {
    id_in("team-a", name)
}

pub fn id_in(namespace: &str, name: &str) -> ConnectionId {
    ConnectionId {
        kind: ConnectionKind::SupabaseConnection,
        namespace: Some(namespace.to_owned()),
        name: name.to_owned(),
    }
}
