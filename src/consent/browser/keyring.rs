//! The keys that seal what travels through browsers, in a Secret that all replicas share.
//!
//! A new one is made every day by whoever needs it first; the one before opens flows that are under way for an hour
//! more. A replica that meets a name it does not know reads the Secret anew, so that no replica must be told. Touches
//! this one Secret of the operator's namespace.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::seal::{KEY_LENGTH, SealKey, key_name};
use crate::environment::Environment;
use crate::keys;
use crate::kubernetes::{self, Error};

/// The Secret's name.
const NAME: &str = "supabase-operator-consent-keys";
/// How the keys within it are named: this, and the second in which they were made.
const PREFIX: &str = "flow-";
/// How long a key seals.
const LIFE: SignedDuration = SignedDuration::from_hours(24);
/// How long it opens after its successor was made: longer than any flow.
const AFTERLIFE: SignedDuration = SignedDuration::from_hours(1);
/// How old what was read may be when something is sealed: so long may a key that somebody removed still be used.
const FRESH: Duration = Duration::from_secs(60);
/// Between two reads for the sake of unknown names, which anybody can send.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a write that was overtaken is tried again.
const TRIES: u32 = 8;

/// The keys.
pub struct Keyring {
    environment: Environment,
    namespace: String,
    known: Mutex<Option<Known>>,
}

/// What was read of the Secret.
#[derive(Debug)]
struct Known {
    read_at: Duration,
    /// The newest is the last.
    keys: Vec<(Timestamp, SealKey)>,
}

impl Keyring {
    /// The keyring of the operator whose namespace this is.
    pub fn new(environment: Environment, namespace: String) -> Self {
        Self { environment, namespace, known: Mutex::new(None) }
    }

    /// The key to seal with. Makes a new one when its time has come.
    ///
    /// # Errors
    /// When the Secret can be neither read nor written.
    pub async fn newest(&self) -> Result<SealKey, Error> {
        let mut known = self.known.lock().await;
        let (now, uptime) = (self.environment.clock.now(), self.environment.clock.uptime());
        let fresh = known
            .as_ref()
            .filter(|known| known.read_at + FRESH > uptime)
            .and_then(|known| known.keys.last())
            .filter(|(made, _)| !has_passed(*made, LIFE, now));
        if let Some((_, key)) = fresh {
            return Ok(key.clone());
        }
        let keys = self.renew(now).await?;
        let newest = keys.last().map(|(_, key)| key.clone());
        *known = Some(Known { read_at: uptime, keys });
        newest.ok_or(Error::Invalid)
    }

    /// What was sealed for a purpose; nothing if it was not sealed with a key of this ring.
    ///
    /// # Errors
    /// When the Secret cannot be read.
    pub async fn open(
        &self,
        purpose: &str,
        sealed: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let Some(name) = key_name(sealed) else {
            return Ok(None);
        };
        let mut known = self.known.lock().await;
        let of_name = |known: &Known| {
            let found = known.keys.iter().find(|(_, key)| key.name() == name);
            found.map(|(_, key)| key.clone())
        };
        let mut key = known.as_ref().and_then(of_name);
        let uptime = self.environment.clock.uptime();
        let patient = known.as_ref().is_some_and(|known| known.read_at + PATIENCE > uptime);
        if key.is_none() && !patient {
            let read = Known {
                read_at: uptime,
                keys: self.read().await?.map(|secret| keys_of(&secret)).unwrap_or_default(),
            };
            key = of_name(&read);
            *known = Some(read);
        }
        Ok(key.and_then(|key| key.open(purpose, sealed)))
    }

    fn api(&self) -> Api<Secret> {
        Api::namespaced(self.environment.client.clone(), &self.namespace)
    }

    async fn read(&self) -> Result<Option<Secret>, Error> {
        kubernetes::get(&self.api(), NAME).await
    }

    /// Reads the keys, after making a new one if that is due.
    async fn renew(&self, now: Timestamp) -> Result<Vec<(Timestamp, SealKey)>, Error> {
        for _ in 0..TRIES {
            let there = self.read().await?;
            let keys = there.as_ref().map(keys_of).unwrap_or_default();
            let due = keys.last().is_none_or(|(made, _)| has_passed(*made, LIFE, now));
            if !due {
                return Ok(keys);
            }
            let (secret, written) = if let Some(mut secret) = there {
                secret.data = Some(self.renewed(secret.data.as_ref(), now));
                let written = kubernetes::replace(&self.api(), &secret).await;
                (secret, written)
            } else {
                let data = self.renewed(None, now);
                let secret = keys::secret(&self.namespace, NAME, data);
                let written = kubernetes::create(&self.api(), &secret).await;
                (secret, written)
            };
            match written {
                Ok(_) => return Ok(keys_of(&secret)),
                // Another replica was faster: its key counts.
                Err(Error::Conflict | Error::Exists | Error::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Conflict)
    }

    /// The data with a new key, and without those that open nothing any more.
    fn renewed(
        &self,
        data: Option<&BTreeMap<String, ByteString>>,
        now: Timestamp,
    ) -> BTreeMap<String, ByteString> {
        let mut data = data.cloned().unwrap_or_default();
        let mut made: Vec<_> = data.keys().filter_map(|name| moment(name)).collect();
        made.sort_unstable();
        for (one, next) in made.iter().zip(made.iter().skip(1)) {
            if has_passed(*next, AFTERLIFE, now) {
                data.remove(&name(*one));
            }
        }
        let mut key = vec![0; KEY_LENGTH];
        self.environment.random.fill(&mut key);
        data.insert(name(now), ByteString(key));
        data
    }
}

fn name(made: Timestamp) -> String {
    format!("{PREFIX}{}", made.as_second())
}

fn moment(name: &str) -> Option<Timestamp> {
    let second = name.strip_prefix(PREFIX)?.parse().ok()?;
    Timestamp::from_second(second).ok()
}

fn keys_of(secret: &Secret) -> Vec<(Timestamp, SealKey)> {
    let data = secret.data.iter().flatten();
    let mut keys: Vec<_> = data
        .filter_map(|(name, bytes)| Some((moment(name)?, SealKey::new(name.clone(), &bytes.0)?)))
        .collect();
    keys.sort_by_key(|(made, _)| *made);
    keys
}

/// Whether a time has passed since a moment. One in the future, by a clock that was wrong, counts as passed at once
/// when it is further ahead than that time.
fn has_passed(since: Timestamp, time: SignedDuration, now: Timestamp) -> bool {
    now.duration_since(since).abs() >= time
}
