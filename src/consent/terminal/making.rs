//! Making what is missing, if the person wants it; and talking to people.

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::Terminal;
use crate::api::connection::Connection;
use crate::api::project::ConnectionKind;
use crate::consent::pages::capitalized;
use crate::kubernetes;
use crate::management::OrganizationSlug;
use crate::session::token_store::credential;

/// The Secret that a new connection names for its app.
const APP: &str = "supabase-oauth-app";

impl Terminal<'_> {
    /// Makes a connection that is not there, and its app's Secret, if the person wants it.
    pub(super) async fn make<C: Connection>(&self, api: &Api<C>) -> anyhow::Result<C> {
        let (kind, name, namespace) = (C::KIND.as_str(), self.name, self.namespace);
        let is_shared = C::KIND == ConnectionKind::ClusterSupabaseConnection;
        let place =
            if is_shared { String::new() } else { format!(" in the namespace {namespace}") };
        // Looking for one object says nothing of whether its kind is there.
        if matches!(kubernetes::current_version(api).await, Err(kubernetes::Error::NotFound)) {
            bail!(
                "the cluster does not know the kind {kind}; install the chart, or run 'supabase-operator crds apply'"
            );
        }
        let missing = format!("there is no {kind} {name}{place}");
        if !std::io::stdin().is_terminal() {
            bail!(
                "{missing}; apply one first, or run this command in a terminal, where it offers to make one"
            );
        }
        offer(&missing, "Make one?")?;
        let slug: OrganizationSlug =
            ask("Organization (the last part of its dashboard address): ")?
                .parse()
                .map_err(|_| anyhow::anyhow!("that is no organization slug"))?;
        let oauth = if self.arguments.app_secret.is_some() {
            json!({})
        } else {
            let there = kubernetes::get(&self.secrets(), APP)
                .await
                .map_err(|error| self.right(error, "get", "secrets"))?;
            if there.is_none() {
                self.make_app(APP).await?;
            }
            json!({"appSecretRef": {"name": APP}})
        };
        let metadata = if is_shared {
            json!({"name": name})
        } else {
            json!({"name": name, "namespace": namespace})
        };
        let mut connection: C = serde_json::from_value(json!({
            "apiVersion": C::api_version(&()),
            "kind": kind,
            "metadata": metadata,
            "spec": {"auth": {"oauth": oauth}, "organizationSlug": slug.as_str()},
        }))?;
        let written = kubernetes::create(api, &connection)
            .await
            .map_err(|error| self.right(error, "create", &C::plural(&())))?;
        connection.meta_mut().uid = Some(written.uid().to_owned());
        say(&format!("The {kind} {name} was made."));
        if is_shared {
            say("No namespace may use it yet: name those that may in spec.allowedNamespaces.");
        }
        Ok(connection)
    }

    /// Makes the Secret of an app that a connection names, if the person wants it.
    pub(super) async fn offer_app(&self, missing: &str, secret: &str) -> anyhow::Result<()> {
        if !std::io::stdin().is_terminal() {
            bail!("{missing}");
        }
        offer(missing, "Make it now?")?;
        self.make_app(secret).await
    }

    async fn make_app(&self, name: &str) -> anyhow::Result<()> {
        say(&format!(
            "The OAuth app's credentials go into the Secret {name}. Register the app with the redirect address \
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
            "metadata": {"name": name, "namespace": self.namespace},
            "type": "Opaque",
            "stringData": {"client_id": client_id, "client_secret": client_secret.expose_secret()},
        }))?;
        kubernetes::create(&self.secrets(), &secret)
            .await
            .map_err(|error| self.right(error, "create", "secrets"))?;
        say(&format!("The Secret {name} was made."));
        Ok(())
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.environment.client.clone(), self.namespace)
    }
}

/// Says what is missing, and asks whether it shall be made.
fn offer(missing: &str, question: &str) -> anyhow::Result<()> {
    let answer = ask(&format!("{}. {question} [y/n] ", capitalized(missing)))?;
    if !matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
        bail!("nothing was made");
    }
    Ok(())
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
