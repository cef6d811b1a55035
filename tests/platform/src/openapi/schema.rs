//! From the schemas of OpenAPI 3.0 to JSON Schema 2020-12.
//!
//! References are replaced by what they refer to, `nullable` becomes a type, and exclusive bounds become
//! numbers.

use serde_json::{Map, Value, json};

/// Nothing in the document lies deeper; a schema that refers to itself does.
const DEEPEST: usize = 64;

/// A schema of `document`, converted.
pub(super) fn convert(document: &Value, schema: &Value) -> Result<Value, String> {
    inner(document, schema, 0)
}

fn inner(document: &Value, schema: &Value, depth: usize) -> Result<Value, String> {
    if depth > DEEPEST {
        return Err("a schema refers to itself".to_owned());
    }
    match schema {
        Value::Object(object) => match object.get("$ref").and_then(Value::as_str) {
            Some(reference) => inner(document, resolve(document, reference)?, depth + 1),
            None => object_schema(document, object, depth),
        },
        Value::Array(list) => {
            list.iter().map(|item| inner(document, item, depth + 1)).collect::<Result<_, _>>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(schema.clone()),
    }
}

/// What a reference within the document refers to.
pub(super) fn resolve<'a>(document: &'a Value, reference: &str) -> Result<&'a Value, String> {
    reference
        .strip_prefix('#')
        .and_then(|pointer| document.pointer(pointer))
        .ok_or_else(|| format!("{reference} refers to nothing"))
}

fn object_schema(
    document: &Value,
    object: &Map<String, Value>,
    depth: usize,
) -> Result<Value, String> {
    let mut converted = Map::new();
    for (key, value) in object {
        // Examples hold values, not schemas.
        if key != "example" {
            converted.insert(key.clone(), inner(document, value, depth + 1)?);
        }
    }
    for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        if let Some(Value::Bool(strict)) = converted.get(exclusive).cloned() {
            converted.remove(exclusive);
            if strict && let Some(value) = converted.remove(bound) {
                converted.insert(exclusive.to_owned(), value);
            }
        }
    }
    if converted.get("nullable") == Some(&Value::Bool(true)) {
        converted.remove("nullable");
        let typed = ["type", "oneOf", "anyOf", "allOf", "enum"];
        if typed.iter().any(|key| converted.contains_key(*key)) {
            return Ok(json!({ "anyOf": [converted, { "type": "null" }] }));
        }
    }
    Ok(Value::Object(converted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(schema: &Value, value: &Value) -> bool {
        let document = json!({ "components": { "schemas": {
            "Name": { "type": "string", "maxLength": 3 },
            "Loop": { "properties": { "next": { "$ref": "#/components/schemas/Loop" } } },
        } } });
        let converted = convert(&document, schema).unwrap();
        jsonschema::validator_for(&converted).unwrap().is_valid(value)
    }

    #[test]
    fn nullable_allows_null_beside_the_type_and_the_enumeration() {
        let schema = json!({ "type": "string", "enum": ["a"], "nullable": true });
        assert!(accepts(&schema, &json!("a")));
        assert!(accepts(&schema, &json!(null)));
        assert!(!accepts(&schema, &json!("b")));
        assert!(accepts(&json!({ "nullable": true }), &json!({ "any": "thing" })));
    }

    #[test]
    fn exclusive_bounds_exclude_the_bound() {
        let schema = json!({ "type": "integer", "minimum": 0, "exclusiveMinimum": true });
        assert!(!accepts(&schema, &json!(0)));
        assert!(accepts(&schema, &json!(1)));
        let schema = json!({ "type": "integer", "minimum": 0, "exclusiveMinimum": false });
        assert!(accepts(&schema, &json!(0)));
    }

    #[test]
    fn references_are_followed_and_loops_are_refused() {
        let schema = json!({ "$ref": "#/components/schemas/Name" });
        assert!(accepts(&schema, &json!("abc")));
        assert!(!accepts(&schema, &json!("abcd")));
        let document = json!({ "a": { "items": { "$ref": "#/a" } } });
        assert!(convert(&document, &json!({ "$ref": "#/a" })).is_err());
        assert!(convert(&document, &json!({ "$ref": "#/b" })).is_err());
    }
}
