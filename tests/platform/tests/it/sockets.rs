//! Every way an answer can travel, seen from the other end of a real socket.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use simulated_platform::server::Server;
use simulated_platform::{Config, Fault, FaultKind, Limiter, Pat, Plan, World};

/// Longer than anything that must happen takes.
const PATIENCE: Duration = Duration::from_secs(10);

struct Platform {
    server: Server,
    token: String,
}

fn platform() -> Platform {
    let config = Config { limiter: Limiter::Off, ..Config::instant() };
    let mut world = World::new(config, 7);
    world.add_organization("acme", "Acme", Plan::Pro);
    let token = world.add_pat(Pat::classic());
    let server = Server::start(world, "127.0.0.1:0".parse().unwrap()).unwrap();
    Platform { server, token }
}

impl Platform {
    fn with(fault: FaultKind) -> Self {
        let platform = platform();
        platform.server.world().script(Fault::on("*", "/v1/organizations", fault));
        platform
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn send(&self, stream: &mut TcpStream) {
        let request = format!(
            "GET /v1/organizations HTTP/1.1\r\nhost: platform\r\nauthorization: Bearer {}\r\n\r\n",
            self.token
        );
        stream.write_all(request.as_bytes()).unwrap();
    }

    /// Asks once and reads until the server ends the connection.
    fn ask(&self) -> (Vec<u8>, Option<ErrorKind>) {
        let mut stream = self.connect();
        self.send(&mut stream);
        read_to_end(&mut stream)
    }

    /// How many requests reached the organizations endpoint.
    fn seen(&self) -> usize {
        self.server.world().ledger().seen().len()
    }
}

fn read_to_end(stream: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut all = Vec::new();
    let mut piece = [0; 1 << 13];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return (all, None),
            Ok(size) => all.extend_from_slice(&piece[..size]),
            Err(error) => return (all, Some(error.kind())),
        }
    }
}

/// Reads one response with an announced length from a connection that stays open.
fn read_response(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut all = Vec::new();
    let mut piece = [0; 1 << 13];
    loop {
        if let Some(end) = find(&all, b"\r\n\r\n") {
            let head = String::from_utf8(all[..end].to_vec()).unwrap();
            if all.len() >= end + 4 + content_length(&head) {
                return (head, all[end + 4..].to_vec());
            }
        }
        let size = stream.read(&mut piece).unwrap();
        assert!(size > 0, "the connection ended after {} bytes", all.len());
        all.extend_from_slice(&piece[..size]);
    }
}

fn find(all: &[u8], wanted: &[u8]) -> Option<usize> {
    all.windows(wanted.len()).position(|window| window == wanted)
}

fn content_length(head: &str) -> usize {
    let line = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    line.expect("a content-length").trim().parse().unwrap()
}

fn split(all: &[u8]) -> (String, &[u8]) {
    let end = find(all, b"\r\n\r\n").expect("a whole head");
    (String::from_utf8(all[..end].to_vec()).unwrap(), &all[end + 4..])
}

