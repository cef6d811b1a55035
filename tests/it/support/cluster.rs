//! What tests do with objects, as an administrator: apply, read, wait, delete. Objects are plain JSON, as
//! a user sees them, so that no test depends on the operator's own types.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use kube::api::{Api, DeleteParams, DynamicObject, ListParams, ObjectList, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, Scope, pinned_kind};
use serde_json::{Value, json};

use super::eventually::eventually;

/// Long enough for everything that a controller does at once.
pub const SOON: Duration = Duration::from_secs(20);

const FIELD_MANAGER: &str = "it";

/// Kind and API version of what tests handle most.
pub mod kinds {
    /// `(apiVersion, kind)`.
    pub type Kind = (&'static str, &'static str);
    /// A project.
    pub const PROJECT: Kind = ("supabase-operator.dev/v1alpha1", "SupabaseProject");
    /// A connection of one namespace.
    pub const CONNECTION: Kind = ("supabase-operator.dev/v1alpha1", "SupabaseConnection");
    /// A connection that is lent to namespaces.
    pub const CLUSTER_CONNECTION: Kind =
        ("supabase-operator.dev/v1alpha1", "ClusterSupabaseConnection");
    /// Auth settings of a project.
    pub const AUTH_CONFIG: Kind = ("supabase-operator.dev/v1alpha1", "SupabaseAuthConfig");
    /// A Secret.
    pub const SECRET: Kind = ("v1", "Secret");
    /// A `ConfigMap`.
    pub const CONFIG_MAP: Kind = ("v1", "ConfigMap");
    /// A namespace.
    pub const NAMESPACE: Kind = ("v1", "Namespace");
    /// An event, as the operator writes them.
    pub const EVENT: Kind = ("events.k8s.io/v1", "Event");
    /// A Lease.
    pub const LEASE: Kind = ("coordination.k8s.io/v1", "Lease");
}
use kinds::Kind;

/// What discovery said, by API version and kind.
type Known = BTreeMap<(String, String), (ApiResource, Scope)>;

/// The API server seen by an administrator, with one namespace at hand.
#[derive(Clone)]
pub struct Cluster {
    /// The client.
    pub client: kube::Client,
    /// The namespace of objects that name none.
    pub namespace: String,
    known: Arc<Mutex<Known>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Cluster")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// With the namespace `default` at hand.
    pub fn new(client: kube::Client) -> Self {
        Self { client, namespace: "default".to_owned(), known: Arc::default() }
    }

