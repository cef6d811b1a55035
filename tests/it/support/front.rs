//! What stands before the consent pages in a cluster: TLS, and one address for all replicas, as the chart's Ingress has it. It
//! chooses the replica by the path, so that a story can have each step served by another one, and remembers what it passed on.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::install::Rule;
use super::operator::Operator;

const PASSING_ON: Duration = Duration::from_secs(60);
const LARGEST: usize = 1024 * 1024;

/// The replicas and who serves what.
#[derive(Debug, Default)]
struct Plan {
    rule: Rule,
    replicas: Vec<SocketAddr>,
    pages: usize,
    callbacks: usize,
    /// Paths with queries, as they were passed on.
    seen: Vec<String>,
}

/// A TLS front on loopback; it ends when this is dropped.
#[derive(Debug)]
pub struct Front {
    port: u16,
    plan: Arc<Mutex<Plan>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Front {
    /// Listens, with a certificate of its own making.
    pub async fn start() -> Self {
        // Another test may have been first.
        let _ = ring::default_provider().install_default();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let plan = Arc::<Mutex<Plan>>::default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(PASSING_ON)
            .build()
            .unwrap();
        let router = Router::new().fallback(pass_on).with_state((Arc::clone(&plan), client));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    // Browsers hang up as they please.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
                        .await;
                });
            }
        });
        Self { port, plan, serving }
    }

    /// The external address of the pages.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/supabase", self.port)
    }

    /// Where the platform sends browsers back to.
    pub fn callback(&self) -> String {
        format!("{}/callback", self.url())
    }

    /// Passes on what this rule lets through, and nothing else.
    pub fn admits(&self, rule: Rule) {
        self.plan.lock().unwrap().rule = rule;
    }

    /// Passes on to these replicas: pages to the first, callbacks to the last.
    pub fn serves(&self, replicas: &[&Operator]) {
        let mut plan = self.plan.lock().unwrap();
        plan.replicas = replicas.iter().map(|one| one.consent()).collect();
        plan.pages = 0;
        plan.callbacks = replicas.len() - 1;
    }

    /// Path and query of the callbacks so far.
    pub fn callbacks(&self) -> Vec<String> {
        let plan = self.plan.lock().unwrap();
        let seen = plan.seen.iter().filter(|path| path.contains("/callback"));
        seen.cloned().collect()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass_on(
    State((plan, client)): State<(Arc<Mutex<Plan>>, reqwest::Client)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().as_str().to_owned();
    let host = parts.headers["host"].to_str().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().to_owned();
    let replica = {
        let mut plan = plan.lock().unwrap();
        if !plan.rule.admits(&host, parts.uri.path()) {
            return (axum::http::StatusCode::NOT_FOUND, "not let through").into_response();
        }
        plan.seen.push(path.clone());
        let index = if path.contains("/callback") { plan.callbacks } else { plan.pages };
        plan.replicas[index]
    };
    let body = to_bytes(body, LARGEST).await.unwrap();
    let mut headers = parts.headers;
    headers.remove("host");
    let sent = client
        .request(parts.method, format!("http://{replica}{path}"))
        .headers(headers)
        .body(body)
        .send()
        .await;
    let answer = match sent {
        Ok(answer) => answer,
        Err(error) => {
            return (axum::http::StatusCode::BAD_GATEWAY, error.to_string()).into_response();
        }
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    response.headers_mut().clone_from(answer.headers());
    response.headers_mut().remove("transfer-encoding");
    *response.body_mut() = Body::from(answer.bytes().await.unwrap());
    response
}
