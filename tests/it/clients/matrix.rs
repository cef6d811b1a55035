//! The table of clients: what each is given, and what comes of it.

use std::fmt;

/// How a client reaches its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Encrypted, no certificate checked.
    Unverified,
    /// Encrypted, certificate and host name checked.
    Verified,
    /// It reaches no database.
    None,
}

impl fmt::Display for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unverified => "encrypted",
            Self::Verified => "verified",
            Self::None => "none",
        })
    }
}

/// The program that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The machine's own psql.
    Psql,
    /// `tests/tools/clients/node`, with this client.
    Node(&'static str),
    /// `tests/tools/clients/python`, with this client.
    Python(&'static str),
    /// `tests/tools/clients/go`.
    Go,
    /// `tests/tools/clients/java`, with this client.
    Java(&'static str),
    /// This process.
    Rust,
}

/// What must come of it.
#[derive(Clone, Copy, Debug)]
pub enum Expected {
    /// An answer.
    Answer,
    /// It cannot work.
    Refusal {
        /// A part of what the client says.
        says: &'static str,
        /// Why, for the table.
        why: &'static str,
    },
}

/// A client, and what it is given.
#[derive(Debug)]
pub struct Case {
    pub client: &'static str,
    pub program: Program,
    /// What it is given, for the table.
    pub given: &'static str,
    /// The key with its address, or the output whose keys are its environment, or the output that is bound.
    pub from: &'static str,
    /// The variable that names the file with the authorities, where the address does not.
    pub trust: Option<&'static str>,
    pub tls: Tls,
    pub expected: Expected,
    /// The answer of those that reach no database.
    pub answer: &'static str,
}

const fn case(
    client: &'static str,
    program: Program,
    given: &'static str,
    from: &'static str,
    tls: Tls,
) -> Case {
    Case { client, program, given, from, trust: None, tls, expected: Expected::Answer, answer: "" }
}

impl Case {
    const fn trusting(self, variable: &'static str) -> Self {
        Self { trust: Some(variable), ..self }
    }

    const fn refused(self, says: &'static str, why: &'static str) -> Self {
        Self { expected: Expected::Refusal { says, why }, ..self }
    }

    const fn answering(self, answer: &'static str) -> Self {
        Self { answer, ..self }
    }
}

use Program::{Go, Java, Node, Psql, Python, Rust};
use Tls::{None as Nothing, Unverified, Verified};

const NODE_CA: &str = "NODE_EXTRA_CA_CERTS";
const STRICT: &str = "pg reads sslmode=require as verify-full: NODE_EXTRA_CA_CERTS, sslrootcert, or uselibpqcompat=true";

pub const CASES: &[Case] = &[
    case("psql", Psql, "DatabaseURI", "URI", Unverified),
    case("psql", Psql, "preset Libpq", "app-libpq", Unverified),
    case("psql", Psql, "DatabasePassfile", "pgpass", Unverified),
    case("psql", Psql, "DatabaseURI, caFile", "URI_WITH_FILE", Verified),
    case("psql", Psql, "preset Libpq, caFile", "app-libpq-verified", Verified),
    case("psql", Psql, "DatabaseURI, PGSSLROOTCERT", "URI_VERIFIED", Verified).trusting("PGSSLROOTCERT"),
    case("pg", Node("pg"), "DatabaseURI", "URI", Unverified).refused("certificate", STRICT),
    case("pg", Node("pg"), "DatabaseURI, uselibpqcompat", "URI_LIBPQ", Unverified),
    case("pg", Node("pg"), "DatabaseURI, caFile", "URI_WITH_FILE", Verified),
    case("pg", Node("pg"), "DatabaseURI, NODE_EXTRA_CA_CERTS", "URI", Verified).trusting(NODE_CA),
    case("Postgres.js", Node("postgres"), "DatabaseURI", "URI", Unverified),
    case("Postgres.js", Node("postgres"), "DatabaseURI, NODE_EXTRA_CA_CERTS", "URI_VERIFIED", Verified).trusting(NODE_CA),
    case("Postgres.js", Node("postgres"), "DatabaseURI, caFile", "URI_WITH_FILE", Verified)
        .trusting(NODE_CA)
        .refused("sslrootcert", "it sends sslrootcert to the server: leave caFile out, and use NODE_EXTRA_CA_CERTS"),
    case("Prisma (adapter-pg)", Node("prisma"), "DatabaseURI", "URI", Unverified).refused("certificate", STRICT),
    case("Prisma (adapter-pg)", Node("prisma"), "DatabaseURI, uselibpqcompat", "URI_LIBPQ", Unverified),
    case("Prisma (adapter-pg)", Node("prisma"), "DatabaseURI, caFile", "URI_WITH_FILE", Verified),
    case("Prisma (adapter-pg)", Node("prisma"), "DatabaseURI, NODE_EXTRA_CA_CERTS", "URI", Verified).trusting(NODE_CA),
    case("Drizzle (pg)", Node("drizzle"), "DatabaseURI, uselibpqcompat", "URI_LIBPQ", Unverified),
    case("Drizzle (pg)", Node("drizzle"), "DatabaseURI, caFile", "URI_WITH_FILE", Verified),
    case("Drizzle (Postgres.js)", Node("drizzle-postgres"), "DatabaseURI", "URI", Unverified),
    case("Drizzle (Postgres.js)", Node("drizzle-postgres"), "DatabaseURI, NODE_EXTRA_CA_CERTS", "URI_VERIFIED", Verified)
        .trusting(NODE_CA),
    case("psycopg", Python("psycopg"), "DatabaseURI", "URI", Unverified),
    case("psycopg", Python("psycopg"), "DatabaseURI, caFile", "URI_WITH_FILE", Verified),
    case("asyncpg", Python("asyncpg"), "DatabaseURI", "URI", Unverified),
    case("asyncpg", Python("asyncpg"), "DatabaseURI, caFile", "URI_WITH_FILE", Verified),
    case("SQLAlchemy (asyncpg)", Python("sqlalchemy"), "DatabaseURI, scheme, ssl", "SQLALCHEMY", Unverified),
    case("SQLAlchemy (asyncpg)", Python("sqlalchemy"), "DatabaseURI, scheme, ssl, PGSSLROOTCERT", "SQLALCHEMY_VERIFIED", Verified)
        .trusting("PGSSLROOTCERT"),
    case("pgx", Go, "DatabaseURI", "URI", Unverified),
    case("pgx", Go, "DatabaseURI, caFile", "URI_WITH_FILE", Verified),
    case("tokio-postgres", Rust, "DatabaseURI", "URI", Unverified),
    case("tokio-postgres", Rust, "DatabaseURI, DatabaseCA", "URI", Verified).trusting("in code"),
    case("tokio-postgres", Rust, "DatabaseURI, caFile", "URI_WITH_FILE", Verified).refused(
        "not a Postgres URI",
        "it knows neither verify-full nor sslrootcert: give rustls DatabaseCA, and leave the mode at Require",
    ),
    case("pgjdbc", Java("pgjdbc"), "DatabaseJDBCURL", "JDBC", Unverified),
    case("pgjdbc", Java("pgjdbc"), "DatabaseJDBCURL, caFile", "JDBC_WITH_FILE", Verified),
    case("Spring Cloud Bindings", Java("binding"), "preset ServiceBinding", "app-binding", Unverified),
    case("Spring Cloud Bindings", Java("binding"), "preset ServiceBinding", "app-binding-verified", Verified),
    case("supabase-js", Node("supabase-js"), "URL, PublishableKey", "app-web", Nothing).answering("42"),
    case("@supabase/server", Node("supabase-server"), "URL, keys, JWKSURL", "app-server", Nothing)
        .answering("user: 42, secret: 42"),
];
