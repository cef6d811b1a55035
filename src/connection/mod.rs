//! The room of `SupabaseConnection` and `ClusterSupabaseConnection`: observe (reads only), decide (pure), perform
//! (one effect). Both kinds are one room: they differ in where their Secrets are and whom they admit.

mod decide;
mod facts;
mod observe;
mod perform;
mod remember;
mod report;
mod secrets;
mod users;

use std::marker::PhantomData;
use std::sync::Arc;

use kube::{Api, Client};

use crate::api::connection::Connection;
use crate::api::{ClusterSupabaseConnection, ConnectionStatus, ObjectKey, SupabaseConnection};
use crate::controller::{
    Decision, HasConditions, Inputs, Outcome, Reconcile, Reconciler, ReleaseDecision,
    has_conditions,
};
use crate::kubernetes::{self, Partly};
use crate::rules::clock::Clock;
use crate::rules::link::ConsentLinks;
use crate::seen::SeenConnection;
use crate::session::{ConnectionId, Sessions};
use facts::{Observed, Step};

/// One of the two kinds.
pub trait Room: Connection + HasConditions<Status = ConnectionStatus> {
    /// Where its objects are.
    fn api(client: &Client, namespace: Option<&str>) -> Api<Self>;
}

impl Room for SupabaseConnection {
    fn api(client: &Client, namespace: Option<&str>) -> Api<Self> {
        kubernetes::objects(client, namespace)
    }
}

impl Room for ClusterSupabaseConnection {
    fn api(client: &Client, _: Option<&str>) -> Api<Self> {
        Api::all(client.clone())
    }
}

has_conditions!(ConnectionStatus: SupabaseConnection, ClusterSupabaseConnection);

/// All connections of a kind. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connections<C> {
    sessions: Sessions,
    clock: Arc<dyn Clock>,
    consent: Consent,
    kind: PhantomData<fn() -> C>,
}

/// How the operator helps people to consent.
#[derive(Clone, Debug, Default)]
pub struct Consent {
    /// Addresses of the pages, if it serves them.
    pub links: Option<ConsentLinks>,
    /// The Secret with its own app, in its own namespace, for connections that name none.
    pub app_secret: Option<String>,
}

impl<C> Connections<C> {
    /// The room. [`Sessions::takeover`] must have ended before the first reconcile.
    pub fn new(sessions: Sessions, clock: Arc<dyn Clock>, consent: Consent) -> Self {
        Self { sessions, clock, consent, kind: PhantomData }
    }
}

impl<C: Room> Reconciler for Connections<C> {
    type Object = C;
    type Seen = SeenConnection;
    type Observed = Observed;
    type Step = Step;

    fn api(&self, namespace: Option<&str>) -> Api<C> {
        C::api(self.sessions.client(), namespace)
    }

    async fn needs_finalizer(&self, object: &C) -> Result<bool, kubernetes::Error> {
        // The state Secret must be cleaned up; a token of the user's need not.
        if object.view().auth.oauth.is_some() {
            return Ok(true);
        }
        let id = ConnectionId::new(<C as Connection>::KIND, &ObjectKey::of(object));
        let session = self.sessions.open(&id);
        // Whoever asks for the session makes it known; who did so before this process is looked up once.
        if session.is_asked_for() {
            return Ok(true);
        }
        if session.memory().users_read {
            return Ok(false);
        }
        let used = users::of(self, &id).await?.count > 0;
        session.remember(|memory| memory.users_read = true);
        Ok(used)
    }

    async fn observe(&self, object: &C) -> Result<Observed, kubernetes::Error> {
        observe::observe(self, object).await
    }

    fn remember(&self, object: &C, observed: &mut Observed) {
        remember::remember(self, object, observed);
    }

    fn decide(
        &self,
        object: &C,
        observed: &Observed,
        inputs: &Inputs<'_>,
    ) -> Decision<Step, ConnectionStatus> {
        decide::decide(object, observed, inputs)
    }

    async fn perform(
        &self,
        reconcile: &mut Reconcile<C>,
        step: Step,
        observed: Observed,
        status: ConnectionStatus,
    ) -> Outcome<ConnectionStatus> {
        perform::perform(self, reconcile, step, observed, status).await
    }

    fn unsaid(&self, key: &ObjectKey) {
        // Whoever waits for the first look need not wait for one that succeeds.
        let id = ConnectionId::new(<C as Connection>::KIND, key);
        if let Some(session) = self.sessions.find(&id) {
            session.looked_in_vain();
        }
    }

    fn release(&self, _: &SeenConnection, partly: &Partly<C>) -> ReleaseDecision {
        // Its status proves nothing that its deletion needs; its Secrets hang on its name and UID.
        if partly.rest.is_some() {
            return ReleaseDecision::Proceed;
        }
        ReleaseDecision::Block(
            "update the operator: it must remove the Secret with the tokens".to_owned(),
        )
    }

    fn forget(&self, key: &ObjectKey) {
        let id = ConnectionId::new(<C as Connection>::KIND, key);
        self.sessions.gateway().holds(&id, None);
        self.sessions.close(&id);
    }
}
