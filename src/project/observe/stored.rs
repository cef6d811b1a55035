//! What lies in the namespace: the supplied password, the outputs, and a lost password in one of them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, ResourceExt as _};
use secrecy::{ExposeSecret as _, SecretString};

use super::Observer;
use crate::api::{Output, OutputKind, Reason, SupabaseProject};
use crate::kubernetes::{self, Bare, Error, Lean as _};
use crate::outputs::{self, Belonging, Found};
use crate::project::facts::{FoundPassword, Observed, Problem, Supplied, Wanted};
use crate::project::password::{digest, object, unbound};
use crate::rules::digest::is_bound;
use crate::rules::password;

impl Observer<'_> {
    pub(super) async fn supplied(&self) -> Result<Option<Result<Supplied, Problem>>, Error> {
        let Some(wanted) = &self.project.spec.database.password.secret_key_ref else {
            return Ok(None);
        };
        let api: Api<Secret> =
            Api::namespaced(self.projects.context.client.clone(), &self.tenant());
        let secret = kubernetes::get(&api, &wanted.name).await?;
        let bytes = secret.and_then(|secret| secret.data?.remove(&wanted.key));
        let Some(bytes) = bytes else {
            let message = format!(
                "the Secret {} with the key {}, named in spec.database.password.secretKeyRef, is not there",
                wanted.name, wanted.key
            );
            return Ok(Some(Err(Problem::new(Reason::SecretNotFound, message))));
        };
        Ok(Some(match password::check(&bytes.0) {
            Ok(text) => Ok(Supplied {
                digest: digest(&self.projects.digest_key, self.project, text),
                password: SecretString::from(text),
            }),
            Err(unusable) => Err(Problem::new(
                Reason::PasswordInvalid,
                format!(
                    "the password in the Secret {}, key {}, cannot be used: {unusable}",
                    wanted.name, wanted.key
                ),
            )),
        }))
    }

    pub(super) async fn look_at_outputs(&self, observed: &mut Observed) -> Result<(), Error> {
        let status = self.project.status.clone().unwrap_or_default();
        let recorded =
            status.credentials.as_ref().and_then(|known| known.password_digest.as_deref());
        let mark = observed.password_mark(recorded).map(str::to_owned);
        let made_unread = may_be_made_unread(observed, recorded);
        let former = match &observed.password {
            FoundPassword::There(kept) => kept.password.as_ref(),
            FoundPassword::Missing => None,
        };
        let former = former
            .map(|password| unbound(&self.projects.digest_key, password.expose_secret()))
            .or_else(|| recorded.map(str::to_owned));
        let wanted = self.project.wanted_outputs();
        for output in &wanted {
            let unread = made_unread && status.output(&output.name).is_none();
            let found = if unread { None } else { self.find(output.kind, &output.name).await? };
            let writable = match &found {
                None => true,
                Some(found) => self.may_write(found).await?,
            };
            let mut current = false;
            let mut renewed = None;
            if let Some(found) = &found
                && outputs::belonging(&found.meta, self.project) == Belonging::Ours
                && outputs::meta_is_current(self.project, output, found)
            {
                let (key, kind) = (&self.projects.digest_key, found.kind.as_deref());
                let entries = || {
                    let entries = found.entries.iter();
                    entries.map(|(key, value)| (key.as_str(), value.as_slice()))
                };
                let object = object(self.project);
                let digest =
                    outputs::digest(key, &object, output, mark.as_deref(), kind, entries());
                if let Some(written) = status.output(&output.name) {
                    current = written.digest == digest;
                    if !current && !is_bound(&written.digest) {
                        let old = outputs::unbound_digest(
                            key,
                            output,
                            former.as_deref(),
                            kind,
                            entries(),
                        );
                        current = written.digest == old;
                        renewed = current.then_some(digest);
                    }
                }
                let authorities = self.projects.authorities.as_ref();
                current &= outputs::authorities_are_current(output, &found.entries, authorities);
            }
            let rolls = self.rolls(output, found.as_ref());
            observed.wanted.push(Wanted {
                output: output.clone(),
                found,
                writable,
                current,
                rolls,
                renewed,
            });
        }
        observed.obsolete = status
            .outputs
            .iter()
            .filter(|written| {
                !wanted
                    .iter()
                    .any(|output| output.name == written.name && output.kind == written.kind)
            })
            .map(|written| (written.kind, written.name.clone()))
            .collect();
        Ok(())
    }

    /// Whether the workloads that an output names were given something else than it holds, or nothing yet.
    fn rolls(&self, output: &Output, found: Option<&Found>) -> bool {
        let Some(found) =
            found.filter(|_| output.rollout_restart.as_ref().is_some_and(|all| !all.is_empty()))
        else {
            return false;
        };
        let entries = found.entries.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        let content =
            outputs::content_digest(&self.projects.digest_key, &object(self.project), entries);
        let status = self.project.status.as_ref();
        let written = status.and_then(|status| status.output(&output.name));
        written.is_some_and(|written| written.rolled_out.as_ref() != Some(&content))
    }

    /// What stands under a name, with the books of who set which label: what we set and declare no more goes.
    pub(super) async fn find(&self, kind: OutputKind, name: &str) -> Result<Option<Found>, Error> {
        let client = self.projects.context.client.clone();
        let namespace = self.tenant();
        Ok(match kind {
            OutputKind::Secret => {
                let api: Api<Secret> = Api::namespaced(client, &namespace);
                kubernetes::get_managed(&api, name).await?.map(Found::from)
            }
            OutputKind::ConfigMap => {
                let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
                kubernetes::get_managed(&api, name).await?.map(Found::from)
            }
        })
    }

    /// Ours, or left by an object of the same name that is gone: looked up by the name and the UID of its owner.
    pub(super) async fn may_write(&self, found: &Found) -> Result<bool, Error> {
        match outputs::belonging(&found.meta, self.project) {
            Belonging::Ours => Ok(true),
            Belonging::Other { uid, project } if project == self.project.name_any() => {
                let api: Api<SupabaseProject> =
                    Api::namespaced(self.projects.context.client.clone(), &self.tenant());
                let there: Option<Bare> = kubernetes::see(&api, &project).await?;
                Ok(there.is_none_or(|there| there.meta().uid() != uid))
            }
            Belonging::Foreign | Belonging::Other { .. } => Ok(false),
        }
    }

    /// Looks for a lost password in our outputs and in the supplied Secret.
    pub(super) fn recover(&self, observed: &mut Observed) {
        let known = self.project.status.as_ref().and_then(|status| status.credentials.as_ref());
        let recorded = known.and_then(|known| known.password_digest.as_deref());
        let Some(recorded) = recorded else { return };
        if let FoundPassword::There(kept) = &observed.password
            && kept.digest.as_deref() == Some(recorded)
        {
            observed.recovered.clone_from(&kept.password);
            return;
        }
        let key = &self.projects.digest_key;
        let supplied = match &observed.supplied {
            Some(Ok(supplied)) if supplied.digest == recorded => Some(supplied.password.clone()),
            Some(_) | None => None,
        };
        observed.recovered = supplied.or_else(|| {
            observed.wanted.iter().filter(|wanted| wanted.writable).find_map(|wanted| {
                let entries: &BTreeMap<_, _> = &wanted.found.as_ref()?.entries;
                let held = outputs::password_in(&wanted.output, entries).into_iter();
                held.filter(|text| digest(key, self.project, text) == recorded)
                    .map(SecretString::from)
                    .next()
            })
        });
    }
}

/// Whether outputs that were never written are taken to be missing, which saves a read of each: making one replaces
/// nothing, and what stands there is read once that was refused. A password that is not at hand may lie in one of them.
fn may_be_made_unread(observed: &Observed, recorded: Option<&str>) -> bool {
    let at_hand = match &observed.password {
        FoundPassword::There(kept) => recorded.is_some() && kept.digest.as_deref() == recorded,
        FoundPassword::Missing => false,
    };
    at_hand && !observed.memo.in_the_way
}
