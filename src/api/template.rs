//! Labels and annotations that users declare for the objects that the operator writes, with the rules that hold for them
//! wherever they are declared.

use std::collections::BTreeMap;

use kube::KubeSchema;
use kube::core::cel::Rule;
use serde::{Deserialize, Serialize};

/// What every Secret that the operator makes for an object bears, beside the operator's own labels.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = annotation_domains())]
#[x_kube(validation = label_domains())]
#[x_kube(validation = annotation_lengths())]
#[x_kube(validation = label_lengths())]
#[x_kube(validation = label_keys())]
#[x_kube(validation = label_values())]
#[x_kube(validation = annotation_keys())]
#[x_kube(validation = Rule::new("!has(self.labels) || self.labels.all(key, !key.startsWith('supabase-operator.dev/'))").message("labels of supabase-operator.dev cannot be set").field_path(".labels"))]
#[x_kube(validation = Rule::new("(has(self.labels) ? self.labels.map(key, key.size() + self.labels[key].size()).sum() : 0) + (has(self.annotations) ? self.annotations.map(key, key.size() + self.annotations[key].size()).sum() : 0) <= 16384").message("labels and annotations of a secretTemplate together have at most 16384 characters"))]
pub struct SecretTemplate {
    /// Labels to set, such as those that a policy of the cluster asks for. The operator's own win, and those of an output
    /// win over these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: BTreeMap<String, String>,
    /// Annotations to set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,
}

pub(super) fn annotation_domains() -> Rule {
    Rule::new("!has(self.annotations) || self.annotations.all(key, !key.matches('(^|[.])(kubernetes|k8s)[.]io/') && !key.startsWith('supabase-operator.dev/'))")
        .message("annotations of kubernetes.io, k8s.io and supabase-operator.dev cannot be set")
        .field_path(".annotations")
}

pub(super) fn label_domains() -> Rule {
    Rule::new("!has(self.labels) || self.labels.all(key, !key.matches('(^|[.])(kubernetes|k8s)[.]io/') || key.startsWith('app.kubernetes.io/'))")
        .message("labels of kubernetes.io and k8s.io cannot be set, except app.kubernetes.io/")
        .field_path(".labels")
}

pub(super) fn annotation_lengths() -> Rule {
    Rule::new("!has(self.annotations) || self.annotations.all(key, key.size() <= 317)")
        .message("the key of an annotation has at most 317 characters")
        .field_path(".annotations")
}

pub(super) fn label_lengths() -> Rule {
    Rule::new("!has(self.labels) || self.labels.all(key, key.size() <= 317)")
        .message("the key of a label has at most 317 characters")
        .field_path(".labels")
}

pub(super) fn label_keys() -> Rule {
    Rule::new("!has(self.labels) || self.labels.all(key, key.size() > 317 || key.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))")
        .message("the key of a label is a name, such as team or example.com/team: letters, digits, '-', '_' and '.' (63 characters at most), after a domain and a slash if there is one")
        .field_path(".labels")
}

pub(super) fn label_values() -> Rule {
    Rule::new("!has(self.labels) || self.labels.all(key, self.labels[key].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))")
        .message("the value of a label has letters, digits, '-', '_' and '.', and begins and ends with a letter or a digit")
        .field_path(".labels")
}

pub(super) fn annotation_keys() -> Rule {
    Rule::new("!has(self.annotations) || self.annotations.all(key, key.size() > 317 || key.matches('^([a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?([.][a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))")
        .message("the key of an annotation is a name, such as team or example.com/team: letters, digits, '-', '_' and '.' (63 characters at most), after a domain and a slash if there is one")
        .field_path(".annotations")
}
