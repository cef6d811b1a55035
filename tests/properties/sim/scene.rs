//! A cluster and a platform, with somebody's hands in both.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{Method, Request};
use serde_json::{Value, json};
use simulated_apiserver::{ApiServer, Resource, Script, Service};
use simulated_platform::{ALL_SCOPES, App, Config, Pat, Plan as Subscription, World};
use supabase_operator::management;
use supabase_operator::rules::clock::Clock as _;
use supabase_operator::session::token_store::{Grants, Pair};

use tokio::sync::watch;

use super::clock::SimClock;
use super::faults::{Faults, Verdict};
use super::tokens::{Tokens, Watched};
use super::transport::WorldTransport;

/// What a scene begins with.
#[derive(Clone, Debug)]
pub struct Seed {
    pub platform: Config,
    pub random: u64,
    /// Whether the connection has OAuth tokens instead of a personal access token.
    pub oauth: bool,
}

impl Default for Seed {
    fn default() -> Self {
        Self { platform: Config::default(), random: 1, oauth: false }
    }
}

/// A platform on which services, keys and pooler are there with the project: where they lag, more calls are made.
pub fn complete() -> Config {
    Config {
        services_lag: Duration::ZERO,
        keys_lag: Duration::ZERO,
        pooler_lag: Duration::ZERO,
        ..Config::default()
    }
}

/// The surroundings.
#[derive(Clone, Debug)]
pub struct Scene {
    pub clock: SimClock,
    api: Service,
    pub(super) world: Arc<Mutex<World>>,
    pat: String,
    app: App,
    hands: Arc<Mutex<Vec<Hand>>>,
    /// Counts the requests that may have changed something, on either side.
    pub(super) changed: watch::Sender<u64>,
    /// Every request, in order.
    trace: Arc<Mutex<Vec<String>>>,
    tokens: Arc<Mutex<Tokens>>,
    /// How long a request to the platform is under way.
    pub(super) travel: Arc<Mutex<Duration>>,
}

/// When a hand comes in, and what it does.
pub type Hand = (fn(&Scene) -> bool, fn(&Scene));

pub const PROJECTS: &str =
    "/apis/supabase-operator.dev/v1alpha1/namespaces/team-a/supabaseprojects";
pub const CONNECTIONS: &str =
    "/apis/supabase-operator.dev/v1alpha1/namespaces/team-a/supabaseconnections";
pub const AUTH_CONFIGS: &str =
    "/apis/supabase-operator.dev/v1alpha1/namespaces/team-a/supabaseauthconfigs";
pub const CLUSTER_CONNECTIONS: &str =
    "/apis/supabase-operator.dev/v1alpha1/clustersupabaseconnections";
pub const SECRETS: &str = "/api/v1/namespaces/team-a/secrets";

impl Scene {
    /// An organization `acme`, a namespace `team-a`, and a connection `acme`.
    pub fn new(seed: &Seed) -> Self {
        let scene = Self::without_connections(seed.platform.clone(), seed.random);
        let auth = if seed.oauth {
            let app = &scene.app;
            let entries = [
                ("client_id", app.client_id.as_str()),
                ("client_secret", app.client_secret.as_str()),
            ];
            scene.secret("app", &entries);
            scene.authorize();
            json!({"oauth": {"appSecretRef": {"name": "app"}, "tokenSecretRef": {"name": "seed"}}})
        } else {
            scene.secret("pat", &[("token", &scene.pat)]);
            json!({"personalAccessToken": {"secretKeyRef": {"name": "pat", "key": "token"}}})
        };
        scene.make(CONNECTIONS, "SupabaseConnection", "acme", json!({"auth": auth}));
        scene
    }

    /// An organization `acme`, and a namespace `team-a` with nothing in it.
    pub fn without_connections(platform: Config, random: u64) -> Self {
        let clock = SimClock::of_the_world();
        let mut world = World::new(platform, random);
        world.tick(clock.now());
        world.add_organization("acme", "Acme", Subscription::Pro);
        let pat = world.add_pat(Pat::classic());
        let app = world.register_app(&[], ALL_SCOPES);
        let group = |plural: &str, kind: &str| {
            Resource::custom("supabase-operator.dev", "v1alpha1", plural, kind)
        };
        let kinds = [
            group("supabaseprojects", "SupabaseProject"),
            group("supabaseconnections", "SupabaseConnection"),
            group("supabaseauthconfigs", "SupabaseAuthConfig"),
            group("clustersupabaseconnections", "ClusterSupabaseConnection").cluster_wide(),
        ];
        let mut server = ApiServer::new(kinds);
        for namespace in ["supabase-system", "team-a", "team-b"] {
            server.add_namespace(namespace);
        }
        let now = clock.clone();
        let api = Service::new(server, move || now.now());
        Self {
            clock,
            api,
            world: Arc::new(Mutex::new(world)),
            pat,
            app,
            hands: Arc::default(),
            changed: watch::Sender::default(),
            trace: Arc::default(),
            tokens: Arc::default(),
            travel: Arc::default(),
        }
    }

