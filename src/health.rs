//! `/livez`, `/readyz` and `/metrics`. Readiness names what it waits for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::serving::{self, Bounds};
use crate::telemetry::Metrics;

/// What the process still waits for. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Readiness {
    /// Not ready until `what` is there; `why` says what stands in the way.
    pub fn wait_for(&self, what: &'static str, why: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(what, why.to_owned());
    }

    /// `what` is there.
    pub fn has(&self, what: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(what);
    }

    fn missing(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(what, why)| format!("{what} ({why})")).collect()
    }
}

/// Listens, and serves until what is given back is dropped.
pub async fn serve(
    listen: SocketAddr,
    readiness: Readiness,
    metrics: Metrics,
) -> std::io::Result<impl Future<Output = ()>> {
    let listener = serving::listen(listen).await?;
    tracing::info!(address = %listener.local_addr()?, "health and metrics are served");
    let router = router(readiness, metrics);
    Ok(serving::serve(listener, router, Bounds::default()))
}

/// All answers are there at once, so that a probe waits a moment for a place at most: of those that hold one nobody is
/// being worked for, and the one that has held it longest gives way.
fn router(readiness: Readiness, metrics: Metrics) -> Router {
    let ready = move || {
        let missing = readiness.missing();
        async move {
            if missing.is_empty() {
                (StatusCode::OK, "ok\n".to_owned())
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {}\n", missing.join(", ")))
            }
        }
    };
    let numbers = move || {
        let text = metrics.encode();
        async move {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
    };
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(numbers))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;

    /// As long as the chart's probes wait.
    const PROBE: Duration = Duration::from_secs(3);

    /// As the kubelet asks: over a connection of its own.
    async fn probe(address: SocketAddr, path: &str) -> String {
        let asking = async {
            let mut stream = TcpStream::connect(address).await?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut heard = String::new();
            stream.read_to_string(&mut heard).await.map(|_| heard)
        };
        timeout(PROBE, asking)
            .await
            .unwrap_or_else(|_| panic!("{path}: no answer within {PROBE:?}"))
            .unwrap()
    }

    #[tokio::test]
    async fn probes_are_answered_whoever_holds_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let readiness = Readiness::default();
        readiness.wait_for("kinds", "looking");
        let router = router(readiness, Metrics::default());
        let _server = tokio::spawn(serving::serve(listener, router, Bounds::default()));
        let many = "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(50);
        let mut held = Vec::new();
        for words in [
            "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n",
            &many,
            "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n",
            "GET /livez HTTP/1.1\r\nhost: ",
            "",
        ] {
            for _ in 0..Bounds::default().connections {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(words.as_bytes()).await.unwrap();
                held.push(stream);
            }
            let alive = probe(address, "/livez").await;
            assert!(alive.ends_with("ok\n"), "{alive}");
            let ready = probe(address, "/readyz").await;
            assert!(ready.ends_with("waiting for: kinds (looking)\n"), "{ready}");
        }
        assert!(held.len() > 4 * Bounds::default().connections);
    }
}
