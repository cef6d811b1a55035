//! Two tenants of one operator: whatever one of them stores or meets, the other one is served. Each row of the table is
//! something that stopped everybody once. Asserted are counts; how long a turn takes is the machine's business.

use std::time::Duration;

use serde_json::{Value, json};
use simulated_platform::{Config, Fault, FaultKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::connected;
use crate::support::cluster::kinds::{CONFIG_MAP, CONNECTION, Kind, NAMESPACE, PROJECT, SECRET};
use crate::support::cluster::{Cluster, condition};
use crate::support::control_plane::ControlPlane;
use crate::support::eventually::eventually;
use crate::support::hostile::{
    ENDING, LONG, MEMORY, count_refs, deep, managed, newer_kinds, own_organization, padded,
    ready_at_last, remove, repad, served, spec_of, store, stored, there, warnings_about,
    without_bounds,
};
use crate::support::operator::Operator;
use crate::support::platform::ORGANIZATION;
use crate::support::samples::{oauth_connection, project, secret, token_connection};
use crate::support::stage::{Reach, Stage, apply_kinds};

/// The organization of the namespace `hostile`.
const THEIRS: &str = "bulk";
const BINDING: Kind = ("rbac.authorization.k8s.io/v1", "RoleBinding");
const FOR_EVER: u32 = u32::MAX;
/// So many reconciles were under way at once before waiting gave slots back.
const SLOTS: usize = 16;
/// Reconciles of one namespace under way at most, with the concurrency of the chart; and those that were at it.
const SHARE: usize = 32 + 16;
/// More than its share.
const FLOOD: usize = 70;
/// More clients than the port for probes and metrics has places.
const IDLE: usize = 128;
/// How many lists of the neighbour's organization are waited for, where calls for the other one are counted.
const LISTS: usize = 8;

/// What the hostile tenant does, or what befalls the organization that both look at.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// Managed fields that are nested deeper than parsers go.
    DeepFields,
    /// A value of a newer release's kinds.
    NewerValue,
    /// Objects that grow to the brim of etcd while their create calls are under way.
    BrimUnderWay,
    /// Suspended objects of 1.5 MB.
    LargeObjects(usize),
    /// A Secret with the client ID of the neighbour's app, which the platform throttles.
    ClaimedApp,
    /// Edits of a credential's Secret, one after the other.
    RestlessSecret(usize),
    /// Clients that were answered and keep their connections.
    IdleClients,
    /// More projects than anybody gets done at once, of an organization whose lists are slow.
    Flood,
    /// Entries without name and ref in the list of the neighbour's organization.
    OddEntries,
    /// An address of a replica that cannot be read, in every answer of the pooler.
    OddPooler,
    /// `Retry-After: 0` for ever.
    AtOnceForEver,
}

/// What is counted while the neighbour's project comes up.
#[derive(Clone, Copy, Debug)]
enum Count {
    /// Calls that show a credential to the platform which it has not accepted yet.
    Shown,
    /// Lists of the hostile tenant's organization, while the neighbour's is listed [`LISTS`] times.
    Lists,
    /// Projects of the hostile tenant that come first.
    First,
    /// Projects that the platform made for the hostile tenant, whose calls are all answered late.
    Made,
    /// Idle clients that still have their places when a probe is answered.
    Kept,
}

/// One row of the table.
#[derive(Debug)]
struct Row {
    /// What the neighbour's project is called, and the row.
    name: &'static str,
    deed: Deed,
    /// Whether the operator starts anew before the neighbour asks for a project.
    restart: bool,
    /// What is counted, the least and the most.
    counted: Option<(Count, usize, usize)>,
}

const fn row(name: &'static str, deed: Deed) -> Row {
    Row { name, deed, restart: false, counted: None }
}

const fn restarted(name: &'static str, deed: Deed) -> Row {
    Row { restart: true, ..row(name, deed) }
}

const fn counted(name: &'static str, deed: Deed, counts: (Count, usize, usize)) -> Row {
    Row { counted: Some(counts), ..row(name, deed) }
}

