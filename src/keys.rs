//! The operator's own key, in a Secret that it makes in its own namespace, and what such Secrets look like.
//!
//! Digests in statuses and in state Secrets hang on it: it is made once, and the operator does not replace it. Its name hangs on nothing
//! that an installation can choose, so that a chart that is installed anew, under whatever name, finds it again.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, Client};

use crate::api::{FIELD_MANAGER, labels};
use crate::kubernetes::{self, Error};
use crate::rules::digest::DigestKey;
use crate::rules::random::Random;

/// The Secret's name.
pub const NAME: &str = "supabase-operator-keys";
/// Key of the digest key within the Secret.
const DIGEST: &str = "digest";
/// Between two tries.
const RETRY: Duration = Duration::from_secs(2);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The Secret is there and holds no key.
    #[error(
        "the Secret {0} holds no usable key; restore it from a backup; if there is none, keep a copy and make room \
         for a new one (passwords are then taken as they lie in their Secrets, and outputs are compared anew)"
    )]
    Unusable(String),
    /// The API server refuses for good.
    #[error("the Secret {0} with the operator's keys cannot be read or made")]
    Refused(String, #[source] Error),
}

/// Reads the key, or makes it. Tries until the API server answers.
pub async fn digest_key(
    client: &Client,
    namespace: &str,
    random: &dyn Random,
) -> Result<DigestKey, KeyError> {
    let name = NAME;
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    loop {
        match kubernetes::get(&api, name).await {
            Ok(Some(secret)) => {
                let bytes = secret.data.as_ref().and_then(|data| data.get(DIGEST));
                let key = bytes.and_then(|bytes| DigestKey::from_bytes(&bytes.0));
                return key.ok_or_else(|| KeyError::Unusable(name.to_owned()));
            }
            Ok(None) => {
                let key = DigestKey::generate(random);
                let bytes = ByteString(key.as_bytes().to_vec());
                let data = BTreeMap::from([(DIGEST.to_owned(), bytes)]);
                match kubernetes::create(&api, &secret(namespace, name, data)).await {
                    Ok(_) => return Ok(key),
                    // Another process was faster: its key counts.
                    Err(Error::Exists | Error::Unavailable(_)) => {}
                    Err(error) => return Err(KeyError::Refused(name.to_owned(), error)),
                }
            }
            Err(Error::Unavailable(error)) => {
                tracing::warn!(
                    error = &*error as &dyn std::error::Error,
                    "the operator's keys cannot be read yet"
                );
            }
            Err(error) => return Err(KeyError::Refused(name.to_owned(), error)),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// A Secret of the operator's own keys, in its own namespace.
pub fn secret(namespace: &str, name: &str, data: BTreeMap<String, ByteString>) -> Secret {
    let marks = [
        (labels::MANAGED_BY, FIELD_MANAGER),
        (labels::PART_OF, "supabase"),
        (labels::ROLE, labels::ROLE_KEYS),
    ];
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(marks.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}
