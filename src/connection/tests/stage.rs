//! A stage on which operators live and die in simulated time: a simulated API server, a simulated platform, and
//! processes that look after the connections on it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use serde_json::{Value, json};
use simulated_apiserver::{ApiServer, Fate, Resource, Service};
use simulated_platform::{App, Config, Delivery, Plan, TokenMode, TokenPair, World};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::api::project::ConnectionKind;
use crate::api::{GROUP, Kind, ObjectKey, ObjectRef, SupabaseConnection, VERSION};
use crate::connection::{Connections, Consent};
use crate::controller::{
    Context, ContextParts, ReconcileRequests, Reporter, Requests, Source, Store, reconcile,
};
use crate::inventory::{Inventories, Inventory, InventoryOptions};
use crate::kubernetes::{Lean as _, Shape};
use crate::leader::Leadership;
use crate::management::{BaseUrl, Client, Limits, Sent, Transport, TransportError, TransportKind};
use crate::rules::clock::Clock;
use crate::rules::digest::DigestKey;
use crate::rules::random::Random;
use crate::seen::SeenConnection;
use crate::session::{ConnectionId, SessionOptions, Sessions, SessionsParts};
use crate::telemetry::Metrics;

pub const SECRETS: &str = "/api/v1/namespaces/team/secrets";
pub const CONNECTIONS: &str =
    "/apis/supabase-operator.dev/v1alpha1/namespaces/team/supabaseconnections";
pub const PROJECTS: &str = "/apis/supabase-operator.dev/v1alpha1/namespaces/team/supabaseprojects";
/// How long a request and an answer travel.
const TRAVEL: Duration = Duration::from_millis(20);

/// When an effect is cut off by a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Before it happens.
    Before,
    /// After it has happened, and before its answer arrives.
    During,
}

/// Effects as they happen, and the one that a crash cuts off.
#[derive(Default)]
pub struct Effects {
    pub log: Vec<String>,
    pub plan: Option<(usize, Cut)>,
    pub crashed: bool,
}

/// What the stage has seen that must never be.
#[derive(Default)]
pub struct Watched {
    /// A token call was carried out, and its answer is not stored yet.
    pub window: bool,
    /// A process died while the window was open.
    pub died_in_window: bool,
    pub violations: Vec<String>,
    /// Refresh tokens in the order in which they were sent.
    pub sent: Vec<String>,
}

#[derive(Clone)]
pub struct Stage {
    pub world: Arc<Mutex<World>>,
    pub api: Service,
    pub effects: Arc<Mutex<Effects>>,
    pub watched: Arc<Mutex<Watched>>,
    pub crash: Arc<Notify>,
    pub app: App,
    /// How long requests travel from now on.
    pub travel: Arc<Mutex<Duration>>,
    /// Of what the operator's own key is made.
    pub key: Arc<Mutex<u8>>,
    origin: Instant,
    processes: Arc<Mutex<u32>>,
}

/// The time of a process.
#[derive(Clone, Debug)]
pub struct Time {
    stage: Instant,
    process: Instant,
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        wall(self.stage)
    }

    fn uptime(&self) -> Duration {
        self.process.elapsed()
    }
}

fn wall(origin: Instant) -> Timestamp {
    let passed = SignedDuration::try_from(origin.elapsed()).unwrap();
    "2026-06-01T12:00:00Z".parse::<Timestamp>().unwrap() + passed
}

#[derive(Debug)]
struct Dice(Mutex<u64>);

impl Random for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.lock().unwrap();
        for byte in bytes {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = u8::try_from(*state >> 56).unwrap();
        }
    }
}

/// A living process.
pub struct Process {
    pub sessions: Sessions,
    pub inventories: Inventories,
    pub leadership: Leadership,
    pub projects: ReconcileRequests,
    pub clock: Arc<Time>,
    nudge: Arc<Notify>,
    run: JoinHandle<()>,
}

impl Stage {
    /// A stage with an organization, an app, and the namespace `team`.
    pub fn new(config: Config) -> Self {
        let mut world = World::new(config, 7);
        world.add_organization("acme", "Acme", Plan::Pro);
        let app = world.register_app(&[], simulated_platform::ALL_SCOPES);
        let kind = |plural: &str, kind: &str| {
            Resource::custom(GROUP, VERSION, plural, kind)
                .with_defaults(json!({"status": {"observedGeneration": -1}}))
        };
        let mut server = ApiServer::new([
            kind("supabaseconnections", "SupabaseConnection"),
            kind("clustersupabaseconnections", "ClusterSupabaseConnection").cluster_wide(),
            kind("supabaseprojects", "SupabaseProject"),
        ]);
        server.add_namespace("team");
        server.add_namespace("operator");
        let origin = Instant::now();
        let stage = Self {
            world: Arc::new(Mutex::new(world)),
            api: Service::new(server, move || wall(origin)),
            effects: Arc::default(),
            watched: Arc::default(),
            crash: Arc::default(),
            app,
            travel: Arc::new(Mutex::new(TRAVEL)),
            key: Arc::new(Mutex::new(9)),
            origin,
            processes: Arc::default(),
        };
        stage.secret(
            "app",
            &[("client_id", &stage.app.client_id), ("client_secret", &stage.app.client_secret)],
        );
        stage
    }