    /// Somebody consents, perhaps once more, and puts the refresh token into the Secret `seed`.
    pub fn authorize(&self) {
        let now = self.clock.now();
        let pair = self.world().authorize(&self.app, "acme", now).unwrap();
        self.secret("seed", &[("refresh_token", &pair.refresh_token)]);
    }

    /// Somebody consents in a browser: what the replica does that serves the callback.
    pub async fn consent(&self) {
        let now = self.clock.now();
        let pair = self.world().authorize(&self.app, "acme", now).unwrap();
        let connection = self.get(&format!("{CONNECTIONS}/acme")).unwrap();
        let grants = Grants::new(
            self.client(&Faults::new(&[])),
            "team-a".to_owned(),
            "acme-oauth-grants".to_owned(),
            connection["metadata"]["uid"].as_str().unwrap().to_owned(),
        );
        let later = |seconds: u64| now.checked_add(Duration::from_secs(seconds));
        grants.open("flow", later(600).unwrap(), now).await.unwrap();
        let pair = Pair {
            access: pair.access_token.as_str().into(),
            refresh: pair.refresh_token.as_str().into(),
            expires_at: later(pair.expires_in).ok(),
            limited: false,
        };
        grants.put("flow", Some(&pair)).await.unwrap();
    }

    /// Somebody removes the app on the dashboard.
    pub fn revoke(&self) {
        self.world().revoke_authorization(&self.app, "acme");
    }

    /// Whether the connection says that somebody must consent once more.
    pub fn asks_for_consent(&self) -> bool {
        let connection = self.get(&format!("{CONNECTIONS}/acme")).unwrap_or_default();
        Self::condition(&connection, "Ready")
            .is_some_and(|(_, reason)| reason == "ReauthorizationRequired")
    }

