//! How large objects may become: no text, list or map of our kinds is unbounded, so that no single object can cost much
//! memory or crowd out what the operator must write.
//!
//! Bounds of our own fields stand at the fields. Here is what cannot stand there: bounds within types of Kubernetes and
//! on the values of maps, and those that the code keeps when it writes a status. Bounds of the status are wider than
//! what is ever written: a status that the API server refused would be tried for ever.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// Characters of `status.lastHandledReconcileAt`; the annotation may be longer.
pub const LONGEST_REQUEST: usize = 256;
/// Organizations in the status of a connection; a credential may see more.
pub const MOST_ORGANIZATIONS: usize = 256;
/// Characters of a name that the platform gave.
pub const LONGEST_NAME: usize = 512;
/// Characters of an address in a status; one that is longer is left out.
pub const LONGEST_URL: usize = 4096;

/// A label's or annotation's key: a DNS name, a slash, a name.
const KEY: i64 = 253 + 1 + 63;
const LABEL_VALUE: i64 = 63;
/// Together with the CEL rule over all outputs that keeps labels and annotations at 65,536 characters in all.
const ANNOTATION_VALUE: i64 = 32_768;
const TIME: i64 = 64;
/// The value of a parameter of Postgres, and how many there are.
const PARAMETER: i64 = 128;
const PARAMETERS: i64 = 64;
/// A parameter of a Postgres URI.
const URI_PARAMETER: i64 = 256;