    /// A stage of a platform whose tokens behave like this.
    pub fn with_tokens(mode: TokenMode, lifetime: Duration) -> Self {
        Self::new(Config { token_mode: mode, access_token_lifetime: lifetime, ..Config::instant() })
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub fn effects(&self) -> MutexGuard<'_, Effects> {
        self.effects.lock().unwrap()
    }

    pub fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap()
    }

    pub fn now(&self) -> Timestamp {
        wall(self.origin)
    }

    /// A fresh authorization of the app.
    pub fn authorize(&self) -> TokenPair {
        let app = self.app.clone();
        self.world().authorize(&app, "acme", self.now()).unwrap()
    }

    /// Puts a Secret there by hand, in the place of one that may be there.
    pub fn secret(&self, name: &str, data: &[(&str, &str)]) {
        let path = format!("{SECRETS}/{name}");
        let mut server = self.api.server();
        server.delete_by_hand(&path);
        let data: BTreeMap<_, _> = data.iter().copied().collect();
        let object = json!({"metadata": {"name": name}, "stringData": data});
        server.create_by_hand(SECRETS, &object).unwrap();
    }

    /// A connection with OAuth, its seed in the Secret `<name>-seed`.
    pub fn oauth(&self, name: &str) {
        self.connection(
            name,
            &json!({"oauth": {
                "appSecretRef": {"name": "app"},
                "tokenSecretRef": {"name": format!("{name}-seed")},
            }}),
        );
    }

    pub fn connection(&self, name: &str, auth: &Value) {
        let object = json!({"metadata": {"name": name}, "spec": {"auth": auth}});
        self.api.server().create_by_hand(CONNECTIONS, &object).unwrap();
    }

    /// Takes an object away whatever its finalizers say.
    pub fn remove_by_force(&self, path: &str) {
        let mut server = self.api.server();
        server.change_by_hand(path, &json!({"metadata": {"finalizers": null}}));
        assert!(server.delete_by_hand(path));
    }

    pub fn seed(&self, name: &str, refresh: &str) {
        self.secret(&format!("{name}-seed"), &[("refresh_token", refresh)]);
    }

    /// A value of a Secret.
    pub fn stored(&self, name: &str, key: &str) -> Option<String> {
        let server = self.api.server();
        let text = server.get(&format!("{SECRETS}/{name}"))?["data"][key].as_str()?.to_owned();
        String::from_utf8(STANDARD.decode(text).unwrap()).ok()
    }

    /// A condition of a connection: status, reason, message.
    pub fn condition(&self, name: &str, kind: &str) -> Option<(String, String, String)> {
        let server = self.api.server();
        let object = server.get(&format!("{CONNECTIONS}/{name}"))?;
        let list = object["status"]["conditions"].as_array()?;
        let found = list.iter().find(|condition| condition["type"] == kind)?;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("reason"), text("message")))
    }

    /// Status and reason of `Ready`.
    pub fn ready(&self, name: &str) -> String {
        self.condition(name, "Ready").map_or_else(
            || "nothing".to_owned(),
            |(status, reason, _)| format!("{status}/{reason}"),
        )
    }

    pub fn message(&self, name: &str) -> String {
        self.condition(name, "Ready").unwrap_or_default().2
    }

    pub fn token_calls(&self) -> usize {
        self.world().ledger().count(&Method::POST, "/v1/oauth/token")
    }

    /// Whether a refresh token that the platform would take is stored anywhere.
    fn keeps_a_token(world: &World, server: &ApiServer) -> bool {
        let stored: Vec<String> = server
            .all("secrets")
            .filter_map(|secret| secret["data"]["refresh_token"].as_str())
            .map(|text| String::from_utf8(STANDARD.decode(text).unwrap()).unwrap())
            .collect();
        world.acceptable_refresh_tokens().iter().any(|token| stored.contains(token))
    }

    /// Looks whether what must hold at every instant holds.
    pub fn look(&self) {
        let kept = Self::keeps_a_token(&self.world(), &self.api.server());
        let mut watched = self.watched();
        if kept {
            watched.window = false;
        } else if !watched.window && !watched.died_in_window {
            let moment = self.effects().log.last().cloned();
            watched.violations.push(format!("no usable refresh token is stored after {moment:?}"));
        }
    }

    fn cut(&self, label: String) -> Option<Cut> {
        let mut effects = self.effects();
        let index = effects.log.len();
        effects.log.push(label);
        let cut = effects.plan.filter(|(at, _)| *at == index).map(|(_, cut)| cut)?;
        effects.crashed = true;
        Some(cut)
    }

    fn crash_now(&self) {
        let mut watched = self.watched();
        watched.died_in_window |= watched.window;
        self.crash.notify_one();
    }

    fn hook(&self, request: &Request<Bytes>) -> Fate {
        let path = request.uri().path();
        if request.method() == Method::GET || path.contains("/events") {
            return Fate::Answered;
        }
        let short = path.rsplit('/').take(2).collect::<Vec<_>>().join(" ");
        match self.cut(format!("{} {short}", request.method())) {
            None => Fate::Answered,
            Some(Cut::Before) => {
                self.crash_now();
                Fate::StalledBefore
            }
            Some(Cut::During) => {
                // The effect comes after this look; whoever waits for the crash sees it.
                self.crash.notify_one();
                Fate::StalledAfter
            }
        }
    }

    /// Starts a process that leads.
    pub fn start(&self) -> Process {
        self.start_with(SessionOptions::default())
    }

    pub fn start_with(&self, options: SessionOptions) -> Process {
        let number = {
            let mut processes = self.processes.lock().unwrap();
            *processes += 1;
            *processes
        };
        let clock = Arc::new(Time { stage: self.origin, process: Instant::now() });
        let leadership = Leadership::new(clock.clone());
        leadership.claim_until(Duration::from_secs(1_000_000_000));
        let stage = self.clone();
        let service = self.api.clone().with_hook(Arc::new(move |request| stage.hook(request)));
        let client = kube::Client::new(service, "team");
        let base: BaseUrl = BaseUrl::SUPABASE.parse().unwrap();
        let requests = Requests::default();
        let inventories = Inventories::new(InventoryOptions::default(), requests.clone());
        let random: Arc<dyn Random> = Arc::new(Dice(Mutex::new(number.into())));
        let sessions = Sessions::new(SessionsParts {
            client: client.clone(),
            management: Client::new(base, Arc::new(Wire(self.clone()))),
            clock: clock.clone(),
            random: random.clone(),
            leadership: leadership.clone(),
            digest_key: DigestKey::from_bytes(&[*self.key.lock().unwrap(); 32]).unwrap(),
            process: format!("process-{number}"),
            namespace: "operator".to_owned(),
            options,
            metrics: Metrics::default(),
            requests: requests.clone(),
            listener: inventories.listener(),
        });
        let context = Context::new(ContextParts {
            client: client.clone(),
            clock: clock.clone(),
            random,
            leadership: leadership.clone(),
            reporter: Reporter::new(client, clock.clone(), "test", Metrics::default()),
            installation: ("operator/lease".to_owned(), clock.now()),
            resync: Duration::from_secs(600),
            reconcile_deadline: Duration::from_secs(60),
        });
        let nudge = Arc::new(Notify::new());
        let run = tokio::spawn(run(
            self.clone(),
            sessions.clone(),
            context,
            clock.clone(),
            Arc::clone(&nudge),
            requests.of(Kind::SupabaseConnection).clone(),
        ));
        let projects = requests.of(Kind::SupabaseProject).clone();
        Process { sessions, inventories, leadership, projects, clock, nudge, run }
    }

    /// Lets a process live for so long, or until it crashes. Whether it lives on.
    pub async fn live(&self, process: Process, time: Duration) -> Option<Process> {
        let crashed = tokio::select! {
            () = tokio::time::sleep(time) => false,
            () = self.crash.notified() => true,
        };
        self.look();
        if !crashed {
            return Some(process);
        }
        if self.effects().plan.is_some_and(|(_, cut)| cut == Cut::During) {
            let mut watched = self.watched();
            watched.died_in_window |= watched.window;
        }
        self.effects().plan = None;
        process.die().await;
        None
    }
}

