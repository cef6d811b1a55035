//! Namespaces that are being deleted, and took the operator's rights with them: in scope namespaced the rights are Roles
//! of the very namespace, and nobody promises that they go after the objects.
//!
//! Apart from [`crate::kubernetes`], because what it knows is how the chart grants rights.

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use tracing::warn;

use crate::kubernetes::{self, Bare, Error, Lean as _, Refusal};

/// Whether a refusal means that nothing is left to see to: the namespace is being deleted with all that it holds. That
/// is known only where the operator may still read the namespace (`rbac.outliveNamespaces`); elsewhere it is said what
/// helps.
pub async fn took_rights(client: &Client, namespace: Option<&str>, error: &Error) -> bool {
    let (Error::Forbidden(Refusal::Rights), Some(namespace)) = (error, namespace) else {
        return false;
    };
    let api = Api::<Namespace>::all(client.clone());
    match kubernetes::see::<_, Bare>(&api, namespace).await {
        Ok(Some(found)) if found.meta().is_leaving() => {
            warn!(
                namespace,
                "the namespace is being deleted and took the operator's rights with it; its Secrets go with it"
            );
            true
        }
        Ok(_) => false,
        Err(_) => {
            warn!(
                namespace,
                "the operator's rights in the namespace are gone; if it is being deleted, its objects hang: what to do \
                 is told under 'Deleting a watched namespace' in the chart's README"
            );
            false
        }
    }
}
