//! What people are told at admission where a text has a shape: the API server itself answers with a regular expression.
//!
//! Each pattern of a schema gets a CEL rule that says the same in words. Separate because it is done to the finished schemas,
//! so that no field can be forgotten.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};

/// Names of Kubernetes objects.
pub(super) const NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// Every pattern, and what it allows.
const WORDS: [(&str, &str); 14] = [
    (
        NAME,
        "a name has lower-case letters, digits, '-' and '.', and begins and ends with a letter or a digit",
    ),
    (r"^[-._a-zA-Z0-9]+$", "a key of a Secret has letters, digits, '-', '_' and '.'"),
    (
        r"^[a-z][a-z0-9+]*$",
        "a scheme has lower-case letters, digits and '+', and begins with a letter, such as postgresql+asyncpg",
    ),
    (r"^/[!-~]+$", "the path of a file begins with '/' and has no spaces"),
    (
        r"^[A-Za-z0-9_-]+$",
        "a slug has letters, digits, '-' and '_'; it is the last part of the organization's dashboard address",
    ),
    (
        r"^[a-z]{20}$",
        "a ref has 20 lower-case letters; it is the last part of the project's dashboard address",
    ),
    (r"^[a-z0-9_]+$", "a size has lower-case letters, digits and '_', such as micro or 2xlarge"),
    (
        r"^[A-Za-z_][A-Za-z0-9_]*$",
        "a prefix has letters, digits and '_', and does not begin with a digit, such as NEXT_PUBLIC_",
    ),
    (r"^[^.\x00-\x1f]+$", "a project's name has no dots, line ends or other control characters"),
    (
        r"^[a-z0-9-]+$",
        "a region has lower-case letters, digits and '-', such as eu-central-1; a group of regions is americas, emea or apac",
    ),
    (
        r"^[0-9A-Fa-f.:]+/[0-9]{1,3}$",
        "a network is an address, a slash and a length, such as 203.0.113.0/24 or 2001:db8::/32",
    ),
    (r"^[^,\s]+$", "a schema has neither commas nor spaces in its name here"),
    (r"^[^,]+$", "an address has no comma"),
    (r"^[^@\s]+@[^@\s]+$", "an address of mail has one '@' and no spaces"),
];

/// Puts the words to all patterns below.
pub(super) fn set(schema: &mut JSONSchemaProps) {
    let words = schema.pattern.as_ref().and_then(|pattern| {
        let found = WORDS.iter().find(|(known, _)| known == pattern);
        found.map(|(pattern, words)| ValidationRule {
            rule: format!("self.matches(r'{pattern}')"),
            message: Some((*words).to_owned()),
            ..ValidationRule::default()
        })
    });
    if let Some(rule) = words {
        schema.x_kubernetes_validations.get_or_insert_default().push(rule);
    }
    for property in schema.properties.iter_mut().flat_map(|all| all.values_mut()) {
        set(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = schema.items.as_mut() {
        set(item);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = schema.additional_properties.as_mut() {
        set(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::crds;

    fn wordless(path: &str, schema: &JSONSchemaProps, found: &mut Vec<String>) {
        if let Some(pattern) = &schema.pattern {
            let rule = format!("self.matches(r'{pattern}')");
            let rules = schema.x_kubernetes_validations.as_deref().unwrap_or_default();
            if !rules.iter().any(|known| known.rule == rule && known.message.is_some()) {
                found.push(format!("{path}: {pattern}"));
            }
        }
        for (name, property) in schema.properties.iter().flatten() {
            wordless(&format!("{path}.{name}"), property, found);
        }
        if let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items {
            wordless(&format!("{path}[]"), item, found);
        }
    }

    #[test]
    fn every_pattern_is_told_in_words() {
        let mut found = Vec::new();
        for crd in crds() {
            let schema = crd.spec.versions[0].schema.clone().unwrap();
            let schema = schema.open_api_v3_schema.unwrap();
            wordless(&crd.spec.names.kind, &schema, &mut found);
        }
        assert!(found.is_empty(), "patterns without words: {found:#?}");
    }

    #[test]
    fn no_pattern_ends_the_text_it_is_written_in() {
        for (pattern, _) in WORDS {
            assert!(!pattern.contains('\''), "{pattern}");
        }
    }
}