    /// With another namespace at hand.
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..self.clone() }
    }

    /// Makes a namespace that nobody else uses, with a name that starts like this.
    pub async fn new_namespace(&self, prefix: &str) -> String {
        let api: Api<DynamicObject> = self.api(kinds::NAMESPACE, None).await;
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let metadata = json!({"generateName": format!("{prefix}-"), "labels": labels});
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        let object = serde_json::from_value(object).unwrap();
        api.create(&kube::api::PostParams::default(), &object).await.unwrap().metadata.name.unwrap()
    }

    /// Applies an object server-side, unknown fields refused, and returns it as stored.
    pub async fn apply(&self, object: impl Into<Value>) -> Value {
        let object = object.into();
        let what = format!("{} {}", object["kind"], object["metadata"]["name"]);
        self.try_apply(object).await.unwrap_or_else(|refusal| panic!("applying {what}: {refusal}"))
    }

    /// The same for an object that may be refused: with the API server's message.
    pub async fn try_apply(&self, object: impl Into<Value>) -> Result<Value, String> {
        let object: Value = object.into();
        let text = |field: &Value| field.as_str().map(str::to_owned);
        let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let namespace = text(&object["metadata"]["namespace"]);
        let api = self.find(&version.unwrap(), &kind.unwrap(), namespace.as_deref()).await;
        let name = text(&object["metadata"]["name"]).expect("an object to apply has a name");
        let strict = PatchParams::apply(FIELD_MANAGER).force().validation_strict();
        match api.patch(&name, &strict, &Patch::Apply(object)).await {
            Ok(stored) => Ok(serde_json::to_value(stored).unwrap()),
            Err(kube::Error::Api(status)) => Err(status.message.clone()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Merges this into an object.
    pub async fn merge(&self, kind: Kind, name: &str, change: Value) -> Value {
        let api = self.api(kind, None).await;
        let stored = api.patch(name, &PatchParams::default(), &Patch::Merge(change)).await;
        serde_json::to_value(stored.unwrap()).unwrap()
    }

    /// An object, if it is there.
    pub async fn get(&self, kind: Kind, name: &str) -> Option<Value> {
        let found = self.api(kind, None).await.get_opt(name).await.unwrap();
        found.map(|object| serde_json::to_value(object).unwrap())
    }

    /// All objects of a kind in the namespace at hand.
    pub async fn list(&self, kind: Kind) -> Vec<Value> {
        Self::values(self.api(kind, None).await.list(&ListParams::default()).await.unwrap())
    }

    /// All objects of a kind in the whole cluster.
    pub async fn list_everywhere(&self, kind: Kind) -> Vec<Value> {
        let (resource, _) = self.resource(kind.0, kind.1).await;
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        Self::values(api.list(&ListParams::default()).await.unwrap())
    }

    /// Asks for an object's deletion, and does not wait for it.
    pub async fn delete(&self, kind: Kind, name: &str) {
        self.delete_with(kind, name, &DeleteParams::background()).await;
    }

    /// The same in the foreground or otherwise.
    pub async fn delete_with(&self, kind: Kind, name: &str, how: &DeleteParams) {
        self.api(kind, None).await.delete(name, how).await.unwrap();
    }

    /// Waits until an object is gone.
    pub async fn gone(&self, kind: Kind, name: &str, within: Duration) {
        let what = format!("the end of {} {name}", kind.1);
        eventually(&what, within, async || match self.get(kind, name).await {
            None => Ok(()),
            Some(object) => Err(conditions_of(&object)),
        })
        .await;
    }

    /// Waits until a look at an object gives a value.
    pub async fn wait_for<T>(
        &self,
        kind: Kind,
        name: &str,
        what: &str,
        within: Duration,
        look: impl Fn(&Value) -> Option<T>,
    ) -> T {
        let what = format!("{} {name}: {what}", kind.1);
        eventually(&what, within, async || {
            let object = self.get(kind, name).await.ok_or("it is not there")?;
            look(&object).ok_or_else(|| conditions_of(&object))
        })
        .await
    }

    /// Waits until a condition has a status and reason, given as `Status/Reason` or just `Status`, and
    /// covers the newest spec. Returns the object.
    pub async fn wait_condition(
        &self,
        kind: Kind,
        name: &str,
        condition: &str,
        wanted: &str,
    ) -> Value {
        let what = format!("{condition}={wanted}");
        self.wait_for(kind, name, &what, SOON, |object| {
            let found = self::condition(object, condition)?;
            let state = format!("{}/{}", found["status"].as_str()?, found["reason"].as_str()?);
            let fits = state == wanted || state.split('/').next() == Some(wanted);
            let current = found["observedGeneration"] == object["metadata"]["generation"];
            (fits && current).then(|| object.clone())
        })
        .await
    }

    /// The decoded data of a Secret or `ConfigMap`, if it is there.
    pub async fn data(&self, kind: Kind, name: &str) -> Option<BTreeMap<String, String>> {
        let object = self.get(kind, name).await?;
        let decoded = object["data"].as_object().into_iter().flatten().map(|(key, value)| {
            let text = value.as_str().unwrap();
            let text = if kind == kinds::SECRET {
                let bytes = STANDARD.decode(text).unwrap();
                String::from_utf8_lossy(&bytes).into_owned()
            } else {
                text.to_owned()
            };
            (key.clone(), text)
        });
        Some(decoded.collect())
    }

    /// The reasons of all events about an object, oldest first.
    pub async fn event_reasons(&self, name: &str) -> Vec<String> {
        let mut events = self.list(kinds::EVENT).await;
        events.retain(|event| event["regarding"]["name"] == name);
        events.sort_by_key(|event| event["eventTime"].as_str().map(str::to_owned));
        events.iter().filter_map(|event| event["reason"].as_str().map(str::to_owned)).collect()
    }

    /// Waits until an object has so many events of a reason: they come after the status that they are about. Gives the
    /// reasons of all.
    pub async fn wait_events(&self, name: &str, reason: &str, times: usize) -> Vec<String> {
        eventually(&format!("{times} events {reason} of {name}"), SOON, async || {
            let reasons = self.event_reasons(name).await;
            let there = reasons.iter().filter(|one| *one == reason).count();
            if there >= times { Ok(reasons) } else { Err(format!("{reasons:?}")) }
        })
        .await
    }

    async fn api(&self, kind: Kind, namespace: Option<&str>) -> Api<DynamicObject> {
        self.find(kind.0, kind.1, namespace).await
    }

    async fn find(&self, version: &str, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
        let (resource, scope) = self.resource(version, kind).await;
        let namespace = namespace.unwrap_or(&self.namespace);
        match scope {
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), namespace, &resource),
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
        }
    }

    async fn resource(&self, version: &str, kind: &str) -> (ApiResource, Scope) {
        let key = (version.to_owned(), kind.to_owned());
        if let Some(known) = self.known.lock().unwrap().get(&key) {
            return known.clone();
        }
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind = GroupVersionKind::gvk(group, version, kind);
        let found = pinned_kind(&self.client, &kind).await;
        let (resource, capabilities) = found.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        let found = (resource, capabilities.scope);
        self.known.lock().unwrap().insert(key, found.clone());
        found
    }

    fn values(list: ObjectList<DynamicObject>) -> Vec<Value> {
        list.items.into_iter().map(|object| serde_json::to_value(object).unwrap()).collect()
    }
}

/// A condition of an object, if it has it.
pub fn condition<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == name)
}

/// All conditions of an object, in words.
pub fn conditions_of(object: &Value) -> String {
    let mut text = String::new();
    for condition in object["status"]["conditions"].as_array().into_iter().flatten() {
        let field = |name: &str| condition[name].as_str().unwrap_or("?");
        let (name, status) = (field("type"), field("status"));
        write!(text, "{name}={status}/{} ({}); ", field("reason"), field("message")).unwrap();
    }
    if text.is_empty() { "no conditions".to_owned() } else { text }
}
