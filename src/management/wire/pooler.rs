//! The shared pooler's addresses of a project.

use serde::Deserialize;

use super::Undecodable;
use super::loose::Loose;
use super::names::{host, word};

/// One address of the shared pooler. Goes into URIs, so every part is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolerEntry {
    /// Whether it leads to the primary database, not to a replica.
    pub primary: bool,
    /// Whether a client keeps its connection for a session or for a transaction.
    pub mode: PoolMode,
    /// The user to connect as, `postgres.<ref>`.
    pub user: String,
    /// As the platform gives it.
    pub host: String,
    /// TCP.
    pub port: u16,
    /// The database's name.
    pub database: String,
}

/// When the pooler gives a connection to somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMode {
    /// When the client leaves.
    Session,
    /// After each transaction.
    Transaction,
    /// A mode that is not known here.
    Other,
}

/// Reads the addresses, one by one: one that cannot be read is one that is missing. An entry for the primary database of
/// another project spoils the answer.
pub(in super::super) fn pooler(asked: &str, body: &[u8]) -> Result<Vec<PoolerEntry>, Undecodable> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default)]
        identifier: Loose,
        #[serde(default)]
        database_type: Loose,
        #[serde(default)]
        db_user: Loose,
        #[serde(default)]
        db_host: Loose,
        #[serde(default)]
        db_port: Loose,
        #[serde(default)]
        db_name: Loose,
        #[serde(default)]
        pool_mode: Loose,
    }
    let list: Vec<Loose<Raw>> = serde_json::from_slice(body)?;
    let mut entries = Vec::new();
    for raw in list.into_iter().filter_map(Loose::object) {
        let primary = raw.database_type.text().as_deref() == Some("PRIMARY");
        let identifier = raw.identifier.text();
        if primary && identifier.is_some_and(|identifier| identifier != asked) {
            return Err(Undecodable);
        }
        let port = raw.db_port.number();
        let entry = || {
            Some(PoolerEntry {
                primary,
                mode: match raw.pool_mode.text().as_deref() {
                    Some("session") => PoolMode::Session,
                    Some("transaction") => PoolMode::Transaction,
                    Some(_) | None => PoolMode::Other,
                },
                user: word(&raw.db_user.text()?)?,
                host: host(&raw.db_host.text()?)?,
                port: u16::try_from(port?).ok()?,
                database: word(&raw.db_name.text()?)?,
            })
        };
        entries.extend(entry());
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const REF: &str = "aaaaaaaaaaaaaaaaaaaa";

    fn entry() -> Value {
        json!({
            "identifier": REF, "database_type": "PRIMARY", "db_user": "postgres.aaaaaaaaaaaaaaaaaaaa",
            "db_host": "aws-0-eu-central-1.pooler.supabase.com", "db_port": 6543, "db_name": "postgres",
            "connection_string": "postgresql://…:[YOUR-PASSWORD]@…", "pool_mode": "transaction",
            "default_pool_size": null, "max_client_conn": null, "is_using_scram_auth": true,
        })
    }

    fn read(entries: &[Value]) -> Result<Vec<PoolerEntry>, Undecodable> {
        pooler(REF, Value::from(entries.to_vec()).to_string().as_bytes())
    }

    #[test]
    fn an_address_is_read_as_recorded() {
        let expected = PoolerEntry {
            primary: true,
            mode: PoolMode::Transaction,
            user: "postgres.aaaaaaaaaaaaaaaaaaaa".to_owned(),
            host: "aws-0-eu-central-1.pooler.supabase.com".to_owned(),
            port: 6543,
            database: "postgres".to_owned(),
        };
        assert_eq!(read(&[entry()]).unwrap(), [expected]);
        assert!(read(&[]).unwrap().is_empty());
    }

    #[test]
    fn what_must_not_get_into_a_uri_is_left_out_and_the_rest_is_read() {
        for (field, bad) in [
            ("db_host", json!("evil.example/x")),
            ("db_host", json!("")),
            ("db_user", json!("postgres@evil.example")),
            ("db_name", json!("postgres?sslmode=disable")),
            ("db_port", json!(65_536)),
            ("db_port", json!("6543")),
            ("db_port", json!(-1)),
            ("db_name", json!(null)),
        ] {
            let mut changed = entry();
            changed[field] = bad.clone();
            let read = read(&[entry(), changed]).unwrap();
            assert_eq!(read.len(), 1, "{field}: {bad}");
        }
        assert_eq!(read(&[json!(7), entry(), json!(null)]).unwrap().len(), 1);
    }

    #[test]
    fn the_primary_database_of_another_project_spoils_the_answer() {
        let mut changed = entry();
        changed["identifier"] = json!("bbbbbbbbbbbbbbbbbbbb");
        assert!(read(&[entry(), changed]).is_err());
    }

    #[test]
    fn replicas_have_identifiers_of_their_own() {
        let mut replica = entry();
        replica["identifier"] = json!("aaaaaaaaaaaaaaaaaaaa-rr-eu-west-1-x");
        replica["database_type"] = json!("READ_REPLICA");
        assert!(!read(&[replica]).unwrap()[0].primary);
    }
}
