//! The settings of a project, block by block: what is declared, what was read, what is sent.
//!
//! PURE. Each block is a file: whether it is declared, its groups for the settings engine, and the request of a planned write.
//! Here they are put together, in the order in which they are written: first what closes doors, last what serves.

mod data_api;
mod parameters;
mod restrictions;
mod ssl;
#[cfg(test)]
mod tests;

use crate::api::SupabaseProjectSpec;
use crate::api::settings::Applied;
use crate::management::{Call, DataApi, NetworkRestrictions, ProjectRef, Settings, SslEnforcement};
use crate::settings::{Digester, Group, Reading, Write};

/// When each block is written.
mod order {
    pub(super) const RESTRICTIONS: u8 = 0;
    pub(super) const SSL: u8 = 1;
    pub(super) const PARAMETERS: u8 = 2;
    pub(super) const DATA_API: u8 = 3;
}

/// What was read of each block, or why it was not. A block that is not declared is not read.
#[derive(Debug)]
pub struct Answers {
    /// From where the database can be reached.
    pub restrictions: Result<NetworkRestrictions, Reading>,
    /// Whether Postgres takes connections with TLS only.
    pub ssl: Result<SslEnforcement, Reading>,
    /// The parameters of Postgres.
    pub parameters: Result<Settings, Reading>,
    /// The REST and GraphQL interface.
    pub data_api: Result<DataApi, Reading>,
}

impl Answers {
    /// None, all for one reason: the project is not active, or reading is not due.
    pub fn none(why: &Reading) -> Self {
        Self {
            restrictions: Err(why.clone()),
            ssl: Err(why.clone()),
            parameters: Err(why.clone()),
            data_api: Err(why.clone()),
        }
    }
}

/// Settings that one endpoint reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// From where the database can be reached.
    Restrictions,
    /// Whether Postgres takes connections with TLS only.
    Ssl,
    /// The parameters of Postgres.
    Parameters,
    /// The REST and GraphQL interface.
    DataApi,
}

impl Block {
    /// Every block.
    pub const ALL: [Self; 4] = [Self::Restrictions, Self::Ssl, Self::Parameters, Self::DataApi];

    /// Whether it is to be read: something of it is declared, or was put there and is declared no more.
    pub fn is_wanted(self, spec: &SupabaseProjectSpec, applied: &[Applied]) -> bool {
        match self {
            Self::Restrictions => spec.database.network_restrictions.is_some(),
            Self::Ssl => spec.database.ssl_enforcement.is_some(),
            Self::Parameters => parameters::is_wanted(spec, applied),
            Self::DataApi => spec.data_api.is_some(),
        }
    }
}

/// All groups of a project.
pub fn groups(
    spec: &SupabaseProjectSpec,
    answers: &Answers,
    applied: &[Applied],
    digester: Digester<'_>,
) -> Vec<Group> {
    let mut groups = Vec::new();
    groups.extend(restrictions::group(spec, &answers.restrictions, digester));
    groups.extend(ssl::group(spec, &answers.ssl, digester));
    groups.extend(parameters::groups(spec, &answers.parameters, applied, digester));
    groups.extend(data_api::group(spec, &answers.data_api, digester));
    groups
}

/// The request of a planned write; none where what it needs was not read.
pub fn call(
    spec: &SupabaseProjectSpec,
    answers: &Answers,
    write: &Write,
    reference: &ProjectRef,
) -> Option<Call<()>> {
    match write.order {
        order::RESTRICTIONS => restrictions::call(spec, reference),
        order::SSL => ssl::call(spec, reference),
        order::PARAMETERS => parameters::call(spec, &answers.parameters, write, reference),
        order::DATA_API => data_api::call(spec, reference),
        _ => None,
    }
}

/// What people should know of a declaration that is in force: for the message of `Synced`.
pub fn notes(spec: &SupabaseProjectSpec) -> Option<String> {
    restrictions::closed_family(spec)
}
