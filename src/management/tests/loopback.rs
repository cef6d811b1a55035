//! The client over real sockets, against the simulated platform and against worse.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use simulated_platform::server::Server;
use simulated_platform::{Config, Fault, FaultKind, Pat, Plan, TokenPair, World};

use crate::management::*;

struct Setting {
    server: Server,
    client: Client,
    token: SecretString,
}

fn client(address: &str) -> Client {
    let base: BaseUrl = address.parse().unwrap();
    let network = Network::new(&base, None, None).unwrap();
    Client::new(base, Arc::new(network))
}

fn setting() -> Setting {
    let mut world = World::new(Config::instant(), 11);
    world.add_organization("acme", "Acme", Plan::Free);
    let token = world.add_pat(Pat::classic()).into();
    let server = Server::start(world, "127.0.0.1:0".parse().unwrap()).unwrap();
    let client = client(&server.endpoint());
    Setting { server, client, token }
}

impl Setting {
    async fn send<T>(&self, call: &Call<T>) -> Result<T, Error> {
        let exchange = self.client.send(call, Some(&self.token)).await;
        exchange.outcome.map(|answer| answer.value)
    }

    fn script(&self, kind: FaultKind) {
        self.server.world().script(Fault::on("*", "**", kind));
    }
}

fn acme() -> OrganizationSlug {
    "acme".parse().unwrap()
}

fn order(name: &str) -> NewProject {
    NewProject {
        name: name.to_owned(),
        organization: acme(),
        region: Region::Specific("eu-central-1".to_owned()),
        size: None,
        db_pass: "a-password-nobody-guesses".into(),
    }
}

fn page() -> Call<ProjectPage> {
    organization_projects(&acme(), 0, 100, Sort::NewestFirst)
}

#[tokio::test]
async fn a_project_lives_from_create_to_delete() {
    let setting = setting();
    let seen = setting.send(&organizations()).await.unwrap();
    assert_eq!(seen[0].slug, acme());
    let created = setting.send(&create_project(&order("orders"))).await.unwrap();
    assert_eq!((created.name.as_str(), created.organization.as_str()), ("orders", "acme"));
    let reference = created.reference;

    let listed = setting.send(&page()).await.unwrap();
    assert_eq!((listed.count, listed.projects[0].reference.clone()), (1, reference.clone()));
    let read = setting.send(&project(&reference)).await.unwrap();
    assert_eq!(read.status, Status::ActiveHealthy);
    assert!(read.database.unwrap().host.contains(reference.as_str()));

    setting.send(&rename_project(&reference, "sales")).await.unwrap();
    assert_eq!(setting.send(&project(&reference)).await.unwrap().name, "sales");
    let taken = Error::Rejected { status: 400, because: Rejection::NameTaken };
    assert_eq!(setting.send(&create_project(&order("sales"))).await.unwrap_err(), taken);

    let services = [Service::Database, Service::Auth, Service::Pooler];
    let health = setting.send(&health(&reference, &services)).await.unwrap();
    assert!(health.iter().all(|service| service.state == ServiceState::Healthy), "{health:?}");
    assert_eq!(health.len(), 3);
    let keys = setting.send(&api_keys(&reference)).await.unwrap();
    assert!(keys.iter().any(|key| key.kind == KeyKind::Secret && key.value.is_some()));
    let addresses = setting.send(&pooler(&reference)).await.unwrap();
    assert!(addresses[0].primary && addresses[0].user.ends_with(reference.as_str()));
}

#[tokio::test]
async fn a_projects_state_and_password_can_be_changed() {
    let setting = setting();
    let created = setting.send(&create_project(&order("orders"))).await.unwrap();
    let reference = created.reference;
    let password: SecretString = "another-password-nobody-guesses".into();
    setting.send(&change_password(&reference, &password)).await.unwrap();
    let accepted = setting.server.world().accepted_password(reference.as_str()).map(str::to_owned);
    assert_eq!(accepted.as_deref(), Some(password.expose_secret()));

    setting.send(&pause_project(&reference)).await.unwrap();
    assert_eq!(setting.send(&project(&reference)).await.unwrap().status, Status::Inactive);
    setting.send(&restore_project(&reference)).await.unwrap();
    let awake = Error::Rejected { status: 400, because: Rejection::NotPaused };
    assert_eq!(setting.send(&restore_project(&reference)).await.unwrap_err(), awake);
    setting.send(&delete_project(&reference)).await.unwrap();
    assert_eq!(setting.send(&project(&reference)).await.unwrap_err(), Error::NotFound);
}

