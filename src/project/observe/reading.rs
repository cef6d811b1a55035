//! API keys and ways to the database, read from the platform.

use super::Observer;
use crate::api::Endpoint;
use crate::management::{self, ApiKey, Error, KeyKind, PoolMode, PoolerEntry, ProjectRef};
use crate::outputs::{Database, Facts, Keys};
use crate::project::facts::{Lacking, Observed, Reading, Source};
use crate::session::Session;

/// Whether an error is about what was asked for, so that the rest can be read all the same.
const fn is_about_this(error: &Error) -> bool {
    matches!(
        error,
        Error::Forbidden { .. }
            | Error::NotFound
            | Error::Rejected { .. }
            | Error::Undecodable { .. }
    )
}

/// What was read so far, and what was not.
#[derive(Default)]
struct Gaps {
    lacking: Vec<Lacking>,
    trouble: Option<Error>,
}

impl Gaps {
    /// Goes on without what an error is about, if it is about nothing more.
    fn without(&mut self, source: Source, usual: &[&str], error: Error) -> Result<(), Error> {
        if let Error::Forbidden { missing, .. } = error {
            let usual = || usual.iter().map(|one| (*one).to_owned()).collect();
            let permissions = Some(missing).filter(|names| !names.is_empty());
            self.lacking.push(Lacking { source, permissions: permissions.unwrap_or_else(usual) });
        } else if is_about_this(&error) {
            self.trouble.get_or_insert(error);
        } else {
            return Err(error);
        }
        Ok(())
    }
}

impl Observer<'_> {
    /// Keys and endpoints, each by itself: what cannot be read takes nothing else with it.
    pub(super) async fn keys_and_endpoints(
        &self,
        session: &Session,
        reference: &ProjectRef,
        observed: &Observed,
        all: bool,
    ) -> Result<Reading, Error> {
        let tenant = self.tenant();
        let mut gaps = Gaps::default();
        let keys = self.keys(session, reference, &mut gaps).await?;
        let pooler = session.send(&tenant, &management::pooler(reference)).await;
        let pooler = match pooler {
            Ok(answer) => answer.value,
            Err(error) => {
                gaps.without(Source::Pooler, management::Endpoint::Pooler.permissions(), error)?;
                Vec::new()
            }
        };
        let direct = observed.wanted.iter().any(|wanted| wanted.output.leads(Endpoint::Direct));
        let itself = if all || direct {
            let answer = session.send(&tenant, &management::project(reference)).await;
            match answer {
                Ok(answer) => answer.value.database,
                Err(error) => {
                    gaps.without(
                        Source::Project,
                        management::Endpoint::Project.permissions(),
                        error,
                    )?;
                    None
                }
            }
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
        let no_keys = keys.as_ref().is_some_and(Vec::is_empty);
        let facts = Facts {
            reference: reference.to_string(),
            keys: chosen(&keys.unwrap_or_default()),
            databases,
            password: None,
            authorities: self.projects.authorities.clone(),
        };
        let postgres_version = itself.and_then(|database| database.version);
        let Gaps { lacking, trouble } = gaps;
        Ok(Reading { facts, lacking, no_keys, trouble, postgres_version })
    }

    /// The API keys: secret ones in clear if the credential may see them, else what everybody sees who may list them.
    async fn keys(
        &self,
        session: &Session,
        reference: &ProjectRef,
        gaps: &mut Gaps,
    ) -> Result<Option<Vec<ApiKey>>, Error> {
        let tenant = self.tenant();
        let revealed = session.send(&tenant, &management::api_keys(reference)).await;
        let refusal = match revealed {
            Ok(answer) => return Ok(Some(answer.value)),
            Err(refusal @ Error::Forbidden { .. }) => refusal,
            Err(error) => {
                gaps.without(Source::Keys, &[], error)?;
                return Ok(None);
            }
        };
        let shown = session.send(&tenant, &management::shown_api_keys(reference)).await;
        match shown {
            Ok(answer) => {
                let permission = management::READS_SECRET_KEYS;
                gaps.without(Source::SecretKeys, &[permission], refusal)?;
                Ok(Some(answer.value))
            }
            Err(error) => {
                gaps.without(Source::Keys, management::Endpoint::ApiKeys.permissions(), error)?;
                Ok(None)
            }
        }
    }
}

/// The keys that outputs are made of.
fn chosen(keys: &[ApiKey]) -> Keys {
    let named = |kind: &KeyKind, name: &str| {
        let of_kind = || keys.iter().filter(|key| key.kind == *kind);
        let exact = of_kind().find(|key| key.name == name);
        let any = || of_kind().find(|_| *kind != KeyKind::Legacy);
        exact.or_else(any).and_then(|key| key.value.clone())
    };
    Keys {
        publishable: named(&KeyKind::Publishable, "default"),
        secret: named(&KeyKind::Secret, "default"),
        anon: named(&KeyKind::Legacy, "anon"),
        service_role: named(&KeyKind::Legacy, "service_role"),
    }
}

/// The shared pooler's two modes. Recorded answers list the transaction mode alone, on port 6543; the session mode
/// of the same host is on port 5432 (platform.md §6, uncertain whether it is ever listed: both are read).
fn pooled(entries: &[PoolerEntry]) -> Vec<Database> {
    const TRANSACTION: u16 = 6543;
    const SESSION: u16 = 5432;
    let entry = |mode| entries.iter().find(|entry| entry.primary && entry.mode == mode);
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
        let port = if entry.port == TRANSACTION { SESSION } else { entry.port };
        way(Endpoint::SessionPooler, entry, port)
    });
    let transaction = transaction.map(|entry| way(Endpoint::TransactionPooler, entry, entry.port));
    session.or(derived).into_iter().chain(transaction).collect()
}