const TABLE: [Row; 11] = [
    restarted("beside-deep-fields", Deed::DeepFields),
    restarted("beside-newer-values", Deed::NewerValue),
    Row {
        restart: true,
        ..counted("beside-the-brim", Deed::BrimUnderWay, (Count::Made, SLOTS, SLOTS))
    },
    restarted("beside-large-objects", Deed::LargeObjects(20)),
    row("beside-a-claim", Deed::ClaimedApp),
    counted("beside-edits", Deed::RestlessSecret(100), (Count::Shown, 1, 8)),
    counted("beside-idle-clients", Deed::IdleClients, (Count::Kept, 0, IDLE - 1)),
    row("beside-odd-entries", Deed::OddEntries),
    row("beside-an-odd-pooler", Deed::OddPooler),
    counted("beside-at-once", Deed::AtOnceForEver, (Count::Lists, 2, 6)),
    counted("beside-a-flood", Deed::Flood, (Count::First, 0, SHARE)),
];

/// What one row has left behind: to be looked at, and to be taken away.
#[derive(Default)]
struct Traces {
    made: Vec<(Kind, String)>,
    clients: Vec<TcpStream>,
    other_kinds: bool,
}

struct Scene {
    stage: Stage,
    neighbour: Cluster,
    hostile: Cluster,
    traces: Traces,
}

impl Scene {
    async fn does(&mut self, deed: Deed, operator: &Operator) {
        match deed {
            Deed::DeepFields => self.stores_deep_fields().await,
            Deed::NewerValue => self.stores_a_newer_value().await,
            Deed::BrimUnderWay => self.pads_what_is_under_way().await,
            Deed::LargeObjects(number) => self.stores_large_objects(number).await,
            Deed::ClaimedApp => self.claims_the_app().await,
            Deed::RestlessSecret(edits) => self.edits_a_credential(edits).await,
            Deed::IdleClients => self.keeps_connections(operator).await,
            Deed::Flood => self.floods().await,
            Deed::OddEntries => {
                let odd = json!({
                    "projects": [{"ref": null, "name": null}, {"name": null}, 7],
                    "pagination": {"count": 3, "limit": 100, "offset": 0},
                });
                self.meets(&list_of(ORGANIZATION), FaultKind::Body(odd.to_string()));
            }
            Deed::OddPooler => {
                let address = |kind: &str, port: Value| {
                    json!({
                        "database_type": kind, "db_user": "postgres.x", "db_host": "pooler.example", "db_port": port,
                        "db_name": "postgres", "pool_mode": "transaction",
                    })
                };
                let body = json!([
                    address("READ_REPLICA", json!("6543")),
                    address("PRIMARY", json!(6543)),
                ]);
                let pooler = "/v1/projects/*/config/database/pooler";
                self.meets(pooler, FaultKind::Body(body.to_string()));
            }
            Deed::AtOnceForEver => {
                let at_once = FaultKind::RetryAfter(429, "0".to_owned());
                self.meets(&list_of(THEIRS), at_once);
                self.applies("hasty").await;
            }
        }
    }

    /// Every read at a path meets this.
    fn meets(&self, path: &str, kind: FaultKind) {
        let fault = Fault::on("GET", path, kind).times(FOR_EVER);
        self.stage.platform.world().script(fault);
    }

    async fn applies(&mut self, name: &str) {
        self.hostile.apply(project(name)).await;
        self.traces.made.push((PROJECT, name.to_owned()));
    }

    async fn stores_deep_fields(&mut self) {
        for kind in [PROJECT, CONNECTION, SECRET, CONFIG_MAP] {
            let object = managed(kind, "deep", spec_of(kind), &deep());
            store(&self.hostile, kind, &object).await.unwrap();
            self.traces.made.push((kind, "deep".to_owned()));
        }
    }

    async fn stores_a_newer_value(&mut self) {
        newer_kinds(&self.stage).await;
        self.traces.other_kinds = true;
        let newer = Value::from(project("newer").with("powerState", "Hibernated"));
        eventually("the newer kind", LONG, async || {
            self.hostile.try_apply(newer.clone()).await.map(drop)
        })
        .await;
        self.traces.made.push((PROJECT, "newer".to_owned()));
    }