#[tokio::test]
async fn a_refresh_token_gives_a_pair_once() {
    let setting = setting();
    let (app, TokenPair { refresh_token: seed, .. }) = {
        let mut world = setting.server.world();
        let app = world.register_app(&[], simulated_platform::ALL_SCOPES);
        let pair = world.authorize(&app, "acme", setting.server.now()).unwrap();
        (app, pair)
    };
    let app = OAuthApp { client_id: app.client_id, client_secret: app.client_secret.into() };
    let call = refresh_token(&app, &seed.into());
    let grant = setting.client.send(&call, None).await.outcome.unwrap().value;
    assert!(grant.refresh_token.is_some() && grant.expires_in.is_some());
    let with_new = setting.client.send(&organizations(), Some(&grant.access_token)).await;
    assert_eq!(with_new.outcome.unwrap().value.len(), 1);
    let used = Error::Rejected { status: 404, because: Rejection::InvalidGrant };
    assert_eq!(setting.client.send(&call, None).await.outcome.unwrap_err(), used);

    let stranger = OAuthApp { client_secret: "wrong".into(), ..app };
    let refused = setting.client.send(&refresh_token(&stranger, &"x".into()), None).await;
    let wrong = Error::Rejected { status: 401, because: Rejection::InvalidClient };
    assert_eq!(refused.outcome.unwrap_err(), wrong);
}

#[tokio::test]
async fn every_way_an_answer_can_fail_is_told_for_what_it_is() {
    let setting = setting();
    let lost = Error::Unreachable { sent: Sent::Perhaps };
    let late = Error::TimedOut { sent: Sent::Perhaps };
    for (kind, expected) in [
        (FaultKind::DropBefore, lost.clone()),
        (FaultKind::DropAfter, lost.clone()),
        (FaultKind::Reset, lost.clone()),
        (FaultKind::ResetMidBody(5), lost.clone()),
        (FaultKind::Truncate(5), lost.clone()),
        (FaultKind::Stall, late.clone()),
        (FaultKind::Trickle(1), late),
        (FaultKind::Huge(64 << 20), Error::Undecodable { status: 200 }),
        (FaultKind::Garbage, Error::Undecodable { status: 200 }),
        (FaultKind::Body("{}".to_owned()), Error::Undecodable { status: 200 }),
        (FaultKind::Html(200), Error::Undecodable { status: 200 }),
        (FaultKind::Html(503), Error::Unavailable { status: 503 }),
        (FaultKind::Html(403), Error::Unavailable { status: 403 }),
        (FaultKind::Status(524, String::new()), Error::Unavailable { status: 524 }),
        (FaultKind::Status(401, "{}".to_owned()), Error::Unauthorized),
        (
            FaultKind::RetryAfter(429, "3".to_owned()),
            Error::Throttled { retry_after: Some(Duration::from_secs(3)) },
        ),
    ] {
        setting.script(kind.clone());
        let call = page().within(Duration::from_millis(500));
        assert_eq!(setting.send(&call).await.unwrap_err(), expected, "{kind:?}");
    }
    assert!(setting.send(&page()).await.is_ok());
}

#[tokio::test]
async fn an_answer_about_another_project_is_not_believed() {
    let setting = setting();
    let reference = setting.send(&create_project(&order("a"))).await.unwrap().reference;
    let wrong = Error::Undecodable { status: 200 };
    for _ in 0..4 {
        setting.script(FaultKind::WrongRef);
    }
    assert_eq!(setting.send(&project(&reference)).await.unwrap_err(), wrong);
    assert_eq!(setting.send(&pooler(&reference)).await.unwrap_err(), wrong);
    assert_eq!(setting.send(&rename_project(&reference, "b")).await.unwrap_err(), wrong);
    assert_eq!(setting.send(&delete_project(&reference)).await.unwrap_err(), wrong);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (setting, other) = (setting(), setting());
    for status in [301, 302, 303, 307, 308] {
        let target = format!("{}/v1/organizations", other.server.endpoint());
        setting.script(FaultKind::Redirect(status, target));
        let seen = setting.send(&organizations()).await.unwrap_err();
        assert_eq!(seen, Error::Unavailable { status });
    }
    assert!(other.server.world().ledger().seen().is_empty());
}

