//! `/livez`, `/readyz` and `/metrics`. Readiness names what it waits for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::serving::{self, Bounds};
use crate::telemetry::Metrics;

/// What the process still waits for. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Readiness {
    /// Not ready until `what` is there; `why` says what stands in the way.
    pub fn wait_for(&self, what: &'static str, why: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(what, why.to_owned());
    }

    /// `what` is there.
    pub fn has(&self, what: &'static str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(what);
    }

    fn missing(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .map(|(what, why)| format!("{what} ({why})"))
            .collect()
    }
}

/// Listens, and serves until what is given back is dropped.
pub async fn serve(
    listen: SocketAddr,
    readiness: Readiness,
    metrics: Metrics,
) -> std::io::Result<impl Future<Output = ()>> {
    let listener = TcpListener::bind(listen).await?;
    tracing::info!(address = %listener.local_addr()?, "health and metrics are served");
    let ready = move || {
        let missing = readiness.missing();
        async move {
            if missing.is_empty() {
                (StatusCode::OK, "ok\n".to_owned())
            } else {
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("waiting for: {}\n", missing.join(", ")),
                )
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
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(numbers));
    Ok(serving::serve(listener, router, Bounds::default()))
}