    async fn pads_what_is_under_way(&mut self) {
        without_bounds(&self.stage).await;
        self.traces.other_kinds = true;
        // As long as the others' names.
        let begun = Instant::now();
        let limit = self.limit_of("brim-00").await;
        // The padding takes little longer than the search, on a busy machine too.
        let late = FaultKind::Delay(begun.elapsed().mul_f32(2.5).max(Duration::from_secs(4)));
        let late = Fault::on("POST", "/v1/projects", late);
        let late = late.times(u32::try_from(SLOTS).unwrap());
        self.stage.platform.world().script(late);
        let names: Vec<_> = (10..10 + SLOTS).map(|number| format!("brim-{number}")).collect();
        for name in &names {
            self.applies(name).await;
        }
        for name in &names {
            let attempt = |object: &Value| {
                let attempts = object["status"]["creation"]["attempts"].as_array()?;
                attempts.first().map(drop)
            };
            self.hostile.wait_for(PROJECT, name, "an attempt", LONG, attempt).await;
        }
        for name in &names {
            let mut fits = limit - size(&self.hostile, name).await;
            while repad(&self.hostile, name, fits).await.is_err() {
                fits -= 200;
            }
        }
        let first = self.hostile.get(PROJECT, &names[0]).await.unwrap();
        assert_eq!(first["status"]["ref"], Value::Null, "padded too late");
        // Every answer is stored: there is room for it.
        eventually("a ref for each", LONG, async || {
            let refs = count_refs(&self.hostile).await;
            if refs == SLOTS { Ok(()) } else { Err(refs) }
        })
        .await;
    }

    /// How large an object of a name like this can get, what its padding needs besides its bytes left out.
    async fn limit_of(&mut self, name: &str) -> usize {
        self.hostile.apply(project(name).with("suspend", true)).await;
        self.traces.made.push((PROJECT, name.to_owned()));
        let bare = size(&self.hostile, name).await;
        let (mut fits, mut too_large) = (1_500_000, 1_573_000);
        while too_large - fits > 100 {
            let middle = usize::midpoint(fits, too_large);
            match repad(&self.hostile, name, middle).await {
                Ok(()) => fits = middle,
                Err(_) => too_large = middle,
            }
        }
        assert!((1_500_001..1_572_900).contains(&fits), "{fits} bytes");
        bare + fits
    }

    async fn stores_large_objects(&mut self, number: usize) {
        without_bounds(&self.stage).await;
        self.traces.other_kinds = true;
        for number in 0..number {
            let name = format!("large-{number}");
            let object = padded(&name, 1_450_000, true);
            eventually("a large object", LONG, async || {
                store(&self.hostile, PROJECT, &object).await
            })
            .await;
            self.traces.made.push((PROJECT, name));
        }
    }

    async fn claims_the_app(&mut self) {
        let app = self.neighbour.data(SECRET, "supabase-oauth-app").await;
        let app = app.unwrap();
        let claimed = [
            ("client_id", app["client_id"].as_str()),
            ("client_secret", "guessed-by-somebody-0123456789"),
        ];
        let seed = [("refresh_token", "made-up-by-somebody-0123456789")];
        let busy = FaultKind::RetryAfter(429, "300".to_owned());
        let busy = Fault::on("POST", "/v1/oauth/token", busy);
        self.stage.platform.world().script(busy);
        for (name, data) in [("supabase-oauth-app", &claimed[..]), ("supabase-oauth-tokens", &seed)]
        {
            self.hostile.apply(secret(name, data)).await;
            self.traces.made.push((SECRET, name.to_owned()));
        }
        self.hostile.apply(oauth_connection("thief")).await;
        self.traces.made.push((CONNECTION, "thief".to_owned()));
        eventually("a throttled thief", LONG, async || {
            let faults = self.stage.platform.world().pending_faults();
            if faults == 0 { Ok(()) } else { Err("it was not throttled") }
        })
        .await;
    }

