//! Reads what a decision needs: who holds the project's settings, the project and its connection, the Secrets that are named, and
//! the settings themselves when they are due. No effects: what this process will remember of it is a copy of what it remembers.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};
use secrecy::{ExposeSecret as _, SecretString};

use super::facts::{Observed, Parent, Read, SettingsRead};
use super::remember::occasion;
use super::{AuthConfigs, Resolved, decide, groups, secret_refs};
use crate::api::reference::SecretKeyRef;
use crate::api::{ObjectKey, Reason, SupabaseAuthConfig, SupabaseProject, annotations};
use crate::controller::Problem;
use crate::kubernetes::{self, Error, Lean as _};
use crate::management::{self, ProjectRef, Status};
use crate::rules::digest::DigestKey;
use crate::session::Session;
use crate::settings::{Digester, Policy, Reading};

/// The longest secret that is sent.
const LONGEST: usize = 4096;

pub(super) async fn observe(
    room: &AuthConfigs,
    object: &SupabaseAuthConfig,
) -> Result<Observed, Error> {
    let mut reads = Observer { room, object, session: None };
    let mut observed = reads.nothing();
    while let Some(read) = decide::needs(&observed) {
        observed.done.push(read);
        match read {
            Read::Holder => observed.holder = holder(room, object),
            Read::Project => reads.project(&mut observed).await?,
            Read::Connection => reads.connection(&mut observed).await?,
            Read::Secrets => reads.secrets(&mut observed).await?,
            Read::Settings => reads.settings(&mut observed).await,
        }
    }
    Ok(observed)
}

/// Reads for one object, through the session of its project's connection once that is known.
struct Observer<'a> {
    room: &'a AuthConfigs,
    object: &'a SupabaseAuthConfig,
    session: Option<Session>,
}

impl Observer<'_> {
    /// What is known before anything is read.
    fn nothing(&self) -> Observed {
        let object = self.object;
        let requested = annotations::requested(object).filter(|asked| {
            let handled =
                object.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_ref());
            handled != Some(asked)
        });
        let spec = &object.spec;
        let uid = object.uid().unwrap_or_default();
        Observed {
            done: Vec::new(),
            memo: self.room.memory.recall(&ObjectKey::of(object), &uid),
            holder: None,
            project: None,
            parent: Parent::NotReady(Problem::new(Reason::ProjectNotReady, "")),
            unsettled: false,
            policy: Policy::of(spec.suspend, spec.management_policy, spec.drift_policy),
            secrets: Resolved::new(),
            versions: Vec::new(),
            settings: None,
            again: self.room.drift_interval,
            requested,
        }
    }

    fn namespace(&self) -> String {
        self.object.namespace().unwrap_or_default()
    }

    async fn project(&self, observed: &mut Observed) -> Result<(), Error> {
        let name = &self.object.spec.project_ref.name;
        let Some(project) = self.room.parents.project(&self.namespace(), name).await? else {
            let message = format!(
                "SupabaseProject {name} does not exist; apply it, or correct spec.projectRef"
            );
            observed.parent = Parent::NotReady(Problem::new(Reason::ProjectNotFound, message));
            return Ok(());
        };
        let theirs = &project.spec;
        let policy = Policy::of(theirs.suspend, theirs.management_policy, theirs.drift_policy);
        observed.policy = observed.policy.and(policy);
        match active(&project) {
            Ok(_) => observed.project = Some(project),
            Err(problem) => observed.parent = Parent::NotReady(problem),
        }
        Ok(())
    }

    async fn connection(&mut self, observed: &mut Observed) -> Result<(), Error> {
        let Some(project) = &observed.project else {
            return Ok(());
        };
        let connected = self.room.parents.connection_of(project).await?;
        observed.unsettled = connected.unsettled;
        match (connected.link.problem, connected.session) {
            (None, Some(session)) => {
                self.session = Some(session);
                observed.parent = match active(project) {
                    Ok(reference) => Parent::Active(reference),
                    Err(problem) => Parent::NotReady(problem),
                };
            }
            (Some(problem), _) => observed.parent = Parent::NotReady(problem),
            (None, None) => {}
        }
        Ok(())
    }

    /// The secrets that the spec names, as they are now.
    async fn secrets(&self, observed: &mut Observed) -> Result<(), Error> {
        let client = self.room.context.client.clone();
        let api: Api<Secret> = Api::namespaced(client, &self.namespace());
        for (path, wanted) in &secret_refs(&self.object.spec) {
            let secret = kubernetes::get(&api, &wanted.name).await?;
            let version = secret.as_ref().and_then(kube::ResourceExt::resource_version);
            observed.versions.push((wanted.name.clone(), version));
            observed.secrets.insert(path, value(secret, wanted));
        }
        Ok(())
    }

    /// Reads the settings, if they are due.
    async fn settings(&self, observed: &mut Observed) {
        let (room, object) = (self.room, self.object);
        let Parent::Active(reference) = observed.parent.clone() else { return };
        let Some(session) = &self.session else { return };
        let (name, uid) = (ObjectKey::of(object), object.uid().unwrap_or_default());
        let print = fingerprint(&room.digest_key, &name, &observed.secrets);
        let before = observed.memo.secrets.replace(print.clone());
        if before.is_some_and(|before| before != print) {
            observed.memo.schedule.hurry();
        }
        let mut schedule = std::mem::take(&mut observed.memo.schedule);
        let occasion = occasion(room, object, observed, &uid);
        let wait = schedule.wait(occasion);
        let (now, requested) = (occasion.now, occasion.requested);
        observed.memo.schedule = schedule;
        if !wait.is_zero() {
            observed.again = wait;
            return;
        }
        let reference = &reference;
        let answer = session.send(&self.namespace(), &management::auth_config(reference)).await;
        let read = match answer {
            Ok(answer) => Ok(answer.value),
            Err(error) => {
                tracing::warn!(
                    auth_config = %name, error = &error as &dyn std::error::Error, "Auth settings could not be read"
                );
                Err(Reading::after(&error))
            }
        };
        let of = Some(reference.as_str());
        let digester = Digester { key: &room.digest_key, uid: &uid, reference: of };
        let groups = groups(&object.spec, &observed.secrets, read.as_ref(), reference, digester);
        let memory = &mut observed.memo.schedule.memory;
        if requested {
            memory.forget();
        }
        memory.read(&groups, now);
        let memory = memory.clone();
        observed.settings = Some(SettingsRead { groups, memory, interval: room.drift_interval });
    }
}

