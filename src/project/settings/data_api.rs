//! The REST and GraphQL interface: written as a whole, and off when it serves no schema.

use std::collections::BTreeMap;

use super::order;
use crate::api::settings::DataApi as Declaration;
use crate::api::{Reason, SupabaseProjectSpec};
use crate::management::{Call, Change, DataApi, Given, ProjectRef, change_data_api};
use crate::settings::{Declared, Digester, Group, Reading, Unusable, Value};

const PATH: &str = "dataAPI";
const ENABLED: &str = "dataAPI.enabled";
const SCHEMAS: &str = "dataAPI.schemas";
const SEARCH_PATH: &str = "dataAPI.extraSearchPath";
const MAX_ROWS: &str = "dataAPI.maxRows";
const POOL: &str = "dataAPI.poolSize";
const TIMEOUT: &str = "dataAPI.poolAcquisitionTimeoutSeconds";

/// Place in the spec, the platform's name, and what is declared.
fn fields(api: &Declaration) -> Vec<(&'static str, &'static str, Value)> {
    let list = |list: &Option<Vec<String>>| list.clone().map(Value::List);
    let number = |number: Option<i64>| number.map(Value::Number);
    let all = [
        (SCHEMAS, "db_schema", list(&api.schemas)),
        (SEARCH_PATH, "db_extra_search_path", list(&api.extra_search_path)),
        (MAX_ROWS, "max_rows", number(api.max_rows)),
        (POOL, "db_pool", number(api.pool_size)),
        (TIMEOUT, "db_pool_acquisition_timeout", number(api.pool_acquisition_timeout_seconds)),
    ];
    let declared = all.into_iter();
    declared.filter_map(|(path, key, value)| Some((path, key, value?))).collect()
}

pub(super) fn group(
    spec: &SupabaseProjectSpec,
    answer: &Result<DataApi, Reading>,
    digester: Digester<'_>,
) -> Option<Group> {
    let api = spec.data_api.as_ref()?;
    let reading = match answer {
        Ok(seen) => {
            let off = split(&seen.schemas).is_empty();
            if off && api.enabled != Some(false) && api.schemas.is_none() {
                return Some(needs_schemas());
            }
            Reading::Seen { values: observed(seen), settled: true }
        }
        Err(reading) => reading.clone(),
    };
    let plain = |value| Declared::Plain(value);
    let declared = fields(api).into_iter();
    let mut declared: Vec<_> =
        declared.map(|(path, _, value)| (path.to_owned(), plain(value))).collect();
    if let Some(enabled) = api.enabled {
        declared.push((ENABLED.to_owned(), plain(Value::Flag(enabled))));
    }
    Some(digester.group(PATH, order::DATA_API, declared, reading))
}

fn needs_schemas() -> Group {
    let unusable = Unusable {
        reason: Reason::InvalidSpec,
        path: SCHEMAS.to_owned(),
        words: "the Data API is off on the platform; name the schemas that it shall serve, or set enabled to false"
            .to_owned(),
    };
    Group::unusable(PATH, order::DATA_API, unusable)
}

fn observed(seen: &DataApi) -> BTreeMap<String, Value> {
    let schemas = split(&seen.schemas);
    let number = |number: Option<i64>| number.map_or(Value::Unset, Value::Number);
    [
        (ENABLED, Value::Flag(!schemas.is_empty())),
        (SCHEMAS, Value::List(schemas)),
        (SEARCH_PATH, Value::List(split(&seen.extra_search_path))),
        (MAX_ROWS, number(seen.max_rows)),
        (POOL, number(seen.pool_size)),
        (TIMEOUT, number(seen.pool_acquisition_timeout)),
    ]
    .map(|(path, value)| (path.to_owned(), value))
    .into()
}

/// Entries between commas; the platform adds spaces.
fn split(text: &str) -> Vec<String> {
    let entries = text.split(',').map(str::trim);
    entries.filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

pub(super) fn call(spec: &SupabaseProjectSpec, reference: &ProjectRef) -> Option<Call<()>> {
    Some(change_data_api(reference, &change(spec.data_api.as_ref()?)))
}

fn change(api: &Declaration) -> Change {
    if api.enabled == Some(false) {
        return Change::from([("db_schema".to_owned(), Given::Text(String::new()))]);
    }
    let given = |value| match value {
        Value::Number(number) => Some(Given::Number(number)),
        Value::List(list) => Some(Given::Text(list.join(","))),
        Value::Unset
        | Value::Flag(_)
        | Value::Text(_)
        | Value::Set(_)
        | Value::Measure { .. }
        | Value::Secret(_)
        | Value::Masked => None,
    };
    let fields = fields(api).into_iter();
    fields.filter_map(|(_, key, value)| Some((key.to_owned(), given(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_is_sent_alone_and_what_is_on_as_declared() {
        let off = Declaration { enabled: Some(false), ..Declaration::default() };
        assert!(matches!(&change(&off)["db_schema"], Given::Text(text) if text.is_empty()));
        let on = Declaration {
            schemas: Some(vec!["public".to_owned(), "api".to_owned()]),
            extra_search_path: Some(Vec::new()),
            max_rows: Some(0),
            ..Declaration::default()
        };
        let sent = change(&on);
        assert_eq!(sent.len(), 3);
        assert!(matches!(&sent["db_schema"], Given::Text(text) if text == "public,api"));
        assert!(matches!(&sent["db_extra_search_path"], Given::Text(text) if text.is_empty()));
        assert!(matches!(sent["max_rows"], Given::Number(0)));
    }
}
