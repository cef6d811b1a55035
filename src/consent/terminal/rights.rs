//! What the person may do in the cluster: asked before the browser opens, since a code that cannot be stored is lost.

use anyhow::bail;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;

use super::Terminal;
use crate::api::connection::Connection;
use crate::api::project::ConnectionKind;
use crate::kubernetes::{self, Error, Refusal};

/// What is done with the grants Secret.
const VERBS: [&str; 3] = ["get", "create", "update"];

impl Terminal<'_> {
    /// Whether the person may ask for a reconcile of the connection. Where that cannot be asked, the flow goes on.
    pub(super) async fn may_ask<C: Connection>(&self) -> anyhow::Result<()> {
        let namespaced = <C as Connection>::KIND == ConnectionKind::SupabaseConnection;
        let plural = C::plural(&()).into_owned();
        let attributes = ResourceAttributes {
            group: Some(C::group(&()).into_owned()),
            namespace: namespaced.then(|| self.namespace.to_owned()),
            verb: Some("patch".to_owned()),
            resource: Some(plural.clone()),
            name: Some(self.name.to_owned()),
            ..ResourceAttributes::default()
        };
        if self.is_refused(attributes).await {
            bail!(
                "your user may not patch {plural}, with which the operator is asked to look for new tokens of {}; ask for that \
                 right",
                self.name
            );
        }
        Ok(())
    }

    async fn is_refused(&self, attributes: ResourceAttributes) -> bool {
        let api: Api<SelfSubjectAccessReview> = Api::all(self.environment.client.clone());
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let answer = kubernetes::answered::<_, SelfSubjectAccessReview>(&api, &review).await;
        answer.is_ok_and(|review| review.status.is_some_and(|status| !status.allowed))
    }

    /// Whether the person may store what the browser brings back. Where that cannot be asked, the flow goes on.
    pub(super) async fn may_store(&self, secret: &str) -> anyhow::Result<()> {
        for verb in VERBS {
            let attributes = ResourceAttributes {
                namespace: Some(self.namespace.to_owned()),
                verb: Some(verb.to_owned()),
                resource: Some("secrets".to_owned()),
                // RBAC knows no name of what is yet to be made.
                name: (verb != "create").then(|| secret.to_owned()),
                ..ResourceAttributes::default()
            };
            if self.is_refused(attributes).await {
                bail!(
                    "your user may not {verb} the Secret {secret} in the namespace {}, through which the tokens reach the \
                     operator; ask for that right",
                    self.namespace
                );
            }
        }
        Ok(())
    }
}

/// An error of the API server; a missing right is named.
pub(super) fn told(error: Error, verb: &str, resource: &str, namespace: &str) -> anyhow::Error {
    if matches!(error, Error::Forbidden(Refusal::Rights)) {
        anyhow::anyhow!(
            "your user may not {verb} {resource} in the namespace {namespace}; ask for that right"
        )
    } else {
        anyhow::Error::new(error).context(format!("asking the API server to {verb} {resource}"))
    }
}
