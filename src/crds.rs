//! The command `crds`: printing the definitions of our kinds, and applying them server-side.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt as _};

use crate::api::{self, FIELD_MANAGER};

/// How long the API server may take to serve a kind.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(30);

/// All of them as YAML documents.
pub fn print() -> anyhow::Result<String> {
    let mut text = String::new();
    for crd in api::crds() {
        text.push_str(
            "---
",
        );
        text.push_str(&api::yaml(&crd)?);
    }
    Ok(text)
}

/// Applies them and waits until they are served. Gives their names.
pub async fn apply(client: Client) -> anyhow::Result<Vec<String>> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client);
    let mut names = Vec::new();
    for crd in api::crds() {
        let name = crd.name_any();
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        definitions
            .patch(&name, &parameters, &Patch::Apply(&crd))
            .await?;
        let established = await_condition(definitions.clone(), &name, is_crd_established());
        tokio::time::timeout(ESTABLISHED_WITHIN, established)
            .await
            .map_err(|_| {
                anyhow::anyhow!("{name} was applied, but is not served after 30 seconds")
            })??;
        names.push(name);
    }
    Ok(names)
}
