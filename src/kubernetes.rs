//! The API server: a client with deadlines, and the few writes that the operator makes.
//!
//! Every write but the first of an object is conditional on the `resourceVersion` that was read; errors say what
//! the caller must do. Kept apart so that no other room matches on status codes of Kubernetes.

use std::fmt::Debug;
use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, Config, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::api::{FIELD_MANAGER, annotations};

/// How long the API server may take to begin an answer. Watches begin theirs at once and may then be silent.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Why a call to the API server did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object changed since it was read: look again.
    #[error("the object changed meanwhile")]
    Conflict,
    /// An object of that name is there already.
    #[error("an object of that name exists already")]
    Exists,
    /// The object is not there (any more).
    #[error("the object is not there")]
    NotFound,
    /// The namespace is being deleted and takes nothing new.
    #[error("the namespace is being deleted")]
    Terminating,
    /// The operator lacks a right, or an admission policy or quota refused.
    #[error("the API server refused: {0}")]
    Forbidden(Refusal),
    /// The API server takes the object for invalid. Its message is left out: it may quote values.
    #[error("the API server takes the object for invalid")]
    Invalid,
    /// No answer, or one that means "later".
    #[error("the API server cannot be reached or is overloaded")]
    Unavailable(#[source] Box<kube::Error>),
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        let kube::Error::Api(status) = &error else {
            return Self::Unavailable(Box::new(error));
        };
        let terminating = status.details.as_ref().is_some_and(|details| {
            details
                .causes
                .iter()
                .any(|cause| cause.reason == "NamespaceTerminating")
        });
        if status.is_conflict() {
            Self::Conflict
        } else if status.is_already_exists() {
            Self::Exists
        } else if status.is_not_found() {
            Self::NotFound
        } else if terminating {
            Self::Terminating
        } else if status.is_forbidden() {
            Self::Forbidden(Refusal::of(&status.message))
        } else if status.is_invalid() || status.code == 400 {
            Self::Invalid
        } else {
            Self::Unavailable(Box::new(error))
        }
    }
}

/// Who refused. The API server's own words are left out: a webhook may quote the object in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A quota of the namespace.
    Quota,
    /// An admission webhook or policy, by name where it is known.
    Admission(Option<String>),
    /// The authorizer, or nobody that we know.
    Rights,
}

impl Refusal {
    fn of(message: &str) -> Self {
        if message.contains("exceeded quota") {
            return Self::Quota;
        }
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
        let named = |after: &str, quote: char| {
            let rest = message.split(after).nth(1)?;
            let name = rest.trim_start_matches(quote).split(quote).next()?;
            let sound = !name.is_empty() && name.len() <= 253 && name.chars().all(is_name);
            sound.then(|| name.to_owned())
        };
        if message.starts_with("admission webhook ") {
            Self::Admission(named("admission webhook ", '"'))
        } else if message.contains("ValidatingAdmissionPolicy ") {
            Self::Admission(named("ValidatingAdmissionPolicy ", '\''))
        } else {
            Self::Rights
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Quota => formatter.write_str("a quota of the namespace is used up"),
            Self::Admission(Some(name)) => {
                write!(formatter, "the admission policy {name} does not allow it")
            }
            Self::Admission(None) => formatter.write_str("an admission policy does not allow it"),
            Self::Rights => formatter
                .write_str("the operator lacks the right; compare its roles with the chart's"),
        }
    }
}

/// What every stored type that we touch can do.
pub trait Stored:
    Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<K> Stored for K where
    K: Resource<DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// A client whose calls end: the default one waits for ever.
pub fn client(config: Config) -> Result<Client, kube::Error> {
    let layer = tower::timeout::TimeoutLayer::new(ANSWER_WITHIN);
    Ok(kube::client::ClientBuilder::try_from(config)?
        .with_layer(&layer)
        .build())
}

/// Reads an object, past every cache. What cannot be a name names nothing: it must not get into a path.
pub async fn get<K: Stored>(api: &Api<K>, name: &str) -> Result<Option<K>, Error> {
    let is_part = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-.".contains(letter)
    };
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_part) {
        return Ok(None);
    }
    Ok(api.get_opt(name).await?)
}

