//! One query with a Postgres URI, as `psql` makes it: over TLS where the URI says `sslmode=require`, which
//! proves nobody's identity. It stands in for `psql` where that is missing. What an application with `tokio-postgres` does that
//! checks the database's certificate is here too, and what one does with a service binding.

mod binding;
mod certificate;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::{Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use certificate::Unverified;

const WITHIN: Duration = Duration::from_secs(15);

/// The rows of the answer, columns joined by `|` as `psql -At` does.
///
/// # Errors
/// Whatever keeps the answer away, within 15 seconds. No message holds the URI.
pub async fn answer(uri: &str, sql: &str) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    tokio::time::timeout(WITHIN, ask(parsed(uri)?, sql, unverified()?)).await?
}

/// The same with what a service binding holds, whose folder this is.
///
/// # Errors
/// Whatever keeps the answer away, within 15 seconds. No message holds the password.
pub async fn bound_answer(
    binding: &Path,
    sql: &str,
) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    let config = binding::read(binding)?;
    tokio::time::timeout(WITHIN, ask(config, sql, unverified()?)).await?
}

/// The same of a server that proves to be the URI's host, by one of these authorities (PEM).
///
/// # Errors
/// Whatever keeps the answer away, within 15 seconds. No message holds the URI.
pub async fn verified_answer(
    uri: &str,
    sql: &str,
    authorities: &str,
) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    let mut trusted = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        trusted.add(authority?)?;
    }
    let provider = Arc::new(ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    tokio::time::timeout(WITHIN, ask(parsed(uri)?, sql, tls)).await?
}

/// The parser's own message would quote the URI.
fn parsed(uri: &str) -> Result<Config, &'static str> {
    uri.trim().parse().map_err(|_| "this is not a Postgres URI")
}

fn unverified() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    Ok(ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unverified::new(provider)))
        .with_no_client_auth())
}

async fn ask(
    config: Config,
    sql: &str,
    tls: ClientConfig,
) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
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