    async fn edits_a_credential(&mut self, edits: usize) {
        let auth = json!({"secretKeyRef": {"name": "restless", "key": "token"}});
        let restless = token_connection("restless").with("auth/personalAccessToken", auth);
        for number in 0..edits {
            let token = format!("sbp_{number:040x}");
            self.hostile.apply(secret("restless", &[("token", &token)])).await;
            if number == 0 {
                self.hostile.apply(restless.clone()).await;
            }
        }
        let refused = |object: &Value| {
            let ready = condition(object, "Ready")?;
            (ready["reason"] == "Unauthorized").then_some(())
        };
        self.hostile.wait_for(CONNECTION, "restless", "a refusal", LONG, refused).await;
        self.traces.made.push((CONNECTION, "restless".to_owned()));
        self.traces.made.push((SECRET, "restless".to_owned()));
    }

    async fn keeps_connections(&mut self, operator: &Operator) {
        for _ in 0..IDLE {
            let mut client = TcpStream::connect(operator.listen()).await.unwrap();
            let request = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
            let answered = async {
                client.write_all(request).await?;
                client.read(&mut [0; 512]).await
            };
            // Whoever comes when all places are taken may be sent away.
            drop(tokio::time::timeout(LONG, answered).await.unwrap());
            self.traces.clients.push(client);
        }
        let (status, body) = operator.get("/livez").await.unwrap();
        assert_eq!(status, 200, "{body}");
    }

    async fn floods(&mut self) {
        let slow = FaultKind::Delay(Duration::from_millis(300));
        self.meets(&list_of(THEIRS), slow);
        for number in 0..FLOOD {
            self.applies(&format!("flood-{number}")).await;
        }
    }

    /// How many projects of theirs were created before one of the neighbour, by its object's name.
    fn first(&self, name: &str) -> usize {
        let name = format!("{}-{name}-", self.neighbour.namespace);
        self.stage.platform.created_before(THEIRS, &name)
    }

    async fn count(&mut self, what: Count, mark: usize, name: &str, before: usize) -> usize {
        match what {
            Count::Shown => {
                let calls = self.stage.platform.calls_since(mark);
                let shown = ["GET /v1/organizations", "POST /v1/oauth/token"];
                shown.iter().filter_map(|call| calls.get(*call)).sum()
            }
            Count::Lists => {
                let lists = |slug| self.calls_at(mark, &list_of(slug));
                eventually("lists of the neighbour", LONG, async || {
                    let seen = lists(ORGANIZATION);
                    if seen >= LISTS { Ok(()) } else { Err(seen) }
                })
                .await;
                lists(THEIRS)
            }
            Count::First => self.first(name) - before,
            Count::Made => {
                let names = self.stage.platform.project_names();
                names.iter().filter(|name| name.contains("-brim-")).count()
            }
            Count::Kept => {
                let clients = self.traces.clients.iter();
                let open = |client: &&TcpStream| {
                    let left = client.try_read(&mut [0; 512]);
                    left.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
                };
                clients.filter(open).count()
            }
        }
    }

    /// How many calls there were at a path since a mark.
    fn calls_at(&self, mark: usize, path: &str) -> usize {
        let world = self.stage.platform.world();
        let seen = world.ledger().seen()[mark..].iter();
        seen.filter(|seen| seen.path == path).count()
    }

    /// Takes away what a row has left: whatever it is, it can be deleted.
    async fn tidies(&mut self) {
        self.stage.platform.world().clear_script();
        let Traces { made, other_kinds, .. } = std::mem::take(&mut self.traces);
        if other_kinds {
            apply_kinds(&self.stage.plane).await;
        }
        for (kind, name) in &made {
            remove(&self.hostile, *kind, name).await;
        }
        for (kind, name) in &made {
            eventually(&format!("the end of {name}"), LONG, async || {
                if there(&self.hostile, *kind, name).await { Err("it is there") } else { Ok(()) }
            })
            .await;
        }
    }
}

