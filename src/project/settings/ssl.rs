//! Whether Postgres takes connections with TLS only: one truth value, carried out later, perhaps with a restart.

use std::collections::BTreeMap;

use super::order;
use crate::api::SupabaseProjectSpec;
use crate::management::{Call, ProjectRef, SslEnforcement, set_ssl_enforcement};
use crate::settings::{Declared, Digester, Group, Reading, Value};

const PATH: &str = "database.sslEnforcement";

pub(super) fn group(
    spec: &SupabaseProjectSpec,
    answer: &Result<SslEnforcement, Reading>,
    digester: Digester<'_>,
) -> Option<Group> {
    let enforced = spec.database.ssl_enforcement?;
    let reading = match answer {
        Ok(seen) => Reading::Seen {
            values: BTreeMap::from([(PATH.to_owned(), Value::Flag(seen.enforced))]),
            settled: seen.applied,
        },
        Err(reading) => reading.clone(),
    };
    let fields = vec![(PATH.to_owned(), Declared::Plain(Value::Flag(enforced)))];
    Some(digester.group(PATH, order::SSL, fields, reading))
}

pub(super) fn call(spec: &SupabaseProjectSpec, reference: &ProjectRef) -> Option<Call<()>> {
    let enforced = spec.database.ssl_enforcement?;
    Some(set_ssl_enforcement(reference, enforced))
}
