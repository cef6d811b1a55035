//! A gateway before the API server that cuts the ends off answers, as one that is broken or hostile may do.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const LARGEST: usize = 4 * 1024 * 1024;
const CONNECTING: Duration = Duration::from_secs(10);

/// Which answers are cut, by the request's method and path.
pub type Cut = fn(&Method, &str) -> bool;

#[derive(Clone)]
struct Upstream {
    client: reqwest::Client,
    base: String,
    cut: Cut,
    count: Arc<AtomicUsize>,
}

/// A gateway on loopback, without TLS; it ends when this is dropped.
#[derive(Debug)]
pub struct Gateway {
    kubeconfig: PathBuf,
    count: Arc<AtomicUsize>,
    serving: tokio::task::JoinHandle<()>,
    _files: tempfile::TempDir,
}

impl Gateway {
    /// Before the API server of a kubeconfig.
    pub async fn start(kubeconfig: &Path, cut: Cut) -> Self {
        // Another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let text = std::fs::read_to_string(kubeconfig).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        let cluster = &mut config["clusters"][0]["cluster"];
        let base = cluster["server"].as_str().unwrap().to_owned();
        let client = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECTING)
            .danger_accept_invalid_certs(true)
            .build()
            .unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        *cluster = json!({"server": format!("http://{address}")});
        let count = Arc::<AtomicUsize>::default();
        let upstream = Upstream { client, base, cut, count: Arc::clone(&count) };
        let router = Router::new().fallback(forward).with_state(upstream);
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        let files = tempfile::tempdir().unwrap();
        let kubeconfig = files.path().join("kubeconfig");
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        Self { kubeconfig, count, serving, _files: files }
    }

    /// A kubeconfig that leads through it.
    pub fn kubeconfig(&self) -> &str {
        self.kubeconfig.to_str().unwrap()
    }

    /// How many answers were cut.
    pub fn cut(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn forward(State(upstream): State<Upstream>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, LARGEST).await.unwrap();
    let path = parts.uri.path_and_query().unwrap().as_str();
    let mut headers = parts.headers;
    for name in [header::HOST, header::ACCEPT_ENCODING, header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    let sent = upstream
        .client
        .request(parts.method.clone(), format!("{}{path}", upstream.base))
        .headers(headers)
        .body(body)
        .send()
        .await;
    let Ok(mut answer) = sent else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    let kind = kind.map(|kind| (header::CONTENT_TYPE, kind));
    if path.contains("watch=true") {
        let chunks = futures::stream::unfold(answer, |mut answer| async move {
            let chunk = answer.chunk().await.ok()??;
            Some((Ok::<_, std::io::Error>(chunk), answer))
        });
        return (status, axum::response::AppendHeaders(kind), Body::from_stream(chunks))
            .into_response();
    }
    let mut whole = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        whole.extend_from_slice(&chunk);
    }
    if status.is_success() && (upstream.cut)(&parts.method, path) {
        upstream.count.fetch_add(1, Ordering::SeqCst);
        whole.truncate(whole.len().saturating_sub(2));
    }
    (status, axum::response::AppendHeaders(kind), whole).into_response()
}
