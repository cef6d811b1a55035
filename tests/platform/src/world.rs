//! The platform as one value: requests and time go in, answers come out.
//!
//! [`World::handle`] is the only way in over HTTP; what a person does in the dashboard is in `hand`.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use jiff::Timestamp;
use serde_json::Value;
use url::form_urlencoded;

use crate::access::{Caller, Identity};
use crate::answer::{Answer, Delivery, Reply, set};
use crate::clock::http_date;
use crate::config::{Config, Limiter, MessageShape};
use crate::faults::{Fault, Hit, Script};
use crate::hand::Slip;
use crate::ledger::{Ledger, Seen};
use crate::limits::{Allowance, Limits};
use crate::oauth::Credentials;
use crate::organization::{Organization, User};
use crate::project::{Fate, Project};
use crate::random::Random;
use crate::routes::{self, Operation, Route};

/// The user that every world starts with, owner of every organization added.
pub(crate) const FIRST_USER: &str = "owner";

/// The simulated platform.
#[derive(Clone, Debug)]
pub struct World {
    pub(crate) config: Config,
    pub(crate) random: Random,
    pub(crate) now: Timestamp,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) organizations: BTreeMap<String, Organization>,
    pub(crate) projects: BTreeMap<String, Project>,
    pub(crate) oauth: Credentials,
    pub(crate) fates: VecDeque<Fate>,
    pub(crate) failing_restores: u32,
    pub(crate) ledger: Ledger,
    limits: Limits,
    script: Script,
    pub(crate) slips: Vec<Slip>,
    next_due: Option<Timestamp>,
}

/// One request on its way through the platform.
pub(crate) struct Call<'a> {
    pub(crate) operation: Operation,
    pub(crate) captures: Vec<&'a str>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a Bytes,
    pub(crate) caller: Caller,
    pub(crate) message_shape: MessageShape,
}

impl Call<'_> {
    /// The first placeholder of the path: a ref or a slug.
    pub(crate) fn reference(&self) -> &str {
        self.captures.first().copied().unwrap_or_default()
    }

    /// The second placeholder of the path.
    pub(crate) fn second(&self) -> &str {
        self.captures.get(1).copied().unwrap_or_default()
    }

    /// The first query parameter of this name.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    /// Whether a query parameter says `true`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.query(name).as_deref() == Some("true")
    }

    /// The body as a JSON object; anything sent under another type is no body.
    pub(crate) fn json(&self) -> Result<serde_json::Map<String, Value>, Reply> {
        let is_json = self
            .headers
            .get(http::header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/json"));
        if !is_json || self.body.is_empty() {
            return Ok(serde_json::Map::new());
        }
        match serde_json::from_slice(self.body) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(self.invalid(&["Expected object, received another type"])),
            Err(_) => Err(Reply::error(400, "Unexpected token in JSON body")),
        }
    }

    /// A validation error.
    pub(crate) fn invalid(&self, messages: &[&str]) -> Reply {
        match self.message_shape {
            MessageShape::Text => Reply::error(400, &messages.join(",")),
            MessageShape::List => {
                Reply::json(400, serde_json::json!({ "message": messages, "error": "Bad Request" }))
            }
        }
    }
}

impl World {
    /// A platform with one user and nothing else. The same seed makes the same secrets.
    pub fn new(config: Config, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let owner = User { id: random.uuid(), name: FIRST_USER.to_owned() };
        Self {
            config,
            random,
            now: Timestamp::MIN,
            users: BTreeMap::from([(owner.name.clone(), owner)]),
            organizations: BTreeMap::new(),
            projects: BTreeMap::new(),
            oauth: Credentials::default(),
            fates: VecDeque::new(),
            failing_restores: 0,
            ledger: Ledger::default(),
            limits: Limits::default(),
            script: Script::default(),
            slips: Vec::new(),
            next_due: None,
        }
    }

