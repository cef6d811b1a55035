//! Deletion: finalizers, namespaces with all that is in them, and owners that leave.

use serde_json::{Map, Value, json};

use crate::ledger::Verb;
use crate::server::{ApiServer, Key, finalizers, meta, set, text, time};
use crate::status::{Refusal, success};

impl ApiServer {
    pub(crate) fn delete(
        &mut self,
        key: &Key,
        options: &Map<String, Value>,
    ) -> Result<Value, Refusal> {
        let stored = self.read(key)?.clone();
        for field in ["uid", "resourceVersion"] {
            let wanted = options.get("preconditions").and_then(|given| given.get(field));
            if wanted.is_some_and(|value| !value.is_null() && Some(value) != meta(&stored, field)) {
                let why = format!("the {field} in the precondition is another one");
                return Err(Refusal::conflict(&self.describe(key), &why));
            }
        }
        if self.resources.get(key.0).is_some_and(|resource| resource.kind == "Namespace") {
            return Ok(self.terminate(key, stored));
        }
        if finalizers(&stored).is_empty() {
            self.remove(key);
            return Ok(success());
        }
        if text(&stored, "deletionTimestamp").is_some() {
            return Ok(stored);
        }
        Ok(self.mark(key, stored))
    }

    fn mark(&mut self, key: &Key, mut object: Value) -> Value {
        set(&mut object, "deletionTimestamp", time(self.now));
        if let Some(generation) = meta(&object, "generation").and_then(Value::as_i64) {
            set(&mut object, "generation", json!(generation + 1));
        }
        self.store(Verb::Delete, key, object)
    }

    /// Deletes a namespace with its content; it goes when the last object has gone.
    fn terminate(&mut self, key: &Key, mut namespace: Value) -> Value {
        if text(&namespace, "deletionTimestamp").is_none() {
            if let Some(object) = namespace.as_object_mut() {
                object.insert("status".to_owned(), json!({"phase": "Terminating"}));
            }
            namespace = self.mark(key, namespace);
        }
        let content: Vec<Key> = self
            .objects
            .keys()
            .filter(|(_, place, _)| place.as_deref() == Some(key.2.as_str()))
            .cloned()
            .collect();
        for inside in content {
            // What an owner took with it is gone already.
            let _ = self.delete(&inside, &Map::new());
        }
        self.close(&key.2);
        namespace
    }

    /// Lets a namespace go that is being deleted and empty.
    fn close(&mut self, name: &str) {
        let index = self.resources.iter().position(|resource| resource.kind == "Namespace");
        let key: Key = (index.unwrap_or_default(), None, name.to_owned());
        let leaving = self
            .objects
            .get(&key)
            .is_some_and(|namespace| text(namespace, "deletionTimestamp").is_some());
        let empty = !self.objects.keys().any(|(_, place, _)| place.as_deref() == Some(name));
        if leaving && empty {
            let before = self.take(&key);
            self.note(Verb::Remove, &key, before, None);
        }
    }

    /// Takes an object away, and with it whatever only it owned.
    pub(crate) fn remove(&mut self, key: &Key) {
        let Some(gone) = self.take(key) else {
            return;
        };
        let uid = text(&gone, "uid").unwrap_or_default().to_owned();
        self.note(Verb::Remove, key, Some(gone), None);
        let owned: Vec<Key> = self
            .objects
            .iter()
            .filter(|(_, object)| owners(object).any(|owner| owner == uid))
            .filter(|(_, object)| owners(object).all(|owner| !self.lives(owner)))
            .map(|(key, _)| key.clone())
            .collect();
        for inside in owned {
            let _ = self.delete(&inside, &Map::new());
        }
        if let Some(namespace) = &key.1 {
            self.close(namespace);
        }
    }

    fn lives(&self, uid: &str) -> bool {
        self.objects.values().any(|object| text(object, "uid") == Some(uid))
    }
}

fn owners(object: &Value) -> impl Iterator<Item = &str> {
    let list = meta(object, "ownerReferences").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|owner| owner.get("uid")?.as_str())
}
