//! Serves HTTP within bounds: in connections, in the time of each, and in the size of what is asked.
//!
//! Separate because everything that listens shares it: probes and metrics, which anybody in the cluster can reach, and
//! the consent pages, which anybody can. It knows nothing of what is served.
//!
//! Connections cost a stranger nothing, so holding them must not keep others out: when room runs out, whoever the
//! server waits for goes (`places`). Requests that are being worked on are not given up for want of room.

mod places;
mod upload;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

use places::{Place, Places};
use upload::Upload;

/// How long to wait after a connection could not be accepted: mostly for want of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// What a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many connections at once. One more takes the place of one that the server waits for; it waits only where all
    /// others are being worked for.
    pub connections: usize,
    /// How long a client may take to send a request's line and headers, counted from the end of the answer before.
    pub headers: Duration,
    /// How long a connection may last. A client that reads slowly is cut off then.
    pub connection: Duration,
    /// How many bytes the request's line and headers may have.
    pub head: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 64,
            headers: Duration::from_secs(5),
            connection: Duration::from_secs(60),
            head: 16 * 1024,
        }
    }
}

/// Listens on an address. `[::]` takes IPv4 too, whatever the machine's default is, and is `0.0.0.0` where there is no IPv6:
/// so the same address serves Pods of either family.
#[expect(
    clippy::unused_async,
    reason = "callers wait for it, as for everything that begins to serve"
)]
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    listen_by(address, open)
}

fn listen_by(
    address: SocketAddr,
    open: impl Fn(SocketAddr) -> std::io::Result<Socket>,
) -> std::io::Result<TcpListener> {
    let socket = match open(address) {
        // Without IPv6 in the kernel, and with IPv6 switched off.
        Err(error)
            if address.ip() == Ipv6Addr::UNSPECIFIED
                && matches!(
                    Errno::from_io_error(&error),
                    Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
                ) =>
        {
            open(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))?
        }
        opened => opened?,
    };
    TcpListener::from_std(socket.into())
}

fn open(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        socket.set_only_v6(false)?;
    }
    // As every server does, so that a restart need not wait for connections of before.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds) {
    let places = Arc::new(Places::new(bounds.connections));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let place = places.take().await;
                let router = router.clone();
                tokio::spawn(async move {
                    // Whatever goes wrong with one client is that client's affair.
                    let _ =
                        timeout(bounds.connection, converse(stream, router, bounds, &place)).await;
                });
            }
            Err(_) => sleep(BREATH).await,
        }
    }
}

