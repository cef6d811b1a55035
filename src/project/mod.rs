//! The room of `SupabaseProject`: observe (reads only), decide (pure), perform (one effect).

mod decide;
mod facts;
mod memory;
mod names;
mod observe;
mod password;
mod perform;
mod places;
pub mod refs;
mod remember;
mod rollout;
pub mod settings;
mod step;
#[cfg(test)]
mod tests;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use kube::Api;

use crate::api::project::ConnectionRef;
use crate::api::{Kind, ObjectKey, ObjectRef, ProjectStatus, SupabaseProject};
use crate::controller::{
    Context, Decision, Inputs, Outcome, Reconcile, Reconciler, ReleaseDecision, Store,
    has_conditions,
};
use crate::inventory::Inventories;
use crate::kubernetes::{self, Partly};
use crate::outputs::Authorities;
use crate::parents::Parents;
use crate::rules::digest::DigestKey;
use crate::seen::SeenProject;
use crate::session::{ConnectionId, Session, Sessions};
use crate::versions::Versions;
use facts::Observed;
use memory::Memory;
use names::Names;
use places::Places;
use refs::Refs;
use step::Step;

/// What the room needs.
#[derive(Clone, Debug)]
pub struct ProjectParts {
    /// The context.
    pub context: Context,
    /// The live credentials.
    pub sessions: Sessions,
    /// The shared lists.
    pub inventories: Inventories,
    /// The key of digests in status.
    pub digest_key: DigestKey,
    /// A random name of this process.
    pub process: String,
    /// Where connections are looked up.
    pub parents: Parents,
    /// The projects, as they were seen last.
    pub projects: Store<SeenProject>,
    /// The versions in which Secrets were left.
    pub versions: Arc<Versions>,
    /// How often what is changing is looked at.
    pub transition_interval: Duration,
    /// How often what rests is looked at.
    pub rest_interval: Duration,
    /// How often keys and endpoints are compared with the outputs.
    pub drift_interval: Duration,
    /// The authorities of the databases, for outputs.
    pub authorities: Option<Authorities>,
    /// Whether workloads may be restarted.
    pub rollout_restart: bool,
}

/// All projects. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Projects {
    parts: Arc<ProjectParts>,
    memory: Arc<Memory>,
    names: Arc<Names>,
    refs: Arc<Refs>,
    places: Arc<Places>,
}

impl Projects {
    /// The room; `refs` must have been built.
    pub fn new(parts: ProjectParts, refs: Refs) -> Self {
        Self {
            parts: Arc::new(parts),
            memory: Arc::default(),
            names: Arc::default(),
            refs: Arc::new(refs),
            places: Arc::default(),
        }
    }
}

impl Projects {
    /// The session through which an object reaches the platform.
    fn session(&self, tenant: &str, wanted: &ConnectionRef) -> Option<Session> {
        self.sessions.find(&ConnectionId::named(tenant, wanted))
    }

    /// An object follows nothing on the platform any more.
    fn unfollow(&self, key: &ObjectKey) {
        self.inventories.unfollow(&reference_to(key));
    }
}

/// A project, as others name it.
fn reference_to(key: &ObjectKey) -> ObjectRef {
    ObjectRef { kind: Kind::SupabaseProject, key: key.clone() }
}

impl std::ops::Deref for Projects {
    type Target = ProjectParts;

    fn deref(&self) -> &ProjectParts {
        &self.parts
    }
}

has_conditions!(ProjectStatus: SupabaseProject);

impl Reconciler for Projects {
    type Object = SupabaseProject;
    type Seen = SeenProject;
    type Observed = Observed;
    type Step = Step;

    fn api(&self, namespace: Option<&str>) -> Api<SupabaseProject> {
        kubernetes::objects(&self.context.client, namespace)
    }

    fn new_object(&self, key: &ObjectKey) -> Option<Arc<SeenProject>> {
        self.projects.get(key).filter(|seen| seen.is_new())
    }

    async fn needs_finalizer(&self, object: &SupabaseProject) -> Result<bool, kubernetes::Error> {
        // Nothing was made yet that would have to be looked after, and nothing will be.
        Ok(!object.spec.suspend)
    }

    async fn observe(&self, object: &SupabaseProject) -> Result<Observed, kubernetes::Error> {
        observe::observe(self, object).await
    }

    fn remember(&self, object: &SupabaseProject, observed: &mut Observed) {
        remember::remember(self, object, observed);
    }

    fn decide(
        &self,
        object: &SupabaseProject,
        observed: &Observed,
        inputs: &Inputs<'_>,
    ) -> Decision<Step, ProjectStatus> {
        decide::decide(object, observed, inputs)
    }

    async fn perform(
        &self,
        reconcile: &mut Reconcile<SupabaseProject>,
        step: Step,
        observed: Observed,
        status: ProjectStatus,
    ) -> Outcome<ProjectStatus> {
        let outcome = perform::perform(self, reconcile, step.clone(), observed, status).await;
        if matches!(step, Step::Release(_)) && outcome.worked {
            let key = ObjectKey::of(reconcile.object());
            self.memory.forget(&key);
            self.versions.forget(&reference_to(&key));
            self.unfollow(&key);
        }
        outcome
    }

    fn unsaid(&self, key: &ObjectKey) {
        self.memory.unsaid(key);
    }

    fn release(&self, seen: &SeenProject, partly: &Partly<SupabaseProject>) -> ReleaseDecision {
        decide::release_decision(seen, partly)
    }

    fn forget(&self, key: &ObjectKey) {
        self.refs.free(key);
        self.memory.forget(key);
        self.versions.forget(&reference_to(key));
        self.unfollow(key);
    }
}
