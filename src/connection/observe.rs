//! What a reconcile reads: Secrets, live, and who uses the connection. No effects.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};
use secrecy::ExposeSecret as _;

use super::facts::{Credentials, Granted, Observed, Origin, Read, Seed, Users};
use super::secrets::{Data, malformed, moment, text};
use super::{Connections, users};
use crate::api::connection::{Connection, OAuth, PersonalAccessToken};
use crate::api::project::ConnectionKind;
use crate::api::reference::SecretRef;
use crate::api::{ConditionType, ObjectKey, Reason, annotations};
use crate::controller::Problem;
use crate::ending;
use crate::kubernetes::{self, Error};
use crate::management::OAuthApp;
use crate::rules::conditions::{self, Truth};
use crate::session::token_store::{App, Grants, StateRead, Store, Token, TokenState};
use crate::session::{ConnectionId, Session, SessionState};

/// Scoped personal access tokens begin like this, and may be limited to projects.
const SCOPED: &str = "sbp_fc";

/// Reads everything.
pub async fn observe<C: Connection>(room: &Connections<C>, object: &C) -> Result<Observed, Error> {
    let id = ConnectionId::new(<C as Connection>::KIND, &ObjectKey::of(object));
    let session = room.sessions.open(&id);
    let leaving = object.meta().deletion_timestamp.is_some();
    let observer = Observer { room, object, id: &id, session: &session, leaving };
    let users = if leaving { Some(users::of(room, &id).await?) } else { None };
    let auth = object.view().auth;
    let store = room.store(object);
    let mut state = StateRead::Absent;
    if auth.oauth.is_some() || leaving {
        let lives = |uid: &str| room.sessions.index().lives(uid);
        state = match store.read(&lives).await {
            Err(error) if observer.is_without_rights(&error).await => StateRead::Absent,
            read => read?,
        };
    }
    let of_another_key = match &state {
        StateRead::Ours(state, _) => state.is_of_another_key(room.sessions.digest_key()),
        StateRead::Absent | StateRead::Foreign | StateRead::Damaged(_) => false,
    };
    let marked = match &state {
        StateRead::Ours(_, secret) => store.is_marked(secret),
        StateRead::Absent | StateRead::Foreign | StateRead::Damaged(_) => true,
    };
    let (mut grants, mut looked_for_grants) = (None, false);
    if (auth.oauth.is_some() && observer.may_have_grants()) || leaving {
        looked_for_grants = true;
        grants = match observer.grants().await {
            Err(error) if observer.is_without_rights(&error).await => None,
            read => read?,
        };
    }
    let credentials = match (&auth.personal_access_token, &auth.oauth) {
        (Some(pat), _) => Credentials::Pat(observer.pat(pat).await?),
        (None, None) => Credentials::Pat(Read::NotNamed),
        (None, Some(oauth)) => {
            let app = observer.app(oauth).await?;
            let mut seed = observer.seed(oauth).await?;
            if let Some(granted) = grants.as_ref().filter(|_| !of_another_key) {
                seed = observer.consented(granted, &state).unwrap_or(seed);
            }
            Credentials::OAuth { app, seed }
        }
    };
    let revokes = leaving && observer.revokes(&credentials, users.as_ref());
    Ok(Observed {
        credentials,
        grants,
        looked_for_grants,
        revokes,
        connect: observer.connect(),
        consent_url: observer.consent_url(),
        of_another_key,
        marked,
        state,
        state_name: store.name().to_owned(),
        shared: false,
        memory: session.memory(),
        capabilities: session.capabilities(),
        replaced: session.was_replaced(),
        was_ready: !leaving && was_ready(object),
        process: room.sessions.process().to_owned(),
        users,
        interval: room.sessions.options().credentials_interval,
    })
}

impl<C: Connection> Connections<C> {
    /// Where what consents have given to an object is kept.
    pub(super) fn grants(&self, object: &C) -> Grants {
        let id = ConnectionId::new(<C as Connection>::KIND, &ObjectKey::of(object));
        Grants::new(
            self.sessions.client().clone(),
            self.sessions.namespace_of(&id),
            object.grants_secret_name(),
            object.uid().unwrap_or_default(),
        )
        .bearing(object.view().secret_template)
    }

    /// Where an object's state is kept.
    pub(super) fn store(&self, object: &C) -> Store {
        let id = ConnectionId::new(<C as Connection>::KIND, &ObjectKey::of(object));
        let namespace = self.sessions.namespace_of(&id);
        Store::new(
            self.sessions.client().clone(),
            self.sessions.digest_key().clone(),
            id,
            object.uid().unwrap_or_default(),
            namespace,
            object.state_secret_name(),
        )
        .bearing(object.view().secret_template)
    }
}