/// Answers a client until it goes, or must go.
async fn converse(stream: TcpStream, router: Router, bounds: Bounds, place: &Place) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        place.works();
        let request = request.map(|body| Upload::new(body, place.turn()));
        let answer = router.clone().oneshot(request);
        async move {
            let answer = answer.await;
            place.has_answered();
            answer
        }
    });
    let mut conversation = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.headers)
            .max_buf_size(bounds.head)
            .serve_connection(TokioIo::new(stream), service)
    );
    let end = std::future::poll_fn(|context| {
        let state = conversation.as_mut().poll(context);
        if state.is_pending() {
            // Everything was done that could be: unless a request is being worked on, it is the client's turn.
            place.waits();
        }
        state
    });
    tokio::select! {
        biased;
        // An error is the client's: a reset, say, or a head that cannot be read.
        _ = end => {}
        () = place.must_go() => {}
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::{Semaphore, watch};
    use tokio::time::Instant;

    use super::*;

    const ENOUGH: Duration = Duration::from_secs(20);

    async fn server(bounds: Bounds) -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
        let (address, server, _) = server_with_work(bounds).await;
        (address, server)
    }

    /// With work that takes until it is let go on: requests for `/work` are counted as they come in.
    async fn server_with_work(
        bounds: Bounds,
    ) -> (std::net::SocketAddr, tokio::task::JoinHandle<()>, (watch::Receiver<usize>, Arc<Semaphore>))
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (begun, seen) = watch::channel(0);
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let work = move || {
            let (begun, held) = (begun.clone(), Arc::clone(&held));
            async move {
                begun.send_modify(|number| *number += 1);
                drop(held.acquire().await);
                "done"
            }
        };
        let router = Router::new()
            .route("/", get(|| async { "here" }))
            .route("/form", post(|form: String| async { form }))
            .route("/work", get(work))
            .route("/much", get(|| async { "x".repeat(64 * 1024 * 1024) }));
        let server = tokio::spawn(serve(listener, router, bounds));
        (address, server, (seen, gate))
    }

    /// Nobody is cut off but for want of room.
    fn patient(connections: usize) -> Bounds {
        let hour = Duration::from_secs(3600);
        Bounds { connections, headers: hour, connection: hour, ..Bounds::default() }
    }

    const ONE: &str = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    const KEPT: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    /// Somebody who has said this and stays.
    async fn stays(address: std::net::SocketAddr, words: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(words.as_bytes()).await.unwrap();
        stream
    }

    /// Reads until the end of an answer of `/`.
    async fn answered(stream: &mut TcpStream) {
        let mut heard = Vec::new();
        let reading = async {
            while !heard.ends_with(b"here") {
                assert!(stream.read_buf(&mut heard).await.unwrap() > 0, "{heard:?}");
            }
        };
        timeout(ENOUGH, reading).await.expect("an answer");
    }

    /// Somebody who was answered and keeps the connection.
    async fn idle(address: std::net::SocketAddr) -> TcpStream {
        let mut stream = stays(address, KEPT).await;
        answered(&mut stream).await;
        stream
    }

    /// What the server sends to somebody who says just this.
    async fn hear(address: std::net::SocketAddr, words: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(words.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        // A refused client may find its connection reset; what came before counts.
        let read = timeout(ENOUGH, stream.read_to_end(&mut heard));
        let _ = read.await.expect("the server lets go in time");
        String::from_utf8_lossy(&heard).into_owned()
    }

    #[tokio::test]
    async fn a_request_is_answered() {
        let (address, _server) = server(Bounds::default()).await;
        let heard = hear(address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(heard.starts_with("HTTP/1.1 200") && heard.ends_with("here"), "{heard}");
    }

    /// `[::]` is reached over IPv4 and, where the machine has it, over IPv6.
    #[tokio::test]
    async fn an_unspecified_address_takes_both_families() {
        let listener = listen("[::]:0".parse().unwrap()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().route("/", get(|| async { "here" }));
        let _server = tokio::spawn(serve(listener, router, Bounds::default()));
        assert!(hear((Ipv4Addr::LOCALHOST, port).into(), ONE).await.ends_with("here"));
        if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            assert!(hear((Ipv6Addr::LOCALHOST, port).into(), ONE).await.ends_with("here"));
        }
    }

    /// The kernel says one of the two: without IPv6, or with it switched off for all interfaces.
    #[tokio::test]
    async fn without_ipv6_it_is_ipv4_and_other_failures_stay_failures() {
        for errno in [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL] {
            let ipv4_only = |address: SocketAddr| {
                if address.is_ipv6() {
                    return Err(errno.into());
                }
                open(address)
            };
            let listener = listen_by("[::]:0".parse().unwrap(), ipv4_only).unwrap();
            assert!(listener.local_addr().unwrap().is_ipv4());
            assert!(listen_by("[::1]:0".parse().unwrap(), ipv4_only).is_err());
        }
        let taken = listen("[::]:0".parse().unwrap()).await.unwrap();
        let again = listen(taken.local_addr().unwrap()).await.unwrap_err();
        assert_eq!(Errno::from_io_error(&again), Some(Errno::ADDRINUSE));
    }

    #[tokio::test]
    async fn slow_clients_are_cut_off_and_others_get_their_turn() {
        let bounds =
            Bounds { connections: 2, headers: Duration::from_millis(300), ..Bounds::default() };
        let (address, _server) = server(bounds).await;
        let slow = async |words: &str| hear(address, words).await;
        let patient = async {
            // Both places are taken by then, or were never.
            hear(address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await
        };
        let begun = Instant::now();
        let (silent, unfinished, answered) =
            tokio::join!(slow(""), slow("GET / HTTP/1.1\r\nhost: "), patient);
        assert!(!silent.contains("200") && !unfinished.contains("200"));
        assert!(answered.ends_with("here"), "{answered}");
        assert!(begun.elapsed() < ENOUGH);
    }

    #[tokio::test]
    async fn who_does_not_read_is_cut_off() {
        let bounds =
            Bounds { connections: 1, connection: Duration::from_millis(500), ..Bounds::default() };
        let (address, _server) = server(bounds).await;
        let mut stuck = TcpStream::connect(address).await.unwrap();
        let request = "GET /much HTTP/1.1\r\nhost: x\r\n\r\n";
        stuck.write_all(request.as_bytes()).await.unwrap();
        let heard = hear(address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(heard.ends_with("here"), "{heard}");
    }

    #[tokio::test]
    async fn an_oversized_head_is_refused() {
        let (address, _server) = server(Bounds::default()).await;
        let long = format!("GET /?{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(64 * 1024));
        let heard = hear(address, &long).await;
        assert!(!heard.contains("200 OK"), "{heard}");
    }

    #[tokio::test]
    async fn clients_that_hold_connections_make_room() {
        let holds = [
            ("say nothing", ""),
            ("stop within a request", "GET / HTTP/1.1\r\nhost: "),
            ("do not read", "GET /much HTTP/1.1\r\nhost: x\r\n\r\n"),
            ("stop within a form", "POST /form HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\na"),
        ];
        for (what, words) in holds {
            let (address, _server) = server(patient(4)).await;
            let mut held = Vec::new();
            for _ in 0..12 {
                held.push(stays(address, words).await);
            }
            let heard = hear(address, ONE).await;
            assert!(heard.ends_with("here"), "clients that {what}: {heard}");
        }
        let (address, _server) = server(patient(4)).await;
        let mut held = Vec::new();
        for _ in 0..12 {
            held.push(idle(address).await);
        }
        let heard = hear(address, ONE).await;
        assert!(heard.ends_with("here"), "idle clients: {heard}");
    }

    #[tokio::test]
    async fn who_was_answered_goes_before_who_still_asks() {
        let (address, _server) = server(patient(3)).await;
        let mut asking = stays(address, "GET / HTTP/1.1\r\n").await;
        let mut first = idle(address).await;
        let mut second = idle(address).await;
        assert!(hear(address, ONE).await.ends_with("here"));
        let left = timeout(ENOUGH, first.read(&mut [0; 16])).await;
        assert!(matches!(left, Ok(Ok(0) | Err(_))), "{left:?}");
        // The others have their places still.
        asking.write_all(b"host: x\r\n\r\n").await.unwrap();
        answered(&mut asking).await;
        second.write_all(KEPT.as_bytes()).await.unwrap();
        answered(&mut second).await;
    }

    #[tokio::test]
    async fn no_request_that_is_worked_on_is_given_up() {
        let (address, _server, (mut begun, gate)) = server_with_work(patient(2)).await;
        let request = "GET /work HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let both = async { tokio::join!(hear(address, request), hear(address, request)) };
        let another = async {
            begun.wait_for(|number| *number == 2).await.unwrap();
            let asked = stays(address, ONE).await;
            // It can only be answered when one of the two has been.
            gate.add_permits(1);
            let mut asked = asked;
            answered(&mut asked).await;
            gate.add_permits(1);
        };
        let ((one, other), ()) = tokio::join!(both, another);
        assert!(one.ends_with("done") && other.ends_with("done"), "{one} {other}");
    }

    /// They come back as soon as they are sent away, as many as there are places, twice over.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn clients_that_come_back_at_once_keep_nobody_out() {
        let (address, _server) = server(patient(32)).await;
        let mut crowd = tokio::task::JoinSet::new();
        for _ in 0..64 {
            crowd.spawn(async move {
                loop {
                    let Ok(mut stream) = TcpStream::connect(address).await else {
                        continue;
                    };
                    // Reset, closed or answered: all the same to them.
                    let _ = stream.write_all(KEPT.as_bytes()).await;
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                }
            });
        }
        for _ in 0..20 {
            let heard = hear(address, ONE).await;
            assert!(heard.ends_with("here"), "{heard}");
        }
    }
}