    /// Makes an object by hand.
    pub fn make(&self, path: &str, kind: &str, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "supabase-operator.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name}, "spec": spec,
        });
        assert!(self.api().create_by_hand(path, &object).is_some(), "{path}/{name} was refused");
    }

    /// A project with the connection `acme` in `eu-central-1`, and more.
    pub fn project(&self, name: &str, more: Value) {
        let mut spec = json!({"connectionRef": {"kind": "SupabaseConnection", "name": "acme"}, "region": "eu-central-1"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.make(PROJECTS, "SupabaseProject", name, spec);
    }

    /// Asks for a reconcile of a project by annotation.
    pub fn request(&self, name: &str, word: &str) {
        let annotations = json!({"supabase-operator.dev/reconcile-requested-at": word});
        let change = json!({"metadata": {"annotations": annotations}});
        assert!(self.api().change_by_hand(&format!("{PROJECTS}/{name}"), &change));
    }

    /// A Secret in `team-a` by hand; replaces one that is there.
    pub fn secret(&self, name: &str, entries: &[(&str, &str)]) {
        self.secret_in(SECRETS, name, entries);
    }

    /// The same in the operator's namespace.
    pub fn system_secret(&self, name: &str, entries: &[(&str, &str)]) {
        self.secret_in("/api/v1/namespaces/supabase-system/secrets", name, entries);
    }

    fn secret_in(&self, secrets: &str, name: &str, entries: &[(&str, &str)]) {
        use base64::Engine as _;
        let data: serde_json::Map<_, _> = entries
            .iter()
            .map(|(key, value)| {
                let encoded = base64::engine::general_purpose::STANDARD.encode(value);
                ((*key).to_owned(), Value::from(encoded))
            })
            .collect();
        let object = json!({"metadata": {"name": name}, "type": "Opaque", "data": data});
        let mut api = self.api();
        let path = format!("{secrets}/{name}");
        if api.get(&path).is_some() {
            assert!(api.change_by_hand(&path, &json!({"data": data})));
        } else {
            assert!(api.create_by_hand(secrets, &object).is_some());
        }
    }

    /// A hand comes in once, in the very moment after the write to the API server that makes the time ripe.
    pub fn when(&self, ripe: fn(&Self) -> bool, hand: fn(&Self)) {
        self.hands.lock().unwrap().push((ripe, hand));
    }

    fn lend_hands(&self) {
        let hands = std::mem::take(&mut *self.hands.lock().unwrap());
        let (ripe, waiting): (Vec<_>, Vec<_>) = hands.into_iter().partition(|(ripe, _)| ripe(self));
        self.hands.lock().unwrap().extend(waiting);
        for (_, hand) in ripe {
            hand(self);
        }
    }

    pub(super) fn note(&self, to: &str, method: &Method, uri: &http::Uri) {
        self.trace.lock().unwrap().push(format!("{to} {method} {uri}"));
    }

    /// Every request of every process since the last time this was asked, in order.
    pub fn take_trace(&self) -> Vec<String> {
        std::mem::take(&mut *self.trace.lock().unwrap())
    }

    /// Told of every request that may have changed something.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The OAuth app.
    pub fn app(&self) -> App {
        self.app.clone()
    }

    /// What becomes of refresh tokens.
    pub fn tokens(&self) -> Watched<'_> {
        Watched { scene: self, state: &self.tokens }
    }

    /// How long requests to the platform are under way from now on.
    pub fn set_travel(&self, time: Duration) {
        *self.travel.lock().unwrap() = time;
    }

    /// Faults of the API server.
    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.api.script()
    }

    /// The API server.
    pub fn api(&self) -> MutexGuard<'_, ApiServer> {
        self.api.server()
    }

    /// The platform, at the present moment.
    pub fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap();
        world.tick(self.clock.now());
        world
    }

    /// A stored object.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.api().get(path).cloned()
    }

    /// A project as it is stored.
    pub fn stored(&self, name: &str) -> Option<Value> {
        self.get(&format!("{PROJECTS}/{name}"))
    }

    /// The decoded value of a key of a Secret in `team-a`.
    pub fn secret_value(&self, name: &str, key: &str) -> Option<String> {
        use base64::Engine as _;
        let secret = self.get(&format!("{SECRETS}/{name}"))?;
        let encoded = secret["data"][key].as_str()?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
        String::from_utf8(bytes).ok()
    }

    /// Status and reason of a condition of a stored object.
    pub fn condition(object: &Value, kind: &str) -> Option<(String, String)> {
        let list = object["status"]["conditions"].as_array()?;
        let found = list.iter().find(|condition| condition["type"] == kind)?;
        Some((found["status"].as_str()?.to_owned(), found["reason"].as_str()?.to_owned()))
    }

    /// Whether a project is Ready for its current generation.
    pub fn is_ready(&self, name: &str) -> bool {
        self.stored(name).is_some_and(|object| {
            Self::condition(&object, "Ready").is_some_and(|(status, _)| status == "True")
                && object["status"]["observedGeneration"] == object["metadata"]["generation"]
        })
    }

    /// A client of the API server for one process, which dies where the plan says so.
    pub fn client(&self, faults: &Faults) -> kube::Client {
        let faults = faults.clone();
        let scene = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let (faults, scene) = (faults.clone(), scene.clone());
            let mut server = scene.api.clone();
            async move {
                scene.note("kube", request.method(), request.uri());
                let path = request.uri().path();
                let told = path.contains("/events") || path.contains("/leases");
                let effect = *request.method() != Method::GET && !told;
                let verdict = faults.judge(effect, &format!("{} {path}", request.method()));
                match verdict {
                    Verdict::DieBefore => return std::future::pending().await,
                    Verdict::HeldBefore(time) => tokio::time::sleep(time).await,
                    Verdict::Through | Verdict::DieAfterEffect | Verdict::HeldAfter(_) => {}
                }
                let response = tower::Service::call(&mut server, request).await;
                if effect {
                    scene.lend_hands();
                    scene.changed.send_modify(|count| *count += 1);
                }
                match verdict {
                    Verdict::DieAfterEffect => std::future::pending().await,
                    Verdict::HeldAfter(time) => tokio::time::sleep(time).await,
                    Verdict::Through | Verdict::DieBefore | Verdict::HeldBefore(_) => {}
                }
                response
            }
        });
        kube::Client::new(service, "default")
    }

    /// A client of the platform for one process.
    pub fn management(&self, faults: &Faults) -> management::Client {
        let transport = WorldTransport { scene: self.clone(), faults: faults.clone() };
        management::Client::new("https://api.supabase.com".parse().unwrap(), Arc::new(transport))
    }
}
