//! Serves HTTP within bounds: in connections, in the time of each, and in the size of what is asked.
//!
//! Separate because everything that listens shares it: probes and metrics, which anybody in the cluster can reach.
//! It knows nothing of what is served.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// How long to wait after a connection could not be accepted: mostly for want of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// What a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many connections at once; more wait until one ends.
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

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    // Whatever goes wrong with one client is that client's affair.
                    let served = timeout(bounds.connection, converse(stream, router, bounds));
                    drop(served.await);
                    drop(place);
                });
            }
            Err(_) => sleep(BREATH).await,
        }
    }
}

async fn converse(stream: TcpStream, router: Router, bounds: Bounds) -> hyper::Result<()> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.headers)
        .max_buf_size(bounds.head)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::Instant;

    use super::*;

    const ENOUGH: Duration = Duration::from_secs(20);

    async fn server(bounds: Bounds) -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(|| async { "here" }))
            .route("/much", get(|| async { "x".repeat(64 * 1024 * 1024) }));
        (address, tokio::spawn(serve(listener, router, bounds)))
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
        let heard = hear(
            address,
            "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        )
        .await;
        assert!(
            heard.starts_with("HTTP/1.1 200") && heard.ends_with("here"),
            "{heard}"
        );
    }

    #[tokio::test]
    async fn slow_clients_are_cut_off_and_others_get_their_turn() {
        let bounds = Bounds {
            connections: 2,
            headers: Duration::from_millis(300),
            ..Bounds::default()
        };
        let (address, _server) = server(bounds).await;
        let slow = async |words: &str| hear(address, words).await;
        let patient = async {
            // Both places are taken by then, or were never.
            hear(
                address,
                "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            )
            .await
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
        let bounds = Bounds {
            connections: 1,
            connection: Duration::from_millis(500),
            ..Bounds::default()
        };
        let (address, _server) = server(bounds).await;
        let mut stuck = TcpStream::connect(address).await.unwrap();
        let request = "GET /much HTTP/1.1\r\nhost: x\r\n\r\n";
        stuck.write_all(request.as_bytes()).await.unwrap();
        let heard = hear(
            address,
            "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        )
        .await;
        assert!(heard.ends_with("here"), "{heard}");
    }

    #[tokio::test]
    async fn an_oversized_head_is_refused() {
        let (address, _server) = server(Bounds::default()).await;
        let long = format!(
            "GET /?{} HTTP/1.1\r\nhost: x\r\n\r\n",
            "a".repeat(64 * 1024)
        );
        let heard = hear(address, &long).await;
        assert!(!heard.contains("200 OK"), "{heard}");
    }
}