    /// Everything seen and accepted.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Every secret that was ever handed out or accepted.
    pub fn canaries(&self) -> Vec<String> {
        self.ledger.secrets().map(str::to_owned).collect()
    }

    /// Adds a fault to the script.
    pub fn script(&mut self, fault: Fault) {
        self.script.push(fault);
    }

    /// Forgets all faults that have not struck.
    pub fn clear_script(&mut self) {
        self.script.clear();
    }

    /// How many scripted faults have not been used up.
    pub fn pending_faults(&self) -> usize {
        self.script.len()
    }

    /// The configuration.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Changes the configuration; what is under way keeps its times.
    pub const fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// A project, also one that is gone.
    pub fn project(&self, reference: &str) -> Option<&Project> {
        self.projects.get(reference)
    }

    /// All projects that are not gone, oldest first.
    pub fn projects(&self) -> impl Iterator<Item = &Project> {
        let mut projects: Vec<_> = self.projects.values().filter(|project| !project.gone).collect();
        projects.sort_by_key(|project| project.number);
        projects.into_iter()
    }

    /// The password that a project's database accepts now.
    pub fn accepted_password(&self, reference: &str) -> Option<&str> {
        self.projects.get(reference).map(|project| project.password.current.reveal())
    }

    /// Lets time pass. Time never goes back.
    pub fn tick(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        if self.next_due.is_none_or(|due| due > self.now) {
            return;
        }
        let references: Vec<_> = self.projects.keys().cloned().collect();
        self.next_due = None;
        for reference in references {
            self.change(&reference, |_, _, _| ());
        }
    }

    /// Changes a project and lets what is due happen at once.
    pub(crate) fn change<T>(
        &mut self,
        reference: &str,
        change: impl FnOnce(&mut Project, &Config, Timestamp) -> T,
    ) -> Option<T> {
        let project = self.projects.get_mut(reference)?;
        let free = self
            .organizations
            .get(&project.organization)
            .is_some_and(|organization| !organization.plan.is_paid());
        project.advance(self.now, &self.config, free);
        let result = change(project, &self.config, self.now);
        project.advance(self.now, &self.config, free);
        self.next_due = self.next_due.into_iter().chain(project.next_due()).min();
        Some(result)
    }

    /// Answers one request.
    pub fn handle(&mut self, request: &Request<Bytes>, now: Timestamp) -> Answer {
        self.tick(now);
        let (method, path) = (request.method(), request.uri().path());
        let found = routes::find(method, path);
        let endpoint = found.as_ref().map(|(route, _)| route.pattern);
        let caller = self.identify(request.headers());
        let identity = caller.identity.clone();
        let hit = self.script.strike(method, path);
        let response = if hit.as_ref().is_some_and(|hit| !hit.applied) {
            None
        } else {
            let keeps = hit.as_ref().and_then(|hit| hit.keeps.as_deref());
            let reduced = keeps.map(|keys| reduced(request, keys));
            Some(self.process(reduced.as_ref().unwrap_or(request), found, caller))
        };
        let status = response.as_ref().map(|response| response.status().as_u16());
        let scripted = hit.is_some();
        let (mut response, delivery) = self.disturb(hit, response, path);
        set(response.headers_mut(), "date", &http_date(self.now));
        let shown = matches!(endpoint, Some(pattern) if pattern.starts_with("/v1/oauth/"));
        self.ledger.see(Seen {
            at: self.now,
            method: method.clone(),
            path: path.to_owned(),
            query: if shown {
                String::new()
            } else {
                request.uri().query().unwrap_or_default().to_owned()
            },
            endpoint,
            identity,
            status: if delivery.arrives() { Some(response.status().as_u16()) } else { status },
            delivered: delivery.arrives(),
        });
        Answer { response, delivery, scripted }
    }

