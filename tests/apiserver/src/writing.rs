//! Create, replace and merge patch.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::ledger::Verb;
use crate::path::Target;
use crate::server::{ApiServer, Key, finalizers, meta, set, text, time};
use crate::status::Refusal;

/// The limit of Secrets.
const LARGEST_SECRET: usize = 1 << 20;
/// The limit of etcd.
const LARGEST: usize = 3 << 19;

/// Which part of an object a write is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subresource {
    None,
    Status,
}

impl ApiServer {
    pub(crate) fn create(
        &mut self,
        target: &Target,
        object: Map<String, Value>,
    ) -> Result<Value, Refusal> {
        let resource = self
            .resources
            .get(target.resource)
            .cloned()
            .ok_or_else(|| Refusal::not_found("the resource"))?;
        let mut object = Value::Object(object);
        let name = text(&object, "name")
            .ok_or_else(|| Refusal::invalid("the object", "metadata.name: Required value"))?
            .to_owned();
        let key: Key = (target.resource, target.namespace.clone(), name);
        let what = self.describe(&key);
        if text(&object, "namespace").is_some_and(|named| Some(named) != key.1.as_deref()) {
            return Err(Refusal::bad_request("the namespace does not match the path"));
        }
        if text(&object, "resourceVersion").is_some() {
            return Err(Refusal::bad_request("resourceVersion should not be set on creation"));
        }
        if let Some(namespace) = key.1.as_deref() {
            self.open_namespace(namespace, &what)?;
        }
        if self.objects.contains_key(&key) {
            return Err(Refusal::already_exists(&what));
        }
        if let Some(fields) = object.as_object_mut() {
            fields.insert("apiVersion".to_owned(), json!(resource.api_version()));
            fields.insert("kind".to_owned(), json!(resource.kind));
            if resource.has_status {
                fields.remove("status");
            }
        }
        default(&mut object, &resource.defaults);
        set(&mut object, "uid", json!(self.new_uid()));
        set(&mut object, "creationTimestamp", time(self.now));
        set(&mut object, "deletionTimestamp", Value::Null);
        if let Some(namespace) = &key.1 {
            set(&mut object, "namespace", json!(namespace));
        }
        if resource.has_status {
            set(&mut object, "generation", json!(1));
        }
        secret_data(&mut object);
        check(&object, &what)?;
        Ok(self.store(Verb::Create, &key, object))
    }

    /// Refuses new content where there is no namespace, or one that is being deleted.
    fn open_namespace(&self, namespace: &str, what: &str) -> Result<(), Refusal> {
        let index = self.resources.iter().position(|resource| resource.kind == "Namespace");
        let key = (index.unwrap_or_default(), None, namespace.to_owned());
        let found = self
            .objects
            .get(&key)
            .ok_or_else(|| Refusal::not_found(&format!("namespaces \"{namespace}\"")))?;
        match text(found, "deletionTimestamp") {
            Some(_) => Err(Refusal::terminating(what, namespace)),
            None => Ok(()),
        }
    }

    pub(crate) fn replace(
        &mut self,
        key: &Key,
        object: Map<String, Value>,
        subresource: Subresource,
    ) -> Result<Value, Refusal> {
        let object = Value::Object(object);
        self.check_preconditions(key, &object)?;
        let custom = self.resources.get(key.0).is_some_and(|resource| resource.has_status);
        if custom && text(&object, "resourceVersion").is_none() {
            let why = "metadata.resourceVersion: must be specified for an update";
            return Err(Refusal::invalid(&self.describe(key), why));
        }
        self.update(key, object, subresource)
    }

    pub(crate) fn patch(
        &mut self,
        key: &Key,
        patch: Map<String, Value>,
        subresource: Subresource,
    ) -> Result<Value, Refusal> {
        let patch = Value::Object(patch);
        self.check_preconditions(key, &patch)?;
        let mut object = self.read(key)?.clone();
        merge(&mut object, &patch);
        self.update(key, object, subresource)
    }

    fn check_preconditions(&self, key: &Key, wanted: &Value) -> Result<(), Refusal> {
        let stored = self.read(key)?;
        for (field, why) in [
            ("uid", "the UID in the precondition is another one"),
            (
                "resourceVersion",
                "the object has been modified; please apply your changes to the latest version",
            ),
        ] {
            if text(wanted, field).is_some_and(|value| Some(value) != text(stored, field)) {
                return Err(Refusal::conflict(&self.describe(key), why));
            }
        }
        Ok(())
    }

