//! A world on its own, driven with virtual time, every answer judged by the official document.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use simulated_platform::openapi::{Contract, deviation};
use simulated_platform::{Answer, Config, Delivery, Limiter, Pat, Plan, World};

/// The document, where the environment names it.
pub static CONTRACT: LazyLock<Option<Contract>> = LazyLock::new(|| Contract::from_env().unwrap());

/// A password that no check refuses.
pub const PASSWORD: &str = "correct-horse-battery-staple";

pub struct Stage {
    pub world: World,
    pub now: Timestamp,
    /// A classic personal access token of the owner.
    pub token: String,
    /// Everything that was sent and answered.
    pub log: Vec<(Request<Bytes>, Answer)>,
}

/// What a client sees.
#[derive(Debug)]
pub struct Seen {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
    pub delivery: Delivery,
}

impl Seen {
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_else(|| panic!("no message: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Everything at once and no rate limit.
pub fn calm() -> Config {
    Config { limiter: Limiter::Off, ..Config::instant() }
}

/// As recorded, without a rate limit.
pub fn slow() -> Config {
    Config { limiter: Limiter::Off, ..Config::default() }
}

impl Stage {
    /// A world with the paid organization `acme` and the free one `free`, both of one owner, and `foreign`
    /// of somebody else.
    pub fn new(config: Config) -> Self {
        let mut world = World::new(config, 42);
        world.add_organization("acme", "Acme", Plan::Pro);
        world.add_organization("free", "Free", Plan::Free);
        world.add_foreign_organization("foreign", "Foreign", Plan::Pro, "stranger");
        let token = world.add_pat(Pat::classic());
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        Self { world, now, token, log: Vec::new() }
    }

    /// Lets time pass.
    pub fn pass(&mut self, duration: Duration) {
        self.now = self.now.checked_add(duration).unwrap();
        self.world.tick(self.now);
    }

    pub fn pass_seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// Sends a request as it is.
    pub fn send(&mut self, request: &Request<Bytes>) -> Seen {
        let answer = self.world.handle(request, self.now);
        judge(request, &answer);
        self.log.push((request.clone(), answer.clone()));
        let (parts, body) = answer.response.into_parts();
        Seen {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8_lossy(&body).into_owned(),
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
            delivery: answer.delivery,
        }
    }

    /// Asks with any token.
    pub fn ask_as(&mut self, token: &str, method: &str, path: &str, body: Option<Value>) -> Seen {
        self.send(&request(method, path, token, body))
    }

    pub fn ask(&mut self, method: &str, path: &str, body: Option<Value>) -> Seen {
        let token = self.token.clone();
        self.ask_as(&token, method, path, body)
    }

    pub fn get(&mut self, path: &str) -> Seen {
        self.ask("GET", path, None)
    }

    pub fn delete(&mut self, path: &str) -> Seen {
        self.ask("DELETE", path, None)
    }

    pub fn post(&mut self, path: &str, body: Value) -> Seen {
        self.ask("POST", path, Some(body))
    }

    /// A POST without a body.
    pub fn poke(&mut self, path: &str) -> Seen {
        self.ask("POST", path, None)
    }

    pub fn put(&mut self, path: &str, body: Value) -> Seen {
        self.ask("PUT", path, Some(body))
    }

    pub fn patch(&mut self, path: &str, body: Value) -> Seen {
        self.ask("PATCH", path, Some(body))
    }

    /// Creates a project in `acme` and returns its ref.
    pub fn create(&mut self, name: &str) -> String {
        self.create_in("acme", name)
    }

    pub fn create_in(&mut self, organization: &str, name: &str) -> String {
        let created = self.post("/v1/projects", order(organization, name));
        assert_eq!(created.status, 201, "{created:?}");
        created.body["ref"].as_str().unwrap().to_owned()
    }

    /// The status that the platform shows.
    pub fn status(&mut self, reference: &str) -> String {
        let shown = self.get(&format!("/v1/projects/{reference}"));
        shown.body["status"].as_str().unwrap_or_else(|| panic!("{shown:?}")).to_owned()
    }
}

/// A request with a token and perhaps a body.
pub fn request(method: &str, path: &str, token: &str, body: Option<Value>) -> Request<Bytes> {
    let mut request =
        Request::builder().method(method).uri(path).header("authorization", bearer(token));
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    request.body(body).unwrap()
}

pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// The body of an ordinary create.
pub fn order(organization: &str, name: &str) -> Value {
    json!({
        "name": name,
        "organization_slug": organization,
        "db_pass": PASSWORD,
        "region_selection": { "type": "specific", "code": "eu-central-1" },
    })
}

/// Fails where the document does not allow an answer, or a request that the platform took.
pub fn judge(request: &Request<Bytes>, answer: &Answer) {
    let Some(contract) = CONTRACT.as_ref() else {
        return;
    };
    if answer.scripted {
        return;
    }
    let mut wrong = contract.judge_answer(request, &answer.response);
    if !refused(&answer.response) {
        wrong.extend(contract.judge_request(request));
    }
    wrong.retain(|violation| deviation(violation).is_none());
    let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    assert!(
        wrong.is_empty(),
        "{}",
        wrong.join(
            "
"
        )
    );
}

fn refused(response: &Response<Bytes>) -> bool {
    response.status().is_client_error() || response.status().is_server_error()
}
