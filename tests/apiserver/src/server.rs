//! The server as one value: requests and time go in, answers come out.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::ledger::{Ledger, Seen, Verb, Write};
use crate::path::{self, Target};
use crate::resource::Resource;
use crate::status::{Refusal, answer};
use crate::watching::Watches;
use crate::writing::Subresource;

/// Where an object is: the place of its kind, its namespace, its name.
pub(crate) type Key = (usize, Option<String>, String);

/// The simulated API server.
#[derive(Clone, Debug)]
pub struct ApiServer {
    pub(crate) resources: Vec<Resource>,
    pub(crate) objects: BTreeMap<Key, Value>,
    pub(crate) now: Timestamp,
    pub(crate) by_hand: bool,
    version: u64,
    ids: u64,
    ledger: Ledger,
    pub(crate) watches: Watches,
}

impl Default for ApiServer {
    fn default() -> Self {
        Self {
            resources: Resource::built_ins(),
            objects: BTreeMap::new(),
            now: Timestamp::UNIX_EPOCH,
            by_hand: false,
            version: 1,
            ids: 0,
            ledger: Ledger::default(),
            watches: Watches::default(),
        }
    }
}

impl ApiServer {
    /// A server with the built-in kinds and these; no namespace exists yet.
    pub fn new(custom: impl IntoIterator<Item = Resource>) -> Self {
        let mut server = Self::default();
        server.resources.extend(custom);
        server
    }

    /// Everything asked and written.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Answers one request.
    pub fn handle(&mut self, request: &Request<Bytes>, now: Timestamp) -> Response<Bytes> {
        self.now = self.now.max(now);
        let mut response = self.respond(request).unwrap_or_else(|refusal| refusal.response());
        let metadata_only = request
            .headers()
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.contains("as=PartialObjectMetadata"));
        if metadata_only && response.status().is_success() {
            response = crate::listing::metadata_of(&response);
        }
        self.ledger.see(Seen {
            at: self.now,
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            status: response.status().as_u16(),
        });
        response
    }

    fn respond(&mut self, request: &Request<Bytes>) -> Result<Response<Bytes>, Refusal> {
        let target = path::target(request.uri().path(), &self.resources)
            .ok_or_else(|| Refusal::not_found("the path"))?;
        let subresource = match target.subresource.as_deref() {
            None => Subresource::None,
            Some("status") => Subresource::Status,
            Some(_) => return Err(Refusal::not_found("the subresource")),
        };
        let method = request.method();
        let query = request.uri().query().unwrap_or_default();
        if *method == Method::GET {
            return match Self::key(&target) {
                Some(key) => self.read(&key).map(|object| answer(200, object)),
                None => self.list(&target, query),
            };
        }
        if *method == Method::POST && target.name.is_none() {
            let object = body(request)?;
            return self.create(&target, object).map(|object| answer(201, &object));
        }
        let key = Self::key(&target).ok_or_else(|| {
            Refusal::unsupported(405, "the server does not allow this method on a collection")
        })?;
        if *method == Method::PUT {
            let object = body(request)?;
            self.replace(&key, object, subresource).map(|object| answer(200, &object))
        } else if *method == Method::PATCH {
            let kind = request.headers().get(header::CONTENT_TYPE);
            if kind.is_none_or(|kind| kind != "application/merge-patch+json") {
                return Err(Refusal::unsupported(415, "only merge patches are simulated"));
            }
            let patch = body(request)?;
            self.patch(&key, patch, subresource).map(|object| answer(200, &object))
        } else if *method == Method::DELETE {
            let options = if request.body().is_empty() { Map::new() } else { body(request)? };
            self.delete(&key, &options).map(|object| answer(200, &object))
        } else {
            Err(Refusal::unsupported(405, "the server does not allow this method"))
        }
    }

    fn key(target: &Target) -> Option<Key> {
        let name = target.name.clone()?;
        Some((target.resource, target.namespace.clone(), name))
    }

    pub(crate) fn read(&self, key: &Key) -> Result<&Value, Refusal> {
        self.objects.get(key).ok_or_else(|| Refusal::not_found(&self.describe(key)))
    }

    pub(crate) fn describe(&self, key: &Key) -> String {
        let plural = self.resources.get(key.0).map_or("", |resource| resource.plural.as_str());
        format!("{plural} \"{}\"", key.2)
    }

    /// Puts an object there with a new version, and into the ledger.
    pub(crate) fn store(&mut self, verb: Verb, key: &Key, mut object: Value) -> Value {
        self.version += 1;
        set(&mut object, "resourceVersion", json!(self.version.to_string()));
        let before = self.objects.insert(key.clone(), object.clone());
        let event = if before.is_none() { "ADDED" } else { "MODIFIED" };
        self.watches.tell(self.version, key, event, &object);
        self.note(verb, key, before, Some(object.clone()));
        object
    }

    /// Takes an object away, for whoever watches too.
    pub(crate) fn take(&mut self, key: &Key) -> Option<Value> {
        let mut gone = self.objects.remove(key)?;
        self.version += 1;
        set(&mut gone, "resourceVersion", json!(self.version.to_string()));
        self.watches.tell(self.version, key, "DELETED", &gone);
        Some(gone)
    }

    pub(crate) fn note(
        &mut self,
        verb: Verb,
        key: &Key,
        before: Option<Value>,
        after: Option<Value>,
    ) {
        let resource = self.resources.get(key.0).map(|resource| resource.plural.clone());
        self.ledger.write(Write {
            at: self.now,
            verb,
            resource: resource.unwrap_or_default(),
            namespace: key.1.clone(),
            name: key.2.clone(),
            before,
            after,
            by_hand: self.by_hand,
        });
    }

    pub(crate) const fn current_version(&self) -> u64 {
        self.version
    }

    pub(crate) fn new_uid(&mut self) -> String {
        self.ids += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.ids)
    }
}

/// The body as a JSON object.
fn body(request: &Request<Bytes>) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_slice(request.body()) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) | Err(_) => Err(Refusal::bad_request("the body is not a JSON object")),
    }
}

/// A field of the metadata.
pub(crate) fn meta<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    object.get("metadata")?.get(field)
}

/// A text of the metadata.
pub(crate) fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    meta(object, field)?.as_str().filter(|text| !text.is_empty())
}

/// Sets a field of the metadata; null removes it.
pub(crate) fn set(object: &mut Value, field: &str, value: Value) {
    let Some(object) = object.as_object_mut() else {
        return;
    };
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    let Some(metadata) = metadata.as_object_mut() else {
        return;
    };
    if value.is_null() {
        metadata.remove(field);
    } else {
        metadata.insert(field.to_owned(), value);
    }
}

/// The finalizers of an object.
pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    let list = meta(object, "finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A point in time as Kubernetes writes it: whole seconds.
pub(crate) fn time(at: Timestamp) -> Value {
    json!(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
