//! The command `crds`: printing the definitions of our kinds, and applying them server-side.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt as _};

use crate::api::{self, FIELD_MANAGER};

/// The minor version of Kubernetes 1 whose definitions may name selectable fields.
const SELECTABLE_FIELDS: u32 = 30;

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

/// `31`, or `31+` as some providers write it; nothing where it cannot be read.
fn minor(text: &str) -> Option<u32> {
    text.trim_end_matches('+').parse().ok()
}

/// Without what servers of this minor version refuse: they know no selectable fields before Kubernetes 1.30.
fn for_server(mut crd: CustomResourceDefinition, minor: Option<u32>) -> CustomResourceDefinition {
    if minor.is_some_and(|minor| minor < SELECTABLE_FIELDS) {
        for version in &mut crd.spec.versions {
            version.selectable_fields = None;
        }
    }
    crd
}

/// Applies them and waits until they are served. Gives their names.
pub async fn apply(client: Client) -> anyhow::Result<Vec<String>> {
    let minor = minor(&client.apiserver_version().await?.minor);
    let definitions: Api<CustomResourceDefinition> = Api::all(client);
    let mut names = Vec::new();
    for crd in api::crds() {
        let crd = for_server(crd, minor);
        let name = crd.name_any();
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        definitions.patch(&name, &parameters, &Patch::Apply(&crd)).await?;
        let established = await_condition(definitions.clone(), &name, is_crd_established());
        tokio::time::timeout(ESTABLISHED_WITHIN, established).await.map_err(|_| {
            anyhow::anyhow!("{name} was applied, but is not served after 30 seconds")
        })??;
        names.push(name);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_servers_get_no_field_that_they_do_not_know() {
        for (version, selectable) in
            [("29", false), ("29+", false), ("30", true), ("35+", true), ("", true)]
        {
            let crds = api::crds().into_iter();
            let sent = crds.map(|crd| for_server(crd, minor(version)));
            let named = sent.filter(|crd| {
                let versions = crd.spec.versions.iter();
                versions.clone().any(|version| version.selectable_fields.is_some())
            });
            assert_eq!(named.count() > 0, selectable, "{version}");
        }
    }
}
