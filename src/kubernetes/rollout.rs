//! Restarting workloads: an annotation of their Pod template changes, and their controller rolls them.
//!
//! May touch that one annotation of Deployments, `StatefulSets` and `DaemonSets`, and reads none of them.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::api::{Patch, PatchParams};
use kube::core::Request;
use kube::{Api, Client};
use serde_json::json;

use super::{Error, Stored, transport};
use crate::api::{FIELD_MANAGER, WorkloadKind};

/// Puts a value under an annotation of the Pod template. The same value again changes nothing.
pub async fn annotate_template(
    client: &Client,
    namespace: &str,
    (kind, name): (WorkloadKind, &str),
    (annotation, value): (&str, &str),
) -> Result<(), Error> {
    match kind {
        WorkloadKind::Deployment => {
            patch(Api::<Deployment>::namespaced(client.clone(), namespace), name, annotation, value)
                .await
        }
        WorkloadKind::StatefulSet => {
            patch(
                Api::<StatefulSet>::namespaced(client.clone(), namespace),
                name,
                annotation,
                value,
            )
            .await
        }
        WorkloadKind::DaemonSet => {
            patch(Api::<DaemonSet>::namespaced(client.clone(), namespace), name, annotation, value)
                .await
        }
    }
}

async fn patch<K: Stored>(
    api: Api<K>,
    name: &str,
    annotation: &str,
    value: &str,
) -> Result<(), Error> {
    let template = json!({"metadata": {"annotations": {annotation: value}}});
    let patch = Patch::Merge(json!({"spec": {"template": template}}));
    let by_us =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let request = Request::new(api.resource_url()).patch(name, &by_us, &patch);
    // The answer holds the whole workload, which is nobody's business here.
    transport::one(api.into_client(), transport::built(request)?).await.map(drop)
}
