//! Reads what a decision needs: who holds the project's settings, the project and its connection, the Secrets that are named, and
//! the settings themselves when they are due. What this process remembers of that is the only effect.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};
use secrecy::{ExposeSecret as _, SecretString};

use super::facts::{Observed, Parent, SettingsRead};
use super::{AuthConfigs, Resolved, decide, groups, secret_refs};
use crate::api::reference::SecretKeyRef;
use crate::api::{
    Kind, ObjectKey, ObjectRef, Reason, SupabaseAuthConfig, SupabaseProject, annotations,
};
use crate::controller::{Occasion, Problem, compared_generation};
use crate::kubernetes::{self, Error, Lean as _};
use crate::management::{self, ProjectRef, Status};
use crate::rules::digest::DigestKey;
use crate::session::Session;
use crate::settings::{Digester, Policy, Reading};
use crate::versions::Item;

/// The longest secret that is sent.
const LONGEST: usize = 4096;

pub(super) async fn observe(
    room: &AuthConfigs,
    object: &SupabaseAuthConfig,
) -> Result<Observed, Error> {
    let requested = annotations::requested(object).filter(|asked| {
        let handled =
            object.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_ref());
        handled != Some(asked)
    });
    let spec = &object.spec;
    let mut observed = Observed {
        holder: None,
        parent: Parent::NotReady(Problem::new(Reason::ProjectNotReady, "")),
        unsettled: false,
        policy: Policy::of(spec.suspend, spec.management_policy, spec.drift_policy),
        secrets: Resolved::new(),
        settings: None,
        again: room.drift_interval,
        requested,
    };
    if observed.policy == Policy::Suspended {
        return Ok(observed);
    }
    observed.holder = holder(room, object);
    if observed.holder.is_some() {
        return Ok(observed);
    }
    let namespace = object.namespace().unwrap_or_default();
    let name = &spec.project_ref.name;
    let Some(project) = room.parents.project(&namespace, name).await? else {
        let message =
            format!("SupabaseProject {name} does not exist; apply it, or correct spec.projectRef");
        observed.parent = Parent::NotReady(Problem::new(Reason::ProjectNotFound, message));
        return Ok(observed);
    };
    let theirs = &project.spec;
    let policy = Policy::of(theirs.suspend, theirs.management_policy, theirs.drift_policy);
    observed.policy = observed.policy.and(policy);
    let reference = match active(&project) {
        Ok(reference) => reference,
        Err(problem) => {
            observed.parent = Parent::NotReady(problem);
            return Ok(observed);
        }
    };
    let connected = room.parents.connection(&namespace, &theirs.connection_ref).await?;
    observed.unsettled = connected.unsettled;
    let session = match (connected.link.problem, connected.session) {
        (None, Some(session)) => session,
        (Some(problem), _) => {
            observed.parent = Parent::NotReady(problem);
            return Ok(observed);
        }
        (None, None) => return Ok(observed),
    };
    observed.parent = Parent::Active(reference.clone());
    if !observed.unsettled && observed.policy != Policy::Suspended {
        settings(room, object, &session, &reference, &mut observed).await?;
    }
    Ok(observed)
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
    older.map(|seen| seen.meta().key().name)
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

async fn settings(
    room: &AuthConfigs,
    object: &SupabaseAuthConfig,
    session: &Session,
    reference: &ProjectRef,
    observed: &mut Observed,
) -> Result<(), Error> {
    let (key, uid) = (ObjectKey::of(object), object.uid().unwrap_or_default());
    observed.secrets = secrets(room, object).await?;
    let print = fingerprint(&room.digest_key, &key, &observed.secrets);
    let occasion = occasion(room, object, &uid, observed.requested.is_some());
    let wait = room.memory.note(&key, &uid, |memo| {
        if memo.secrets.replace(print.clone()).is_some_and(|before| before != print) {
            memo.schedule.hurry();
        }
        memo.schedule.wait(occasion)
    });
    if !wait.is_zero() {
        observed.again = wait;
        return Ok(());
    }
    let tenant = object.namespace().unwrap_or_default();
    let answer = session.send(&tenant, &management::auth_config(reference)).await;
    let read = match answer {
        Ok(answer) => Ok(answer.value),
        Err(error) => {
            tracing::warn!(
                auth_config = %key, error = &error as &dyn std::error::Error, "Auth settings could not be read"
            );
            Err(Reading::after(&error))
        }
    };
    let digester = Digester { key: &room.digest_key, uid: &uid };
    let groups = groups(&object.spec, &observed.secrets, read.as_ref(), reference, digester);
    let memory = room.memory.note(&key, &uid, |memo| {
        if observed.requested.is_some() {
            memo.schedule.memory.forget();
        }
        memo.schedule.memory.read(&groups, occasion.now);
        memo.schedule.memory.clone()
    });
    observed.settings = Some(SettingsRead { groups, memory, interval: room.drift_interval });
    let plan = decide::planned(object, observed, occasion.now);
    let again = plan.map_or(room.drift_interval, |plan| plan.read_again);
    observed.again = again;
    room.memory.note(&key, &uid, |memo| memo.schedule.read(occasion, occasion.uptime, again));
    Ok(())
}

/// The occasion of a reconcile.
pub(super) fn occasion<'a>(
    room: &AuthConfigs,
    object: &SupabaseAuthConfig,
    uid: &'a str,
    requested: bool,
) -> Occasion<'a> {
    let status = object.status.as_ref();
    Occasion {
        now: room.context.clock.now(),
        uptime: room.context.clock.uptime(),
        interval: room.drift_interval,
        uid,
        generation: object.metadata.generation,
        compared: status.and_then(|status| compared_generation(&status.conditions)),
        settled: decide::is_settled(object)
            && status.is_some_and(|status| status.drift.is_empty() && decide::is_ready(status)),
        requested,
    }
}

/// The secrets that the spec names, as they are now.
async fn secrets(room: &AuthConfigs, object: &SupabaseAuthConfig) -> Result<Resolved, Error> {
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<Secret> = Api::namespaced(room.context.client.clone(), &namespace);
    let owner = ObjectRef { kind: Kind::SupabaseAuthConfig, key: ObjectKey::of(object) };
    let mut resolved = Resolved::new();
    let wanted = secret_refs(&object.spec);
    let names: Vec<_> = wanted.iter().map(|(_, wanted)| wanted.name.as_str()).collect();
    room.versions.keep(&owner, &names);
    for (path, wanted) in &wanted {
        let secret = kubernetes::get(&api, &wanted.name).await?;
        let version =
            secret.as_ref().and_then(|secret| secret.metadata.resource_version.as_deref());
        room.versions.note(&owner, Item::Input, &wanted.name, version);
        resolved.insert(path, value(secret, wanted));
    }
    Ok(resolved)
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
