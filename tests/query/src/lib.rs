//! One query with a Postgres URI, as `psql` makes it: over TLS where the URI says `sslmode=require`, which
//! proves nobody's identity. It stands in for `psql` where that is missing.

mod certificate;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::crypto::ring;
use tokio_postgres::{Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use certificate::Unverified;

const WITHIN: Duration = Duration::from_secs(15);

/// The rows of the answer, columns joined by `|` as `psql -At` does.
///
/// # Errors
/// Whatever keeps the answer away, within 15 seconds. No message holds the URI.
pub async fn answer(uri: &str, sql: &str) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    tokio::time::timeout(WITHIN, ask(uri, sql)).await?
}

async fn ask(uri: &str, sql: &str) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    // The parser's own message would quote the URI.
    let config: Config = uri.trim().parse().map_err(|_| "this is not a Postgres URI")?;
    let provider = Arc::new(ring::default_provider());
    let tls = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unverified::new(provider)))
        .with_no_client_auth();
    let (client, connection) = config.connect(MakeRustlsConnect::new(tls)).await?;
    let connection = tokio::spawn(connection);
    let messages = client.simple_query(sql).await?;
    drop(client);
    connection.await??;
    let rows = messages.iter().filter_map(|message| {
        if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None }
    });
    Ok(rows
        .map(|row| {
            let columns = (0..row.len()).map(|column| row.get(column).unwrap_or_default());
            columns.collect::<Vec<_>>().join("|")
        })
        .collect())
}