/// The beginning of a text that somebody else gave.
pub fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// Sets the bounds that cannot stand at the fields.
pub(super) fn set(schema: &mut JSONSchemaProps) {
    if schema.format.as_deref() == Some("date-time") {
        schema.max_length = Some(TIME);
    }
    for (name, property) in schema.properties.iter_mut().flatten() {
        match name.as_str() {
            "labels" => values(property, LABEL_VALUE),
            "annotations" => values(property, ANNOTATION_VALUE),
            // Of Postgres, or of its URIs.
            "parameters" if property.max_properties == Some(PARAMETERS) => {
                values(property, PARAMETER);
            }
            "parameters" => values(property, URI_PARAMETER),
            "selector" => selector(property),
            "conditions" => conditions(property),
            _ => {}
        }
        set(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = schema.items.as_mut() {
        set(item);
    }
}

fn values(map: &mut JSONSchemaProps, most: i64) {
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = map.additional_properties.as_mut() {
        value.max_length = Some(most);
    }
}

/// `metav1.LabelSelector`. The length of the keys of `matchLabels` is for a CEL rule.
fn selector(schema: &mut JSONSchemaProps) {
    for (name, property) in schema.properties.iter_mut().flatten() {
        if name == "matchLabels" {
            property.max_properties = Some(32);
            values(property, LABEL_VALUE);
        } else if name == "matchExpressions" {
            property.max_items = Some(16);
            for (name, property) in item_properties(property) {
                match name {
                    "key" => property.max_length = Some(KEY),
                    "operator" => property.max_length = Some(64),
                    "values" => {
                        property.max_items = Some(64);
                        if let Some(JSONSchemaPropsOrArray::Schema(value)) = &mut property.items {
                            value.max_length = Some(LABEL_VALUE);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// `metav1.Condition`, with the bounds that Kubernetes itself has for it.
fn conditions(schema: &mut JSONSchemaProps) {
    schema.max_items = Some(32);
    for (name, property) in item_properties(schema) {
        match name {
            "type" => property.max_length = Some(316),
            "status" => property.max_length = Some(64),
            "reason" => property.max_length = Some(1024),
            "message" => property.max_length = Some(32_768),
            _ => {}
        }
    }
}

fn item_properties(
    list: &mut JSONSchemaProps,
) -> impl Iterator<Item = (&str, &mut JSONSchemaProps)> {
    let item = match list.items.as_mut() {
        Some(JSONSchemaPropsOrArray::Schema(item)) => Some(item),
        Some(JSONSchemaPropsOrArray::Schemas(_)) | None => None,
    };
    item.into_iter()
        .flat_map(|item| item.properties.iter_mut().flatten())
        .map(|(name, property)| (name.as_str(), property))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::crds;

    /// Characters that the keys and values of all labels and annotations of outputs may have, by the CEL rule at `spec`.
    const LABELS_AND_ANNOTATIONS: i64 = 65_536;
    /// Keys of all outputs, by another.
    const KEYS: i64 = 256;
    /// Characters of their names, schemes, files and parameters, by a third.
    const TEXTS_OF_KEYS: i64 = 16_384;
    /// Of all workloads: 64 for each, and its name; by a rule.
    const WORKLOADS: i64 = 8192;

    /// Places without a bound, each with its reason.
    const EXCEPTIONS: [(&str, &str); 0] = [];

    fn parts(kind: &str) -> Vec<(String, JSONSchemaProps)> {
        let crd = crds().into_iter().find(|crd| crd.spec.names.kind == kind);
        let version = crd.unwrap().spec.versions.remove(0);
        let mut schema = version.schema.unwrap().open_api_v3_schema.unwrap();
        let mut properties = schema.properties.take().unwrap();
        ["spec", "status"].map(|part| (part.to_owned(), properties.remove(part).unwrap())).into()
    }

    fn kinds() -> Vec<String> {
        crds().into_iter().map(|crd| crd.spec.names.kind).collect()
    }

    /// Every place that may hold as much as somebody likes.
    fn unbounded(path: &str, schema: &JSONSchemaProps, found: &mut Vec<String>) {
        let mut lacks = |what: &str| found.push(format!("{path}: {what}"));
        if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
            lacks("unknown fields are kept");
        }
        match schema.type_.as_deref() {
            Some("string") if schema.enum_.is_none() && schema.max_length.is_none() => {
                lacks("no maxLength");
            }
            Some("array") if schema.max_items.is_none() => lacks("no maxItems"),
            Some("object")
                if schema.additional_properties.is_some() && schema.max_properties.is_none() =>
            {
                lacks("no maxProperties");
            }
            Some("string" | "array" | "object" | "integer" | "boolean") => {}
            None if schema.x_kubernetes_int_or_string == Some(true) => {
                if schema.max_length.is_none() {
                    lacks("no maxLength");
                }
            }
            other => lacks(&format!("of the type {other:?}")),
        }
        for (name, property) in schema.properties.iter().flatten() {
            unbounded(&format!("{path}.{name}"), property, found);
        }
        match &schema.items {
            Some(JSONSchemaPropsOrArray::Schema(item)) => {
                unbounded(&format!("{path}[]"), item, found);
            }
            Some(JSONSchemaPropsOrArray::Schemas(_)) => found.push(format!("{path}: a tuple")),
            None => {}
        }
        match &schema.additional_properties {
            Some(JSONSchemaPropsOrBool::Schema(value)) => {
                unbounded(&format!("{path}{{}}"), value, found);
            }
            Some(JSONSchemaPropsOrBool::Bool(_)) => found.push(format!("{path}: anything")),
            None => {}
        }
    }

    #[test]
    fn nothing_in_any_kind_is_unbounded() {
        let mut found = Vec::new();
        for kind in kinds() {
            for (part, schema) in parts(&kind) {
                unbounded(&format!("{kind}.{part}"), &schema, &mut found);
            }
        }
        found.retain(|place| !EXCEPTIONS.iter().any(|(known, _)| place.starts_with(known)));
        assert!(found.is_empty(), "{found:#?}");
    }

    /// Bytes of a text: a pattern that lists what is allowed allows ASCII only.
    fn bytes(schema: &JSONSchemaProps) -> i64 {
        let pattern = schema.pattern.as_deref();
        let ascii = pattern.is_some_and(|pattern| !pattern.contains("[^"));
        schema.max_length.unwrap_or(64) * if ascii { 1 } else { 4 }
    }

    /// Bytes that a value may have at most: four for a character of somebody's text, one for those of names of fields, of words
    /// and of the marks of JSON.
    fn most(schema: &JSONSchemaProps) -> i64 {
        let length = |text: usize| i64::try_from(text).unwrap();
        match schema.type_.as_deref() {
            Some("string") => match &schema.enum_ {
                Some(words) => {
                    let words = words.iter().map(|word| length(word.0.to_string().len()));
                    words.max().unwrap()
                }
                None => bytes(schema) + 2,
            },
            Some("array") => {
                let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items else {
                    panic!("an array of what?")
                };
                2 + schema.max_items.unwrap() * (most(item) + 1)
            }
            Some("object") => {
                let fields = schema.properties.iter().flatten();
                let fields: i64 = fields
                    .map(|(name, property)| length(name.len()) + 4 + shared(name, property))
                    .sum();
                let entries = match &schema.additional_properties {
                    Some(JSONSchemaPropsOrBool::Schema(value)) => {
                        schema.max_properties.unwrap() * (4 * KEY + most(value) + 4)
                    }
                    Some(JSONSchemaPropsOrBool::Bool(_)) | None => 0,
                };
                2 + fields + entries
            }
            _ => 20,
        }
    }

    /// The same of a property whose text is bounded over all outputs: only what stands between its texts.
    fn shared(name: &str, property: &JSONSchemaProps) -> i64 {
        match name {
            "labels" | "annotations" => 64 * 6,
            // By a rule, their names are short.
            "parameters" if property.max_properties == Some(PARAMETERS) => {
                PARAMETERS * (63 + 4 * PARAMETER + 6)
            }
            "rolloutRestart" => 4,
            "keys" if property.max_items.is_some() => {
                // Of a key: its fields, the longest words, and the marks around sixteen parameters.
                const BETWEEN: i64 = 128 + 3 * 24 + 16 * 6;
                KEYS / 16 * BETWEEN
            }
            _ => most(property),
        }
    }

    #[test]
    fn no_spec_holds_more_than_half_a_mebibyte() {
        for kind in kinds() {
            let (_, spec) = parts(&kind).remove(0);
            let outputs = spec.properties.as_ref().unwrap().contains_key("outputs");
            let texts = if outputs { LABELS_AND_ANNOTATIONS + TEXTS_OF_KEYS } else { 0 };
            let bytes = most(&spec) + 4 * texts + if outputs { WORKLOADS } else { 0 };
            assert!(bytes <= 512 * 1024, "{kind}: {bytes} bytes");
        }
    }

    #[test]
    fn the_rules_over_all_outputs_are_there() {
        let (_, mut spec) = parts("SupabaseProject").remove(0);
        let outputs = spec.properties.as_mut().unwrap().remove("outputs").unwrap();
        let rules = outputs.x_kubernetes_validations.unwrap();
        for bound in [LABELS_AND_ANNOTATIONS, KEYS, TEXTS_OF_KEYS, WORKLOADS] {
            let bound = format!("<= {bound}");
            assert!(rules.iter().any(|rule| rule.rule.ends_with(&bound)));
        }
    }
}