    fn update(
        &mut self,
        key: &Key,
        mut object: Value,
        subresource: Subresource,
    ) -> Result<Value, Refusal> {
        let stored = self.read(key)?.clone();
        let what = self.describe(key);
        let custom = self.resources.get(key.0).is_some_and(|resource| resource.has_status);
        match subresource {
            Subresource::Status if !custom => return Err(Refusal::not_found("the subresource")),
            Subresource::Status => {
                let status = object.get("status").cloned().unwrap_or(Value::Null);
                object = stored.clone();
                place(&mut object, "status", status);
            }
            Subresource::None if custom => {
                let status = stored.get("status").cloned().unwrap_or(Value::Null);
                place(&mut object, "status", status);
            }
            Subresource::None => {}
        }
        for field in ["apiVersion", "kind"] {
            place(&mut object, field, stored.get(field).cloned().unwrap_or(Value::Null));
        }
        for field in [
            "name",
            "namespace",
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "resourceVersion",
        ] {
            set(&mut object, field, meta(&stored, field).cloned().unwrap_or(Value::Null));
        }
        secret_data(&mut object);
        check(&object, &what)?;
        let leaving = text(&stored, "deletionTimestamp").is_some();
        let known = finalizers(&stored);
        if leaving && finalizers(&object).iter().any(|finalizer| !known.contains(finalizer)) {
            let why = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted";
            return Err(Refusal::invalid(&what, why));
        }
        if stored.get("immutable") == Some(&json!(true)) && data(&object) != data(&stored) {
            return Err(Refusal::invalid(
                &what,
                "data: Forbidden: field is immutable when `immutable` is set",
            ));
        }
        if object == stored {
            return Ok(stored);
        }
        if custom && subresource == Subresource::None && spec(&object) != spec(&stored) {
            let generation = meta(&stored, "generation").and_then(Value::as_i64).unwrap_or(0);
            set(&mut object, "generation", json!(generation + 1));
        }
        let verb = match subresource {
            Subresource::Status => Verb::UpdateStatus,
            Subresource::None => Verb::Update,
        };
        let stored = self.store(verb, key, object);
        if leaving && finalizers(&stored).is_empty() {
            self.remove(key);
        }
        Ok(stored)
    }
}

/// All but metadata and status.
fn spec(object: &Value) -> Map<String, Value> {
    let mut rest = object.as_object().cloned().unwrap_or_default();
    rest.remove("metadata");
    rest.remove("status");
    rest
}

fn data(object: &Value) -> (Option<&Value>, Option<&Value>) {
    (object.get("data"), object.get("binaryData"))
}

fn place(object: &mut Value, field: &str, value: Value) {
    let Some(object) = object.as_object_mut() else {
        return;
    };
    if value.is_null() {
        object.remove(field);
    } else {
        object.insert(field.to_owned(), value);
    }
}

/// Writes `stringData` of a Secret into its `data`.
fn secret_data(object: &mut Value) {
    if object.get("kind") != Some(&json!("Secret")) {
        return;
    }
    let Some(object) = object.as_object_mut() else {
        return;
    };
    let Some(Value::Object(clear)) = object.remove("stringData") else {
        return;
    };
    let data = object.entry("data").or_insert_with(|| json!({}));
    let Some(data) = data.as_object_mut() else {
        return;
    };
    for (key, value) in clear {
        data.insert(key, json!(STANDARD.encode(value.as_str().unwrap_or_default())));
    }
}

/// The few rules that every object must meet.
fn check(object: &Value, what: &str) -> Result<(), Refusal> {
    let size = serde_json::to_vec(&object).map_or(0, |bytes| bytes.len());
    if object.get("data").is_some() && size > LARGEST_SECRET {
        return Err(Refusal::invalid(what, "it is too long"));
    }
    if size > LARGEST {
        return Err(Refusal::too_large());
    }
    for field in ["labels", "annotations"] {
        let texts = match meta(object, field) {
            None | Some(Value::Null) => true,
            Some(Value::Object(pairs)) => pairs.values().all(Value::is_string),
            Some(_) => false,
        };
        if !texts {
            return Err(Refusal::bad_request("labels and annotations are texts"));
        }
    }
    if object.get("kind") == Some(&json!("Secret")) {
        let pairs = object.get("data").and_then(Value::as_object);
        let encoded =
            |value: &Value| value.as_str().is_some_and(|text| STANDARD.decode(text).is_ok());
        if !pairs.into_iter().flat_map(Map::values).all(encoded) {
            return Err(Refusal::bad_request("illegal base64 data"));
        }
    }
    Ok(())
}

/// RFC 7396.
pub(crate) fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        value.clone_from(patch);
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    let Some(object) = value.as_object_mut() else {
        return;
    };
    for (field, change) in changes {
        if change.is_null() {
            object.remove(field);
        } else {
            merge(object.entry(field.clone()).or_insert(Value::Null), change);
        }
    }
}

/// Puts in what is not there.
fn default(value: &mut Value, defaults: &Value) {
    let Value::Object(defaults) = defaults else {
        return;
    };
    let Some(object) = value.as_object_mut() else {
        return;
    };
    for (field, absent) in defaults {
        match object.get_mut(field) {
            Some(present) => default(present, absent),
            None => {
                object.insert(field.clone(), absent.clone());
            }
        }
    }
}
