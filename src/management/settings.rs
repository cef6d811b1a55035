//! One constructor per endpoint of settings. Pure: they only write down what to ask.
//!
//! None of the writes is repeated: what a lost answer has done is seen by reading again. Each counts against the budget of its
//! project. Separate from the other endpoints because they all follow one pattern.

use serde::Serialize;

use super::call::Call;
use super::endpoint::Endpoint;
use super::endpoints::{json, of_project};
use super::wire::{
    self, Change, DataApi, NetworkRestrictions, ProjectRef, Settings, SslEnforcement,
};

const SSL: &str = "/ssl-enforcement";
const DATA_API: &str = "/postgrest";
const PARAMETERS: &str = "/config/database/postgres";
const AUTH: &str = "/config/auth";

/// Whether Postgres takes connections with TLS only.
pub fn ssl_enforcement(reference: &ProjectRef) -> Call<SslEnforcement> {
    of_project(Endpoint::SslEnforcement, reference, SSL, wire::ssl_enforcement)
}

/// Makes Postgres take connections with TLS only, or not. Carried out later; may restart the database.
pub fn set_ssl_enforcement(reference: &ProjectRef, enforced: bool) -> Call<()> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Order {
        requested_config: Requested,
    }
    #[derive(Serialize)]
    struct Requested {
        database: bool,
    }
    let requested_config = Requested { database: enforced };
    of_project(Endpoint::SetSslEnforcement, reference, SSL, wire::anything)
        .with_body(json(&Order { requested_config }))
}

/// From where the database can be reached.
pub fn network_restrictions(reference: &ProjectRef) -> Call<NetworkRestrictions> {
    of_project(
        Endpoint::NetworkRestrictions,
        reference,
        "/network-restrictions",
        wire::network_restrictions,
    )
}

/// Lets connections in from these networks only. Both families are always sent: one without networks is closed.
pub fn restrict_networks(reference: &ProjectRef, v4: &[String], v6: &[String]) -> Call<()> {
    #[derive(Serialize)]
    struct Order<'a> {
        #[serde(rename = "dbAllowedCidrs")]
        v4: &'a [String],
        #[serde(rename = "dbAllowedCidrsV6")]
        v6: &'a [String],
    }
    of_project(Endpoint::RestrictNetworks, reference, "/network-restrictions/apply", wire::anything)
        .with_body(json(&Order { v4, v6 }))
}

/// The REST and GraphQL interface.
pub fn data_api(reference: &ProjectRef) -> Call<DataApi> {
    of_project(Endpoint::DataApi, reference, DATA_API, wire::data_api)
}

/// Changes the REST and GraphQL interface.
pub fn change_data_api(reference: &ProjectRef, change: &Change) -> Call<()> {
    of_project(Endpoint::ChangeDataApi, reference, DATA_API, wire::anything).with_body(json(change))
}

/// The parameters of Postgres that are not at their default.
pub fn parameters(reference: &ProjectRef) -> Call<Settings> {
    of_project(Endpoint::Parameters, reference, PARAMETERS, wire::settings)
}

/// Replaces all parameters of Postgres: one that is not named goes back to its default. Restarts the database only if told
/// to.
pub fn replace_parameters(reference: &ProjectRef, all: &Change, restart: bool) -> Call<()> {
    #[derive(Serialize)]
    struct Order<'a> {
        #[serde(flatten)]
        all: &'a Change,
        restart_database: bool,
    }
    let order = Order { all, restart_database: restart };
    of_project(Endpoint::ReplaceParameters, reference, PARAMETERS, wire::anything)
        .with_body(json(&order))
}

/// The Auth settings. Secrets are shown as digests, if at all.
pub fn auth_config(reference: &ProjectRef) -> Call<Settings> {
    of_project(Endpoint::AuthConfig, reference, AUTH, wire::settings)
}

/// Changes Auth settings; those that are not named stay. The answer is not what is read afterwards, so it is not used.
pub fn change_auth_config(reference: &ProjectRef, change: &Change) -> Call<()> {
    of_project(Endpoint::ChangeAuthConfig, reference, AUTH, wire::anything).with_body(json(change))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json as value;

    use super::super::call::Body;
    use super::super::wire::Given;
    use super::*;

    fn body<T>(call: &Call<T>) -> Value {
        match &call.body {
            Some(Body::Json(bytes)) => serde_json::from_slice(bytes).unwrap(),
            Some(Body::Form(_)) | None => panic!("no JSON body"),
        }
    }

    fn reference() -> ProjectRef {
        "abcdefghijklmnopqrst".parse().unwrap()
    }

    #[test]
    fn writes_say_exactly_what_was_declared() {
        let at = reference();
        let enforce = set_ssl_enforcement(&at, true);
        assert_eq!(body(&enforce), value!({"requestedConfig": {"database": true}}));
        let restrict = restrict_networks(&at, &["203.0.113.0/24".to_owned()], &[]);
        let both = value!({"dbAllowedCidrs": ["203.0.113.0/24"], "dbAllowedCidrsV6": []});
        assert_eq!(body(&restrict), both);
        let all = Change::from([("work_mem".to_owned(), Given::Text("8MB".to_owned()))]);
        let replace = replace_parameters(&at, &all, false);
        assert_eq!(body(&replace), value!({"work_mem": "8MB", "restart_database": false}));
        let change = Change::from([
            ("smtp_pass".to_owned(), Given::Secret("canary".into())),
            ("smtp_port".to_owned(), Given::Text("587".to_owned())),
            ("sessions_timebox".to_owned(), Given::Fraction(0.5)),
        ]);
        let call = change_auth_config(&at, &change);
        let expected = value!({"smtp_pass": "canary", "smtp_port": "587", "sessions_timebox": 0.5});
        assert_eq!(body(&call), expected);
        assert!(!format!("{change:?}{call:?}").contains("canary"));
    }

    #[test]
    fn every_call_is_counted_for_its_project() {
        let at = reference();
        let root = "/v1/projects/abcdefghijklmnopqrst";
        assert_eq!(ssl_enforcement(&at).path, format!("{root}/ssl-enforcement"));
        assert_eq!(network_restrictions(&at).path, format!("{root}/network-restrictions"));
        let apply = restrict_networks(&at, &[], &[]);
        assert_eq!(apply.path, format!("{root}/network-restrictions/apply"));
        assert_eq!(data_api(&at).path, format!("{root}/postgrest"));
        assert_eq!(parameters(&at).path, format!("{root}/config/database/postgres"));
        assert_eq!(auth_config(&at).path, format!("{root}/config/auth"));
        assert_eq!(auth_config(&at).scope(), at.as_str());
        assert!(apply.endpoint().is_of_a_project() && !apply.endpoint().is_read());
    }
}