impl Process {
    /// The process is gone, with everything that it knew and was doing.
    pub async fn die(self) {
        self.run.abort();
        let _ = self.run.await;
        drop((self.sessions, self.inventories));
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
    }

    /// Every connection is looked at, as a watch would have it.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    pub fn session(&self, name: &str) -> crate::session::Session {
        self.sessions.find(&id(name)).unwrap()
    }

    /// The projects of an organization, as a connection sees them.
    pub fn inventory(&self, connection: &str, organization: &str) -> Inventory {
        self.inventories.of(&self.session(connection), organization)
    }
}

/// An object that follows something.
pub fn follower(name: &str) -> ObjectRef {
    let key = ObjectKey { namespace: Some("team".to_owned()), name: name.to_owned() };
    ObjectRef { kind: Kind::SupabaseProject, key }
}

pub fn id(name: &str) -> ConnectionId {
    ConnectionId {
        kind: crate::api::project::ConnectionKind::SupabaseConnection,
        namespace: Some("team".to_owned()),
        name: name.to_owned(),
    }
}

/// What the controller does: reconciles every connection, when they are due or asked for.
async fn run(
    stage: Stage,
    sessions: Sessions,
    context: Context,
    clock: Arc<Time>,
    nudge: Arc<Notify>,
    requests: ReconcileRequests,
) {
    loop {
        let store = Store::<SeenConnection>::default();
        let api = Api::<SupabaseConnection>::all(context.client.clone());
        let mut source = Source::new(api, "SupabaseConnection", Shape::Whole, None);
        if source.list(&store, None).await.is_ok() {
            let kind = ConnectionKind::SupabaseConnection;
            let known = store.all().into_iter();
            let known = known.map(|seen| (ConnectionId::new(kind, &seen.meta().key()), seen));
            if sessions.takeover(known.collect()).await.is_ok() {
                break;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let room =
        Connections::<SupabaseConnection>::new(sessions.clone(), clock.clone(), Consent::default());
    let mut due: BTreeMap<ObjectKey, Duration> = BTreeMap::new();
    loop {
        let there: Vec<ObjectKey> = {
            let server = stage.api.server();
            let key = |object: &Value| ObjectKey {
                namespace: object["metadata"]["namespace"].as_str().map(str::to_owned),
                name: object["metadata"]["name"].as_str().unwrap().to_owned(),
            };
            server.all("supabaseconnections").map(key).collect()
        };
        for key in there {
            due.entry(key).or_insert(Duration::ZERO);
        }
        let now = clock.uptime();
        let ready: Vec<ObjectKey> =
            due.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
        for key in ready {
            match reconcile(&room, &context, &key).await {
                Some(wait) => due.insert(key, clock.uptime() + wait),
                None => due.remove(&key),
            };
        }
        let idle = Duration::from_secs(30);
        let wait =
            due.values().min().map_or(idle, |next| next.saturating_sub(clock.uptime()).min(idle));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = nudge.notified() => due.values_mut().for_each(|at| *at = Duration::ZERO),
            () = requests.arrived() => {
                while let Some(key) = requests.take() {
                    due.insert(key, Duration::ZERO);
                }
            }
        }
    }
}

/// The way to the platform.
struct Wire(Stage);

impl Debug for Wire {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Wire")
    }
}

impl Transport for Wire {
    fn exchange(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        Box::pin(self.carry(request, limits))
    }
}

impl Wire {
    async fn carry(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, TransportError> {
        let stage = &self.0;
        let travel = *stage.travel.lock().unwrap();
        tokio::time::sleep(travel).await;
        let spends = request.uri().path() == "/v1/oauth/token";
        let cut = if spends { stage.cut("POST token".to_owned()) } else { None };
        if spends {
            stage.look();
            let form: BTreeMap<String, String> =
                url::form_urlencoded::parse(request.body()).into_owned().collect();
            if cut != Some(Cut::Before) {
                stage.watched().sent.push(form["refresh_token"].clone());
            }
        }
        if cut == Some(Cut::Before) {
            stage.crash_now();
            return futures::future::pending().await;
        }
        let answer = stage.world().handle(&request, stage.now());
        if spends {
            stage.watched().window = true;
            stage.look();
        }
        if cut == Some(Cut::During) {
            stage.crash_now();
            return futures::future::pending().await;
        }
        tokio::time::sleep(TRAVEL).await;
        let fail = |kind| TransportError { sent: Sent::Perhaps, kind };
        match answer.delivery {
            Delivery::After(delay) if delay < limits.whole => {
                tokio::time::sleep(delay).await;
                Ok(answer.response)
            }
            Delivery::After(_) | Delivery::Stall => {
                tokio::time::sleep(limits.whole).await;
                Err(fail(TransportKind::TimedOut))
            }
            Delivery::Padded { bytes } if bytes > limits.body as u64 => {
                Err(fail(TransportKind::TooLarge { status: answer.response.status().as_u16() }))
            }
            Delivery::Now | Delivery::Trickle { .. } | Delivery::Padded { .. } => {
                Ok(answer.response)
            }
            Delivery::DropAfterEffect
            | Delivery::DropBeforeEffect
            | Delivery::Reset
            | Delivery::ResetMidBody { .. }
            | Delivery::Truncated { .. } => Err(fail(TransportKind::Broken)),
        }
    }
}
