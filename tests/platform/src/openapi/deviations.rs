//! Where the platform is known to differ from its own document: the one list, each with its reason.

use super::Violation;
use crate::faults::glob;

/// One known difference.
#[derive(Clone, Copy, Debug)]
pub struct Deviation {
    /// Method and pattern; `**` for every operation.
    pub operation: &'static str,
    /// The place of the violation; `*` stands for anything but a slash, `**` for anything.
    pub place: &'static str,
    /// Why the document is not to be followed there.
    pub reason: &'static str,
}

impl Deviation {
    /// Whether a violation is this deviation.
    pub fn covers(&self, violation: &Violation) -> bool {
        glob(self.operation.as_bytes(), violation.operation.as_bytes())
            && glob(self.place.as_bytes(), violation.place.as_bytes())
    }
}

const fn known(operation: &'static str, place: &'static str, reason: &'static str) -> Deviation {
    Deviation { operation, place, reason }
}

/// All known differences.
pub const DEVIATIONS: &[Deviation] = &[
    known(
        "PATCH /v1/projects/{ref}/config/database/postgres",
        "operation",
        "newer than the document: in the schemas of the official CLI 3.1.0",
    ),
    known(
        "POST /v1/projects",
        "request body",
        "release_channel and postgres_engine are taken; the document hides both (hideDefinitions)",
    ),
    known(
        "GET /v1/projects/{ref}/health",
        "request query services/*",
        "a comma list is taken like a repeated parameter: the official SDK sends one",
    ),
    known(
        "GET /v1/oauth/authorize",
        "answer status 303",
        "the browser is redirected to the consent page; the document says 204",
    ),
    known(
        "POST /v1/oauth/token",
        "answer status 201",
        "201 in older documents and clients, 200 in this one: any success is to be accepted",
    ),
    known(
        "POST /v1/oauth/token",
        "answer 200",
        "scope and project_refs are newer than the document: in the schemas of the CLI 3.1.0",
    ),
    known(
        "** /v1/**",
        "answer status 401",
        "no good token or client; declared for most operations, answered by all",
    ),
    known(
        "** /v1/**",
        "answer status 403",
        "a right is missing; declared for most operations, answered by all",
    ),
    known(
        "** /v1/**",
        "answer status 429",
        "too many requests; declared for most operations, answered by all",
    ),
    known(
        "* /v1/projects/{ref}/api-keys**",
        "request body/name",
        "capitals in a key's name are taken and lowered, as the Terraform provider found",
    ),
    known("GET /v1/oauth/authorize", "answer status 422", "an unknown client, as recorded"),
    known("POST /v1/oauth/*", "answer status 422", "an unknown client, as recorded"),
    known(
        "** /v1/**",
        "answer status 400",
        "validation, wrong state, removed resources; hardly ever declared, often recorded",
    ),
    known("POST /v1/projects", "answer status 402", "a size that needs a paid plan"),
    known("PATCH /v1/projects/{ref}/**", "answer status 402", "a setting that needs a paid plan"),
    known(
        "GET /v2/projects/{ref}/config",
        "operation",
        "version 2 has a document of its own; the shape is in the schemas of the official CLI 3.1.0",
    ),
    known(
        "PUT /v1/projects/{ref}/config/database/postgres",
        "request body",
        "six parameters are newer than the document: in the schemas of the official CLI 3.1.0",
    ),
    known(
        "PATCH /v1/projects/{ref}/config/realtime",
        "request body",
        "postgres_changes_pool is newer than the document: in the schemas of the official CLI 3.1.0",
    ),
    known(
        "PATCH /v1/projects/{ref}/config/realtime",
        "request body/max_concurrent_users",
        "300,000 instead of 50,000 in the schemas of the official CLI 3.1.0",
    ),
    known(
        "** /v1/**",
        "answer status 404",
        "unknown refs, keys, organizations and used refresh tokens; hardly ever declared",
    ),
    known(
        "** /v1/**",
        "answer status 406",
        "an authorization that has lost its scopes, as reported",
    ),
    known(
        "POST /v1/projects",
        "answer status 409",
        "a name that is taken: 400 and 409 are both spoken of, neither is declared",
    ),
];