#[test]
fn only_loopback_addresses_are_served() {
    let world = World::new(Config::default(), 1);
    let error = Server::start(world, "0.0.0.0:0".parse().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}

#[test]
fn an_ordinary_answer_is_whole_and_the_connection_is_kept() {
    let platform = platform();
    let mut stream = platform.connect();
    for _ in 0..2 {
        platform.send(&mut stream);
        let (head, body) = read_response(&mut stream);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(head.matches("date: ").count(), 1, "{head}");
        assert_eq!(body, br#"[{"id":"acme","name":"Acme","slug":"acme"}]"#);
    }
}

#[test]
fn a_delayed_answer_comes_whole_but_not_at_once() {
    let platform = Platform::with(FaultKind::Delay(Duration::from_millis(300)));
    let mut stream = platform.connect();
    platform.send(&mut stream);
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(read_response(&mut stream).0.starts_with("HTTP/1.1 200"));
}

#[test]
fn a_stalled_connection_says_nothing_until_the_server_ends() {
    let platform = Platform::with(FaultKind::Stall);
    let mut stream = platform.connect();
    platform.send(&mut stream);
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    drop(platform);
    assert_eq!(read_to_end(&mut stream), (Vec::new(), None));
}

#[test]
fn a_drop_before_the_effect_closes_in_order_without_a_byte() {
    let platform = Platform::with(FaultKind::DropBefore);
    assert_eq!(platform.ask(), (Vec::new(), None));
    assert_eq!(platform.server.world().ledger().seen()[0].status, None);
}

#[test]
fn a_drop_after_the_effect_closes_in_order_without_a_byte() {
    let platform = Platform::with(FaultKind::DropAfter);
    assert_eq!(platform.ask(), (Vec::new(), None));
    let world = platform.server.world();
    assert_eq!(world.ledger().seen()[0].status, Some(200));
    assert!(!world.ledger().seen()[0].delivered);
}

#[test]
fn a_reset_is_a_reset() {
    let platform = Platform::with(FaultKind::Reset);
    assert_eq!(platform.ask(), (Vec::new(), Some(ErrorKind::ConnectionReset)));
}

#[test]
fn a_reset_in_the_middle_of_the_body_comes_after_the_bytes_that_were_promised() {
    let platform = Platform::with(FaultKind::ResetMidBody(9));
    let (all, error) = platform.ask();
    assert_eq!(error, Some(ErrorKind::ConnectionReset));
    let (head, body) = split(&all);
    assert_eq!(body, br#"[{"id":"a"#);
    assert_eq!(content_length(&head), 43);
}

#[test]
fn a_truncated_body_has_announced_its_full_length_and_ends_in_order() {
    for after_bytes in [0, 9] {
        let platform = Platform::with(FaultKind::Truncate(after_bytes));
        let (all, error) = platform.ask();
        assert_eq!(error, None);
        let (head, body) = split(&all);
        assert_eq!(body.len(), after_bytes);
        assert_eq!(content_length(&head), 43);
    }
}

#[test]
fn a_body_cannot_be_broken_off_after_its_end() {
    let platform = Platform::with(FaultKind::Truncate(1_000_000));
    let (all, _) = platform.ask();
    assert_eq!(split(&all).1.len(), 42);
}

#[test]
fn a_trickling_body_comes_in_drops() {
    let platform = Platform::with(FaultKind::Trickle(100));
    let mut stream = platform.connect();
    platform.send(&mut stream);
    let mut first = [0; 1 << 10];
    let size = stream.read(&mut first).unwrap();
    let (head, begun) = split(&first[..size]);
    assert_eq!(content_length(&head), 43);
    assert!(begun.len() <= 5, "{} bytes at once", begun.len());
    let mut rest = vec![0; 43 - begun.len()];
    stream.read_exact(&mut rest).unwrap();
    assert!(rest.ends_with(b"}]"));
}

#[test]
fn a_huge_body_is_streamed_and_padded_with_white_space() {
    let padding = 8 << 20;
    let platform = Platform::with(FaultKind::Huge(padding));
    let mut stream = platform.connect();
    platform.send(&mut stream);
    let (head, body) = read_response(&mut stream);
    assert_eq!(content_length(&head), 43 + usize::try_from(padding).unwrap());
    assert!(body[43..].iter().all(|byte| *byte == b' '));
}

#[test]
fn an_endless_body_needs_no_memory_and_ends_with_its_reader() {
    let platform = Platform::with(FaultKind::Huge(u64::MAX / 2));
    let mut stream = platform.connect();
    platform.send(&mut stream);
    let mut piece = vec![0; 4 << 20];
    stream.read_exact(&mut piece).unwrap();
    drop(stream);
    let mut other = platform.connect();
    platform.send(&mut other);
    assert!(read_response(&mut other).0.starts_with("HTTP/1.1 200"));
}

#[test]
fn scripted_statuses_pages_redirects_and_garbage_arrive_as_they_are() {
    let script = [
        (FaultKind::Status(500, "{\"message\":\"no\"}".to_owned()), "HTTP/1.1 500", "no"),
        (FaultKind::Html(502), "HTTP/1.1 502", "<!DOCTYPE html>"),
        (FaultKind::Html(520), "HTTP/1.1 520", "<!DOCTYPE html>"),
        (FaultKind::RetryAfter(429, "7".to_owned()), "retry-after: 7", "Throttler"),
        (FaultKind::Redirect(307, "http://other/".to_owned()), "location: http://other/", ""),
        (FaultKind::Garbage, "HTTP/1.1 200", "{\"id\": "),
        (FaultKind::Body("[1]".to_owned()), "HTTP/1.1 200", "[1]"),
    ];
    for (fault, in_head, in_body) in script {
        let platform = Platform::with(fault.clone());
        let mut stream = platform.connect();
        platform.send(&mut stream);
        let (head, body) = read_response(&mut stream);
        assert!(head.contains(in_head), "{fault:?}: {head}");
        assert!(String::from_utf8_lossy(&body).contains(in_body), "{fault:?}");
    }
}

#[test]
fn a_request_body_without_bound_is_refused() {
    let platform = platform();
    let mut stream = platform.connect();
    let size = (1 << 20) + 1;
    let head =
        format!("POST /v1/projects HTTP/1.1\r\nhost: platform\r\ncontent-length: {size}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&vec![b'x'; size]).unwrap();
    assert!(read_response(&mut stream).0.starts_with("HTTP/1.1 413"));
    assert_eq!(platform.seen(), 0);
}

#[test]
fn dropping_the_server_closes_the_listener_and_every_connection() {
    let platform = platform();
    let address = platform.server.address();
    let mut idle = platform.connect();
    platform.send(&mut idle);
    read_response(&mut idle);
    drop(platform);
    assert_eq!(read_to_end(&mut idle).0, Vec::<u8>::new());
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn observers_see_each_exchange() {
    let platform = platform();
    let exchanges = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&exchanges);
    platform.server.observe(move |exchange| {
        let path = exchange.request.uri().path().to_owned();
        seen.lock().unwrap().push((path, exchange.answer.response.status().as_u16()));
    });
    let mut stream = platform.connect();
    platform.send(&mut stream);
    read_response(&mut stream);
    assert_eq!(*exchanges.lock().unwrap(), [("/v1/organizations".to_owned(), 200)]);
}

#[test]
fn an_observer_may_be_added_while_the_world_is_held_and_requests_wait() {
    let platform = platform();
    let (say, seen) = std::sync::mpsc::channel();
    let mut stream = platform.connect();
    let guard = platform.server.world();
    platform.send(&mut stream);
    platform.server.observe(move |exchange| {
        let _ = say.send(exchange.answer.response.status().as_u16());
    });
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(guard);
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), 200);
}
