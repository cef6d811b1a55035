//! The operations of the document and their compiled rules.

use std::collections::BTreeMap;

use http::Method;
use jsonschema::Validator;
use serde_json::Value;

use super::schema::{convert, resolve};

/// One operation of the document.
#[derive(Debug)]
pub(super) struct Operation {
    method: Method,
    path: String,
    pub(super) label: String,
}

/// What an operation demands of its messages.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) parameters: Vec<Parameter>,
    pub(super) body_required: bool,
    /// By content type.
    pub(super) bodies: BTreeMap<String, Validator>,
    /// By status, then by content type.
    pub(super) answers: BTreeMap<u16, BTreeMap<String, Validator>>,
    /// Parts of the document that could not be used.
    pub(super) faults: Vec<String>,
}

/// A parameter in the path or the query.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) in_path: bool,
    pub(super) required: bool,
    pub(super) kind: String,
    pub(super) item_kind: String,
    pub(super) validator: Validator,
}

const METHODS: [&str; 7] = ["get", "head", "post", "put", "patch", "delete", "options"];

/// All operations of a document.
pub(super) fn all(document: &Value) -> Vec<Operation> {
    let Some(paths) = document.get("paths").and_then(Value::as_object) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (path, item) in paths {
        for word in METHODS {
            if let (Some(_), Ok(method)) = (item.get(word), word.to_uppercase().parse::<Method>()) {
                let label = format!("{method} {path}");
                found.push(Operation { method, path: path.clone(), label });
            }
        }
    }
    found
}

impl Operation {
    /// What the placeholders of the path stand for, if a request is for this operation.
    pub(super) fn captures<'a>(
        &'a self,
        method: &Method,
        path: &'a str,
    ) -> Option<Vec<(&'a str, &'a str)>> {
        if *method != self.method {
            return None;
        }
        let mut captures = Vec::new();
        let mut words = path.split('/');
        for wanted in self.path.split('/') {
            let word = words.next()?;
            match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) if !word.is_empty() => captures.push((name, word)),
                None if wanted == word => {}
                Some(_) | None => return None,
            }
        }
        words.next().is_none().then_some(captures)
    }

    fn raw<'a>(&self, document: &'a Value) -> (&'a Value, &'a Value) {
        let item = document.get("paths").and_then(|paths| paths.get(&self.path));
        let item = item.unwrap_or(&Value::Null);
        let operation = item.get(self.method.as_str().to_lowercase()).unwrap_or(&Value::Null);
        (item, operation)
    }

    /// The OAuth scope and the fine-grained permissions.
    pub(super) fn access<'a>(&self, document: &'a Value) -> (Option<&'a str>, Vec<&'a str>) {
        let (_, operation) = self.raw(document);
        let scope = operation.get("x-oauth-scope").and_then(Value::as_str);
        let security = operation.get("security").and_then(Value::as_array);
        let permissions = security
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.get("fga_permissions")?.as_array())
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        (scope, permissions)
    }

    /// The fields of the JSON body.
    pub(super) fn body_fields(&self, document: &Value) -> Vec<String> {
        let (_, operation) = self.raw(document);
        let schema = operation.pointer("/requestBody/content/application~1json/schema");
        let schema = schema.and_then(|schema| convert(document, schema).ok());
        schema
            .as_ref()
            .and_then(|schema| schema.get("properties")?.as_object())
            .map(|fields| fields.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Compiles everything that the document says about this operation.
    pub(super) fn rules(&self, document: &Value) -> Rules {
        let (item, operation) = self.raw(document);
        let mut rules = Rules::default();
        let both = [item.get("parameters"), operation.get("parameters")];
        for raw in both.into_iter().flatten().filter_map(Value::as_array).flatten() {
            match parameter(document, raw) {
                Ok(parameter) => rules.parameters.extend(parameter),
                Err(fault) => rules.faults.push(fault),
            }
        }
        if let Some(body) = operation.get("requestBody") {
            rules.body_required = body.get("required") == Some(&Value::Bool(true));
            rules.bodies = contents(document, body, &mut rules.faults);
        }
        let answers = operation.get("responses").and_then(Value::as_object);
        for (status, answer) in answers.into_iter().flatten() {
            if let Ok(status) = status.parse() {
                let contents = contents(document, answer, &mut rules.faults);
                rules.answers.insert(status, contents);
            }
        }
        rules
    }
}

fn parameter(document: &Value, raw: &Value) -> Result<Option<Parameter>, String> {
    let raw = match raw.get("$ref").and_then(Value::as_str) {
        Some(reference) => resolve(document, reference)?,
        None => raw,
    };
    let text = |name: &str| raw.get(name).and_then(Value::as_str).unwrap_or_default();
    let in_path = match text("in") {
        "path" => true,
        "query" => false,
        _ => return Ok(None),
    };
    let schema = convert(document, raw.get("schema").unwrap_or(&Value::Bool(true)))?;
    let kind = |schema: Option<&Value>| {
        let kind = schema.and_then(|schema| schema.get("type")?.as_str());
        kind.unwrap_or("string").to_owned()
    };
    Ok(Some(Parameter {
        name: text("name").to_owned(),
        in_path,
        required: raw.get("required") == Some(&Value::Bool(true)),
        kind: kind(Some(&schema)),
        item_kind: kind(schema.get("items")),
        validator: compile(&schema)?,
    }))
}

fn contents(
    document: &Value,
    holder: &Value,
    faults: &mut Vec<String>,
) -> BTreeMap<String, Validator> {
    let contents = holder.get("content").and_then(Value::as_object);
    let mut compiled = BTreeMap::new();
    for (content_type, content) in contents.into_iter().flatten() {
        let Some(schema) = content.get("schema") else {
            continue;
        };
        match convert(document, schema).and_then(|schema| compile(&schema)) {
            Ok(validator) => {
                compiled.insert(content_type.clone(), validator);
            }
            Err(fault) => faults.push(fault),
        }
    }
    compiled
}

fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .build(schema)
        .map_err(|error| error.to_string())
}
