//! Judging one request or answer by an operation's rules.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use jsonschema::Validator;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::Violation;
use super::operation::{Operation, Parameter, Rules};

/// A violation before its operation is known.
#[derive(Debug)]
pub(super) struct Finding {
    place: String,
    problem: String,
}

impl Finding {
    fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }

    pub(super) fn of(self, operation: &Operation) -> Violation {
        Violation { operation: operation.label.clone(), place: self.place, problem: self.problem }
    }
}

pub(super) fn request(
    rules: &Rules,
    request: &Request<Bytes>,
    captures: &[(&str, &str)],
) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        rules.faults.iter().map(|fault| Finding::new("document", fault)).collect();
    let query = request.uri().query().unwrap_or_default();
    let query: Vec<(String, String)> =
        form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    for parameter in &rules.parameters {
        let values: Vec<&str> = if parameter.in_path {
            captures
                .iter()
                .filter(|(name, _)| *name == parameter.name)
                .map(|(_, value)| *value)
                .collect()
        } else {
            query
                .iter()
                .filter(|(name, _)| *name == parameter.name)
                .map(|(_, value)| value.as_str())
                .collect()
        };
        found.extend(judge_parameter(parameter, &values));
    }
    let declared = |name: &str| {
        rules.parameters.iter().any(|parameter| !parameter.in_path && parameter.name == name)
    };
    for (name, _) in query.iter().filter(|(name, _)| !declared(name)) {
        found.push(Finding::new(format!("request query {name}"), "it is not declared"));
    }
    found.extend(request_body(rules, request));
    found
}

fn judge_parameter(parameter: &Parameter, values: &[&str]) -> Vec<Finding> {
    let holder = if parameter.in_path { "path" } else { "query" };
    let place = format!("request {holder} {}", parameter.name);
    let value = match values {
        [] if parameter.required => return vec![Finding::new(place, "it is missing")],
        [] => return Vec::new(),
        list if parameter.kind == "array" => {
            list.iter().map(|text| typed(&parameter.item_kind, text)).collect()
        }
        [text] => typed(&parameter.kind, text),
        _ => return vec![Finding::new(place, "it is given more than once")],
    };
    judge(&parameter.validator, &value, &place)
}

/// A text as the type that the document names, if it can be that.
fn typed(kind: &str, text: &str) -> Value {
    let fallback = || Value::String(text.to_owned());
    match kind {
        "integer" => text.parse::<i64>().map_or_else(|_| fallback(), Value::from),
        "number" => text.parse::<f64>().map_or_else(|_| fallback(), Value::from),
        "boolean" => text.parse::<bool>().map_or_else(|_| fallback(), Value::from),
        _ => fallback(),
    }
}

fn request_body(rules: &Rules, request: &Request<Bytes>) -> Vec<Finding> {
    let place = "request body";
    let body = request.body();
    if body.is_empty() {
        let missing = rules.body_required && !rules.bodies.is_empty();
        return missing.then(|| Finding::new(place, "it is missing")).into_iter().collect();
    }
    let content_type = content_type(request.headers());
    let Some(validator) = rules.bodies.get(content_type) else {
        let problem = format!("the type {content_type:?} is not declared");
        return vec![Finding::new(place, problem)];
    };
    let value = if content_type == "application/x-www-form-urlencoded" {
        let fields = form_urlencoded::parse(body)
            .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())));
        Value::Object(fields.collect::<Map<_, _>>())
    } else {
        match serde_json::from_slice(body) {
            Ok(value) => value,
            Err(_) => return vec![Finding::new(place, "it is no JSON")],
        }
    };
    judge(validator, &value, place)
}

pub(super) fn answer(rules: &Rules, response: &Response<Bytes>) -> Vec<Finding> {
    let status = response.status().as_u16();
    let mut found = Vec::new();
    let declared = rules.answers.get(&status);
    if declared.is_none() {
        found.push(Finding::new(format!("answer status {status}"), "it is not declared"));
    }
    if status >= 400 {
        found.extend(judge_error(status, response));
    } else if let Some(contents) = declared {
        found.extend(judge_success(status, contents, response));
    }
    found
}

/// The document has no schema for errors; this is the shape of those that were recorded.
fn judge_error(status: u16, response: &Response<Bytes>) -> Option<Finding> {
    let place = format!("answer {status}");
    let Ok(body) = serde_json::from_slice::<Value>(response.body()) else {
        return Some(Finding::new(place, "it is no JSON"));
    };
    let is_text = |value: &Value| value.is_string();
    let fits = body.get("message").is_some_and(|message| {
        is_text(message) || message.as_array().is_some_and(|list| list.iter().all(is_text))
    });
    (!fits).then(|| Finding::new(place, "it has no message"))
}

fn judge_success(
    status: u16,
    contents: &BTreeMap<String, Validator>,
    response: &Response<Bytes>,
) -> Vec<Finding> {
    let place = format!("answer {status}");
    if contents.is_empty() {
        // Some operations answer with a body that the document does not mention.
        return Vec::new();
    }
    let Some(validator) = contents.get(content_type(response.headers())) else {
        return vec![Finding::new(place, "its content type is not declared")];
    };
    match serde_json::from_slice(response.body()) {
        Ok(value) => judge(validator, &value, &place),
        Err(_) => vec![Finding::new(place, "it is no JSON")],
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.split(';').next()).unwrap_or_default().trim()
}

/// Judges a value, without ever showing it: it may hold secrets.
fn judge(validator: &Validator, value: &Value, place: &str) -> Vec<Finding> {
    validator
        .iter_errors(value)
        .map(|error| {
            let place = format!("{place}{}", error.instance_path());
            Finding::new(place, error.masked().to_string())
        })
        .collect()
}
