//! API keys and ways to the database, read from the platform.

use secrecy::SecretString;

use super::Reader;
use crate::api::Endpoint;
use crate::management::{self, KeyKind, PoolMode, PoolerEntry, ProjectRef};
use crate::outputs::{self, Database, Facts, Keys};
use crate::project::facts::{Observed, Reading};

impl Reader<'_> {
    pub(super) async fn read(
        &self,
        reference: &ProjectRef,
        observed: &Observed,
        all: bool,
    ) -> Result<Reading, management::Error> {
        let tenant = self.tenant();
        let keys = self
            .session
            .send(&tenant, &management::api_keys(reference))
            .await?
            .value;
        let pooler = self
            .session
            .send(&tenant, &management::pooler(reference))
            .await?
            .value;
        let direct = observed
            .wanted
            .iter()
            .any(|wanted| wanted.output.endpoint == Endpoint::Direct);
        let itself = if all || direct {
            let answer = self
                .session
                .send(&tenant, &management::project(reference))
                .await?;
            answer.value.database
        } else {
            None
        };
        let mut databases = pooled(&pooler);
        if let Some(database) = &itself {
            databases.push(Database {
                endpoint: Endpoint::Direct,
                host: database.host.clone(),
                port: 5432,
                user: "postgres".to_owned(),
                name: "postgres".to_owned(),
            });
        }
        let named = |kind: &KeyKind, name: &str| {
            let of_kind = || keys.iter().filter(|key| key.kind == *kind);
            let exact = of_kind().find(|key| key.name == name);
            let any = || of_kind().find(|_| *kind != KeyKind::Legacy);
            exact.or_else(any).and_then(|key| key.value.clone())
        };
        let keys = Keys {
            publishable: named(&KeyKind::Publishable, "default"),
            secret: named(&KeyKind::Secret, "default"),
            anon: named(&KeyKind::Legacy, "anon"),
            service_role: named(&KeyKind::Legacy, "service_role"),
        };
        let facts = Facts {
            reference: reference.to_string(),
            keys,
            databases,
            password: None,
        };
        let complete = observed.wanted.iter().all(|wanted| {
            let known = Facts {
                password: Some(SecretString::from("known")),
                ..facts.clone()
            };
            outputs::render(&wanted.output, &known).missing.is_empty()
        });
        let postgres_version = itself.and_then(|database| database.version);
        Ok(Reading {
            facts,
            complete,
            postgres_version,
        })
    }
}

/// The shared pooler's two modes. Recorded answers list the transaction mode alone, on port 6543; the session mode
/// of the same host is on port 5432 (management-api.md §7, uncertain whether it is ever listed: both are read).
fn pooled(entries: &[PoolerEntry]) -> Vec<Database> {
    const TRANSACTION: u16 = 6543;
    const SESSION: u16 = 5432;
    let entry = |mode| {
        entries
            .iter()
            .find(|entry| entry.primary && entry.mode == mode)
    };
    let way = |endpoint, entry: &PoolerEntry, port| Database {
        endpoint,
        host: entry.host.clone(),
        port,
        user: entry.user.clone(),
        name: entry.database.clone(),
    };
    let transaction = entry(PoolMode::Transaction);
    let session =
        entry(PoolMode::Session).map(|entry| way(Endpoint::SessionPooler, entry, entry.port));
    let derived = transaction.map(|entry| {
        let port = if entry.port == TRANSACTION {
            SESSION
        } else {
            entry.port
        };
        way(Endpoint::SessionPooler, entry, port)
    });
    let transaction = transaction.map(|entry| way(Endpoint::TransactionPooler, entry, entry.port));
    session.or(derived).into_iter().chain(transaction).collect()
}