struct Observer<'a, C: Connection> {
    room: &'a Connections<C>,
    object: &'a C,
    id: &'a ConnectionId,
    session: &'a Session,
    leaving: bool,
}

impl<C: Connection> Observer<'_, C> {
    /// Whether nothing can be cleaned up because the namespace is going, and took the operator's rights with it.
    async fn is_without_rights(&self, error: &Error) -> bool {
        let namespace = self.object.meta().namespace.as_deref();
        self.leaving && ending::took_rights(self.room.sessions.client(), namespace, error).await
    }

    async fn own_secret(&self, name: &str) -> Result<Result<Data, Problem>, Error> {
        self.secret(&self.room.sessions.namespace_of(self.id), name).await
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Result<Data, Problem>, Error> {
        let api = Api::<Secret>::namespaced(self.room.sessions.client().clone(), namespace);
        match kubernetes::get(&api, name).await {
            Ok(Some(secret)) => Ok(Ok(secret.data.unwrap_or_default())),
            Ok(None) => Ok(Err(Problem::new(
                Reason::SecretNotFound,
                format!("the Secret {name} does not exist in the namespace {namespace}; create it"),
            ))),
            Err(Error::Forbidden(_)) => Ok(Err(Problem::new(
                Reason::SecretNotFound,
                format!(
                    "the operator may not read the Secret {name} in the namespace {namespace}; grant it the verb get"
                ),
            ))),
            Err(error) => Err(error),
        }
    }

    async fn pat(&self, pat: &PersonalAccessToken) -> Result<Read<(Token, bool)>, Error> {
        let (name, key) = (&pat.secret_key_ref.name, &pat.secret_key_ref.key);
        let data = match self.own_secret(name).await? {
            Ok(data) => data,
            Err(problem) => return Ok(Read::Bad(problem)),
        };
        Ok(match text(&data, name, key) {
            Ok(value) => {
                let scoped = value.expose_secret().starts_with(SCOPED);
                Read::There((Token::access(self.room.sessions.digest_key(), value), scoped))
            }
            Err(problem) => Read::Bad(problem),
        })
    }

    /// The app that the connection names, or the operator's own.
    async fn app(&self, oauth: &OAuth) -> Result<Read<App>, Error> {
        let (namespace, name) = match (&oauth.app_secret_ref, &self.room.consent.app_secret) {
            (Some(SecretRef { name }), _) => (self.room.sessions.namespace_of(self.id), name),
            (None, Some(name)) => (self.room.sessions.namespace().to_owned(), name),
            (None, None) => return Ok(Read::NotNamed),
        };
        let read = self.secret(&namespace, name).await?.and_then(|data| {
            let client_id = text(&data, name, "client_id")?;
            let client_secret = text(&data, name, "client_secret")?;
            let parts = [client_id.expose_secret(), client_secret.expose_secret()];
            let key = self.room.sessions.digest_key();
            let digest = key.digest("oauth-app", parts.map(str::as_bytes));
            let client_id = client_id.expose_secret().to_owned();
            if client_id.contains(':') {
                return Err(malformed(name, "client_id"));
            }
            Ok(App { app: OAuthApp { client_id, client_secret }, digest })
        });
        Ok(match read {
            Ok(app) => Read::There(app),
            // While projects still have to be deleted, the app that was known last must do.
            Err(problem) => self
                .session
                .last_app()
                .filter(|_| self.leaving)
                .map_or(Read::Bad(problem), Read::There),
        })
    }

    async fn seed(&self, oauth: &OAuth) -> Result<Read<Seed>, Error> {
        let Some(SecretRef { name }) = &oauth.token_secret_ref else {
            return Ok(Read::NotNamed);
        };
        let data = match self.own_secret(name).await? {
            Ok(data) => data,
            Err(problem) => return Ok(Read::Bad(problem)),
        };
        let key = self.room.sessions.digest_key();
        let optional = |field: &str| match data.get(field) {
            None => Ok(None),
            Some(bytes) if bytes.0.trim_ascii().is_empty() => Ok(None),
            Some(_) => text(&data, name, field).map(Some),
        };
        let tokens =
            optional("access_token").and_then(|access| Ok((access, optional("refresh_token")?)));
        Ok(match tokens {
            Err(problem) => Read::Bad(problem),
            Ok((None, None)) => Read::Bad(Problem::new(
                Reason::SecretInvalid,
                format!(
                    "the Secret {name} holds neither refresh_token nor access_token; put at least one into it"
                ),
            )),
            Ok((access, refresh)) => Read::There(Seed {
                name: name.clone(),
                access: access.map(|value| Token::access(key, value)),
                refresh: refresh.map(|value| Token::refresh(key, value)),
                expires_at: data.get("expires_at").and_then(moment),
                origin: Origin::Secret,
            }),
        })
    }

    /// Whether nobody needs the authorization any more, and the user wants it to end.
    fn revokes(&self, credentials: &Credentials, users: Option<&Users>) -> bool {
        let wanted =
            self.object.view().auth.oauth.as_ref().is_some_and(|oauth| oauth.revoke_on_delete);
        let unused = users.is_some_and(|users| users.count == 0);
        let Credentials::OAuth { app: Read::There(app), .. } = credentials else {
            return false;
        };
        let stored = Connection::status(self.object)
            .map(|status| status.organizations.as_slice())
            .unwrap_or_default();
        let organizations: Vec<_> = stored.iter().map(|one| one.slug.clone()).collect();
        wanted && unused && !self.room.sessions.has_sibling(self.id, app, &organizations)
    }

    /// Whether a consent may have brought something: while there is no usable credential, while consent is asked for,
    /// when somebody asks for a look, and as long as there is something to sweep.
    fn may_have_grants(&self) -> bool {
        let status = Connection::status(self.object);
        let handled = status.and_then(|status| status.last_handled_reconcile_at.as_ref());
        let asked = annotations::requested(self.object);
        self.session.state() != SessionState::Usable
            || self.session.memory().has_grants
            || status.is_some_and(|status| status.consent_url.is_some())
            || asked.is_some_and(|asked| Some(&asked) != handled)
    }

    /// The command with which somebody consents in a terminal.
    fn connect(&self) -> String {
        let name = self.object.name_any();
        let namespace = self.room.sessions.namespace_of(self.id);
        let cluster = match <C as Connection>::KIND {
            ConnectionKind::SupabaseConnection => "",
            ConnectionKind::ClusterSupabaseConnection => " --cluster",
        };
        let view = self.object.view();
        let lacks_app =
            view.auth.oauth.as_ref().is_some_and(|oauth| oauth.app_secret_ref.is_none());
        let app = match &self.room.consent.app_secret {
            Some(secret) if lacks_app => {
                format!(" --app-secret {}/{secret}", self.room.sessions.namespace())
            }
            _ => String::new(),
        };
        format!("supabase-operator connect {name} --namespace {namespace}{cluster}{app}")
    }

    /// Where consent can be given: only for OAuth, and only where the organization is named.
    fn consent_url(&self) -> Option<String> {
        let view = self.object.view();
        let links = self.room.consent.links.as_ref()?;
        let uid = self.object.uid()?;
        (view.auth.oauth.is_some() && view.organization_slug.is_some() && !self.leaving)
            .then(|| links.url(&uid))
    }

    async fn grants(&self) -> Result<Option<Granted>, Error> {
        let Some(read) = self.room.grants(self.object).read().await? else {
            return Ok(None);
        };
        let key = self.room.sessions.digest_key();
        let refresh = read
            .entries
            .iter()
            .filter_map(|entry| {
                let token = Token::refresh(key, entry.pair.as_ref()?.refresh.clone());
                Some((entry.flow.clone(), token.digest))
            })
            .collect();
        Ok(Some(Granted { read, refresh }))
    }

    /// What a consent has given wins over the seed Secret: it was given because that one does not work.
    fn consented(&self, granted: &Granted, state: &StateRead) -> Option<Read<Seed>> {
        let empty = TokenState::default();
        let state = match state {
            StateRead::Ours(state, _) => state,
            StateRead::Absent => &empty,
            StateRead::Foreign | StateRead::Damaged(_) => return None,
        };
        let entry = granted.offered(state)?;
        let pair = entry.pair.as_ref()?;
        let key = self.room.sessions.digest_key();
        Some(Read::There(Seed {
            name: self.object.grants_secret_name(),
            access: Some(Token::access(key, pair.access.clone())),
            refresh: Some(Token::refresh(key, pair.refresh.clone())),
            expires_at: pair.expires_at,
            origin: Origin::Consent { flow: entry.flow.clone(), limited: pair.limited },
        }))
    }
}

/// Whether the status says that the connection is ready, and speaks of its present generation.
fn was_ready<C: Connection>(object: &C) -> bool {
    let conditions = Connection::status(object).map(|status| status.conditions.as_slice());
    let ready = conditions::find(conditions.unwrap_or_default(), ConditionType::Ready.as_str());
    ready.is_some_and(|ready| {
        ready.status == Truth::Yes.as_str() && ready.observed_generation == object.meta().generation
    })
}
