//! Addresses of the database with user and password in them: URI, JDBC URL, line of a password file. How they are written, and
//! how a password is read out of them again.
//!
//! Everything but letters, digits and `-._~` is percent-encoded: whoever decodes queries as forms or as URIs reads the same.

use super::Database;
use super::entries::Entry;
use crate::api::OutputValue;
use crate::rules::password::{decode, encode};

/// A Postgres connection URI. `sslmode=require` is what every endpoint bears (platform.md §6).
pub(super) fn uri(entry: &Entry<'_>, database: &Database, password: &str) -> String {
    let (scheme, user) = (entry.scheme, encode(&database.user));
    let (password, place) = (encode(password), place(database));
    let query = query(entry, &[]);
    format!("{scheme}://{user}:{password}@{place}{query}")
}

/// A URL for JDBC's driver, which takes user and password as parameters.
pub(super) fn jdbc_url(entry: &Entry<'_>, database: &Database, password: &str) -> String {
    let login = [("user", database.user.as_str()), ("password", password)];
    let (place, query) = (place(database), query(entry, &login));
    format!("jdbc:postgresql://{place}{query}")
}

/// A line of a password file: `:` and `\` are escaped.
pub(super) fn passfile(database: &Database, password: &str) -> String {
    let port = database.port.to_string();
    let fields = [&database.host, &port, &database.name, &database.user];
    let fields = fields.into_iter().map(String::as_str).chain([password]);
    let fields: Vec<_> = fields.map(escape).collect();
    format!("{}\n", fields.join(":"))
}

fn escape(field: &str) -> String {
    field.replace('\\', "\\\\").replace(':', "\\:")
}

fn place(database: &Database) -> String {
    let Database { host, port, name, .. } = database;
    let name = encode(name);
    if host.contains(':') {
        format!("[{host}]:{port}/{name}")
    } else {
        format!("{host}:{port}/{name}")
    }
}

/// The parameters of an address: who logs in, what is said about TLS, what the output's owner adds.
fn query(entry: &Entry<'_>, login: &[(&str, &str)]) -> String {
    let mode = entry.tls.ssl_mode().map(|mode| ("sslmode", mode));
    let file = entry.tls.ca_file.map(|file| ("sslrootcert", file));
    let others = entry.parameters.into_iter().flatten();
    let others = others.map(|(name, value)| (name.as_str(), value.as_str()));
    let parameters = login.iter().copied().chain(mode).chain(file).chain(others);
    let parameters: Vec<_> =
        parameters.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    if parameters.is_empty() { String::new() } else { format!("?{}", parameters.join("&")) }
}

/// The password that a value holds, if it holds one.
pub(super) fn password_in(value: OutputValue, text: &str) -> Option<String> {
    match value {
        OutputValue::DatabasePassword => Some(text.to_owned()),
        OutputValue::DatabaseURI => {
            let (_, rest) = text.split_once("://")?;
            let (user, _) = rest.split_once('@')?;
            decode(user.split_once(':')?.1)
        }
        OutputValue::DatabaseJDBCURL => {
            let (_, query) = text.split_once('?')?;
            let mut parameters = query.split('&');
            decode(parameters.find_map(|one| one.strip_prefix("password="))?)
        }
        OutputValue::DatabasePassfile => last_field(text.strip_suffix('\n')?),
        OutputValue::URL
        | OutputValue::ProjectRef
        | OutputValue::PublishableKey
        | OutputValue::SecretKey
        | OutputValue::AnonKey
        | OutputValue::ServiceRoleKey
        | OutputValue::DatabaseHost
        | OutputValue::DatabasePort
        | OutputValue::DatabaseName
        | OutputValue::DatabaseUser
        | OutputValue::DatabaseCA
        | OutputValue::JWKSURL => None,
    }
}

/// The last field of a line of a password file.
fn last_field(line: &str) -> Option<String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ':' => fields.push(String::new()),
            '\\' => fields.last_mut()?.push(letters.next()?),
            plain => fields.last_mut()?.push(plain),
        }
    }
    fields.pop().filter(|_| fields.len() == 4)
}
