//! The Secret that keeps the database password: reading it, and the few ways in which it is written.
//!
//! It has no owner reference, because foreground deletion would collect it before the finalizer has run; it is
//! created, never applied, before a password is sent anywhere.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, Client, ResourceExt as _};
use secrecy::{ExposeSecret as _, SecretString};

use super::facts::{FoundPassword, Kept};
use crate::api::{FIELD_MANAGER, ObjectKey, SupabaseProject, labels};
use crate::kubernetes::{self, Bare, Error, Lean as _, Shape};
use crate::outputs::{self, Belonging};
use crate::rules::digest::{DigestKey, is_bound};
use crate::rules::marks::Marks;
use crate::rules::password;

/// Key of the password that the platform has, or is about to be sent.
const PASSWORD: &str = "password";
/// Key of a new password that the platform has not confirmed yet.
const NEXT: &str = "password-next";

/// Digest of a password as an object records it: bound to the object, unless what it records by now is from before
/// digests were bound. Then it goes on in the old form, so that what is compared is alike; a match is what lets the
/// new form take its place.
pub fn digest(key: &DigestKey, project: &SupabaseProject, password: &str) -> String {
    if records_unbound(project) { unbound(key, password) } else { bound(key, project, password) }
}

/// Digest of a password, bound to an object: equal passwords of two objects must not be told to be equal.
pub fn bound(key: &DigestKey, project: &SupabaseProject, password: &str) -> String {
    key.bound("password", &object(project), [password.as_bytes()])
}

/// Digest of a password as earlier releases made it.
pub fn unbound(key: &DigestKey, password: &str) -> String {
    key.digest("password", [password.as_bytes()])
}

/// What digests are bound to.
pub fn object(project: &SupabaseProject) -> String {
    ObjectKey::of(project).to_string()
}

fn records_unbound(project: &SupabaseProject) -> bool {
    let Some(status) = &project.status else {
        return false;
    };
    let credentials = status.credentials.as_ref();
    match credentials.and_then(|known| known.password_digest.as_deref()) {
        Some(recorded) => !is_bound(recorded),
        None => status.attempts().any(|attempt| !is_bound(&attempt.password_digest)),
    }
}

/// The Secret of a project.
#[derive(Debug)]
pub struct PasswordSecret<'a> {
    api: Api<Secret>,
    projects: Api<SupabaseProject>,
    project: &'a SupabaseProject,
    key: &'a DigestKey,
}

impl<'a> PasswordSecret<'a> {
    /// That of one project; `key` is what its digests are made with.
    pub fn of(client: &Client, project: &'a SupabaseProject, key: &'a DigestKey) -> Self {
        let namespace = project.namespace().unwrap_or_default();
        Self {
            api: Api::namespaced(client.clone(), &namespace),
            projects: Api::namespaced(client.clone(), &namespace),
            project,
            key,
        }
    }

    async fn read(&self) -> Result<Option<Secret>, Error> {
        kubernetes::get_managed(&self.api, &self.project.password_secret_name()).await
    }

    /// What is there.
    pub async fn look(&self) -> Result<FoundPassword, Error> {
        match self.read().await? {
            None => Ok(FoundPassword::Missing),
            Some(secret) => Ok(FoundPassword::There(self.kept(&secret).await?)),
        }
    }

    async fn kept(&self, secret: &Secret) -> Result<Kept, Error> {
        let belonging = self.belonging(secret);
        let ours = self.marks(None).labels;
        let password = text(secret, PASSWORD);
        let digests = password.as_ref().map(|password| {
            let password = password.expose_secret();
            (digest(self.key, self.project, password), bound(self.key, self.project, password))
        });
        let (digest, bound) = digests.unzip();
        Ok(Kept {
            meta: Box::new(secret.metadata.clone()),
            // The name hangs on the project's: it was made for an object of our name, unless somebody says that it is
            // another one's who still lives.
            orphaned: match &belonging {
                Belonging::Other { project, uid } => {
                    Some(project) == ours.get(labels::PROJECT) && !self.lives(uid).await?
                }
                Belonging::Ours | Belonging::Foreign => false,
            },
            marked: self
                .marks(secret.labels().get(labels::REF).map(String::as_str))
                .are_on(&secret.metadata, FIELD_MANAGER),
            belonging,
            reference: secret.labels().get(labels::REF).cloned(),
            digest,
            bound,
            pending: text(secret, NEXT).is_some(),
            password,
        })
    }

    /// Whether an object of the namespace has this UID, past every cache.
    async fn lives(&self, uid: &str) -> Result<bool, Error> {
        let mut lives = false;
        let look = |project: Bare| lives |= project.meta().uid() == uid;
        // Seldom needed, and large: not part of every caller.
        Box::pin(kubernetes::list(&self.projects, Shape::Metadata, look)).await?;
        Ok(lives)
    }

    /// Makes the Secret; [`Error::Exists`] if somebody was faster.
    pub async fn make(
        &self,
        password: &SecretString,
        reference: Option<&str>,
    ) -> Result<(), Error> {
        let secret = self.secret(ObjectMeta::default(), password, reference);
        kubernetes::create(&self.api, &secret).await.map(|_| ())
    }

