//! The few writes that the operator makes.
//!
//! Every write but the first of an object and the request for a look is conditional on the `resourceVersion` that was
//! read. Answers are read lean: the caller knows what it wrote, and needs the new version only. The answer to [`hold`]
//! alone is read whole, in place of a read. An answer that cannot be read is settled by a look, never by a second write:
//! the write was accepted.

use bytes::Bytes;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Request;
use kube::{Api, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::decode::{self, Read};
use super::lean::{Bare, Lean as _, Meta};
use super::{Error, Stored, reading, transport};
use crate::api::{FIELD_MANAGER, FINALIZER, annotations};

/// What a write has left: the metadata of the object as it is stored now.
pub type Written = Meta;

fn by_us() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn patched_by_us() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

fn json<T: Serialize>(object: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(object).map_err(|_| Error::Invalid)
}

/// Sends an accepted write's answer through the lean reader; looks where that fails.
async fn send<K: Stored>(
    api: &Api<K>,
    name: &str,
    request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
) -> Result<Written, Error> {
    let body = transport::one(api.clone().into_client(), transport::built(request)?).await?;
    if let Ok(bare) = serde_json::from_slice::<Bare>(&body)
        && !bare.meta().version().is_empty()
    {
        return Ok(bare.meta().clone());
    }
    let there = reading::see::<K, Bare>(api, name).await?;
    there.map(|bare| bare.meta().clone()).ok_or(Error::NotFound)
}

/// Creates an object that must not be there yet.
pub async fn create<K: Stored>(api: &Api<K>, object: &K) -> Result<Written, Error> {
    let request = Request::new(api.resource_url()).create(&by_us(), json(object)?);
    send(api, &object.name_any(), request).await
}

/// Asks a question that is asked by creating an object which is not stored, such as a review of rights.
pub async fn answered<K: Stored, A: DeserializeOwned>(
    api: &Api<K>,
    question: &K,
) -> Result<A, Error> {
    let request = Request::new(api.resource_url()).create(&by_us(), json(question)?);
    let body = transport::one(api.clone().into_client(), transport::built(request)?).await?;
    serde_json::from_slice(&body).map_err(|_| Error::broken())
}

/// Replaces an object as it was read: refused with [`Error::Conflict`] if it changed since.
pub async fn replace<K: Stored>(api: &Api<K>, object: &K) -> Result<Written, Error> {
    let name = object.name_any();
    let request = Request::new(api.resource_url()).replace(&name, &by_us(), json(object)?);
    send(api, &name, request).await
}

/// Deletes the very object that was read, not a later one of its name. Not there any more is done.
pub async fn delete<K: Stored>(api: &Api<K>, object: &K) -> Result<(), Error> {
    let preconditions = Preconditions {
        uid: object.meta().uid.clone(),
        resource_version: object.meta().resource_version.clone(),
    };
    let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    let request = Request::new(api.resource_url()).delete(&object.name_any(), &parameters);
    match transport::one(api.clone().into_client(), transport::built(request)?).await {
        Ok(_) | Err(Error::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Asks the leading operator for a look at one of our objects, by an annotation with a new value.
pub async fn request_reconcile<K: Stored>(
    api: &Api<K>,
    name: &str,
    value: &str,
) -> Result<(), Error> {
    let patch = json!({"metadata": {"annotations": {annotations::RECONCILE_REQUESTED_AT: value}}});
    let request =
        Request::new(api.resource_url()).patch(name, &patched_by_us(), &Patch::Merge(patch));
    send(api, name, request).await.map(drop)
}

/// Replaces the finalizers of an object as it was read.
pub async fn set_finalizers<K: Stored>(
    api: &Api<K>,
    object: &K,
    finalizers: &[String],
) -> Result<Written, Error> {
    let meta = object.meta();
    let (uid, version) = (meta.uid.as_deref(), meta.resource_version.as_deref());
    let patch = of_finalizers(uid, version, finalizers.iter().map(String::as_str));
    let name = object.name_any();
    let request =
        Request::new(api.resource_url()).patch(&name, &patched_by_us(), &Patch::Merge(patch));
    send(api, &name, request).await
}

/// Puts our finalizer on an object that was seen without any, and reads it with the answer.
pub async fn hold<K: Stored>(api: &Api<K>, seen: &Meta) -> Result<Read<K>, Error> {
    let body = as_seen(api, seen, std::iter::once(FINALIZER)).await?;
    decode::object(&body).ok_or_else(Error::broken)
}

/// Takes our finalizer from an object that cannot be read whole.
pub async fn release<K: Stored>(api: &Api<K>, seen: &Meta) -> Result<(), Error> {
    let others = seen.finalizers().filter(|finalizer| *finalizer != FINALIZER);
    // The object may be gone with its last finalizer: the answer says nothing more.
    match as_seen(api, seen, others).await {
        Ok(_) | Err(Error::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Replaces the finalizers of an object as it was seen.
async fn as_seen<'a, K: Stored>(
    api: &Api<K>,
    seen: &'a Meta,
    finalizers: impl Iterator<Item = &'a str>,
) -> Result<Bytes, Error> {
    let patch = of_finalizers(Some(seen.uid()), Some(seen.version()), finalizers);
    let request = Request::new(api.resource_url()).patch(
        seen.key().name(),
        &patched_by_us(),
        &Patch::Merge(patch),
    );
    transport::one(api.clone().into_client(), transport::built(request)?).await
}

/// The patch is refused where the object is another one, or was written since.
fn of_finalizers<'a>(
    uid: Option<&str>,
    version: Option<&str>,
    finalizers: impl Iterator<Item = &'a str>,
) -> serde_json::Value {
    let finalizers: Vec<&str> = finalizers.collect();
    json!({"metadata": {"finalizers": finalizers, "uid": uid, "resourceVersion": version}})
}

/// Writes a status over the version that was read, as a merge patch of what `new` has otherwise than `old`.
pub async fn write_status<K: Stored, S: Serialize>(
    api: &Api<K>,
    name: &str,
    version: &str,
    old: Option<&S>,
    new: &S,
) -> Result<Written, Error> {
    let mut status = serde_json::to_value(new).map_err(|_| Error::Invalid)?;
    if let Some(old) = old {
        let old = serde_json::to_value(old).map_err(|_| Error::Invalid)?;
        keep_what_changed(&old, &mut status);
    }
    let patch = json!({"metadata": {"resourceVersion": version}, "status": status});
    let request = Request::new(api.resource_url()).patch_subresource(
        "status",
        name,
        &patched_by_us(),
        &Patch::Merge(&patch),
    );
    send(api, name, request).await
}

/// A merge patch keeps what it does not name: what is the same is left out, and fields that are gone are named as null.
fn keep_what_changed(old: &serde_json::Value, new: &mut serde_json::Value) {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object_mut()) else {
        return;
    };
    for (key, value) in old {
        match new.get_mut(key) {
            Some(kept) if kept == value => {
                new.remove(key);
            }
            Some(kept) => keep_what_changed(value, kept),
            None => {
                new.insert(key.clone(), serde_json::Value::Null);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_names_what_changed_and_what_is_gone() {
        let old = json!({"a": 1, "b": {"c": 2, "d": 3, "e": 4}, "f": [1], "g": [2], "h": "i"});
        let mut new = json!({"b": {"c": 5, "e": 4}, "f": [], "g": [2], "h": "i", "j": 6});
        keep_what_changed(&old, &mut new);
        assert_eq!(new, json!({"a": null, "b": {"c": 5, "d": null}, "f": [], "j": 6}));
    }
}
