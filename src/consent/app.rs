//! The OAuth app's credentials, out of their Secret.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use secrecy::ExposeSecret as _;

use crate::kubernetes::{self, Error};
use crate::management::OAuthApp;
use crate::session::token_store::credential;

/// Why there is no app.
#[derive(Debug, thiserror::Error)]
pub enum NoApp {
    /// There is no such Secret.
    #[error(
        "the Secret {secret} of the OAuth app does not exist in the namespace {namespace}; create it with the keys \
         client_id and client_secret"
    )]
    Missing {
        /// Its name.
        secret: String,
        /// Where it should be.
        namespace: String,
    },
    /// A key is not there, or holds what cannot be a credential.
    #[error("the Secret {secret} has no usable key {key}; write it")]
    Key {
        /// Its name.
        secret: String,
        /// The key within the Secret that is missing or holds no credential.
        key: &'static str,
    },
    /// The API server refused, or did not answer.
    #[error("the Secret of the OAuth app cannot be read")]
    Kubernetes(#[from] Error),
}

/// Reads an app.
///
/// # Errors
/// What is missing, in words for whoever wrote the Secret.
pub async fn read(client: &Client, namespace: &str, secret: &str) -> Result<OAuthApp, NoApp> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let found = kubernetes::get(&secrets, secret).await?.ok_or_else(|| NoApp::Missing {
        secret: secret.to_owned(),
        namespace: namespace.to_owned(),
    })?;
    let key = |key: &'static str| {
        let bytes = found.data.as_ref().and_then(|data| data.get(key));
        bytes
            .and_then(|bytes| std::str::from_utf8(&bytes.0).ok())
            .and_then(credential)
            .ok_or_else(|| NoApp::Key { secret: secret.to_owned(), key })
    };
    Ok(OAuthApp {
        client_id: key("client_id")?.expose_secret().to_owned(),
        client_secret: key("client_secret")?,
    })
}