    /// Puts a password into the Secret, whatever is in it; takes over one that was left by an earlier object.
    pub async fn put(&self, password: &SecretString, reference: Option<&str>) -> Result<(), Error> {
        match self.read().await? {
            None => self.make(password, reference).await,
            Some(there) => {
                let kept = self.kept(&there).await?;
                if kept.belonging != Belonging::Ours && !kept.orphaned {
                    return Err(Error::Exists);
                }
                let secret = self.secret(there.metadata, password, reference);
                kubernetes::replace(&self.api, &secret).await.map(|_| ())
            }
        }
    }

    /// Notes the ref on a Secret of ours as it was read; refused if it changed since.
    pub async fn note_reference(&self, kept: &Kept, reference: &str) -> Result<(), Error> {
        let Some(password) = &kept.password else {
            return Ok(());
        };
        let secret = self.secret((*kept.meta).clone(), password, Some(reference));
        kubernetes::replace(&self.api, &secret).await.map(|_| ())
    }

    /// Notes a new password beside the current one, or gives back the one that is noted already.
    pub async fn note_next(&self, fresh: SecretString) -> Result<SecretString, Error> {
        let there = self.read().await?;
        // Somebody else's may have taken its place since it was looked at.
        if there.as_ref().is_some_and(|secret| !self.is_ours(secret)) {
            return Err(Error::Exists);
        }
        if let Some(noted) = there.as_ref().and_then(|secret| text(secret, NEXT)) {
            return Ok(noted);
        }
        let bytes = ByteString(fresh.expose_secret().as_bytes().to_vec());
        if let Some(mut secret) = there {
            secret.data.get_or_insert_default().insert(NEXT.to_owned(), bytes);
            kubernetes::replace(&self.api, &secret).await?;
        } else {
            let mut secret = self.secret(ObjectMeta::default(), &fresh, None);
            secret.data = Some(BTreeMap::from([(NEXT.to_owned(), bytes)]));
            kubernetes::create(&self.api, &secret).await?;
        }
        Ok(fresh)
    }

    /// Leaves the Secret behind, saying whose password it keeps, if it is the one with the digest `known`.
    pub async fn retain(&self, reference: &str, known: Option<&str>) -> Result<(), Error> {
        let Some(mut secret) = self.read().await?.filter(|secret| self.is_ours(secret)) else {
            return Ok(());
        };
        let kept = self.kept(&secret).await?;
        let marks = secret.metadata.labels.get_or_insert_default();
        if known.is_some() && kept.digest.as_deref() == known {
            marks.insert(labels::REF.to_owned(), reference.to_owned());
        } else {
            marks.remove(labels::REF);
        }
        marks.insert(labels::RETAINED.to_owned(), "true".to_owned());
        done(kubernetes::replace(&self.api, &secret).await.map(|_| ()))
    }

    /// Removes the Secret.
    pub async fn remove(&self) -> Result<(), Error> {
        match self.read().await?.filter(|secret| self.is_ours(secret)) {
            Some(secret) => done(kubernetes::delete(&self.api, &secret).await),
            None => Ok(()),
        }
    }

    fn belonging(&self, secret: &Secret) -> Belonging {
        let uid = self.project.metadata.uid.as_deref().unwrap_or_default();
        outputs::labelled(&secret.metadata, labels::ROLE_PASSWORD, uid)
    }

    fn is_ours(&self, secret: &Secret) -> bool {
        self.belonging(secret) == Belonging::Ours
    }

    fn marks(&self, reference: Option<&str>) -> Marks {
        let template = self.project.spec.secret_template.clone().unwrap_or_default();
        let declared = Marks { labels: template.labels, annotations: template.annotations };
        let reference = reference.map(|reference| (labels::REF, reference));
        outputs::marked(self.project, labels::ROLE_PASSWORD, declared).with(reference)
    }

    fn secret(
        &self,
        there: ObjectMeta,
        password: &SecretString,
        reference: Option<&str>,
    ) -> Secret {
        let mut meta = there;
        for ours in [labels::REF, labels::RETAINED] {
            meta.labels.get_or_insert_default().remove(ours);
        }
        self.marks(reference).put_on(&mut meta, FIELD_MANAGER);
        let bytes = ByteString(password.expose_secret().as_bytes().to_vec());
        Secret {
            metadata: ObjectMeta {
                name: Some(self.project.password_secret_name()),
                namespace: self.project.namespace(),
                ..meta
            },
            type_: Some("Opaque".to_owned()),
            data: Some(BTreeMap::from([(PASSWORD.to_owned(), bytes)])),
            ..Secret::default()
        }
    }
}

/// Somebody else removed it first: nothing is left to do.
fn done(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Ok(()) | Err(Error::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A password of a Secret of ours; what a person put there and cannot be one counts as none.
fn text(secret: &Secret, key: &str) -> Option<SecretString> {
    let ByteString(bytes) = secret.data.as_ref()?.get(key)?;
    password::check(bytes).ok().map(SecretString::from)
}