#[tokio::test]
async fn a_request_carries_what_it_must_and_nothing_else() {
    let setting = setting();
    let headers = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&headers);
    setting.server.observe(move |exchange| {
        let mut names: Vec<String> =
            exchange.request.headers().keys().map(ToString::to_string).collect();
        names.sort();
        kept.lock().unwrap().push(names);
    });
    let padded: SecretString = format!(" \t{}\r\n", setting.token.expose_secret()).into();
    assert!(setting.client.send(&organizations(), Some(&padded)).await.outcome.is_ok());
    setting.send(&create_project(&order("a"))).await.unwrap();
    let seen = headers.lock().unwrap().clone();
    assert_eq!(seen[0], ["accept", "authorization", "host", "user-agent"]);
    let expected =
        ["accept", "authorization", "content-length", "content-type", "host", "user-agent"];
    assert_eq!(seen[1], expected);
}

#[tokio::test]
async fn a_credential_that_cannot_be_one_is_never_sent() {
    let setting = setting();
    for bad in ["", " ", "a\r\nb", "a b", "tökén", "a\u{7f}"] {
        let seen = setting.client.send(&organizations(), Some(&bad.into())).await.outcome;
        assert_eq!(seen.unwrap_err(), Error::MalformedCredential(Credential::Token), "{bad:?}");
        for (client_id, client_secret) in [("id", bad), (bad, "secret"), ("a:b", "secret")] {
            let app =
                OAuthApp { client_id: client_id.to_owned(), client_secret: client_secret.into() };
            let seen = setting.client.send(&refresh_token(&app, &"x".into()), None).await.outcome;
            assert_eq!(seen.unwrap_err(), Error::MalformedCredential(Credential::App));
        }
    }
    assert!(setting.server.world().ledger().seen().is_empty());
}

#[tokio::test]
async fn the_limiter_and_the_clock_of_the_server_are_reported() {
    let setting = setting();
    let exchange = setting.client.send(&organizations(), Some(&setting.token)).await;
    let rate = exchange.rate.unwrap();
    assert_eq!((rate.limit, rate.remaining), (120, 119));
    assert!(rate.reset <= Duration::from_secs(60));
    assert_eq!(exchange.date, exchange.outcome.unwrap().date);
    let refused = setting.client.send(&organizations(), None).await;
    assert_eq!(refused.outcome.unwrap_err(), Error::Unauthorized);
    assert!(refused.date.is_some());
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = client(&format!("http://127.0.0.1:{port}"));
    for_each_kind(&client, Error::Unreachable { sent: Sent::No }).await;
}

#[tokio::test]
async fn where_tls_fails_nothing_was_sent() {
    let setting = setting();
    let address = setting.server.address();
    let client = client(&format!("https://127.0.0.1:{}", address.port()));
    for_each_kind(&client, Error::Unreachable { sent: Sent::No }).await;
    assert!(setting.server.world().ledger().seen().is_empty());
}

async fn for_each_kind(client: &Client, expected: Error) {
    let token: SecretString = "sbp_x".into();
    let read = client.send(&organizations(), Some(&token)).await.outcome.map(|_| ());
    let create = client.send(&create_project(&order("a")), Some(&token)).await.outcome.map(|_| ());
    assert_eq!((read.unwrap_err(), create.unwrap_err()), (expected.clone(), expected));
}

#[tokio::test]
async fn a_body_that_does_not_get_away_in_time_was_not_sent() {
    // Takes the connection and never says a word: TLS does not come about.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let client = client(&format!("https://127.0.0.1:{}", address.port()));
    let mut call = create_project(&order("a"));
    call.limits.sending = Duration::from_millis(200);
    let seen = client.send(&call, Some(&"sbp_x".into())).await.outcome.unwrap_err();
    assert_eq!(seen, Error::TimedOut { sent: Sent::No });
    assert!(seen.was_not_sent() && !seen.was_perhaps_done());
}

/// A server that answers every request with an empty list and counts connections.
fn counting() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]");
                }
            });
        }
    });
    (format!("http://{address}"), count)
}

#[tokio::test]
async fn what_must_not_be_sent_twice_goes_over_a_connection_of_its_own() {
    let (address, connections) = counting();
    let client = client(&address);
    let token: SecretString = "sbp_x".into();
    for _ in 0..3 {
        assert!(client.send(&organizations(), Some(&token)).await.outcome.is_ok());
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1, "reads share a connection");
    for expected in 2..5 {
        let _ = client.send(&create_project(&order("a")), Some(&token)).await;
        assert_eq!(connections.load(Ordering::SeqCst), expected);
    }
}