    fn disturb(
        &mut self,
        hit: Option<Hit>,
        response: Option<Response<Bytes>>,
        path: &str,
    ) -> (Response<Bytes>, Delivery) {
        let wrong = self.random_when(hit.as_ref());
        let response = response.unwrap_or_else(|| Reply::empty(503).into_response());
        match hit {
            None => (response, Delivery::Now),
            Some(hit) => hit.kind.disturb(response, path, &wrong),
        }
    }

    /// Another ref, drawn only where a fault needs one, so that faults do not change the rest of a run.
    fn random_when(&mut self, hit: Option<&Hit>) -> String {
        match hit {
            Some(hit) if hit.kind == crate::FaultKind::WrongRef => self.random.letters(20),
            Some(_) | None => String::new(),
        }
    }

    fn process(
        &mut self,
        request: &Request<Bytes>,
        found: Option<(&'static Route, Vec<&str>)>,
        caller: Caller,
    ) -> Response<Bytes> {
        let Some((route, captures)) = found else {
            if let Some(page) = self.dashboard(request) {
                return page;
            }
            let message = format!("Cannot {} {}", request.method(), request.uri().path());
            return Reply::error(404, &message).into_response();
        };
        let query = request.uri().query().unwrap_or_default();
        let call = Call {
            operation: route.operation,
            captures,
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers: request.headers(),
            body: request.body(),
            caller,
            message_shape: self.config.message_shape,
        };
        let allowance = self.count(route, &call);
        let reply = if allowance.is_some_and(|allowance| allowance.exceeded) {
            Reply::error(429, "ThrottlerException: Too Many Requests")
        } else {
            let (path, method) = (request.uri().path(), request.method());
            let admitted = call.caller.admit(route);
            let outcome = admitted.and_then(|()| self.perform_and_slip(&call, path, method));
            outcome.unwrap_or_else(|refusal| refusal)
        };
        let mut response = reply.into_response();
        let headers = response.headers_mut();
        if let Some(allowance) = allowance {
            allowance.announce(headers);
        }
        if let Some(user) = self.users.get(&call.caller.user) {
            set(headers, "x-gotrue-id", &user.id);
        }
        set(headers, "vary", "Origin");
        set(headers, "x-powered-by", "Express");
        response
    }

    fn count(&mut self, route: &Route, call: &Call<'_>) -> Option<Allowance> {
        let identity = if self.config.limiter.is_per_user() && !call.caller.user.is_empty() {
            format!("user {}", call.caller.user)
        } else {
            self.claimed_client_of(route, call).unwrap_or_else(|| call.caller.bucket())
        };
        let scope = match (call.captures.first(), route.operation) {
            (Some(captured), _) => (*captured).to_owned(),
            (None, Operation::CreateProject) => call
                .json()
                .ok()
                .and_then(|body| Some(body.get("organization_slug")?.as_str()?.to_owned()))
                .unwrap_or_default(),
            (None, _) => String::new(),
        };
        self.limits.count(self.config.limiter, &identity, &scope, route.label, self.now)
    }

    fn claimed_client_of(&self, route: &Route, call: &Call<'_>) -> Option<String> {
        let public = route.scope == routes::Scope::Public;
        let client = if public { self.claimed_client(call) } else { None };
        client.map(|client| format!("app {client}"))
    }

    /// Writes an effect of a call into the ledger.
    pub(crate) fn accept(&mut self, by: &Identity, effect: crate::Effect) {
        self.ledger.accept(self.now, by.clone(), effect);
    }
}

/// A request with only some of the fields of its body.
fn reduced(request: &Request<Bytes>, keys: &[String]) -> Request<Bytes> {
    let mut reduced = request.clone();
    if let Ok(Value::Object(mut body)) = serde_json::from_slice(request.body()) {
        body.retain(|key, _| keys.contains(key));
        *reduced.body_mut() = Bytes::from(Value::Object(body).to_string());
    }
    reduced
}

impl Limiter {
    const fn is_per_user(self) -> bool {
        matches!(self, Self::UserScope(_) | Self::Oldest(_))
    }
}
