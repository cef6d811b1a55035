//! Lists, selectors, metadata-only answers, and what tests do by hand.

use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::path::{self, Target};
use crate::server::{ApiServer, Key, meta, text};
use crate::status::{Refusal, answer};
use crate::writing::{Subresource, merge};

impl ApiServer {
    pub(crate) fn list(&self, target: &Target, query: &str) -> Result<Response<Bytes>, Refusal> {
        let resource = self
            .resources
            .get(target.resource)
            .ok_or_else(|| Refusal::not_found("the resource"))?;
        let (mut labels, mut fields) = (String::new(), String::new());
        let (mut limit, mut skipped) = (0, 0);
        let (mut watches, mut version) = (false, String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "labelSelector" => labels = value.into_owned(),
                "fieldSelector" => fields = value.into_owned(),
                "limit" => limit = value.parse().unwrap_or_default(),
                // A token is the number of objects before the page.
                "continue" => skipped = value.parse().unwrap_or_default(),
                "watch" => watches = true,
                "resourceVersion" => version = value.into_owned(),
                _ => {}
            }
        }
        if watches && version.parse::<u64>().is_err() {
            return Err(Refusal::bad_request("a watch begins at a version here"));
        }
        let mut items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|((index, namespace, _), _)| {
                *index == target.resource
                    && (target.namespace.is_none() || *namespace == target.namespace)
            })
            .map(|(_, object)| object)
            .filter(|object| selected(object, &labels))
            .filter(|object| {
                fields
                    .strip_prefix("metadata.name=")
                    .is_none_or(|name| text(object, "name") == Some(name))
            })
            .skip(skipped)
            .collect();
        let version = self.current_version().to_string();
        let mut metadata = json!({"resourceVersion": version});
        if limit > 0 && items.len() > limit {
            metadata = json!({
                "resourceVersion": version,
                "continue": (skipped + limit).to_string(),
                "remainingItemCount": items.len() - limit,
            });
            items.truncate(limit);
        }
        Ok(answer(
            200,
            &json!({
                "kind": format!("{}List", resource.kind),
                "apiVersion": resource.api_version(),
                "metadata": metadata,
                "items": items,
            }),
        ))
    }

    /// An object, by its path as in a request.
    pub fn get(&self, path: &str) -> Option<&Value> {
        self.objects.get(&self.key_of(path)?)
    }

    /// Every object of a kind, given by its plural name.
    pub fn all<'a>(&'a self, plural: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects
            .iter()
            .filter(move |((index, _, _), _)| {
                self.resources.get(*index).is_some_and(|resource| resource.plural == plural)
            })
            .map(|(_, object)| object)
    }

    /// Adds a namespace by hand.
    pub fn add_namespace(&mut self, name: &str) {
        let object = json!({"metadata": {"name": name}});
        self.by_hand("/api/v1/namespaces", |server, target| {
            let object = object.as_object().cloned().unwrap_or_default();
            server.create(&target, object).is_ok()
        });
    }

    /// Creates an object by hand, in the collection at `path`; gives it as it is stored, or nothing if it was
    /// refused.
    pub fn create_by_hand(&mut self, path: &str, object: &Value) -> Option<Value> {
        let object = object.as_object().cloned().unwrap_or_default();
        self.by_hand(path, |server, target| server.create(&target, object).ok()).flatten()
    }

    /// Merges a change into the object at `path`, by hand; a path that ends in `/status` changes the status.
    /// False if it was refused.
    pub fn change_by_hand(&mut self, path: &str, change: &Value) -> bool {
        let subresource =
            if path.ends_with("/status") { Subresource::Status } else { Subresource::None };
        let path = path.trim_end_matches("/status");
        let key = self.key_of(path);
        let change = change.as_object().cloned().unwrap_or_default();
        self.by_hand(path, |server, _| {
            key.is_some_and(|key| server.patch(&key, change, subresource).is_ok())
        })
        .unwrap_or(false)
    }

    /// Deletes the object at `path` by hand. False if it was refused.
    pub fn delete_by_hand(&mut self, path: &str) -> bool {
        let key = self.key_of(path);
        self.by_hand(path, |server, _| {
            key.is_some_and(|key| server.delete(&key, &Map::new()).is_ok())
        })
        .unwrap_or(false)
    }

    fn key_of(&self, path: &str) -> Option<Key> {
        let target = path::target(path, &self.resources)?;
        Some((target.resource, target.namespace, target.name?))
    }

    fn by_hand<T>(&mut self, path: &str, act: impl FnOnce(&mut Self, Target) -> T) -> Option<T> {
        let target = path::target(path, &self.resources)?;
        self.by_hand = true;
        let result = act(self, target);
        self.by_hand = false;
        Some(result)
    }
}

/// `a=b`, `a==b`, `a!=b`, `a`, `!a`, joined by commas.
fn selected(object: &Value, selector: &str) -> bool {
    let label = |name: &str| meta(object, "labels").and_then(|labels| labels.get(name)?.as_str());
    selector.split(',').map(str::trim).filter(|part| !part.is_empty()).all(|part| {
        if let Some((name, value)) = part.split_once("!=") {
            label(name) != Some(value)
        } else if let Some((name, value)) = part.split_once('=') {
            label(name) == Some(value.trim_start_matches('='))
        } else if let Some(name) = part.strip_prefix('!') {
            label(name).is_none()
        } else {
            label(part).is_some()
        }
    })
}

/// The answer with nothing but the metadata of its objects.
pub(crate) fn metadata_of(response: &Response<Bytes>) -> Response<Bytes> {
    let body: Value = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
    let reduced = match body.get("items").and_then(Value::as_array) {
        None => partial(&body, "PartialObjectMetadata"),
        Some(items) => {
            let items: Vec<Value> =
                items.iter().map(|item| partial(item, "PartialObjectMetadata")).collect();
            let mut list = partial(&body, "PartialObjectMetadataList");
            merge(&mut list, &json!({"items": items}));
            list
        }
    };
    answer(response.status().as_u16(), &reduced)
}

/// Nothing but the metadata of an object.
pub(crate) fn partial(object: &Value, kind: &str) -> Value {
    json!({
        "kind": kind,
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
    })
}