/// Creates an object that must not be there yet.
pub async fn create<K: Stored>(api: &Api<K>, object: &K) -> Result<K, Error> {
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    Ok(api.create(&parameters, object).await?)
}

/// Replaces an object as it was read: refused with [`Error::Conflict`] if it changed since.
pub async fn replace<K: Stored>(api: &Api<K>, object: &K) -> Result<K, Error> {
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    Ok(api.replace(&object.name_any(), &parameters, object).await?)
}

/// Deletes the very object that was read, not a later one of its name. Not there any more is done.
pub async fn delete<K: Stored>(api: &Api<K>, object: &K) -> Result<(), Error> {
    let preconditions = Preconditions {
        uid: object.meta().uid.clone(),
        resource_version: object.meta().resource_version.clone(),
    };
    let parameters = DeleteParams {
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    };
    match api
        .delete(&object.name_any(), &parameters)
        .await
        .map_err(Error::from)
    {
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
    let how = PatchParams::apply(FIELD_MANAGER);
    api.patch(name, &how, &Patch::Merge(patch)).await?;
    Ok(())
}

/// Replaces the finalizers of an object as it was read.
pub async fn set_finalizers<K: Stored>(
    api: &Api<K>,
    object: &K,
    finalizers: &[String],
) -> Result<K, Error> {
    let patch = json!({"metadata": {
        "finalizers": finalizers,
        "uid": object.meta().uid,
        "resourceVersion": object.meta().resource_version,
    }});
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    Ok(api
        .patch(&object.name_any(), &parameters, &Patch::Merge(&patch))
        .await?)
}

/// Writes a status over the version that was read, as a merge patch that also removes what `old` has and `new` has
/// not.
pub async fn write_status<K: Stored, S: Serialize>(
    api: &Api<K>,
    name: &str,
    version: &str,
    old: Option<&S>,
    new: &S,
) -> Result<K, Error> {
    let mut status = serde_json::to_value(new).map_err(|_| Error::Invalid)?;
    if let Some(old) = old {
        let old = serde_json::to_value(old).map_err(|_| Error::Invalid)?;
        null_what_is_gone(&old, &mut status);
    }
    let patch = json!({"metadata": {"resourceVersion": version}, "status": status});
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    Ok(api
        .patch_status(name, &parameters, &Patch::Merge(&patch))
        .await?)
}

/// A merge patch keeps what it does not name: fields that are gone are named as null.
fn null_what_is_gone(old: &serde_json::Value, new: &mut serde_json::Value) {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object_mut()) else {
        return;
    };
    for (key, value) in old {
        match new.get_mut(key) {
            Some(kept) => null_what_is_gone(value, kept),
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
    fn a_refusal_is_named_without_the_words_of_the_server() {
        let webhook =
            "admission webhook \"policy.example.com\" denied the request: password hunter2";
        for (message, refusal) in [
            (
                "pods \"x\" is forbidden: exceeded quota: q, requested: 1",
                Refusal::Quota,
            ),
            (
                webhook,
                Refusal::Admission(Some("policy.example.com".into())),
            ),
            ("admission webhook \"a b\" denied", Refusal::Admission(None)),
            (
                "secrets \"x\" is forbidden: ValidatingAdmissionPolicy 'no-secrets' with binding 'b' denied",
                Refusal::Admission(Some("no-secrets".into())),
            ),
            (
                "secrets \"x\" is forbidden: User \"y\" cannot get resource",
                Refusal::Rights,
            ),
        ] {
            assert_eq!(Refusal::of(message), refusal, "{message}");
        }
        assert!(!Refusal::of(webhook).to_string().contains("hunter2"));
    }

    #[test]
    fn fields_that_are_gone_are_named_in_the_patch() {
        let old = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": [1]});
        let mut new = json!({"b": {"c": 4}, "e": []});
        null_what_is_gone(&old, &mut new);
        assert_eq!(new, json!({"a": null, "b": {"c": 4, "d": null}, "e": []}));
    }
}
