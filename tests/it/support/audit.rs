//! Comparing what the operator asked of the API server, as the audit log tells, with what the chart's roles
//! let it ask. Pure: from the texts of both to sentences.

use std::fmt;

use serde_json::Value;

/// One request about a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// Such as `get` or `watch`.
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Plural, with the subresource: `supabaseprojects/status`.
    pub resource: String,
    /// Empty for cluster-scoped resources and for lists of all namespaces.
    pub namespace: String,
    /// Empty for lists, watches and most creates.
    pub name: String,
    /// Whether the API server let it pass.
    pub allowed: bool,
}

/// One verb on one resource that a role gives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// The verb.
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Plural, with the subresource.
    pub resource: String,
    /// The namespace that it is limited to; none with a `ClusterRole`.
    pub namespace: Option<String>,
    /// The names that it is limited to; none: any.
    pub names: Vec<String>,
}

impl Grant {
    /// Whether this grant lets the request pass.
    pub fn covers(&self, request: &Request) -> bool {
        self.verb == request.verb
            && self.group == request.group
            && self.resource == request.resource
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == request.namespace)
            && (self.names.is_empty() || self.names.contains(&request.name))
    }
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, group, resource, namespace, name, allowed } = self;
        let refused = if *allowed { "" } else { " (refused)" };
        write!(formatter, "{verb} {resource}.{group} {namespace}/{name}{refused}")
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, group, resource, namespace, names } = self;
        let namespace = namespace.as_deref().unwrap_or("*");
        write!(formatter, "{verb} {resource}.{group} in {namespace} {names:?}")
    }
}

/// The requests about resources that a user made. Those about the API itself (`/version`, `/apis`), which
/// everybody may read, are left out.
pub fn requests(audit_log: &str, user: &str) -> Vec<Request> {
    let mut requests = Vec::new();
    for line in audit_log.lines() {
        let Ok(entry) = serde_json::from_str::<Value>(line) else {
            continue;
        }; // not written to its end yet
        let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
        let object = &entry["objectRef"];
        if entry["user"]["username"] != user || object["resource"].is_null() {
            continue;
        }
        let mut resource = text(&object["resource"]);
        if let Some(subresource) = object["subresource"].as_str() {
            resource = format!("{resource}/{subresource}");
        }
        requests.push(Request {
            verb: text(&entry["verb"]),
            group: text(&object["apiGroup"]),
            resource,
            namespace: text(&object["namespace"]),
            name: text(&object["name"]),
            allowed: entry["annotations"]["authorization.k8s.io/decision"] == "allow",
        });
    }
    requests
}

/// The grants of a list of rules, as a Role or `ClusterRole` holds them.
pub fn grants(rules: &Value, namespace: Option<&str>) -> Vec<Grant> {
    let strings = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let mut grants = Vec::new();
    for rule in rules.as_array().into_iter().flatten() {
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                for verb in strings(&rule["verbs"]) {
                    grants.push(Grant {
                        verb,
                        group: group.clone(),
                        resource: resource.clone(),
                        namespace: namespace.map(str::to_owned),
                        names: strings(&rule["resourceNames"]),
                    });
                }
            }
        }
    }
    grants
}

/// Requests that no grant covers, each once. Refused ones are among them.
pub fn not_granted(grants: &[Grant], requests: &[Request]) -> Vec<Request> {
    let covered = |request: &Request| grants.iter().any(|grant| grant.covers(request));
    let mut found: Vec<_> =
        requests.iter().filter(|request| !request.allowed || !covered(request)).cloned().collect();
    found.sort();
    found.dedup();
    found
}

/// Grants that no request used.
pub fn not_used(grants: &[Grant], requests: &[Request]) -> Vec<Grant> {
    let used = |grant: &Grant| requests.iter().any(|request| grant.covers(request));
    grants.iter().filter(|grant| !used(grant)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const OPERATOR: &str = "system:serviceaccount:system:operator";

    fn log_line(user: &str, verb: &str, object: &Value, decision: &str) -> String {
        let annotations = json!({ "authorization.k8s.io/decision": decision });
        let user = json!({ "username": user });
        json!({"verb": verb, "user": user, "objectRef": object, "annotations": annotations})
            .to_string()
    }

    fn role() -> Vec<Grant> {
        let rules = json!([
            {"apiGroups": ["example.dev"], "resources": ["things", "things/status"], "verbs": ["get", "patch"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"], "verbs": ["get"]},
        ]);
        grants(&rules, Some("team"))
    }

    #[test]
    fn only_the_users_own_requests_about_resources_count() {
        let thing = json!({"apiGroup": "example.dev", "resource": "things", "subresource": "status",
            "namespace": "team", "name": "a"});
        let log = [
            log_line(OPERATOR, "patch", &thing, "allow"),
            log_line("somebody", "delete", &thing, "allow"),
            log_line(OPERATOR, "get", &Value::Null, "allow"),
            "{\"verb\": \"cut o".to_owned(),
        ];
        let found = requests(&log.join("\n"), OPERATOR);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), "patch things/status.example.dev team/a");
    }

    #[test]
    fn a_request_outside_the_rules_is_told() {
        let secret = |name| json!({"resource": "secrets", "namespace": "team", "name": name});
        let elsewhere = json!({"resource": "secrets", "namespace": "other", "name": "mine"});
        let log = [
            log_line(OPERATOR, "get", &secret("mine"), "allow"),
            log_line(OPERATOR, "get", &secret("yours"), "allow"),
            log_line(OPERATOR, "get", &secret("yours"), "allow"),
            log_line(OPERATOR, "get", &elsewhere, "forbid"),
        ];
        let found = not_granted(&role(), &requests(&log.join("\n"), OPERATOR));
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["get secrets. other/mine (refused)", "get secrets. team/yours"]);
    }

    #[test]
    fn a_grant_that_nobody_uses_is_told() {
        let thing = json!({"apiGroup": "example.dev", "resource": "things", "namespace": "team", "name": "a"});
        let log = [
            log_line(OPERATOR, "get", &thing, "allow"),
            log_line(OPERATOR, "patch", &thing, "allow"),
        ];
        let found = not_used(&role(), &requests(&log.join("\n"), OPERATOR));
        let found: Vec<_> =
            found.iter().map(|grant| (grant.verb.as_str(), grant.resource.as_str())).collect();
        assert_eq!(
            found,
            [("get", "things/status"), ("patch", "things/status"), ("get", "secrets")]
        );
    }
}
