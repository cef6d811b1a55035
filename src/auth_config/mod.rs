//! The room of `SupabaseAuthConfig`: how people sign in to a project. Observe (reads only), decide (pure), perform (one request).
//!
//! Driven by one table of fields ([`fields`]): from the spec and the platform's answer to groups of the settings engine
//! ([`groups`]), and from a planned write to what is sent ([`change`]). What a field is stands in its row and nowhere else.
//!
//! An object has no finalizer of ours: when it goes, the platform is left as it is.

mod decide;
mod declared;
mod facts;
pub mod fields;
mod memory;
mod observe;
mod perform;
mod remember;
#[cfg(test)]
mod tests;
mod values;

use std::sync::Arc;
use std::time::Duration;

use kube::Api;

use crate::api::{AuthConfigStatus, Kind, ObjectKey, ObjectRef, SupabaseAuthConfig};
use crate::controller::{
    Context, Decision, Inputs, Outcome, Reconcile, Reconciler, ReleaseDecision, Store,
    has_conditions,
};
use crate::kubernetes::{self, Partly};
use crate::parents::Parents;
use crate::rules::digest::DigestKey;
use crate::seen::SeenAuthConfig;
use crate::versions::Versions;
pub use declared::{Resolved, change, groups, secret_refs};
use facts::{Observed, Step};
use memory::Memory;

/// What the room needs.
#[derive(Clone, Debug)]
pub struct AuthConfigParts {
    /// What every reconcile is given.
    pub context: Context,
    /// Where projects and connections are looked up.
    pub parents: Parents,
    /// All Auth settings, as they were seen last.
    pub auth_configs: Store<SeenAuthConfig>,
    /// The versions in which Secrets were left.
    pub versions: Arc<Versions>,
    /// The key of digests in status.
    pub digest_key: DigestKey,
    /// How often settings are compared.
    pub drift_interval: Duration,
}

/// All Auth settings. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuthConfigs {
    parts: Arc<AuthConfigParts>,
    memory: Arc<Memory>,
}

impl AuthConfigs {
    /// The room.
    pub fn new(parts: AuthConfigParts) -> Self {
        Self { parts: Arc::new(parts), memory: Arc::default() }
    }
}

impl std::ops::Deref for AuthConfigs {
    type Target = AuthConfigParts;

    fn deref(&self) -> &AuthConfigParts {
        &self.parts
    }
}

has_conditions!(AuthConfigStatus: SupabaseAuthConfig);

impl Reconciler for AuthConfigs {
    type Object = SupabaseAuthConfig;
    type Seen = SeenAuthConfig;
    type Observed = Observed;
    type Step = Step;

    fn api(&self, namespace: Option<&str>) -> Api<SupabaseAuthConfig> {
        kubernetes::objects(&self.context.client, namespace)
    }

    async fn needs_finalizer(&self, _: &SupabaseAuthConfig) -> Result<bool, kubernetes::Error> {
        Ok(false)
    }

    async fn observe(&self, object: &SupabaseAuthConfig) -> Result<Observed, kubernetes::Error> {
        observe::observe(self, object).await
    }

    fn remember(&self, object: &SupabaseAuthConfig, observed: &mut Observed) {
        remember::remember(self, object, observed);
    }

    fn decide(
        &self,
        object: &SupabaseAuthConfig,
        observed: &Observed,
        inputs: &Inputs<'_>,
    ) -> Decision<Step, AuthConfigStatus> {
        decide::decide(object, observed, inputs)
    }

    async fn perform(
        &self,
        reconcile: &mut Reconcile<SupabaseAuthConfig>,
        step: Step,
        observed: Observed,
        status: AuthConfigStatus,
    ) -> Outcome<AuthConfigStatus> {
        perform::perform(self, reconcile, step, observed, status).await
    }

    fn unsaid(&self, key: &ObjectKey) {
        self.memory.unsaid(key);
    }

    fn release(&self, _: &SeenAuthConfig, _: &Partly<SupabaseAuthConfig>) -> ReleaseDecision {
        // Nothing of it is held.
        ReleaseDecision::Release(None)
    }

    fn forget(&self, key: &ObjectKey) {
        self.memory.forget(key);
        self.versions.forget(&ObjectRef { kind: Kind::SupabaseAuthConfig, key: key.clone() });
    }
}