fn list_of(organization: &str) -> String {
    format!("/v1/organizations/{organization}/projects")
}

/// How large an object is without what it is padded with.
async fn size(cluster: &Cluster, name: &str) -> usize {
    stored(cluster, PROJECT, name).await.unwrap().len()
}

#[tokio::test]
async fn whatever_one_namespace_does_another_one_is_served() {
    let mut stage =
        Stage::with(Reach::ClusterWatchingSecrets, Config::fast(), &super::short_lease()).await;
    let mut operator = stage.operator().await;
    connected(&stage).await;
    let neighbour = stage.cluster.clone();
    let namespace = neighbour.new_namespace("it-hostile").await;
    let hostile = neighbour.in_namespace(&namespace);
    own_organization(&stage, &hostile, THEIRS).await;
    let mut scene = Scene { stage, neighbour, hostile, traces: Traces::default() };
    for row in &TABLE {
        let mark = scene.stage.platform.mark();
        scene.does(row.deed, &operator).await;
        if row.restart {
            // It gives the Lease away, so that the next one need not wait for it.
            operator.terminate(ENDING).await;
            operator = scene.stage.operator().await;
        }
        let before = scene.first(row.name);
        served(&scene.neighbour, row.name).await;
        if let Some((what, least, most)) = row.counted {
            let counted = scene.count(what, mark, row.name, before).await;
            assert!(
                (least..=most).contains(&counted),
                "{}: {what:?} {counted}, not {least} to {most}",
                row.name
            );
        }
        if matches!(row.deed, Deed::LargeObjects(_)) {
            let peak = operator.peak_memory();
            assert!(peak <= MEMORY, "{} MiB", peak / 1024 / 1024);
        }
        scene.tidies().await;
    }
    // Nobody of the neighbour's has lost anything meanwhile.
    for row in &TABLE {
        ready_at_last(&scene.neighbour, PROJECT, row.name).await;
    }
    scene.stage.finish(vec![operator]).await;
}

#[tokio::test]
async fn whatever_becomes_of_one_watched_namespace_another_one_is_served() {
    let plane = ControlPlane::shared().await;
    let everything = Cluster::new(plane.client().await);
    let [neighbour, unbound, gone] = [
        everything.new_namespace("it-neighbour").await,
        everything.new_namespace("it-unbound").await,
        everything.new_namespace("it-gone").await,
    ]
    .map(|namespace| everything.in_namespace(&namespace));
    let mut values = super::short_lease();
    values["watchNamespaces"] = json!([unbound.namespace, gone.namespace, neighbour.namespace]);
    let mut stage = Stage::with(Reach::Namespace, Config::fast(), &values).await;
    stage.platform.provide_secrets(&neighbour).await;
    let bindings = unbound.list(BINDING).await;
    let ours = |binding: &&Value| {
        let subjects = binding["subjects"].to_string();
        subjects.contains(&stage.system.namespace)
    };
    let ours: Vec<_> = bindings.iter().filter(ours).collect();
    assert!(!ours.is_empty(), "{bindings:?}");
    for binding in ours {
        let name = binding["metadata"]["name"].as_str().unwrap();
        unbound.delete(BINDING, name).await;
    }
    everything.delete(NAMESPACE, &gone.namespace).await;
    everything.gone(NAMESPACE, &gone.namespace, LONG).await;
    neighbour.apply(token_connection("acme")).await;
    // Each is ready, and says for whom it cannot be there.
    let operator = stage.operator().await;
    served(&neighbour, "orders").await;
    operator.terminate(ENDING).await;
    let operator = stage.operator().await;
    served(&neighbour, "shop").await;
    for lost in [&unbound, &gone] {
        let named = warnings_about(&operator, &lost.namespace);
        assert!((1..=12).contains(&named), "{} named {named} times", lost.namespace);
    }
    // What was refused there meanwhile is no fault.
    let lost = [unbound.namespace.as_str(), gone.namespace.as_str()];
    stage.finish_although(vec![operator], &lost).await;
}