/// The older object that is for the same project, if there is one.
fn holder(room: &AuthConfigs, object: &SupabaseAuthConfig) -> Option<String> {
    let (uid, name) = (object.uid().unwrap_or_default(), &object.spec.project_ref.name);
    let ours = (object.creation_timestamp().map(|time| time.0), uid.as_str());
    let all = room.auth_configs.of_namespace(object.namespace().as_deref());
    let older = all.iter().find(|seen| {
        seen.project.as_deref() == Some(name)
            && !seen.meta().is_leaving()
            && seen.meta().uid() != uid
            && seen.seniority() < ours
    });
    older.map(|seen| seen.meta().key().name().to_owned())
}

/// The ref of a project that settings can be read of.
fn active(project: &SupabaseProject) -> Result<ProjectRef, Problem> {
    let name = project.name_any();
    let not_ready = |why: &str| {
        let message = format!("SupabaseProject {name} {why}; its own conditions say more");
        Problem::new(Reason::ProjectNotReady, message)
    };
    if project.metadata.deletion_timestamp.is_some() {
        return Err(not_ready("is being deleted"));
    }
    let status = project.status.clone().unwrap_or_default();
    let reference = status.reference.as_deref().and_then(|text| text.parse().ok());
    match status.remote_status {
        Some(word) if Status::from(word.as_str()) == Status::ActiveHealthy => {
            reference.ok_or_else(|| not_ready("has no project on the platform yet"))
        }
        Some(_) => Err(not_ready("is not active on the platform")),
        None => Err(not_ready("has no project on the platform yet")),
    }
}

/// The value of a key, as it is.
fn value(secret: Option<Secret>, wanted: &SecretKeyRef) -> Result<SecretString, String> {
    let SecretKeyRef { name, key } = wanted;
    let Some(secret) = secret else {
        return Err(format!("the Secret {name} is not there; create it, or correct the reference"));
    };
    let Some(bytes) = secret.data.and_then(|mut data| data.remove(key)) else {
        return Err(format!(
            "the Secret {name} has no key {key}; add it, or correct the reference"
        ));
    };
    match String::from_utf8(bytes.0) {
        Ok(text)
            if !text.is_empty() && text.len() <= LONGEST && !text.contains(['\0', '\r', '\n']) =>
        {
            Ok(SecretString::from(text))
        }
        Ok(_) | Err(_) => Err(format!(
            "the key {key} of the Secret {name} holds what cannot be a password: it is empty, longer than {LONGEST} bytes, of \
             more than one line, or no text; write it again"
        )),
    }
}

/// What tells that a secret has changed, without keeping it.
fn fingerprint(key: &DigestKey, object: &ObjectKey, secrets: &Resolved) -> String {
    let values = secrets.values().map(|value| match value {
        Ok(secret) => secret.expose_secret().as_bytes(),
        Err(words) => words.as_bytes(),
    });
    key.bound("auth-secrets", &object.to_string(), values)
}
