//! The health of a project's services, with the quirks of the answer taken out.
//!
//! `error` is a text that may hold JSON; the pooler is `not found` while a project is young; a failure to
//! ask a service is told as its sickness; `rest` is sick when it is switched off.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::Undecodable;
use super::loose::Loose;

/// A service of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// `auth`: signing in.
    Auth,
    /// `db`: Postgres itself.
    Database,
    /// The database, seen by the user `postgres`.
    DatabaseUser,
    /// The shared pooler.
    Pooler,
    /// `realtime`: changes, told as they happen.
    Realtime,
    /// The Data API.
    Rest,
    /// `storage`: files.
    Storage,
    /// The dedicated pooler.
    PgBouncer,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 8] = [
        Self::Auth,
        Self::Database,
        Self::DatabaseUser,
        Self::Pooler,
        Self::Realtime,
        Self::Rest,
        Self::Storage,
        Self::PgBouncer,
    ];

    /// The API's name of the service.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Database => "db",
            Self::DatabaseUser => "db_postgres_user",
            Self::Pooler => "pooler",
            Self::Realtime => "realtime",
            Self::Rest => "rest",
            Self::Storage => "storage",
            Self::PgBouncer => "pg_bouncer",
        }
    }
}

/// How a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// Not there yet.
    ComingUp,
    /// Well.
    Healthy,
    /// Sick.
    Unhealthy,
    /// Could not be asked; will be known later.
    Transient,
    /// Switched off by its settings.
    Off,
}

/// One service and how it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceHealth {
    /// Whose health it is.
    pub service: Service,
    /// How it is.
    pub state: ServiceState,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    name: Loose,
    #[serde(default)]
    status: Loose,
    #[serde(default)]
    healthy: Loose,
    #[serde(default)]
    info: Value,
    #[serde(default)]
    error: Value,
}

/// Reads the health of the services that are known here; others are left out, and of one that is named twice what is
/// said first counts: a status cannot hold two of one name.
pub(in super::super) fn health(_: &str, body: &[u8]) -> Result<Vec<ServiceHealth>, Undecodable> {
    let list: Vec<Loose<Raw>> = serde_json::from_slice(body)?;
    let list: Vec<_> = list.into_iter().filter_map(Loose::object).collect();
    let known = |raw: &Raw| {
        Service::ALL
            .into_iter()
            .find(|service| matches!(&raw.name, Loose::Text(name) if service.as_str() == name))
    };
    let mut seen = BTreeSet::new();
    Ok(list
        .iter()
        .filter_map(|raw| {
            known(raw).map(|service| ServiceHealth { service, state: state(service, raw) })
        })
        .filter(|health| seen.insert(health.service))
        .collect())
}

fn state(service: Service, raw: &Raw) -> ServiceState {
    match &raw.status {
        Loose::Text(word) if word == "ACTIVE_HEALTHY" => return ServiceState::Healthy,
        Loose::Text(word) if word == "COMING_UP" => return ServiceState::ComingUp,
        Loose::Text(word) if word == "UNHEALTHY" => {}
        Loose::Nothing if matches!(raw.healthy, Loose::Flag(true)) => return ServiceState::Healthy,
        Loose::Nothing => {}
        // A word that is not known is not health, nor is what is no word.
        Loose::Text(_)
        | Loose::Number(_)
        | Loose::Flag(_)
        | Loose::Object(_)
        | Loose::List(_)
        | Loose::Other => return ServiceState::Transient,
    }
    let error = match &raw.error {
        Value::String(text) => text.to_lowercase(),
        Value::Null => String::new(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string().to_lowercase()
        }
    };
    let no_schema = raw.info.get("db_schema").and_then(Value::as_str) == Some("");
    if service == Service::Rest && (no_schema || error.contains("disabled")) {
        ServiceState::Off
    } else if service == Service::Pooler && error.contains("not found") {
        ServiceState::ComingUp
    } else if error.contains("failed to retrieve project's") && error.contains("service health") {
        ServiceState::Transient
    } else {
        ServiceState::Unhealthy
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quirks_are_told_apart_from_sickness() {
        for (entry, expected) in [
            (
                json!({ "name": "auth", "healthy": true, "status": "ACTIVE_HEALTHY", "info": { "name": "GoTrue" } }),
                ServiceState::Healthy,
            ),
            (json!({ "name": "auth", "healthy": true }), ServiceState::Healthy),
            (
                json!({ "name": "db", "healthy": false, "status": "COMING_UP" }),
                ServiceState::ComingUp,
            ),
            (json!({ "name": "db", "status": "UNHEALTHY" }), ServiceState::Unhealthy),
            (
                json!({ "name": "db", "status": "DEGRADED", "healthy": true }),
                ServiceState::Transient,
            ),
            (
                json!({ "name": "pooler", "status": "UNHEALTHY", "error": "{\"error\":\"not found\"}" }),
                ServiceState::ComingUp,
            ),
            (
                json!({ "name": "pooler", "status": "UNHEALTHY", "error": { "error": "Not found" } }),
                ServiceState::ComingUp,
            ),
            (
                json!({ "name": "auth", "status": "UNHEALTHY", "error": "{\"error\":\"not found\"}" }),
                ServiceState::Unhealthy,
            ),
            (
                json!({ "name": "storage", "status": "UNHEALTHY", "error": "Failed to retrieve project's storage service health" }),
                ServiceState::Transient,
            ),
            (
                json!({ "name": "rest", "status": "UNHEALTHY", "info": { "db_schema": "" } }),
                ServiceState::Off,
            ),
            (
                json!({ "name": "rest", "status": "UNHEALTHY", "error": "{\"error\":\"Data API is disabled\"}" }),
                ServiceState::Off,
            ),
            (
                json!({ "name": "rest", "status": "UNHEALTHY", "info": { "db_schema": "public" } }),
                ServiceState::Unhealthy,
            ),
        ] {
            let read = health("", json!([entry]).to_string().as_bytes()).unwrap();
            assert_eq!(read[0].state, expected, "{entry}");
        }
    }

    #[test]
    fn a_service_that_is_named_twice_counts_once() {
        let entry = |status: &str| json!({ "name": "auth", "healthy": false, "status": status });
        let body = json!([entry("COMING_UP"), entry("ACTIVE_HEALTHY")]).to_string();
        let list = health("", body.as_bytes()).unwrap();
        let states: Vec<_> = list.iter().map(|health| health.state).collect();
        assert_eq!(states, [ServiceState::ComingUp]);
    }

    #[test]
    fn unknown_services_are_left_out() {
        let body =
            json!([{ "name": "vectors", "status": "ACTIVE_HEALTHY" }, { "name": "pg_bouncer" }]);
        let read = health("", body.to_string().as_bytes()).unwrap();
        let expected =
            ServiceHealth { service: Service::PgBouncer, state: ServiceState::Unhealthy };
        assert_eq!(read, [expected]);
        let odd = json!([7, { "name": [] }, { "name": "db", "status": 7 }, { "name": "auth", "status": "ACTIVE_HEALTHY" }]);
        let read = health("", odd.to_string().as_bytes()).unwrap();
        let states: Vec<_> = read.iter().map(|one| one.state).collect();
        assert_eq!(states, [ServiceState::Transient, ServiceState::Healthy]);
        assert!(health("", b"{}").is_err());
    }
}
