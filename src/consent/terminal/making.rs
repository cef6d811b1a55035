//! Making what is missing, if the person wants it; and talking to people.

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::Terminal;
use crate::api::SupabaseConnection;
use crate::kubernetes;
use crate::management::OrganizationSlug;
use crate::session::custody::credential;

/// The Secret that a new connection names for its app.
const APP: &str = "supabase-oauth-app";

impl Terminal<'_> {
    /// Makes a connection that is not there, and its app's Secret, if the person wants it.
    pub(super) async fn make(&self, api: &Api<SupabaseConnection>) -> anyhow::Result<()> {
        let Self {
            name, namespace, ..
        } = self;
        if !std::io::stdin().is_terminal() {
            bail!(
                "there is no SupabaseConnection {name} in the namespace {namespace}; apply one first, or run this \
                 command in a terminal, where it offers to make one"
            );
        }
        if !agrees(&format!(
            "There is no SupabaseConnection {name} in the namespace {namespace}. Make one?"
        ))? {
            bail!("nothing was made");
        }
        let slug: OrganizationSlug =
            ask("Organization (the last part of its dashboard address): ")?
                .parse()
                .map_err(|_| anyhow::anyhow!("that is no organization slug"))?;
        let secrets: Api<Secret> = Api::namespaced(self.outside.client.clone(), namespace);
        let there = kubernetes::get(&secrets, APP)
            .await
            .map_err(|error| self.right(error, "get", "secrets"))?;
        if there.is_none() {
            say(&format!(
                "The OAuth app's credentials go into the Secret {APP}. Register it with the redirect address \
                 http://127.0.0.1:{}/callback.",
                self.arguments.port
            ));
            let client_id = ask("client_id: ")?;
            // What basic authentication cannot carry (RFC 7617 §2).
            if credential(&client_id).is_none() || client_id.contains(':') {
                bail!("that is no client_id: it has spaces or a colon in it, or is too long");
            }
            let client_secret =
                SecretString::from(rpassword::prompt_password("client_secret (not shown): ")?);
            let client_secret = credential(client_secret.expose_secret())
                .context("that is no client_secret: it is empty, too long, or has spaces in it")?;
            let secret: Secret = serde_json::from_value(json!({
                "metadata": {"name": APP, "namespace": namespace},
                "type": "Opaque",
                "stringData": {"client_id": client_id, "client_secret": client_secret.expose_secret()},
            }))?;
            kubernetes::create(&secrets, &secret)
                .await
                .map_err(|error| self.right(error, "create", "secrets"))?;
            say(&format!("The Secret {APP} was made."));
        }
        let connection: SupabaseConnection = serde_json::from_value(json!({
            "apiVersion": "supabase-operator.dev/v1alpha1",
            "kind": "SupabaseConnection",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "auth": {"oauth": {"appSecretRef": {"name": APP}}},
                "organizationSlug": slug.as_str(),
            },
        }))?;
        kubernetes::create(api, &connection)
            .await
            .map_err(|error| self.right(error, "create", "supabaseconnections"))?;
        say(&format!("The SupabaseConnection {name} was made."));
        Ok(())
    }
}

/// Says something to the person; whoever closed the output hears nothing.
pub(super) fn say(text: &str) {
    let mut out = std::io::stdout();
    drop(writeln!(out, "{text}"));
    drop(out.flush());
}

fn ask(question: &str) -> anyhow::Result<String> {
    let mut out = std::io::stdout();
    write!(out, "{question}")?;
    out.flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let line = line.trim();
    if line.is_empty() || line.len() > 512 {
        bail!("an answer is needed");
    }
    Ok(line.to_owned())
}

fn agrees(question: &str) -> anyhow::Result<bool> {
    let answer = ask(&format!("{question} [y/n] "))?;
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}
